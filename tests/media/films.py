"""Films with sound, as an export writes them. What is seen on a grey one was put there afterwards; a noisy one is large however encoded."""

import io
import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from fractions import Fraction
from functools import cache

import av

from gateway.media.mp4 import Mp4Writer
from gateway.media.sound import SoundFormat
from tests.media.video import FPS, START, Track, access_unit, split

GREY = 128


@cache
def grey_film(seconds: int = 4, *, encoding: str = "H264", width: int = 640, height: int = 360) -> bytes:
    """A film of so many seconds whose brightness grows by 4 a second from `GREY` on; a key picture a second; G.711 beside it."""
    return _film((_flat(GREY + 4 * (index // FPS), width, height) for index in range(seconds * FPS)), encoding)


@cache
def gappy_film(gap_s: float = 240.0) -> bytes:
    """Two seconds, `gap_s` seconds of which nothing is recorded, and four seconds; a key picture a second; G.711 beside it."""
    pictures = (_flat(GREY + 4 * (index // FPS), 640, 360) for index in range(6 * FPS))
    return _film(pictures, "H264", lambda index: index / FPS + (gap_s if index >= 2 * FPS else 0.0))


@cache
def noisy_film(seconds: int = 30) -> bytes:
    """So many seconds of noise."""
    noise = random.Random(7)
    tape = noise.randbytes(1 << 20)
    return _film((_noise(tape[noise.randrange(1 << 18) :], 640, 360) for _ in range(seconds * FPS)), "H264")


def brightness(film: bytes) -> list[tuple[float, int, int, int]]:
    """Of each picture: its time, the darkest, the middle and the brightest of its dots."""
    told = []
    with av.open(io.BytesIO(film)) as container:
        for frame in container.decode(video=0):
            plane = frame.planes[0]
            data = memoryview(plane)
            dots = sorted(b"".join(data[row * plane.line_size : row * plane.line_size + frame.width] for row in range(frame.height)))
            told.append((frame.time, dots[0], dots[len(dots) // 2], dots[-1]))
    return told


def _film(pictures: Iterator[av.VideoFrame], encoding: str, when_s: Callable[[int], float] = lambda index: index / FPS) -> bytes:
    out = io.BytesIO()
    writer = Mp4Writer(out.write, Track(encoding), SoundFormat("alaw", 8_000))
    for index, nals in enumerate(_encoded(pictures, encoding)):
        at = timedelta(seconds=when_s(index))
        writer.add(access_unit(nals, round(when_s(index) * 90_000), START + at, key=index % FPS == 0))
        writer.add_sound(b"\x55" * 320, at, 320)
    writer.close()
    return out.getvalue()


def _encoded(pictures: Iterator[av.VideoFrame], encoding: str) -> Iterator[tuple[bytes, ...]]:
    context = av.CodecContext.create({"H264": "libx264", "H265": "libx265"}[encoding], "w")
    context.time_base, context.framerate = Fraction(1, FPS), Fraction(FPS, 1)
    context.options = {"tune": "zerolatency", "preset": "ultrafast", "g": str(FPS)}
    if encoding == "H265":
        context.options = context.options | {"x265-params": f"repeat-headers=1:log-level=none:keyint={FPS}"}
    for index, picture in enumerate(pictures):
        if index == 0:
            context.width, context.height, context.pix_fmt = picture.width, picture.height, "yuv420p"
        picture.pts = index
        for packet in context.encode(picture):
            yield tuple(split(bytes(packet)))
    for packet in context.encode(None):
        yield tuple(split(bytes(packet)))


def _flat(value: int, width: int, height: int) -> av.VideoFrame:
    picture = av.VideoFrame(width, height, "yuv420p")
    for plane, dots in zip(picture.planes, (value, 128, 128), strict=True):
        plane.update(bytes([dots]) * plane.buffer_size)
    return picture


def _noise(dots: bytes, width: int, height: int) -> av.VideoFrame:
    picture = av.VideoFrame(width, height, "yuv420p")
    for plane in picture.planes:
        plane.update(dots[: plane.buffer_size])
    return picture
