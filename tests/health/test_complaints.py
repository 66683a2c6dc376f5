"""What is written down of a device's checks, against a model that replays it."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.devices import DeviceId
from gateway.domain.health import CheckResult, Outcome
from gateway.health.complaints import ComplaintLog
from gateway.storage.complaints import Complaint

CAMERA = DeviceId("camera-1")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
RESULT = st.builds(
    lambda check, outcome, reason: CheckResult(CAMERA, check, outcome, NOON, "" if outcome is Outcome.OK else reason),
    st.sampled_from(["reach", "clock", "picture"]),
    st.sampled_from(list(Outcome)),
    st.sampled_from(["black", "frozen"]),
)
VISIT = st.lists(RESULT, max_size=3, unique_by=lambda result: result.check)


@given(st.lists(st.tuples(VISIT, st.booleans()), max_size=20))
def test_what_is_stored_is_what_each_check_said_last(visits: list[tuple[list[CheckResult], bool]]) -> None:
    """Whatever was stored of it: a turn that the store refused is told again by the next visit that says the same."""
    log, stored, checked = ComplaintLog(), dict[str, str](), set[str]()
    for number, (results, taken) in enumerate(visits):
        turn = log.turn(CAMERA, results, NOON + timedelta(minutes=number))
        if turn is not None and taken:
            for check in turn.cleared:
                del stored[check]  # only what is open is cleared
            stored |= turn.risen
            checked |= turn.begun
            log.keep(turn)
        if turn is None or taken:
            for result in results:
                if result.outcome is Outcome.OK:
                    assert result.check not in stored
                elif result.outcome is not Outcome.UNKNOWN and (result.check, result.outcome) != ("reach", Outcome.FAIL):
                    assert stored[result.check] == result.reason
                    assert result.check == "reach" or result.check in checked


def test_a_visit_like_the_one_before_has_nothing_to_write_even_after_a_restart() -> None:
    results = [CheckResult(CAMERA, "clock", Outcome.WARN, NOON, "clock-skew"), CheckResult(CAMERA, "identity", Outcome.OK, NOON)]
    first = ComplaintLog()
    turn = first.turn(CAMERA, results, NOON)
    assert turn is not None
    first.keep(turn)
    assert first.turn(CAMERA, results, NOON) is None
    second = ComplaintLog()
    second.restore([Complaint(CAMERA, "clock", "clock-skew", NOON)], {CAMERA: frozenset({"clock", "identity"})})
    assert second.turn(CAMERA, results, NOON) is None
