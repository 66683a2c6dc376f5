"""When a schedule speaks: its rule in its time zone, on its days, against a model that looks at each day by itself."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.broadcast.holidays_file import EXAMPLE, load_holidays
from gateway.domain.broadcast import Programme, Speech, Targets
from gateway.domain.events import SYSTEM
from gateway.domain.schedules import NO_HOLIDAYS, Days, Holidays, Schedule, ScheduleId, broadcast_id, named, next_occurrence, occurrences

SHANGHAI = ZoneInfo("Asia/Shanghai")
START = datetime(2026, 1, 1, 7, 30, tzinfo=SHANGHAI)
YEAR = load_holidays(Path(EXAMPLE))


def schedule(**changes: object) -> Schedule:
    made = Schedule(
        id=ScheduleId("S-1"),
        name="放学提醒",
        programme=Programme(Speech("请走人行道")),
        targets=Targets(),
        start=START,
        timezone="Asia/Shanghai",
        within=timedelta(seconds=30),
        actor=SYSTEM,
        created_at=START,
        done_until=START - timedelta(seconds=1),
        rule="FREQ=DAILY",
    )
    return replace(made, **changes)


def days_of(one: Schedule, holidays: Holidays, first: date, last: date) -> list[date]:
    begin = datetime.combine(first, datetime.min.time(), SHANGHAI)
    end = datetime.combine(last, datetime.max.time(), SHANGHAI)
    return [moment.astimezone(SHANGHAI).date() for moment in occurrences(one, holidays, begin, end)]


@pytest.mark.parametrize(
    ("days", "spoken"),
    [
        (Days.ALL, [13, 14, 15, 16, 23, 24, 28]),
        (Days.WORKING, [13, 14, 24, 28]),  # the 14th and the 28th are Saturdays that are worked
        (Days.FREE, [15, 16, 23]),
        (Days.HOLIDAYS, [15, 16, 23]),
        (Days.NOT_HOLIDAYS, [13, 14, 24, 28]),
    ],
)
def test_a_schedule_minds_spring_festival_and_the_days_that_are_worked_for_it(days: Days, spoken: list[int]) -> None:
    looked_at = [13, 14, 15, 16, 23, 24, 28]
    found = days_of(schedule(days=days), YEAR, date(2026, 2, 1), date(2026, 2, 28))
    assert [day.day for day in found if day.day in looked_at] == spoken


@given(
    days=st.sampled_from(Days),
    weekdays=st.sets(st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"]), min_size=1),
    first=st.dates(date(2026, 1, 1), date(2026, 12, 1)),
    length=st.integers(0, 40),
)
def test_occurrences_are_those_of_a_model_that_looks_at_each_day(days: Days, weekdays: set[str], first: date, length: int) -> None:
    one = schedule(rule=f"FREQ=WEEKLY;BYDAY={','.join(sorted(weekdays))}", days=days)
    names = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
    window = [first + timedelta(days=number) for number in range(length + 1)]

    def free(day: date) -> bool:
        return day in YEAR.off or (day.weekday() >= 5 and day not in YEAR.worked)

    suits = {
        Days.ALL: lambda _day: True,
        Days.WORKING: lambda day: not free(day),
        Days.FREE: free,
        Days.HOLIDAYS: YEAR.off.__contains__,
        Days.NOT_HOLIDAYS: lambda day: day not in YEAR.off,
    }[days]
    wanted = [day for day in window if names[day.weekday()] in weekdays and suits(day)]
    assert days_of(one, YEAR, window[0], window[-1]) == wanted


def test_a_calendar_says_until_when_it_is_known() -> None:
    assert YEAR.known_until == date(2026, 12, 31)
    assert NO_HOLIDAYS.known_until is None


def test_once_is_due_once() -> None:
    once = schedule(rule="")
    assert next_occurrence(once, NO_HOLIDAYS, START - timedelta(days=3)) == START
    assert next_occurrence(once, NO_HOLIDAYS, START) is None


def test_days_that_are_left_out_are_named_all_the_same() -> None:
    found = list(named(schedule(days=Days.NOT_HOLIDAYS), YEAR, START - timedelta(days=1), START + timedelta(days=3)))
    assert [kept for _, kept in found] == [False, False, False, True]


def test_an_occurrence_has_one_name_in_every_zone() -> None:
    due = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
    assert broadcast_id(ScheduleId("S-1"), due) == broadcast_id(ScheduleId("S-1"), due.astimezone(SHANGHAI)) == "S-1-20260301T233000Z"


def test_where_clocks_skip_and_repeat_an_hour_each_day_has_one_occurrence() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    one = schedule(start=datetime(2026, 3, 27, 2, 30, tzinfo=berlin), timezone="Europe/Berlin")
    spring = list(occurrences(one, NO_HOLIDAYS, one.start - timedelta(1), one.start + timedelta(days=3)))
    autumn = list(occurrences(one, NO_HOLIDAYS, datetime(2026, 10, 24, tzinfo=UTC), datetime(2026, 10, 26, 12, tzinfo=UTC)))
    assert len({moment.astimezone(berlin).date() for moment in spring}) == len(spring) == 4
    assert len({moment.astimezone(berlin).date() for moment in autumn}) == len(autumn) == 3
