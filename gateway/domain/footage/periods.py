"""Stretches of time: joined, cut to a window, and what they leave out. All are half open."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """From `start` to `end`, half open."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        return self.end - self.start

    def shifted(self, by: timedelta) -> "Period":
        return Period(self.start + by, self.end + by)


class OnDeviceClock:
    """What has a device's clock: `offset` is that less the true one, None when it was never measured and taken as none."""

    __slots__ = ()
    offset: timedelta | None

    def device_period(self, period: Period) -> Period:
        """`period` as the device's own clock has it."""
        return period.shifted(self.offset or timedelta(0))

    def true_period(self, device_period: Period) -> Period:
        """What the device's clock calls `device_period`, on the true clock."""
        return device_period.shifted(-(self.offset or timedelta(0)))


def joined(periods: Iterable[Period], *, within: timedelta = timedelta(0)) -> tuple[Period, ...]:
    """`periods` in order and disjoint; those that touch, overlap or lie at most `within` apart become one. Empty ones are dropped."""
    done: list[Period] = []
    for period in sorted(period for period in periods if period.start < period.end):
        if done and period.start - done[-1].end <= within:
            done[-1] = Period(done[-1].start, max(done[-1].end, period.end))
        else:
            done.append(period)
    return tuple(done)


def clipped(periods: Iterable[Period], window: Period) -> tuple[Period, ...]:
    """The parts of `periods` inside `window`, in order and disjoint."""
    return joined(Period(max(period.start, window.start), min(period.end, window.end)) for period in periods)


def gaps(periods: Iterable[Period], window: Period, *, least: timedelta = timedelta(0)) -> tuple[Period, ...]:
    """The parts of `window` that `periods` leave out, without those shorter than `least`."""
    found = clipped(periods, window)
    edges = [window.start, *(edge for period in found for edge in (period.start, period.end)), window.end]
    holes = (Period(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True))
    return tuple(hole for hole in holes if hole.start < hole.end and hole.length >= least)


def overlapping(periods: Sequence[Period], window: Period) -> Sequence[Period]:
    """Those of `periods`, which must be in order and disjoint, that overlap `window`: found by halving, among thousands in microseconds."""
    first = bisect_right(periods, window.start, key=lambda period: period.end)
    return periods[first : bisect_left(periods, window.end, lo=first, key=lambda period: period.start)]


def left_out(periods: Iterable[Period], windows: Iterable[Period], *, least: timedelta = timedelta(0)) -> Iterator[Period]:
    """The `gaps` that `periods` leave in each of `windows`, window by window."""
    there = joined(periods)
    for window in windows:
        yield from gaps(overlapping(there, window), window, least=least)


def total(periods: Iterable[Period]) -> timedelta:
    """How long `periods`, which must be disjoint, are together."""
    return sum((period.length for period in periods), timedelta(0))
