"""A live sound on its way to the pacer's process: shared memory with one writer and one reader, neither of whom wakes the other or waits.

Standard library only: the pacer's process imports this.
"""

import mmap
import os
import struct
import time
from collections.abc import Callable

PIECES = 128
"""Pieces that are kept, 2.5 s as a rule: more than anybody wants to hear late. Who reads too late misses the oldest."""
PIECE_BYTES = 496
"""Longer ones are cut."""
_SLOT = struct.Struct("@dI4x")
_SLOT_BYTES = _SLOT.size + PIECE_BYTES
_BEGIN = 64
_BYTES = _BEGIN + PIECES * _SLOT_BYTES
_WRITTEN, _CLOSED = 0, 1

Piece = tuple[float, bytes]
"""When it came, in seconds of the machine's monotonic clock, and the encoded sound."""


class RingWriter:
    """The daemon's side. `descriptor` is for the reader; `sent` closes it here."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.descriptor = os.memfd_create("voice", os.MFD_CLOEXEC)
        os.ftruncate(self.descriptor, _BYTES)
        self._map = mmap.mmap(self.descriptor, _BYTES)
        self._words = memoryview(self._map).cast("Q")
        self._now = now

    def sent(self) -> None:
        """The reader has its descriptor."""
        os.close(self.descriptor)

    def write(self, data: bytes) -> None:
        """Add sound that came now."""
        if len(data) > PIECE_BYTES:
            self.write(data[:PIECE_BYTES])
            self.write(data[PIECE_BYTES:])
            return
        written = self._words[_WRITTEN]
        at = _BEGIN + written % PIECES * _SLOT_BYTES
        _SLOT.pack_into(self._map, at, self._now(), len(data))
        at += _SLOT.size
        self._map[at : at + len(data)] = data
        self._words[_WRITTEN] = written + 1  # one aligned word, after the piece that it counts

    def close(self) -> None:
        """Nothing more will be written."""
        self._words[_CLOSED] = 1


class RingReader:
    """The pacer's side; takes the descriptor over."""

    def __init__(self, descriptor: int) -> None:
        self._map = mmap.mmap(descriptor, _BYTES, prot=mmap.PROT_READ)
        os.close(descriptor)
        self._words = memoryview(self._map).cast("Q")
        self._read = 0

    def read(self) -> tuple[list[Piece], bool]:
        """What came since the last time, the oldest first, and whether that was the last of it."""
        closed = self._words[_CLOSED] == 1  # before the count: what was written before the end is not missed
        written = self._words[_WRITTEN]
        if written == self._read:
            return [], closed
        begin = max(self._read, written - PIECES + 1)  # the oldest may be overwritten at this moment
        pieces = [self._piece(number) for number in range(begin, written)]
        self._read = written
        return pieces, closed

    def _piece(self, number: int) -> Piece:
        at = _BEGIN + number % PIECES * _SLOT_BYTES
        came, size = _SLOT.unpack_from(self._map, at)
        at += _SLOT.size
        return came, self._map[at : at + min(size, PIECE_BYTES)]
