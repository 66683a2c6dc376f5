"""How clocks were: runs that go on, those around a window, how many and how long they are kept, on both stores."""

from datetime import UTC, datetime, timedelta

from gateway.clock import SimulatedClock
from gateway.domain.devices import DeviceId
from gateway.domain.footage import ClockRun, Period
from gateway.storage import clocks
from gateway.storage.retention import Housekeeper, Keep
from gateway.storage.store import Store
from gateway.storage.writer import Lane

NVR = DeviceId("nvr-1")
DAY = timedelta(days=1)
START = datetime(2026, 9, 1, tzinfo=UTC)


def run(day: float, length: float, offset_s: float) -> ClockRun:
    return ClockRun(START + day * DAY, START + (day + length) * DAY, timedelta(seconds=offset_s))


async def put(store: Store, *runs: ClockRun) -> None:
    for one in runs:
        await store.writer.write(lambda tx, one=one: tx.clocks.put(NVR, one), lane=Lane.HEALTH)


async def test_a_run_goes_on_and_a_window_gets_those_around_it(store: Store) -> None:
    fast, right, slow = run(0, 2, 420.5), run(3, 1, 0.25), run(6, 1, -60)
    await put(store, run(0, 1, 420.5), fast, right, slow)
    async with store.read() as tx:
        assert await tx.clocks.newest() == {NVR: slow}
        assert await tx.clocks.around(NVR, Period(START + 0.5 * DAY, START + DAY)) == (fast, right)
        assert await tx.clocks.around(NVR, Period(START + DAY, START + 3.5 * DAY)) == (fast, right, slow)
        assert await tx.clocks.around(NVR, Period(START - DAY, START)) == (fast,)
        assert await tx.clocks.around(DeviceId("nvr-2"), Period(START, START + DAY)) == ()


async def test_a_clock_that_jumps_all_the_time_and_one_of_long_ago_do_not_fill_the_store(store: Store, clock: SimulatedClock) -> None:
    await put(store, *(run(day, 0.5, day) for day in range(clocks.RUNS_MOST + 3)))
    everything = Period(START - DAY, START + 1_000 * DAY)
    async with store.read() as tx:
        kept = await tx.clocks.around(NVR, everything)
    assert [one.offset.total_seconds() for one in kept] == [*range(3, clocks.RUNS_MOST + 3)]
    later = SimulatedClock(START + (clocks.RUNS_MOST + 400) * DAY)
    await Housekeeper(store, clock=later, keep=Keep()).tidy()
    async with store.read() as tx:
        assert [one.offset.total_seconds() for one in await tx.clocks.around(NVR, everything)] == [200, 201, 202]
