"""A program of its own that decodes one key picture and writes it as JPEG: it alone touches untrusted video, within limits of its own.

The picture comes on standard input as a byte stream (H.264 or H.265 annex B). On standard output: one line of JSON, then, when it says
`"ok"`, the JPEG. It imports nothing of the gateway.

Usage: still_worker.py H264|H265 [WIDTH]
"""

import json
import resource
import sys
from fractions import Fraction
from typing import Any

MEMORY_BYTES = 512 << 20
CPU_S = 10
PIXELS_LIMIT = 40_000_000
_DECODERS = {"H264": "h264", "H265": "hevc"}
_QUALITY = 3  # of MJPEG, 2 the best and 31 the worst


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    picture = b""
    try:
        frame = decode(sys.stdin.buffer.read(), _DECODERS[sys.argv[1]])
        picture = encode(frame, int(sys.argv[2]) if len(sys.argv) > 2 else frame.width)
        answer: dict[str, object] = {"ok": True}
    except (ValueError, OSError, EOFError) as error:  # FFmpeg's errors are among them
        answer = {"ok": False, "why": type(error).__name__}
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n" + picture)


def decode(stream: bytes, codec: str) -> Any:
    """The first picture of the byte stream. Raises ValueError for none, or one beyond `PIXELS_LIMIT`."""
    import av  # loaded after the limits are set

    decoder: Any = av.CodecContext.create(codec, "r")
    decoder.thread_count = 1
    frames = [*decoder.decode(av.Packet(stream)), *decoder.decode(None)]
    if not frames:
        raise ValueError("no picture")
    if frames[0].width * frames[0].height > PIXELS_LIMIT:
        raise ValueError("too large a picture")
    return frames[0]


def encode(frame: Any, most: int) -> bytes:
    """The picture as JPEG, at most `most` pixels wide."""
    import av

    encoder: Any = av.CodecContext.create("mjpeg", "w")
    width = min(most, frame.width)
    height = max(2, round(frame.height * width / frame.width / 2) * 2) if width < frame.width else frame.height
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuvj420p"
    encoder.time_base = Fraction(1, 25)
    encoder.thread_count = 1
    encoder.qmin = encoder.qmax = _QUALITY
    full = frame.reformat(width=width, height=height, format="yuvj420p")
    full.pts = None
    return b"".join(bytes(packet) for packet in (*encoder.encode(full), *encoder.encode(None)))


if __name__ == "__main__":
    main()
