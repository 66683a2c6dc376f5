"""When a device has restarted, by what it tells of how long it runs: over wraps, agents' restarts, gaps and nonsense."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.restarts import TICKS, Uptimes, boots_stuck, restarted

DAY = 86_400
HOURS = st.floats(1, 200 * 3_600)


@given(at=st.integers(0, TICKS - 1), elapsed_s=HOURS)
def test_an_uptime_that_runs_on_is_never_a_restart_wherever_it_wraps(at: int, elapsed_s: float) -> None:
    after = Uptimes(agent=int(at + elapsed_s * 100) % TICKS)
    assert not restarted(Uptimes(agent=at), after, elapsed_s=elapsed_s)


@given(up_s=st.floats(3_600, 400 * DAY), elapsed_s=st.floats(30, 200 * 3_600), share=st.floats(0, 0.9))
def test_a_device_that_started_since_the_last_visit_is_told(up_s: float, elapsed_s: float, share: float) -> None:
    before, after = Uptimes(agent=int(up_s * 100)), Uptimes(agent=int(share * (elapsed_s - 25) * 100) if elapsed_s > 30 else 0)
    assert restarted(before, after, elapsed_s=elapsed_s)


@given(st.integers(0, TICKS - 1), HOURS)
def test_an_uptime_that_stands_still_is_none(at: int, elapsed_s: float) -> None:
    assert not restarted(Uptimes(agent=at), Uptimes(agent=at), elapsed_s=elapsed_s)


def test_a_device_that_was_away_longer_than_it_runs_has_restarted_although_its_uptime_grew() -> None:
    assert restarted(Uptimes(agent=6_000), Uptimes(agent=20_000), elapsed_s=3_600)


def test_the_device_s_own_uptime_decides_against_its_agent_s() -> None:
    assert not restarted(Uptimes(agent=90_000, host=10**8), Uptimes(agent=100, host=10**8 + 6_000), elapsed_s=60)
    assert restarted(Uptimes(agent=90_000, host=10**8), Uptimes(agent=96_000, host=100), elapsed_s=60)


def test_an_engine_that_ran_on_excuses_a_sysuptime_that_began_anew() -> None:
    before = Uptimes(agent=90_000, engine_s=900)
    assert not restarted(before, Uptimes(agent=100, engine_s=960), elapsed_s=60)
    assert restarted(before, Uptimes(agent=100, engine_s=1), elapsed_s=60)
    assert restarted(before, Uptimes(agent=100, engine_s=-42_948_000), elapsed_s=60)


def test_what_tells_nothing_never_restarts() -> None:
    assert not restarted(Uptimes(), Uptimes(), elapsed_s=60)
    assert not restarted(Uptimes(agent=90_000), Uptimes(), elapsed_s=60)


def test_boots_are_stuck_when_the_time_began_anew_without_them() -> None:
    before = Uptimes(agent=90_000, engine_s=900, boots=4)
    assert boots_stuck(before, Uptimes(agent=100, engine_s=1, boots=4), elapsed_s=60)
    assert not boots_stuck(before, Uptimes(agent=100, engine_s=1, boots=5), elapsed_s=60)
    assert not boots_stuck(before, Uptimes(agent=96_000, engine_s=960, boots=4), elapsed_s=60)
    assert not boots_stuck(before, Uptimes(agent=100, engine_s=-5, boots=4), elapsed_s=60)
