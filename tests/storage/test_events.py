import asyncio
import random
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from gateway.domain.events import Event, NewEvent
from gateway.errors import InvalidInput
from gateway.storage import events
from gateway.storage.engine import open_engines, parse_url
from gateway.storage.events import RING, CursorAhead, CursorTooOld, EventLog
from gateway.storage.retention import Housekeeper, Keep
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane
from tests.conftest import running
from tests.waiting import until

AT = datetime(2026, 3, 1, 12, 30, 0, 250_000, tzinfo=UTC)


async def emit(store: Store, *subjects: str, at: datetime = AT) -> None:
    async def change(tx: Tx) -> None:
        for subject in subjects:
            tx.emit(NewEvent("test", subject, at))

    await store.writer.write(change, lane=Lane.HEALTH)


async def take(stream: AsyncIterator[Event], count: int) -> list[Event]:
    return [await anext(stream) for _ in range(count)]


async def test_an_event_comes_back_as_it_was_emitted(store: Store) -> None:
    data = {"名": "摄像机", "half": "\ud800", "nul": "\0", "big": 2**60, "float": 0.1, "none": None, "list": [1, {"a": True}]}

    async def change(tx: Tx) -> None:
        tx.emit(NewEvent("device.state", "cam-1", AT.astimezone(), data))

    await store.writer.write(change, lane=Lane.HEALTH)
    assert await store.events.read_after(0, limit=10) == [Event(1, "device.state", "cam-1", AT, data)]


@pytest.mark.parametrize(
    "event",
    [
        NewEvent("", "s", AT),
        NewEvent("t" * 101, "s", AT),
        NewEvent("t", "s" * 201, AT),
        NewEvent("t", "nul \0", AT),
        NewEvent("t", "half \ud800", AT),
        NewEvent("t", "s", AT.replace(tzinfo=None)),
        NewEvent("t", "s", AT, {"x": float("nan")}),
        NewEvent("t", "s", AT, {("a", "b"): 1}),
    ],
)
async def test_an_event_that_cannot_be_stored_fails_its_own_change_and_no_other(store: Store, event: NewEvent) -> None:
    async def bad(tx: Tx) -> None:
        tx.emit(event)

    results = await asyncio.gather(emit(store, "a"), store.writer.write(bad, lane=Lane.HEALTH), emit(store, "b"), return_exceptions=True)
    assert isinstance(results[1], InvalidInput)
    assert [event.subject for event in await store.events.read_after(0, limit=10)] == ["a", "b"]


async def test_a_reading_transaction_cannot_emit(store: Store) -> None:
    async with store.read() as tx:
        with pytest.raises(RuntimeError):
            tx.emit(NewEvent("t", "s", AT))


async def test_live_events_and_stored_events_are_the_same(store: Store) -> None:
    stream = store.events.follow(after=0)
    await emit(store, "a", "b")
    live = await take(stream, 2)
    assert live == await store.events.read_after(0, limit=10)
    assert store.events.latest == 2


async def test_following_from_now_skips_what_was_before(store: Store) -> None:
    await emit(store, "before")
    first = asyncio.ensure_future(anext(store.events.follow()))
    await until(first.done, meanwhile=lambda: emit(store, "after"))
    assert (await first).subject == "after"


async def test_a_reader_slower_than_the_ring_gets_everything_from_the_store(store: Store) -> None:
    stream = store.events.follow(after=0)
    await emit(store, "first")
    assert (await anext(stream)).subject == "first"
    for _ in range(5):
        await emit(store, *["more"] * 1_000)
    assert len(store.events._ring) == RING
    assert [event.cursor for event in await take(stream, 5_000)] == list(range(2, 5_002))


async def test_many_followers_each_get_every_event_once_and_in_order(store: Store) -> None:
    async def follower() -> list[int]:
        return [event.cursor for event in await take(store.events.follow(after=0), 60)]

    readers = [asyncio.ensure_future(follower()) for _ in range(20)]
    for number in range(60):
        await emit(store, str(number))
    for reader in readers:
        assert await reader == list(range(1, 61))


async def test_a_cursor_that_retention_has_passed_is_told_where_to_go_on(store: Store, clock) -> None:
    await emit(store, *"abcdef", at=clock.now())
    keeper = Housekeeper(store, clock=clock, keep=Keep(events_at_most=2))
    assert await keeper.tidy() == 4
    with pytest.raises(CursorTooOld) as caught:
        await store.events.read_after(3, limit=10)
    assert caught.value.oldest == 4
    assert [event.subject for event in await store.events.read_after(4, limit=10)] == ["e", "f"]


async def test_a_follower_that_retention_overtakes_is_told_so(store_url: str, clock) -> None:
    async with running(store_url, clock) as store:
        await emit(store, *"abcdef", at=clock.now())
        await Housekeeper(store, clock=clock, keep=Keep(events_at_most=2)).tidy()
    async with running(store_url, clock) as store:  # a new ring, empty
        with pytest.raises(CursorTooOld):
            await anext(store.events.follow(after=1))


async def test_a_cursor_of_another_log_is_refused_instead_of_waiting_for_ever(store: Store) -> None:
    await emit(store, "a")
    for reading in (store.events.read_after(7, limit=1), anext(store.events.follow(after=7))):
        with pytest.raises(CursorAhead):
            await reading


async def test_cursors_go_on_after_everything_was_dropped_and_the_store_reopened(store_url: str, clock) -> None:
    async with running(store_url, clock) as store:
        await emit(store, *"abc", at=clock.now())
        clock.step(timedelta(days=31))
        assert await Housekeeper(store, clock=clock, keep=Keep()).tidy() == 3
    async with running(store_url, clock) as store:
        assert store.events.latest == 3
        await emit(store, "d")
        assert [event.cursor for event in await store.events.read_after(3, limit=10)] == [4]


# -- the order of commits ---------------------------------------------------------------------------------------------


def _row(subject: str) -> dict[str, object]:
    return events.prepare(NewEvent("test", subject, AT))


async def test_a_transaction_that_began_first_and_commits_last_has_the_last_cursor(postgres_url: str) -> None:
    engine, other = open_engines(parse_url(postgres_url)).writing, open_engines(parse_url(postgres_url)).writing
    async with engine.connect() as slow, other.connect() as quick:
        begun = await slow.begin()
        await slow.execute(text("SELECT pg_current_xact_id()"))  # the older transaction, doing work of its own
        async with quick.begin():
            (committed_first,) = await events.append(quick, [_row("quick")])
        (committed_last,) = await events.append(slow, [_row("slow")])
        await begun.commit()
    await engine.dispose()
    await other.dispose()
    assert (committed_first.cursor, committed_last.cursor) == (1, 2)


async def test_cursors_wait_for_the_transaction_that_holds_the_ones_before(postgres_url: str) -> None:
    engine, other = open_engines(parse_url(postgres_url)).writing, open_engines(parse_url(postgres_url)).writing
    readers = open_engines(parse_url(postgres_url)).reading
    async with engine.connect() as first, other.connect() as second, readers.connect() as watcher:
        begun, later = await first.begin(), await second.begin()
        await events.append(first, [_row("a"), _row("b")])
        waiting = asyncio.ensure_future(events.append(second, [_row("c")]))
        while not await watcher.scalar(
            text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")
        ):
            await watcher.rollback()
        assert not waiting.done()
        await begun.rollback()  # its cursors are free again: no gap
        assert [event.cursor for event in await waiting] == [1]
        await later.commit()
    for each in (engine, other, readers):
        await each.dispose()


WRITER_PROCESS = """
import asyncio, random, sys
from datetime import UTC, datetime
from gateway.clock import SystemClock
from gateway.domain.events import NewEvent
from gateway.storage.store import Store
from gateway.storage.writer import Lane

async def main(url, count):
    async with Store.open(url, clock=SystemClock(), key=bytes(range(32)), chain="other") as store:
        writer = asyncio.create_task(store.writer.run())
        print("ready", flush=True)
        sys.stdin.readline()
        dice = random.Random(7)
        async def one(number):
            await asyncio.sleep(dice.random() / 5)
            async def change(tx):
                tx.emit(NewEvent("test", f"other-{number}", datetime.now(UTC)))
            await store.writer.write(change, lane=dice.choice(list(Lane)))
        await asyncio.gather(*map(one, range(count)))
        writer.cancel()

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


async def test_two_processes_write_and_a_reader_never_sees_a_gap(store_url: str, clock) -> None:
    count = 150
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER_PROCESS, store_url, str(count), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    async with running(store_url, clock) as store, running(store_url, clock, chain="third") as third:
        follower = asyncio.ensure_future(_collect(store, 3 * count))
        watcher = asyncio.ensure_future(_watch(store.events, 3 * count))
        process.stdin.write(b"\n")
        dice = random.Random(3)

        async def one(number: int) -> None:
            await asyncio.sleep(dice.random() / 5)
            await emit(dice.choice([store, third]), f"ours-{number}")

        await asyncio.gather(*map(one, range(2 * count)))
        async with asyncio.timeout(60):
            followed, watched = await follower, await watcher
        assert await process.wait() == 0
    assert watched == list(range(1, 3 * count + 1))
    assert [event.cursor for event in followed] == watched
    assert {event.subject for event in followed} == {f"ours-{n}" for n in range(2 * count)} | {f"other-{n}" for n in range(count)}


async def _collect(store: Store, count: int) -> list[Event]:
    return await take(store.events.follow(after=0), count)


async def _watch(log: EventLog, count: int) -> list[int]:
    """Read on from the last cursor seen, as fast as can be: were a smaller cursor to be committed later, it would be missing."""
    seen = [0]
    while len(seen) <= count:
        seen += [event.cursor for event in await log.read_after(seen[-1], limit=1_000)]
    return seen[1:]
