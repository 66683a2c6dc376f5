"""Coverage: each second is recorded, a gap, or unknown; sources are kept apart; the countdown never promises too much."""

import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.coverage import Basis, Countdown, Coverage, Holding, Lack, Look, Source, Told, countdown, pieces
from gateway.domain.devices import DeviceId
from gateway.domain.footage import Period, total
from gateway.domain.holds import HoldId, Keep

START = datetime(2026, 9, 1, tzinfo=UTC)
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
WINDOW = Period(START, START + timedelta(seconds=100))
SECONDS = range(100)


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def period(start: float, end: float) -> Period:
    return Period(at(start), at(end))


def holding(device: str, *periods: tuple[float, float], told: Told = Told.HISTORY, **more: object) -> Holding:
    return Holding(DeviceId(device), Source.RECORDER, told=told, recorded=tuple(period(*one) for one in periods), **more)


def seconds(periods: Iterable[Period]) -> set[int]:
    known = list(periods)
    return {second for second in SECONDS for one in known if one.start <= at(second) < one.end}


HOLDINGS = st.lists(
    st.tuples(
        st.sampled_from(list(Told)),
        st.lists(st.tuples(st.integers(0, 90), st.integers(1, 30)), max_size=5),
        st.none() | st.integers(-20, 120),
    ),
    max_size=3,
).map(
    lambda drawn: tuple(
        holding(
            f"d{index}",
            *((start, start + length) for start, length in spans if told in (Told.HISTORY, Told.BOUNDS)),
            told=told,
            oldest=None if oldest is None else at(oldest),
        )
        for index, (told, spans, oldest) in enumerate(drawn)
    )
)


@given(HOLDINGS)
def test_each_second_is_just_one_of_recorded_missing_and_unknown(holdings: tuple[Holding, ...]) -> None:
    found = Coverage(DeviceId("c"), WINDOW, holdings)
    parts = [seconds(found.recorded), seconds(gap.period for gap in found.gaps), seconds(found.unknown)]
    assert sum(len(part) for part in parts) == len(SECONDS)
    assert set().union(*parts) == set(SECONDS)


@given(HOLDINGS)
def test_nothing_is_called_missing_while_somebody_who_may_have_it_is_silent(holdings: tuple[Holding, ...]) -> None:
    found = Coverage(DeviceId("c"), WINDOW, holdings)
    if any(one.told in (Told.NOTHING, Told.UNLISTED) for one in holdings):
        assert found.gaps == ()
    else:
        assert found.unknown == ()


@given(HOLDINGS)
def test_pieces_are_in_order_disjoint_and_name_all_who_have_them(holdings: tuple[Holding, ...]) -> None:
    found = pieces(holdings, WINDOW)
    assert all(before.period.end <= after.period.start for before, after in pairwise(found))
    assert total(piece.period for piece in found) == total(Coverage(DeviceId("c"), WINDOW, holdings).recorded)
    for piece in found:
        for second in seconds([piece.period]):
            assert set(piece.sources) == {one.device for one in holdings if second in seconds(one.recorded)}


def test_a_month_of_a_camera_that_records_motion_alone_is_told_in_a_moment() -> None:
    """The processor's time of this thread: the loop waits for it."""
    spans = [(60 * index, 60 * index + 30) for index in range(5_000)]
    others = [(60 * index + 10, 60 * index + 20) for index in range(5_000)]
    window = Period(START, START + 30 * DAY)
    found = Coverage(DeviceId("c"), window, (holding("recorder", *spans), holding("card", *others)))
    keep = Keep(HoldId("h"), found.camera, DeviceId("recorder"), needed=found.recorded, obtained=found.recorded[::2])
    before = time.thread_time()
    assert len(found.pieces) == 15_000
    assert len(keep.missing) == 2_500
    assert time.thread_time() - before < 1


@given(HOLDINGS)
def test_what_is_older_than_all_that_is_kept_is_not_called_a_gap_of_the_recording(holdings: tuple[Holding, ...]) -> None:
    for gap in Coverage(DeviceId("c"), WINDOW, holdings).gaps:
        oldest = [one.oldest for one in holdings]
        older = bool(oldest) and all(oldest) and gap.period.end <= min(oldest)
        assert (gap.lack is Lack.BEFORE_OLDEST) == older


# -- the countdown ----------------------------------------------------------------------------------------------------


def looks(*pairs: tuple[float, float]) -> list[Look]:
    """(days after the start, days before the start)."""
    return [Look(START + when * DAY, START - oldest * DAY) for when, oldest in pairs]


@pytest.mark.parametrize(
    ("seen", "retention", "expected"),
    [
        ([], None, (Basis.UNKNOWN, None, "no-oldest")),
        (looks((0, 30)), None, (Basis.UNKNOWN, None, "not-measured")),
        (looks((0, 30), (1, 30), (2, 30)), None, (Basis.UNKNOWN, None, "stands-still")),
        (looks((0, 30)), 30 * DAY, (Basis.RETENTION, START + 30 * DAY, "")),
        (looks((0, 30), (1, 29), (2, 28)), None, (Basis.MEASURED, START + 30 * DAY, "")),
        (looks((0, 30), (1, 28), (2, 26)), None, (Basis.MEASURED, START + 15 * DAY, "")),
        (looks((0, 30), (1, 28), (2, 26)), 10 * DAY, (Basis.RETENTION, START + 10 * DAY, "")),
        (looks((0, 30), (1, 28), (2, 26)), 20 * DAY, (Basis.MEASURED, START + 15 * DAY, "")),
        (looks((-2, 3), (-1, 2), (0, 30)), None, (Basis.UNKNOWN, None, "not-measured")),
    ],
)
def test_the_countdown_says_how_it_knows(
    seen: list[Look], retention: timedelta | None, expected: tuple[Basis, datetime | None, str]
) -> None:
    found = countdown(START, seen, retention=retention, now=START)
    assert (found.basis, found.at, found.reason) == expected


@given(
    st.integers(1, 48),
    st.floats(0.25, 4),
    st.lists(st.floats(0.1, 30), min_size=3, max_size=40),
    st.floats(0, 20),
)
def test_a_recorder_that_drops_whole_files_never_drops_one_before_its_countdown(
    file_h: int, rate: float, hours: list[float], ahead: float
) -> None:
    """The oldest moment goes by files of `file_h` hours, on average `rate` hours in an hour; the looks come when they come."""
    file = timedelta(hours=file_h)

    def oldest(when: datetime) -> datetime:
        return START - 30 * DAY + int((when - START) * rate / file) * file

    now, seen = START, []
    for pause in hours:
        now += timedelta(hours=pause)
        seen.append(Look(now, oldest(now)))
    first = seen[-1].oldest + ahead * DAY
    found = countdown(first, seen, retention=None, now=now)
    if found.basis is not Basis.MEASURED:
        return
    assert found.at is not None
    assert found.at >= now
    # A rate between looks is known as well as the looks are close: the longest pause at each end of what was measured.
    changes = [after for before, after in pairwise(seen) if after.oldest > before.oldest]
    doubt = max(timedelta(hours=pause) for pause in hours) / (changes[-1].at - changes[0].at)
    if found.at > now:
        early = now + (found.at - now) * max(0.0, 1 - doubt)
        assert oldest(early - SECOND) <= first + file


def test_footage_in_the_next_file_to_be_dropped_is_not_promised_for_longer() -> None:
    """Whole days are dropped at midnight; the last look is an hour before one, and what is asked for lies in the day that goes then."""
    hours = [*range(1, 119, 6), 119]
    seen = [Look(START + timedelta(hours=hour), START - 30 * DAY + (hour // 24) * DAY) for hour in hours]
    found = countdown(START - 26 * DAY + timedelta(hours=12), seen, retention=None, now=seen[-1].at)
    assert found.basis is Basis.MEASURED
    assert found.at is not None
    assert found.at <= START + 5 * DAY


def test_a_rate_is_not_taken_from_looks_a_moment_apart() -> None:
    seen = [Look(at(second), at(second)) for second in range(200)]
    assert countdown(at(9_000), seen, retention=None, now=at(200)).reason == "not-measured"
    seen += [Look(at(second), at(second)) for second in range(200, 400)]
    assert countdown(at(9_000), seen, retention=None, now=at(400)) == Countdown(Basis.MEASURED, at(9_000), 1.0)


def test_the_last_copy_counts_and_a_silent_one_makes_it_unknown() -> None:
    known = [Countdown(Basis.RETENTION, at(500)), Countdown(Basis.RETENTION, at(900)), Countdown(Basis.UNKNOWN, reason="no-oldest")]
    two = [holding(f"d{index}", (10, 20), countdown=one) for index, one in enumerate(known)]
    assert Coverage(DeviceId("c"), WINDOW, tuple(two[:2])).countdown == known[1]
    assert Coverage(DeviceId("c"), WINDOW, tuple(two)).countdown == known[2]
    later = holding("d9", (15, 30), countdown=known[1])
    assert Coverage(DeviceId("c"), WINDOW, (two[0], later)).countdown == known[0]
