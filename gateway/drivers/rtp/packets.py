"""RTP packets (RFC 3550, 5), with the header extension of ONVIF replay."""

import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from gateway.drivers.base import MediaPacket, Pieces

_HEADER = struct.Struct("!BBHII")
_EXTENSION = struct.Struct("!HH")
_REPLAY = struct.Struct("!IIBB")
# ONVIF Streaming Specification, 6.3: profile of the RTP header extension that carries the time of the footage.
REPLAY_PROFILE = 0xABAC
_REPLAY_WORDS = 3
_FLAGS = tuple((nibble & 8 != 0, nibble & 4 != 0, nibble & 2 != 0, nibble & 1 != 0) for nibble in range(16))
"""C, E, D and T of the extension, by the upper half of their byte."""
_NTP_EPOCH = datetime(1900, 1, 1, tzinfo=UTC)
_NTP_ERA = 1 << 32
_ERA_PIVOT = 1 << 31  # RFC 4330, 3: a time whose first bit is not set lies after 2036


def header(*, payload_type: int, sequence: int, timestamp: int, ssrc: int, marker: bool) -> bytes:
    """A fixed RTP header (RFC 3550, 5.1) of 12 bytes; numbers are cut to their width."""
    second = payload_type & 0x7F | (0x80 if marker else 0)
    return _HEADER.pack(0x80, second, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc & 0xFFFFFFFF)


def parse(packet: bytes, following: Sequence[bytes | Pieces] = (), packets: int = 1, ends: bool = False) -> MediaPacket | None:
    """One RTP packet; None when it is not RTP version 2 or its lengths do not add up.

    `following`, `packets`: what came right behind it (`rtsp.bursts.Burst`); `ends`: the last of them has the marker.
    """
    size = len(packet)
    if size < 12 or packet[0] & 0xC0 != 0x80:
        return None
    first, second, sequence, timestamp, _ = _HEADER.unpack_from(packet)
    if first == 0x80:  # most packets: no padding, no sources, no extension
        return MediaPacket(packet[12:], second & 0x7F, sequence, timestamp, ends or second > 0x7F, following=following, packets=packets)
    start = 12 + 4 * (first & 0x0F)
    end = size - packet[-1] if first & 0x20 else size
    ntp, flags = None, 0
    if first & 0x10:
        if start + 4 > size:
            return None
        profile, words = _EXTENSION.unpack_from(packet, start)
        body = start + 4
        start = body + 4 * words
        if profile == REPLAY_PROFILE and words >= _REPLAY_WORDS and start <= size:
            seconds, fraction, flags, _ = _REPLAY.unpack_from(packet, body)
            ntp = from_ntp(seconds, fraction)
    if start > end:
        return None
    return MediaPacket(
        packet[start:end],
        second & 0x7F,
        sequence,
        timestamp,
        ends or second > 0x7F,
        ntp,
        *_FLAGS[flags >> 4],
        following,
        packets,
    )


def from_ntp(seconds: int, fraction: int) -> datetime:
    """An NTP time as UTC, rounded to the microsecond; the era is the one between 1968 and 2104."""
    era = 0 if seconds >= _ERA_PIVOT else _NTP_ERA
    return _NTP_EPOCH + timedelta(0, seconds + era, (fraction * 1_000_000 + (1 << 31)) >> 32)
