"""How long a text takes until it is ready for loudspeakers: spoken and levelled anew, with the process at hand and without, and kept."""

import asyncio
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from gateway.broadcast.kept_sounds import KeptSounds
from gateway.broadcast.speech import SpeechDesk
from gateway.clock import SystemClock
from gateway.domain.broadcast import Speech
from gateway.media.clips import Leveller
from gateway.media.speech import EspeakEngine

TEXTS = 60
COLD = 5
BETWEEN_S = 0.1
TEXT = "请勿占道经营，请车牌京A{:05}的车主立即驶离"
MIXED = "请勿停车 No parking here, {} minutes"


def measure() -> dict[str, Any]:
    """All figures in ms."""
    return {"figures": asyncio.run(figures())}


async def figures() -> dict[str, float]:
    """`text_to_audio_ms` (the median of 60 texts of 5 s) and its like; `text_cached_ms` from memory, `text_kept_ms` from the disk.

    `bare_speech_ms`: how long espeak-ng alone takes over the same texts, by turns with the others, from start to end. Between two texts
    there is a tenth of a second, in which the gateway makes ready for the next.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cold = [await _cold(folder, number) for number in range(COLD)]
        desk, leveller = _desk(folder)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(desk.run())
            await desk.voices()  # starts the levelling process, as somebody who is about to speak may
            await desk.prepared(Speech("预备"))
            anew, bare = list[float](), list[float]()
            for number in range(TEXTS):
                bare.append(await asyncio.to_thread(_bare, TEXT.format(number)))
                await asyncio.sleep(BETWEEN_S)
                anew.append(await _timed(partial(desk.prepared, Speech(TEXT.format(number)))))
            mixed = [await _timed(partial(desk.prepared, Speech(MIXED.format(number)))) for number in range(TEXTS // 3)]
            cached = [await _timed(lambda: desk.prepared(Speech(TEXT.format(TEXTS - 1)))) for _ in range(TEXTS)]
            await desk.written()
            kept = [await _kept(folder, number) for number in range(TEXTS)]
            running.cancel()
        await leveller.close()
    return {
        "text_to_audio_ms": _ms(statistics.median(anew)),
        "text_to_audio_p99_ms": _ms(_p99(anew)),
        "bare_speech_ms": _ms(statistics.median(bare)),
        "mixed_text_to_audio_ms": _ms(statistics.median(mixed)),
        "text_to_audio_cold_ms": _ms(statistics.median(cold)),
        "text_cached_ms": _ms(statistics.median(cached)),
        "text_cached_p99_ms": _ms(_p99(cached)),
        "text_kept_ms": _ms(statistics.median(kept)),
        "text_kept_p99_ms": _ms(_p99(kept)),
    }


def _desk(folder: Path) -> tuple[SpeechDesk, Leveller]:
    leveller = Leveller()
    return SpeechDesk(EspeakEngine(longest_s=60), leveller, KeptSounds(folder / "speech"), SystemClock()), leveller


async def _cold(folder: Path, number: int) -> float:
    """The first text after a start."""
    desk, leveller = _desk(folder)
    try:
        return await _timed(lambda: desk.prepared(Speech(TEXT.format(90_000 + number))))
    finally:
        await leveller.close()


async def _kept(folder: Path, number: int) -> float:
    """A text of a former life, from the disk."""
    desk, leveller = _desk(folder)
    await desk.voices()
    try:
        return await _timed(lambda: desk.prepared(Speech(TEXT.format(number))))
    finally:
        await leveller.close()


def _bare(text: str) -> float:
    began = time.perf_counter()
    subprocess.run(["espeak-ng", "-v", "cmn", "--stdin", "--stdout"], input=text.encode(), stdout=subprocess.PIPE, check=True)
    return time.perf_counter() - began


async def _timed(call: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await call()
    return time.perf_counter() - began


def _p99(seconds: list[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99)]


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)
