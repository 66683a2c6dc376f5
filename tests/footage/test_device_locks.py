"""What a device locks itself for a hold, and when the lock is taken off."""

import asyncio
from datetime import timedelta

from gateway.domain.holds import KeepState
from gateway.drivers.base import Span
from tests.footage.desk import NOW, WANG, ZHAO
from tests.footage.held import DAY, MINUTE, Bench, Lock, camera_of, order
from tests.waiting import until


async def test_a_devices_own_lock_is_used_where_it_has_one_and_taken_off_at_the_end(bench: Bench) -> None:
    bench.lock = Lock()
    placed = await bench.desk.place(order(camera_of(bench.where), everything=False, expires_at=NOW + 60 * DAY), by=WANG)
    folder = await bench.settled(placed.hold.id)
    assert [(keep.state, keep.locked) for keep in folder.keeps] == [(KeepState.SAFE, True)]
    await bench.desk.release(placed.hold.id, by=WANG, note="结案")
    await until(lambda: bench.lock.unlocked, wanted=lambda done: done == bench.lock.locked)


async def test_a_devices_lock_stays_while_another_hold_covers_some_of_what_it_locks(bench: Bench) -> None:
    bench.lock, camera = Lock(), camera_of(bench.where)
    wanted = {"everything": False, "expires_at": NOW + 60 * DAY}
    one = await bench.desk.place(order(camera, length=2 * MINUTE, **wanted), by=WANG)
    two = await bench.desk.place(order(camera, ago=timedelta(minutes=59), length=2 * MINUTE, **wanted), by=WANG)
    far = await bench.desk.place(order(camera, ago=timedelta(hours=9), **wanted), by=WANG)
    spans = {}
    for placed in (one, two, far):
        (keep,) = (await bench.settled(placed.hold.id)).keeps
        assert keep.locked
        period = keep.device_period(placed.hold.window)
        spans[placed.hold.id] = (keep.recording, Span(period.start, period.end))
    await bench.desk.release(one.hold.id, by=WANG, note="结案")
    await bench.desk.release(far.hold.id, by=WANG, note="结案")
    await until(lambda: bench.lock.unlocked)
    assert bench.lock.unlocked == [spans[far.hold.id]]
    await bench.desk.release(two.hold.id, by=WANG, note="结案")
    await until(lambda: len(bench.lock.unlocked) >= 3)
    assert {span.start for _, span in bench.lock.unlocked} == {span.start for _, span in spans.values()}


async def test_a_hold_that_is_placed_while_a_lock_is_taken_off_locks_after_that(bench: Bench) -> None:
    bench.lock, camera = Lock(), camera_of(bench.where)
    wanted = {"everything": False, "expires_at": NOW + 60 * DAY}
    one = await bench.desk.place(order(camera, **wanted), by=WANG)
    await bench.settled(one.hold.id)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> None:
        begun.set()
        await go_on.wait()

    bench.lock.unlocking = slowly
    await bench.desk.release(one.hold.id, by=WANG, note="结案")
    await begun.wait()
    two = await bench.desk.place(order(camera, **wanted), by=ZHAO)
    securing = asyncio.create_task(bench.securing._secure(two.hold, two.keeps[0]))
    await until(lambda: bench.securing._locking[two.keeps[0].device]._waiters)
    assert len(bench.lock.locked) == 1
    go_on.set()
    await securing
    assert len(bench.lock.locked) >= 2
    assert (await bench.settled(two.hold.id)).keeps[0].locked
