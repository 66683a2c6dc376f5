"""Whole pictures out of RTP packets: H.264 (RFC 6184) and H.265 (RFC 7798), each NAL unit byte for byte as it was recorded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gateway.errors import NotSupported, ProtocolError

UNIT_LIMIT = 32 << 20  # bytes of one picture; more is no picture


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
    def following(self) -> Sequence[bytes]: ...
    @property
    def whole(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class AccessUnit:
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
        self._open: AccessUnit | None = None
        self._nals: list[bytes] = []
        self._fragments: list[bytes] = []
        self._size = 0
        self._lost = False

    def push(self, packet: Packet) -> list[AccessUnit]:
        """The pictures that this packet completes. Raises ProtocolError for a picture beyond `UNIT_LIMIT`."""
        self._note_loss(packet.sequence)
        done = self.flush() if self._open is not None and packet.timestamp != self._open.timestamp else []
        if self._open is None:
            self._open = AccessUnit((), packet.timestamp)
        if packet.ntp is not None and self._open.ntp is None:
            self._open = AccessUnit((), packet.timestamp, packet.ntp, discontinuity=packet.discontinuity)
        following = packet.following
        self._size += len(packet.payload) + sum(map(len, following))
        if self._size > UNIT_LIMIT:
            raise ProtocolError("a picture of the footage is too large", code="too-large")
        self._take(packet.payload)
        if following:
            self._expected = (packet.sequence + len(following) + 1) & 0xFFFF
            if self._fragments:
                self._fragments += following
                if packet.whole:
                    self._end_fragments()
        return done + self.flush() if packet.marker else done

    def flush(self) -> list[AccessUnit]:
        """The picture in hand, when there is one: call it once more at the end. Parameter sets and SEI that came alone wait for theirs."""
        unit, nals = self._open, tuple(self._nals)
        self._lost = self._lost or bool(self._fragments)
        self._fragments = []
        self._open = None
        if unit is None or not any(map(self._codec.is_slice, nals)):
            return []
        key = any(map(self._codec.is_key, nals))
        done = AccessUnit(nals, unit.timestamp, unit.ntp, key, unit.discontinuity, self._lost)
        self._nals, self._size, self._lost = [], 0, False
        return [done]

    def _note_loss(self, sequence: int) -> None:
        if self._expected is not None and sequence != self._expected:
            self.lost_packets += (sequence - self._expected) & 0xFFFF
            self._lost = True
            self._fragments.clear()
        self._expected = (sequence + 1) & 0xFFFF

    def _take(self, payload: bytes) -> None:
        codec = self._codec
        if len(payload) <= codec.head:
            return
        kind = codec.kind(payload)
        if kind == codec.fragment:
            self._take_fragment(payload)
        elif kind == codec.aggregate:
            self._nals.extend(_aggregated(payload, codec.head))
        elif kind < codec.aggregate:
            self._nals.append(payload)

    def _take_fragment(self, payload: bytes) -> None:
        """One FU: the NAL unit's header is rebuilt from the first, the rest follows in order."""
        codec = self._codec
        fu = payload[codec.head]
        body = payload[codec.head + 1 :]
        if fu & 0x80:
            self._fragments = [codec.rebuilt(payload, fu), body]
        elif self._fragments:
            self._fragments.append(body)
        else:
            self._lost = True
            return
        if fu & 0x40:
            self._end_fragments()

    def _end_fragments(self) -> None:
        self._nals.append(b"".join(self._fragments))
        self._fragments = []


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

    @staticmethod
    def kind(payload: bytes) -> int:
        return payload[0] & 0x1F

    @staticmethod
    def rebuilt(payload: bytes, fu: int) -> bytes:
        return bytes((payload[0] & 0xE0 | fu & 0x1F,))

    @staticmethod
    def is_slice(nal: bytes) -> bool:
        return 1 <= nal[0] & 0x1F <= 5

    @staticmethod
    def is_key(nal: bytes) -> bool:
        return nal[0] & 0x1F == 5


class _H265:
    head, aggregate, fragment = 2, 48, 49  # AP, FU

    @staticmethod
    def kind(payload: bytes) -> int:
        return payload[0] >> 1 & 0x3F

    @staticmethod
    def rebuilt(payload: bytes, fu: int) -> bytes:
        return bytes((payload[0] & 0x81 | (fu & 0x3F) << 1, payload[1]))

    @staticmethod
    def is_slice(nal: bytes) -> bool:
        return nal[0] >> 1 & 0x3F < 32

    @staticmethod
    def is_key(nal: bytes) -> bool:
        return 16 <= nal[0] >> 1 & 0x3F <= 23  # the intra random access points


_CODECS: dict[str, type[_H264] | type[_H265]] = {"H264": _H264, "H265": _H265}
