"""RTP and RTCP packets (RFC 3550) with H.264 (RFC 6184) or H.265 (RFC 7798) in them, and ONVIF's replay header extension."""

import struct
from dataclasses import dataclass
from typing import Final

from simulators.frames import AccessUnit, Codec

PAYLOAD_BYTES: Final = 1400
VIDEO_TYPE: Final = 96
NTP_EPOCH_S: Final = 2_208_988_800
"""Seconds from 1900 to 1970."""

_HEADER: Final = struct.Struct("!BBHII")
_EXTENSION: Final = struct.Struct("!HHQBBH")


@dataclass(frozen=True, slots=True)
class Received:
    """The fields of a packet that came in."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    marker: bool = False


@dataclass(slots=True)
class Stream:
    """One sender's numbers; `octets` and `packets` are for its sender reports."""

    ssrc: int
    sequence: int
    timestamp_base: int
    codec: Codec = Codec.H264
    packets: int = 0
    octets: int = 0

    def packetise(self, unit: AccessUnit, timestamp: int, extension: bytes = b"") -> list[bytes]:
        """One access unit as packets, the marker on the last (RFC 6184 §5.1, RFC 7798 §4.1), `extension` on the first."""
        parts = payloads(unit, self.codec)
        last, out = len(parts) - 1, []
        for index, part in enumerate(parts):
            first_byte, more = (0x90, extension) if extension and index == 0 else (0x80, b"")
            header = _HEADER.pack(first_byte, VIDEO_TYPE | (0x80 if index == last else 0), self.sequence, timestamp, self.ssrc)
            out.append(header + more + part)
            self.sequence = self.sequence + 1 & 0xFFFF
            self.octets += len(part)
        self.packets += len(parts)
        return out

    def spoken(self, payload: bytes, kind: int, timestamp: int, extension: bytes) -> bytes:
        """One packet of sound of payload type `kind`."""
        header = _HEADER.pack(0x90, kind | 0x80, self.sequence, timestamp, self.ssrc)
        self.sequence = self.sequence + 1 & 0xFFFF
        self.octets += len(payload)
        self.packets += 1
        return header + extension + payload


def payloads(unit: AccessUnit, codec: Codec) -> list[bytes]:
    """The RTP payloads of one access unit: single NAL unit packets and fragments (RFC 6184 §5.6, §5.8; RFC 7798 §4.4.1, §4.4.3)."""
    cut = _FRAGMENTS[codec]
    return [part for nal in unit.nals for part in ((nal,) if len(nal) <= PAYLOAD_BYTES else cut(nal))]


def _fu_a(nal: bytes) -> list[bytes]:
    return _fragments(nal[1:], bytes((nal[0] & 0xE0 | 28,)), nal[0] & 0x1F)


def _fu(nal: bytes) -> list[bytes]:
    return _fragments(nal[2:], bytes((nal[0] & 0x81 | 49 << 1, nal[1])), nal[0] >> 1 & 0x3F)


def _fragments(body: bytes, head: bytes, kind: int) -> list[bytes]:
    """The pieces of a NAL unit behind its header, each after `head` and a byte with S, E and the NAL unit's type."""
    room = PAYLOAD_BYTES - len(head) - 1
    pieces = [body[at : at + room] for at in range(0, len(body), room)]
    last = len(pieces) - 1
    return [head + bytes((kind | (index == 0) << 7 | (index == last) << 6,)) + piece for index, piece in enumerate(pieces)]


_FRAGMENTS: Final = {Codec.H264: _fu_a, Codec.H265: _fu}


def replay_extension(ntp: int, *, clean: bool, end: bool, discontinuity: bool, terminal: bool, cseq: int) -> bytes:
    """The extension 0xABAC (ONVIF Streaming Specification, "RTP header extension")."""
    return _EXTENSION.pack(0xABAC, 3, ntp, clean << 7 | end << 6 | discontinuity << 5 | terminal << 4, cseq & 0xFF, 0)


def ntp_of(unix_ns: int) -> int:
    """The 64-bit NTP timestamp of a moment."""
    seconds, rest = divmod(unix_ns, 1_000_000_000)
    return (seconds + NTP_EPOCH_S & 0xFFFF_FFFF) << 32 | (rest << 32) // 1_000_000_000


def sender_report(stream: Stream, *, ntp: int, timestamp: int) -> bytes:
    """SR and SDES in one compound packet (RFC 3550 §6.1)."""
    report = struct.pack("!BBHIQIII", 0x80, 200, 6, stream.ssrc, ntp, timestamp & 0xFFFF_FFFF, stream.packets, stream.octets & 0xFFFF_FFFF)
    return report + _name(stream)


def goodbye(stream: Stream) -> bytes:
    """An empty receiver report, SDES and BYE: the end, without a word about clocks."""
    return struct.pack("!BBHI", 0x80, 201, 1, stream.ssrc) + _name(stream) + struct.pack("!BBHI", 0x81, 203, 1, stream.ssrc)


def _name(stream: Stream) -> bytes:
    """SDES with a CNAME, which every compound packet carries."""
    return struct.pack("!BBHIBB", 0x81, 202, 3, stream.ssrc, 1, 3) + b"sim" + b"\x00" * 3


def parse(packet: bytes) -> Received | None:
    """An RTP packet, or None when it is none (RFC 3550 §5.1)."""
    if len(packet) < 12 or packet[0] >> 6 != 2:
        return None
    start = 12 + 4 * (packet[0] & 15)
    if packet[0] & 0x10:
        if len(packet) < start + 4:
            return None
        start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
    end = len(packet) - (packet[-1] if packet[0] & 0x20 else 0)
    if start > end:
        return None
    _, kind, sequence, timestamp, ssrc = _HEADER.unpack_from(packet)
    return Received(kind & 0x7F, sequence, timestamp, ssrc, packet[start:end], kind > 0x7F)


def receiver_report(reporter: int, source: int, *, missed: int) -> bytes:
    """An RR about one source (RFC 3550 §6.4.2), of which nothing is told but how much was missed."""
    return struct.pack("!BBHIIIIIII", 0x81, 201, 7, reporter, source, max(0, missed) & 0xFFFFFF, 0, 0, 0, 0)


def is_rtcp(packet: bytes) -> bool:
    """Whether this may be a compound RTCP packet from a receiver: it begins with an SR or an RR."""
    return len(packet) >= 8 and packet[0] >> 6 == 2 and packet[1] in {200, 201}
