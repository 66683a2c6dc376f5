"""Programmes put together from their parts: the chime, the content as often as it is to be heard, the pauses between."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence

import structlog

from gateway.broadcast.clips import ClipShelf
from gateway.broadcast.speech import SpeechDesk
from gateway.domain.broadcast import ClipContent, ClipId, Content, Programme, Speech, Talk
from gateway.errors import Fault, GatewayError, InvalidInput, Overloaded
from gateway.media.chime import chime
from gateway.media.clips import CLOCK_RATE, ClipPreparer, PreparedClip, wav_of
from gateway.media.speech import Voice

log = structlog.get_logger()

_READY_BYTES = 32 << 20  # programmes in memory
LONGEST_S = 600.0


class SoundDesk:
    """All programmes. `longest_s`: how long one may be from the first note to the last word; `chime_clip`: heard instead of ours.

    `ahead`: whether the chime is made ready by `run`, instead of by the first who wants it.
    """

    def __init__(
        self,
        shelf: ClipShelf,
        speech: SpeechDesk | None = None,
        *,
        longest_s: float = LONGEST_S,
        chime_clip: ClipId | None = None,
        ahead: bool = False,
    ) -> None:
        self._shelf = shelf
        self._speech = speech
        self._longest_s = longest_s
        self._chime_clip = chime_clip
        self._ahead = ahead
        self._parts = asyncio.Lock()
        self._chime: PreparedClip | None = None
        self._silence: PreparedClip | None = None
        self._ready: OrderedDict[Programme, tuple[PreparedClip, PreparedClip]] = OrderedDict()

    async def run(self) -> None:
        """Work on what waits for no answer until cancelled: the chime is made ready, spoken texts get to the disk."""
        if self._ahead:
            await self._warm()
        if self._speech is not None:
            await self._speech.run()
        else:
            await asyncio.Event().wait()

    async def _warm(self) -> None:
        try:
            await self._before()
            await self._quiet()
        except GatewayError as error:  # whoever needs it will be told
            log.warning("broadcast.no_chime", why=str(error))

    async def voices(self) -> Sequence[Voice]:
        """All voices of the speech engine. Raises Overloaded (no-speech-engine)."""
        return await self._engine().voices()

    async def prepared(self, programme: Programme) -> PreparedClip:
        """The programme as loudspeakers take it.

        Raises InvalidInput (programme-too-long, text-empty, text-too-long, unknown-voice), NotFound (no-clip), Overloaded
        (no-speech-engine, slow-speech, slow-decoder), StorageFailed (clip-damaged).
        """
        content = await self._content(programme.content)
        if not programme.chime and programme.repeats == 1:
            self._check(content.duration_s)
            return content
        before = await self._before() if programme.chime else None
        pauses = programme.repeats - 1
        self._check((before.duration_s if before else 0) + content.duration_s * programme.repeats + programme.pause_s * pauses)
        known = self._ready.get(programme)
        if known is not None and known[0] is content:
            self._ready.move_to_end(programme)
            return known[1]
        pause = stretched(await self._quiet(), programme.pause_s)
        whole = await asyncio.to_thread(joined, [*([before] if before else []), content, *[pause, content] * pauses])
        self._remember(programme, content, whole)
        return whole

    async def _content(self, content: Content) -> PreparedClip:
        match content:
            case ClipContent(clip):
                return await self._shelf.prepared(clip)
            case Speech():
                return await self._engine().prepared(content)
            case Talk():
                raise InvalidInput("what a person says live cannot be prepared")

    def _engine(self) -> SpeechDesk:
        if self._speech is None:
            raise Overloaded("there is no speech engine", code="no-speech-engine", hint="Name one as broadcast.speech_engine.")
        return self._speech

    def _check(self, lasts_s: float) -> None:
        if lasts_s > self._longest_s:
            why = f"takes {lasts_s:.0f} s, more than {self._longest_s:g} s"
            hint = "Fewer repeats, shorter pauses or a shorter content; broadcast.duration_max_s may ask for still shorter ones."
            raise InvalidInput(f"the programme {why}", code="programme-too-long", faults=[Fault("/repeats", why)], hint=hint)

    async def _before(self) -> PreparedClip:
        if self._chime_clip is not None:
            return await self._shelf.prepared(self._chime_clip)
        async with self._parts:
            if self._chime is None:
                self._chime = await ClipPreparer().prepare(wav_of(chime(2 * CLOCK_RATE), rate=2 * CLOCK_RATE))
            return self._chime

    async def _quiet(self) -> PreparedClip:
        """A second of silence, in each encoding as its encoder makes it."""
        async with self._parts:
            if self._silence is None:
                self._silence = await ClipPreparer().prepare(wav_of(bytes(2 * CLOCK_RATE), rate=CLOCK_RATE))
            return self._silence

    def _remember(self, programme: Programme, content: PreparedClip, whole: PreparedClip) -> None:
        self._ready[programme] = content, whole
        while sum(kept.size for _, kept in self._ready.values()) > _READY_BYTES and len(self._ready) > 1:
            self._ready.popitem(last=False)


def joined(parts: Iterable[PreparedClip]) -> PreparedClip:
    """The parts one behind the other, in the encodings that all of them have: nothing is encoded again."""
    parts = list(parts)
    names = [name for name in parts[0].encodings if all(name in part.encodings for part in parts)]
    encodings = {name: b"".join(part.encodings[name] for part in parts) for name in names}
    return PreparedClip(b"".join(part.pcm for part in parts), encodings)


def stretched(second: PreparedClip, seconds: float) -> PreparedClip:
    """As much of `second`, over and over, as lasts `seconds`."""
    samples = round(seconds * CLOCK_RATE)
    times = samples // (len(second.pcm) // 2) + 1
    encodings = {name: (encoded * times)[:samples] for name, encoded in second.encodings.items()}
    return PreparedClip((second.pcm * times)[: 2 * samples], encodings)
