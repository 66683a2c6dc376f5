"""Holds: the table of what may happen to one, who has to keep what, what is safe, what became of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.coverage import Basis, Countdown, Coverage, Holding, Source, Told
from gateway.domain.devices import DeviceId
from gateway.domain.events import SYSTEM, Person
from gateway.domain.footage import Period
from gateway.domain.holds import (
    TRANSITIONS,
    Hold,
    HoldAct,
    HoldId,
    HoldState,
    Keep,
    KeepState,
    acted,
    expected_bytes,
    is_safe,
    keeps,
    settled,
    urgency,
)
from gateway.errors import Conflict

START = datetime(2026, 9, 1, tzinfo=UTC)
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
ME = Person(SYSTEM, "me")
CAMERA, RECORDER = DeviceId("c"), DeviceId("r")


def period(start: float, end: float) -> Period:
    return Period(START + start * SECOND, START + end * SECOND)


WINDOW = period(0, 100)
HOLD = Hold(HoldId("h"), ME, "why", (CAMERA,), WINDOW, START + DAY, START + 8 * DAY)


def holding(
    device: DeviceId, *periods: tuple[float, float], told: Told = Told.HISTORY, at: datetime | None = None, **more: object
) -> Holding:
    countdown = Countdown(Basis.RETENTION, at) if at else Countdown(Basis.UNKNOWN)
    return Holding(device, Source.RECORDER, "R", told, recorded=tuple(period(*one) for one in periods), countdown=countdown, **more)


@given(st.lists(st.tuples(st.sampled_from(list(HoldAct)), st.integers(-10, 30)), max_size=12))
def test_a_hold_that_has_ended_stays_ended_and_one_that_holds_never_ends_by_itself_before_its_time(acts: list[tuple[HoldAct, int]]) -> None:
    hold, now = HOLD, START + DAY
    for act, days in acts:
        now += SECOND
        before = hold
        try:
            hold = acted(hold, act, by=ME, at=now, until=START + days * DAY)
        except Conflict:
            assert hold == before
            continue
        assert TRANSITIONS[before.state, act] is hold.state
        assert before.state is HoldState.ACTIVE
        assert hold.expires_at >= before.expires_at
        assert (hold.ended_at is None) == (hold.state is HoldState.ACTIVE)
        if act is HoldAct.EXPIRE:
            assert now >= before.expires_at


def test_a_card_is_needed_only_for_what_the_recorder_lacks() -> None:
    found = keeps(HOLD, Coverage(CAMERA, WINDOW, (holding(RECORDER, (0, 40), (60, 100)), holding(CAMERA, (30, 80)))))
    assert [(keep.device, keep.needed) for keep in found] == [(RECORDER, (period(0, 40), period(60, 100))), (CAMERA, (period(40, 60),))]
    assert [keep.device for keep in keeps(HOLD, Coverage(CAMERA, WINDOW, (holding(RECORDER, (0, 100)), holding(CAMERA, (30, 80)))))] == [
        RECORDER
    ]


def test_who_does_not_answer_is_asked_again_and_who_hides_its_recordings_is_replayed() -> None:
    silent = holding(RECORDER, told=Told.NOTHING, reason="timeout")
    (keep,) = keeps(HOLD, Coverage(CAMERA, WINDOW, (silent,)))
    assert (keep.state, keep.needed, keep.reason) == (KeepState.WAITING, (), "timeout")
    (keep,) = keeps(HOLD, Coverage(CAMERA, WINDOW, (holding(RECORDER, told=Told.UNLISTED),)))
    assert (keep.state, keep.needed) == (KeepState.WAITING, (WINDOW,))
    (keep,) = keeps(HOLD, Coverage(CAMERA, WINDOW, (), "no-recorder"))
    assert (keep.state, keep.reason) == (KeepState.NOTHING, "no-recorder")


KEPT = Keep(HOLD.id, CAMERA, RECORDER, "R", needed=(WINDOW,))


@pytest.mark.parametrize(
    ("ends", "recorded", "everything", "locked", "safe"),
    [
        (START + 20 * DAY, [WINDOW], False, False, True),
        (START + 8 * DAY, [WINDOW], False, False, False),
        (None, [WINDOW], False, False, False),
        (None, [WINDOW], False, True, True),
        (START + 20 * DAY, [period(10, 100)], False, False, False),
        (START + 20 * DAY, [WINDOW], True, False, False),
    ],
)
def test_footage_is_safe_only_where_it_surely_stays_until_after_the_hold(ends, recorded, everything, locked, safe) -> None:
    keep = replace(KEPT, overwrite_at=ends, locked=locked)
    assert is_safe(keep, replace(HOLD, everything=everything), recorded) is safe


def test_what_is_lost_first_is_secured_first_and_the_unknown_is_not_left_to_the_end() -> None:
    now = START
    hours = [replace(KEPT, overwrite_at=now + timedelta(hours=hour)) for hour in (30, 2, 400)]
    order = sorted([*hours, KEPT], key=lambda keep: urgency(keep, now))
    assert order == [hours[1], KEPT, hours[0], hours[2]]


@pytest.mark.parametrize(
    ("obtained", "oldest", "told", "state", "reason"),
    [
        ([(0, 100)], 0, Told.HISTORY, KeepState.SECURED, ""),
        ([(0, 99.5)], 0, Told.HISTORY, KeepState.SECURED, ""),
        ([(0, 50)], 0, Told.HISTORY, KeepState.PARTIAL, "not-replayed"),
        ([(0, 50)], None, Told.UNLISTED, KeepState.PARTIAL, "gaps-in-recording"),
        ([(50, 100)], 50, Told.HISTORY, KeepState.PARTIAL, "overwritten"),
        ([], 500, Told.HISTORY, KeepState.LOST, "overwritten"),
        ([], 0, Told.HISTORY, KeepState.NOTHING, "not-replayed"),
        ([], None, Told.UNLISTED, KeepState.NOTHING, "not-recorded"),
    ],
)
def test_what_became_of_it_is_told_truly(obtained, oldest, told, state, reason) -> None:
    keep = replace(KEPT, obtained=tuple(period(*one) for one in obtained))
    device = holding(RECORDER, (0, 100), told=told, oldest=None if oldest is None else START + oldest * SECOND)
    done = settled(keep, device)
    assert (done.state, done.reason) == (state, reason)


def test_a_fifth_more_room_is_expected_than_the_bitrate_says() -> None:
    assert expected_bytes([period(0, 10), period(20, 30)], 1_000) == 24_000
