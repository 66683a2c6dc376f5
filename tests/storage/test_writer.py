import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.domain.events import NewEvent
from gateway.errors import Conflict, InvalidInput, NotFound, Overloaded, StorageFailed
from gateway.storage.inventory import zone_speakers, zones
from gateway.storage.store import Store, Tx
from gateway.storage.writer import BOUNDS, GROUP, Lane
from tests.conftest import KEY

AT = datetime(2026, 3, 1, tzinfo=UTC)


def put(name: str) -> Callable[[Tx], Awaitable[str]]:
    """A small change: one row and one event."""

    async def change(tx: Tx) -> str:
        await tx.conn.execute(insert(zones).values(id=name, name=""))
        tx.emit(NewEvent("zone", name, AT))
        return name

    return change


async def names(store: Store) -> set[str]:
    async with store.read() as tx:
        return set(await tx.conn.scalars(select(zones.c.id)))


async def subjects(store: Store) -> list[str]:
    return [event.subject for event in await store.events.read_after(0, limit=10_000)]


@pytest.fixture
async def idle(store_url: str, clock):
    """A store whose writer does not run yet."""
    async with Store.open(store_url, clock=clock, key=KEY) as opened:
        yield opened


class Running:
    """The writer of `store`, started and stopped by hand."""

    def __init__(self, store: Store) -> None:
        self.task = asyncio.ensure_future(store.writer.run())

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])
        assert self.task.cancelled()


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_lanes_are_served_in_their_order_and_each_in_turn(idle: Store) -> None:
    waiting = []
    for lane in (Lane.HEALTH, Lane.FOOTAGE, Lane.BROADCAST, Lane.STOP):
        waiting += [asyncio.ensure_future(idle.writer.write(put(f"{lane.name}-{number}"), lane=lane)) for number in range(3)]
    await settle()
    writer = Running(idle)
    await asyncio.gather(*waiting)
    await writer.stop()
    assert await subjects(idle) == [f"{lane.name}-{number}" for lane in Lane for number in range(3)]


async def test_a_stop_passes_a_long_queue_of_health(idle: Store) -> None:
    health = [asyncio.ensure_future(idle.writer.write(put(f"h{number}"), lane=Lane.HEALTH)) for number in range(3 * GROUP)]
    await settle()
    writer = Running(idle)
    await health[0]  # the first group is done, two more wait
    await idle.writer.write(put("stop"), lane=Lane.STOP)
    assert not health[-1].done()
    await asyncio.gather(*health)
    await writer.stop()
    assert (await subjects(idle)).index("stop") <= 2 * GROUP


async def test_changes_that_come_together_are_committed_together(store: Store) -> None:
    await asyncio.gather(*(store.writer.write(put(f"z{number}"), lane=Lane.HEALTH) for number in range(2 * GROUP)))
    assert store.writer.commits == 2


async def test_who_settles_sees_what_somebody_who_was_cut_off_had_given(store: Store) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(tx: Tx) -> None:
        begun.set()
        await go_on.wait()
        await put("cut off")(tx)

    given = asyncio.ensure_future(store.writer.write(slow, lane=Lane.FOOTAGE))
    await begun.wait()
    given.cancel()
    settled = asyncio.ensure_future(store.writer.settle(Lane.FOOTAGE))
    await settle()
    assert not settled.done()
    go_on.set()
    await settled
    assert await names(store) == {"cut off"}


async def test_a_full_lane_refuses_at_once_and_the_others_do_not_notice(idle: Store) -> None:
    bound = BOUNDS[Lane.STOP]
    waiting = [asyncio.ensure_future(idle.writer.write(put(f"s{number}"), lane=Lane.STOP)) for number in range(bound)]
    await settle()
    with pytest.raises(Overloaded, match="lane stop"):
        await idle.writer.write(put("one too many"), lane=Lane.STOP)
    other = asyncio.ensure_future(idle.writer.write(put("other"), lane=Lane.HEALTH))
    writer = Running(idle)
    await asyncio.gather(*waiting, other)
    await writer.stop()
    assert len(await names(idle)) == bound + 1


async def test_a_change_that_fails_harms_no_other_of_its_group(store: Store) -> None:
    async def refused(tx: Tx) -> None:
        await put("refused")(tx)
        raise NotFound("no")

    async def twice(tx: Tx) -> None:
        await put("twice")(tx)
        await put("twice")(tx)

    async def silent(tx: Tx) -> None:
        tx.emit(NewEvent("zone", "silent", AT))
        raise NotFound("no word to the database")

    changes = [put("a"), refused, put("b"), twice, silent, put("c")]
    results = await asyncio.gather(*(store.writer.write(change, lane=Lane.HEALTH) for change in changes), return_exceptions=True)
    assert store.writer.commits == 1
    assert [type(result) for result in results] == [str, NotFound, str, Conflict, NotFound, str]
    assert await names(store) == {"a", "b", "c"}
    assert await subjects(store) == ["a", "b", "c"]


async def test_a_group_may_end_with_a_change_that_says_nothing_to_the_database(store: Store) -> None:
    async def silent(_tx: Tx) -> str:
        return "done"

    for _ in range(3):
        changes = [store.writer.write(change, lane=Lane.HEALTH) for change in (silent, silent, silent)]
        assert await asyncio.gather(*changes) == ["done"] * 3
    assert await store.writer.write(put("a"), lane=Lane.HEALTH) == "a"
    assert await names(store) == {"a"}


async def test_what_was_acknowledged_is_there_for_everybody(store: Store, engine: AsyncEngine) -> None:
    for number in range(20):
        name = await store.writer.write(put(f"z{number}"), lane=Lane.STOP)
        async with engine.connect() as conn:
            assert await conn.scalar(select(zones.c.id).where(zones.c.id == name)) == name


async def test_nothing_is_acknowledged_while_the_commit_cannot_be_made(store: Store, engine: AsyncEngine) -> None:
    async with engine.begin() as conn:
        await conn.execute(text("UPDATE event_head SET latest = latest"))  # holds what every commit needs
        waiting = asyncio.ensure_future(store.writer.write(put("a"), lane=Lane.STOP))
        done, _ = await asyncio.wait([waiting], timeout=0.2)
        assert not done
    assert await waiting == "a"


async def test_a_commit_that_fails_fails_all_of_its_changes_and_the_next_one_works(store: Store) -> None:
    async def spoil(tx: Tx) -> None:
        if tx.conn.dialect.name == "sqlite":  # checked at the commit, too late for its own savepoint
            await tx.conn.execute(text("PRAGMA defer_foreign_keys = ON"))
            await tx.conn.execute(insert(zone_speakers).values(zone="none", speaker="none"))
        else:
            await tx.conn.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    changes = [put("a"), spoil, put("b")]
    results = await asyncio.gather(*(store.writer.write(change, lane=Lane.HEALTH) for change in changes), return_exceptions=True)
    assert [type(result) for result in results] == [StorageFailed] * 3
    assert store.writer.failures == 1
    assert await names(store) == set()
    assert await subjects(store) == []
    await store.writer.write(put("c"), lane=Lane.HEALTH)
    assert await subjects(store) == ["c"]
    assert store.events.latest == 1


async def test_on_a_full_disk_what_is_acknowledged_is_what_is_stored(sqlite_url: str, clock) -> None:
    async with Store.open(sqlite_url, clock=clock, key=KEY) as store:
        writer = Running(store)

        def limit(pages: str) -> Callable[[Tx], Awaitable[None]]:
            async def change(tx: Tx) -> None:
                now = await tx.conn.scalar(text("PRAGMA page_count"))
                await tx.conn.exec_driver_sql(f"PRAGMA max_page_count = {pages.format(now=now)}")

            return change

        def large(name: str) -> Callable[[Tx], Awaitable[str]]:
            async def change(tx: Tx) -> str:
                await tx.conn.execute(insert(zones).values(id=name, name="x" * 20_000))
                return name

            return change

        await store.writer.write(limit("{now}"), lane=Lane.STOP)
        changes = [put("a"), large("b"), put("c"), large("d"), put("e")]
        results = await asyncio.gather(*(store.writer.write(change, lane=Lane.HEALTH) for change in changes), return_exceptions=True)
        assert {type(result) for result in results} <= {str, StorageFailed}
        assert StorageFailed in {type(result) for result in results}
        assert await names(store) == {result for result in results if isinstance(result, str)}
        await store.writer.write(limit("1000000"), lane=Lane.STOP)
        assert await store.writer.write(large("f"), lane=Lane.HEALTH) == "f"
        await writer.stop()


async def test_a_caller_that_leaves_before_its_turn_leaves_nothing(idle: Store) -> None:
    waiting = [asyncio.ensure_future(idle.writer.write(put(f"z{number}"), lane=Lane.HEALTH)) for number in range(3)]
    await settle()
    waiting[1].cancel()
    writer = Running(idle)
    assert await asyncio.gather(waiting[0], waiting[2]) == ["z0", "z2"]
    await writer.stop()
    assert await names(idle) == {"z0", "z2"}


async def test_a_caller_that_leaves_during_its_turn_harms_no_other(store: Store) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow(tx: Tx) -> None:
        begun.set()
        await go.wait()
        await put("slow")(tx)

    first = asyncio.ensure_future(store.writer.write(slow, lane=Lane.STOP))
    await begun.wait()
    first.cancel()
    second = asyncio.ensure_future(store.writer.write(put("second"), lane=Lane.STOP))
    await settle()
    assert first.cancelled()
    go.set()
    assert await second == "second"
    assert await names(store) == {"slow", "second"}


async def test_a_shutdown_commits_what_was_accepted(idle: Store) -> None:
    writer = Running(idle)
    waiting = [asyncio.ensure_future(idle.writer.write(put(f"z{number}"), lane=Lane.HEALTH)) for number in range(3 * GROUP)]
    await settle()
    await writer.stop()
    assert len(await asyncio.gather(*waiting)) == 3 * GROUP
    assert len(await names(idle)) == 3 * GROUP
    with pytest.raises(StorageFailed, match="closing"):
        await idle.writer.write(put("late"), lane=Lane.STOP)


async def test_a_writer_that_was_stopped_can_be_started_again(idle: Store) -> None:
    await Running(idle).stop()
    writer = Running(idle)
    await settle()
    assert await idle.writer.write(put("a"), lane=Lane.STOP) == "a"
    await writer.stop()


async def test_a_change_that_waits_for_ever_is_given_up(store: Store) -> None:
    async def too_slow(tx: Tx) -> None:
        await put("slow")(tx)
        raise TimeoutError

    results = await asyncio.gather(
        store.writer.write(too_slow, lane=Lane.HEALTH), store.writer.write(put("a"), lane=Lane.HEALTH), return_exceptions=True
    )
    assert isinstance(results[0], StorageFailed)
    assert await names(store) == {"a"}


async def test_text_that_the_store_cannot_hold_is_the_callers_fault_and_is_not_repeated(store: Store) -> None:
    with pytest.raises(InvalidInput) as caught:
        await store.writer.write(put("hunter2 \ud800"), lane=Lane.HEALTH)
    assert "hunter2" not in str(caught.value)
    assert await names(store) == set()
