"""Random schedules in front of the real service, journal and store: a few of those that `./gw bench schedules` acts out."""

import pytest

from bench import schedules, virtual


@pytest.mark.parametrize(
    ("first", "count"),
    [
        (0, 20),
        (52, 1),  # hangs one that is known by its hardware elsewhere, between two health checks
    ],
)
def test_nothing_is_heard_twice_late_elsewhere_or_after_a_stop_and_all_comes_to_an_end(first: int, count: int) -> None:
    told = virtual.run(lambda loop: schedules.act_out(first, count, loop))
    assert told["faults"] == []
    assert sum(told["states"].values()) > 0
