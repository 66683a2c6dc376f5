"""What the head of an MP4 file that somebody brought says of it: its length, and whether its pictures can be shown (ISO/IEC 14496-12)."""

import struct
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Final

_SHOWN: Final = (b"avc1", b"avc3", b"hvc1", b"hev1")  # H.264 and H.265
_MOVIE_LIMIT: Final = 64 << 20
_BOXES_LIMIT: Final = 10_000
_LONGEST: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Head:
    """`lasts`: nothing when the file does not tell, as in fragments; at most a day. `shown`: its pictures can be."""

    lasts: timedelta
    shown: bool


def read_head(path: Path) -> Head | None:
    """What the file at `path` says of itself, whatever it is called; None when it is no MP4. Nothing is decoded. OSError."""
    with path.open("rb") as file:
        if file.read(8)[4:] != b"ftyp":
            return None
        file.seek(0)
        movie = _movie(file)
    return None if movie is None else Head(_lasts(movie), any(encoding in movie for encoding in _SHOWN))


def _movie(file: BinaryIO) -> bytes | None:
    """The content of `moov`, 8.2.1."""
    for _ in range(_BOXES_LIMIT):
        begin, head = file.tell(), file.read(8)
        if len(head) < 8:
            return None
        size, kind = struct.unpack(">I4s", head)
        if size == 1:
            size = int.from_bytes(file.read(8), "big")
        if kind == b"moov":
            return file.read(_MOVIE_LIMIT) if size == 0 else file.read(min(size, _MOVIE_LIMIT))
        if size < 8:
            return None  # the last one, or none
        file.seek(begin + size)
    return None


def _lasts(movie: bytes) -> timedelta:
    """What `mvhd` says, 8.2.2."""
    at = movie.find(b"mvhd") + 4
    if at < 4 or len(movie) < at + 32:
        return timedelta(0)
    timescale, duration = struct.unpack_from(">IQ" if movie[at] == 1 else ">II", movie, at + (20 if movie[at] == 1 else 12))
    told_s = duration / timescale if timescale else 0.0
    return timedelta(seconds=told_s) if told_s < _LONGEST.total_seconds() else timedelta(0)
