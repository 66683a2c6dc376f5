import asyncio
import io
import math
import random
import struct
import sys
import time
import wave
from collections.abc import Callable

import av
import pytest

from gateway.errors import InvalidInput
from gateway.media.clips import ClipPreparer
from tests.media.g711 import DECODERS


def tone(seconds: float, *, rate: int = 8000, hertz: float = 440.0, level: int = 12_000) -> bytes:
    """A swept tone as PCM, signed 16 bit mono."""
    steps = range(int(seconds * rate))
    return struct.pack(f"<{len(steps)}h", *(round(level * math.sin(2 * math.pi * (hertz + 80 * i / rate) * i / rate)) for i in steps))


def wav(pcm: bytes, *, rate: int = 8000, channels: int = 1, width: int = 2) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(pcm)
    return out.getvalue()


def mp3(pcm: bytes, *, rate: int = 8000) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=rate, layout="mono")
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(pcm) // 2)
        frame.sample_rate = rate
        frame.planes[0].update(pcm.ljust(frame.planes[0].buffer_size, b"\0"))
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def snr_db(heard: bytes, meant: bytes) -> float:
    pairs = list(zip(struct.unpack(f"<{len(heard) // 2}h", heard), struct.unpack(f"<{len(meant) // 2}h", meant), strict=True))
    noise = sum((a - b) ** 2 for a, b in pairs)
    return 10 * math.log10(sum(b * b for _, b in pairs) / noise) if noise else 99.0


async def test_a_wav_that_is_already_right_is_not_changed_at_all() -> None:
    pcm = tone(1.5)
    clip = await ClipPreparer().prepare(wav(pcm))
    assert clip.pcm == pcm
    assert clip.duration_s == 1.5


@pytest.mark.parametrize("name", ["PCMA", "PCMU"])
async def test_the_companded_clip_decodes_to_the_prepared_one(name: str) -> None:
    clip = await ClipPreparer().prepare(wav(tone(0.5)))
    assert len(clip.encodings[name]) == len(clip.pcm) // 2
    assert snr_db(DECODERS[name](clip.encodings[name]), clip.pcm) > 36


async def test_stereo_at_another_rate_is_brought_to_8_khz_mono() -> None:
    mono = tone(1, rate=44_100)
    stereo = b"".join(mono[i : i + 2] * 2 for i in range(0, len(mono), 2))
    clip = await ClipPreparer().prepare(wav(stereo, rate=44_100, channels=2))
    assert clip.duration_s == pytest.approx(1, abs=0.01)


async def test_an_mp3_is_decoded_to_its_length() -> None:
    clip = await ClipPreparer().prepare(mp3(tone(2)))
    assert clip.duration_s == pytest.approx(2, abs=0.2)


def _garbage() -> bytes:
    return random.Random(1).randbytes(4000)


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: b"", "clip-empty"),
        (lambda: b"#EXTM3U\nhttp://127.0.0.1/secret\n", "clip-format"),
        (lambda: b"ffconcat version 1.0\nfile /etc/passwd\n", "clip-format"),
        (lambda: b"OggS" + bytes(100), "clip-format"),
        (lambda: wav(b""), "clip-empty"),
        (lambda: b"RIFF\xff\xff\xff\xffWAVEfmt " + _garbage(), "clip-damaged"),
        (lambda: b"ID3" + _garbage(), "clip-damaged"),
        (lambda: b"RIFF" + bytes(4) + b"WAVE", "clip-damaged"),
        (lambda: wav(tone(3.1)), "clip-too-long"),
        (lambda: bytes((32 << 20) + 1), "clip-too-large"),
    ],
)
async def test_a_clip_that_cannot_be_used_is_refused_with_what_to_do(make: Callable[[], bytes], code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await ClipPreparer(longest_s=3).prepare(make())
    assert caught.value.code == code
    assert caught.value.hint


async def test_a_worker_that_dies_blames_the_clip_and_not_the_daemon(tmp_path) -> None:
    dying = tmp_path / "python"
    dying.write_text("#!/bin/sh\nkill -9 $$\n")
    dying.chmod(0o755)
    with pytest.raises(InvalidInput, match="cannot be decoded"):
        await ClipPreparer(python=str(dying)).prepare(wav(tone(0.1)))


async def test_the_daemon_itself_never_loads_the_decoder() -> None:
    code = "import sys, gateway.media.clips, gateway.media.mp4; sys.exit('av' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await process.wait() == 0


async def test_a_clip_of_ten_minutes_is_ready_soon() -> None:
    began = time.monotonic()
    clip = await ClipPreparer().prepare(wav(bytes(2 * 8000 * 590)))
    assert clip.duration_s == 590
    assert time.monotonic() - began < 20
