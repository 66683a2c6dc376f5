"""The window of footage as it is given on a command line."""

from datetime import datetime, timedelta
from typing import Final

from gateway.ctl.failure import Exit, Failed
from gateway.ctl.spans import span

DEFAULT_LENGTH: Final = timedelta(minutes=10)
_KEPT: Final = timedelta(days=366)
"""Recorders keep weeks or months."""


def window_of(start: str | None, end: str | None, length: str | None) -> dict[str, str]:
    """`start` and `end` with an offset, as far as they are given; DEFAULT_LENGTH when neither end nor length is.

    Failed when one is no time, or both an end and a length are given.
    """
    if end and length:
        raise Failed("Both --end and --for are given.", exit_code=Exit.USAGE, hint="Give one of them.")
    found: dict[str, str] = {}
    if start:
        begun = _moment(start, "--start")
        found = {"start": begun.isoformat(), "end": (begun + (span(length) if length else DEFAULT_LENGTH)).isoformat()}
    if end:
        found["end"] = _moment(end, "--end").isoformat()
    return found


def long_ago(end: str, *, asked_at: str) -> bool:
    """Whether footage that ended at `end` lies so far back that hardly any recorder can have it: a slip of the year, as a rule."""
    return datetime.fromisoformat(asked_at) - datetime.fromisoformat(end) > _KEPT


def length_of(seconds: float) -> str:
    """How long, in its two largest units: 3d 4h, 12m 30s, 0.5s."""
    if seconds < 60:
        return f"{seconds:g}s"
    whole = round(seconds)
    parts = [(whole // 86_400, "d"), (whole // 3_600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s")]
    first = next(index for index, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count}{unit}" for count, unit in parts[first : first + 2] if count)


def _moment(text: str, option: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        hint = "Write 2026-03-01T08:00, or with an offset 2026-03-01T08:00:00+08:00."
        raise Failed(f"{option} {text!r} is no time.", exit_code=Exit.USAGE, hint=hint) from None
