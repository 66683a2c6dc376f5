"""Looks at recordings: kept whole, replaced by recording, forgotten by device, on both stores."""

from datetime import UTC, datetime, timedelta

from gateway.domain.coverage import Look
from gateway.domain.devices import DeviceId
from gateway.storage.looks import Recorded
from gateway.storage.store import Store
from gateway.storage.writer import Lane

START = datetime(2026, 9, 1, 0, 0, 0, 250_000, tzinfo=UTC)
ONE, TWO = Recorded(DeviceId("nvr-1"), "R1"), Recorded(DeviceId("nvr-2"), "R1")


def looks(count: int) -> tuple[Look, ...]:
    return tuple(Look(START + timedelta(hours=hour), START - timedelta(days=30) + timedelta(hours=hour)) for hour in range(count))


async def test_looks_come_back_as_they_went_in_and_the_last_word_counts(store: Store) -> None:
    await store.writer.write(lambda tx: tx.looks.put({ONE: looks(2), TWO: looks(1)}), lane=Lane.HEALTH)
    await store.writer.write(lambda tx: tx.looks.put({ONE: looks(3)}), lane=Lane.HEALTH)
    async with store.read() as tx:
        assert await tx.looks.all() == {ONE: looks(3), TWO: looks(1)}
    await store.writer.write(lambda tx: tx.looks.drop([TWO.device]), lane=Lane.HEALTH)
    async with store.read() as tx:
        assert await tx.looks.all() == {ONE: looks(3)}
