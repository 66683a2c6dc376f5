"""What is recorded of a camera, where, how surely that is known, and when it will be overwritten.

Three answers, never two: a second is recorded, not recorded, or unknown, because whoever could say so does not. All periods are on the
true clock and half open.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Final

from gateway.domain.devices import DeviceId
from gateway.domain.footage import LEAST_GAP, ClockReading, Period, clipped, gaps, joined, overlapping


class Source(StrEnum):
    """Where footage lies."""

    RECORDER = "recorder"
    CARD = "card"


class Told(StrEnum):
    """How much a device says of a recording."""

    HISTORY = "history"  # every break, to the second
    BOUNDS = "bounds"  # its first and its last moment only: breaks in between stay unseen
    UNLISTED = "unlisted"  # its search does not know the recording, which a replay may show all the same
    NOTHING = "nothing"  # it does not answer, or has no search


# -- overwriting ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class Look:
    """At `at`, `oldest` was the first moment that was still kept."""

    at: datetime
    oldest: datetime


class Basis(StrEnum):
    """How it is known when footage will be overwritten."""

    MEASURED = "measured"  # the oldest moment was seen to move on, again and again
    RETENTION = "retention"  # the device says how long it keeps what it records
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Countdown:
    """`at`: not before this is the first of the footage lost; None when nobody can tell. `rate`: seconds of footage lost in a second.

    `reason`: why it is unknown: `no-oldest` (the device does not tell its oldest moment), `not-measured` (too few looks so far),
    `stands-still` (nothing was overwritten between the looks: the disk is still filling).
    """

    basis: Basis
    at: datetime | None = None
    rate: float | None = None
    reason: str = ""


LOOKS_APART: Final = timedelta(minutes=5)
"""A rate is measured over so long at the least."""
_SET_BACK: Final = timedelta(minutes=1)
"""An oldest moment that goes back by more is another disk or another clock: what was seen before says nothing any more."""


def countdown(first: datetime, looks: Iterable[Look], *, retention: timedelta | None, now: datetime) -> Countdown:
    """When `first`, the first moment of the footage in question, is overwritten; of two answers the earlier one. Never before `now`."""
    seen = _unbroken(looks)
    measured = _measured(first, seen)
    kept = None if not retention else Countdown(Basis.RETENTION, first + retention)
    known = [found for found in (measured, kept) if found is not None and found.at is not None]
    if not known:
        return Countdown(Basis.UNKNOWN, reason=_why_unknown(seen))
    best = min(known, key=lambda found: found.at or now)
    return Countdown(best.basis, max(best.at or now, now), best.rate)


def advance(looks: Sequence[Look]) -> float | None:
    """How many seconds of footage are lost in one second, from the first change that was seen to the last; None when that is too little.

    Recorders drop whole files, or days: only between changes is the step a whole one.
    """
    changes = [after for before, after in pairwise(looks) if after.oldest > before.oldest]
    if len(changes) < 2 or changes[-1].at - changes[0].at < LOOKS_APART:
        return None
    return (changes[-1].oldest - changes[0].oldest) / (changes[-1].at - changes[0].at)


def _measured(first: datetime, looks: Sequence[Look]) -> Countdown | None:
    rate = advance(looks)
    if not rate:
        return None
    step = max(after.oldest - before.oldest - rate * (after.at - before.at) for before, after in pairwise(looks))
    left = first - looks[-1].oldest - max(step, timedelta(0))
    try:
        return Countdown(Basis.MEASURED, looks[-1].at + left / rate, rate)
    except OverflowError:
        return None


def _unbroken(looks: Iterable[Look]) -> list[Look]:
    seen: list[Look] = []
    for look in sorted(looks):
        if seen and look.oldest < seen[-1].oldest - _SET_BACK:
            seen.clear()
        seen.append(look)
    return seen


def _why_unknown(looks: Sequence[Look]) -> str:
    if not looks:
        return "no-oldest"
    still = looks[-1].oldest <= looks[0].oldest and looks[-1].at - looks[0].at >= timedelta(days=1)
    return "stands-still" if still else "not-measured"


# -- coverage ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Holding:
    """What one device says to keep of a camera's window.

    `reason`: why it tells no more than `told`, as a code, `detail` in words. `offset`: its clock less the true one when the window began,
    None when that was never measured: then its times were taken as they are. `clock`: how it was all through
    the window. `oldest`, `newest`: of the whole recording.
    """

    device: DeviceId
    source: Source
    recording: str = ""
    told: Told = Told.NOTHING
    reason: str = ""
    detail: str = ""
    offset: timedelta | None = None
    oldest: datetime | None = None
    newest: datetime | None = None
    recorded: tuple[Period, ...] = ()
    countdown: Countdown | None = None
    clock: ClockReading | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """Recorded without a break, and where it lies."""

    period: Period
    sources: tuple[DeviceId, ...]


class Lack(StrEnum):
    """Why something is not there."""

    NOT_RECORDED = "not-recorded"
    BEFORE_OLDEST = "before-oldest"  # older than what is kept: overwritten, or never recorded


@dataclass(frozen=True, slots=True)
class Gap:
    """Known not to be recorded anywhere."""

    period: Period
    lack: Lack


@dataclass(frozen=True, slots=True)
class Coverage:
    """What is recorded of one camera's window. `reason`: why nobody can be asked, `no-recorder`; "" otherwise."""

    camera: DeviceId
    window: Period
    holdings: tuple[Holding, ...] = ()
    reason: str = ""

    @property
    def recorded(self) -> tuple[Period, ...]:
        """What any source has."""
        return clipped((period for holding in self.holdings for period in holding.recorded), self.window)

    @property
    def unknown(self) -> tuple[Period, ...]:
        """What nobody has for sure, while somebody who could have it does not tell."""
        if all(holding.told in (Told.HISTORY, Told.BOUNDS) for holding in self.holdings):
            return ()
        return gaps(self.recorded, self.window, least=LEAST_GAP)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """What is known not to be recorded, a second and longer."""
        if self.unknown:
            return ()
        oldest = [holding.oldest for holding in self.holdings if holding.oldest is not None]
        kept = min(oldest, default=self.window.start) if len(oldest) == len(self.holdings) else self.window.start
        return tuple(found for hole in gaps(self.recorded, self.window, least=LEAST_GAP) for found in _told_apart(hole, kept))

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """What is recorded, cut where its sources change."""
        return pieces(self.holdings, self.window)

    @property
    def countdown(self) -> Countdown | None:
        """When the first of it is lost for good: of each second the last copy counts; None when nothing is recorded.

        Unknown when any source that has the first second does not tell its own.
        """
        if not self.recorded:
            return None
        first = self.recorded[0].start
        having = [holding.countdown for holding in self.holdings if holding.countdown and _has(holding, first)]
        unknown = next((one for one in having if one.at is None), None)
        return unknown or max(having, key=lambda one: one.at or datetime.min.replace(tzinfo=first.tzinfo), default=None)


def pieces(holdings: Iterable[Holding], window: Period) -> tuple[Piece, ...]:
    """The recorded parts of `window`, in order and disjoint, each with every device that has all of it."""
    kept = {holding.device: clipped(holding.recorded, window) for holding in holdings}
    edges = sorted({edge for periods in kept.values() for period in periods for edge in (period.start, period.end)})
    found: list[Piece] = []
    for start, end in pairwise(edges):
        having = tuple(device for device, periods in kept.items() if overlapping(periods, Period(start, end)))
        if not having:
            continue
        if found and found[-1].sources == having and found[-1].period.end == start:
            found[-1] = Piece(Period(found[-1].period.start, end), having)
        else:
            found.append(Piece(Period(start, end), having))
    return tuple(found)


def known(spans: Iterable[Period], window: Period) -> tuple[Period, ...]:
    """What a device told, inside `window`; breaks shorter than a gap are none."""
    return clipped(joined(spans, within=LEAST_GAP - timedelta(microseconds=1)), window)


def _told_apart(hole: Period, kept: datetime) -> Iterable[Gap]:
    """A hole, cut at the oldest moment that is kept."""
    if hole.start < kept:
        yield Gap(Period(hole.start, min(hole.end, kept)), Lack.BEFORE_OLDEST)
    if kept < hole.end:
        yield Gap(Period(max(hole.start, kept), hole.end), Lack.NOT_RECORDED)


def _has(holding: Holding, moment: datetime) -> bool:
    return any(period.start <= moment < period.end for period in holding.recorded)
