"""When devices were not in service: switched off in the inventory, or taken out of it. That time is nobody's."""

from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import Final

from gateway.clock import Clock
from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.storage.complaints import OUT_OF_SERVICE
from gateway.storage.store import Store
from gateway.storage.tx import Tx
from gateway.storage.writer import Lane

DISABLED: Final = "disabled"
REMOVED: Final = "removed"


class ServiceTimes:
    """Writes down, among the complaints, from when until when a device is out of service."""

    def __init__(self, store: Store, city: City, clock: Clock) -> None:
        self._store = store
        self._city = city
        self._clock = clock
        self._seen: object = None

    async def look(self) -> None:
        """Write what the inventory has changed since the last look. StorageFailed, Overloaded."""
        devices = self._city.devices
        if devices is self._seen:
            return
        async with self._store.read() as tx:
            known = (await tx.availability.reckoned()).keys() | devices.keys()
            idle = await tx.complaints.out_of_service()
        in_service = {device.id for device in devices.values() if device.enabled}
        left, back = sorted(known - in_service - idle), sorted(idle & in_service)
        if left or back:
            reasons = [(device, DISABLED if device in devices else REMOVED) for device in left]
            await self._store.writer.write(partial(_write, left=reasons, back=back, at=self._clock.now()), lane=Lane.HEALTH)
        self._seen = devices


async def _write(tx: Tx, *, left: Iterable[tuple[DeviceId, str]], back: Iterable[DeviceId], at: datetime) -> None:
    for device, reason in left:
        await tx.complaints.rise(device, OUT_OF_SERVICE, reason, at)
    for device in back:
        await tx.complaints.clear(device, OUT_OF_SERVICE, at)
