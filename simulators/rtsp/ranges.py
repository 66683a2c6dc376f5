"""The Range header (RFC 2326 §12.29): absolute times, and the play times that ordinary players send."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from simulators.rtsp.rtp import NTP_EPOCH_S

_UTC: Final = re.compile(r"(\d{8}T\d{6})(\.\d{1,9})?Z")
ABSOLUTE_NPT_S: Final = 1_000_000_000.0
"""Play times this large are seconds since 1900: rtspsrc sends them when the SDP gave a clock range."""


class InvalidRange(Exception):
    """To be answered by 457."""


@dataclass(frozen=True, slots=True)
class Range:
    """Seconds since the epoch. None: from where it stands; to the end."""

    start: float | None = None
    end: float | None = None


def parse(header: str, *, origin: float) -> Range:
    """What to play. `npt` counts from `origin`, the beginning of the footage. Raises `InvalidRange`."""
    unit, equals, rest = header.partition("=")
    first, dash, last = rest.partition(";")[0].partition("-")
    if not equals or not dash:
        raise InvalidRange(header)
    read = {"clock": _clock, "npt": _play_time}.get(unit.strip().lower())
    if read is None:
        raise InvalidRange(header)
    return Range(read(first.strip(), origin), read(last.strip(), origin))


def clock(start: float, end: float | None) -> str:
    """The header's value for absolute times."""
    return f"clock={_stamp(start)}-{'' if end is None else _stamp(end)}"


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(round(seconds, 3), UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3] + "Z"


def _clock(text: str, _origin: float) -> float | None:
    if not text:
        return None
    match = _UTC.fullmatch(text)
    if not match:
        raise InvalidRange(text)
    try:
        whole = datetime.strptime(match[1] + "+0000", "%Y%m%dT%H%M%S%z")
    except ValueError as error:
        raise InvalidRange(text) from error
    return whole.timestamp() + float(match[2] or 0)


def _play_time(text: str, origin: float) -> float | None:
    if not text or text == "now":
        return None
    if not re.fullmatch(r"\d{1,12}(\.\d{0,9})?", text):
        raise InvalidRange(text)
    seconds = float(text)
    return seconds - NTP_EPOCH_S if seconds >= ABSOLUTE_NPT_S else origin + seconds
