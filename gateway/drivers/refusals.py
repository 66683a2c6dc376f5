"""What a device has refused of the inventory's login, by whatever protocol: devices lock out whoever tries a wrong password again."""

from typing import Protocol

from gateway.drivers.base import Target
from gateway.errors import AuthenticationFailed


class Bookkeeper(Protocol):
    """A protocol that keeps books of the same login by itself."""

    def known_bad(self) -> AuthenticationFailed | None:
        """The reason not to try the login by any other protocol, None when there is none."""
        ...

    def suspect(self) -> None:
        """The login was refused by another protocol."""
        ...


class Refusals:
    """Of one device. A login that was refused is not tried again until the inventory has another one, or somebody says so (rule 5).

    Shared by all protocols but the bookkeeper's, which counts what they were refused among its own refusals, and judges by itself: it may
    have an account of its own on the device.
    """

    __slots__ = ("_bookkeeper", "_known")

    def __init__(self, bookkeeper: Bookkeeper | None = None) -> None:
        self._bookkeeper = bookkeeper
        self._known: tuple[object, AuthenticationFailed] | None = None

    def known(self, target: Target) -> AuthenticationFailed | None:
        """Why the target's login is not to be tried, None when it may be."""
        if self._known is not None and self._known[0] == _login(target):
            error = self._known[1]
            return AuthenticationFailed(str(error), code=error.code, hint=error.hint)
        return self._bookkeeper.known_bad() if self._bookkeeper is not None else None

    def note(self, target: Target, error: AuthenticationFailed) -> None:
        """What a login failed for; nothing is remembered where no password was refused."""
        if error.code != AuthenticationFailed.code or not target.credentials.username:
            return
        self._known = (_login(target), error)
        if self._bookkeeper is not None:
            self._bookkeeper.suspect()

    def forget(self) -> None:
        """Somebody says that the login is right now."""
        self._known = None


def _login(target: Target) -> object:
    """What is said where; at another address is another device."""
    return target.address, target.ports, target.credentials.username, target.credentials.password
