from datetime import UTC, datetime, timedelta

from gateway.domain.footage import Period
from gateway.footage.progress import Gauge, Progress

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
STRETCH = Period(START, START + 10 * MINUTE)


def test_the_time_left_is_that_of_the_speed_measured() -> None:
    gauge = Gauge(10 * MINUTE, timedelta(0), 0)
    for second in range(5):
        gauge.heed(STRETCH, START + second * timedelta(seconds=30), second * 1_000_000, float(second))
    assert gauge.read() == Progress(2 * MINUTE, 10 * MINUTE, 4_000_000, 1_000_000.0, 16.0)


def test_nothing_is_foretold_before_it_was_measured_or_while_nothing_moves() -> None:
    gauge = Gauge(10 * MINUTE, MINUTE, 500)
    assert gauge.read() == Progress(MINUTE, 10 * MINUTE, 500)
    for second in range(5):
        gauge.heed(STRETCH, START, 0, float(second))
    assert gauge.read().left_s is None


def test_a_resumed_stretch_counts_on_and_no_device_makes_more_than_the_whole() -> None:
    gauge = Gauge(10 * MINUTE, timedelta(0), 0)
    gauge.begin(8 * MINUTE, 1_000)
    gauge.heed(Period(START + 8 * MINUTE, STRETCH.end), START + 9 * MINUTE, 100, 0.0)
    assert gauge.read().done == 9 * MINUTE
    gauge.heed(Period(START + 8 * MINUTE, STRETCH.end), START + 900 * MINUTE, 200, 1.0)
    assert gauge.read() == Progress(10 * MINUTE, 10 * MINUTE, 1_200)
