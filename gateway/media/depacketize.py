"""Whole pictures out of RTP packets: H.264 (RFC 6184) and H.265 (RFC 7798), each NAL unit byte for byte as it was recorded."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from gateway.errors import NotSupported, ProtocolError

UNIT_LIMIT = 32 << 20  # bytes of one picture; more is no picture
PIECES_LIMIT = 1 << 18
"""Pieces of one picture, which take memory of their own, the empty ones too; 32 MiB in packets of 1,400 bytes are 24,000."""
_LENGTH = 4
"""Bytes of a NAL unit's length in a file."""
_START, _END = 0x80, 0x40  # of a unit that was cut up (RFC 6184, 5.8; RFC 7798, 4.4.3)


class Pieces(Protocol):
    """Fragments of one NAL unit behind each other, all of one length and the last not among them, as `drivers.base.Pieces` has them."""

    @property
    def header(self) -> bytes: ...
    @property
    def bodies(self) -> tuple[bytes, ...]: ...


class Packet(Protocol):
    """One RTP packet of a replay, as `drivers.base.MediaPacket` has it."""

    @property
    def payload(self) -> bytes: ...
    @property
    def sequence(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def marker(self) -> bool: ...
    @property
    def ntp(self) -> datetime | None: ...
    @property
    def following(self) -> Sequence[bytes | Pieces]: ...
    @property
    def packets(self) -> int: ...


class AccessUnit(NamedTuple):
    """One picture: its NAL units in order, without start codes, SEI and parameter sets among them.

    `parts`: each unit's length in four bytes and its bytes, as a file holds them (ISO/IEC 14496-15), in as many pieces as they came;
    `size`: bytes of all of them. `timestamp`: RTP, 90 kHz, wraps. `ntp`: the recorder's time, when it gave one. `key`: a decoder can begin
    here. `damaged`: packets were lost in it or right before it.
    """

    parts: Sequence[bytes]
    size: int
    timestamp: int
    ntp: datetime | None = None
    key: bool = False
    damaged: bool = False

    @property
    def nals(self) -> tuple[bytes, ...]:
        """The NAL units, each in one piece."""
        return tuple(_units(b"".join(self.parts)))


def _units(stored: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(stored):
        start = position + _LENGTH
        position = start + int.from_bytes(stored[position:start])
        yield stored[start:position]


class Depacketizer:
    """Packets of one track in, pictures out. `encoding`: "H264" or "H265", NotSupported otherwise.

    A picture ends with the marker, or where the timestamp changes. `lost_packets` counts holes in the sequence numbers.
    """

    def __init__(self, encoding: str) -> None:
        if encoding not in _CODECS:
            raise NotSupported(f"video in {encoding} cannot be exported", code="no-codec", hint="H264 and H265 can.")
        self.lost_packets = 0
        self._codec = _CODECS[encoding]
        self._expected: int | None = None
        self._timestamp: int | None = None
        self._ntp: datetime | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._fragments: list[bytes] = []
        self._fragments_size = 0
        self._lost = self._sliced = self._key = False

    def push(self, packet: Packet) -> list[AccessUnit]:
        """The pictures that this packet completes. Raises ProtocolError for a picture beyond `UNIT_LIMIT` or `PIECES_LIMIT`."""
        sequence, timestamp = packet.sequence, packet.timestamp
        if self._expected is not None and sequence != self._expected:
            self._note_loss(sequence - self._expected)
        self._expected = (sequence + packet.packets) & 0xFFFF
        done = self.flush() if self._timestamp is not None and timestamp != self._timestamp else []
        self._timestamp = timestamp
        if self._ntp is None:
            self._ntp = packet.ntp
        self._take(packet.payload)
        for payload in packet.following:
            if isinstance(payload, bytes):
                self._take(payload)
            else:
                self._take_fragments(payload.header, payload.bodies, len(payload.bodies) * len(payload.bodies[0]))
        if self._size + self._fragments_size > UNIT_LIMIT or len(self._parts) + len(self._fragments) > PIECES_LIMIT:
            raise ProtocolError("a picture of the footage is too large", code="too-large")
        return done + self.flush() if packet.marker else done

    def flush(self) -> list[AccessUnit]:
        """The picture in hand, when there is one: call it once more at the end. Parameter sets and SEI that came alone wait for theirs."""
        if self._fragments:
            self._lost, self._fragments, self._fragments_size = True, [], 0
        timestamp, ntp = self._timestamp, self._ntp
        self._timestamp = self._ntp = None
        if timestamp is None or not self._sliced:
            return []
        done = AccessUnit(self._parts, self._size, timestamp, ntp, self._key, self._lost)
        self._parts, self._size = [], 0
        self._lost = self._sliced = self._key = False
        return [done]

    def _note_loss(self, packets: int) -> None:
        self.lost_packets += packets & 0xFFFF
        self._lost, self._fragments, self._fragments_size = True, [], 0

    def _take(self, payload: bytes) -> None:
        codec, size = self._codec, len(payload)
        if size <= codec.head:
            return
        kind = codec.kinds[payload[0]]
        if kind < codec.aggregate:
            self._add((payload,), size, kind)
        elif kind == codec.fragment:
            body = codec.head + 1
            self._take_fragments(payload, (payload[body:],), size - body)
            if payload[codec.head] & _END:
                self._end_fragments()
        elif kind == codec.aggregate:
            for nal in _aggregated(payload, codec.head):
                self._add((nal,), len(nal), codec.kinds[nal[0]])

    def _take_fragments(self, header: bytes, bodies: tuple[bytes, ...], size: int) -> None:
        """FUs behind each other, the first with `header`, `size` bytes of `bodies` in all: of the first of a unit the unit's own header is
        rebuilt, the rest follows in order."""
        fu = header[self._codec.head]
        if fu & _START:
            self._fragments = [self._codec.rebuilt(header, fu), *bodies]
            self._fragments_size = self._codec.head + size
        elif self._fragments:
            self._fragments += bodies
            self._fragments_size += size
        else:
            self._lost = True

    def _end_fragments(self) -> None:
        """The unit is complete, if it began."""
        if self._fragments:
            self._add(self._fragments, self._fragments_size, self._codec.kinds[self._fragments[0][0]])
            self._fragments, self._fragments_size = [], 0

    def _add(self, nal: Sequence[bytes], size: int, kind: int) -> None:
        """A NAL unit of `size` bytes, in pieces."""
        self._parts.append(size.to_bytes(_LENGTH))
        self._parts += nal
        self._size += _LENGTH + size
        if kind in self._codec.slices:
            self._sliced = True
            self._key = self._key or kind in self._codec.keys


def _aggregated(payload: bytes, position: int) -> Iterator[bytes]:
    while position + 2 < len(payload):
        size = payload[position] << 8 | payload[position + 1]
        position += 2
        if not size or position + size > len(payload):
            return
        yield payload[position : position + size]
        position += size


@dataclass(frozen=True, slots=True)
class _Codec:
    """`kinds`: of a NAL unit, by its first byte; below `aggregate` they stand for themselves. `head`: bytes of its header, which `rebuilt`
    makes of a fragment's. `slices` are pictures; from `keys` on a decoder can begin."""

    head: int
    aggregate: int
    fragment: int
    kinds: bytes
    slices: range
    keys: range
    rebuilt: Callable[[bytes, int], bytes]


_CODECS = {
    "H264": _Codec(
        head=1,
        aggregate=24,  # STAP-A
        fragment=28,  # FU-A
        kinds=bytes(octet & 0x1F for octet in range(256)),
        slices=range(1, 6),
        keys=range(5, 6),
        rebuilt=lambda payload, fu: bytes((payload[0] & 0xE0 | fu & 0x1F,)),
    ),
    "H265": _Codec(
        head=2,
        aggregate=48,  # AP
        fragment=49,  # FU
        kinds=bytes(octet >> 1 & 0x3F for octet in range(256)),
        slices=range(32),
        keys=range(16, 24),  # the intra random access points
        rebuilt=lambda payload, fu: bytes((payload[0] & 0x81 | (fu & 0x3F) << 1, payload[1])),
    ),
}
