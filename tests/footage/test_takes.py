"""What counts as one download, and which bytes a Range asks for: for any sequence of calls."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.byte_ranges import part_of
from gateway.domain.footage import FootageState, RequestId
from gateway.domain.handover import WRONG_CODES_MAX, Denial, Link, LinkId, Span, Take, denial, taken
from gateway.errors import Conflict, InvalidInput
from tests.footage.desk import WANG

NOW = datetime(2026, 9, 21, 14, tzinfo=UTC)
SIZE = 1 << 20
LINK = Link(LinkId("L-1"), RequestId("F-1"), "李敏", "", "1", ("a",), 2, "0" * 64, WANG, NOW, NOW + timedelta(hours=72))
spans = st.tuples(st.integers(0, SIZE - 1), st.integers(1, SIZE)).map(lambda pair: Span(pair[0], min(SIZE, pair[0] + pair[1])))


@given(st.lists(st.tuples(spans, st.integers(0, 100_000), st.floats(0, 1)), max_size=60))
def test_no_sequence_of_calls_gets_more_than_twice_the_file_for_each_download(calls):
    """`floats`: which part of a call really went out before the line broke."""
    last: Take | None = None
    at, sent = NOW, 0
    for span, wait, part in calls:
        at += timedelta(seconds=wait)
        try:
            now_taken = taken(LINK, last, span, name="a", size=SIZE, now=at)
        except Conflict as conflict:
            assert conflict.code == Denial.USED_UP
            continue
        went = int(span.length * part)
        sent += went
        last = Take(**{name: getattr(now_taken, name) for name in Take.__slots__} | {"sent": now_taken.sent - span.length + went})
        assert last.number <= LINK.downloads and last.sent <= 2 * SIZE
    assert sent <= 2 * SIZE * LINK.downloads


@given(st.lists(st.integers(1, SIZE - 1), unique=True, max_size=20))
def test_pieces_in_any_cut_are_one_download(cuts):
    edges = [0, *sorted(cuts), SIZE]
    last = None
    for start, end in pairwise(edges):
        last = taken(LINK, last, Span(start, end), name="a", size=SIZE, now=NOW)
    assert last is not None and (last.number, last.sent) == (1, SIZE)


@given(st.text(max_size=30) | st.from_regex(r"bytes=\d{0,8}-\d{0,8}", fullmatch=True), st.integers(1, 10**7))
def test_any_range_header_gives_a_part_of_the_file_or_is_refused(header, size):
    try:
        part = part_of(size, '"x"', asked=header, only_if=None)
    except InvalidInput as refused:
        assert refused.code == "range-not-satisfiable"
        return
    assert 0 <= part.span.start < part.span.end <= size
    assert not part.whole or part.span == Span(0, size)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=5-", (5, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-30", (0, 10)),
        ("bytes=8-99", (8, 10)),
        ("Bytes=1-2", (1, 3)),
        ("bytes=3-1", None),
        ("bytes=0-1,4-5", None),
        ("items=0-1", None),
    ],
)
def test_single_ranges_are_read_as_rfc_9110_has_them_and_others_ignored(header, expected):
    part = part_of(10, '"x"', asked=header, only_if=None)
    assert (None if part.whole else (part.span.start, part.span.end)) == expected


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-11", "bytes=-0"])
def test_ranges_behind_the_end_are_not_satisfiable(header):
    with pytest.raises(InvalidInput):
        part_of(10, '"x"', asked=header, only_if=None)


@given(st.sampled_from(FootageState), st.integers(0, 20), st.booleans(), st.integers(-200, 200))
def test_a_link_opens_only_what_is_there_in_time_and_neither_revoked_nor_locked(state, wrong, revoked, hours):
    link = Link(**{name: getattr(LINK, name) for name in Link.__slots__} | {"wrong": wrong, "revoked_at": NOW if revoked else None})
    why = denial(link, state, now=NOW + timedelta(hours=hours))
    there = state in {FootageState.READY, FootageState.PARTIAL, FootageState.HANDED_OVER}
    assert (why is None) == (not revoked and wrong < WRONG_CODES_MAX and hours < 72 and there)


def test_a_second_call_for_the_whole_is_a_second_download():
    first = taken(LINK, None, Span(0, SIZE), name="a", size=SIZE, now=NOW)
    assert taken(LINK, first, Span(0, SIZE), name="a", size=SIZE, now=NOW).number == 2


def test_all_but_the_first_byte_again_and_again_is_another_download_beyond_twice_the_file():
    first = taken(LINK, None, Span(0, SIZE), name="a", size=SIZE, now=NOW)
    again = taken(LINK, first, Span(1, SIZE), name="a", size=SIZE, now=NOW)
    assert (again.number, again.calls) == (1, 2)
    assert taken(LINK, again, Span(1, SIZE), name="a", size=SIZE, now=NOW).number == 2


def test_a_download_is_not_resumed_after_a_day():
    first = taken(LINK, None, Span(0, 100_000), name="a", size=SIZE, now=NOW)
    assert taken(LINK, first, Span(100_000, SIZE), name="a", size=SIZE, now=NOW + timedelta(hours=25)).number == 2
