"""Footage: arithmetic of coverage and gaps, and a table of states that nobody can walk alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.devices import DeviceId
from gateway.domain.events import SYSTEM, Actor, ActorKind
from gateway.domain.footage import (
    DELIVERABLE,
    TRANSITIONS,
    WORKING,
    Act,
    Export,
    ExportState,
    Filing,
    FootageFile,
    FootageRequest,
    FootageState,
    Period,
    Person,
    RequestId,
    advanced,
    clipped,
    gaps,
    joined,
    judged,
    total,
    verdict,
)
from gateway.errors import Conflict, Forbidden

START = datetime(2026, 1, 1, tzinfo=UTC)
WINDOW = Period(START, START + timedelta(seconds=100))
LATER = START + timedelta(days=1)
ANNA = Person(Actor(ActorKind.USER, "anna"), "Anna")
BERT = Person(Actor(ActorKind.USER, "bert"), "Bert")
GATEWAY = Person(SYSTEM, "gateway")
FILING = Filing(
    requester="Wang Jianguo",
    unit="u",
    badge="b",
    second_officer="Li Min",
    case_number="c",
    case_kind="criminal",
    legal_basis="l",
    authorising_document="d",
    purpose="p",
    destination="d",
    window=WINDOW,
)
REQUEST = FootageRequest(RequestId("r"), FILING, (DeviceId("CAM"),), ANNA, START)


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def period(start: float, end: float) -> Period:
    return Period(at(start), at(end))


periods = st.lists(st.tuples(st.integers(-20, 120), st.integers(-20, 120)).map(lambda pair: period(*pair)), max_size=12)


# -- periods ----------------------------------------------------------------------------------------------------------


@given(periods, st.integers(-20, 119))
def test_a_moment_is_in_the_joined_periods_just_when_it_is_in_one_of_them(found: list[Period], second: int) -> None:
    moment = at(second + 0.5)
    assert any(p.start <= moment < p.end for p in joined(found)) == any(p.start <= moment < p.end for p in found)


@given(periods)
def test_joined_periods_are_in_order_and_apart(found: list[Period]) -> None:
    done = joined(found)
    assert all(p.start < p.end for p in done)
    assert all(before.end < after.start for before, after in pairwise(done))
    assert joined(done) == done


@given(periods)
def test_what_is_covered_and_what_is_missing_make_up_the_window(found: list[Period]) -> None:
    covered, missing = clipped(found, WINDOW), gaps(found, WINDOW)
    assert total(covered) + total(missing) == WINDOW.length
    assert joined([*covered, *missing]) == (WINDOW,)


@given(periods, st.integers(0, 10))
def test_only_short_gaps_are_overlooked(found: list[Period], least: int) -> None:
    overlooked = set(gaps(found, WINDOW)) - set(gaps(found, WINDOW, least=timedelta(seconds=least)))
    assert all(gap.length < timedelta(seconds=least) for gap in overlooked)


@given(periods, st.floats(-100_000, 100_000))
def test_a_period_comes_back_from_the_recorders_clock(found: list[Period], offset_s: float) -> None:
    export = Export(RequestId("r"), DeviceId("c"), DeviceId("n"), "t", offset=timedelta(seconds=offset_s))
    assert [export.true_period(export.device_period(p)) for p in found] == found


def test_a_recorder_that_is_ahead_is_asked_for_a_later_time() -> None:
    export = Export(RequestId("r"), DeviceId("c"), DeviceId("n"), "t", offset=timedelta(seconds=30))
    assert export.device_period(period(0, 10)) == period(30, 40)


def test_periods_nearly_touching_become_one_when_told_so() -> None:
    assert joined([period(0, 10), period(10.5, 20)], within=timedelta(seconds=1)) == (period(0, 20),)


# -- the table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", FootageState)
@pytest.mark.parametrize("act", Act)
def test_what_the_table_does_not_know_is_refused(state: FootageState, act: Act) -> None:
    request = replace(REQUEST, state=state)
    if (state, act) in TRANSITIONS:
        assert advanced(request, act, by=BERT, at=LATER).state is TRANSITIONS[state, act]
    else:
        with pytest.raises(Conflict) as caught:
            advanced(request, act, by=BERT, at=LATER)
        assert caught.value.code == "wrong-state"


@given(st.lists(st.tuples(st.sampled_from(Act), st.sampled_from([ANNA, BERT, GATEWAY])), max_size=25))
def test_no_sequence_of_acts_gets_footage_without_a_second_person(acts: list[tuple[Act, Person]]) -> None:
    request = REQUEST
    for number, (act, by) in enumerate(acts):
        try:
            request = advanced(request, act, by=by, at=at(number))
        except (Conflict, Forbidden):
            continue
        if request.state in WORKING | DELIVERABLE or request.ready_at:
            assert request.approved
            assert request.decided_by is not None
            assert request.decided_by.actor != request.submitted_by.actor


@pytest.mark.parametrize("name", ["Anna", "anna ", "Wang Jianguo", "WANG JIANGUO", "LiMin"])
@pytest.mark.parametrize("act", [Act.APPROVE, Act.REJECT])
def test_those_who_ask_do_not_decide_under_any_key(name: str, act: Act) -> None:
    with pytest.raises(Forbidden) as caught:
        advanced(REQUEST, act, by=Person(Actor(ActorKind.API_KEY, "another key"), name), at=LATER)
    assert caught.value.code == "second-person"


def test_the_same_key_does_not_decide_under_another_name() -> None:
    with pytest.raises(Forbidden):
        advanced(REQUEST, Act.APPROVE, by=replace(ANNA, name="Somebody"), at=LATER)


def test_a_decision_is_on_the_request() -> None:
    done = advanced(REQUEST, Act.APPROVE, by=BERT, at=LATER, reason="checked the letter")
    assert (done.decided_by, done.decided_at, done.note) == (BERT, LATER, "checked the letter")


# -- what comes of it -------------------------------------------------------------------------------------------------

EXPORT = Export(RequestId("r"), DeviceId("CAM"), DeviceId("NVR"), "t")


def file(*runs: Period) -> FootageFile:
    return FootageFile(
        RequestId("r"), DeviceId("CAM"), 1, "f", "0" * 64, 1, 1, 0, Period(runs[0].start, runs[-1].end), runs, START
    )  # fmt: skip


@pytest.mark.parametrize(
    ("files", "error", "state", "missing"),
    [
        ([file(period(-2, 100))], "", ExportState.DONE, ()),
        ([file(period(0.5, 50)), file(period(50.5, 99.5))], "", ExportState.DONE, ()),
        ([file(period(0, 40), period(60, 100))], "", ExportState.PARTIAL, (period(40, 60),)),
        ([file(period(0, 100))], "reset", ExportState.PARTIAL, ()),
        ([], "", ExportState.NOTHING, (WINDOW,)),
        ([], "refused", ExportState.FAILED, (WINDOW,)),
    ],
)
def test_an_export_is_judged_by_what_is_in_its_files(
    files: list[FootageFile], error: str, state: ExportState, missing: tuple[Period, ...]
) -> None:
    done = judged(EXPORT, files, WINDOW, error=error)
    assert (done.state, done.gaps) == (state, missing)
    assert error in done.reason


@pytest.mark.parametrize(
    ("states", "act"),
    [
        (["done", "done"], Act.COMPLETE),
        (["done", "partial"], Act.COMPLETE_IN_PART),
        (["done", "nothing"], Act.COMPLETE_IN_PART),
        (["partial", "failed"], Act.COMPLETE_IN_PART),
        (["nothing", "nothing"], Act.FIND_NOTHING),
        (["nothing", "failed"], Act.FAIL),
    ],
)
def test_a_request_is_what_its_exports_make_of_it(states: list[str], act: Act) -> None:
    exports = [replace(EXPORT, state=ExportState(state), reason="why") for state in states]
    found, reason = verdict(exports)
    assert found is act
    assert ("why" in reason) is (act is not Act.COMPLETE)
