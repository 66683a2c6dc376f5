"""Sounds made ready for loudspeakers, in processes of their own, so that neither their size nor their malice reaches the daemon."""

import asyncio
import contextlib
import io
import json
import sys
import wave
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.errors import InvalidInput, Overloaded
from gateway.processes import put_down

CLOCK_RATE = 8_000
SIZE_LIMIT = 32 << 20
LONGEST_S = 600.0
ENCODINGS = ("PCMA", "PCMU", "G722")
"""By RTP encoding name, one byte for every 1/8000 s each (RFC 3551, 4.5.2 and 4.5.14)."""
NARROW = ("PCMA", "PCMU")
"""What every loudspeaker takes (G.711), and what is made within milliseconds."""
CHAIN = "horn-1"
"""Names the filters that level a sound (`decode_worker.CHAIN`): another name when they change, so that nothing kept is taken for theirs."""
_TIMEOUT_S = 30.0
_AT_ONCE = 2  # further clips wait: each has a worker that may take 768 MiB
_WAITING = 16  # sounds that are being decoded or wait for it
_WORKER = Path(__file__).with_name("decode_worker.py")
_AUDIBLE = 33  # of 32,768: 60 dB below the loudest
_HINTS = {
    "clip-format": "Send WAV, MP3, FLAC, Opus or Vorbis in Ogg, AAC or M4A, of 4 to 192 kHz and at most 8 channels.",
    "clip-damaged": "Play the file on a computer to see whether it is whole, then send it again.",
    "clip-empty": "Send a file with sound in it.",
    "clip-too-long": "Shorten the clip.",
}


@dataclass(frozen=True, slots=True)
class Loudness:
    """How loud a sound was and has become, in LUFS (ITU-R BS.1770); None for what is too short or too quiet to be measured."""

    before: float | None
    after: float | None


@dataclass(frozen=True, slots=True)
class PreparedClip:
    """One clip as loudspeakers take it, all parts equally long. `pcm`: 8 kHz, mono, signed 16 bit, little endian.

    `encodings`: one byte for every 1/8000 s, by RTP encoding name (`ENCODINGS`). `loudness`: None where nobody measured.
    """

    pcm: bytes
    encodings: Mapping[str, bytes]
    loudness: Loudness | None = None

    @property
    def duration_s(self) -> float:
        return len(self.pcm) / 2 / CLOCK_RATE

    def silent(self) -> bool:
        """Whether a horn gives nothing of it but its own noise. A tenth of a second for minutes of sound."""
        samples = array("h", self.pcm)
        return max(samples, default=0) < _AUDIBLE and min(samples, default=0) > -_AUDIBLE

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return len(self.pcm) + sum(map(len, self.encodings.values()))

    def wav(self) -> bytes:
        """The sound as a WAV file."""
        return wav_of(self.pcm, rate=CLOCK_RATE)


def wav_of(pcm: bytes, *, rate: int) -> bytes:
    """Signed 16 bit mono as a WAV file."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm)
    return out.getvalue()


class ClipPreparer:
    """Decodes and levels sounds, `_AT_ONCE` at a time, each in a process of its own."""

    def __init__(self, *, longest_s: float = LONGEST_S, python: str = sys.executable, encodings: Sequence[str] = ENCODINGS) -> None:
        self._longest_s = longest_s
        self._python = python
        self._encodings = tuple(encodings)
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._uploads = asyncio.Semaphore(_AT_ONCE - 1)
        self._waiting = 0

    async def prepare(self, data: bytes, *, level: bool = False, urgent: bool = True) -> PreparedClip:
        """The sound in `data`, levelled for horns if `level` says so; its loudness is measured. What is not `urgent` leaves one place free.

        Raises InvalidInput (clip-format, clip-damaged, clip-empty, clip-too-long, clip-too-large), Overloaded (too-many-sounds,
        slow-decoder).
        """
        if not data:
            raise InvalidInput("the clip is empty", code="clip-empty", hint=_HINTS["clip-empty"])
        if len(data) > SIZE_LIMIT:
            raise InvalidInput(f"the clip exceeds {SIZE_LIMIT >> 20} MiB", code="clip-too-large", hint="Send it as MP3, or shorten it.")
        if self._waiting >= _WAITING:
            raise Overloaded(f"{_WAITING} sounds wait to be decoded", code="too-many-sounds", hint="Try again in some seconds.")
        self._waiting += 1
        try:
            async with contextlib.nullcontext() if urgent else self._uploads, self._places, _Worker(self._python) as worker:
                return await worker.do(data, _job(data, self._longest_s, level=level, measure=True, encodings=self._encodings))
        except _Died:
            raise _damaged() from None
        finally:
            self._waiting -= 1


class Leveller:
    """Makes sounds of our own ready within milliseconds: its process is started by the first, and kept while there is work.

    One sound at a time, since each takes some 10 ms. `close` ends the process; the next sound starts another.
    """

    def __init__(self, *, longest_s: float = LONGEST_S, python: str = sys.executable, encodings: Sequence[str] = NARROW) -> None:
        self._longest_s = longest_s
        self._python = python
        self._encodings = tuple(encodings)
        self._turn = asyncio.Lock()
        self._worker: _Worker | None = None

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._worker is not None and self._worker.alive

    async def start(self) -> None:
        """Have the process running, so that the next sound does not wait for it."""
        async with self._turn:
            await self._running()

    async def prepare(self, data: bytes, *, level: bool = True) -> PreparedClip:
        """As `ClipPreparer.prepare`, unmeasured, for sounds that we made."""
        job = _job(data, self._longest_s, level=level, measure=False, encodings=self._encodings)
        async with self._turn:
            for last in (False, True):  # the process may have been killed while it had nothing to do
                worker = await self._running()
                try:
                    return await worker.do(data, job)
                except InvalidInput:
                    raise
                except _Died:
                    await self._end()
                    if last:
                        raise _damaged() from None
                except BaseException:
                    await self._end()
                    raise
        raise AssertionError("unreachable")

    async def close(self) -> None:
        async with self._turn:
            await self._end()

    async def _running(self) -> "_Worker":
        if self._worker is None or not self._worker.alive:
            await self._end()
            self._worker = await _Worker(self._python).__aenter__()
        return self._worker

    async def _end(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.__aexit__()


class _Died(Exception):
    """The worker ended over a sound, or before it came."""


def _damaged() -> InvalidInput:
    return InvalidInput("the clip cannot be decoded", code="clip-damaged", hint=_HINTS["clip-damaged"])


class _Worker:
    """A running `decode_worker`. It is killed when it takes too long or nobody waits for it any more."""

    def __init__(self, python: str) -> None:
        self._python = python
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> "_Worker":
        pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        command = (self._python, "-I", str(_WORKER))
        self._process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=nowhere, limit=1 << 20)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None:
            await put_down(self._process)

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def do(self, data: bytes, job: Mapping[str, Any]) -> PreparedClip:
        """What the worker made of `data`. Raises InvalidInput, Overloaded, and `_Died`."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                with contextlib.suppress(ConnectionError):
                    self._process.stdin.write(json.dumps(job).encode() + b"\n" + data)
                    await self._process.stdin.drain()
                line = await self._process.stdout.readline()
                if not line.endswith(b"\n"):
                    raise _Died
                answer = json.loads(line)
                if not answer["ok"]:
                    raise InvalidInput(answer["why"], code=answer["code"], hint=_HINTS[answer["code"]])
                pcm, *encoded = [await self._process.stdout.readexactly(size) for size in answer["sizes"]]
        except asyncio.IncompleteReadError:
            raise _Died from None
        except TimeoutError:
            why = f"the clip was not decoded within {_TIMEOUT_S:g} s"
            raise Overloaded(why, code="slow-decoder", hint="Try again when the machine has less to do, or send a shorter clip.") from None
        return PreparedClip(pcm, dict(zip(job["encodings"], encoded, strict=True)), Loudness(*answer["lufs"]) if answer["lufs"] else None)


def _job(data: bytes, longest_s: float, *, level: bool, measure: bool, encodings: Sequence[str]) -> dict[str, Any]:
    return {
        **{"size": len(data), "rate": CLOCK_RATE, "longest_s": longest_s},
        **{"level": level, "measure": measure, "encodings": list(encodings)},
    }
