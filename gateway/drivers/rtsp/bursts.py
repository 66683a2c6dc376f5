"""Packets of one picture that stand behind each other in what was received, taken as one: a gigabyte of footage has 750,000 packets.

What stands before the payloads of pieces that are as long as each other is compared as one number: each is the one before, and one more.
"""

import mmap
import struct
from functools import lru_cache
from typing import NamedTuple

from gateway.drivers.base import MediaPacket, Pieces
from gateway.drivers.rtp.packets import parse

Received = bytes | mmap.mmap
"""Bytes, or memory whose slices are."""
_HEADS = struct.Struct(">HHBBHI")
"""A frame's head (RFC 2326, 10.12), `$` and channel as one, and a packet's up to its timestamp (RFC 3550, 5.1)."""
_BODY = 16
"""Where a packet's payload begins in its frame, without options."""
_NUMBER = 8
"""Where its sequence number ends in its frame."""
_MARKER = 0x80
_PLAIN, _EXTENDED = 0x80, 0x90
_START, _END = 0x80, 0x40
"""Of the byte that says which piece of a NAL unit it is (RFC 6184, 5.8; RFC 7798, 4.4.3)."""
_RUN_LIMIT = 32
"""Pieces that are looked at together: more gain nothing, and when they turn out to be none, they were looked at in vain.

Within a burst no more than twice as many as the look before found, so that a device whose pieces never are alike costs two looks a piece.
"""


class Fragmentation(NamedTuple):
    """How video is cut up: `lead` bytes stand before each piece of a NAL unit, and `kind` of `mask` in the first says that it is one."""

    lead: int
    mask: int
    kind: int


class Burst(NamedTuple):
    """A packet with what came right behind it with the same timestamp, in unbroken sequence and without any RTP option.

    `packet`: None when it is no RTP; nothing follows a marker. `size`: bytes, interleaving included.
    """

    channel: int
    packet: MediaPacket | None
    size: int


def gather(buffer: Received, start: int, stop: int, end: int, cut: Fragmentation) -> Burst:
    """What begins with the frame from `start` to `stop`; it takes up `size` bytes of `buffer`, which is filled up to `end`."""
    packet, channel = buffer[start + 4 : stop], buffer[start + 1]
    if len(packet) < 12 or packet[1] & _MARKER or packet[0] not in (_PLAIN, _EXTENDED):
        return Burst(channel, parse(packet), stop - start)
    found, packets, marker, stop = _follow(buffer, start, stop, end, cut)
    return Burst(channel, parse(packet, found, packets, marker), stop - start)


def _follow(buffer: Received, before: int, at: int, limit: int, cut: Fragmentation) -> tuple[list[bytes | Pieces], int, bool, int]:
    """What follows the packet of the frame `before`, from `at` up to `limit`; how many packets in all, the last's marker and end."""
    found: list[bytes | Pieces] = []
    lead, mask, fragment = cut
    frame, _, _, kind, first, stamp = _HEADS.unpack_from(buffer, before)
    number, marker, most = first, False, _RUN_LIMIT
    while (body := at + _BODY) < limit and not marker and number < 0xFFFF:
        same, size, plain, second, following, time = _HEADS.unpack_from(buffer, at)
        stop = at + 4 + size
        alike = same == frame and plain == _PLAIN and second & 0x7F == kind and time == stamp
        if not alike or following != number + 1 or not body <= stop <= limit:
            break
        marker = second != kind
        if not marker and stop > body + lead and buffer[body] & mask == fragment and not buffer[body + lead - 1] & _END:
            bodies = _alike(buffer, at, stop - at, min(most, (limit - at) // (stop - at)), _BODY + lead)
            found.append(Pieces(buffer[body : body + lead], bodies))
            number += len(bodies)
            at += len(bodies) * (stop - at)
            most = min(2 * len(bodies), _RUN_LIMIT)
        else:
            found.append(buffer[body:stop])
            number, at = following, stop
    return found, number - first + 1, marker, at


def _alike(buffer: Received, at: int, stride: int, most: int, heads: int) -> tuple[bytes, ...]:
    """The bodies of the piece at `at` and of those behind it that are as long and in the midst of the same unit, `most` in all."""
    which = at + heads - 1
    if most < 2 or buffer[at + _NUMBER : which] != buffer[at + stride + _NUMBER : which + stride]:
        return (buffer[at + heads : at + stride],)
    marks = buffer[which + stride : which + most * stride : stride]
    count = 1 + len(marks) - len(marks.lstrip(bytes((buffer[which] & ~_START,))))
    layout, unstarted, behind, steps = _layout(stride, heads, count)
    found = layout.unpack_from(buffer, at)
    numbers = int.from_bytes(b"".join(found[::2])) & unstarted
    return found[1::2] if numbers - (numbers >> 8 * heads) & behind == steps else found[1:2]


@lru_cache(maxsize=256)
def _layout(stride: int, heads: int, count: int) -> tuple[struct.Struct, int, int, int]:
    """So many pieces, each its heads and its body; masks of all heads as one number without the mark of a start, and without the first;
    and what is left of them when each is taken from the one behind it."""
    width = 8 * heads
    unstarted = ~(_START << width * (count - 1))
    steps = sum(1 << width * place + 8 * (heads - _NUMBER) for place in range(count - 1))
    return struct.Struct(">" + f"{heads}s{stride - heads}s" * count), unstarted, (1 << width * (count - 1)) - 1, steps
