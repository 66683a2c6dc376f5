"""Maintenance windows: when somebody works on devices on purpose, so that nobody is woken for it and no availability is lost by it.

A window is in force once (`start` to `end`) or again and again (an RRULE of RFC 5545 in a time zone, each time for `duration`). It is never
edited: what was in force stays so for the record. It is started early (`extra`), ended early (`cuts`) and cancelled (`cancelled_at`).

A duration is exact, whatever the clocks do meanwhile.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NewType

from gateway.domain.city import City
from gateway.domain.devices import Device
from gateway.domain.timetable import FARTHEST, moments, rule_faults
from gateway.errors import Fault, InvalidInput

WindowId = NewType("WindowId", str)

LONGEST = timedelta(days=31)
"""Of one time of a recurring window."""


@dataclass(frozen=True, slots=True)
class Places:
    """What a window covers: all that is named by any of these, or everything."""

    devices: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    cells: frozenset[str] = frozenset()
    districts: frozenset[str] = frozenset()
    vendors: frozenset[str] = frozenset()
    everything: bool = False

    @property
    def empty(self) -> bool:
        return not (self.everything or self.devices or self.groups or self.cells or self.districts or self.vendors)


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` until before `end`."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Window:
    """A maintenance window. Without `rule` it is in force from `start` to `end`, once; with it `end` is None and `duration` counts.

    `creator`: the name of the person behind `created_by` at that time, "" where nobody was named.
    """

    id: WindowId
    places: Places
    start: datetime
    reason: str
    created_by: str
    created_at: datetime
    end: datetime | None = None
    rule: str = ""
    duration: timedelta = timedelta()
    timezone: str = "UTC"
    extra: tuple[Span, ...] = ()
    cuts: tuple[Span, ...] = ()
    cancelled_at: datetime | None = None
    creator: str = ""
    in_force: bool = field(default=False, compare=False)
    """Whether it was told that it is."""


def check(window: Window) -> Window:
    """`window`, when it can be kept. InvalidInput with all that is wrong of it."""
    faults = list(_faults(window))
    if faults:
        raise InvalidInput("The window is not right.", faults=faults, code="bad-window")
    return window


def spans(window: Window, start: datetime, end: datetime) -> Sequence[Span]:
    """When `window` was, or will be, in force between `start` and `end`: in order, apart, clipped to them."""
    planned = (Span(window.start, window.end),) if window.end is not None else tuple(_recurrences(window, start, end))
    last = min(end, window.cancelled_at or end)
    cut = _without(_merged((*planned, *window.extra)), window.cuts)
    clipped = (Span(max(one.start, start), min(one.end, last)) for one in cut)
    return tuple(one for one in clipped if one.start < one.end)


def span_at(window: Window, now: datetime) -> Span | None:
    """The span that `window` is in at `now`, looked at a month to both sides; None when it is not in force."""
    reach = LONGEST if window.end is None else FARTHEST
    return next((one for one in spans(window, now - reach, now + reach) if one.start <= now < one.end), None)


def next_span(window: Window, now: datetime) -> Span | None:
    """The next span that begins after `now`, within a year."""
    return next((one for one in spans(window, now, now + timedelta(days=370)) if one.start > now), None)


def is_past(window: Window, now: datetime) -> bool:
    """Whether it is in force neither at `now` nor ever after, unless somebody starts it."""
    return not spans(window, now, max(now, window.start + FARTHEST) + LONGEST)


def covers(window: "Window | Places", device: Device, city: City) -> bool:
    """Whether `device` is among the places of `window`, whatever the time."""
    places = window.places if isinstance(window, Window) else window
    if places.everything or device.id in places.devices or (device.vendor and device.vendor in places.vendors):
        return True
    if device.group in places.groups or device.cell in places.cells:
        return True
    return bool(places.districts) and district_of(device, city) in places.districts


def district_of(device: Device, city: City) -> str:
    """Its camera group's district, else its cell's; "" when nobody knows."""
    group = city.groups.get(device.group) if device.group else None
    if group is not None and group.district:
        return group.district
    cell = city.cells.get(device.cell) if device.cell else None
    return cell.district if cell is not None else ""


def street_of(device: Device, city: City) -> str:
    """Its camera group's street, else its cell's; "" when nobody knows."""
    group = city.groups.get(device.group) if device.group else None
    if group is not None and group.street:
        return group.street
    cell = city.cells.get(device.cell) if device.cell else None
    return cell.street if cell is not None else ""


# -- what is wrong with a window --------------------------------------------------------------------------------------


def _faults(window: Window) -> Iterator[Fault]:
    if window.places.empty:
        yield Fault("/", "must name devices, groups, cells, districts or vendors, or say `everything`", "no-place")
    if not window.rule:
        yield from _once_faults(window)
        return
    if window.end is not None:
        yield Fault("/end", "goes with a window of once; a recurring one has a duration")
    if not timedelta() < window.duration <= LONGEST:
        yield Fault("/duration_minutes", f"must be more than 0 and at most {LONGEST.days} days", "duration", {"days": LONGEST.days})
    yield from rule_faults(window.rule, window.start, window.timezone)


def _once_faults(window: Window) -> Iterator[Fault]:
    if window.end is None:
        yield Fault("/end", "must be there, or `minutes`, or a `rrule` with a duration", "missing")
    elif not timedelta() < window.end - window.start <= FARTHEST:
        yield Fault("/end", f"must be after the start, and within {FARTHEST.days} days", "end-out-of-range", {"days": FARTHEST.days})


# -- when it is in force ----------------------------------------------------------------------------------------------


def _recurrences(window: Window, start: datetime, end: datetime) -> Iterator[Span]:
    """Those that touch the time from `start` to `end`."""
    for begin in moments(window.rule, window.start, window.timezone, end):
        if begin + window.duration > start:
            yield Span(begin, begin + window.duration)


def _merged(found: Iterable[Span]) -> Sequence[Span]:
    merged: list[Span] = []
    for one in sorted(found, key=lambda span: (span.start, span.end)):
        if merged and one.start <= merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, one.end))
        else:
            merged.append(one)
    return merged


def _without(found: Iterable[Span], cuts: Iterable[Span]) -> Sequence[Span]:
    left = list(found)
    for cut in cuts:
        left = [
            part
            for one in left
            for part in (Span(one.start, min(one.end, cut.start)), Span(max(one.start, cut.end), one.end))
            if part.start < part.end
        ]
    return left
