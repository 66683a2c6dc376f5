import asyncio
import contextlib
import sqlite3
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select

from gateway.clock import SimulatedClock
from gateway.domain.events import SYSTEM, AuditEntry, NewEvent
from gateway.errors import StorageFailed
from gateway.storage.events import events
from gateway.storage.retention import LOOK_S, PAUSE_S, STEP, Housekeeper, Keep
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane
from tests.conftest import running
from tests.waiting import stopped, until


async def emit(store: Store, count: int, at: datetime) -> None:
    async def change(tx: Tx) -> None:
        for _ in range(count):
            tx.emit(NewEvent("test", "s", at))
        tx.record(AuditEntry(SYSTEM, "test", "s", at))

    await store.writer.write(change, lane=Lane.HEALTH)


async def kept(store: Store) -> int:
    async with store.read() as tx:
        return int(await tx.conn.scalar(select(func.count()).select_from(events)) or 0)


async def test_events_go_by_age_and_the_record_stays(store: Store, clock) -> None:
    start = clock.now()
    await emit(store, 3, start)
    await emit(store, 2, start + timedelta(days=20))
    clock.step(timedelta(days=31))
    assert await Housekeeper(store, clock=clock, keep=Keep()).tidy() == 3
    assert await kept(store) == 2
    async with store.read() as tx:
        verdict = await tx.audit.verify()
    assert verdict.ok
    assert verdict.rows == 3


async def test_events_go_by_number_in_steps(store: Store, clock) -> None:
    await emit(store, 2 * STEP + 10, clock.now())
    before = store.writer.commits
    assert await Housekeeper(store, clock=clock, keep=Keep(events_at_most=5)).tidy() == 2 * STEP + 5
    assert await kept(store) == 5
    assert store.writer.commits - before >= 3


async def test_an_old_event_behind_a_young_one_waits_for_it(store: Store, clock) -> None:
    start = clock.now()
    await emit(store, 1, start)
    await emit(store, 1, start + timedelta(days=25))
    await emit(store, 1, start)  # a device's clock, a late report
    clock.step(timedelta(days=31))
    assert await Housekeeper(store, clock=clock, keep=Keep()).tidy() == 1
    assert await kept(store) == 2


async def test_nothing_to_do_writes_no_event_and_no_checkpoint(store: Store, clock) -> None:
    await emit(store, 3, clock.now())
    keeper = Housekeeper(store, clock=clock, keep=Keep())
    assert [await keeper.tidy() for _ in range(2)] == [0, 0]
    async with store.read() as tx:
        assert (await tx.audit.verify()).rows == 2


async def test_it_goes_round_until_it_is_cancelled(sqlite_url: str, clock) -> None:
    async with running(sqlite_url, clock) as store:
        keeper = Housekeeper(store, clock=clock, keep=Keep(events_at_most=1))
        task = asyncio.ensure_future(keeper.run())
        for _ in range(2):
            await emit(store, 3, clock.now())
            await until(lambda: kept(store), wanted=lambda count: count == 1, meanwhile=lambda: clock.advance(PAUSE_S))
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


async def test_a_store_that_failed_is_tried_until_it_works_and_the_log_tells_of_it(sqlite_url: str, clock: SimulatedClock) -> None:
    async with running(sqlite_url, clock) as store, asyncio.TaskGroup() as group:
        tidying = group.create_task(Housekeeper(store, clock=clock, keep=Keep()).run())
        await emit(store, 1, clock.now())
        await asyncio.to_thread(_rename, sqlite_url, "events", "away")
        with pytest.raises(StorageFailed):
            await emit(store, 1, clock.now())
        trouble = store.writer.trouble
        failures = store.writer.failures
        await until(lambda: store.writer.failures > failures, meanwhile=lambda: clock.advance(LOOK_S))
        await asyncio.to_thread(_rename, sqlite_url, "away", "events")  # the store, which tries again, holds it for moments
        told = asyncio.ensure_future(anext(aiter(store.events.follow(after=1))))
        await until(told.done, meanwhile=lambda: clock.advance(LOOK_S))
        await stopped(tidying)
    assert "events" in trouble
    assert (told.result().type, told.result().data) == ("store.recovered", {"reason": trouble})
    assert store.writer.trouble == ""


def _rename(url: str, before: str, after: str) -> None:
    with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as other:
        other.execute(f"ALTER TABLE {before} RENAME TO {after}")
