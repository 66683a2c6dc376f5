"""What time does not count, and why: maintenance, approved excuses, and spans in which the gateway itself did not look."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.domain.availability import Span, gaps, merged, microseconds, moment
from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.domain.excuses import Excuse
from gateway.storage.tx import Tx

STILL_LOOKING = timedelta(minutes=3)
"""The last word of a watch is at most a minute old while it lasts; a little more for a store that is slow."""


@dataclass(frozen=True, slots=True)
class Maintenance:
    """A maintenance window in a time: what it covers, when it really was in force, and why."""

    id: str
    reason: str
    created_by: str
    devices: frozenset[DeviceId]
    spans: Sequence[tuple[datetime, datetime]]


MaintenanceOf = Callable[[datetime, datetime], Awaitable[Sequence[Maintenance]]]
"""The windows that were in force between two moments, their spans clipped to them."""


async def no_maintenance(start: datetime, end: datetime) -> Sequence[Maintenance]:  # noqa: ARG001 (the contract's arguments)
    """For where nobody keeps windows."""
    return ()


@dataclass(frozen=True, slots=True)
class Excused:
    """An approved excuse and the devices that it covers today."""

    excuse: Excuse
    devices: frozenset[DeviceId]


@dataclass(frozen=True, slots=True)
class Exclusions:
    """What does not count between two moments."""

    maintenance: Sequence[Maintenance] = ()
    excuses: Sequence[Excused] = ()
    blind: Sequence[Span] = ()
    _maintained: Mapping[DeviceId, Sequence[Span]] = field(default_factory=dict)
    _excused: Mapping[DeviceId, Sequence[Span]] = field(default_factory=dict)

    @classmethod
    async def read(
        cls, tx: Tx, city: City, maintenance_of: MaintenanceOf, start: datetime, end: datetime, *, now: datetime
    ) -> "Exclusions":
        """What the store and the keeper of windows say of `start` to `end`."""
        windows = await maintenance_of(start, end)
        excuses = [
            Excused(excuse, frozenset(device.id for device in city.devices.values() if excuse.places.cover(device, city)))
            for excuse in await tx.excuses.approved(start, end)
        ]
        maintained = ((window.devices, [_span(one) for one in window.spans]) for window in windows)
        excused = ((one.devices, [_span((max(one.excuse.start, start), min(one.excuse.end, end)))]) for one in excuses)
        return cls(windows, excuses, await _blind(tx, start, end, now), _by_device(maintained), _by_device(excused))

    def maintained(self, device: DeviceId) -> Sequence[Span]:
        return self._maintained.get(device, ())

    def excused(self, device: DeviceId) -> Sequence[Span]:
        return self._excused.get(device, ())


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
        for since, until in await tx.complaints.watched(begin, last)
    ]
    return gaps(looked, microseconds(begin), microseconds(last))


def _by_device(parts: Iterable[tuple[Iterable[DeviceId], Sequence[Span]]]) -> Mapping[DeviceId, Sequence[Span]]:
    found: dict[DeviceId, list[Span]] = {}
    for devices, spans in parts:
        for device in devices:
            found.setdefault(device, []).extend(spans)
    return {device: merged(spans) for device, spans in found.items()}


def _span(period: tuple[datetime, datetime]) -> Span:
    return microseconds(period[0]), microseconds(period[1])


def periods(spans: Iterable[Span]) -> list[tuple[datetime, datetime]]:
    """Spans as moments."""
    return [(moment(start), moment(end)) for start, end in spans]
