"""What a telephone exchange has refused of our one login there: exchanges lock out whoever tries a wrong password again and again."""

import math
from typing import Final

from gateway.clock import Clock
from gateway.drivers.refusals import AGAIN_AFTER_S
from gateway.errors import AuthenticationFailed

_ENOUGH: Final = 2  # one refused call may be one loudspeaker's own doing, which asks for a password itself


class ExchangeBooks:
    """The `Bookkeeper` of all who are called by way of one exchange.

    A loudspeaker's call that is refused keeps the login from that one, as by `Refusals`. Two since it was taken last keep it from all, for
    `AGAIN_AFTER_S`, and after each further refusal for twice as long. `let_in` begins anew.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._refused = 0
        self._until, self._wait_s = -math.inf, AGAIN_AFTER_S

    @property
    def accepted_at(self) -> float:
        """Nobody logs in there by another protocol: time alone has the login said again."""
        return math.inf

    def known_bad(self) -> AuthenticationFailed | None:
        if self._clock.monotonic() >= self._until:
            return None
        return AuthenticationFailed(
            "the exchange refuses our password over SIP",
            hint="Correct `sip.username` and `sip.password_file`, or, if they are right, check a telephone with retry_credentials.",
        )

    def suspect(self) -> None:
        """A call was refused; what was under way when the login was given up makes nobody wait longer."""
        if self.known_bad() is not None:
            return
        self._refused += 1
        if self._refused >= _ENOUGH:
            self._until, self._wait_s = self._clock.monotonic() + self._wait_s, 2 * self._wait_s

    def let_in(self) -> None:
        """The exchange has taken the login, or somebody says that it is right."""
        self._refused, self._until, self._wait_s = 0, -math.inf, AGAIN_AFTER_S
