"""The sound of a recording out of RTP packets: G.711 (RFC 3551) and AAC (RFC 3640, RFC 6416), byte for byte as it was recorded."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gateway.media.parameter_sets import Bits

UNIT_LIMIT = 64 << 10  # bytes of one piece of sound; more is none
_AAC_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)
_LONG_FRAME, _SHORT_FRAME = 1024, 960


class Track(Protocol):
    """What is heard, as `drivers.base.TrackDescription` has it."""

    @property
    def encoding(self) -> str: ...
    @property
    def clock_rate(self) -> int: ...
    @property
    def parameters(self) -> Mapping[str, str]: ...


class Packet(Protocol):
    @property
    def payload(self) -> bytes: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def marker(self) -> bool: ...
    @property
    def ntp(self) -> datetime | None: ...


@dataclass(frozen=True, slots=True)
class SoundUnit:
    """A piece of sound that a decoder takes whole. `timestamp`, `duration`: in ticks of the track's clock; `ntp`: the recorder's time."""

    data: bytes
    timestamp: int
    duration: int
    ntp: datetime | None = None


@dataclass(frozen=True, slots=True)
class SoundFormat:
    """What an MP4 file says of its sound: the sample entry's name, the clock in Hz, channels, and AAC's configuration (ISO/IEC 14496-3)."""

    entry: str
    rate: int
    channels: int = 1
    configuration: bytes = b""


class SoundTrack:
    """Packets of one track in, pieces of sound out."""

    def __init__(self, format: SoundFormat, unpack: "_Unpack") -> None:
        self.format = format
        self._unpack = unpack

    def push(self, packet: Packet) -> Iterator[SoundUnit]:
        """The pieces that this packet completes; what makes no sense is left out."""
        return self._unpack(packet)


def sound_track(track: Track) -> SoundTrack | None:
    """How to take `track` apart; None for an encoding that an MP4 file has no place for, or a description that says too little."""
    if track.encoding in _G711 and 1_000 <= track.clock_rate <= 0xFFFF:
        return SoundTrack(SoundFormat(_G711[track.encoding], track.clock_rate), _plain)
    if track.encoding == "MPEG4-GENERIC" and 1_000 <= track.clock_rate <= 0xFFFF_FFFF:
        return _aac(track)
    if track.encoding == "MP4A-LATM" and 1_000 <= track.clock_rate <= 0xFFFF_FFFF:
        return _latm(track)
    return None


_G711 = {"PCMA": "alaw", "PCMU": "ulaw"}


class _Unpack(Protocol):
    def __call__(self, packet: Packet) -> Iterator[SoundUnit]: ...


def _plain(packet: Packet) -> Iterator[SoundUnit]:
    """G.711: a byte is a sample."""
    if packet.payload:
        yield SoundUnit(packet.payload, packet.timestamp, len(packet.payload), packet.ntp)


def _aac(track: Track) -> SoundTrack | None:
    try:
        configuration = bytes.fromhex(track.parameters.get("config", ""))
        rate, channels, samples = _read_configuration(configuration)
        sizes = [int(track.parameters.get(name, "0")) for name in ("sizelength", "indexlength", "indexdeltalength")]
    except ValueError:
        return None
    if not 0 < sizes[0] <= 16 or not all(0 <= size <= 16 for size in sizes):
        return None
    format = SoundFormat("mp4a", track.clock_rate, channels, configuration)
    return SoundTrack(format, _AccessUnits(sizes, samples * track.clock_rate // rate))


def _read_configuration(configuration: bytes) -> tuple[int, int, int]:
    """Sampling rate, channels and samples a frame of an AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1). ValueError for none."""
    bits = Bits(configuration)
    kind = bits.take(5)
    index = bits.take(4)
    rate = bits.take(24) if index == 15 else dict(enumerate(_AAC_RATES)).get(index, 0)
    channels = bits.take(4)
    if kind not in (2, 5, 29) or not rate or not channels:
        raise ValueError("no AAC-LC with a known rate")
    return rate, channels, _SHORT_FRAME if kind == 2 and bits.take(1) else _LONG_FRAME


class _AccessUnits:
    """AAC in packets of headers, then frames, or of one header and a piece of its frame (RFC 3640, 3.2)."""

    def __init__(self, sizes: list[int], duration: int) -> None:
        self._size, self._index, self._delta = sizes
        self._duration = duration
        self._held = b""

    def __call__(self, packet: Packet) -> Iterator[SoundUnit]:
        payload = packet.payload
        bits = int.from_bytes(payload[:2])
        at = 2 + (bits + 7) // 8
        lengths = list(self._lengths(payload[2:at], bits))
        if len(lengths) == 1 and 0 < len(payload) - at < lengths[0] <= UNIT_LIMIT:
            yield from self._piece(payload[at:], lengths[0], packet)
            return
        self._held = b""
        for number, length in enumerate(lengths):
            if not length or at + length > len(payload):
                return
            stamp = (packet.timestamp + number * self._duration) & 0xFFFFFFFF
            yield SoundUnit(payload[at : at + length], stamp, self._duration, None if number else packet.ntp)
            at += length

    def _lengths(self, headers: bytes, bits: int) -> Iterator[int]:
        value, left = int.from_bytes(headers), 8 * len(headers)
        used, index = 0, self._index
        while (used := used + self._size + index) <= min(bits, left):
            yield value >> (left - used + index) & (1 << self._size) - 1
            index = self._delta

    def _piece(self, piece: bytes, whole: int, packet: Packet) -> Iterator[SoundUnit]:
        held, self._held = self._held + piece, b""
        if len(held) == whole:
            yield SoundUnit(held, packet.timestamp, self._duration, packet.ntp)
        elif len(held) < whole and not packet.marker:
            self._held = held


def _latm(track: Track) -> SoundTrack | None:
    """AAC in LATM whose configuration stands in the description (RFC 6416, 7.3: cpresent=0), not between the frames."""
    if track.parameters.get("cpresent") != "0":
        return None
    try:
        configuration = _read_mux(bytes.fromhex(track.parameters.get("config", "")))
        rate, channels, samples = _read_configuration(configuration)
    except ValueError:
        return None
    format = SoundFormat("mp4a", track.clock_rate, channels, configuration)
    return SoundTrack(format, _MuxElements(samples * track.clock_rate // rate))


def _read_mux(mux: bytes) -> bytes:
    """The AudioSpecificConfig in a StreamMuxConfig of one layer of AAC-LC alone (ISO/IEC 14496-3, 1.7.3.2). ValueError for any other."""
    bits = Bits(mux)
    if bits.take(2) != 0b01:  # version 0, all streams in time with each other
        raise ValueError("another syntax")
    bits.take(6)  # frames of an element: each tells its own length
    if bits.take(7):
        raise ValueError("several programs or layers")
    kind, index = bits.take(5), bits.take(4)
    size = 7 + (24 if index == 15 else 0)  # the rate where it is told, channels, three flags
    rest = bits.take(size)
    if kind != 2 or rest & 0b11:
        raise ValueError("no plain AAC-LC")
    if bits.take(3) or (bits.take(8) and bits.take(1)):
        raise ValueError("frames of fixed length, or other data behind them")
    return ((kind << 4 | index) << size | rest).to_bytes((9 + size) // 8)


class _MuxElements:
    """AAC in audioMuxElements: a frame behind its length, and again; large ones in several packets (RFC 6416, 5)."""

    def __init__(self, duration: int) -> None:
        self._duration = duration
        self._held = b""
        self._begin: Packet | None = None  # of which the pieces held are

    def __call__(self, packet: Packet) -> Iterator[SoundUnit]:
        if self._begin is None or self._begin.timestamp != packet.timestamp:
            self._begin, self._held = packet, b""
        whole = self._held + packet.payload
        if not packet.marker:
            self._held = whole if len(whole) <= UNIT_LIMIT else b""
            return
        begin, self._begin, self._held = self._begin, None, b""
        for number, frame in enumerate(_frames(whole)):
            stamp = (begin.timestamp + number * self._duration) & 0xFFFFFFFF
            yield SoundUnit(frame, stamp, self._duration, None if number else begin.ntp)


def _frames(payload: bytes) -> list[bytes]:
    """The frames of whole elements (14496-3, 1.7.3.1: a length is bytes of 255 and one that is less); none where the lengths do not fit."""
    found, at = [], 0
    while at < len(payload):
        size = 0
        while at < len(payload) and payload[at] == 255:
            size, at = size + 255, at + 1
        if at == len(payload):
            return []
        size, at = size + payload[at], at + 1
        found.append(payload[at : at + size])
        at += size
    return [frame for frame in found if frame] if at == len(payload) else []
