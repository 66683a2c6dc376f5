"""A package as one ZIP file, stored without compression and canonical: one set of files makes one archive, byte for byte.

What is read is told from the directory at the end, written again and compared. So nothing hides before, between or behind the files,
no name stands twice, and no two programs can see different contents (APPNOTE.TXT 6.3.10, sections 4.3.7, 4.3.12, 4.3.14 to 4.3.16).
"""

import hashlib
import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from gateway.evidence.contents import NAME, Altered

PIECE: Final = 1 << 20
_MOST: Final = 0xFFFFFFFF  # what no longer fits into the old fields stands in those of ZIP64
_MANY: Final = 0xFFFF
_DATE: Final = 0x0021  # 1980-01-01: the times that count stand in the manifest
_LOCAL: Final = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL: Final = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END: Final = struct.Struct("<4sHHHHIIH")
_END64: Final = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR: Final = struct.Struct("<4sIQI")
_LARGEST_DIRECTORY: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of an archive. `crc`: CRC-32 of its content."""

    name: str
    size: int
    crc: int = 0


# -- writing ----------------------------------------------------------------------------------------------------------


def length(sizes: Mapping[str, int]) -> int:
    """How many bytes the archive of files with these sizes has."""
    entries = [Entry(name, sizes[name]) for name in sorted(sizes)]
    return sum(len(_header(entry)) + entry.size for entry in entries) + len(_directory(entries))


def pieces(paths: Sequence[Path], start: int = 0, *, digests: Mapping[str, str] | None = None) -> Iterator[bytes]:
    """The archive of `paths`, by name, from its byte `start` on; no step reads more than `PIECE` bytes.

    Each file is read twice, since its CRC-32 stands before it, but once where `start` is behind it. While it is read for that the pieces
    are empty. OSError; also when a file becomes shorter or longer meanwhile.

    `digests`: name to SHA-256 (hex); a file of another one raises Altered before a byte of it, and one that reads otherwise the second time
    behind its last byte.
    """
    digests = digests or {}
    entries: list[Entry] = []
    at = 0
    for path in sorted(paths, key=lambda path: path.name):
        with path.open("rb") as file:
            size = crc = 0
            digest = hashlib.sha256() if path.name in digests else None
            while piece := file.read(PIECE):
                size, crc = size + len(piece), zlib.crc32(piece, crc)
                if digest:
                    digest.update(piece)
                yield b""
            if digest and digest.hexdigest() != digests[path.name]:
                raise Altered(path.name, "has another SHA-256 than the list of the package tells")
            entries.append(Entry(path.name, size, crc))
            header = _header(entries[-1])
            yield header[max(0, start - at) :]
            at += len(header)
            yield from _content(file, entries[-1], min(size, max(0, start - at)))
            at += size
    yield _directory(entries)[max(0, start - at) :]


def _content(file: BinaryIO, entry: Entry, start: int) -> Iterator[bytes]:
    """The bytes of `file`, which was read as `entry`, from `start` on. OSError; Altered when, read from its first byte on, they differ."""
    file.seek(start)
    left, crc = entry.size - start, 0
    while piece := file.read(min(PIECE, left)):
        left, crc = left - len(piece), zlib.crc32(piece, crc)
        yield piece
    if left:
        raise OSError(f"{entry.name} became shorter while it was read")
    if not start and crc != entry.crc:
        raise Altered(entry.name, "reads otherwise than a moment before")


def _header(entry: Entry) -> bytes:
    """The local file header (4.3.7)."""
    large = entry.size >= _MOST
    extra = struct.pack("<HHQQ", 1, 16, entry.size, entry.size) if large else b""
    size = _MOST if large else entry.size
    name = entry.name.encode("ascii")
    return _LOCAL.pack(b"PK\3\4", 45 if large else 20, 0, 0, 0, _DATE, entry.crc, size, size, len(name), len(extra)) + name + extra


def _directory(entries: Sequence[Entry]) -> bytes:
    """Everything behind the files: the central directory and its end (4.3.12 to 4.3.16)."""
    records, at = [], 0
    for entry in entries:
        records.append(_record(entry, at))
        at += len(_header(entry)) + entry.size
    body = b"".join(records)
    count = len(entries)
    end = b""
    if at >= _MOST or len(body) >= _MOST or count >= _MANY:
        end = _END64.pack(b"PK\6\6", _END64.size - 12, 45, 45, 0, 0, count, count, len(body), at)
        end += _LOCATOR.pack(b"PK\6\7", 0, at + len(body), 1)
    few = min(count, _MANY)
    return body + end + _END.pack(b"PK\5\6", 0, 0, few, few, min(len(body), _MOST), min(at, _MOST), 0)


def _record(entry: Entry, at: int) -> bytes:
    """The file's record in the central directory (4.3.12)."""
    large, far = entry.size >= _MOST, at >= _MOST
    more = [entry.size, entry.size] * large + [at] * far
    extra = struct.pack(f"<HH{len(more)}Q", 1, 8 * len(more), *more) if more else b""
    size, place, version, name = min(entry.size, _MOST), min(at, _MOST), 45 if more else 20, entry.name.encode("ascii")
    fixed = (b"PK\1\2", version, version, 0, 0, 0, _DATE, entry.crc, size, size, len(name), len(extra), 0, 0, 0, 0, place)
    return _CENTRAL.pack(*fixed) + name + extra


# -- reading ----------------------------------------------------------------------------------------------------------


class Archive:
    """The files of a canonical archive. Altered when it is none; OSError when it cannot be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            try:
                self._entries, self._places = _read(file)
            except (ValueError, struct.error) as error:
                raise Altered(path.name, f"is no archive as the gateway writes it ({error}); unpack it and verify the folder") from error

    def names(self) -> set[str]:
        return set(self._entries)

    def size(self, name: str) -> int:
        """Altered when there is no such file."""
        return self._entry(name).size

    def pieces(self, name: str) -> Iterator[bytes]:
        """Its content. Altered, at the end, when its CRC-32 is another."""
        entry, crc = self._entry(name), 0
        left = entry.size
        with self._path.open("rb") as file:
            file.seek(self._places[name])
            while piece := file.read(min(PIECE, left)):
                left, crc = left - len(piece), zlib.crc32(piece, crc)
                yield piece
        if left or crc != entry.crc:
            raise Altered(name, "has another content than the archive's check value tells")

    def _entry(self, name: str) -> Entry:
        if name not in self._entries:
            raise Altered(name, "is missing")
        return self._entries[name]


def _read(file: BinaryIO) -> tuple[dict[str, Entry], dict[str, int]]:
    """The entries, and where the content of each begins. ValueError and struct.error for anything that `pieces` would not write."""
    end = file.seek(0, os.SEEK_END)
    start = _start(file, end)
    if not 0 <= end - start <= _LARGEST_DIRECTORY:
        raise ValueError("its directory is too large")
    file.seek(start)
    directory = file.read(end - start)
    entries, at = [], 0
    while directory[at : at + 4] == b"PK\1\2":
        entry, at = _entry_at(directory, at)
        entries.append(entry)
    names = [entry.name for entry in entries]
    if names != sorted(names) or len({name.casefold() for name in names}) != len(names) or _directory(entries) != directory:
        raise ValueError("its directory is another")
    places, place = {}, 0
    for entry in entries:  # which end where the directory begins: that is what it tells
        header = _header(entry)
        file.seek(place)
        if file.read(len(header)) != header:
            raise ValueError("a file's header differs from the directory")
        places[entry.name] = place + len(header)
        place += len(header) + entry.size
    return {entry.name: entry for entry in entries}, places


def _start(file: BinaryIO, end: int) -> int:
    """Where the central directory begins."""
    file.seek(max(0, end - _END.size))
    start = _END.unpack(file.read())[6]
    if start == _MOST:
        file.seek(max(0, end - _END.size - _LOCATOR.size - _END64.size))
        start = _END64.unpack(file.read(_END64.size))[9]
    return int(start)


def _entry_at(directory: bytes, at: int) -> tuple[Entry, int]:
    """The entry whose record begins at `at`, and where the next one begins."""
    fixed = _CENTRAL.unpack_from(directory, at)
    crc, size, named, more = fixed[7], fixed[9], fixed[10], fixed[11]
    behind = at + _CENTRAL.size + named
    name = directory[at + _CENTRAL.size : behind].decode("latin-1")
    if not NAME.fullmatch(name):
        raise ValueError("a name that no package may have")
    if size == _MOST:
        size = struct.unpack_from("<Q", directory, behind + 4)[0]
    return Entry(name, size, crc), behind + more
