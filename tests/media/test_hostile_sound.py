"""Sounds that want to harm: damaged on purpose, endless, huge. Each is refused with what to do, within bounds of time and memory."""

import asyncio
import json
import random
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import InvalidInput
from gateway.media.clips import ClipPreparer, Leveller, PreparedClip
from tests.media.test_clips import FORMATS, encoded, tone, wav

SOUNDS = {name: make(tone(0.4, rate=16_000)) for name, make in FORMATS.items()}
CODES = {"clip-format", "clip-damaged", "clip-empty", "clip-too-long"}


async def tried(data: bytes, *, longest_s: float = 5.0) -> PreparedClip | str:
    try:
        clip = await ClipPreparer(longest_s=longest_s).prepare(data, level=True)
    except InvalidInput as refused:
        assert refused.hint
        return refused.code
    assert 0 < clip.duration_s <= longest_s + 0.1
    return clip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A real file with bytes changed, cut out, doubled, or with the head of another."""
    data = bytearray(SOUNDS[draw(st.sampled_from(sorted(SOUNDS)))])
    for _ in range(draw(st.integers(1, 12))):
        at, size = draw(st.integers(0, len(data) - 1)), draw(st.integers(1, 64))
        match draw(st.integers(0, 4)):
            case 0:
                data[at : at + size] = draw(st.binary(min_size=1, max_size=64))
            case 1:
                del data[at : at + size]
            case 2:
                data[at:at] = data[at : at + size]
            case 3:
                data[at : at + 4] = draw(st.sampled_from([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", bytes(4), b"\x80\0\0\0"]))
            case _:
                data = data[:at] or data
        if not data:
            return b"\0"
    return bytes(data)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a process each
@given(data=mutated())
def test_a_damaged_file_is_a_sound_or_refused_with_what_to_do(data: bytes) -> None:
    outcome = asyncio.run(tried(data))
    assert isinstance(outcome, PreparedClip) or outcome in CODES


def mp4_that_claims(samples: int) -> bytes:
    """An M4A whose table of times says that it has so many frames."""
    data = bytearray(encoded(tone(0.4, rate=16_000), "ipod", "aac", rate=16_000))
    at = data.index(b"stts")
    data[at + 12 : at + 16] = struct.pack(">I", samples)
    return bytes(data)


def long_flac() -> bytes:
    """An hour of silence in a few kilobytes."""
    return encoded(bytes(2 * 8000 * 3600), "flac", "flac")


def wav_that_claims(rate: int, channels: int) -> bytes:
    data = bytearray(wav(tone(0.2)))
    data[22:24], data[24:28] = struct.pack("<H", channels), struct.pack("<I", rate)
    return bytes(data)


BOMBS: dict[str, Callable[[], bytes]] = {
    "m4a-frames": lambda: mp4_that_claims(0x7FFFFFFF),
    "flac-hour": long_flac,
    "opus-eleven-minutes": lambda: encoded(bytes(2 * 8000 * 660), "ogg", "libopus"),
    "wav-hours": lambda: wav(bytes(30 << 20), rate=4000),
    "wav-rate": lambda: wav_that_claims(0xFFFFFFFF, 1),
    "wav-channels": lambda: wav_that_claims(1, 65_535),
    "wav-none": lambda: wav_that_claims(8000, 0),
    "id3-huge": lambda: b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + bytes(100),
    "id3-many": lambda: b"ID3\x04\x00\x00\x00\x00\x00\x00" * 100_000,
    "ogg": lambda: b"OggS" * 1_000_000,
    "mp3": lambda: b"\xff\xfb\x90\x64" * 1_000_000,
    "moov": lambda: b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42" + b"\0\0\0\x08moov" * 100_000,
}


# A process takes over its parent's greatest size with fork: measured in one that is small itself, or the tests' own would be counted.
MEASURED = """
import asyncio, json, pathlib, resource, sys
from tests.media.test_hostile_sound import PreparedClip, tried
outcome = asyncio.run(tried(pathlib.Path(sys.argv[1]).read_bytes()))
print(json.dumps(["sound" if isinstance(outcome, PreparedClip) else outcome, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]))
"""


@pytest.mark.parametrize("make", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_is_refused_in_bounded_time_and_memory(make: Callable[[], bytes], tmp_path: Path) -> None:
    (tmp_path / "bomb").write_bytes(make()[: 32 << 20])
    run = subprocess.run([sys.executable, "-c", MEASURED, tmp_path / "bomb"], check=True, capture_output=True, timeout=120)
    outcome, greatest_kib = json.loads(run.stdout)
    assert outcome in CODES | {"sound"}
    assert greatest_kib < 800 << 10


async def test_noise_of_each_kind_is_refused_and_the_same_process_goes_on() -> None:
    dice, leveller = random.Random(7), Leveller(longest_s=5)
    try:
        for head in (b"RIFF\0\0\0\0WAVE", b"fLaC", b"OggS", b"\xff\xf1", b"\xff\xfb", b"\0\0\0\x20ftypM4A ", b""):
            with pytest.raises(InvalidInput) as caught:
                await leveller.prepare(head + dice.randbytes(5_000))
            assert caught.value.code in CODES
        assert (await leveller.prepare(wav(tone(0.2)))).duration_s == pytest.approx(0.2, abs=0.01)
    finally:
        await leveller.close()


@pytest.mark.parametrize(
    "data",
    [b"#EXTM3U\n/etc/passwd", b"ffconcat version 1.0\nfile /etc/passwd", b"<?xml version='1.0'?><MPD/>", b"RIFF\0\0\0\0AVI LIST"],
)
async def test_what_names_other_files_is_not_even_opened(data: bytes) -> None:
    assert await tried(data) == "clip-format"
