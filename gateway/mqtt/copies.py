"""The two lines by which every stop-all comes, and which of its two copies is to be obeyed: whichever is here first.

The broker sends each line a copy of its own. By the stops' line it overtakes the commands before it; by the commands' line it comes behind
them, and so tells which commands were before it. A copy is known again by what it says. What is sent with QoS 0 keeps no order, and does
not wait for a line that is away.
"""

import hashlib
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

OVERTAKEN_S: Final = 300.0
"""So long a command counts as one from before a stop whose copy has not come behind it; then that copy is taken for lost."""
KEPT_S: Final = 3_600.0
"""So long after it might have come a copy is known again."""
COPIES_MAX: Final = 100


class Line(Enum):
    """Which of our two connections."""

    COMMANDS = "commands"
    STOPS = "stops"

    @property
    def other(self) -> "Line":
        return Line.STOPS if self is Line.COMMANDS else Line.COMMANDS


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop-all as it came. `again`: the broker sends it to this line once more, since we did not acknowledge it."""

    payload: bytes
    mid: int
    qos: int
    again: bool = False

    @property
    def name(self) -> bytes:
        return hashlib.sha256(self.payload).digest()


@dataclass(frozen=True, slots=True)
class _Awaited:
    name: bytes
    at: float
    qos: int
    obeyed: bool


@dataclass(slots=True)
class _Side:
    """What one line is yet to bring, and has brought under which packet id. `since`: when it was connected last, None while it is not."""

    since: float | None = None
    awaited: deque[_Awaited] = field(default_factory=lambda: deque(maxlen=COPIES_MAX))
    brought: OrderedDict[int, bytes] = field(default_factory=OrderedDict)


class Copies:
    """All times are monotonic seconds."""

    def __init__(self) -> None:
        self._sides = {line: _Side() for line in Line}

    def connected(self, line: Line, *, session_kept: bool, now: float) -> None:
        """`line` stands; without its session the broker has forgotten what it was to bring."""
        side = self._sides[line]
        side.since = now
        if not session_kept:
            side.awaited.clear()
            side.brought.clear()

    def lost(self, line: Line) -> None:
        self._sides[line].since = None

    def known(self, line: Line, stop: Stop, now: float) -> bool:
        """Whether what `line` brings has been dealt with already, here or by the other line."""
        side, name = self._sides[line], stop.name
        if stop.again and side.brought.get(stop.mid) == name:
            return True
        self._remember(side, stop)
        found = next((one for one in side.awaited if one.name == name and _waited_s(side, one, now) < KEPT_S), None)
        if found is None:
            return False
        side.awaited.remove(found)
        return True

    def dealt_with(self, line: Line, stop: Stop, *, obeyed: bool, now: float) -> None:
        """`line` brought it first: the other's copy is yet to come."""
        other = self._sides[line.other]
        if stop.qos or other.since is not None:
            other.awaited.append(_Awaited(stop.name, now, stop.qos, obeyed))

    def overtaken(self, now: float) -> bool:
        """Whether a command that the commands' line brings now was sent before a stop that has been obeyed."""
        side = self._sides[Line.COMMANDS]
        return any(one.obeyed and one.qos > 0 and _waited_s(side, one, now) < OVERTAKEN_S for one in side.awaited)

    def _remember(self, side: _Side, stop: Stop) -> None:
        if not stop.qos:
            return
        side.brought.pop(stop.mid, None)
        side.brought[stop.mid] = stop.name
        if len(side.brought) > COPIES_MAX:
            side.brought.popitem(last=False)


def _waited_s(side: _Side, awaited: _Awaited, now: float) -> float:
    """How long the line could have brought it and did not."""
    return 0.0 if side.since is None else now - max(side.since, awaited.at)
