import asyncio
import io
import itertools
import math
import os
import random
import signal
import struct
import sys
import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

from gateway.errors import InvalidInput, Overloaded
from gateway.media.clips import ClipPreparer, Leveller, Loudness
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
    return encoded(pcm, "mp3", "libmp3lame", rate=rate)


def encoded(pcm: bytes, container: str, codec: str, *, rate: int = 8000) -> bytes:
    """`pcm` (mono, `rate` Hz) as a file."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        stream: Any = file.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(pcm) // 2)
        frame.sample_rate, frame.pts = rate, 0
        frame.planes[0].update(pcm.ljust(frame.planes[0].buffer_size, b"\0"))
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return out.getvalue()


FORMATS: dict[str, Callable[[bytes], bytes]] = {
    "wav": lambda pcm: encoded(pcm, "wav", "pcm_s24le", rate=16_000),
    "mp3": lambda pcm: encoded(pcm, "mp3", "libmp3lame", rate=16_000),
    "flac": lambda pcm: encoded(pcm, "flac", "flac", rate=16_000),
    "opus": lambda pcm: encoded(pcm, "ogg", "libopus", rate=16_000),
    "aac": lambda pcm: encoded(pcm, "adts", "aac", rate=16_000),
    "m4a": lambda pcm: encoded(pcm, "ipod", "aac", rate=16_000),
}
ID3 = b"ID3\x04\x00\x00\x00\x00\x02\x00" + bytes(256)


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


@pytest.mark.parametrize("name", FORMATS)
async def test_each_format_is_told_by_its_content_and_decoded_to_its_length(name: str) -> None:
    sound = FORMATS[name](tone(2, rate=16_000))
    for data in (sound, ID3 + sound):
        clip = await ClipPreparer().prepare(data)
        assert clip.duration_s == pytest.approx(2, abs=0.2)
        assert _hertz(clip.pcm[8_000:16_000]) == pytest.approx(440 + 160 * 0.75, abs=25)
        assert {len(encoding) for encoding in clip.encodings.values()} == {len(clip.pcm) // 2}


@pytest.mark.parametrize("name", FORMATS)
async def test_padding_and_a_last_frame_that_was_cut_off_are_forgiven(name: str) -> None:
    sound = FORMATS[name](tone(2, rate=16_000))
    for data in (sound + bytes(1_000), sound + b"TAG" + bytes(125), sound[:-10]):
        assert (await ClipPreparer().prepare(data)).duration_s == pytest.approx(2, abs=0.2)


def _hertz(pcm: bytes) -> float:
    samples = struct.unpack(f"<{len(pcm) // 2}h", pcm)
    return sum(1 for a, b in itertools.pairwise(samples) if a < 0 <= b) * 8000 / len(samples)


async def test_quiet_speech_is_raised_for_horns_and_its_loudness_is_told_before_and_after() -> None:
    quiet = await ClipPreparer().prepare(wav(tone(4, level=800)), level=True)
    loud = await ClipPreparer().prepare(wav(tone(4, level=20_000)), level=True)
    assert quiet.loudness is not None
    assert loud.loudness is not None
    assert quiet.loudness.before is not None
    assert loud.loudness.before is not None
    assert quiet.loudness.after is not None
    assert loud.loudness.after is not None
    assert quiet.loudness.before == pytest.approx(loud.loudness.before - 28, abs=0.5)
    assert quiet.loudness.after > quiet.loudness.before + 15
    assert loud.loudness.after > quiet.loudness.after
    assert max(map(abs, struct.unpack(f"<{len(quiet.pcm) // 2}h", quiet.pcm))) <= 0.95 * 32_768
    assert abs(quiet.duration_s - 4) < 0.05


async def test_what_horns_cannot_play_is_taken_out() -> None:
    rumble = await ClipPreparer().prepare(wav(tone(2, hertz=50, level=3000)), level=True)
    voice = await ClipPreparer().prepare(wav(tone(2, hertz=800, level=3000)), level=True)
    assert sum(map(abs, memoryview(rumble.pcm[:8000]).cast("h"))) < sum(map(abs, memoryview(voice.pcm[:8000]).cast("h"))) / 2


async def test_silence_has_no_loudness() -> None:
    clip = await ClipPreparer().prepare(wav(bytes(32_000)), level=True)
    assert clip.loudness == Loudness(None, None)


async def test_the_wideband_encoding_is_heard_by_another_decoder() -> None:
    pcm = tone(1, rate=16_000, hertz=1000)
    clip = await ClipPreparer().prepare(wav(pcm, rate=16_000))
    with av.open(io.BytesIO(clip.encodings["G722"]), "r", format="g722") as file:
        heard = b"".join(bytes(frame.planes[0])[: frame.samples * 2] for frame in file.decode(audio=0))
    assert snr_db(heard[22 * 2 :][:30_000], pcm[:30_000]) > 15 or snr_db(heard[24 * 2 :][:30_000], pcm[:30_000]) > 15


async def test_sounds_of_our_own_share_one_process_that_is_started_again_when_it_has_died() -> None:
    leveller = Leveller()
    try:
        first = await leveller.prepare(wav(tone(1)))
        at_work = children_of(os.getpid())
        assert await leveller.prepare(wav(tone(1))) == first
        assert children_of(os.getpid()) == at_work
        with pytest.raises(InvalidInput):
            await leveller.prepare(b"RIFF" + bytes(4) + b"WAVE")
        for pid in children_of(os.getpid()):
            os.kill(pid, signal.SIGKILL)
        assert await leveller.prepare(wav(tone(1))) == first
    finally:
        await leveller.close()


def children_of(parent: int) -> list[int]:
    """The processes that this one started and that are still there."""
    tasks = Path(f"/proc/{parent}/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]


async def test_uploads_leave_a_place_for_what_is_wanted_in_the_street_and_wait_in_a_short_line(tmp_path: Path) -> None:
    slow = tmp_path / "python"  # takes its time over sounds that are to be levelled
    lines = ("import runpy, sys, time", "work = runpy.run_path(sys.argv[2])", "told = work['work']",
             "work['main'].__globals__['work'] = lambda data, job: time.sleep(60) if job['level'] else told(data, job)",
             "work['main']()")  # fmt: skip
    slow.write_text("\n".join((f"#!{sys.executable}", *lines)))
    slow.chmod(0o755)
    preparer = ClipPreparer(python=str(slow))
    async with asyncio.TaskGroup() as group:
        uploads = [group.create_task(preparer.prepare(wav(tone(0.1)), level=True, urgent=False)) for _ in range(15)]
        await asyncio.sleep(0)
        assert (await preparer.prepare(wav(tone(0.1)))).pcm == tone(0.1)
        uploads.append(group.create_task(preparer.prepare(wav(tone(0.1)), level=True, urgent=False)))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as caught:
            await preparer.prepare(wav(tone(0.1)))
        assert caught.value.code == "too-many-sounds"
        for upload in uploads:
            upload.cancel()


def _garbage() -> bytes:
    return random.Random(1).randbytes(4000)


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: b"", "clip-empty"),
        (lambda: b"#EXTM3U\nhttp://127.0.0.1/secret\n", "clip-format"),
        (lambda: b"ffconcat version 1.0\nfile /etc/passwd\n", "clip-format"),
        (lambda: b"OggS" + bytes(100), "clip-damaged"),
        (lambda: wav(b""), "clip-empty"),
        (lambda: wav(tone(1.0))[:-4_000], "clip-damaged"),
        (lambda: wav(tone(1.0), channels=2)[:-4_000], "clip-damaged"),
        (lambda: b"RIFF\xff\xff\xff\xffWAVEfmt " + _garbage(), "clip-damaged"),
        (lambda: b"ID3" + _garbage(), "clip-format"),
        (lambda: ID3 + b"#EXTM3U", "clip-format"),
        (lambda: b"fLaC" + _garbage(), "clip-damaged"),
        (lambda: b"\0\0\0\x18ftypM4A " + _garbage(), "clip-damaged"),
        (lambda: b"\xff\xf1" + _garbage(), "clip-damaged"),
        (lambda: wav(tone(0.1), rate=1), "clip-format"),
        (lambda: wav(tone(0.1), rate=768_000), "clip-format"),
        (lambda: wav(tone(0.1), channels=16), "clip-format"),
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
    assert time.monotonic() - began < 60
