"""A program of its own that turns a clip into what loudspeakers take: it alone touches untrusted audio, within limits of its own.

The clip comes on standard input. On standard output: one line of JSON, then, when it says `"ok"`, the PCM (signed 16 bit, little endian,
mono), its A-law and its µ-law (G.711), one after the other. It imports nothing of the gateway.

Usage: decode_worker.py RATE MAX_SECONDS
"""

import io
import json
import resource
import sys
from collections.abc import Iterator
from typing import Any

MEMORY_BYTES = 768 << 20
CPU_S = 20
_MP3_SYNC = 0xE0


class Refused(Exception):
    """The clip cannot be used: a stable code, and why."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    rate, longest_s = int(sys.argv[1]), float(sys.argv[2])
    try:
        pcm = decode(sys.stdin.buffer.read(), rate, longest_s)
        parts = [pcm, encode(pcm, "pcm_alaw", rate), encode(pcm, "pcm_mulaw", rate)]
        answer: dict[str, object] = {"ok": True, "sizes": [len(part) for part in parts]}
    except Refused as refusal:
        parts, answer = [], {"ok": False, "code": refusal.code, "why": str(refusal)}
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n" + b"".join(parts))


def container_of(data: bytes) -> str:
    """The demuxer for a clip, by its first bytes: FFmpeg is never left to guess, since some formats that it knows open other files."""
    if data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE":
        return "wav"
    if data[:3] == b"ID3" or (len(data) > 1 and data[0] == 0xFF and data[1] & _MP3_SYNC == _MP3_SYNC):
        return "mp3"
    raise Refused("clip-format", "the clip is neither WAV nor MP3")


def decode(data: bytes, rate: int, longest_s: float) -> bytes:
    """The clip as PCM at `rate` Hz. Raises Refused (clip-format, clip-damaged, clip-empty, clip-too-long)."""
    import av  # noqa: PLC0415 - loaded after the limits are set

    try:
        with av.open(io.BytesIO(data), format=container_of(data), options={"protocol_whitelist": ""}) as container:
            if not container.streams.audio:
                raise Refused("clip-empty", "the clip holds no sound")
            pcm = b"".join(_bounded(_samples(container, rate), int(longest_s * rate) * 2, longest_s))
    except (av.error.FFmpegError, ValueError, EOFError) as error:
        raise Refused("clip-damaged", f"the clip cannot be decoded: {error.__class__.__name__}") from error
    if not pcm:
        raise Refused("clip-empty", "the clip holds no sound")
    return pcm


def _samples(container: Any, rate: int) -> Iterator[bytes]:
    import av  # noqa: PLC0415 - as above

    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
    for frame in container.decode(audio=0):
        yield from map(_plain, resampler.resample(frame))
    yield from map(_plain, resampler.resample(None))


def _plain(frame: Any) -> bytes:
    """A plane without the padding behind its samples."""
    return bytes(frame.planes[0])[: frame.samples * 2]


def _bounded(pieces: Iterator[bytes], limit: int, longest_s: float) -> Iterator[bytes]:
    for piece in pieces:
        limit -= len(piece)
        if limit < 0:
            raise Refused("clip-too-long", f"the clip is longer than {longest_s:g} s")
        yield piece


def encode(pcm: bytes, codec: str, rate: int) -> bytes:
    """G.711, one byte a sample."""
    import av  # noqa: PLC0415 - as above

    context: Any = av.CodecContext.create(codec, "w")
    context.sample_rate, context.layout, context.format = rate, "mono", "s16"
    frame = av.AudioFrame(format="s16", layout="mono", samples=len(pcm) // 2)
    frame.sample_rate, frame.pts = rate, 0
    frame.planes[0].update(pcm.ljust(frame.planes[0].buffer_size, b"\0"))
    return b"".join(bytes(packet) for packet in (*context.encode(frame), *context.encode(None)))


if __name__ == "__main__":
    main()
