"""How a device's clock was when it recorded: what was measured of it then, and what of a window each measurement covers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from gateway.domain.footage.periods import OnDeviceClock, Period

CLOCK_SET: Final = timedelta(seconds=2)
"""An offset that differs by more is another: devices tell their clock in whole seconds."""


@dataclass(frozen=True, slots=True)
class ClockRun:
    """From `first` to `last` a device's clock was measured again and again, always `offset` away from the true one or nearly so."""

    first: datetime
    last: datetime
    offset: timedelta


class TimeSource(StrEnum):
    """Whose word the times of a file of footage are."""

    DEVICE = "device"
    RECKONED = "reckoned"  # the device told none: counted from the time that was asked for, which it may have begun before
    UNKNOWN = "unknown"  # nobody wrote it down


class Basis(StrEnum):
    """Where an offset comes from that footage of the past is found by."""

    THEN = "measured-then"
    LATER = "measured-later"  # nobody measured it then; the first measurement after it
    TODAY = "today"  # none was ever written down


@dataclass(frozen=True, slots=True)
class ClockPart(OnDeviceClock):
    """A part of a window (true time), and how the device's clock was in it; None: never measured, taken as none."""

    period: Period
    offset: timedelta | None
    basis: Basis


@dataclass(frozen=True, slots=True)
class ClockReading:
    """How a device's clock was during a window, and how it is `now`.

    More than one part: the clock was set meanwhile. Between the last measurement before that and the first after it nobody knows which
    holds, so that both parts cover what lies between.
    """

    parts: tuple[ClockPart, ...]
    now: timedelta | None

    @property
    def offset(self) -> timedelta | None:
        """How it was when the window began."""
        return self.parts[0].offset

    @property
    def stepped(self) -> bool:
        """Whether the clock was set within the window."""
        return len(self.parts) > 1

    def at(self, moment: datetime) -> timedelta | None:
        """The offset at `moment`; once the clock may have been set, as it was after that."""
        return next((part.offset for part in reversed(self.parts) if part.period.start <= moment), self.offset)

    @property
    def shown(self) -> Period:
        """From the first to the last moment that the device's own clock may have shown meanwhile."""
        periods = [part.device_period(part.period) for part in self.parts]
        return Period(min(period.start for period in periods), max(period.end for period in periods))


def read_clock(runs: Sequence[ClockRun], window: Period, now: timedelta | None) -> ClockReading:
    """How a clock was during `window`, by what was measured of it (`runs`, in order) and by what it is `now`."""
    if not runs:
        return ClockReading((ClockPart(window, now, Basis.TODAY),), now)
    parts = []
    for index, run in enumerate(runs):
        start = max(window.start, runs[index - 1].last) if index else window.start
        end = min(window.end, runs[index + 1].first) if index + 1 < len(runs) else window.end
        if start < end:
            basis = Basis.LATER if not index and window.end <= run.first else Basis.THEN
            parts.append(ClockPart(Period(start, end), run.offset, basis))
    return ClockReading(tuple(parts), now)


def measured(known: ClockRun | None, offset: timedelta, at: datetime) -> ClockRun:
    """The run after one more measurement: `known` goes on, or another begins."""
    if known is not None and abs(offset - known.offset) <= CLOCK_SET:
        return ClockRun(known.first, max(known.last, at), known.offset)
    return ClockRun(at, at, offset)
