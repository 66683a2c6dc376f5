"""The moments that an RRULE of RFC 5545 names in a time zone, and what is wrong with a rule that names none.

Local times follow RFC 5545 (3.3.5): one that the clocks skip means the same moment by the offset before the gap, one that comes twice
means the first.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.domain.recurrences import Recurrence, read_recurrence, starts_of
from gateway.errors import Fault

FARTHEST = timedelta(days=3_660)
"""A rule is not looked at beyond so long after its start."""
_CHARACTERS = 200
_PARTS = frozenset({"FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "BYMONTH", "BYMONTHDAY", "BYSETPOS", "WKST"})
_SOON = timedelta(days=370 * 4)
"""A rule that does not come true within so long is a mistake; one for 29 February does."""


def moments(rule: str, start: datetime, timezone: str, end: datetime) -> Iterator[datetime]:
    """When `rule` comes true from `start` on, until before `end`, in UTC and in order: it is followed in local time without an offset."""
    zone = ZoneInfo(timezone)
    end = min(end, start + FARTHEST)
    first = start.astimezone(zone).replace(tzinfo=None)
    last = end.astimezone(zone).replace(tzinfo=None)
    followed, until = _followed(rule, zone)
    for local in starts_of(followed, first, min(last, until or last)):
        moment = local.replace(tzinfo=zone).astimezone(UTC)
        if moment < end:
            yield moment


def rule_faults(rule: str, start: datetime, timezone: str) -> Iterator[Fault]:
    """What is wrong with a rule and its time zone; nothing when they name a moment within four years."""
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield Fault("/timezone", f"there is no time zone {timezone[:64]!r}; Asia/Shanghai is one", "no-time-zone")
        return
    named = [part.partition("=")[0] for part in rule.split(";")]
    if len(rule) > _CHARACTERS or not rule.isascii() or set(named) - _PARTS:
        yield Fault("/rrule", f"must be one RRULE of RFC 5545, made of {', '.join(sorted(_PARTS))}", "no-rrule")
        return
    if len(named) != len(set(named)):
        yield Fault("/rrule", "may name each part once", "no-rrule")
        return
    if {"COUNT", "UNTIL"} <= set(named):
        yield Fault("/rrule", "ends by COUNT or by UNTIL, not by both (RFC 5545, 3.3.10)", "no-rrule")
        return
    try:
        first = next(moments(rule, start, timezone, start + _SOON), None)
    except (ValueError, OverflowError) as error:
        yield Fault("/rrule", f"is no RRULE: {error}", "no-rrule")
        return
    if first is None:
        yield Fault("/rrule", "never comes to be within four years", "never")


def _followed(rule: str, zone: ZoneInfo) -> tuple[Recurrence, datetime | None]:
    """The rule and its UNTIL, which stands in UTC (RFC 5545, 3.3.10), in local time. Raises ValueError and OverflowError."""
    parts = dict(part.partition("=")[::2] for part in rule.split(";"))
    until = parts.pop("UNTIL", "")
    if until.endswith("Z"):
        ends = datetime.strptime(until, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)
    elif until:
        ends = datetime.strptime(until.partition("T")[0], "%Y%m%d") + timedelta(days=1, microseconds=-1)  # noqa: DTZ007 -- local
    else:
        ends = None
    return read_recurrence(parts), ends
