"""Speech from text: what an engine is, the one that comes with Debian, and how another is plugged in."""

import asyncio
import contextlib
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import NoReturn, Protocol, runtime_checkable

from gateway.domain.spoken import Run, Script, runs, said_in_chinese
from gateway.errors import InvalidInput, Overloaded
from gateway.media.clips import wav_of
from gateway.processes import put_down

ENGINES = "gateway.speech"
"""The group of entry points by which other engines are found: each a callable that gives a `TtsEngine`."""
ESPEAK = "espeak-ng"
_RATE = 22_050
_HEADER = 44
_WORDS_PER_MINUTE = 155  # slower than a conversation: a horn is heard over traffic and echoes
_AT_ONCE = 4
_STANDING_BY = 2  # voices: one for each script of a mixed text
_TIMEOUT_S = 10.0
# Debian 12's `cmn` reads Chinese characters as English ones: this one reads them as Mandarin. The first that is installed counts.
_MANDARIN = ("cmn-latn-pinyin", "cmn")
_ENGLISH = ("en-gb", "en-us", "en")
_BROKEN = frozenset({"cmn", "zh"})
_ROW = re.compile(r"\s*\d+\s+(?P<id>\S+)\s+\S+\s+(?P<name>\S+)\s+\S+")


@dataclass(frozen=True, slots=True)
class Voice:
    """Who can speak. `language`: a tag of BCP 47, in small letters."""

    id: str
    language: str
    name: str


class TtsEngine(Protocol):
    """Speaks texts. What it is given has been cleaned (`domain.spoken.clean`) and is at most `spoken.TEXT_LIMIT` characters long."""

    @property
    def name(self) -> str:
        """Names the engine and what changes its sound: what was kept under another name is not taken for its."""
        ...

    async def voices(self) -> Sequence[Voice]:
        """All of them, for each language the best one first. Raises Overloaded (no-speech-engine) when it is not installed."""
        ...

    async def speak(self, text: str, voice: str) -> bytes:
        """`text` as a WAV file. Raises InvalidInput (text-too-long), Overloaded (no-speech-engine, slow-speech)."""
        ...


@runtime_checkable
class StandbyEngine(TtsEngine, Protocol):
    """An engine that speaks sooner when it knows before that a text may come."""

    async def stand_by(self) -> None:
        """Make the next text in the voices that spoke last quick; called by one task, after each text. Never raises."""
        ...

    async def rest(self) -> None:
        """Let go of what `stand_by` holds: no text has come for a while."""
        ...


def load_engine(name: str, *, longest_s: float) -> TtsEngine:
    """The engine of this name. InvalidInput when nothing that is installed offers it."""
    if name == ESPEAK:
        return EspeakEngine(longest_s=longest_s)
    found = {point.name: point for point in entry_points(group=ENGINES)}
    if name not in found:
        offered = ", ".join(sorted({ESPEAK, *found}))
        raise InvalidInput(
            f"there is no speech engine {name!r}", hint=f"Installed: {offered}. Others plug in by the entry point {ENGINES!r}."
        )
    make: Callable[[], TtsEngine] = found[name].load()
    return make()


class EspeakEngine:
    """espeak-ng, a process for each run of a script. Texts go in by standard input: no shell and no list of arguments ever sees one.

    Half of what a short text takes is espeak-ng's own start, so `stand_by` starts the processes of the next one ahead.
    """

    def __init__(self, *, longest_s: float, program: str = ESPEAK) -> None:
        self._program = program
        self._most_bytes = int(longest_s * _RATE) * 2
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._voices: tuple[Voice, ...] = ()
        self._at_hand: dict[str, asyncio.Task[asyncio.subprocess.Process] | None] = {}  # by voice, the one that spoke last at the end

    @property
    def name(self) -> str:
        return f"espeak-ng/{_WORDS_PER_MINUTE}/1"

    async def voices(self) -> Sequence[Voice]:
        if not self._voices:
            async with self._places:
                listed = (await _told(await self._start("--voices"), b"", most=1 << 20) or _failed()).decode(errors="replace")
            rows = (match for line in listed.splitlines()[1:] if (match := _ROW.match(line)))
            found = {row["id"].lower(): Voice(row["id"], _language(row["id"]), row["name"].replace("_", " ")) for row in rows}
            best = [found[name] for name in (*_MANDARIN, *_ENGLISH) if name in found]
            usable = (voice for name, voice in sorted(found.items()) if name not in _BROKEN or _MANDARIN[0] not in found)
            self._voices = tuple(dict.fromkeys(voice for voice in (*best, *usable) if voice.id not in _BROKEN or _MANDARIN[0] not in found))
        return self._voices

    async def speak(self, text: str, voice: str) -> bytes:
        """As the Protocol says. Words in another script than the voice's are spoken by the best voice for theirs."""
        parts = await asyncio.gather(*[self._say(run, await self._voice_of(run, voice)) for run in runs(text)])
        pcm = b"".join(parts)
        if len(pcm) > self._most_bytes:
            raise _too_long(self._most_bytes)
        return wav_of(pcm, rate=_RATE)

    async def _voice_of(self, run: Run, voice: str) -> str:
        voices = await self.voices()
        language = next((known.language for known in voices if known.id == voice), "")
        chinese = language in {"zh", "yue"}
        if chinese == (run.script is Script.HAN):
            return voice
        wanted = "zh" if run.script is Script.HAN else "en"
        return next((known.id for known in voices if known.language == wanted), voice)

    async def stand_by(self) -> None:
        """As the Protocol says: a process each, which waits for its text."""
        for voice in list(self._at_hand)[:-_STANDING_BY]:
            await _dismiss(self._at_hand.pop(voice))
        for voice, waiting in self._at_hand.items():
            if not _waits(waiting):
                self._at_hand[voice] = asyncio.create_task(self._start(*_speaking(voice)), name=f"speech in {voice}")

    async def rest(self) -> None:
        """As the Protocol says."""
        while self._at_hand:
            await _dismiss(self._at_hand.popitem()[1])

    async def _say(self, run: Run, voice: str) -> bytes:
        text = said_in_chinese(run.text) if run.script is Script.HAN else run.text
        async with self._places:
            sound = await self._aloud(text.encode(), voice) or _failed()
        return sound[_HEADER:][: len(sound[_HEADER:]) & ~1]

    async def _aloud(self, text: bytes, voice: str) -> bytes:
        """By the process that stands by; by a new one where there is none, or where it died meanwhile."""
        waiting = self._at_hand.pop(voice, None)
        self._at_hand[voice] = None
        most = self._most_bytes + _HEADER
        if waiting is not None and _waits(waiting) and (sound := await _told(await _taken(waiting), text, most)):
            return sound
        return await _told(await self._start(*_speaking(voice)), text, most)

    async def _start(self, *options: str) -> asyncio.subprocess.Process:
        program = shutil.which(self._program)
        if program is None:
            hint = "On Debian: apt-get install espeak-ng; or name another engine as broadcast.speech_engine."
            raise Overloaded("the speech engine espeak-ng is not installed", code="no-speech-engine", hint=hint)
        pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        return await asyncio.create_subprocess_exec(
            program, *options, stdin=pipe, stdout=pipe, stderr=nowhere, env={"LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}
        )


def _speaking(voice: str) -> tuple[str, ...]:
    return ("-v", voice, "-s", str(_WORDS_PER_MINUTE), "-b", "1", "--stdin", "--stdout")


def _waits(started: asyncio.Task[asyncio.subprocess.Process] | None) -> bool:
    """Whether this process waits for a text, or will."""
    if started is None or not started.done():
        return started is not None
    return not started.cancelled() and started.exception() is None and started.result().returncode is None


async def _taken(started: asyncio.Task[asyncio.subprocess.Process]) -> asyncio.subprocess.Process:
    """The process, which nobody is left with when nobody waits for it any more."""
    try:
        return await started
    except asyncio.CancelledError:
        await _dismiss(started)
        raise


async def _dismiss(started: asyncio.Task[asyncio.subprocess.Process] | None) -> None:
    if started is None:
        return
    if not started.done():
        started.cancel()  # whoever is cancelled amid a start ends what has started
        await asyncio.wait([started])
    if not started.cancelled() and started.exception() is None:
        await put_down(started.result())


async def _told(process: asyncio.subprocess.Process, text: bytes, most: int) -> bytes:
    """What the program writes, at most `most` bytes of it; b"" when it fails.

    It is killed when it takes too long or nobody waits for it any more.
    """
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            return await _converse(process, text, most)
    except TimeoutError:
        raise Overloaded(f"the text was not spoken within {_TIMEOUT_S:g} s", code="slow-speech", hint="Try again.") from None
    finally:
        await put_down(process)


async def _converse(process: asyncio.subprocess.Process, text: bytes, most: int) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(ConnectionError):
        process.stdin.write(text)
        process.stdin.close()
    sound = bytearray()
    while piece := await process.stdout.read(1 << 16):
        sound += piece
        if len(sound) > most:
            raise _too_long(most)
    return bytes(sound) if await process.wait() == 0 else b""


def _failed() -> NoReturn:
    raise Overloaded("the speech engine failed", code="no-speech-engine", hint="Try it by hand: espeak-ng -v en test")


def _too_long(most_bytes: int) -> InvalidInput:
    return InvalidInput(f"the text takes longer to say than {most_bytes / 2 / _RATE:.0f} s", code="text-too-long", hint="Shorten the text.")


def _language(voice: str) -> str:
    """espeak-ng's name of a language by BCP 47: Mandarin as people look for it."""
    name = voice.lower()
    return "zh" if name.startswith("cmn") else "yue" if name.startswith("yue") else name.split("-")[0]
