"""What a device has refused of the inventory's login, by whatever protocol: devices lock out whoever tries a wrong password again."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Protocol

from gateway.clock import Clock, SystemClock
from gateway.domain.devices import Credentials
from gateway.drivers.base import Target
from gateway.errors import AuthenticationFailed

AGAIN_AFTER_S: Final = 600.0


class Door(StrEnum):
    """Where one logs in to a device, beside the bookkeeper's protocol. Each may have accounts of its own, or want no login."""

    STREAM = "stream"
    BACKCHANNEL = "backchannel"
    SIP = "sip"


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


class Attempt:
    """A try to be let in. `target`: the device, without the login where that is not to be said; `refused`: why it is not, else None."""

    __slots__ = ("refused", "taken", "target")

    def __init__(self, target: Target, refused: AuthenticationFailed | None) -> None:
        self.target = target if refused is None else replace(target, credentials=Credentials())
        self.refused = refused
        self.taken = False

    def let_in(self) -> None:
        """To be called when the login was said, and taken."""
        self.taken = True


@dataclass(frozen=True, slots=True)
class _Refusal:
    door: Door
    login: object
    error: AuthenticationFailed
    at: float
    wait_s: float


class Refusals:
    """Of one device. A login that was refused is not said again until the inventory has another one, or somebody says so (rule 5).

    A device that has taken the same login by the bookkeeper's protocol since, refused it perhaps while it started: it may be said again
    after `AGAIN_AFTER_S`, and after each further refusal at the same door twice as late there. Only a door that takes the login is
    forgiven what it refused.

    Shared by all doors. The bookkeeper counts what they refused among its own refusals, and judges by itself: it may have an account of
    its own on the device.
    """

    __slots__ = ("_bookkeeper", "_clock", "_known")

    def __init__(self, bookkeeper: Bookkeeper | None = None, clock: Clock | None = None) -> None:
        """`clock`: the bookkeeper's, the system's without."""
        self._bookkeeper = bookkeeper
        self._clock: Clock = clock or SystemClock()
        self._known: dict[Door, _Refusal] = {}

    def known(self, target: Target, door: Door) -> AuthenticationFailed | None:
        """Why the target's login is not to be said at `door`, None when it may be."""
        held = self._held(_login(target), door)
        if held is not None:
            return AuthenticationFailed(str(held.error), code=held.error.code, hint=held.error.hint)
        return self._bookkeeper.known_bad() if self._bookkeeper is not None else None

    @contextmanager
    def minded(self, target: Target, door: Door) -> Iterator[Attempt]:
        """Be let in to `attempt.target` inside, and say so when the login was taken: what becomes of it is remembered.

        Where the login is not to be said, the device may want none: raises AuthenticationFailed, as `known`, only if it asks for one.
        """
        attempt = Attempt(target, self.known(target, door))
        try:
            yield attempt
        except AuthenticationFailed as error:
            if error.code == AuthenticationFailed.code:
                attempt.taken = False
                if attempt.refused is not None:
                    raise attempt.refused from None
                self.note(target, door, error)
            raise
        finally:
            if attempt.taken:
                self._known.pop(door, None)

    def note(self, target: Target, door: Door, error: AuthenticationFailed) -> None:
        """What a login failed for; nothing is remembered where no password was refused. What is refused while the login is not to be said
        was under way before: that makes nobody wait longer."""
        if error.code != AuthenticationFailed.code or not target.credentials.username:
            return
        login, before = _login(target), self._known.get(door)
        if before is not None and before.login == login and self._holds(before, door):
            return
        if self._bookkeeper is not None and self._held(login, door) is None:
            self._bookkeeper.suspect()
        wait_s = 2 * before.wait_s if before is not None and before.login == login else AGAIN_AFTER_S
        self._known[door] = _Refusal(door, login, error, self._clock.monotonic(), wait_s)

    def forget(self) -> None:
        """Somebody says that the login is right now."""
        self._known.clear()

    def _held(self, login: object, door: Door) -> _Refusal | None:
        """What keeps the login from being said at `door`."""
        return next((refusal for refusal in self._known.values() if refusal.login == login and self._holds(refusal, door)), None)

    def _holds(self, refusal: _Refusal, door: Door) -> bool:
        """No other door waits ever longer: this one may have an account of its own."""
        accepted_at = None if self._bookkeeper is None else self._bookkeeper.accepted_at
        waited = self._clock.monotonic() - refusal.at >= (refusal.wait_s if refusal.door is door else AGAIN_AFTER_S)
        return not (waited and accepted_at is not None and accepted_at > refusal.at)


def _login(target: Target) -> object:
    """What is said where."""
    return target.place, target.credentials.username, target.credentials.password
