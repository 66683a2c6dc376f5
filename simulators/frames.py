"""Pictures as data: when they are taken, how large they are, and what is in a coded one; without PyAV, which the first picture brings."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from simulators.views import STREET, Seen

CLOCK_RATE: Final = 90_000
"""Hz; the RTP clock of video (RFC 6184 §5.1, RFC 7798 §4.1)."""

FRAME_TICKS: Final = 7_200
"""RTP ticks between two frames: 12.5 frames a second."""

FRAME_NS: Final = 80_000_000
"""Nanoseconds between two frames; frame n is captured n · 80 ms after the UNIX epoch."""

GOP_FRAMES: Final = 25
"""Frames from one key picture to the next: closed groups of 2 s, aligned to even seconds of UTC."""


@dataclass(frozen=True, slots=True)
class Size:
    """`band_top`: the first row of the caption's band."""

    width: int
    height: int
    band_top: int


MAIN: Final = Size(320, 180, 160)
SUB: Final = Size(160, 96, 80)


class Codec(StrEnum):
    """Names as RTP and ONVIF write them."""

    H264 = "H264"
    H265 = "H265"


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One coded picture: its NAL units without start codes, in decoding order. A key picture brings its parameter sets along."""

    nals: tuple[bytes, ...]
    key: bool


@dataclass(frozen=True, slots=True)
class Sight:
    """A camera as its pictures need it: its id, its clock minus the city's (asked once a group), and what its lens gave at a moment."""

    name: str
    offset_s: Callable[[], float] = float
    view: Callable[[float], Seen] = lambda _at: STREET


def frame_at(unix_ns: int) -> int:
    """The last frame captured at or before a moment."""
    return unix_ns // FRAME_NS
