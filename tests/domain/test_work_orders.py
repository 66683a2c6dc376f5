"""Work orders: the table with its illegal half, and the clocks against counting every minute."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.devices import DeviceId
from gateway.domain.hours import Hours
from gateway.domain.severity import Severity
from gateway.domain.work_orders import (
    ACTS,
    ENDED,
    REPAIR,
    RESPONSE,
    Calendar,
    Deed,
    Target,
    WorkAct,
    WorkOrder,
    WorkOrderId,
    WorkState,
    acted,
    read_clocks,
)
from gateway.errors import Conflict

SHANGHAI = ZoneInfo("Asia/Shanghai")
OFFICE = Calendar(Hours(time(8, 30), time(17, 30), frozenset(range(5))), SHANGHAI)
FRIDAY = datetime(2026, 1, 2, 16, 30, tzinfo=SHANGHAI).astimezone(UTC)
DAY = Target(timedelta(hours=2), timedelta(hours=8), around_the_clock=False)
ALWAYS = Target(timedelta(hours=2), timedelta(hours=8))


def order(target: Target = ALWAYS) -> WorkOrder:
    return WorkOrder(
        WorkOrderId("W-1"), WorkState.OPEN, Severity.MAJOR, (DeviceId("cam-1"),), "", "水城智安", "镜头", target, FRIDAY, "user:a", FRIDAY
    )


def after(*acts: tuple[WorkAct, float], target: Target = ALWAYS) -> WorkOrder:
    """An order to which that was done, each so many hours after it was opened."""
    one = order(target)
    for act, hours in acts:
        one = acted(one, Deed(act, "note", "tech"), by="user:b", at=FRIDAY + timedelta(hours=hours))
    return one


def test_the_usual_way() -> None:
    done = after((WorkAct.ACCEPT, 1), (WorkAct.ARRIVE, 2), (WorkAct.REPAIR, 3), (WorkAct.CLOSE, 4))
    assert (done.state, done.technician, done.closing_note, done.ended_by, done.live) == (WorkState.CLOSED, "tech", "note", "user:b", False)


@pytest.mark.parametrize("state", WorkState)
@pytest.mark.parametrize("act", WorkAct)
def test_what_the_table_lacks_is_refused_and_changes_nothing(state: WorkState, act: WorkAct) -> None:
    ways = {
        WorkState.OPEN: [],
        WorkState.ACCEPTED: [WorkAct.ACCEPT],
        WorkState.ON_SITE: [WorkAct.ARRIVE],
        WorkState.REPAIRED: [WorkAct.ACCEPT, WorkAct.REPAIR],
        WorkState.CLOSED: [WorkAct.ACCEPT, WorkAct.REPAIR, WorkAct.CLOSE],
        WorkState.CANCELLED: [WorkAct.CANCEL],
    }
    one = after(*[(way, 1 + number) for number, way in enumerate(ways[state])])
    assert one.state is state
    if (state, act) in ACTS and act is not WorkAct.RESUME:
        assert acted(one, Deed(act), by="x", at=FRIDAY + timedelta(hours=9)).state is ACTS[state, act]
    else:
        with pytest.raises(Conflict, match="not possible") as refused:
            acted(one, Deed(act), by="x", at=FRIDAY + timedelta(hours=9))
        assert refused.value.code == "wrong-work-order-state"


def test_a_pause_neither_begins_nor_ends_twice_and_the_next_step_ends_it() -> None:
    paused = after((WorkAct.ACCEPT, 1), (WorkAct.PAUSE, 2))
    with pytest.raises(Conflict):
        acted(paused, Deed(WorkAct.PAUSE), by="x", at=FRIDAY)
    repaired = acted(paused, Deed(WorkAct.REPAIR), by="x", at=FRIDAY + timedelta(hours=5))
    assert (repaired.paused, repaired.pauses[0].end) == (False, FRIDAY + timedelta(hours=5))
    with pytest.raises(Conflict):
        acted(order(), Deed(WorkAct.RESUME), by="x", at=FRIDAY)


def test_a_friday_evening_is_due_on_monday_in_working_hours_and_at_night_around_the_clock() -> None:
    clocks = read_clocks(order(DAY), FRIDAY, OFFICE)
    assert clocks[RESPONSE].due_at == datetime(2026, 1, 5, 9, 30, tzinfo=SHANGHAI)
    assert clocks[REPAIR].due_at == datetime(2026, 1, 5, 15, 30, tzinfo=SHANGHAI)
    assert read_clocks(order(), FRIDAY, OFFICE)[REPAIR].due_at == FRIDAY + timedelta(hours=8)


def test_a_pause_moves_what_is_due_and_while_it_lasts_nothing_is() -> None:
    paused = after((WorkAct.PAUSE, 1))
    later = FRIDAY + timedelta(days=3)
    assert read_clocks(paused, later, OFFICE)[REPAIR].due_at is None
    assert read_clocks(paused, later, OFFICE)[REPAIR].used == timedelta(hours=1)
    resumed = after((WorkAct.PAUSE, 1), (WorkAct.RESUME, 25))
    assert read_clocks(resumed, later, OFFICE)[REPAIR].due_at == FRIDAY + timedelta(hours=32)


def test_what_is_sent_back_runs_on_where_it_stood() -> None:
    again = after((WorkAct.ACCEPT, 1), (WorkAct.REPAIR, 3), (WorkAct.SEND_BACK, 50))
    clocks = read_clocks(again, FRIDAY + timedelta(hours=51), OFFICE)
    assert clocks[REPAIR].used == timedelta(hours=4)
    assert clocks[REPAIR].due_at == FRIDAY + timedelta(hours=55)
    assert (clocks[RESPONSE].used, clocks[RESPONSE].overdue) == (timedelta(hours=1), False)


def test_a_clock_that_has_run_out_says_so_before_and_after_it_is_stopped() -> None:
    assert read_clocks(order(), FRIDAY + timedelta(hours=2, seconds=1), OFFICE)[RESPONSE].overdue
    late = after((WorkAct.ACCEPT, 3))
    assert read_clocks(late, FRIDAY + timedelta(hours=9), OFFICE)[RESPONSE].overdue
    assert not read_clocks(late, FRIDAY + timedelta(hours=8), OFFICE)[REPAIR].overdue


lives = st.lists(st.tuples(st.sampled_from(WorkAct), st.integers(1, 3_000)), max_size=12)


@settings(max_examples=300, deadline=None)
@given(life=lives, office=st.booleans(), look=st.integers(0, 10_000))
def test_the_clocks_agree_with_counting_every_minute(life: list[tuple[WorkAct, int]], office: bool, look: int) -> None:
    """Whatever is done to an order, in whatever order: the table holds, and each clock has run for as many minutes as one counts."""
    one, now = order(DAY if office else ALWAYS), FRIDAY
    was: list[tuple[datetime, WorkOrder]] = [(now, one)]
    for act, minutes in life:
        now += timedelta(minutes=minutes)
        try:
            one = acted(one, Deed(act, "n"), by="x", at=now)
        except Conflict:
            continue
        assert one.state is ACTS[was[-1][1].state, act]
        assert (one.ended_at is not None) == (one.state in ENDED)
        assert not one.paused or one.state in (WorkState.OPEN, WorkState.ACCEPTED, WorkState.ON_SITE)
        was.append((now, one))
    now += timedelta(minutes=look)
    clocks = read_clocks(one, now, OFFICE)
    response = repair = 0
    minute, place = FRIDAY, 0
    while minute < now:
        while place + 1 < len(was) and was[place + 1][0] <= minute:
            place += 1
        then = was[place][1]
        working = not office or OFFICE.hours.holds(minute, SHANGHAI)
        if working and not then.paused and then.live:
            response += then.accepted_at is None
            repair += then.repaired_at is None
        minute += timedelta(minutes=1)
    assert clocks[RESPONSE].used == timedelta(minutes=response)
    assert clocks[REPAIR].used == timedelta(minutes=repair)
