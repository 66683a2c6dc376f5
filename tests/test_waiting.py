"""Waiting says what it waited for, and ends."""

import pytest

from tests.waiting import until


async def test_it_gives_what_it_found_and_does_something_meanwhile() -> None:
    steps: list[int] = []
    assert await until(lambda: steps[2:], meanwhile=lambda: steps.append(1)) == [1]
    assert len(steps) == 3


async def test_it_awaits_what_is_awaitable() -> None:
    steps: list[int] = []

    async def step() -> None:
        steps.append(1)

    async def enough() -> bool:
        return len(steps) == 2

    assert await until(enough, meanwhile=step)


async def test_it_goes_on_until_it_has_found_what_is_wanted() -> None:
    steps = [3, 1, 2]
    assert await until(steps.pop, wanted=lambda step: step == 3) == 3


async def test_what_does_not_come_is_an_assertion_that_names_it() -> None:
    never = False
    with pytest.raises(AssertionError, match=r"not within 0\.05 s: .*lambda: never.*; at last False"):
        await until(lambda: never, within_s=0.05)


async def test_a_time_out_of_its_own_goes_through_as_it_is() -> None:
    async def fails() -> bool:
        raise TimeoutError("of the other side")

    with pytest.raises(TimeoutError, match="of the other side"):
        await until(fails)
