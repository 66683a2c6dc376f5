"""What the head of an MP4 file that somebody brought says of it: its length, and whether its pictures can be shown (ISO/IEC 14496-12)."""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

_SHOWN: Final = frozenset({b"avc1", b"avc3", b"hvc1", b"hev1"})  # H.264 and H.265
_MOVIE_LIMIT: Final = 64 << 20
_BOXES_LIMIT: Final = 10_000
"""Of one box, or of the file."""
_LONGEST: Final = timedelta(days=1)
_ENTRIES_AT: Final = 8
"""Where the entries of `stsd` begin, behind version, flags and their number, 8.5.2."""


@dataclass(frozen=True, slots=True)
class Head:
    """`lasts`: nothing when the file does not tell, as in fragments; at most a day. `shown`: its pictures can be."""

    lasts: timedelta
    shown: bool


def read_head(path: Path) -> Head | None:
    """What the file at `path` says of itself, whatever it is called; None when it is no MP4. Nothing is decoded. OSError."""
    with path.open("rb") as file:
        movie = _movie(file)
    if movie is None:
        return None
    tables = _inside(movie, b"trak", b"mdia", b"minf", b"stbl", b"stsd")
    encodings = {kind for table in tables for kind, _ in _boxes(table[_ENTRIES_AT:])}
    return Head(_lasts(next(_inside(movie, b"mvhd"), b"")), not encodings.isdisjoint(_SHOWN))


def _movie(file: BinaryIO) -> bytes | None:
    """The content of `moov`, 8.2.1, of a file that begins with `ftyp`; no seek goes beyond its end, whatever sizes it tells."""
    at, end = 0, os.fstat(file.fileno()).st_size
    for _ in range(_BOXES_LIMIT):
        file.seek(at)
        head = _Head.of(file.read(16), end - at)
        if head is None or (at == 0 and head.kind != b"ftyp"):
            return None
        if head.kind == b"moov":
            file.seek(at + head.length)
            return file.read(min(head.size - head.length, _MOVIE_LIMIT))
        at += head.size
    return None


@dataclass(frozen=True, slots=True)
class _Head:
    """Of a box, 4.2: its `size` with the head, and the `length` of that."""

    kind: bytes
    size: int
    length: int

    @classmethod
    def of(cls, data: bytes, left: int) -> "_Head | None":
        """What `data` begins with, where `left` bytes are left; a size of 0 stands for all of them. None when that is no whole box."""
        if len(data) < 8:
            return None
        size, kind = struct.unpack_from(">I4s", data)
        length = 8
        if size == 1 and len(data) >= 16:
            size, length = int.from_bytes(data[8:16]), 16
        size = size or left
        return cls(kind, size, length) if length <= size <= left else None


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The boxes in `content`, each its kind and its own content, as far as they are whole."""
    at = 0
    for _ in range(_BOXES_LIMIT):
        head = _Head.of(content[at : at + 16], len(content) - at)
        if head is None:
            return
        yield head.kind, content[at + head.length : at + head.size]
        at += head.size


def _inside(content: bytes, kind: bytes, *path: bytes) -> Iterator[bytes]:
    """The contents of all boxes of that path in `content`, `_BOXES_LIMIT` of them at the most."""
    found = (inner for each, inner in _boxes(content) if each == kind)
    deeper = (last for inner in found for last in _inside(inner, *path)) if path else found
    return islice(deeper, _BOXES_LIMIT)


def _lasts(told: bytes) -> timedelta:
    """What `mvhd` says, 8.2.2."""
    layout, at = (">IQ", 20) if told[:1] == b"\1" else (">II", 12)
    if len(told) < at + struct.calcsize(layout):
        return timedelta(0)
    timescale, duration = struct.unpack_from(layout, told, at)
    told_s = duration / timescale if timescale else 0.0
    return timedelta(seconds=told_s) if told_s < _LONGEST.total_seconds() else timedelta(0)
