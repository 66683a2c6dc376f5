import pytest

from gateway.domain.events import SYSTEM, AuditEntry, NewEvent
from gateway.errors import Conflict
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane


async def test_a_change_and_its_event_are_stored_together(store: Store, clock) -> None:
    async def change(tx: Tx) -> str:
        key, _ = await tx.keys.create(name="monitor", roles=[], now=clock.now())
        tx.emit(NewEvent("key.created", key.id, clock.now(), {"name": "监控"}))
        tx.record(AuditEntry(SYSTEM, "key.create", key.id, clock.now()))
        return key.id

    key = await store.writer.write(change, lane=Lane.FOOTAGE)
    async with store.read() as tx:
        assert (await tx.keys.find(key)).name == "monitor"
        verdict = await tx.audit.verify()
    (event,) = await store.events.read_after(0, limit=10)
    assert (event.cursor, event.subject, event.data) == (1, key, {"name": "监控"})
    assert store.events.latest == 1
    assert verdict.ok
    assert verdict.rows == 2


async def test_nothing_of_a_failed_change_is_stored(store: Store, clock) -> None:
    async def change(tx: Tx) -> None:
        await tx.keys.create(name="gone", roles=[], now=clock.now())
        tx.emit(NewEvent("key.created", "gone", clock.now()))
        raise Conflict("no")

    with pytest.raises(Conflict):
        await store.writer.write(change, lane=Lane.FOOTAGE)
    async with store.read() as tx:
        assert await tx.keys.load() == []
    assert await store.events.read_after(0, limit=10) == []
