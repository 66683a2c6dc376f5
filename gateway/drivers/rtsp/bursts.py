"""Packets of one picture that stand behind each other in what was received, taken as one: a gigabyte of footage has 750,000 packets.

What stands before their payloads is compared as one number: two packets behind each other differ in it where they may, and by one.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from gateway.drivers.base import Pieces

_HEADS = 16
"""Bytes of a frame's head and of a packet's without options (RFC 2326, 10.12; RFC 3550, 5.1)."""
_TO_TIME = 12
"""Those of them up to the timestamp; the source is not looked at."""
_SIZE, _MARKER, _NUMBER = 64, 48, 32
"""Where length, marker and sequence number stand in the number that these twelve bytes make, in bits."""
_MAY_DIFFER = 0xFFFF << _SIZE | 0x80 << _MARKER
_PLAIN, _EXTENDED = 0x80, 0x90
_START, _END = 0x80, 0x40
"""Of the byte that says which piece of a NAL unit it is (RFC 6184, 5.8; RFC 7798, 4.4.3)."""
_RUN_LIMIT = 32
"""Pieces that are looked at together: more gain nothing, and when they turn out to be none, they were looked at in vain."""


class Fragmentation(NamedTuple):
    """How video is cut up: `lead` bytes stand before each piece of a NAL unit, and `kind` of `mask` in the first says that it is one."""

    lead: int
    mask: int
    kind: int


class Burst(NamedTuple):
    """A packet, and what came right behind it with the same timestamp, in unbroken sequence and without any RTP option.

    `marker`: of the last of its `packets`, which nothing can follow. `size`: bytes, interleaving included.
    """

    channel: int
    packet: bytes
    following: Sequence[bytes | Pieces]
    packets: int
    marker: bool
    size: int


def gather(buffer: bytes, start: int, stop: int, cut: Fragmentation) -> Burst:
    """What begins with the frame from `start` to `stop`; it takes up `size` bytes of `buffer`."""
    packet, channel = buffer[start + 4 : stop], buffer[start + 1]
    marker = len(packet) > 1 and packet[1] > 0x7F
    if marker or len(packet) < 12 or packet[0] not in (_PLAIN, _EXTENDED):
        return Burst(channel, packet, (), 1, marker, stop - start)
    found: list[bytes | Pieces] = []
    like = int.from_bytes(bytes((0x24, channel, 0, 0, _PLAIN, packet[1], *packet[2:8])))
    packets, marker, end = _follow(buffer, stop, like, cut, found)
    return Burst(channel, packet, found, packets, marker, end - start)


def _follow(buffer: bytes, at: int, like: int, cut: Fragmentation, found: list[bytes | Pieces]) -> tuple[int, bool, int]:
    """Put what follows the packet of heads `like` from `at` on into `found`: how many packets there are, the last's marker, their end."""
    lead, mask, fragment = cut
    limit, marker, packets = len(buffer), False, 1
    number = like >> _NUMBER & 0xFFFF
    while at + _HEADS < limit and not marker and number + packets <= 0xFFFF:
        heads = int.from_bytes(buffer[at : at + _TO_TIME])
        body, stop = at + _HEADS, at + 4 + (heads >> _SIZE & 0xFFFF)
        if (heads ^ like + (packets << _NUMBER)) & ~_MAY_DIFFER or not body <= stop <= limit:
            break
        marker = bool(heads >> _MARKER & 0x80)
        packets += 1
        if stop > body + lead and buffer[body] & mask == fragment and not (marker or buffer[body + lead - 1] & _END):
            pieces, marker, stop = _pieces(buffer, at, stop, lead)
            packets += len(pieces.bodies) - 1
            found.append(pieces)
        else:
            found.append(buffer[body:stop])
        at = stop
    return packets, marker, at


def _pieces(buffer: bytes, at: int, stop: int, lead: int) -> tuple[Pieces, bool, int]:
    """What there is of a NAL unit from the piece between `at` and `stop` on, whether the last has the marker, and where that ends."""
    heads = _HEADS + lead
    midst = int.from_bytes(buffer[at : at + heads]) & ~_START
    bodies = _alike(buffer, at, stop - at, heads)
    end, wider = at + len(bodies) * (stop - at), 8 * (heads - _TO_TIME)
    last = int.from_bytes(buffer[end : end + heads])
    body, ready = end + heads, end + 4 + (last >> wider + _SIZE & 0xFFFF)
    header = buffer[at + _HEADS : at + heads]
    if (last ^ midst + (len(bodies) << wider + _NUMBER) ^ _END) & ~(_MAY_DIFFER << wider) or not body <= ready <= len(buffer):
        return Pieces(header, bodies, ends=False), False, end
    return Pieces(header, (*bodies, buffer[body:ready]), ends=True), bool(last >> wider + _MARKER & 0x80), ready


def _alike(buffer: bytes, at: int, stride: int, heads: int) -> tuple[bytes, ...]:
    """The bodies of the piece at `at` and of those behind it that are as long and in the midst of the same unit."""
    which = at + heads - 1
    marks = buffer[which + stride : which + _RUN_LIMIT * stride : stride]
    count = min(1 + len(marks) - len(marks.lstrip(bytes((buffer[which] & ~_START,)))), (len(buffer) - at) // stride)
    layout, ones, ramp = _layout(stride, heads, count)
    found = layout.unpack_from(buffer, at)
    first = int.from_bytes(found[0])
    midst = first & ~_START
    if int.from_bytes(b"".join(found[::2])) == midst * ones + ramp + (first - midst << 8 * heads * (count - 1)):
        return found[1::2]
    return found[1:2]


@lru_cache(maxsize=1024)
def _layout(stride: int, heads: int, count: int) -> tuple[struct.Struct, int, int]:
    """So many pieces, each its heads and its body; and what all heads together are as one number: one of them times this, plus that."""
    ones = sum(1 << 8 * heads * place for place in range(count))
    ramp = sum(count - 1 - place << 8 * (heads * place + heads - _TO_TIME) + _NUMBER for place in range(count))
    return struct.Struct(">" + f"{heads}s{stride - heads}s" * count), ones, ramp
