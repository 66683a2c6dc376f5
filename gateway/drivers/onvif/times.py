"""Dates and times as devices write them: read with patience where the meaning is plain, refused where it is not."""

import re
from datetime import UTC, datetime, timedelta

from lxml import etree

from gateway.drivers.onvif.soap import child, text


def read_components(element: etree._Element | None) -> datetime | None:
    """A tt:DateTime (Time{Hour, Minute, Second}, Date{Year, Month, Day}) as an aware UTC value; None when absent or impossible.

    Overflowing parts are carried (minute 61 is one past the hour), because firmware adds zones and rounds without carrying.
    """
    time, date = child(element, "Time"), child(element, "Date")
    if time is None or date is None:
        return None
    try:
        parts = [int(text(one, name)) for one, name in ((date, "Year"), (date, "Month"), (date, "Day"))]
        clock = [int(text(time, name)) for name in ("Hour", "Minute", "Second")]
    except ValueError:
        return None
    return _assemble(parts, clock)


def read_datetime(value: str) -> datetime | None:
    """An xs:dateTime as an aware UTC value; None when impossible. Without a zone it is taken as UTC, as ONVIF means it."""
    match = _DATETIME.fullmatch(value.strip())
    if match is None:
        return None
    moment = _assemble([int(part) for part in match.group(1, 2, 3)], [int(part) for part in match.group(4, 5, 6)])
    if moment is None:
        return None
    moment += timedelta(seconds=float(match[7] or 0))
    if match[8] in (None, "Z", "z"):
        return moment
    ahead = timedelta(hours=int(match[9]), minutes=int(match[10]))
    if ahead > timedelta(hours=15):
        return None
    return _shifted(moment, -ahead if match[8][0] == "+" else ahead)


def write_datetime(moment: datetime) -> str:
    """An xs:dateTime in UTC, with `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:23] + "Z"


def zone_offset(posix: str) -> timedelta | None:
    """How far standard time is ahead of UTC in a POSIX TZ string ("CST-8" is +8 h; POSIX 1003.1, 8.3); None when it cannot be told."""
    match = _ZONE.match(posix.strip())
    if match is None or int(match[2]) > 14 or int(match[3] or 0) > 59:
        return None
    behind = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
    return behind if match[1] == "-" else -behind


def zone_lie(ahead_s: float) -> float:
    """Of a clock that tells `ahead_s` more than the device signs by, how much of that is the lie of a zone; 0 when it is none.

    Zones are whole quarters of an hour; the rest is what the device allows a signature to be off, five minutes at most.
    """
    quarters = round(ahead_s / _QUARTER_S)
    near = abs(ahead_s - quarters * _QUARTER_S) <= _WINDOW_S
    return quarters * _QUARTER_S if near and 0 < abs(quarters * _QUARTER_S) <= _FARTHEST_S else 0.0


def whole_zones(offset_s: float, *, within_s: float) -> bool:
    """Whether a clock is off by whole half hours, as one whose zone or daylight saving is wrong, and not by chance."""
    halves = round(offset_s / _HALF_S)
    return 0 < abs(halves * _HALF_S) <= _FARTHEST_S and abs(offset_s - halves * _HALF_S) <= within_s


_QUARTER_S = 900.0
_HALF_S = 1800.0
_WINDOW_S = 300.0
_FARTHEST_S = 15 * 3600.0
_DATETIME = re.compile(
    r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})(?:T-?|[ -])"
    r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(\.[0-9]{1,9})?[0-9]*([Zz]|[+-]([0-9]{2}):?([0-9]{2}))?"
)
_ZONE = re.compile(r"(?:[A-Za-z]{3,10}|<[A-Za-z0-9+-]{1,10}>)([+-]?)([0-9]{1,2})(?::([0-9]{1,2}))?")


def _assemble(date: list[int], clock: list[int]) -> datetime | None:
    hour, minute, second = clock
    if not _within_reach(hour, minute, second):
        return None
    try:
        day = datetime(date[0], date[1], date[2], tzinfo=UTC)
    except ValueError:
        return None
    return _shifted(day, timedelta(hours=hour, minutes=minute, seconds=second))


def _within_reach(hour: int, minute: int, second: int) -> bool:
    """Whether parts that firmware forgot to carry can still be meant."""
    return -24 < hour < 48 and -60 < minute < 120 and -60 < second < 120


def _shifted(moment: datetime, by: timedelta) -> datetime | None:
    try:
        return moment + by
    except OverflowError:
        return None
