"""Whole pictures out of RTP packets: H.264 (RFC 6184) and H.265 (RFC 7798), each NAL unit byte for byte as it was recorded."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from gateway.errors import NotSupported, ProtocolError

UNIT_LIMIT = 32 << 20  # bytes of one picture; more is no picture


class Pieces(Protocol):
    """Fragments of one NAL unit behind each other, as `drivers.base.Pieces` has them."""

    @property
    def header(self) -> bytes: ...
    @property
    def bodies(self) -> tuple[bytes, ...]: ...
    @property
    def ends(self) -> bool: ...


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
    def discontinuity(self) -> bool: ...
    @property
    def following(self) -> Sequence[bytes | Pieces]: ...
    @property
    def packets(self) -> int: ...


class AccessUnit(NamedTuple):
    """One picture: its NAL units in order, without start codes, SEI and parameter sets among them.

    `timestamp`: RTP, 90 kHz, wraps. `ntp`: the recorder's time, when it gave one. `key`: a decoder can begin here. `discontinuity`: the
    recorder says that footage is missing before it. `damaged`: packets were lost in it or right before it.
    """

    nals: tuple[bytes, ...]
    timestamp: int
    ntp: datetime | None = None
    key: bool = False
    discontinuity: bool = False
    damaged: bool = False

    @property
    def size(self) -> int:
        return sum(map(len, self.nals))


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
        self._discontinuity = False
        self._nals: list[bytes] = []
        self._fragments: list[bytes] = []
        self._size = 0
        self._lost = self._sliced = self._key = False

    def push(self, packet: Packet) -> list[AccessUnit]:
        """The pictures that this packet completes. Raises ProtocolError for a picture beyond `UNIT_LIMIT`."""
        sequence, timestamp = packet.sequence, packet.timestamp
        if self._expected is not None and sequence != self._expected:
            self._note_loss(sequence - self._expected)
        self._expected = (sequence + packet.packets) & 0xFFFF
        done = self.flush() if self._timestamp is not None and timestamp != self._timestamp else []
        self._timestamp = timestamp
        if self._ntp is None and packet.ntp is not None:
            self._ntp, self._discontinuity = packet.ntp, packet.discontinuity
        self._take(packet.payload)
        for payload in packet.following:
            if isinstance(payload, bytes):
                self._take(payload)
            else:
                self._weigh(sum(map(len, payload.bodies)))
                self._take_fragments(payload.header, payload.bodies, payload.ends)
        return done + self.flush() if packet.marker else done

    def flush(self) -> list[AccessUnit]:
        """The picture in hand, when there is one: call it once more at the end. Parameter sets and SEI that came alone wait for theirs."""
        if self._fragments:
            self._lost, self._fragments = True, []
        timestamp, ntp, discontinuity = self._timestamp, self._ntp, self._discontinuity
        self._timestamp, self._ntp, self._discontinuity = None, None, False
        if timestamp is None or not self._sliced:
            return []
        done = AccessUnit(tuple(self._nals), timestamp, ntp, self._key, discontinuity, self._lost)
        self._nals, self._size = [], 0
        self._lost = self._sliced = self._key = False
        return [done]

    def _note_loss(self, packets: int) -> None:
        self.lost_packets += packets & 0xFFFF
        self._lost = True
        self._fragments.clear()

    def _take(self, payload: bytes) -> None:
        codec = self._codec
        self._weigh(len(payload))
        if len(payload) <= codec.head:
            return
        kind = codec.kind(payload)
        if kind == codec.fragment:
            self._take_fragments(payload, (payload[codec.head + 1 :],), bool(payload[codec.head] & 0x40))
        elif kind == codec.aggregate:
            for nal in _aggregated(payload, codec.head):
                self._add(nal)
        elif kind < codec.aggregate:
            self._add(payload)

    def _take_fragments(self, header: bytes, bodies: tuple[bytes, ...], ends: bool) -> None:
        """FUs behind each other, the first with `header`: from the first of a unit its own header is rebuilt, the rest follows in order."""
        codec = self._codec
        fu = header[codec.head]
        if fu & 0x80:
            self._fragments = [codec.rebuilt(header, fu), *bodies]
        elif self._fragments:
            self._fragments += bodies
        else:
            self._lost = True
            return
        if ends:
            self._add(b"".join(self._fragments))
            self._fragments = []

    def _add(self, nal: bytes) -> None:
        kind = self._codec.kind(nal)
        self._nals.append(nal)
        if kind in self._codec.slices:
            self._sliced = True
            self._key = self._key or kind in self._codec.keys

    def _weigh(self, size: int) -> None:
        self._size += size
        if self._size > UNIT_LIMIT:
            raise ProtocolError("a picture of the footage is too large", code="too-large")


def _aggregated(payload: bytes, position: int) -> Iterator[bytes]:
    while position + 2 < len(payload):
        size = payload[position] << 8 | payload[position + 1]
        position += 2
        if not size or position + size > len(payload):
            return
        yield payload[position : position + size]
        position += size


class _H264:
    head, aggregate, fragment = 1, 24, 28  # STAP-A, FU-A
    slices, keys = range(1, 6), range(5, 6)

    @staticmethod
    def kind(payload: bytes) -> int:
        return payload[0] & 0x1F

    @staticmethod
    def rebuilt(payload: bytes, fu: int) -> bytes:
        return bytes((payload[0] & 0xE0 | fu & 0x1F,))


class _H265:
    head, aggregate, fragment = 2, 48, 49  # AP, FU
    slices, keys = range(32), range(16, 24)  # keys: the intra random access points

    @staticmethod
    def kind(payload: bytes) -> int:
        return payload[0] >> 1 & 0x3F

    @staticmethod
    def rebuilt(payload: bytes, fu: int) -> bytes:
        return bytes((payload[0] & 0x81 | (fu & 0x3F) << 1, payload[1]))


_CODECS: dict[str, type[_H264] | type[_H265]] = {"H264": _H264, "H265": _H265}
