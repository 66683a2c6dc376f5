"""How long a recorder is asked again that fails, and how long one that gets on with it all the same."""

import asyncio

import pytest

from gateway.clock import SimulatedClock
from gateway.errors import DeviceError, Unreachable
from gateway.footage.patience import patiently


class Fetching:
    """Fails so many times, and has one file more before each failure that `gets_on`."""

    def __init__(self, failures: int, *, gets_on: bool) -> None:
        self.failures, self.gets_on = failures, gets_on
        self.attempts = self.files = 0

    async def attempt(self) -> str:
        self.attempts += 1
        if self.attempts > self.failures:
            return "whole"
        self.files += self.gets_on
        raise Unreachable("cut off")


async def ended(fetching: Fetching) -> str:
    clock = SimulatedClock()
    task = asyncio.create_task(patiently(fetching.attempt, clock, done=lambda: fetching.files))
    while not task.done():
        await clock.advance(5)
    return await task


async def test_three_failures_without_any_progress_are_the_end() -> None:
    assert await ended(Fetching(2, gets_on=False)) == "whole"
    fetching = Fetching(3, gets_on=False)
    with pytest.raises(DeviceError):
        await ended(fetching)
    assert fetching.attempts == 3


async def test_one_that_gets_on_between_its_failures_is_asked_until_it_is_done_but_not_for_ever() -> None:
    assert await ended(Fetching(20, gets_on=True)) == "whole"
    fetching = Fetching(1_000, gets_on=True)
    with pytest.raises(DeviceError):
        await ended(fetching)
    assert fetching.attempts == 100
