"""Footage: arithmetic of coverage and gaps, and a table of states that nobody can walk alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.devices import DeviceId
from gateway.domain.events import SYSTEM, Actor, ActorKind, Person
from gateway.domain.footage import (
    BY_ITSELF,
    DELIVERABLE,
    NOT_REPLAYED,
    TRANSITIONS,
    WORKING,
    Act,
    Emergency,
    Export,
    ExportState,
    Filing,
    FootageFile,
    FootageRequest,
    FootageState,
    Period,
    RequesterKind,
    RequestId,
    advanced,
    check_release,
    clipped,
    gaps,
    joined,
    judged,
    left_out,
    missing,
    needed_to_file,
    overlapping,
    total,
    verdict,
)
from gateway.errors import Conflict, Forbidden, InvalidInput

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


WINDOW = Period(START, START + timedelta(seconds=100))
LATER = START + timedelta(days=1)
ANNA = Person(Actor(ActorKind.USER, "anna"), "Anna")
BERT = Person(Actor(ActorKind.USER, "bert"), "Bert")
CARL = Person(Actor(ActorKind.USER, "carl"), "Carl")
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
URGENT = replace(FILING, emergency=Emergency.DANGER_TO_LIFE, destination="")
REQUEST = FootageRequest(RequestId("r"), FILING, (DeviceId("CAM"),), ANNA, START)


def period(start: float, end: float) -> Period:
    return Period(at(start), at(end))


periods = st.lists(st.tuples(st.integers(-20, 120), st.integers(-20, 120)).map(lambda pair: period(*pair)), max_size=12)


# -- periods ----------------------------------------------------------------------------------------------------------


@given(periods, periods, st.integers(0, 5))
def test_what_is_left_out_of_many_windows_is_what_is_left_out_of_each(there: list[Period], windows: list[Period], least: int) -> None:
    told = timedelta(seconds=least)
    assert list(left_out(there, windows, least=told)) == [hole for window in windows for hole in gaps(there, window, least=told)]


@given(periods, st.tuples(st.integers(-20, 120), st.integers(1, 60)))
def test_what_overlaps_a_window_is_found_and_nothing_else(drawn: list[Period], where: tuple[int, int]) -> None:
    there, window = joined(drawn), period(where[0], where[0] + where[1])
    assert list(overlapping(there, window)) == [one for one in there if one.start < window.end and window.start < one.end]


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


def ripe(state: FootageState, act: Act) -> FootageRequest:
    """A request in `state` for which no guard stands in the way of `act`."""
    emergency = Emergency.MISSING_PERSON if act in (Act.GO_AHEAD, Act.CONFIRM, Act.REVOKE) or state is FootageState.GOING_AHEAD else None
    undecided = state in (FootageState.SUBMITTED, FootageState.GOING_AHEAD) or act is Act.CONFIRM
    return replace(
        REQUEST,
        filing=replace(FILING, emergency=emergency),
        state=state,
        decided_by=None if undecided else CARL,
        decided_at=None if undecided else LATER,
        papers_at=LATER,
    )


@pytest.mark.parametrize("state", FootageState)
@pytest.mark.parametrize("act", Act)
def test_what_the_table_does_not_know_is_refused(state: FootageState, act: Act) -> None:
    request = ripe(state, act)
    if (state, act) in TRANSITIONS:
        assert advanced(request, act, by=BERT, at=LATER, reason="why").state is TRANSITIONS[state, act]
    else:
        with pytest.raises(Conflict) as caught:
            advanced(request, act, by=BERT, at=LATER, reason="why")
        assert caught.value.code == "wrong-state"
        possible = caught.value.hint.removeprefix("possible now: ").split(", ")
        assert possible == ["nothing more can be done with it"] or BY_ITSELF.isdisjoint(map(Act, possible))


@given(
    st.lists(st.tuples(st.sampled_from(Act), st.sampled_from([ANNA, BERT, CARL, GATEWAY])), max_size=25),
    st.sampled_from(RequesterKind),
    st.sampled_from([None, *Emergency]),
    st.booleans(),
)
def test_no_sequence_of_acts_gets_footage_without_a_second_person(
    acts: list[tuple[Act, Person]], kind: RequesterKind, emergency: Emergency | None, complete: bool
) -> None:
    filing = replace(FILING, kind=kind, emergency=emergency, destination="d" if complete else "")
    request = replace(REQUEST, filing=filing)
    for number, (act, by) in enumerate(acts):
        try:
            request = advanced(request, act, by=by, at=at(number), reason="why")
        except (Conflict, Forbidden):
            continue
        if request.state in WORKING | DELIVERABLE or request.ready_at:
            assert request.cleared
            assert emergency or request.approved
        if request.decided_by is not None:
            assert request.decided_by.actor != request.submitted_by.actor
        if FootageState.HANDED_OVER in (request.state, request.outcome):
            assert (request.approved, complete, emergency) == (True, True, None)  # an emergency's papers are not here
            assert kind is not RequesterKind.CITIZEN


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"filing": replace(FILING, kind=RequesterKind.CITIZEN)}, "no-copy"),
        ({"filing": replace(FILING, second_officer=" ")}, "register-incomplete"),
        ({"decided_by": None}, "not-confirmed"),
        ({"filing": replace(FILING, emergency=Emergency.HOT_PURSUIT)}, "papers-missing"),
    ],
)
def test_nothing_is_handed_over_before_all_is_in_order(changes: dict[str, Any], code: str) -> None:
    request = replace(REQUEST, state=FootageState.READY, decided_by=CARL)
    assert advanced(request, Act.HAND_OVER, by=BERT, at=LATER).outcome is FootageState.HANDED_OVER
    with pytest.raises((Conflict, Forbidden)) as caught:
        advanced(replace(request, **changes), Act.HAND_OVER, by=BERT, at=LATER)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, ""),
        ({"state": FootageState.EXPORTING}, "wrong-state"),
        ({"filing": replace(FILING, kind=RequesterKind.CITIZEN)}, "no-copy"),
        ({"filing": replace(FILING, destination="")}, "register-incomplete"),
        ({"filing": URGENT, "decided_by": None, "papers_due_at": at(1)}, "not-confirmed"),
        ({"filing": replace(URGENT, destination="d"), "decided_by": None, "papers_due_at": at(1), "papers_at": at(0)}, "not-confirmed"),
        ({"filing": URGENT, "papers_due_at": at(1)}, ""),
        ({"filing": URGENT, "decided_by": None, "papers_due_at": at(0)}, "papers-overdue"),
        ({"filing": URGENT, "papers_due_at": at(0)}, "papers-overdue"),
        ({"filing": replace(URGENT, destination="d"), "papers_due_at": at(0), "papers_at": at(0)}, ""),
    ],
)
def test_a_copy_leaves_in_a_confirmed_emergency_until_the_papers_are_overdue(changes: dict[str, Any], code: str) -> None:
    request = replace(REQUEST, **({"state": FootageState.READY, "decided_by": CARL} | changes))
    if not code:
        check_release(request, now=at(0))
        return
    with pytest.raises((Conflict, Forbidden)) as caught:
        check_release(request, now=at(0))
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("act", "changes", "by", "code"),
    [
        (Act.GO_AHEAD, {}, ANNA, "no-emergency"),
        (Act.CONFIRM, {"state": FootageState.READY}, BERT, "no-emergency"),
        (Act.CONFIRM, {"state": FootageState.READY, "filing": URGENT, "decided_by": CARL}, BERT, "decided-already"),
        (Act.CONFIRM, {"state": FootageState.READY, "filing": URGENT}, ANNA, "second-person"),
        (Act.REVOKE, {"state": FootageState.READY, "decided_by": CARL}, BERT, "no-emergency"),
        (Act.REVOKE, {"state": FootageState.READY, "filing": URGENT}, ANNA, "second-person"),
        (Act.LOCATE, {"state": FootageState.APPROVED}, GATEWAY, "not-confirmed"),
        (Act.EXPORT, {"state": FootageState.HOLDING}, GATEWAY, "not-confirmed"),
        (Act.SUPPLEMENT, {"state": FootageState.UNAVAILABLE}, BERT, "not-confirmed"),
    ],
)
def test_each_act_has_its_guard(act: Act, changes: dict[str, Any], by: Person, code: str) -> None:
    with pytest.raises((Conflict, Forbidden)) as caught:
        advanced(replace(REQUEST, **changes), act, by=by, at=LATER, reason="why")
    assert caught.value.code == code


def test_a_confirmed_emergency_stays_where_it_is_and_a_revoked_one_is_no_longer_approved() -> None:
    request = replace(REQUEST, filing=URGENT, state=FootageState.READY, ready_at=at(1), papers_due_at=at(9))
    assert request.owing
    confirmed = advanced(request, Act.CONFIRM, by=BERT, at=at(5), reason="seen")
    assert (confirmed.state, confirmed.decided_by, confirmed.ready_at) == (FootageState.READY, BERT, at(1))
    assert confirmed.owing
    assert not replace(confirmed, papers_at=at(6)).owing
    with pytest.raises(Conflict, match="already"):
        advanced(confirmed, Act.CONFIRM, by=CARL, at=at(6))
    revoked = advanced(confirmed, Act.REVOKE, by=CARL, at=at(7), reason="no emergency")
    assert (revoked.state, revoked.decided_by, revoked.approved, revoked.owing) == (FootageState.REVOKED, CARL, False, False)


def test_what_came_of_it_is_remembered_when_the_files_are_gone() -> None:
    request = replace(REQUEST, state=FootageState.READY, decided_by=CARL)
    viewed = advanced(request, Act.CLOSE_NOTHING_SEEN, by=ANNA, at=at(1))
    assert advanced(viewed, Act.EXPIRE, by=GATEWAY, at=at(2)).outcome is FootageState.NOTHING_SEEN


@pytest.mark.parametrize("act", [Act.REJECT, Act.REVOKE, Act.GIVE_UP])
def test_a_no_has_its_reason(act: Act) -> None:
    state = next(known for known, named in TRANSITIONS if named is act)
    with pytest.raises(InvalidInput):
        advanced(ripe(state, act), act, by=BERT, at=LATER, reason="  ")


def test_who_comes_decides_what_has_to_be_told_at_once() -> None:
    assert "authorising_document" in needed_to_file(RequesterKind.POLICE, None)
    assert "authorising_document" not in needed_to_file(RequesterKind.POLICE, Emergency.HOT_PURSUIT)
    assert needed_to_file(RequesterKind.CITIZEN, None) == ("requester", "badge", "purpose")
    assert missing(replace(FILING, destination=" ", second_officer="")) == ("second_officer", "destination")
    assert missing(Filing(requester="a", badge="1", purpose="p", kind=RequesterKind.CITIZEN, window=WINDOW)) == ()


@pytest.mark.parametrize("name", ["Anna", "anna ", "Wang Jianguo", "WANG JIANGUO", "LiMin"])
@pytest.mark.parametrize("act", [Act.APPROVE, Act.REJECT])
def test_those_who_ask_do_not_decide_under_any_key(name: str, act: Act) -> None:
    with pytest.raises(Forbidden) as caught:
        advanced(REQUEST, act, by=Person(Actor(ActorKind.API_KEY, "another key"), name), at=LATER, reason="why")
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
    ("recorded", "files", "reason"),
    [
        ([period(0, 40), period(60, 100)], [file(period(0, 40), period(60, 100))], "gaps in the recording"),
        ([period(0, 100)], [file(period(0, 40))], NOT_REPLAYED),
        ([period(0, 80)], [file(period(0, 40))], f"gaps in the recording; {NOT_REPLAYED}"),
        ([period(0, 40.5)], [file(period(0, 40))], "gaps in the recording"),
        ([period(0, 100)], [], NOT_REPLAYED),
        ([], [], "not recorded"),
    ],
)
def test_what_the_device_says_to_have_and_does_not_give_is_no_gap(recorded: list[Period], files: list[FootageFile], reason: str) -> None:
    assert judged(replace(EXPORT, coverage=tuple(recorded)), files, WINDOW).reason == reason


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
    assert "why" in reason


def test_of_many_reasons_as_many_are_told_whole_as_there_is_room_for_and_how_many_more_there_are() -> None:
    exports = [replace(EXPORT, camera=DeviceId(f"cam-{n:03}"), state=ExportState.FAILED, reason="the line broke" * 5) for n in range(50)]
    _, reason = verdict(exports)
    *told, rest = reason.split("; ")
    assert told == [f"{one.camera}: {one.reason}" for one in exports[: len(told)]]
    assert 900 < len(reason) <= 1_020 and rest == f"and {50 - len(told)} more"
    assert verdict([replace(EXPORT, state=ExportState.FAILED, reason="x" * 5_000)] * 2)[1].endswith("x; and 1 more")
    assert verdict([replace(EXPORT, state=ExportState.DONE)]) == (Act.COMPLETE, "")
