import asyncio
import random
import statistics

from bench import lives


def test_a_daemon_that_is_killed_amid_broadcasts_says_of_each_what_was_heard_and_nothing_is_heard_twice() -> None:
    kills = 4
    found = asyncio.run(lives.kill(kills, random.Random(3), whole_starts=1))
    assert (found.duplicates, found.lied, found.unexplained, found.orphans) == (0, 0, 0, 0)
    assert found.words.total() == kills * lives.AT_ONCE
    assert statistics.median(found.silent or [0.0]) < 0.3  # a single one tells of a core that somebody else had; none may have been heard
