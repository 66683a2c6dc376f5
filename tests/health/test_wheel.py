"""The wheel under a simulated clock: it spreads, bounds, backs off, and knows when it lags."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.clock import SimulatedClock
from gateway.health.wheel import RUMOUR, Pace, Wheel

EVEN = Pace(interval_s=30, first_round_s=30, tick_s=0.1)
GROUPLESS = dict.fromkeys(range(300))


class Machine(SimulatedClock):
    """A clock of a machine that can be held up: time goes by and nobody wakes."""

    held_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.held_s


class Street:
    """Devices that answer or not, each after a while, and a note of every visit."""

    def __init__(self, clock: SimulatedClock, *, takes_s: float = 0.0) -> None:
        self._clock = clock
        self._takes_s = takes_s
        self.silent: set[int] = set()
        self.visits: list[tuple[float, int]] = []
        self.present: Counter[int] = Counter()
        self.most_at_once = 0

    async def visit(self, key: int) -> bool:
        self.visits.append((self._clock.monotonic(), key))
        self.present[key] += 1
        assert self.present[key] == 1, "one visit a device at a time"
        self.most_at_once = max(self.most_at_once, sum(self.present.values()))
        if self._takes_s:
            await self._clock.sleep(self._takes_s)
        self.present[key] -= 1
        return key not in self.silent

    def times(self, key: int) -> list[float]:
        return [at for at, visited in self.visits if visited == key]

    def within(self, begin: float, end: float) -> list[int]:
        return [key for at, key in self.visits if begin <= at < end]


@asynccontextmanager
async def turning(wheel: Wheel[int]) -> AsyncIterator[None]:
    task = asyncio.create_task(wheel.run())
    yield
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_every_device_is_visited_once_an_interval_and_the_visits_are_evenly_spread() -> None:
    clock = SimulatedClock()
    street = Street(clock)
    wheel = Wheel(street.visit, clock=clock, pace=EVEN)
    wheel.replace(GROUPLESS)
    async with turning(wheel):
        await clock.advance(90)
    assert {len(street.times(key)) for key in GROUPLESS} <= {2, 3}
    per_second = [len(street.within(second, second + 1)) for second in range(1, 89)]
    assert 8 <= min(per_second) <= max(per_second) <= 12
    assert all(29.5 <= later - earlier <= 30.5 for key in GROUPLESS for earlier, later in itertools.pairwise(street.times(key)))


async def test_the_first_round_is_faster_and_still_paced() -> None:
    clock = SimulatedClock()
    street = Street(clock)
    wheel = Wheel(street.visit, clock=clock, pace=Pace(interval_s=30, first_round_s=10, tick_s=0.1))
    wheel.replace(GROUPLESS)
    async with turning(wheel):
        await clock.advance(10.5)
        assert {key for _, key in street.visits} == set(GROUPLESS)
        assert max(len(street.within(tenth / 10, tenth / 10 + 0.1)) for tenth in range(105)) <= 6
        street.visits.clear()
        await clock.advance(10)
    assert 90 <= len(street.visits) <= 110


async def test_a_pause_is_not_made_up_for_in_a_burst_and_leaves_nobody_out() -> None:
    clock = Machine()
    street = Street(clock)
    wheel = Wheel(street.visit, clock=clock, pace=EVEN)
    wheel.replace(GROUPLESS)
    async with turning(wheel):
        await clock.advance(5)
        clock.held_s += 20
        street.visits.clear()
        await clock.advance(1)
        assert len(street.visits) <= 14
        await clock.advance(30)
    assert {key for _, key in street.visits} == set(GROUPLESS)


async def test_no_more_visits_are_under_way_than_there_are_slots() -> None:
    clock = SimulatedClock()
    street = Street(clock, takes_s=20)
    wheel = Wheel(street.visit, clock=clock, pace=Pace(interval_s=30, first_round_s=30, in_flight=40))
    wheel.replace(GROUPLESS)
    async with turning(wheel):
        await clock.advance(200)
        assert street.most_at_once == 40
        assert wheel.under_way == 40
    assert {key for _, key in street.visits} == set(GROUPLESS), "slower, and fair"


async def test_the_devices_behind_one_switch_are_visited_a_few_at_a_time_and_all_in_turn() -> None:
    clock = SimulatedClock()
    street = Street(clock, takes_s=2)
    wheel = Wheel(street.visit, clock=clock, pace=Pace(interval_s=10, first_round_s=1, per_group=3))
    wheel.replace(dict.fromkeys(range(12), "switch") | dict.fromkeys(range(100, 112)))
    most = 0
    async with turning(wheel):
        for _ in range(300):
            await clock.advance(0.1)
            most = max(most, sum(street.present[number] for number in range(12)))
    assert most == 3
    assert all(len(street.times(number)) >= 2 for number in range(12))
    assert max(street.times(number)[0] for number in range(100, 112)) < 2, "others do not wait for them"


async def test_a_loss_is_confirmed_soon_and_the_dead_are_visited_ever_more_rarely() -> None:
    clock = SimulatedClock()
    street = Street(clock)
    street.silent = {7}
    wheel = Wheel(street.visit, clock=clock, pace=EVEN)
    wheel.replace(GROUPLESS)
    async with turning(wheel):
        await clock.advance(1_500)
        pauses = [round(later - earlier) for earlier, later in itertools.pairwise(street.times(7))]
        assert pauses[:7] == [10, 10, 30, 60, 120, 240, 240]
        assert wheel.off_the_ring == 1
        street.silent = set()
        await clock.advance(240)
        back = street.times(7)[-1]
        await clock.advance(300)
    assert wheel.off_the_ring == 0
    assert len([at for at in street.times(7) if at > back]) >= 9


async def test_what_has_come_back_everywhere_is_noticed_everywhere_within_moments() -> None:
    clock = SimulatedClock()
    street = Street(clock)
    street.silent = set(range(300))
    wheel = Wheel(street.visit, clock=clock, pace=Pace(interval_s=30, first_round_s=30, tick_s=0.1, dead_s=240))
    wheel.replace(GROUPLESS)
    async with turning(wheel):
        await clock.advance(1_500)
        street.silent = set()
        street.visits.clear()
        await clock.advance(260)
    first = min(at for at, _ in street.visits)
    assert max(street.times(number)[0] for number in range(300)) - first < 5, "though each would have waited for four minutes"


async def test_one_that_comes_back_alone_costs_a_few_visits_to_the_other_dead() -> None:
    clock = SimulatedClock()
    street = Street(clock)
    street.silent = set(range(300))
    wheel = Wheel(street.visit, clock=clock, pace=Pace(interval_s=30, first_round_s=30, tick_s=0.1, dead_s=240))
    wheel.replace(GROUPLESS)
    async with turning(wheel):
        await clock.advance(1_500)
        usual = len(street.visits)
        street.silent -= {7}
        await clock.advance(240)
        assert wheel.off_the_ring == 299
        assert len(street.visits) - usual < 300 + 30 + RUMOUR, "each of the dead once, the one again and again, and those few"


async def test_a_visit_that_says_nothing_is_made_again_soon_and_counts_as_no_miss() -> None:
    clock = SimulatedClock()
    said: list[bool | None] = [True, None, None, True, False, None, True]
    visits: list[float] = []

    async def visit(_: int) -> bool | None:
        visits.append(clock.monotonic())
        return said.pop(0) if said else True

    wheel: Wheel[int] = Wheel(visit, clock=clock, pace=EVEN)
    wheel.replace({1: None})
    async with turning(wheel):
        await clock.advance(400)
    pauses = [round(later - earlier) for earlier, later in itertools.pairwise(visits)]
    assert pauses[1:3] == [10, 10]
    assert visits[4] - visits[0] == pytest.approx(60), "back on the ring"
    assert pauses[4:6] == [10, 10], "a miss is confirmed soon, whatever came between"
    assert wheel.off_the_ring == 0


async def test_devices_of_a_large_group_do_not_wait_for_each_other() -> None:
    clock = SimulatedClock()
    street = Street(clock, takes_s=5)
    wheel = Wheel(street.visit, clock=clock, pace=Pace(interval_s=30, first_round_s=30, per_group=8))
    wheel.replace({number: "aggregation" if number < 24 else f"pole-{number // 4}" for number in range(300)})
    async with turning(wheel):
        await clock.advance(150)
    for number in range(300):
        assert all(29.5 < later - earlier < 30.5 for earlier, later in itertools.pairwise(street.times(number)))


async def test_the_well_do_not_wait_for_those_that_are_suspected() -> None:
    clock = SimulatedClock()
    street = Street(clock, takes_s=5)
    wheel = Wheel(street.visit, clock=clock, pace=Pace(interval_s=30, first_round_s=30, in_flight=60))
    wheel.replace(GROUPLESS)
    async with turning(wheel):
        await clock.advance(60)
        street.silent = set(range(0, 300, 2))
        street.visits.clear()
        await clock.advance(90)
    late = [later - earlier - 30 for number in range(1, 300, 2) for earlier, later in itertools.pairwise(street.times(number))]
    assert max(late) < 0.5


async def test_power_that_is_back_is_noticed_at_once_by_everybody_behind_the_same_switches() -> None:
    clock = SimulatedClock()
    street = Street(clock)
    street.silent = set(range(1, 40))
    groups = {**GROUPLESS, **dict.fromkeys(range(2, 20), 1), **dict.fromkeys(range(20, 40), 2), 1: None}
    wheel = Wheel(street.visit, clock=clock, pace=EVEN)
    wheel.replace(groups)
    async with turning(wheel):
        await clock.advance(1_500)
        street.silent = set()
        street.visits.clear()
        await clock.advance(300)
        first = min(at for at, key in street.visits if 1 <= key < 40)
        for number in range(1, 40):
            assert street.times(number)[0] - first < 15, "not after its own pause of four minutes"
            assert street.times(number)[1] - street.times(number)[0] < 12, "and its return is confirmed soon"


async def test_a_district_without_power_takes_a_small_pool_of_slots_and_holds_up_nobody() -> None:
    clock = SimulatedClock()
    street = Street(clock, takes_s=5)
    street.silent = set(range(200))
    wheel = Wheel(street.visit, clock=clock, pace=Pace(interval_s=30, first_round_s=30, in_flight=60, dead_in_flight=4, suspect_s=5))
    wheel.replace(GROUPLESS)
    async with turning(wheel):
        await clock.advance(600)
        street.visits.clear()
        most = 0
        for _ in range(300):
            await clock.advance(1)
            most = max(most, sum(street.present[number] for number in street.silent))
    assert 1 <= most <= 4
    assert min(len(street.times(number)) for number in range(200, 300)) >= 8


async def test_being_held_up_is_noticed_at_once_and_remembered_for_visits_that_were_under_way() -> None:
    clock = Machine()
    wheel = Wheel(Street(clock).visit, clock=clock, pace=EVEN)
    wheel.replace(GROUPLESS)
    async with turning(wheel):
        await clock.advance(5)
        began = clock.monotonic()
        assert not wheel.lagged_since(began)
        clock.held_s += 2
        assert wheel.lagged_since(began), "before the next tick has had its turn"
        await clock.advance(1)
        assert wheel.lagged_since(began)
        assert not wheel.lagged_since(clock.monotonic())


async def test_a_new_inventory_keeps_what_is_known_and_drops_who_is_gone() -> None:
    clock = SimulatedClock()
    street = Street(clock)
    street.silent = {1, 2}
    wheel = Wheel(street.visit, clock=clock, pace=EVEN)
    wheel.replace(GROUPLESS)
    async with turning(wheel):
        await clock.advance(60)
        wheel.replace({1: None, 400: None})
        assert (wheel.misses(1) > 0, wheel.misses(2)) == (True, 0)
        street.visits.clear()
        await clock.advance(300)
    assert {key for _, key in street.visits} == {1, 400}


async def test_a_visit_that_raises_ends_the_wheel_visibly() -> None:
    clock = SimulatedClock()

    async def visit(_: int) -> bool:
        raise RuntimeError("a bug")

    wheel: Wheel[int] = Wheel(visit, clock=clock, pace=EVEN)
    wheel.replace(GROUPLESS)
    task = asyncio.create_task(wheel.run())
    await clock.advance(1)
    with pytest.raises(ExceptionGroup):
        await task


async def test_a_silence_that_somebody_else_met_is_confirmed_soon() -> None:
    clock = SimulatedClock()
    street = Street(clock)
    wheel = Wheel(street.visit, clock=clock, pace=EVEN)
    wheel.replace(GROUPLESS)
    async with turning(wheel):
        await clock.advance(31)
        street.silent.add(5)
        heard = clock.monotonic()
        wheel.heard(5, answered=False)
        wheel.heard(5, answered=False)
        wheel.heard(9_999, answered=False)
        wheel.heard(6, answered=True)
        assert wheel.misses(5) == 1
        await clock.advance(EVEN.suspect_s + 1)
        assert [round(at - heard) for at in street.times(5) if at > heard] == [round(EVEN.suspect_s)]
        assert wheel.misses(5) == 2
