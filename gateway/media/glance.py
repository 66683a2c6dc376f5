"""A glance at a live stream: its first key picture, how large that is, and how fast the pictures follow each other."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from gateway.errors import ProtocolError
from gateway.media.depacketize import AccessUnit, Depacketizer, Packet
from gateway.media.mp4 import Track
from gateway.media.parameter_sets import configure, from_format

_CLOCK_RATE = 90_000  # Hz, of H.264 and H.265 (RFC 6184, 5.1; RFC 7798, 4.1)
_WRAP = 1 << 32
_FRAMES = 8  # a rate is read from so many pictures
_FEWEST = 3
_START = b"\x00\x00\x00\x01"


@dataclass(frozen=True, slots=True)
class Glance:
    """`stream`: the key picture as a byte stream with its parameter sets; `at`: when it was complete, by the clock that was given.

    `width`, `height`: 0 where the parameter sets tell none; `frame_rate`: frames a second, 0 where too few came to tell.
    """

    encoding: str
    stream: bytes
    at: float
    width: int
    height: int
    frame_rate: float = 0.0


class GlanceEye:
    """Sees the packets of `track` until it has a key picture and, after it, enough frames to tell their rate (`frames`: how many).

    `glance` has what there is so far, for who cannot wait. NotSupported for a codec that cannot be decoded.
    """

    def __init__(self, track: Track, *, now: Callable[[], float], frames: int = _FRAMES) -> None:
        self.packets = 0
        self._encoding = track.encoding
        self._depacketizer = Depacketizer(track.encoding)
        self._sets = from_format(track.encoding, track.parameters)
        self._now = now
        self._frames = frames
        self._timestamps: list[int] = []
        self._key: Glance | None = None

    def __call__(self, packet: Packet) -> Glance | None:
        """The glance, once it is complete. Raises ProtocolError for a picture that is too large."""
        self.packets += 1
        for unit in self._depacketizer.push(packet):
            self._timestamps = [*self._timestamps, unit.timestamp][-4 * _FRAMES :]
            if self._key is None and unit.key and not unit.damaged:
                self._key = self._seen(unit)
        return self.glance if self._key is not None and len(self._timestamps) >= self._frames else None

    @property
    def glance(self) -> Glance | None:
        """What was seen so far; None without a key picture."""
        key = self._key
        if key is None:
            return None
        return Glance(key.encoding, key.stream, key.at, key.width, key.height, frame_rate(self._timestamps))

    def _seen(self, unit: AccessUnit) -> Glance:
        nals = (*self._sets, *unit.nals)
        try:
            told = configure(self._encoding, nals)
        except ProtocolError:
            told = None
        width, height = (told.width, told.height) if told is not None else (0, 0)
        return Glance(self._encoding, b"".join(_START + nal for nal in nals), self._now(), width, height)


def frame_rate(timestamps: list[int]) -> float:
    """Frames a second by their RTP timestamps, whatever their order; 0 for too few."""
    if len(timestamps) < _FEWEST:
        return 0.0
    first = timestamps[0]
    moments = sorted({(stamp - first + _WRAP // 2) % _WRAP for stamp in timestamps})
    steps = [after - before for before, after in pairwise(moments)]
    return _CLOCK_RATE / statistics.median(steps) if steps else 0.0
