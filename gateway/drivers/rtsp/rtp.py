"""RTP and RTCP packets (RFC 3550), and the header extension of ONVIF replay."""

import struct
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from gateway.drivers.base import MediaPacket, Pieces

_HEADER = struct.Struct("!BBHII")
_EXTENSION = struct.Struct("!HH")
_REPLAY = struct.Struct("!IIBB")
# ONVIF Streaming Specification, 6.3: profile of the RTP header extension that carries the time of the footage.
REPLAY_PROFILE = 0xABAC
_REPLAY_WORDS = 3
_CLEAN, _END, _DISCONTINUITY, _TERMINAL = 0x80, 0x40, 0x20, 0x10
_NTP_EPOCH = datetime(1900, 1, 1, tzinfo=UTC)
_NTP_ERA = 1 << 32
_ERA_PIVOT = 1 << 31  # RFC 4330, 3: a time whose first bit is not set lies after 2036
_BYE = 203
_REPORTS_AT = {200: 28, 201: 8}  # where the report blocks of an SR, and of an RR, begin
_REPORT_BYTES = 24


def header(*, payload_type: int, sequence: int, timestamp: int, ssrc: int, marker: bool) -> bytes:
    """A fixed RTP header (RFC 3550, 5.1) of 12 bytes; numbers are cut to their width."""
    second = payload_type & 0x7F | (0x80 if marker else 0)
    return _HEADER.pack(0x80, second, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc & 0xFFFFFFFF)


def parse(packet: bytes, following: Sequence[bytes | Pieces] = (), packets: int = 1, ends: bool = False) -> MediaPacket | None:
    """One RTP packet; None when it is not RTP version 2 or its lengths do not add up.

    `following`, `packets`: what came right behind it (`bursts.Burst`); `ends`: the last of them has the marker.
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
        flags & _CLEAN != 0,
        flags & _END != 0,
        flags & _DISCONTINUITY != 0,
        flags & _TERMINAL != 0,
        following,
        packets,
    )


def from_ntp(seconds: int, fraction: int) -> datetime:
    """An NTP time as UTC, rounded to the microsecond; the era is the one between 1968 and 2104."""
    era = 0 if seconds >= _ERA_PIVOT else _NTP_ERA
    return _NTP_EPOCH + timedelta(0, seconds + era, (fraction * 1_000_000 + (1 << 31)) >> 32)


def says_goodbye(compound: bytes) -> bool:
    """Whether an RTCP compound packet holds a BYE (RFC 3550, 6.6)."""
    return _BYE in _types(compound)


def missed(compound: bytes) -> int | None:
    """How many packets its sender says to have missed in all, in the first report of an RTCP compound packet (RFC 3550, 6.4).

    None when it reports nothing. Whose packets, is not looked at: where this is asked, there is one source, ourselves.
    """
    for kind, start, end in _packets(compound):
        block = start + _REPORTS_AT.get(kind, len(compound))
        if compound[start] & 0x1F and block + _REPORT_BYTES <= end <= len(compound):
            return max(0, int.from_bytes(compound[block + 5 : block + 8], signed=True))
    return None


def latest_missed(reports: Iterable[bytes], known: int | None) -> int | None:
    """What the last of some RTCP packets that says so says to have missed; `known` when none does."""
    for report in reports:
        said = missed(report)
        known = known if said is None else said
    return known


def _types(compound: bytes) -> Iterator[int]:
    return (kind for kind, _, _ in _packets(compound))


def _packets(compound: bytes) -> Iterator[tuple[int, int, int]]:
    """Type, begin and end of each packet; the last one may end beyond what there is."""
    position = 0
    while position + 4 <= len(compound) and compound[position] & 0xC0 == 0x80:
        end = position + 4 * (1 + int.from_bytes(compound[position + 2 : position + 4]))
        yield compound[position + 1], position, end
        position = end
