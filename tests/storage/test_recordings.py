from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from gateway.clock import SimulatedClock
from gateway.domain.broadcast import Broadcast, BroadcastId, Priority, Programme, Talk, Targets
from gateway.domain.broadcast_ledger import Recording, RecordingState
from gateway.domain.events import Actor, ActorKind
from gateway.errors import GatewayError, NotFound
from gateway.storage.store import Store
from gateway.storage.writer import Lane

KEPT = RecordingState.KEPT
ACTOR = Actor(ActorKind.API_KEY, "key-1")


async def kept(store: Store, clock: SimulatedClock, name: str, sha256: str, days: int) -> Recording:
    """A talk of that name with a recording, kept for so many days."""
    now = clock.now()
    talk = Broadcast(BroadcastId(name), Programme(Talk()), Targets(), Priority.TALK, now, now, ACTOR)
    recording = Recording(talk.id, KEPT, "", sha256, 1_000, 60, now, now, now + timedelta(days=days))

    async def change(tx) -> None:
        await tx.broadcasts.add(talk, [])
        await tx.recordings.begin(Recording(talk.id, RecordingState.UNDER_WAY))
        assert await tx.recordings.settle(recording)

    await store.writer.write(change, lane=Lane.BROADCAST)
    return recording


async def test_a_recording_is_found_by_its_broadcast_until_it_goes(store: Store, clock: SimulatedClock) -> None:
    recording = await kept(store, clock, "t1", "a" * 64, days=1)
    async with store.read() as tx:
        assert await tx.recordings.of(recording.broadcast) == recording
    assert await drop(store, clock, days=0) == []
    assert await drop(store, clock, days=2) == ["a" * 64]
    assert await drop(store, clock, days=2) == []
    async with store.read() as tx:
        with pytest.raises(NotFound):
            await tx.recordings.of(recording.broadcast)


async def test_a_file_that_another_recording_needs_stays(store: Store, clock: SimulatedClock) -> None:
    await kept(store, clock, "t1", "b" * 64, days=1)
    await kept(store, clock, "t2", "b" * 64, days=9)
    assert await drop(store, clock, days=2) == []
    assert await drop(store, clock, days=10) == ["b" * 64]


async def test_a_broadcast_has_one_recording_of_a_real_hash_or_a_reason_why_not(store: Store, clock: SimulatedClock) -> None:
    recording = await kept(store, clock, "t1", "c" * 64, days=1)
    await kept(store, clock, "t2", "d" * 64, days=1)
    await store.writer.write(lambda tx: tx.conn.execute(text("DELETE FROM recordings WHERE broadcast = 't2'")), lane=Lane.BROADCAST)
    other = replace(recording, broadcast=BroadcastId("t2"))
    failed = Recording(other.broadcast, RecordingState.FAILED, settled_at=clock.now())
    for wrong in (recording, replace(recording, broadcast=BroadcastId("t9")), replace(other, sha256="c"), failed):
        with pytest.raises(GatewayError):
            await store.writer.write(lambda tx, wrong=wrong: tx.recordings.begin(wrong), lane=Lane.BROADCAST)
    await store.writer.write(lambda tx: tx.recordings.begin(replace(failed, reason="storage-failed")), lane=Lane.BROADCAST)


async def test_what_became_of_a_recording_is_said_once(store: Store, clock: SimulatedClock) -> None:
    recording = await kept(store, clock, "t1", "e" * 64, days=1)
    failed = Recording(recording.broadcast, RecordingState.FAILED, "storage-failed", settled_at=clock.now())
    assert not await store.writer.write(lambda tx: tx.recordings.settle(failed), lane=Lane.BROADCAST)
    async with store.read() as tx:
        assert await tx.recordings.about([recording.broadcast]) == {recording.broadcast: recording}
        assert await tx.recordings.left(before=clock.now() + timedelta(days=1)) == []


async def drop(store: Store, clock: SimulatedClock, *, days: int) -> list[str]:
    before = clock.now() + timedelta(days=days)
    return await store.writer.write(lambda tx: tx.recordings.drop(before=before, limit=10), lane=Lane.HEALTH)
