"""Locking out an address that logs in wrongly again and again, as cameras do: by our time, which no clock of theirs changes."""

from dataclasses import dataclass
from typing import Final

ADDRESSES: Final = 256
"""Of so many clients the wrong logins are remembered; beyond that the oldest is forgotten."""


@dataclass(slots=True)
class _Wrong:
    """Wrong logins of one address: how many, and until when they count, or lock."""

    count: int
    until: float
    locked: bool = False


class Lockout:
    __slots__ = ("_wrong",)

    def __init__(self) -> None:
        self._wrong: dict[str, _Wrong] = {}

    def holds(self, address: str, now: float) -> bool:
        """Whether `address` is locked out; what is over is forgotten."""
        wrong = self._wrong.get(address)
        if wrong is not None and now >= wrong.until:
            del self._wrong[address]
            return False
        return wrong is not None and wrong.locked

    def wrong(self, address: str, now: float, *, attempts: int, lasts_s: float) -> None:
        """One more wrong login: the last one of `attempts` locks for `lasts_s`."""
        wrong = self._wrong.setdefault(address, _Wrong(0, 0.0))
        wrong.count += 1
        wrong.until = now + lasts_s
        wrong.locked = wrong.count >= attempts
        if len(self._wrong) > ADDRESSES:
            del self._wrong[next(iter(self._wrong))]

    def forget(self, address: str) -> None:
        """A right login wipes the slate."""
        if self._wrong:
            self._wrong.pop(address, None)
