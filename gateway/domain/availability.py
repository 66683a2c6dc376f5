"""Availability: how long a device was up, degraded, down, unknown or left out, and how often it failed, from its transitions alone.

Time is whole microseconds since the epoch, spans are half open, and every microsecond of a window counts in exactly one place:

    under maintenance                          maintenance   counts neither for nor against
    else UNKNOWN, or nobody was looking        unknown       counts neither for nor against
    else                                       up, degraded or down, by the state

`raw` counts the last line whole. `adjusted` leaves out of it what an approved excuse covers. An outage is a run of DOWN within the time
that counts: time that does not count neither ends it nor makes it longer.

Accounts of one device that follow each other are joined by `then`, exactly: a month is its days. Those of several devices are put
side by side by `beside`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

from gateway.domain.health import HealthState

Span = tuple[int, int]
"""From the first microsecond until before the second."""

CLOCK: Final = "clock"
PICTURE: Final = "picture"
MICROSECONDS: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Tally:
    """The time that counts, and the outages in it. `lead` and `tail`: the part of an outage that touches the beginning and the end."""

    up: int = 0
    degraded: int = 0
    down: int = 0
    outages: int = 0
    lead: int = 0
    tail: int = 0
    longest: int = 0

    @property
    def working(self) -> int:
        """The time in which it answered."""
        return self.up + self.degraded

    @property
    def counted(self) -> int:
        return self.up + self.degraded + self.down

    @property
    def online(self) -> float | None:
        """在线率: the share of the counted time in which it answered; None when none counts."""
        return self.working / self.counted if self.counted else None

    @property
    def intact(self) -> float | None:
        """完好率: the share of the counted time in which it answered and nothing complained."""
        return self.up / self.counted if self.counted else None

    @property
    def mtbf_s(self) -> float | None:
        """Working time for each outage; None without one."""
        return self.working / self.outages / MICROSECONDS if self.outages else None

    @property
    def mttr_s(self) -> float | None:
        """Down time for each outage; None without one."""
        return self.down / self.outages / MICROSECONDS if self.outages else None

    def then(self, later: "Tally") -> "Tally":
        """This time and the time that follows it, of the same device."""
        joined = self.tail + later.lead
        return Tally(
            self.up + later.up,
            self.degraded + later.degraded,
            self.down + later.down,
            self.outages + later.outages - (self.tail > 0 and later.lead > 0),
            self.lead if self.up or self.degraded else self.down + later.lead,
            later.tail if later.up or later.degraded else self.tail + later.down,
            max(self.longest, later.longest, joined),
        )

    def beside(self, other: "Tally") -> "Tally":
        """This device and another: sums, and the longest outage of either."""
        return Tally(
            self.up + other.up,
            self.degraded + other.degraded,
            self.down + other.down,
            self.outages + other.outages,
            longest=max(self.longest, other.longest),
        )


@dataclass(frozen=True, slots=True)
class Account:
    """One window of one device, or of several. `excused`: what `adjusted` leaves out of what `raw` counts.

    `clock_checked`, `picture_checked`: time in which the device answered and that check was made; `…_bad`: of it, with a complaint.
    """

    raw: Tally = Tally()
    adjusted: Tally = Tally()
    unknown: int = 0
    maintenance: int = 0
    excused: int = 0
    clock_checked: int = 0
    clock_bad: int = 0
    picture_checked: int = 0
    picture_bad: int = 0

    @property
    def length(self) -> int:
        """The length of the window; of several devices, the sum of theirs."""
        return self.raw.counted + self.unknown + self.maintenance

    @property
    def clock_right(self) -> float | None:
        """校时合格率; None where the clock was never checked."""
        return 1 - self.clock_bad / self.clock_checked if self.clock_checked else None

    @property
    def picture_good(self) -> float | None:
        """图像质量; None where the picture was never checked."""
        return 1 - self.picture_bad / self.picture_checked if self.picture_checked else None

    def then(self, later: "Account") -> "Account":
        """This window and the one that follows it, of the same device."""
        return self._with(later, self.raw.then(later.raw), self.adjusted.then(later.adjusted))

    def beside(self, other: "Account") -> "Account":
        """This device and another."""
        return self._with(other, self.raw.beside(other.raw), self.adjusted.beside(other.adjusted))

    def _with(self, other: "Account", raw: Tally, adjusted: Tally) -> "Account":
        return Account(
            raw,
            adjusted,
            self.unknown + other.unknown,
            self.maintenance + other.maintenance,
            self.excused + other.excused,
            self.clock_checked + other.clock_checked,
            self.clock_bad + other.clock_bad,
            self.picture_checked + other.picture_checked,
            self.picture_bad + other.picture_bad,
        )


@dataclass(frozen=True, slots=True)
class Life:
    """What is known of one device: its changes in the order in which they were written, and what else decides how its time counts.

    `before`: its state until the first change. `complaints` and `checked` (since when the check is made) are by check.
    """

    before: HealthState = HealthState.UNKNOWN
    changes: Sequence[tuple[int, HealthState]] = ()
    maintenance: Sequence[Span] = ()
    blind: Sequence[Span] = ()
    excused: Sequence[Span] = ()
    complaints: Mapping[str, Sequence[Span]] = field(default_factory=dict)
    checked: Mapping[str, int] = field(default_factory=dict)


def account(life: Life, start: int, end: int) -> Account:
    """The account of the window from `start` until before `end`."""
    return next(iter(accounts(life, (start, end))))


def accounts(life: Life, cuts: Sequence[int]) -> Iterator[Account]:
    """One account for each piece between two `cuts`, which rise."""
    meter = _Meter(life.before)
    at, piece = cuts[0], 1
    for turn, what, value in _turns(life, cuts):
        while piece < len(cuts) and turn >= cuts[piece]:
            meter.add(cuts[piece] - at)
            yield meter.read()
            at, piece = cuts[piece], piece + 1
        if piece == len(cuts):
            return
        if turn > at:
            meter.add(turn - at)
            at = turn
        meter.turn(what, value)
    for cut in cuts[piece:]:
        meter.add(cut - at)
        yield meter.read()
        at = cut


def plain(length: int, *, clock: bool, picture: bool) -> Account:
    """A window of which there is nothing to tell: up all the time, with or without the checks."""
    if not length:
        return Account()
    tally = Tally(up=length)
    return Account(tally, tally, clock_checked=length if clock else 0, picture_checked=length if picture else 0)


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same time in spans that rise and do not touch."""
    found: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def gaps(spans: Iterable[Span], start: int, end: int) -> list[Span]:
    """What of `start` to `end` lies in none of `spans`."""
    found, at = [], start
    for first, last in merged(spans):
        if first > at:
            found.append((at, min(first, end)))
        at = max(at, last)
        if at >= end:
            break
    if at < end:
        found.append((at, end))
    return [span for span in found if span[0] < span[1]]


# -- days of the site's calendar


def microseconds(moment: datetime) -> int:
    """An aware moment, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(at: int) -> datetime:
    """The moment of `microseconds`, in UTC."""
    return _EPOCH + timedelta(microseconds=at)


def midnight(day: date, zone: tzinfo) -> int:
    """When `day` begins in `zone`: where there is no midnight, at the first moment of the day; where there are two, at the first."""
    return microseconds(datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC))


def days(first: date, last: date) -> list[date]:
    """The days from `first` until before `last`."""
    return [first + timedelta(days=number) for number in range((last - first).days)]


def month_of(day: date) -> date:
    """The first day of the month of `day`."""
    return day.replace(day=1)


def month_after(day: date) -> date:
    """The first day of the month after that of `day`."""
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


# -- the sweep

_STATE, _MAINTENANCE, _BLIND, _EXCUSED, _CLOCK_BAD, _PICTURE_BAD, _CLOCK_ON, _PICTURE_ON = range(8)
_Turn = tuple[int, int, object]


def _turns(life: Life, cuts: Sequence[int]) -> list[_Turn]:
    """Everything that changes something, in the order of time. A change whose time lies before the one before it counts at that one's."""
    found: list[tuple[int, int, int, object]] = []
    latest = cuts[0]
    for order, (at, state) in enumerate(life.changes):
        latest = max(latest, at)
        found.append((latest, order, _STATE, state))
    flags = (
        (_MAINTENANCE, life.maintenance),
        (_BLIND, life.blind),
        (_EXCUSED, life.excused),
        (_CLOCK_BAD, life.complaints.get(CLOCK, ())),
        (_PICTURE_BAD, life.complaints.get(PICTURE, ())),
    )
    for what, spans in flags:
        for start, end in merged(spans) if len(spans) > 1 else spans:
            if start < end > cuts[0]:
                found.append((max(start, cuts[0]), 0, what, True))
                found.append((end, 1, what, False))
    for what, check in ((_CLOCK_ON, CLOCK), (_PICTURE_ON, PICTURE)):
        if check in life.checked:
            found.append((max(life.checked[check], cuts[0]), 0, what, True))
    found.sort(key=lambda turn: turn[:3])
    return [(at, what, value) for at, _, what, value in found]


class _Run:
    """A tally in the making."""

    __slots__ = ("degraded", "down", "lead", "longest", "outages", "run", "up")

    def __init__(self) -> None:
        self.up = self.degraded = self.down = self.outages = self.lead = self.longest = self.run = 0

    def add(self, state: HealthState, length: int) -> None:
        if state is HealthState.DOWN:
            self.outages += not self.run
            self.run += length
            self.down += length
            return
        self._close()
        if state is HealthState.UP:
            self.up += length
        else:
            self.degraded += length

    def read(self) -> Tally:
        run = self.run
        self._close()
        return Tally(self.up, self.degraded, self.down, self.outages, self.lead, run, self.longest)

    def _close(self) -> None:
        if self.run:
            if not self.up and not self.degraded:
                self.lead = self.run
            self.longest = max(self.longest, self.run)
            self.run = 0


class _Meter:
    """Adds up one piece after another while the flags turn."""

    __slots__ = ("_adjusted", "_excused", "_flags", "_maintenance", "_measured", "_raw", "_state", "_unknown")

    def __init__(self, state: HealthState) -> None:
        self._state = state
        self._flags: list[object] = [False] * 8
        self._clear()

    def _clear(self) -> None:
        self._raw, self._adjusted = _Run(), _Run()
        self._unknown = self._maintenance = self._excused = 0
        self._measured = [0, 0, 0, 0]

    def turn(self, what: int, value: object) -> None:
        if what == _STATE and isinstance(value, HealthState):
            self._state = value
        else:
            self._flags[what] = value

    def add(self, length: int) -> None:
        if not length:
            return
        flags = self._flags
        if flags[_MAINTENANCE]:
            self._maintenance += length
        elif flags[_BLIND] or self._state is HealthState.UNKNOWN:
            self._unknown += length
        else:
            self._count(length)

    def _count(self, length: int) -> None:
        flags, measured = self._flags, self._measured
        self._raw.add(self._state, length)
        if flags[_EXCUSED]:
            self._excused += length
        else:
            self._adjusted.add(self._state, length)
        if self._state is HealthState.DOWN:
            return
        for place, on, bad in ((0, _CLOCK_ON, _CLOCK_BAD), (2, _PICTURE_ON, _PICTURE_BAD)):
            if flags[on]:
                measured[place] += length
                measured[place + 1] += length if flags[bad] else 0

    def read(self) -> Account:
        done = Account(self._raw.read(), self._adjusted.read(), self._unknown, self._maintenance, self._excused, *self._measured)
        self._clear()
        return done
