"""Recurrence rules of RFC 5545 for days: which local times one names, found by looking at each day of a bounded time at most once.

A rule that never comes true costs no more than one that always does, so that a stranger's rule cannot keep the gateway busy. Times are
local and without an offset. What RFC 5545 leaves to the calendar's owner (time zones, COUNT over UNTIL in UTC) is the caller's.
"""

import calendar
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum

_DAY = timedelta(days=1)
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_WEEKDAY = re.compile(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)")
_NUMBER = re.compile(r"[+-]?[0-9]{1,4}")
_FEW = 5_000
_MONTH_DAYS = 31
_YEAR_DAYS = 366
_YEAR_WEEKS = 53


class Freq(StrEnum):
    """How long a period of a rule is."""

    DAILY = "DAILY"
    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"
    YEARLY = "YEARLY"


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A rule; an empty tuple does not limit. `weekdays`: Monday is 0, with which of its kind in the month or year is meant (0: each)."""

    freq: Freq
    interval: int = 1
    count: int | None = None
    months: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    weekdays: tuple[tuple[int, int], ...] = ()
    positions: tuple[int, ...] = ()
    week_start: int = 0


def read_recurrence(parts: Mapping[str, str]) -> Recurrence:
    """The rule that the parts of an RRULE make, without UNTIL. ValueError with what is wrong with them."""
    try:
        freq = Freq(parts.get("FREQ", ""))
    except ValueError:
        raise ValueError(f"FREQ must be one of {', '.join(Freq)}") from None
    weekdays = tuple(_weekday(text) for text in parts["BYDAY"].split(",")) if "BYDAY" in parts else ()
    if freq in {Freq.DAILY, Freq.WEEKLY} and any(which for _, which in weekdays):
        raise ValueError(f"BYDAY may have numbers only where FREQ is {Freq.MONTHLY} or {Freq.YEARLY}")
    week_start = parts.get("WKST", "MO")
    if week_start not in _WEEKDAYS:
        raise ValueError(f"WKST must be one of {', '.join(_WEEKDAYS)}")
    return Recurrence(
        freq,
        _number("INTERVAL", parts.get("INTERVAL", "1"), _FEW),
        _number("COUNT", parts["COUNT"], _FEW) if "COUNT" in parts else None,
        _numbers("BYMONTH", parts, 12, signed=False),
        _numbers("BYMONTHDAY", parts, _MONTH_DAYS),
        weekdays,
        _numbers("BYSETPOS", parts, _YEAR_DAYS),
        _WEEKDAYS.index(week_start),
    )


def starts_of(rule: Recurrence, first: datetime, last: datetime) -> Iterator[datetime]:
    """The times that `rule` names from `first`, its start, to `last`, both included: in order, at most `count` of them."""
    told = _completed(rule, first.date())
    found = (
        datetime.combine(day, first.time())
        for period in _periods(told, first.date(), last.date())
        for day in _positioned([day for day in period if _names(told, day)], told.positions)
    )
    ahead = itertools.dropwhile(lambda moment: moment < first, found)
    return itertools.islice(itertools.takewhile(lambda moment: moment <= last, ahead), rule.count)


# -- reading ----------------------------------------------------------------------------------------------------------


def _number(name: str, text: str, most: int, *, signed: bool = False) -> int:
    number = int(text) if _NUMBER.fullmatch(text) else 0
    if not 1 <= (abs(number) if signed else number) <= most:
        raise ValueError(f"{name} must be from 1 to {most}{', or as many from the end with a minus' if signed else ''}")
    return number


def _numbers(name: str, parts: Mapping[str, str], most: int, *, signed: bool = True) -> tuple[int, ...]:
    return tuple(_number(name, text, most, signed=signed) for text in parts[name].split(",")) if name in parts else ()


def _weekday(text: str) -> tuple[int, int]:
    match = _WEEKDAY.fullmatch(text)
    if match is None:
        raise ValueError(f"BYDAY must be made of {', '.join(_WEEKDAYS)}, with numbers such as 1MO or -1FR")
    return _WEEKDAYS.index(match[2]), _number("The number of a day in BYDAY", match[1], _YEAR_WEEKS, signed=True) if match[1] else 0


# -- following --------------------------------------------------------------------------------------------------------


def _completed(rule: Recurrence, first: date) -> Recurrence:
    """The rule with the days that it leaves to its start."""
    if rule.weekdays or rule.month_days or rule.freq is Freq.DAILY:
        return rule
    if rule.freq is Freq.WEEKLY:
        return replace(rule, weekdays=((first.weekday(), 0),))
    months = rule.months or ((first.month,) if rule.freq is Freq.YEARLY else ())
    return replace(rule, months=months, month_days=(first.day,))


def _periods(rule: Recurrence, first: date, last: date) -> Iterator[Iterator[date]]:
    """The days of each period from the one of `first` to the one of `last`."""
    if rule.freq is Freq.DAILY:
        days = range(0, (last - first).days + 1, rule.interval)
        return (_days(first + number * _DAY, 1) for number in days)
    if rule.freq is Freq.WEEKLY:
        back = (first.weekday() - rule.week_start) % 7
        weeks = range(-back, (last - first).days + 1, 7 * rule.interval)
        return (_days(first + number * _DAY, 7) for number in weeks)
    if rule.freq is Freq.MONTHLY:
        months = range(first.year * 12 + first.month - 1, last.year * 12 + last.month, rule.interval)
        return (_month(rule, number // 12, number % 12 + 1) for number in months)
    years = range(first.year, last.year + 1, rule.interval)
    return (itertools.chain.from_iterable(_month(rule, year, month) for month in range(1, 13)) for year in years)


def _month(rule: Recurrence, year: int, month: int) -> Iterator[date]:
    if rule.months and month not in rule.months:
        return iter(())
    return _days(date(year, month, 1), calendar.monthrange(year, month)[1])


def _days(first: date, count: int) -> Iterator[date]:
    return (first + number * _DAY for number in range(count))


def _names(rule: Recurrence, day: date) -> bool:
    if rule.months and day.month not in rule.months:
        return False
    if rule.month_days:
        left = day.day - calendar.monthrange(day.year, day.month)[1] - 1
        if day.day not in rule.month_days and left not in rule.month_days:
            return False
    if not rule.weekdays:
        return True
    wanted = {which for weekday, which in rule.weekdays if weekday == day.weekday()}
    return 0 in wanted or (bool(wanted) and not wanted.isdisjoint(_ordinals(rule, day)))


def _ordinals(rule: Recurrence, day: date) -> tuple[int, int]:
    """Which of its weekday `day` is, from the start and from the end: of the year where a yearly rule names no months, else the month."""
    if rule.freq is Freq.YEARLY and not rule.months:
        before, days = day.timetuple().tm_yday - 1, 365 + calendar.isleap(day.year)
    else:
        before, days = day.day - 1, calendar.monthrange(day.year, day.month)[1]
    return before // 7 + 1, -((days - before - 1) // 7 + 1)


def _positioned(days: Sequence[date], positions: Sequence[int]) -> Sequence[date]:
    if not positions:
        return days
    chosen = {place - 1 if place > 0 else len(days) + place for place in positions}
    return [days[place] for place in sorted(chosen) if 0 <= place < len(days)]
