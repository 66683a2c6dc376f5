"""A device that answers much more slowly than it uses to is under strain; one that is always slow, or silent, is not."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.devices import DeviceId
from gateway.domain.health import CheckResult, Outcome
from gateway.health.latency import Latencies

NVR = DeviceId("NVR-1")
NOW = datetime(2026, 11, 20, tzinfo=UTC)


def answered(took_ms: float, *, check: str = "reach", outcome: Outcome = Outcome.OK) -> list[CheckResult]:
    return [CheckResult(NVR, check, outcome, NOW, took_ms=took_ms)]


@pytest.fixture
def latencies() -> Latencies:
    """Of a recorder that uses to answer within 100 ms."""
    made = Latencies()
    for _ in range(20):
        made.note(NVR, answered(100))
    return made


def test_slow_is_four_times_its_habit_until_it_answers_as_before(latencies: Latencies) -> None:
    assert not latencies.slowed(NVR)
    latencies.note(NVR, answered(390))
    assert not latencies.slowed(NVR)
    latencies.note(NVR, answered(900, outcome=Outcome.WARN))
    assert latencies.slowed(NVR)
    latencies.note(NVR, answered(120))
    assert not latencies.slowed(NVR)


def test_ten_slow_answers_do_not_become_its_habit_at_once(latencies: Latencies) -> None:
    for _ in range(10):
        latencies.note(NVR, answered(1_500))
    assert latencies.slowed(NVR)


def test_silence_and_other_checks_say_nothing(latencies: Latencies) -> None:
    latencies.note(NVR, answered(5_000, outcome=Outcome.FAIL))
    latencies.note(NVR, answered(5_000, check="media"))
    assert not latencies.slowed(NVR)
    assert not latencies.slowed(DeviceId("NVR-2"))


def test_who_is_forgotten_begins_anew(latencies: Latencies) -> None:
    latencies.note(NVR, answered(900))
    latencies.forget(NVR)
    assert not latencies.slowed(NVR)
    latencies.note(NVR, answered(900))
    assert not latencies.slowed(NVR)


@given(st.lists(st.floats(0, 300), max_size=30))
def test_what_is_quick_is_never_called_slow(took_ms: list[float]) -> None:
    made = Latencies()
    for each in took_ms:
        made.note(NVR, answered(each))
        assert not made.slowed(NVR)
