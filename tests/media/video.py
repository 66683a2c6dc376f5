"""Real H.264 and H.265 for the tests, and the RTP packets that a recorder would make of it."""

import io
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import cache

import av

from gateway.media.depacketize import AccessUnit

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
FPS = 25


@dataclass(frozen=True)
class Packet:
    payload: bytes
    sequence: int
    timestamp: int
    marker: bool
    ntp: datetime | None = None
    following: tuple[bytes, ...] = ()
    packets: int = 1


@dataclass(frozen=True)
class Track:
    encoding: str
    parameters: dict[str, str] = field(default_factory=dict)


def access_unit(nals: Iterable[bytes], timestamp: int, ntp: datetime | None = None, *, key: bool = False) -> AccessUnit:
    """A picture of these NAL units."""
    parts = [part for nal in nals for part in (len(nal).to_bytes(4), nal)]
    return AccessUnit(parts, sum(map(len, parts)), timestamp, ntp, key)


@cache
def pictures(encoding: str, count: int = 60, *, width: int = 160, height: int = 90) -> tuple[tuple[bytes, ...], ...]:
    """The NAL units of `count` pictures, a key picture every 25, each key picture with its parameter sets."""
    codec = {"H264": "libx264", "H265": "libx265"}[encoding]
    options = {"tune": "zerolatency", "preset": "ultrafast", "g": "25"}
    if encoding == "H265":
        options["x265-params"] = "repeat-headers=1:log-level=none:keyint=25"
    context = av.CodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base, context.framerate, context.options = Fraction(1, FPS), Fraction(FPS, 1), options
    found = []
    noise = random.Random(7)
    for index in range(count):
        picture = av.VideoFrame(width, height, "yuv420p")
        for plane in picture.planes:
            plane.update(noise.randbytes(plane.buffer_size))
        picture.pts = index
        found += [tuple(split(bytes(packet))) for packet in context.encode(picture)]
    return (*found, *(tuple(split(bytes(packet))) for packet in context.encode(None)))


def split(annex_b: bytes) -> Iterator[bytes]:
    """The NAL units between start codes of three or four bytes."""
    position = annex_b.find(b"\0\0\1")
    while position >= 0:
        following = annex_b.find(b"\0\0\1", position + 3)
        end = len(annex_b) if following < 0 else following
        yield annex_b[position + 3 : end].rstrip(b"\0") if following >= 0 else annex_b[position + 3 : end]
        position = following


def packets(encoding: str, units: Sequence[Sequence[bytes]], *, mtu: int = 400, aggregate: bool = False, **first: object) -> list[Packet]:
    """The packets of pictures at 25 a second, those too large for `mtu` fragmented, small neighbours aggregated on request."""
    made: list[Packet] = []
    for index, nals in enumerate(units):
        payloads = list(_payloads(encoding, list(nals), mtu, aggregate))
        for place, payload in enumerate(payloads):
            packet = Packet(payload, (65000 + len(made)) % 65536, index * 3600, place == len(payloads) - 1)
            if place == 0:
                packet = replace(packet, ntp=START + timedelta(milliseconds=40 * index), **first)
            made.append(packet)
    return made


def _payloads(encoding: str, nals: list[bytes], mtu: int, aggregate: bool) -> Iterator[bytes]:
    head = 1 if encoding == "H264" else 2
    small = [nal for nal in nals if len(nal) < 60]
    if aggregate and len(small) > 1 and nals[: len(small)] == small:
        body = b"".join(len(nal).to_bytes(2) + nal for nal in small)
        yield (bytes((24,)) if encoding == "H264" else bytes((48 << 1, 1))) + body
        nals = nals[len(small) :]
    for nal in nals:
        if len(nal) <= mtu:
            yield nal
            continue
        body, kind = nal[head:], (nal[0] & 0x1F if encoding == "H264" else nal[0] >> 1 & 0x3F)
        indicator = bytes((nal[0] & 0xE0 | 28,)) if encoding == "H264" else bytes((nal[0] & 0x81 | 49 << 1, nal[1]))
        for at in range(0, len(body), mtu):
            edge = (0x80 if at == 0 else 0) | (0x40 if at + mtu >= len(body) else 0)
            yield indicator + bytes((edge | kind,)) + body[at : at + mtu]


def read_back(data: bytes) -> tuple[list[bytes], list[float], av.VideoStream]:
    """What FFmpeg finds in an MP4 file: the bytes of each sample, the times of the decoded pictures, the stream."""
    with av.open(io.BytesIO(data)) as container:
        samples = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    with av.open(io.BytesIO(data)) as container:
        times = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
        return samples, times, container.streams.video[0]
