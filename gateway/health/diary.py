"""The diary: of which cameras and days it is known how much was recorded."""

from collections.abc import Mapping, Sequence, Set
from datetime import date, timedelta

from gateway.domain.devices import DeviceId
from gateway.storage.store import Store
from gateway.storage.tx import Tx
from gateway.storage.writer import Lane

_DAYS = 4  # days remembered; what is older is asked of the store


class Diary:
    """What stands in the store, with the last days in memory."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[date, set[DeviceId]] = {}

    async def lacking(self, cameras: Sequence[DeviceId], day: date) -> Set[DeviceId]:
        """Those of `cameras` of which nothing is known of `day`. Raises StorageFailed."""
        if day not in self._known:
            async with self._store.read() as tx:
                self._known[day] = set(await tx.availability.recorded(day, day + timedelta(days=1)))
            for old in sorted(self._known)[:-_DAYS]:
                del self._known[old]
        return set(cameras) - self._known[day]

    async def enter(self, recorder: DeviceId, day: date, found: Mapping[DeviceId, int], *, expected_s: int) -> None:
        """Write down seconds by camera. Raises StorageFailed, Overloaded."""

        async def change(tx: Tx) -> None:
            for camera, seconds in found.items():
                await tx.availability.put_recorded(
                    camera, day, recorder=recorder, expected_s=expected_s, recorded_s=min(seconds, expected_s)
                )

        await self._store.writer.write(change, lane=Lane.HEALTH)
        self._known.setdefault(day, set()).update(found)
