"""The boxes of a fragmented MP4 file (ISO/IEC 14496-12, -14, -15): the head that describes the tracks, and that of a fragment."""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.media.parameter_sets import Configuration
from gateway.media.sound import SoundFormat

TIMESCALE = 90_000
EPOCH = datetime(1904, 1, 1, tzinfo=UTC)
VIDEO, SOUND = 1, 2
"""The tracks' ids."""
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_KEY_FLAGS, _OTHER_FLAGS = 0x02000000, 0x01010000
_LONGEST = 0xFFFFFFFF
_ROW = struct.Struct(">IIIi")


@dataclass(frozen=True, slots=True)
class Run:
    """Samples of one track that follow each other: `start` in the track's ticks, a row each, and their bytes together."""

    track: int
    start: int
    rows: bytes
    count: int
    size: int


def rows(samples: Iterable[tuple[int, int, bool, int]]) -> bytes:
    """Samples in a `trun`: how long, how many bytes, whether a decoder can begin here, presentation less decoding time."""
    return b"".join(
        [_ROW.pack(min(duration, _LONGEST), size, _KEY_FLAGS if key else _OTHER_FLAGS, offset) for duration, size, key, offset in samples]
    )


def header(picture: Configuration, sound: SoundFormat | None, began: datetime) -> bytes:
    """`ftyp` and `moov`: the tracks without samples, which follow in fragments (14496-12, 8.8)."""
    since = struct.pack(">QQ", *(2 * [max(0, (began - EPOCH) // timedelta(seconds=1))]))
    movie = _full("mvhd", 1, 0, since, struct.pack(">IQIH10x", TIMESCALE, 0, 0x10000, 0x100), _MATRIX, bytes(24), struct.pack(">I", 3))
    tracks = [_video_track(picture, since)] + ([_sound_track(sound, since)] if sound else [])
    extends = [_full("trex", 0, 0, struct.pack(">5I", track, 1, 0, 0, 0)) for track in (VIDEO, SOUND)[: len(tracks)]]
    kind = _box("ftyp", b"iso6", struct.pack(">I", 0x200), b"iso6mp41")
    return kind + _box("moov", movie, *tracks, _box("mvex", *extends))


def fragment(number: int, runs: Sequence[Run]) -> bytes:
    """`moof` (14496-12, 8.8.4) and the head of the `mdat` behind it, which holds the bytes of the runs one after the other."""
    heads = [_full("tfhd", 0, 0x020000, struct.pack(">I", run.track)) for run in runs]  # data offsets count from this moof
    starts = [_full("tfdt", 1, 0, struct.pack(">Q", run.start)) for run in runs]
    size = 8 + 16 + sum(8 + len(head) + len(start) + 20 + len(run.rows) for head, start, run in zip(heads, starts, runs, strict=True))
    at, parts = size + 8, []
    for head, start, run in zip(heads, starts, runs, strict=True):
        parts.append(_box("traf", head, start, _full("trun", 1, 0x000F01, struct.pack(">Ii", run.count, at), run.rows)))
        at += run.size
    found = _box("moof", _full("mfhd", 0, 0, struct.pack(">I", number)), *parts)
    assert len(found) == size
    return found + (at - size).to_bytes(4) + b"mdat"


def _box(name: str, *content: bytes) -> bytes:
    body = b"".join(content)
    return (len(body) + 8).to_bytes(4) + name.encode() + body


def _full(name: str, version: int, flags: int, *content: bytes) -> bytes:
    return _box(name, bytes((version,)), flags.to_bytes(3), *content)


def _video_track(picture: Configuration, since: bytes) -> bytes:
    size = struct.pack(">II", picture.width << 16, picture.height << 16)
    head = _full("tkhd", 1, 3, since, struct.pack(">IIQ8xHHHxx", VIDEO, 0, 0, 0, 0, 0), _MATRIX, size)
    fixed = struct.pack(">6xH16xHHIIIH32xHh", 1, picture.width, picture.height, 0x480000, 0x480000, 0, 1, 24, -1)
    entry = _box(picture.entry, fixed, _box(picture.box, picture.content))  # VisualSampleEntry, 14496-12, 12.1.3
    return _track(head, _media_head(since, TIMESCALE), b"vide", _full("vmhd", 0, 1, bytes(8)), entry)


def _sound_track(sound: SoundFormat, since: bytes) -> bytes:
    head = _full("tkhd", 1, 3, since, struct.pack(">IIQ8xHHHxx", SOUND, 0, 0, 0, 1, 0x100), _MATRIX, bytes(8))
    fixed = struct.pack(">6xH8xHHxxxxI", 1, sound.channels, 16, min(sound.rate, 0xFFFF) << 16)
    more = (_elementary_stream(sound.configuration),) if sound.configuration else ()
    entry = _box(sound.entry, fixed, *more)  # AudioSampleEntry, 14496-12, 12.2.3
    return _track(head, _media_head(since, sound.rate), b"soun", _full("smhd", 0, 0, bytes(4)), entry)


def _track(head: bytes, media_head: bytes, kind: bytes, media_header: bytes, entry: bytes) -> bytes:
    handler = _full("hdlr", 0, 0, bytes(4), kind, bytes(12), b"recording\0")
    reference = _box("dinf", _full("dref", 0, 0, struct.pack(">I", 1), _full("url ", 0, 1)))
    tables = [_full(name, 0, 0, bytes(4)) for name in ("stts", "stsc", "stco")]
    samples = _box("stbl", _full("stsd", 0, 0, struct.pack(">I", 1), entry), *tables, _full("stsz", 0, 0, bytes(8)))
    return _box("trak", head, _box("mdia", media_head, handler, _box("minf", media_header, reference, samples)))


def _media_head(since: bytes, timescale: int) -> bytes:
    return _full("mdhd", 1, 0, since, struct.pack(">IQHH", timescale, 0, 0x55C4, 0))  # language: undetermined


def _elementary_stream(configuration: bytes) -> bytes:
    """`esds` with AAC's configuration (14496-14, 5.6; the descriptors: 14496-1, 7.2.6)."""
    specific = _descriptor(0x05, configuration)
    decoder = _descriptor(0x04, struct.pack(">BBxHII", 0x40, 0x15, 0, 0, 0), specific)
    return _full("esds", 0, 0, _descriptor(0x03, struct.pack(">HB", 0, 0), decoder, _descriptor(0x06, b"\x02")))


def _descriptor(tag: int, *content: bytes) -> bytes:
    body = b"".join(content)
    return bytes((tag, 0x80 | len(body) >> 7, len(body) & 0x7F)) + body
