"""Recorded video as a fragmented MP4 file (ISO/IEC 14496-12), written once from front to back and hashed on the way."""

import hashlib
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from gateway.errors import ProtocolError
from gateway.media.depacketize import AccessUnit
from gateway.media.parameter_sets import Configuration, configure, from_format

TIMESCALE = 90_000
FRAGMENT_SPAN = 2 * TIMESCALE  # a fragment ends at the first key frame after so much footage,
FRAGMENT_BYTES = 8 << 20  # or anywhere once it holds so many bytes: what is in memory stays bounded
_EPOCH = datetime(1904, 1, 1, tzinfo=UTC)
_LONGEST = 0xFFFFFFFF
_KEY_FLAGS, _OTHER_FLAGS = 0x02000000, 0x01010000
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


class Track(Protocol):
    """What is being written, as `drivers.base.TrackDescription` has it."""

    @property
    def encoding(self) -> str: ...
    @property
    def parameters(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class Written:
    """What a finished file holds. `skipped`: pictures before the first that could be decoded; `first`, `last`: the recorder's time."""

    sha256: str
    size: int
    frames: int
    skipped: int
    damaged: int
    first: datetime | None
    last: datetime | None


class Mp4Writer:
    """Pictures of one track in, bytes out through `write`, in order and never again looked at.

    NAL units are stored as they came, each after its length. The file's time is the recorder's (the RTP clock where it gives none),
    so a gap in the footage is a picture that stays. Parameter sets come from the track's description or its first pictures.
    """

    def __init__(self, write: Callable[[bytes], object], track: Track) -> None:
        if track.encoding not in ("H264", "H265"):
            raise ProtocolError(f"{track.encoding} has no place in this file", code="no-codec")
        self._write = write
        self._encoding = track.encoding
        self._sets = list(from_format(track.encoding, track.parameters))
        self._timeline = _Timeline()
        self._hash = hashlib.sha256()
        self._size = self._frames = self._skipped = self._damaged = 0
        self._begun = False
        self._fragments = 0
        self._samples: list[_Sample] = []
        self._held = 0
        self._first: datetime | None = None
        self._last: datetime | None = None

    def add(self, unit: AccessUnit) -> None:
        """Append one picture. Those before the first key frame with its parameter sets are counted as skipped, not written."""
        if not self._begun and not self._begin(unit):
            self._skipped += 1
            return
        decode, offset = self._timeline.place(unit)
        if self._samples and self._ends_fragment(unit, decode):
            self._flush(decode)
        size = unit.size + 4 * len(unit.nals)
        self._samples.append(_Sample(unit, size, decode, offset))
        self._held += size
        self._frames += 1
        self._damaged += unit.damaged
        if unit.ntp is not None:
            self._first = self._first or unit.ntp
            self._last = max(self._last or unit.ntp, unit.ntp)

    def close(self) -> Written:
        """Write what is left. A file without pictures has no bytes."""
        if self._samples:
            self._flush(self._samples[-1].decode + self._timeline.usual)
        return Written(self._hash.hexdigest(), self._size, self._frames, self._skipped, self._damaged, self._first, self._last)

    def _begin(self, unit: AccessUnit) -> bool:
        """Write the header, once a picture has come from which a decoder can begin."""
        if not unit.key:
            return False
        configuration = configure(self._encoding, unit.nals) or configure(self._encoding, [*self._sets, *unit.nals])
        if configuration is None:
            return False
        self._put(_header(configuration, unit.ntp or _EPOCH))
        self._begun = True
        return True

    def _ends_fragment(self, unit: AccessUnit, decode: int) -> bool:
        full = self._held >= FRAGMENT_BYTES
        return full or (unit.key and decode - self._samples[0].decode >= FRAGMENT_SPAN)

    def _flush(self, following: int) -> None:
        """Write the fragment in hand; `following`: the decoding time of what comes after it."""
        self._fragments += 1
        self._put(_movie_fragment(self._fragments, self._samples, following))
        self._put((self._held + 8).to_bytes(4) + b"mdat")
        self._put(b"".join([part for sample in self._samples for nal in sample.unit.nals for part in (len(nal).to_bytes(4), nal)]))
        self._samples, self._held = [], 0

    def _put(self, data: bytes) -> None:
        self._hash.update(data)
        self._size += len(data)
        self._write(data)


@dataclass(frozen=True, slots=True)
class _Sample:
    unit: AccessUnit
    size: int
    decode: int
    offset: int


class _Timeline:
    """Where pictures stand on the file's clock: decoding times only grow, presentation keeps the recorder's word."""

    def __init__(self) -> None:
        self.usual = TIMESCALE // 25
        self._origin: datetime | None = None
        self._decode = -1
        self._shown = 0
        self._rtp: int | None = None

    def place(self, unit: AccessUnit) -> tuple[int, int]:
        """Decoding time, and presentation less decoding time."""
        shown = self._presentation(unit)
        decode = max(shown, self._decode + 1)
        if 0 <= self._decode < decode <= self._decode + TIMESCALE:
            self.usual = decode - self._decode
        self._decode, self._shown, self._rtp = decode, shown, unit.timestamp
        return decode, max(shown - decode, -0x80000000)

    def _presentation(self, unit: AccessUnit) -> int:
        if unit.ntp is None:
            step = 0 if self._rtp is None else (unit.timestamp - self._rtp + 0x80000000 & 0xFFFFFFFF) - 0x80000000
            return max(0, self._shown + step)
        if self._origin is None:
            self._origin = unit.ntp - timedelta(seconds=self._shown / TIMESCALE)
        return max(0, _ticks(unit.ntp - self._origin))


def _ticks(span: timedelta) -> int:
    return round(span / timedelta(microseconds=1) * TIMESCALE / 1_000_000)


# -- boxes ------------------------------------------------------------------------------------------------------------


def _box(name: str, *content: bytes) -> bytes:
    body = b"".join(content)
    return (len(body) + 8).to_bytes(4) + name.encode() + body


def _full(name: str, version: int, flags: int, *content: bytes) -> bytes:
    return _box(name, bytes((version,)), flags.to_bytes(3), *content)


def _header(picture: Configuration, began: datetime) -> bytes:
    """`ftyp` and `moov`: one video track without samples; they follow in fragments (14496-12, 8.8)."""
    since = struct.pack(">QQ", *(2 * [max(0, (began - _EPOCH) // timedelta(seconds=1))]))
    movie = _full("mvhd", 1, 0, since, struct.pack(">IQIH10x", TIMESCALE, 0, 0x10000, 0x100), _MATRIX, bytes(24), struct.pack(">I", 2))
    extends = _box("mvex", _full("trex", 0, 0, struct.pack(">5I", 1, 1, 0, 0, 0)))
    kind = _box("ftyp", b"iso6", struct.pack(">I", 0x200), b"iso6mp41")
    return kind + _box("moov", movie, _track(picture, since), extends)


def _track(picture: Configuration, since: bytes) -> bytes:
    size = struct.pack(">II", picture.width << 16, picture.height << 16)
    head = _full("tkhd", 1, 3, since, struct.pack(">IIQ8xHHHxx", 1, 0, 0, 0, 0, 0), _MATRIX, size)
    media_head = _full("mdhd", 1, 0, since, struct.pack(">IQHH", TIMESCALE, 0, 0x55C4, 0))  # language: undetermined
    handler = _full("hdlr", 0, 0, bytes(4), b"vide", bytes(12), b"video\0")
    reference = _box("dinf", _full("dref", 0, 0, struct.pack(">I", 1), _full("url ", 0, 1)))
    tables = [_full(name, 0, 0, bytes(4)) for name in ("stts", "stsc", "stco")]
    samples = _box("stbl", _full("stsd", 0, 0, struct.pack(">I", 1), _entry(picture)), *tables, _full("stsz", 0, 0, bytes(8)))
    information = _box("minf", _full("vmhd", 0, 1, bytes(8)), reference, samples)
    return _box("trak", head, _box("mdia", media_head, handler, information))


def _entry(picture: Configuration) -> bytes:
    """VisualSampleEntry (14496-12, 12.1.3) with the codec's configuration."""
    fixed = struct.pack(">6xH16xHHIIIH32xHh", 1, picture.width, picture.height, 0x480000, 0x480000, 0, 1, 24, -1)
    return _box(picture.entry, fixed, _box(picture.box, picture.content))


def _movie_fragment(number: int, samples: list[_Sample], following: int) -> bytes:
    """`moof` (14496-12, 8.8.4) with duration, size, flags and composition offset of each sample."""
    ends = [sample.decode for sample in samples[1:]] + [following]
    rows = b"".join(
        struct.pack(
            ">IIIi",
            min(end - sample.decode, _LONGEST),
            sample.size,
            _KEY_FLAGS if sample.unit.key else _OTHER_FLAGS,
            sample.offset,
        )
        for sample, end in zip(samples, ends, strict=True)
    )
    start = _full("tfdt", 1, 0, struct.pack(">Q", samples[0].decode))
    head = _full("tfhd", 0, 0x020000, struct.pack(">I", 1))  # data offsets count from this moof
    size = 8 + 16 + 8 + len(head) + len(start) + 20 + len(rows)
    run = _full("trun", 1, 0x000F01, struct.pack(">Ii", len(samples), size + 8), rows)
    fragment = _box("moof", _full("mfhd", 0, 0, struct.pack(">I", number)), _box("traf", head, start, run))
    assert len(fragment) == size
    return fragment
