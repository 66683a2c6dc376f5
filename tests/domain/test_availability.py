"""Availability against a naive model that looks at every unit of time by itself, over ten thousand random histories."""

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from gateway.domain.availability import (
    CLOCK,
    PICTURE,
    Account,
    Life,
    Span,
    Tally,
    account,
    accounts,
    days,
    gaps,
    merged,
    microseconds,
    midnight,
    moment,
    month_after,
    plain,
)
from gateway.domain.health import HealthState

UNKNOWN, UP, DEGRADED, DOWN = HealthState
HISTORIES = 10_000
SPAN = 48  # units of time in a history


def spans(dice: random.Random, most: int) -> list[Span]:
    return [(start, start + dice.randrange(12)) for start in (dice.randrange(-6, SPAN + 6) for _ in range(dice.randrange(most + 1)))]


def history(dice: random.Random) -> Life:
    """States that stay or change, with times that now and then step back, as clocks do."""
    at, changes = dice.randrange(-3, 10), []
    for _ in range(dice.randrange(10)):
        changes.append((at, dice.choice([UP, UP, DEGRADED, DOWN, DOWN, UNKNOWN])))
        at += dice.choice([0, 0, 1, 2, 3, 5, 9, -1])
    return Life(
        dice.choice(list(HealthState)),
        changes,
        maintenance=spans(dice, 2),
        blind=spans(dice, 2),
        excused=spans(dice, 2),
        complaints={check: spans(dice, 2) for check in (CLOCK, PICTURE)},
        checked={check: dice.randrange(-5, SPAN) for check in (CLOCK, PICTURE) if dice.random() < 0.8},
    )


# -- the naive model


def state_at(life: Life, unit: int) -> HealthState:
    state, latest = life.before, -1_000
    for at, after in life.changes:
        latest = max(latest, at)
        if latest <= unit:
            state = after
    return state


def within(spans: Sequence[Span], unit: int) -> bool:
    return any(start <= unit < end for start, end in spans)


def runs(states: Sequence[HealthState]) -> list[int]:
    """The lengths of the runs of DOWN."""
    found = [0]
    for state in states:
        if state is DOWN:
            found[-1] += 1
        elif found[-1]:
            found.append(0)
    return [length for length in found if length]


def naive_tally(states: Sequence[HealthState]) -> tuple[int, ...]:
    return states.count(UP), states.count(DEGRADED), states.count(DOWN), len(runs(states)), max(runs(states), default=0)


def naive(life: Life, start: int, end: int) -> dict[str, object]:
    units = range(start, end)
    states = {unit: state_at(life, unit) for unit in units}
    maintained = [unit for unit in units if within(life.maintenance, unit)]
    unknown = [unit for unit in units if unit not in maintained and (states[unit] is UNKNOWN or within(life.blind, unit))]
    counted = [unit for unit in units if unit not in maintained and unit not in unknown]
    kept = [unit for unit in counted if not within(life.excused, unit)]
    checked = {
        check: [unit for unit in counted if states[unit] is not DOWN and unit >= life.checked.get(check, end)] for check in (CLOCK, PICTURE)
    }
    bad = {check: [unit for unit in found if within(life.complaints[check], unit)] for check, found in checked.items()}
    return {
        "raw": naive_tally([states[unit] for unit in counted]),
        "adjusted": naive_tally([states[unit] for unit in kept]),
        "rest": (len(unknown), len(maintained), len(counted) - len(kept)),
        "checks": tuple(len(part[check]) for check in (CLOCK, PICTURE) for part in (checked, bad)),
    }


def told(found: Account) -> dict[str, object]:
    def tally(one: Tally) -> tuple[int, ...]:
        return one.up, one.degraded, one.down, one.outages, one.longest

    return {
        "raw": tally(found.raw),
        "adjusted": tally(found.adjusted),
        "rest": (found.unknown, found.maintenance, found.excused),
        "checks": (found.clock_checked, found.clock_bad, found.picture_checked, found.picture_bad),
    }


def test_every_history_is_accounted_as_the_naive_model_does_whole_and_in_pieces() -> None:
    dice = random.Random(20261125)
    for _ in range(HISTORIES):
        life = history(dice)
        start = dice.randrange(5)
        end = dice.randrange(start + 1, SPAN)
        cuts = sorted({start, end, *(dice.randrange(start, end) for _ in range(dice.randrange(5)))})
        whole = account(life, start, end)
        assert told(whole) == naive(life, start, end), life
        pieces = list(accounts(life, cuts))
        assert [told(piece) for piece in pieces] == [naive(life, *cut) for cut in pairwise(cuts)], life
        assert reduce(Account.then, pieces) == whole, life
        assert reduce(Account.then, reversed_halves(pieces)) == whole, life  # however they are bracketed
        assert whole.length == end - start


def reversed_halves(pieces: list[Account]) -> list[Account]:
    """The second half folded first: what `then` gives must not depend on the order of joining."""
    middle = len(pieces) // 2
    halves = [part for part in (pieces[:middle], pieces[middle:]) if part]
    return [reduce(Account.then, part) for part in halves]


def test_devices_side_by_side_are_sums_with_the_longest_outage_of_any() -> None:
    one = account(Life(UP, [(10, DOWN), (14, UP)]), 0, 20)
    other = account(Life(DOWN, [(7, DEGRADED)]), 0, 20)
    both = one.beside(other)
    assert (both.raw.up, both.raw.degraded, both.raw.down, both.raw.outages, both.raw.longest) == (16, 13, 11, 2, 7)
    assert both.length == 40


def test_the_rates_are_those_of_the_printed_formulas() -> None:
    second = 1_000_000
    life = Life(UP, [(50 * second, DEGRADED), (60 * second, DOWN), (80 * second, UP)], excused=[(70 * second, 80 * second)])
    found = account(life, 0, 100 * second)
    assert (found.raw.online, found.raw.intact) == (0.8, 0.7)
    assert (found.adjusted.online, found.adjusted.intact) == (80 / 90, 70 / 90)
    assert (found.raw.mtbf_s, found.raw.mttr_s, found.adjusted.mttr_s) == (80.0, 20.0, 10.0)
    assert (Account().raw.online, Account().raw.mttr_s, Account().clock_right) == (None, None, None)


def test_maintenance_and_blindness_neither_end_an_outage_nor_make_it_longer() -> None:
    life = Life(UP, [(10, DOWN), (40, UP)], maintenance=[(20, 25)], blind=[(30, 35)])
    found = account(life, 0, 50).raw
    assert (found.outages, found.down, found.longest) == (1, 20, 20)


def test_a_plain_window_is_that_of_a_device_that_was_up_and_checked() -> None:
    assert plain(30, clock=True, picture=False) == account(Life(UP, checked={CLOCK: -5}), 0, 30)


def test_spans_are_merged_and_their_gaps_found() -> None:
    assert merged([(5, 9), (1, 3), (3, 4), (8, 12), (20, 20)]) == [(1, 4), (5, 12)]
    assert gaps([(5, 9), (1, 3)], 0, 20) == [(0, 1), (3, 5), (9, 20)]
    assert gaps([(-5, 30)], 0, 20) == []
    assert gaps([], 3, 7) == [(3, 7)]
    assert gaps([(30, 40)], 3, 7) == [(3, 7)]


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Asia/Shanghai", date(2026, 3, 29), 24),
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("Asia/Beirut", date(2026, 3, 29), 23),  # there is no midnight: the day begins at one
        ("America/Havana", date(2026, 11, 1), 25),  # midnight comes twice
    ],
)
def test_a_day_has_the_hours_that_its_clocks_show(zone: str, day: date, hours: int) -> None:
    place = ZoneInfo(zone)
    assert midnight(day + timedelta(days=1), place) - midnight(day, place) == hours * 3_600 * 1_000_000


def test_the_days_of_a_year_follow_each_other_without_a_gap_wherever_clocks_are_moved() -> None:
    for zone in ("Europe/Berlin", "Asia/Beirut", "America/Havana", "Australia/Lord_Howe"):
        starts = [midnight(day, ZoneInfo(zone)) for day in days(date(2026, 1, 1), date(2027, 1, 2))]
        assert starts == sorted(set(starts))
        local = [moment(start).astimezone(ZoneInfo(zone)).date() for start in starts]
        assert local == days(date(2026, 1, 1), date(2027, 1, 2))


def test_moments_are_exact_and_months_follow_each_other() -> None:
    at = datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert moment(microseconds(at)) == at
    assert [month_after(date(2026, month, 15)) for month in (1, 11, 12)] == [date(2026, 2, 1), date(2026, 12, 1), date(2027, 1, 1)]
