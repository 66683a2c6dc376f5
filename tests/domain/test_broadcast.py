from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.broadcast import (
    OPEN,
    TRANSITIONS,
    Broadcast,
    BroadcastId,
    ClipContent,
    ClipId,
    Delivery,
    DeliveryState,
    Figures,
    Priority,
    Programme,
    Step,
    Targets,
    Verdict,
    advance,
    arbitrate,
    outcome,
)
from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor, ActorKind
from gateway.errors import Conflict

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(seconds=30)

states, steps, priorities = st.sampled_from(DeliveryState), st.sampled_from(Step), st.sampled_from(Priority)
LEGAL = [(state, step, after) for state, row in TRANSITIONS.items() for step, after in row.items()]
ILLEGAL = [(state, step) for state in DeliveryState for step in Step if step not in TRANSITIONS[state]]


def delivery(state: DeliveryState = DeliveryState.QUEUED) -> Delivery:
    return Delivery(BroadcastId("b"), DeviceId("s"), state, NOW)


@pytest.mark.parametrize(("before", "step", "after"), LEGAL)
def test_every_legal_step_leads_where_the_table_says(before: DeliveryState, step: Step, after: DeliveryState) -> None:
    moved = advance(delivery(before), step, at=LATER, not_after=LATER, reason="because")
    assert (moved.state, moved.since, moved.reason) == (after, LATER, "because")


@pytest.mark.parametrize(("state", "step"), ILLEGAL)
def test_every_other_step_is_refused(state: DeliveryState, step: Step) -> None:
    with pytest.raises(Conflict, match="cannot"):
        advance(delivery(state), step, at=NOW, not_after=LATER)


@given(st.sampled_from([DeliveryState.QUEUED, DeliveryState.AWAITING_APPROVAL]), st.lists(steps, max_size=16))
def test_no_history_makes_a_sound_twice_or_wakes_what_has_ended(first: DeliveryState, history: list[Step]) -> None:
    current, plays, interruptions, goings_on, ended = delivery(first), 0, 0, 0, False
    for step in history:
        try:
            current = advance(current, step, at=NOW, not_after=LATER)
        except Conflict:
            continue
        assert not ended
        plays += step is Step.PLAY
        interruptions += step is Step.INTERRUPT
        goings_on += step is Step.RESUME
        ended = not current.open
    assert plays <= 1
    assert goings_on <= interruptions


@given(st.lists(steps, max_size=16))
def test_without_a_second_person_nothing_that_needs_one_is_ever_heard(history: list[Step]) -> None:
    current = delivery(DeliveryState.AWAITING_APPROVAL)
    for step in history:
        if step is Step.APPROVE:
            continue
        try:
            current = advance(current, step, at=NOW, not_after=LATER)
        except Conflict:
            continue
        assert current.state in {DeliveryState.FAILED, DeliveryState.CANCELLED, DeliveryState.EXPIRED}


@given(st.lists(steps, max_size=16))
def test_who_was_interrupted_has_the_speaker_only_after_going_on(history: list[Step]) -> None:
    current = delivery(DeliveryState.INTERRUPTED)
    for step in history:
        try:
            current = advance(current, step, at=NOW, not_after=LATER)
        except Conflict:
            continue
        assert step is Step.RESUME or not current.open
        return


@given(states, st.integers(1, 3600))
def test_nothing_begins_after_its_time(state: DeliveryState, late_s: int) -> None:
    for step in (Step.APPROVE, Step.CONNECT, Step.PLAY, Step.RESUME):
        with pytest.raises(Conflict):
            advance(delivery(state), step, at=LATER + timedelta(seconds=late_s), not_after=LATER)


def test_what_may_have_been_heard_is_unknown_after_a_crash_and_all_else_is_failed() -> None:
    lost = {state: TRANSITIONS[state].get(Step.LOSE) for state in OPEN}
    assert lost == {
        DeliveryState.AWAITING_APPROVAL: DeliveryState.FAILED,
        DeliveryState.QUEUED: DeliveryState.FAILED,
        DeliveryState.CONNECTING: DeliveryState.FAILED,
        DeliveryState.PLAYING: DeliveryState.UNKNOWN,
        DeliveryState.INTERRUPTED: DeliveryState.PREEMPTED,
    }


def test_a_sound_that_has_begun_does_not_expire() -> None:
    assert Step.EXPIRE not in TRANSITIONS[DeliveryState.PLAYING]


def test_what_was_interrupted_ends_as_preempted_and_not_as_expired() -> None:
    assert Step.EXPIRE not in TRANSITIONS[DeliveryState.INTERRUPTED]
    assert TRANSITIONS[DeliveryState.INTERRUPTED][Step.PREEMPT] is DeliveryState.PREEMPTED


def test_the_states_that_are_open_are_those_on_the_way() -> None:
    way = {
        DeliveryState.AWAITING_APPROVAL,
        DeliveryState.QUEUED,
        DeliveryState.CONNECTING,
        DeliveryState.PLAYING,
        DeliveryState.INTERRUPTED,
    }
    assert way == OPEN


def test_figures_stay_when_a_step_brings_none() -> None:
    played = advance(delivery(DeliveryState.PLAYING), Step.FINISH, at=NOW, not_after=NOW, figures=Figures("PCMA", 50))
    assert played.figures.packets == 50
    assert advance(delivery(DeliveryState.PLAYING), Step.FAIL, at=NOW, not_after=NOW).figures == Figures()


@given(priorities, priorities)
def test_only_what_matters_more_interrupts(wanted: Priority, running: Priority) -> None:
    verdict = arbitrate(wanted, running)
    assert verdict is (Verdict.PREEMPT if wanted > running else Verdict.WAIT)
    assert not (verdict is Verdict.PREEMPT and arbitrate(running, wanted) is Verdict.PREEMPT)


def test_a_free_speaker_is_taken_by_anybody() -> None:
    assert {arbitrate(priority, None) for priority in Priority} == {Verdict.TAKE}


def test_an_emergency_comes_before_talk_enforcement_notices_and_schedules() -> None:
    assert sorted(Priority, reverse=True) == [
        Priority.EMERGENCY, Priority.TALK, Priority.ENFORCEMENT, Priority.NOTICE, Priority.SCHEDULE,
    ]  # fmt: skip


def test_the_same_order_is_recognised_when_it_comes_again_later() -> None:
    actor = Actor(ActorKind.API_KEY, "k")
    said, where = Programme(ClipContent(ClipId("c"))), Targets(speakers=(DeviceId("s"),))
    first = Broadcast(BroadcastId("b"), said, where, Priority.NOTICE, LATER, NOW, actor)
    again = Broadcast(BroadcastId("b"), said, where, Priority.NOTICE, LATER, LATER, actor)
    other = Broadcast(BroadcastId("b"), Programme(ClipContent(ClipId("d"))), where, Priority.NOTICE, LATER, NOW, actor)
    assert first.same_order(again)
    assert not first.same_order(other)


@given(st.lists(states, max_size=20))
def test_a_broadcast_is_open_while_any_delivery_is(found: list[DeliveryState]) -> None:
    summary = outcome(delivery(state) for state in found)
    assert sum(summary.counts.values()) == len(found)
    assert summary.open == any(state in OPEN for state in found)
