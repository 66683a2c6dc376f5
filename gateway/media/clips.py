"""Clips made ready for loudspeakers, in a process of their own, so that neither their size nor their malice reaches the daemon."""

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.errors import DeadlineExceeded, InvalidInput

CLOCK_RATE = 8_000
SIZE_LIMIT = 32 << 20
LONGEST_S = 600.0
_TIMEOUT_S = 30.0
_AT_ONCE = 2  # further clips wait: each has a worker that may take 768 MiB
_WORKER = Path(__file__).with_name("decode_worker.py")
_HINTS = {
    "clip-format": "Send a WAV or MP3 file.",
    "clip-damaged": "Play the file on a computer to see whether it is whole, then send it again.",
    "clip-empty": "Send a file with sound in it.",
    "clip-too-long": "Shorten the clip.",
}


@dataclass(frozen=True, slots=True)
class PreparedClip:
    """One clip as loudspeakers take it, all parts equally long. `pcm`: 8 kHz, mono, signed 16 bit, little endian.

    `encodings`: one byte a sample, by RTP encoding name (PCMA, PCMU; ITU-T G.711).
    """

    pcm: bytes
    encodings: Mapping[str, bytes]

    @property
    def duration_s(self) -> float:
        return len(self.pcm) / 2 / CLOCK_RATE


class ClipPreparer:
    """Decodes clips, `_AT_ONCE` at a time."""

    def __init__(self, *, longest_s: float = LONGEST_S, python: str = sys.executable) -> None:
        self._longest_s = longest_s
        self._python = python
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def prepare(self, data: bytes) -> PreparedClip:
        """The clip in `data` (WAV or MP3). Raises InvalidInput (clip-format, clip-damaged, clip-empty, clip-too-long, clip-too-large)."""
        if not data:
            raise InvalidInput("the clip is empty", code="clip-empty", hint=_HINTS["clip-empty"])
        if len(data) > SIZE_LIMIT:
            raise InvalidInput(f"the clip exceeds {SIZE_LIMIT >> 20} MiB", code="clip-too-large", hint="Send it as MP3, or shorten it.")
        async with self._places:
            output = await self._run(data)
        return _read(output)

    async def _run(self, data: bytes) -> bytes:
        """What the worker wrote. It is killed when it takes too long or nobody waits for it any more."""
        command = (self._python, "-I", str(_WORKER), str(CLOCK_RATE), str(self._longest_s))
        pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=nowhere, limit=1 << 20)
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                output, _ = await process.communicate(data)
        except TimeoutError:
            raise DeadlineExceeded(f"the clip was not decoded within {_TIMEOUT_S:g} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return output


def _read(output: bytes) -> PreparedClip:
    """The worker's answer; one that died without an answer was brought down by the clip."""
    line, _, parts = output.partition(b"\n")
    answer: dict[str, Any] = json.loads(line or '{"ok": false, "code": "clip-damaged", "why": "the clip cannot be decoded"}')
    if not answer["ok"]:
        raise InvalidInput(answer["why"], code=answer["code"], hint=_HINTS[answer["code"]])
    pcm, alaw, mulaw = answer["sizes"]
    return PreparedClip(parts[:pcm], {"PCMA": parts[pcm : pcm + alaw], "PCMU": parts[pcm + alaw : pcm + alaw + mulaw]})
