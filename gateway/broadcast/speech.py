"""Texts made ready for loudspeakers: spoken by an engine, levelled, and kept, so that what is said often is said at once."""

import asyncio
import contextlib
import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence

import structlog

from gateway.broadcast.kept_sounds import KeptSounds
from gateway.clock import Clock
from gateway.domain.broadcast import Speech
from gateway.domain.spoken import TEXT_LIMIT, Script, clean, script_of
from gateway.errors import Fault, InvalidInput, Overloaded
from gateway.media.clips import CHAIN, NARROW, Leveller, PreparedClip
from gateway.media.speech import StandbyEngine, TtsEngine, Voice

log = structlog.get_logger()

_READY_BYTES = 32 << 20  # in memory
_WAITING = 32  # texts that are being spoken or wait for it
_TO_KEEP = 16  # sounds on their way to the disk; the next is not kept
_IDLE_S = 300.0  # so long after the last text the processes that wait for the next one go


class SpeechDesk:
    """All texts. While `run` runs, sounds get to the disk, and processes wait for the next text as long as one may come soon."""

    def __init__(self, engine: TtsEngine, leveller: Leveller, kept: KeptSounds, clock: Clock) -> None:
        self._engine = engine
        self._leveller = leveller
        self._kept = kept
        self._clock = clock
        self._ready: OrderedDict[str, PreparedClip] = OrderedDict()
        self._to_keep: asyncio.Queue[tuple[str, PreparedClip]] = asyncio.Queue(_TO_KEEP)
        self._used = asyncio.Event()
        self._next = asyncio.Event()
        self._waiting = 0

    async def voices(self) -> Sequence[Voice]:
        """All that the engine has. Whoever asks is about to speak: the levelling process is started meanwhile, the engine's stand by."""
        self._used.set()
        self._next.set()
        voices, _ = await asyncio.gather(self._engine.voices(), self._leveller.start())
        return voices

    async def prepared(self, speech: Speech) -> PreparedClip:
        """The text as it will be heard. Raises InvalidInput (text-empty, text-too-long, unknown-voice), Overloaded."""
        text = _sayable(speech.text)
        voice = await self._voice(speech.voice, text)
        key = hashlib.sha256(json.dumps([self._engine.name, voice, text, CHAIN, NARROW]).encode()).hexdigest()
        ready = self._ready.get(key) or await asyncio.to_thread(self._kept.read, key)
        if ready is None:
            ready = await self._spoken(text, voice)
            with contextlib.suppress(asyncio.QueueFull):
                self._to_keep.put_nowait((key, ready))
        self._remember(key, ready)
        return ready

    async def written(self) -> None:
        """Return once all that was spoken so far is on the disk, or could not be put there."""
        await self._to_keep.join()

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep_all(), name="speech to disk")
                group.create_task(self._rest(), name="speech at rest")
                if isinstance(self._engine, StandbyEngine):
                    group.create_task(self._stand_by(self._engine), name="speech stands by")
        finally:
            await self._let_go()

    async def _spoken(self, text: str, voice: str) -> PreparedClip:
        if self._waiting >= _WAITING:
            raise Overloaded(f"{_WAITING} texts wait to be spoken", code="too-many-sounds", hint="Try again in some seconds.")
        self._waiting += 1
        self._used.set()
        try:
            sound = await self._said(text, voice)
            return await self._leveller.prepare(sound)
        finally:
            self._waiting -= 1
            self._next.set()

    async def _said(self, text: str, voice: str) -> bytes:
        """The text by the engine; meanwhile the leveller has been started, and is there before an error is told."""
        starting = asyncio.create_task(self._leveller.start(), name="leveller starts")
        try:
            return await self._engine.speak(text, voice)
        finally:
            await starting

    async def _voice(self, wanted: str, text: str) -> str:
        """The voice of that name, or the first that suits the text."""
        voices = await self._engine.voices()
        if wanted:
            if any(voice.id == wanted for voice in voices):
                return wanted
            hint = f"There are: {', '.join(voice.id for voice in voices[:12])}… (GET /v1/speech/voices)."
            raise InvalidInput(
                f"there is no voice {wanted[:80]!r}", code="unknown-voice", faults=[Fault("/voice", "is no voice here")], hint=hint
            )
        language = "zh" if script_of(text) is Script.HAN else "en"
        return next((voice.id for voice in voices if voice.language == language), voices[0].id if voices else "")

    async def _keep_all(self) -> None:
        while True:
            key, sound = await self._to_keep.get()
            try:
                await asyncio.to_thread(self._kept.keep, key, sound)
            except OSError as error:
                log.warning("speech.not_kept", why=error.strerror)
            finally:
                self._to_keep.task_done()

    async def _rest(self) -> None:
        while True:
            await self._used.wait()
            self._used.clear()
            await self._clock.sleep(_IDLE_S)
            if not self._used.is_set():
                await self._let_go()

    async def _let_go(self) -> None:
        await self._leveller.close()
        if isinstance(self._engine, StandbyEngine):
            await self._engine.rest()

    async def _stand_by(self, engine: StandbyEngine) -> None:
        while True:
            await self._next.wait()
            self._next.clear()
            await engine.stand_by()

    def _remember(self, key: str, sound: PreparedClip) -> None:
        self._ready[key] = sound
        self._ready.move_to_end(key)
        while sum(kept.size for kept in self._ready.values()) > _READY_BYTES and len(self._ready) > 1:
            self._ready.popitem(last=False)


def _sayable(text: str) -> str:
    if len(text) > TEXT_LIMIT:
        why = f"must be at most {TEXT_LIMIT} characters"
        raise InvalidInput("this text is too long", code="text-too-long", faults=[Fault("/text", why)], hint="Shorten the text.")
    said = clean(text)
    if not said:
        raise InvalidInput(
            "nothing in this text can be said", code="text-empty", faults=[Fault("/text", "has no word")], hint="Send words or numbers."
        )
    return said
