"""Compares what goes out with what was sealed: a whole file in the reading that sends it, a part of one once the whole was compared."""

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from gateway.clock import Clock
from gateway.domain.handover import Span
from gateway.evidence.contents import Altered

_PIECE: Final = 256 << 10
_COMPARED: Final = 1 << 20
"""Bytes that a step sends, or compares beforehand."""
_KNOWN_MAX: Final = 256
_GOOD_FOR_S: Final = 24 * 3600.0
"""So many files are remembered as compared, so long: as long as a download may be resumed."""

_Identity = tuple[int, ...]


class Comparer:
    """Remembers which files were compared, so that the parts of one are not compared one by one. Its pieces may be read in any threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._readings: OrderedDict[_Identity, _Reading] = OrderedDict()

    def pieces(self, path: Path, span: Span, sha256: str) -> Iterator[bytes]:
        """The bytes of `span` of a file whose SHA-256 (hex) is `sha256`; empty ones while the whole is compared before a part of it.

        OSError; Altered before the last bytes of a whole file that is another one, and before the first of a part of it.
        """
        with path.open("rb") as file:
            identity, size = _identity(file)
            whole = hashlib.sha256() if span == Span(0, size) else None
            if whole is None:
                reading = self._reading(identity)
                while not reading.goes_on(file, self._clock.monotonic()):
                    yield b""
                _must_be(reading.digest(), sha256, path.name)
            file.seek(span.start)
            left = span.length
            while left and (piece := file.read(min(left, _PIECE))):
                left -= len(piece)
                if whole is not None:
                    whole.update(piece)
                    if not left:
                        _must_be(whole.hexdigest(), sha256, path.name)
                        self._reading(identity).end(whole, self._clock.monotonic())
                yield piece

    def _reading(self, identity: _Identity) -> "_Reading":
        """What is known of a file, or is being found out; anew when that is too long ago."""
        with self._lock:
            known = self._readings.pop(identity, None)
            if known is None or known.is_older(_GOOD_FOR_S, self._clock.monotonic()):
                known = _Reading()
            self._readings[identity] = known
            if len(self._readings) > _KNOWN_MAX:
                self._readings.popitem(last=False)
            return known


class _Reading:
    """How far a file was hashed, by however many downloads of its parts: one that is broken off is not lost to the next."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at = 0
        self._digest = hashlib.sha256()
        self._ended_at: float | None = None

    def goes_on(self, file: BinaryIO, now: float) -> bool:
        """Hash the next piece; whether all is hashed. OSError."""
        with self._lock:
            if self._ended_at is None:
                file.seek(self._at)
                piece = file.read(_COMPARED)
                self._digest.update(piece)
                self._at += len(piece)
                self._ended_at = None if piece else now
            return self._ended_at is not None

    def end(self, digest: "hashlib._Hash", now: float) -> None:
        """All was hashed elsewhere, just now."""
        with self._lock:
            self._digest, self._ended_at = digest, now

    def is_older(self, seconds: float, now: float) -> bool:
        return self._ended_at is not None and now - self._ended_at > seconds

    def digest(self) -> str:
        return self._digest.hexdigest()


def _identity(file: BinaryIO) -> tuple[_Identity, int]:
    """What tells the bytes of an open file from those of any other, as far as the file system knows; and how many there are."""
    told = os.fstat(file.fileno())
    return (told.st_dev, told.st_ino, told.st_size, told.st_mtime_ns, told.st_ctime_ns), told.st_size


def _must_be(found: str, sealed: str, name: str) -> None:
    if found != sealed:
        raise Altered(name, "has another SHA-256 than was sealed")
