"""What pictures are compared with, on both stores."""

from datetime import UTC, datetime

from gateway.domain.devices import DeviceId
from gateway.domain.pictures import COLUMNS, ROWS, Reference
from gateway.storage.store import Store
from gateway.storage.writer import Lane

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CAMERA = DeviceId("camera-1")


async def test_a_reference_comes_back_as_it_was_kept_one_a_light(store: Store) -> None:
    fields = tuple(number % 255 + 0.25 for number in range(COLUMNS * ROWS))
    first, second = Reference(fields, 12.5, 1, NOON), Reference(fields[::-1], 20.0, 3, NOON)
    for light, reference in (("colour", first), ("grey", first), ("colour", second)):
        await store.writer.write(lambda tx, light=light, reference=reference: tx.pictures.put(CAMERA, light, reference), lane=Lane.HEALTH)
    async with store.read() as tx:
        assert await tx.pictures.references(CAMERA) == {"colour": second, "grey": first}
    await store.writer.write(lambda tx: tx.pictures.forget(CAMERA), lane=Lane.HEALTH)
    async with store.read() as tx:
        assert await tx.pictures.references(CAMERA) == {}
