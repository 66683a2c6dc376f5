"""A program of its own that decodes key pictures and says each in a few numbers, so that nothing else touches untrusted video.

It takes one picture after the other: on standard input a line `H264|H265 BYTES`, then so many bytes of a byte stream (annex B); on standard
output one line of JSON for each. It ends with its input, after `PICTURES`, or when nobody asks for `IDLE_S`. It imports nothing of the
gateway.
"""

import hashlib
import json
import resource
import select
import sys
from typing import Any

MEMORY_BYTES = 512 << 20
CPU_S = 120
PICTURES = 500
IDLE_S = 90
PIXELS_LIMIT = 40_000_000
BYTES_LIMIT = 32 << 20
COLUMNS, ROWS = 32, 18
_DECODERS = {"H264": "h264", "H265": "hevc"}
_BLOCK = 8  # fields of the histogram: that many pixels of a small picture
_DARK, _BRIGHT, _NEAR = 34, 222, 8
_BANDS, _ACROSS = 60, 8  # rows that sharpness is read from, and parts of each
_CAPTIONED = 0.25  # of the parts, the sharpest: where captions stand


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    for _ in range(PICTURES):
        if not select.select([sys.stdin.buffer], [], [], IDLE_S)[0]:
            return
        head = sys.stdin.buffer.readline(64).split()
        if len(head) != 2 or not head[1].isdigit() or int(head[1]) > BYTES_LIMIT:
            return
        stream = sys.stdin.buffer.read(int(head[1]))
        sys.stdout.buffer.write(json.dumps(answer(head[0].decode(), stream)).encode() + b"\n")
        sys.stdout.buffer.flush()


def answer(encoding: str, stream: bytes) -> dict[str, Any]:
    try:
        return {"ok": True} | described(decode(stream, _DECODERS[encoding]))
    except (ValueError, OSError, EOFError, KeyError) as error:  # FFmpeg's errors are among them
        return {"ok": False, "why": type(error).__name__}


def decode(stream: bytes, codec: str) -> Any:
    """The first picture of the byte stream. Raises ValueError for none, or one beyond `PIXELS_LIMIT`."""
    import av  # loaded after the limits are set

    decoder: Any = av.CodecContext.create(codec, "r")
    decoder.thread_count = 1
    frames = [*decoder.decode(av.Packet(stream)), *decoder.decode(None)]
    if not frames or frames[0].width < 2 * COLUMNS or frames[0].height < 2 * ROWS:
        raise ValueError("no picture")
    if frames[0].width * frames[0].height > PIXELS_LIMIT:
        raise ValueError("too large a picture")
    return frames[0]


def described(frame: Any) -> dict[str, Any]:
    width, height = frame.width, frame.height
    rows = luma_rows(frame)
    block = b"".join(luma_rows(frame.reformat(width=8 * _BLOCK, height=36, format="yuv420p", interpolation="AREA")))
    middle = sorted(block)[len(block) // 2]
    return {
        "width": width,
        "height": height,
        "dark": share(block, 0, _DARK),
        "bright": share(block, _BRIGHT, 255),
        "flat": share(block, middle - _NEAR, middle + _NEAR),
        "sharpness": sharpness(rows),
        "colour": colour(frame),
        "digest": hashlib.sha256(b"".join(rows)).hexdigest()[:32],
        "grains": grains(rows).hex(),
        "fields": b"".join(luma_rows(frame.reformat(width=COLUMNS, height=ROWS, format="yuv420p", interpolation="AREA"))).hex(),
    }


def luma_rows(frame: Any) -> list[bytes]:
    """The brightness of each pixel, row by row, one byte each."""
    if frame.format.name not in ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12"):
        frame = frame.reformat(format="yuv420p")
    plane = frame.planes[0]
    data, stride = memoryview(plane), plane.line_size
    return [bytes(data[row * stride : row * stride + frame.width]) for row in range(frame.height)]


def share(values: bytes, least: int, most: int) -> float:
    return sum(least <= value <= most for value in values) / len(values)


def sharpness(rows: list[bytes]) -> float:
    """The variance of the Laplacian, mean of small parts of the picture; the sharpest quarter of them, with all captions, is left out."""
    step = max(1, (len(rows) - 2) // _BANDS)
    parts = []
    for middle in range(1, len(rows) - 1, step):
        above, row, below = rows[middle - 1], rows[middle], rows[middle + 1]
        edges = [
            4 * here - left - right - up - down
            for here, left, right, up, down in zip(row[1:-1], row, row[2:], above[1:], below[1:], strict=False)
        ]
        length = max(1, len(edges) // _ACROSS)
        parts += [variance(edges[at : at + length]) for at in range(0, length * _ACROSS, length)]
    kept = sorted(parts)[: max(1, int(len(parts) * (1 - _CAPTIONED)))]
    return round(sum(kept) / len(kept), 3)


def variance(values: list[int]) -> float:
    if not values:
        return 0.0
    mean = sum(values) / len(values)
    return sum(value * value for value in values) / len(values) - mean * mean


def colour(frame: Any) -> float:
    """The mean distance of the fields from grey."""
    small = frame.reformat(width=COLUMNS, height=ROWS, format="yuv444p", interpolation="AREA")
    total = 0
    for plane in small.planes[1:]:
        data, stride = memoryview(plane), plane.line_size
        total += sum(abs(value - 128) for row in range(ROWS) for value in bytes(data[row * stride : row * stride + COLUMNS]))
    return round(total / (COLUMNS * ROWS), 2)


def grains(rows: list[bytes]) -> bytes:
    """Single pixels, one of each field."""
    return bytes(
        rows[(2 * row + 1) * len(rows) // (2 * ROWS)][(2 * column + 1) * len(rows[0]) // (2 * COLUMNS)]
        for row in range(ROWS)
        for column in range(COLUMNS)
    )


if __name__ == "__main__":
    main()
