import os

from tests.storage.crash import rounds

ROUNDS = int(os.environ.get("KILL_ROUNDS", "3"))


async def test_a_killed_writer_loses_nothing_that_it_acknowledged(store_url: str) -> None:
    tally = await rounds(store_url, ROUNDS)
    assert tally.acknowledged >= 20 * ROUNDS
    assert (tally.lost, tally.broken) == (0, 0)
