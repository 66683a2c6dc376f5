"""What was done to the city and when: the truth against which a gateway's reports are held."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

ENTRIES: Final = 50_000
"""Kept; the oldest go first, and `first` of the journal tells so."""


@dataclass(frozen=True, slots=True)
class Entry:
    """`number` counts from 1. `at`: seconds since the epoch on the machine's own clock. `device`: whom it befell, "" for none.

    `what`: a stable word (`fault`, `healed`, `dark`, `lit`, `reboot`, `quirk`…); `detail`: what of it; `scenario`: as part of which.
    """

    number: int
    at: float
    what: str
    device: str = ""
    detail: str = ""
    scenario: str = ""


class Journal:
    """Bounded, in order, append-only. `watchers`: told of each entry as it is written."""

    def __init__(self) -> None:
        self.watchers: list[Callable[[Entry], None]] = []
        self._entries: deque[Entry] = deque(maxlen=ENTRIES)
        self._next = 1

    def note(self, at: float, what: str, *, device: str = "", detail: str = "", scenario: str = "") -> Entry:
        entry = Entry(self._next, at, what, device, detail, scenario)
        self._entries.append(entry)
        self._next += 1
        for watcher in self.watchers:
            watcher(entry)
        return entry

    @property
    def last(self) -> int:
        """The number of the newest entry, 0 before the first."""
        return self._next - 1

    def since(self, number: int) -> Iterable[Entry]:
        """The entries kept with a number above `number`."""
        return [entry for entry in self._entries if entry.number > number]
