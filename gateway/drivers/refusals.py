"""What a device has refused of the inventory's login, by whatever protocol: devices lock out whoever tries a wrong password again."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.clock import Clock, SystemClock
from gateway.drivers.base import Target
from gateway.errors import AuthenticationFailed

AGAIN_AFTER_S: Final = 600.0


class Bookkeeper(Protocol):
    """A protocol that keeps books of the same login by itself."""

    @property
    def accepted_at(self) -> float | None:
        """When the device took the login last by this protocol, in monotonic seconds; None when it has not."""
        ...

    def known_bad(self) -> AuthenticationFailed | None:
        """The reason not to try the login by any other protocol, None when there is none."""
        ...

    def suspect(self) -> None:
        """The login was refused by another protocol."""
        ...


@dataclass(frozen=True, slots=True)
class _Refusal:
    login: object
    error: AuthenticationFailed
    at: float
    wait_s: float


class Refusals:
    """Of one device. A login that was refused is not tried again until the inventory has another one, or somebody says so (rule 5).

    A device that has taken the same login by the bookkeeper's protocol since, refused it perhaps while it started: it may be tried again
    after `AGAIN_AFTER_S`, and after each further refusal twice as late.

    Shared by all protocols but the bookkeeper's, which counts what they were refused among its own refusals, and judges by itself: it may
    have an account of its own on the device.
    """

    __slots__ = ("_bookkeeper", "_clock", "_known")

    def __init__(self, bookkeeper: Bookkeeper | None = None, clock: Clock | None = None) -> None:
        """`clock`: the bookkeeper's, the system's without."""
        self._bookkeeper = bookkeeper
        self._clock: Clock = clock or SystemClock()
        self._known: _Refusal | None = None

    def known(self, target: Target) -> AuthenticationFailed | None:
        """Why the target's login is not to be tried, None when it may be."""
        if self._known is not None and self._known.login == _login(target) and not self._may_have_passed(self._known):
            error = self._known.error
            return AuthenticationFailed(str(error), code=error.code, hint=error.hint)
        return self._bookkeeper.known_bad() if self._bookkeeper is not None else None

    @contextmanager
    def minded(self, target: Target) -> Iterator[None]:
        """Log in to `target` inside: what becomes of it is remembered. Raises AuthenticationFailed where it is not to be tried."""
        refused = self.known(target)
        if refused is not None:
            raise refused
        try:
            yield
        except AuthenticationFailed as error:
            self.note(target, error)
            raise
        self.forget()

    def note(self, target: Target, error: AuthenticationFailed) -> None:
        """What a login failed for; nothing is remembered where no password was refused."""
        if error.code != AuthenticationFailed.code or not target.credentials.username:
            return
        login, before = _login(target), self._known
        wait_s = 2 * before.wait_s if before is not None and before.login == login else AGAIN_AFTER_S
        self._known = _Refusal(login, error, self._clock.monotonic(), wait_s)
        if self._bookkeeper is not None:
            self._bookkeeper.suspect()

    def forget(self) -> None:
        """Somebody says that the login is right now, or the device has let us in."""
        self._known = None

    def _may_have_passed(self, refusal: _Refusal) -> bool:
        accepted_at = None if self._bookkeeper is None else self._bookkeeper.accepted_at
        waited = self._clock.monotonic() - refusal.at >= refusal.wait_s
        return waited and accepted_at is not None and accepted_at > refusal.at


def _login(target: Target) -> object:
    """What is said where."""
    return target.place, target.credentials.username, target.credentials.password
