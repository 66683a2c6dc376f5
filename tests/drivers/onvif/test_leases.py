"""The course of a subscription, as a table: it always goes on, never in haste, and never believes a lease that has run out."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.drivers.onvif import leases
from gateway.drivers.onvif.leases import Course, Do, Habits, Phase, Sign

HABITS = st.builds(
    Habits, renews=st.booleans(), synchronises=st.booleans(), renew_gap_s=st.sampled_from([0.0, 30.0, 500.0]), spread=st.floats(0, 1)
)
LEASES = st.one_of(st.none(), st.floats(0, 1e7))
SIGNS_OF = {
    Do.CREATE: [Sign.GRANTED, Sign.DENIED, Sign.UNABLE, Sign.SILENT],
    Do.PULL: [Sign.TOLD, Sign.QUIET, Sign.REFUSED, Sign.SILENT],
    Do.RENEW: [Sign.RENEWED, Sign.REFUSED, Sign.SILENT],
    Do.REPLACE: [Sign.REPLACED],
    Do.SYNCHRONISE: [Sign.ASKED, Sign.REFUSED, Sign.SILENT],
}


@given(st.data(), HABITS)
def test_every_step_is_followed_by_a_next_one_and_failing_is_never_in_haste(data: st.DataObject, habits: Habits) -> None:
    course, now = Course(), 0.0
    for _ in range(60):
        course = leases.aged(course, now)
        step, for_s = leases.next_step(course, habits, now)
        assert 0 <= for_s <= leases.LONGEST_UNABLE_S
        if step is Do.WAIT:
            now += for_s
            continue
        assert (step is Do.CREATE) == (course.phase is Phase.ABSENT)
        sign = data.draw(st.sampled_from(SIGNS_OF[step]))
        course = leases.after(course, sign, habits, now, lease_s=data.draw(LEASES))
        if sign in (Sign.DENIED, Sign.UNABLE, Sign.SILENT):
            assert course.not_before >= now + leases.BACKOFF_S
        now += data.draw(st.floats(0.01, 30))


@pytest.mark.parametrize(("phase", "sign"), [pair for pair in itertools.product(Phase, Sign) if pair not in leases.TABLE])
def test_a_sign_that_cannot_come_raises(phase: Phase, sign: Sign) -> None:
    with pytest.raises(ValueError, match="cannot come"):
        leases.after(Course(phase=phase), sign, Habits(), 0.0)


@given(st.floats(10, 86_000))
def test_a_lease_is_renewed_before_it_ends_and_not_at_once(lease_s: float) -> None:
    course = leases.after(Course(), Sign.GRANTED, Habits(), 100.0, lease_s=lease_s)

    assert leases.next_step(course, Habits(), 100.0)[0] is Do.PULL
    late = leases.aged(course, 100 + lease_s * 0.81)
    assert leases.next_step(late, Habits(), 100 + lease_s * 0.81)[0] is Do.RENEW
    assert leases.aged(course, 100 + lease_s).phase is Phase.ABSENT


def test_a_device_that_breaks_when_renewed_soon_is_subscribed_to_anew_instead() -> None:
    course = leases.after(Course(), Sign.GRANTED, Habits(), 0.0, lease_s=20.0)

    assert leases.next_step(course, Habits(renew_gap_s=30.0), 17.0)[0] is Do.REPLACE


def test_failures_are_waited_out_longer_each_time_up_to_a_bound() -> None:
    course, waits, now = Course(), [], 0.0
    for _ in range(10):
        course = leases.after(course, Sign.SILENT, Habits(), now)
        waits.append(course.not_before - now)
        now = course.not_before
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (leases.BACKOFF_S, leases.LONGEST_BACKOFF_S)
