"""The health policy: its table cell by cell, its damper, and ten thousand histories against a naive model."""

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.devices import DeviceId
from gateway.domain.health import CheckResult, HealthState, Outcome, Transition
from gateway.domain.policy import FLAPPING, REACH, TOLD, Limits, PolicyState, Symbol, hear, judge, restored

CAMERA = DeviceId("camera-1")
START = datetime(2026, 1, 1, tzinfo=UTC)
EVERY = timedelta(seconds=30)
CALM = Limits(flap_changes=10_000)
UNKNOWN, UP, DEGRADED, DOWN = HealthState.UNKNOWN, HealthState.UP, HealthState.DEGRADED, HealthState.DOWN
# Short names for a visit in the histories below.
GOOD, LIMPS, SILENT, BLIND = Symbol.GOOD, Symbol.IMPAIRED, Symbol.SILENT, Symbol.BLIND


def result(check: str, outcome: Outcome, reason: str = "") -> CheckResult:
    return CheckResult(CAMERA, check, outcome, START, reason or ("" if outcome is Outcome.OK else f"{check}-{outcome}"))


def visit(symbol: Symbol) -> list[CheckResult]:
    """The results of a visit that says `symbol`."""
    match symbol:
        case Symbol.GOOD:
            return [result(REACH, Outcome.OK), result("clock", Outcome.OK)]
        case Symbol.IMPAIRED:
            return [result(REACH, Outcome.OK), result("clock", Outcome.WARN)]
        case Symbol.SILENT:
            return [result(REACH, Outcome.FAIL)]
        case Symbol.BLIND:
            return [result(REACH, Outcome.UNKNOWN)]


def live(symbols: Sequence[Symbol], *, limits: Limits = CALM, begin: PolicyState | None = None) -> tuple[PolicyState, list[Transition]]:
    state, transitions = begin or PolicyState(CAMERA), []
    for number, symbol in enumerate(symbols):
        state, transition = judge(state, visit(symbol), limits, START + number * EVERY)
        transitions += [transition] if transition else []
    return state, transitions


@pytest.mark.parametrize(
    ("history", "state"),
    [
        ([], UNKNOWN),
        ([GOOD], UP),
        ([LIMPS], DEGRADED),
        ([SILENT, SILENT], UNKNOWN),
        ([SILENT, SILENT, SILENT], DOWN),
        ([GOOD, LIMPS], UP),
        ([GOOD, LIMPS, LIMPS], DEGRADED),
        ([GOOD, LIMPS, GOOD, LIMPS], UP),
        ([LIMPS, GOOD], DEGRADED),
        ([LIMPS, GOOD, GOOD], UP),
        ([GOOD, SILENT, SILENT, GOOD, SILENT, SILENT], UP),
        ([GOOD, SILENT, SILENT, SILENT], DOWN),
        ([LIMPS, SILENT, SILENT, SILENT], DOWN),
        ([SILENT] * 3 + [GOOD], DOWN),
        ([SILENT] * 3 + [GOOD, GOOD], UP),
        ([SILENT] * 3 + [GOOD, LIMPS], DEGRADED),
        ([SILENT] * 3 + [LIMPS, GOOD], UP),
        ([SILENT] * 3 + [GOOD, SILENT, GOOD], DOWN),
        ([GOOD, BLIND, BLIND], UP),
        ([GOOD, BLIND, BLIND, BLIND], UNKNOWN),
        ([GOOD, SILENT, SILENT, BLIND, BLIND, BLIND], UNKNOWN),
        ([GOOD, SILENT, BLIND, SILENT, BLIND, SILENT], DOWN),
        ([SILENT] * 3 + [BLIND] * 3, UNKNOWN),
        ([SILENT] * 3 + [BLIND] * 3 + [SILENT], DOWN),
        ([SILENT] * 3 + [BLIND] * 3 + [GOOD], UP),
    ],
)
def test_a_history_leads_to_a_state(history: list[Symbol], state: HealthState) -> None:
    assert live(history)[0].state is state


def test_a_transition_says_from_what_to_what_when_why_and_which_check_said_so() -> None:
    _, transitions = live([GOOD, SILENT, SILENT, SILENT, GOOD, GOOD])
    first, lost, found = transitions
    assert (first.before, first.after, first.reason) == (UNKNOWN, UP, "")
    assert (lost.before, lost.after, lost.at, lost.reason, lost.check) == (UP, DOWN, START + 3 * EVERY, "reach-fail", REACH)
    assert (found.before, found.after, found.at) == (DOWN, UP, START + 5 * EVERY)


def test_a_failing_secondary_check_degrades_and_never_downs() -> None:
    failing = [result(REACH, Outcome.OK), result("identity", Outcome.FAIL, "bad-credentials")]
    state = PolicyState(CAMERA)
    for _ in range(20):
        state, _ = judge(state, failing, CALM, START)
    assert (state.state, state.reason, state.check) == (DEGRADED, "bad-credentials", "identity")


def test_a_complaint_stays_until_the_check_that_made_it_is_well_again() -> None:
    state, _ = judge(PolicyState(CAMERA), [result(REACH, Outcome.OK), result("snmp", Outcome.WARN, "sensor-temperature")], CALM, START)
    for _ in range(5):
        state, _ = judge(state, [result(REACH, Outcome.OK)], CALM, START)  # the slow check was not due
        state, _ = judge(state, [result(REACH, Outcome.OK), result("snmp", Outcome.UNKNOWN)], CALM, START)  # nor could it be made
    assert (state.state, state.reason) == (DEGRADED, "sensor-temperature")
    for _ in range(2):
        state, _ = judge(state, [result(REACH, Outcome.OK), result("snmp", Outcome.OK)], CALM, START)
    assert (state.state, state.reason, state.complaints) == (UP, "", {})


def test_of_several_complaints_a_failure_is_named_before_a_warning() -> None:
    results = [result(REACH, Outcome.OK), result("clock", Outcome.WARN), result("snmp", Outcome.FAIL)]
    assert judge(PolicyState(CAMERA), results, CALM, START)[0].check == "snmp"


def test_a_restart_goes_on_from_the_stored_state_without_a_transition() -> None:
    for symbol, stored in ((GOOD, UP), (SILENT, DOWN), (LIMPS, DEGRADED)):
        state, transitions = live([symbol] * 5, begin=restored(CAMERA, stored, reason="", check=""))
        assert state.state is stored
        assert transitions == []


FLAPS = [GOOD, *[SILENT] * 3, *[GOOD] * 2]


def test_a_device_that_flaps_is_held_as_degraded_and_let_go_when_it_is_still() -> None:
    limits = Limits(flap_changes=3, flap_window=timedelta(minutes=10), flap_hold=timedelta(minutes=5))
    state, transitions = live(FLAPS * 3, limits=limits)
    assert (state.state, state.reason) == (DEGRADED, FLAPPING)
    assert len(transitions) == 5, "up, down, up, down, held: then silence, however often it changes"
    assert state.held_until is not None
    after, transition = judge(state, visit(GOOD), limits, state.held_until)
    assert (after.state, transition and transition.after) == (UP, UP)


def test_a_loose_contact_that_never_fails_often_enough_in_a_row_is_held_as_flapping_too() -> None:
    state, transitions = live([GOOD, SILENT] * 4, limits=Limits(flap_changes=6))
    assert (state.state, state.reason) == (DEGRADED, FLAPPING)
    assert [transition.after for transition in transitions] == [UP, DEGRADED]
    assert live([GOOD, SILENT] * 3, limits=Limits(flap_changes=6))[0].state is UP
    assert live([GOOD, BLIND] * 20, limits=Limits(flap_changes=6, blind=400))[0].state is UP, "our blindness is not its contact"


def test_a_contact_that_was_loose_long_ago_counts_no_more() -> None:
    limits = Limits(flap_changes=6, flap_window=timedelta(minutes=10), flap_hold=timedelta(minutes=5))
    state, _ = live([*[GOOD, SILENT] * 4, *[GOOD] * 40, *[LIMPS] * 2, *[GOOD] * 2], limits=limits)
    assert state.state is UP


def test_a_flapping_device_that_dies_for_good_is_down_when_the_hold_ends() -> None:
    limits = Limits(flap_changes=3)
    state, _ = live([*FLAPS * 3, *[SILENT] * 60], limits=limits)
    assert (state.state, state.reason) == (DOWN, "reach-fail")


def test_a_threshold_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Limits(failure=0)


# -- against a naive model --------------------------------------------------------------------------------------------


def naive(history: Sequence[Symbol], limits: Limits) -> HealthState:
    """The rules once more, with nothing remembered: every step looks back over the whole history."""
    state = UNKNOWN
    for end in range(1, len(history) + 1):
        past = list(history[:end])
        symbol = past[-1]
        seen = [each for each in past if each is not BLIND]
        if symbol is BLIND:
            if state is not UNKNOWN and tail(past, {BLIND}) >= limits.blind:
                state = UNKNOWN
        elif symbol is SILENT:
            state = DOWN if tail(seen, {SILENT}) >= limits.failure else state
        elif state is UNKNOWN:
            state = UP if symbol is GOOD else DEGRADED
        elif state is DOWN:
            if tail(seen, {GOOD, LIMPS}) >= limits.recovery:
                state = UP if symbol is GOOD else DEGRADED
        elif state is UP and symbol is LIMPS and tail(seen, {LIMPS}) >= limits.degrade:
            state = DEGRADED
        elif state is DEGRADED and symbol is GOOD and tail(seen, {GOOD}) >= limits.recovery:
            state = UP
    return state


def tail(history: Sequence[Symbol], wanted: set[Symbol]) -> int:
    length = 0
    for symbol in reversed(history):
        if symbol not in wanted:
            break
        length += 1
    return length


thresholds = st.builds(
    Limits,
    failure=st.integers(1, 5),
    recovery=st.integers(1, 4),
    degrade=st.integers(1, 4),
    blind=st.integers(1, 5),
    flap_changes=st.just(10_000),
)
VISITS = [symbol for symbol in Symbol if symbol not in TOLD]
histories = st.lists(st.sampled_from(VISITS), max_size=60)
EXAMPLES = int(os.environ.get("POLICY_HISTORIES", "1000"))


@settings(max_examples=EXAMPLES, deadline=None)
@given(history=histories, limits=thresholds)
def test_the_table_agrees_with_the_naive_model(history: list[Symbol], limits: Limits) -> None:
    assert live(history, limits=limits)[0].state is naive(history, limits)


@settings(max_examples=EXAMPLES, deadline=None)
@given(history=histories, limits=thresholds, seed=st.sampled_from(HealthState))
def test_transitions_form_a_chain_and_unknown_never_leads_to_down(history: list[Symbol], limits: Limits, seed: HealthState) -> None:
    state = restored(CAMERA, seed, reason="", check="")
    for number, symbol in enumerate(history):
        before = state
        state, transition = judge(before, visit(symbol), limits, START + number * EVERY)
        if transition is None:
            assert state.state is before.state
            continue
        assert (transition.before, transition.after) == (before.state, state.state)
        assert transition.before is not transition.after
        assert (transition.after is DOWN) <= (symbol is SILENT)
        assert (transition.after is UNKNOWN) <= (symbol is BLIND)
        assert (transition.after is UP) <= (symbol is GOOD)


# -- what is told between the visits ----------------------------------------------------------------------------------


def told(outcome: Outcome, *, check: str = "picture", at_once: bool = False) -> CheckResult:
    return replace(result(check, outcome), at_once=at_once)


def hears(state: PolicyState, *results: CheckResult, times: int = 1, limits: Limits = CALM) -> PolicyState:
    for _ in range(times):
        state, _ = hear(state, results, limits, START)
    return state


def test_what_is_told_often_enough_makes_a_device_degraded_and_its_end_brings_it_back_with_the_next_visits() -> None:
    state, _ = live([GOOD])
    state = hears(state, told(Outcome.WARN))
    assert (state.state, state.complaints) == (UP, {}), "one bad picture is none"
    state = hears(state, told(Outcome.WARN))
    assert (state.state, state.reason, state.check) == (DEGRADED, "picture-warn", "picture")
    state, transitions = live([GOOD] * 3, begin=state)
    assert (state.state, transitions) == (DEGRADED, [])
    state = hears(state, told(Outcome.OK))
    assert (state.state, state.complaints) == (DEGRADED, {})
    assert live([GOOD], begin=state)[0].state is DEGRADED
    assert live([GOOD] * 2, begin=state)[0].state is UP


def test_one_ok_between_starts_the_suspicion_anew() -> None:
    state, _ = live([GOOD])
    for _ in range(5):
        state = hears(hears(state, told(Outcome.WARN)), told(Outcome.OK))
    assert (state.state, state.suspected) == (UP, {})


def test_what_is_told_once_counts_at_once_and_so_does_its_end() -> None:
    state, _ = live([GOOD])
    state = hears(state, told(Outcome.FAIL, check="trap-fan", at_once=True))
    assert (state.state, state.reason) == (DEGRADED, "trap-fan-fail")
    assert hears(state, told(Outcome.OK, check="trap-fan", at_once=True)).state is UP
    silent, _ = live([SILENT], begin=state)
    assert hears(silent, told(Outcome.OK, check="trap-fan", at_once=True)).state is DEGRADED, "not while it keeps silent"


def test_the_end_of_one_complaint_leaves_the_others() -> None:
    state = hears(live([GOOD])[0], told(Outcome.WARN, at_once=True), told(Outcome.FAIL, check="recording", at_once=True))
    assert state.check == "recording"
    state = hears(state, told(Outcome.OK, check="recording", at_once=True))
    assert (state.state, state.check) == (DEGRADED, "picture")


def test_a_device_that_is_down_stays_down_whatever_is_told_of_it_and_comes_back_ill() -> None:
    down, _ = live([SILENT] * 3)
    state = hears(down, told(Outcome.OK, at_once=True), told(Outcome.WARN, check="trap", at_once=True), times=9)
    assert (state.state, state.reason, state.streaks) == (DOWN, "reach-fail", down.streaks)
    assert live([GOOD] * 2, begin=state)[0].state is DEGRADED


def test_of_a_device_that_we_know_nothing_of_what_is_told_is_kept_for_its_first_answer() -> None:
    state = hears(PolicyState(CAMERA), told(Outcome.WARN, at_once=True))
    assert (state.state, state.reason) == (UNKNOWN, "")
    assert live([GOOD], begin=state)[0].state is DEGRADED


def test_what_could_not_be_looked_at_changes_nothing() -> None:
    state = hears(live([GOOD])[0], told(Outcome.WARN))
    assert hears(state, told(Outcome.UNKNOWN), times=9) == state


def test_what_is_told_ends_no_hold() -> None:
    limits = Limits(flap_changes=3)
    state, _ = live([*FLAPS * 3, *[SILENT] * 3], limits=limits)
    assert (state.state, state.apparent, state.held_until is not None) == (DEGRADED, DOWN, True)
    after, transition = hear(state, [told(Outcome.OK)], limits, START + timedelta(days=1))
    assert (after.state, after.reason, transition) == (DEGRADED, FLAPPING, None)


def test_reach_is_for_visits_alone() -> None:
    with pytest.raises(ValueError, match="for visits"):
        hear(PolicyState(CAMERA), visit(GOOD), CALM, START)


tales = st.lists(st.builds(told, st.sampled_from(Outcome), check=st.sampled_from(["picture", "trap"]), at_once=st.booleans()), max_size=3)
lives = st.lists(st.one_of(st.sampled_from(VISITS), tales), max_size=60)


@settings(max_examples=EXAMPLES, deadline=None)
@given(life=lives, limits=thresholds)
def test_tales_never_count_as_an_answer_or_as_silence(life: list[Symbol | list[CheckResult]], limits: Limits) -> None:
    """Whatever is told in between: DOWN and UNKNOWN begin and end exactly as they do without it."""
    state, plain = PolicyState(CAMERA), PolicyState(CAMERA)
    for number, step in enumerate(life):
        now, before = START + number * EVERY, state
        if isinstance(step, Symbol):
            state, transition = judge(state, visit(step), limits, now)
            plain, _ = judge(plain, visit(step), limits, now)
        else:
            state, transition = hear(state, step, limits, now)
            assert state.streaks == before.streaks
            assert transition is None or {transition.before, transition.after} == {UP, DEGRADED}
        assert (state.state if state.state in (UNKNOWN, DOWN) else UP) is (plain.state if plain.state in (UNKNOWN, DOWN) else UP)
        assert (transition is None) is (state.state is before.state)
        assert not state.suspected.keys() & state.complaints.keys()
        assert all(0 < times < limits.degrade for times in state.suspected.values())


@settings(max_examples=EXAMPLES // 4, deadline=None)
@given(history=st.lists(st.sampled_from(VISITS), max_size=400), changes=st.integers(1, 4))
def test_the_damper_bounds_the_transitions_and_forgets_nothing_but_old_changes(history: list[Symbol], changes: int) -> None:
    limits = Limits(failure=1, recovery=1, degrade=1, blind=400, flap_changes=changes)
    state, transitions = live(history, limits=limits)
    assert len(state.changes) <= changes + 1
    for begin in transitions:
        window = [each for each in transitions if timedelta(0) <= each.at - begin.at < limits.flap_hold]
        assert len(window) <= changes + 3, "at most: what the damper lets pass, being held, and being let go"
