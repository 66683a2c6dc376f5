"""Spans of time as people write them (30m, 2h, 1d12h) and moments as they read them."""

import re
from datetime import UTC, datetime, timedelta

from gateway.ctl.failure import Exit, Failed

_SPAN = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def span(text: str) -> timedelta:
    """The span that `text` says. Failed for anything else."""
    match = _SPAN.fullmatch(text.strip().lower())
    if match is None or not any(match.groups()):
        raise Failed(f"{text!r} is no span of time.", exit_code=Exit.USAGE, hint="Write 30m, 2h, 1h30m or 1d.")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    found = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if not timedelta() < found <= timedelta(days=366):
        raise Failed(f"{text!r} is not between a second and a year.", exit_code=Exit.USAGE, hint="Write 30m, 2h or 1d.")
    return found


def moment(text: str) -> datetime:
    """A moment from now (2h), or an RFC 3339 time; without an offset it is this machine's time. Failed for anything else."""
    if _SPAN.fullmatch(text.strip().lower()):
        return datetime.now(UTC) + span(text)
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        hint = "Write 2h, or 2026-03-01T08:00, or with an offset 2026-03-01T08:00+08:00."
        raise Failed(f"{text!r} is no time.", exit_code=Exit.USAGE, hint=hint) from None


def ago(then: str | None, now: datetime) -> str:
    """How long it is since `then`, in its two largest units: 3d 4h, 2h 5m, 40s; "-" when nobody knows."""
    if not then:
        return "-"
    seconds = max(0, int((now - datetime.fromisoformat(then)).total_seconds()))
    days, hours, minutes = seconds // 86_400, seconds // 3_600 % 24, seconds // 60 % 60
    if days:
        return f"{days}d {hours}h"
    if hours:
        return f"{hours}h {minutes}m"
    return f"{minutes}m" if minutes else f"{seconds}s"
