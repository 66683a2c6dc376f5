"""Requests counted by unit, kind, month: every request in one row, whatever the rows are."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.footage import Counted, FootageState, RequesterKind, RequestsBy, counted

START = datetime(2026, 1, 31, 15, 59, tzinfo=UTC)
requests = st.lists(
    st.builds(
        Counted,
        unit=st.sampled_from(["a", "b"]),
        kind=st.sampled_from(RequesterKind),
        case_kind=st.sampled_from(["", "criminal"]),
        submitted_at=st.integers(0, 90).map(lambda days: START + timedelta(days=days)),
        told=st.sampled_from(FootageState),
        emergency=st.booleans(),
        owing=st.booleans(),
        cameras=st.integers(0, 5),
        hours=st.integers(0, 5).map(float),
        ready_at=st.none() | st.just(START + timedelta(days=100)),
    ),
    max_size=30,
)


@given(requests, st.sampled_from(RequestsBy))
def test_every_request_is_in_one_row(found: list[Counted], by: RequestsBy) -> None:
    rows = counted(found, by)
    assert sum(row.requests for row in rows) == len(found)
    assert sum(row.hours for row in rows) == sum(one.hours for one in found)
    assert all(row.outcomes.total() == row.requests for row in rows)
    assert len({row.key for row in rows}) == len(rows)


def test_a_month_is_that_of_beijing() -> None:
    one = Counted("u", RequesterKind.POLICE, "", START, FootageState.READY, False, False, 1, 1.0, START + timedelta(minutes=7))
    late = Counted("u", RequesterKind.POLICE, "", START + timedelta(minutes=1), FootageState.READY, False, False, 1, 1.0, None)
    rows = counted([late, one], RequestsBy.MONTH)
    assert [(row.key, row.ready_minutes_median) for row in rows] == [("2026-01", 7.0), ("2026-02", None)]
