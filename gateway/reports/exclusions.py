"""What time does not count, and why: maintenance, approved excuses, and spans in which the gateway itself did not look."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.domain.availability import Span, gaps, merged, microseconds, moment
from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.domain.excuses import Excuse
from gateway.domain.maintenance import Window, covers, spans
from gateway.storage.tx import Tx

STILL_LOOKING = timedelta(minutes=3)
"""The last word of a watch is at most a minute old while it lasts; a little more for a store that is slow."""


@dataclass(frozen=True, slots=True)
class Maintained:
    """A maintenance window in a time: the devices that it covers today, and when it really was in force.

    Only what lies after the window was made counts: time that has passed is excused by two people, or not at all. So nothing that was
    reckoned changes because of a window.
    """

    window: Window
    devices: frozenset[DeviceId]
    spans: Sequence[tuple[datetime, datetime]]


@dataclass(frozen=True, slots=True)
class Excused:
    """An approved excuse and the devices that it covers today."""

    excuse: Excuse
    devices: frozenset[DeviceId]


@dataclass(frozen=True, slots=True)
class Exclusions:
    """What does not count between two moments."""

    maintenance: Sequence[Maintained] = ()
    excuses: Sequence[Excused] = ()
    blind: Sequence[Span] = ()
    _maintained: Mapping[DeviceId, Sequence[Span]] = field(default_factory=dict)
    _excused: Mapping[DeviceId, Sequence[Span]] = field(default_factory=dict)

    @classmethod
    async def read(cls, tx: Tx, city: City, start: datetime, end: datetime, *, now: datetime) -> "Exclusions":
        """What the store says of `start` to `end`."""
        windows = await tx.maintenance.between(start, end)
        excuses = await tx.excuses.approved(start, end)
        blind = await _blind(tx, start, end, now)
        return await asyncio.to_thread(cls.of, windows, excuses, blind, city, (start, end))

    @classmethod
    def of(
        cls, windows: Sequence[Window], excuses: Sequence[Excuse], blind: Sequence[Span], city: City, period: tuple[datetime, datetime]
    ) -> "Exclusions":
        """The same, of what was read."""
        start, end = period
        maintained = [found for window in windows if (found := _maintained(window, city, start, end)).spans]
        excused = [Excused(excuse, _excused(excuse, city)) for excuse in excuses]
        away = ((one.devices, [_span(span) for span in one.spans]) for one in maintained)
        pardoned = ((one.devices, [_span((max(one.excuse.start, start), min(one.excuse.end, end)))]) for one in excused)
        return cls(maintained, excused, blind, _by_device(away), _by_device(pardoned))

    def maintained(self, device: DeviceId) -> Sequence[Span]:
        return self._maintained.get(device, ())

    def excused(self, device: DeviceId) -> Sequence[Span]:
        return self._excused.get(device, ())


def periods(spans: Iterable[Span]) -> list[tuple[datetime, datetime]]:
    """Spans as moments."""
    return [(moment(start), moment(end)) for start, end in spans]


def _maintained(window: Window, city: City, start: datetime, end: datetime) -> Maintained:
    known = max(start, window.created_at)
    found = [(span.start, span.end) for span in spans(window, known, end)] if known < end else []
    return Maintained(window, _covered(window, city) if found else frozenset(), found)


def _covered(window: Window, city: City) -> frozenset[DeviceId]:
    places = window.places
    if places.everything or places.groups or places.cells or places.districts or places.vendors:
        return frozenset(device.id for device in city.devices.values() if covers(window, device, city))
    return frozenset(DeviceId(one) for one in places.devices) & city.devices.keys()


def _excused(excuse: Excuse, city: City) -> frozenset[DeviceId]:
    places = excuse.places
    if places.groups or places.cells or places.districts:
        return frozenset(device.id for device in city.devices.values() if places.cover(device, city))
    return places.devices & city.devices.keys()


async def _blind(tx: Tx, start: datetime, end: datetime, now: datetime) -> list[Span]:
    """When nobody looked, since it has been written down who looks."""
    first = await tx.complaints.first_watch()
    if first is None or first >= end:
        return []
    begin, last = max(start, first), min(end, now)
    if begin >= last:
        return []
    looked = [
        (microseconds(since), microseconds(max(until, now) if now - until < STILL_LOOKING else until))
        for since, until in await tx.complaints.watched(begin - STILL_LOOKING, last)  # whose last word was just before, and goes on
    ]
    return gaps(looked, microseconds(begin), microseconds(last))


def _by_device(parts: Iterable[tuple[Iterable[DeviceId], Sequence[Span]]]) -> Mapping[DeviceId, Sequence[Span]]:
    found: dict[DeviceId, list[Span]] = {}
    for devices, of_all in parts:
        for device in devices:
            found.setdefault(device, []).extend(of_all)
    return {device: merged(own) for device, own in found.items()}


def _span(period: tuple[datetime, datetime]) -> Span:
    return microseconds(period[0]), microseconds(period[1])
