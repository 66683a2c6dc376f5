"""When a maintenance window is in force: once, again and again, over clocks that change, started and ended early; and whom it covers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.city import City
from gateway.domain.devices import CameraGroup, CellCode, Device, DeviceId, DeviceKind, GridCell, GroupId, Position
from gateway.domain.maintenance import Places, Span, Window, WindowId, check, covers, is_past, next_span, span_at, spans
from gateway.errors import InvalidInput

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ALL = Places(everything=True)
ONCE = Window(WindowId("M-1"), ALL, NOON, "", "user:li", NOON, end=NOON + HOUR)
NIGHTLY = Window(
    WindowId("M-2"),
    ALL,
    datetime(2026, 1, 1, 18, tzinfo=UTC),
    "",
    "user:li",
    NOON,
    rule="FREQ=DAILY",
    duration=2 * HOUR,
    timezone="Asia/Shanghai",
)


def test_a_window_of_once_is_in_force_from_start_until_before_end() -> None:
    assert spans(ONCE, NOON - DAY, NOON + DAY) == (Span(NOON, NOON + HOUR),)
    assert span_at(ONCE, NOON) == Span(NOON, NOON + HOUR)
    assert span_at(ONCE, NOON + HOUR) is None
    assert span_at(ONCE, NOON - timedelta(microseconds=1)) is None
    assert next_span(ONCE, NOON - HOUR) == Span(NOON, NOON + HOUR)


def test_a_recurring_window_comes_at_the_same_local_time() -> None:
    found = spans(NIGHTLY, NOON, NOON + 3 * DAY)
    assert [one.start.astimezone(ZoneInfo("Asia/Shanghai")).hour for one in found] == [2, 2, 2]
    assert {one.end - one.start for one in found} == {2 * HOUR}


def test_a_span_that_is_cut_by_the_question_is_clipped_to_it() -> None:
    middle = NIGHTLY.start + HOUR
    assert spans(NIGHTLY, middle, middle + DAY) == (Span(middle, middle + HOUR), Span(NIGHTLY.start + DAY, middle + DAY))


def test_a_local_time_that_the_clocks_skip_means_the_moment_by_the_offset_before_and_one_that_comes_twice_the_first() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    window = replace(NIGHTLY, start=datetime(2026, 3, 27, 2, 30, tzinfo=berlin), timezone="Europe/Berlin", duration=HOUR)
    spring = spans(window, datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 3, 30, tzinfo=UTC))
    assert [one.start for one in spring] == [datetime(2026, 3, 29, 1, 30, tzinfo=UTC)]
    assert spring[0].start.astimezone(berlin).hour == 3
    autumn = spans(window, datetime(2026, 10, 25, tzinfo=UTC), datetime(2026, 10, 26, tzinfo=UTC))
    assert [one.start for one in autumn] == [datetime(2026, 10, 25, 0, 30, tzinfo=UTC)]
    assert autumn[0].end - autumn[0].start == HOUR


def test_a_rule_counts_its_times_and_stops_at_its_end() -> None:
    three = replace(NIGHTLY, rule="FREQ=DAILY;COUNT=3")
    assert len(spans(three, NOON, NOON + 30 * DAY)) == 3
    until = replace(NIGHTLY, rule="FREQ=DAILY;UNTIL=20260103T180000Z")
    assert [one.start for one in spans(until, NOON, NOON + 30 * DAY)] == [NIGHTLY.start, NIGHTLY.start + DAY, NIGHTLY.start + 2 * DAY]
    day = replace(NIGHTLY, rule="FREQ=DAILY;UNTIL=20260103")
    assert len(spans(day, NOON, NOON + 30 * DAY)) == 2


def test_a_window_is_past_when_no_time_of_it_is_ahead() -> None:
    assert (is_past(ONCE, NOON + HOUR), is_past(ONCE, NOON)) == (True, False)
    thrice = replace(NIGHTLY, rule="FREQ=DAILY;COUNT=3")
    last = thrice.start + 2 * DAY
    assert (is_past(thrice, last + HOUR), is_past(thrice, last + 2 * HOUR)) == (False, True)
    assert not is_past(replace(NIGHTLY, rule="FREQ=YEARLY;INTERVAL=3"), NIGHTLY.start + 2 * DAY)
    assert is_past(NIGHTLY, NIGHTLY.start + timedelta(days=4_000))


def test_early_ends_early_starts_and_a_cancellation_are_what_really_was() -> None:
    ended = replace(NIGHTLY, cuts=(Span(NIGHTLY.start + HOUR, NIGHTLY.start + 2 * HOUR),))
    assert spans(ended, NOON, NOON + DAY) == (Span(NIGHTLY.start, NIGHTLY.start + HOUR),)
    started = replace(ONCE, extra=(Span(NOON - HOUR, NOON),))
    assert spans(started, NOON - DAY, NOON + DAY) == (Span(NOON - HOUR, NOON + HOUR),)
    cancelled = replace(ONCE, cancelled_at=NOON + HOUR / 2)
    assert spans(cancelled, NOON - DAY, NOON + DAY) == (Span(NOON, NOON + HOUR / 2),)
    assert span_at(cancelled, NOON + HOUR / 2) is None


@given(st.integers(0, 50_000), st.integers(1, 5_000), st.integers(0, 2_000))
def test_spans_of_adjoining_times_are_those_of_the_whole(start: int, first: int, second: int) -> None:
    window = replace(NIGHTLY, rule="FREQ=WEEKLY;BYDAY=MO,TH", duration=30 * HOUR)
    begin = NOON + timedelta(minutes=start)
    middle, end = begin + timedelta(minutes=first), begin + timedelta(minutes=first + second)
    parts = [*spans(window, begin, middle), *spans(window, middle, end)]
    whole = spans(window, begin, end)
    assert sum((one.end - one.start for one in parts), timedelta()) == sum((one.end - one.start for one in whole), timedelta())
    assert all(span_at(window, one.start) is not None for one in whole)


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"places": Places()}, "/"),
        ({"end": NOON}, "/end"),
        ({"end": None}, "/end"),
        ({"end": NOON + timedelta(days=9_999)}, "/end"),
        ({"end": None, "rule": "FREQ=DAILY", "duration": 0 * HOUR}, "/duration_minutes"),
        ({"end": None, "rule": "FREQ=DAILY", "duration": HOUR, "timezone": "Mars/Base"}, "/timezone"),
        ({"end": None, "rule": "FREQ=DAILY", "duration": HOUR, "timezone": "../../etc/passwd"}, "/timezone"),
        ({"end": None, "rule": "FREQ=SECONDLY", "duration": HOUR}, "/rrule"),
        ({"end": None, "rule": "FREQ=DAILY;BYDAY=XX", "duration": HOUR}, "/rrule"),
        ({"end": None, "rule": "FREQ=DAILY;COUNT=x", "duration": HOUR}, "/rrule"),
        ({"end": None, "rule": "FREQ=DAILY\nRRULE:FREQ=DAILY", "duration": HOUR}, "/rrule"),
        ({"end": None, "rule": "FREQ=DAILY;BYEASTER=1", "duration": HOUR}, "/rrule"),
        ({"end": None, "rule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "duration": HOUR}, "/rrule"),
        ({"end": None, "rule": "FREQ=DAILY;INTERVAL=0", "duration": HOUR}, "/rrule"),
        ({"end": None, "rule": "FREQ=DAILY;INTERVAL=٣", "duration": HOUR}, "/rrule"),
        ({"end": None, "rule": "FREQ=DAILY;UNTIL=٢٠٢٧٠١٠١", "duration": HOUR}, "/rrule"),
        ({"end": None, "rule": "FREQ=DAILY;INTERVAL=2;INTERVAL=3", "duration": HOUR}, "/rrule"),
        ({"end": None, "rule": "FREQ=WEEKLY;BYDAY=1MO", "duration": HOUR}, "/rrule"),
        ({"end": None, "rule": "FREQ=DAILY;COUNT=2;UNTIL=20270101T000000Z", "duration": HOUR}, "/rrule"),
        ({"end": NOON + HOUR, "rule": "FREQ=DAILY", "duration": HOUR}, "/end"),
    ],
)
def test_a_window_that_cannot_be_kept_is_refused_with_the_place_of_the_fault(changed: dict[str, object], where: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check(replace(ONCE, **changed))
    assert where in [fault.where for fault in refused.value.faults]


@given(st.text(alphabet="FREQ=DAILY;BYMONTHUNTILCOUNT0123456789-,TZ ", max_size=80))
def test_whatever_stands_for_a_rule_it_is_taken_or_refused(rule: str) -> None:
    try:
        window = check(replace(NIGHTLY, rule="FREQ=DAILY;" + rule))
    except InvalidInput:
        return
    assert all(one.start < one.end for one in spans(window, NOON, NOON + 40 * DAY))


def test_a_window_covers_whatever_one_of_its_places_names() -> None:
    city = City()
    pole = Device(DeviceId("cam-1"), DeviceKind.CAMERA, "", "10.0.0.1", group=GroupId("g-1"), cell=CellCode("c-1"), vendor="Acme")
    lone = Device(DeviceId("nvr-1"), DeviceKind.RECORDER, "", "10.0.0.2", cell=CellCode("c-2"))
    groups = [CameraGroup(GroupId("g-1"), "", district="历下")]
    ring = (Position(36.0, 117.0), Position(36.1, 117.0), Position(36.1, 117.1), Position(36.0, 117.0))
    city.replace(devices=[pole, lone], groups=groups, cells=[GridCell(CellCode("c-2"), "", (ring,), district="市中")])
    names = {"devices": "cam-1", "groups": "g-1", "cells": "c-1", "districts": "历下", "vendors": "Acme"}
    for field, name in names.items():
        places = Places(**{field: frozenset({name})})
        assert covers(places, pole, city), field
        assert not covers(places, lone, city), field
    assert covers(ALL, lone, city)
    assert covers(Places(districts=frozenset({"市中"})), lone, city)
    assert not covers(Places(districts=frozenset({"历下"}), vendors=frozenset({""})), lone, city)
