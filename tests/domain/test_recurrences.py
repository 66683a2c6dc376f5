"""Which times a recurrence rule names: what another reader of RFC 5545 says, what is refused, and that no rule costs much."""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.recurrences import read_recurrence, starts_of

FIRST = datetime(2026, 1, 1, 1, 30)  # noqa: DTZ001 -- rules are followed in local time
TEN_YEARS = timedelta(days=3_660)
_MOST_CPU_S = 0.1  # five times what the dearest rule may take here, for machines that do other things, too

_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


def times(rule: str, first: datetime = FIRST, span: timedelta = TEN_YEARS) -> Sequence[datetime]:
    return list(starts_of(read_recurrence(dict(part.split("=") for part in rule.split(";"))), first, first + span))


def _several(values: st.SearchStrategy[object]) -> st.SearchStrategy[str]:
    return st.lists(values, min_size=1, max_size=4, unique=True).map(lambda chosen: ",".join(map(str, chosen)))


@st.composite
def _rules(draw: st.DrawFn) -> str:
    freq = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]))
    parts = {"FREQ": freq, "INTERVAL": str(draw(st.integers(1, 9)))}
    if draw(st.booleans()):
        parts["BYMONTH"] = draw(_several(st.integers(1, 12)))
    if draw(st.booleans()):
        parts["BYMONTHDAY"] = draw(_several(st.integers(1, 31) | st.integers(-31, -1)))
    if draw(st.booleans()):
        days = st.sampled_from(_WEEKDAYS)
        if freq in {"MONTHLY", "YEARLY"} and draw(st.booleans()):
            days = st.tuples(st.sampled_from([1, 2, 4, 5, -1, -2, -5]), days).map(lambda one: f"{one[0]}{one[1]}")
        parts["BYDAY"] = draw(_several(days))
    if len(parts) > 2 and freq != "WEEKLY" and draw(st.booleans()):
        parts["BYSETPOS"] = draw(_several(st.integers(1, 5) | st.integers(-5, -1)))
    if freq == "WEEKLY":
        parts["WKST"] = draw(st.sampled_from(_WEEKDAYS))
    if draw(st.booleans()):
        parts["COUNT"] = str(draw(st.integers(1, 9)))
    return ";".join(f"{name}={value}" for name, value in parts.items())


@settings(max_examples=60, deadline=None)
@given(_rules(), st.integers(0, 4 * 366))
def test_another_reader_of_the_standard_finds_the_same_times(rule: str, later: int) -> None:
    first = FIRST + timedelta(days=later)
    ours = times(rule, first, timedelta(days=1_500))
    if not ours:
        return  # the other reader would look until the year 9999
    other = rrulestr(rule, dtstart=first)
    assert other.between(first, ours[-1], inc=True) == ours
    if len(ours) > 1:
        assert other.after(ours[-2]) == ours[-1]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("FREQ=MONTHLY;BYDAY=2TU;COUNT=3", ["2026-01-13", "2026-02-10", "2026-03-10"]),
        ("FREQ=MONTHLY;BYDAY=-1FR;COUNT=2", ["2026-01-30", "2026-02-27"]),
        ("FREQ=MONTHLY;BYMONTHDAY=31;COUNT=3", ["2026-01-31", "2026-03-31", "2026-05-31"]),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;COUNT=2", ["2028-02-29", "2032-02-29"]),
        ("FREQ=YEARLY;BYDAY=53TH;COUNT=1", ["2026-12-31"]),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;COUNT=2", ["2026-01-30", "2026-02-27"]),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH;COUNT=3", ["2026-01-01", "2026-01-12", "2026-01-15"]),
        ("FREQ=MONTHLY;BYDAY=1MO,FR;COUNT=3", ["2026-01-02", "2026-01-05", "2026-01-09"]),
    ],
)
def test_what_crews_write_means_what_they_mean(rule: str, expected: list[str]) -> None:
    assert [f"{moment:%Y-%m-%d}" for moment in times(rule)] == expected


@pytest.mark.parametrize(
    "part",
    [
        "BYMONTH=13",
        "BYMONTH=0",
        "BYMONTH=-1",
        "BYMONTH=",
        "BYMONTHDAY=32",
        "BYMONTHDAY=0",
        "BYMONTHDAY=-32",
        "BYMONTHDAY=1_0",
        "BYSETPOS=367",
        "BYSETPOS=0",
        "BYDAY=XX",
        "BYDAY=0MO",
        "BYDAY=54MO",
        "INTERVAL=٣",
        "INTERVAL=5001",
        "COUNT=0",
        "COUNT=1e3",
        "WKST=1MO",
        "FREQ=HOURLY",
    ],
)
def test_a_part_out_of_its_range_is_refused(part: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        times("FREQ=MONTHLY;" + part)


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30,31",
        "FREQ=DAILY;INTERVAL=7;BYDAY=MO",
        "FREQ=MONTHLY;INTERVAL=12;BYMONTH=3",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MONTHLY;BYDAY=5MO;BYSETPOS=7",
        "FREQ=WEEKLY;BYMONTH=2;BYMONTHDAY=31",
        "FREQ=YEARLY;BYDAY=" + ",".join(f"{which}{day}" for which in (-53, 53) for day in _WEEKDAYS) + ";BYSETPOS=366",
    ],
)
def test_a_rule_that_never_comes_true_is_found_out_at_little_cost(rule: str) -> None:
    begun = time.process_time()
    assert times(rule) == []
    assert time.process_time() - begun < _MOST_CPU_S
