"""The footage desk is killed in the middle of an export, as `./gw bench killed` does a hundred times."""

import random

from bench import killed


async def test_kills_lose_nothing_and_cost_one_file_each() -> None:
    found = await killed.kill(3, random.Random(11), segments=3)
    assert found.kills == 3
    assert found.states == {"ready"}
    assert (found.lost, found.differ) == (0, 0)
    assert len(found.refetched) == 3
    assert max(found.refetched) < 1.02  # the header of the next one may be there
