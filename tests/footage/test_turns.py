"""Whose turn it is to have a recorder replay something: few in all, one recorder's load by what it bears, idle recorders first."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.devices import DeviceId
from gateway.footage.turns import Claim, Rank, Turns, claim_on

ONE, OTHER = DeviceId("NVR-1"), DeviceId("NVR-2")
NOW = datetime(2026, 9, 21, 14, 0, tzinfo=UTC)
ORDINARY, EMERGENCY = Claim(Rank.ORDINARY, NOW), Claim(Rank.EMERGENCY, NOW)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def waits(turns: Turns, recorder: DeviceId, stack: AsyncExitStack) -> bool:
    """Whether one more has to wait now; it goes in when it has not."""
    task = asyncio.create_task(stack.enter_async_context(turns.turn(recorder, ORDINARY)))
    await settle()
    waiting = not task.done()
    task.cancel()
    await settle()
    return waiting


async def test_a_recorder_begins_with_one_and_bears_more_after_each_that_went_well() -> None:
    turns = Turns(2)
    async with AsyncExitStack() as stack:
        assert not await waits(turns, ONE, stack)
        assert await waits(turns, ONE, stack)
        turns.went_well(ONE)
        assert not await waits(turns, ONE, stack)
        assert await waits(turns, OTHER, stack)  # two in all


async def test_a_busy_or_ailing_recorder_is_asked_for_one_at_a_time_again() -> None:
    ill: set[DeviceId] = set()
    turns = Turns(4, ailing=lambda recorder: recorder in ill)
    for _ in range(5):
        turns.went_well(ONE)
    assert turns.allowed(ONE) == 4
    ill.add(ONE)
    assert turns.allowed(ONE) == 1
    ill.clear()
    turns.held_up(ONE)
    assert turns.allowed(ONE) == 2
    turns.held_up(ONE)
    turns.held_up(ONE)
    assert turns.allowed(ONE) == 1


async def test_who_waits_for_an_idle_recorder_goes_before_a_second_of_another() -> None:
    turns = Turns(2)
    turns.went_well(ONE)
    order: list[DeviceId] = []

    async def go(recorder: DeviceId) -> None:
        async with turns.turn(recorder, ORDINARY):
            order.append(recorder)

    async with AsyncExitStack() as first:
        await first.enter_async_context(turns.turn(ONE, ORDINARY))
        async with AsyncExitStack() as second:
            await second.enter_async_context(turns.turn(OTHER, ORDINARY))
            later = [asyncio.create_task(go(recorder)) for recorder in (ONE, DeviceId("NVR-3"))]
            await settle()
        await asyncio.gather(*later)
    assert order == ["NVR-3", ONE]


async def in_order(turns: Turns, claims: dict[str, Claim]) -> list[str]:
    """In which order those who all wait for one recorder have their turns."""
    order: list[str] = []

    async def go(name: str, claim: Claim) -> None:
        async with turns.turn(ONE, claim):
            order.append(name)
            await settle()

    async with asyncio.TaskGroup() as group, turns.turn(ONE, ORDINARY):
        for name, claim in claims.items():
            group.create_task(go(name, claim))
        await settle()
    return order


async def test_who_is_more_urgent_goes_first_and_of_holds_the_one_that_is_lost_first() -> None:
    claims = {f"ordinary {number}": Claim(Rank.ORDINARY, NOW + number * timedelta(hours=1)) for number in range(2)}
    claims |= {f"hold for {hours} h": claim_on(NOW + timedelta(hours=hours), now=NOW) for hours in (50, 5, 1)}
    claims |= {"urgent": Claim(Rank.URGENT, NOW), "emergency": EMERGENCY}
    told = await in_order(Turns(2), claims)
    assert told == ["emergency", "hold for 1 h", "hold for 5 h", "urgent", "ordinary 0", "hold for 50 h", "ordinary 1"]


async def test_nobody_is_passed_over_for_ever() -> None:
    claims = {"ordinary": ORDINARY} | {f"emergency {number}": EMERGENCY for number in range(9)}
    assert (await in_order(Turns(2), claims)).index("ordinary") == 4


async def test_one_emergency_more_than_all_turns_goes_ahead_and_no_second_one() -> None:
    turns = Turns(1)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(turns.turn(ONE, ORDINARY))
        async with asyncio.timeout(60):
            await stack.enter_async_context(turns.turn(OTHER, EMERGENCY))
        third = asyncio.create_task(stack.enter_async_context(turns.turn(DeviceId("NVR-3"), EMERGENCY)))
        await settle()
        assert not third.done()
        third.cancel()
        await settle()


async def test_a_turn_is_wanted_while_somebody_more_urgent_waits_for_it() -> None:
    turns = Turns(1)
    async with turns.turn(ONE, ORDINARY) as wanted:
        told = []
        for claim in (ORDINARY, claim_on(NOW, now=NOW)):
            waiting = asyncio.create_task(in_turn(turns, OTHER, claim))
            await settle()
            told.append(wanted())
            waiting.cancel()
            await settle()
        assert told == [False, True]
        assert not wanted()


async def in_turn(turns: Turns, recorder: DeviceId, claim: Claim) -> None:
    async with turns.turn(recorder, claim):
        pass


@given(st.integers(0, 10_000), st.integers(1, 4))
def test_bounds_hold_and_nobody_waits_for_ever_whatever_happens(seed: int, in_all: int) -> None:
    asyncio.run(_storm(Random(seed), in_all))


async def _storm(chance: Random, in_all: int) -> None:
    turns, running, most = Turns(in_all), Counter[DeviceId](), [0]

    async def work(recorder: DeviceId) -> None:
        async with turns.turn(recorder, Claim(chance.choice(tuple(Rank)), NOW)):
            running[recorder] += 1
            most.append(running.total())
            try:
                for _ in range(chance.randrange(3)):
                    await asyncio.sleep(0)
            finally:
                running[recorder] -= 1
            chance.choice((turns.went_well, turns.held_up))(recorder)

    tasks = [asyncio.create_task(work(DeviceId(f"NVR-{chance.randrange(3)}"))) for _ in range(12)]
    for task in chance.sample(tasks, 3):
        await asyncio.sleep(0)
        task.cancel()
    async with asyncio.timeout(60):
        await asyncio.gather(*tasks, return_exceptions=True)
    assert (running.total(), max(most) <= in_all + 1) == (0, True)
    async with asyncio.timeout(60), AsyncExitStack() as stack:  # every turn was given back
        for number in range(in_all):
            await stack.enter_async_context(turns.turn(DeviceId(f"fresh-{number}"), ORDINARY))
