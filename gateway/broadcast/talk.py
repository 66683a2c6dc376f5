"""Live talks: a person's voice from the frames of a microphone to the loudspeakers, until somebody or something ends it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

import structlog

from gateway.broadcast.microphone import FRAME_S, SILENT_DB, SPOKEN_RATE, Downsampler, Level, Meter, check_frame
from gateway.broadcast.orders import Order
from gateway.broadcast.pacing.live import LiveSource
from gateway.broadcast.recordings import RecordingShelf, Tape
from gateway.broadcast.service import BroadcastService
from gateway.broadcast.views import View
from gateway.clock import Clock
from gateway.domain.broadcast import BroadcastId, Delivery, DeliveryState
from gateway.domain.broadcast_ledger import Recording, RecordingState
from gateway.domain.events import NewEvent
from gateway.domain.talk import USUAL, TalkBounds, TalkEnd, TalkTimes, over, why_over
from gateway.errors import GatewayError, Overloaded
from gateway.media.opus import OpusVoice

log = structlog.get_logger()

TALK_ENDED_EVENT = "broadcast.talk-ended"
TALKS_LIMIT = 50  # at once: each costs up to one percent of a core
OPUS_LIMIT = 12  # of them: each has a process that decodes
LOOK_S: Final = 0.05
HUSH_EVERY: Final = 20
LEVEL_EVERY: Final = 4
"""Every so many looks the talker is told how loud the voice was, and whether quiet hours have begun is asked."""
_WORDS_LIMIT = 256  # untold words to a talker; one who does not listen loses levels first, and then the talk
_AHEAD_FRAMES = 100  # a connection that stood still delivers two seconds at once


@dataclass(frozen=True, slots=True)
class LevelWord:
    """How loud the talker is, and how long the talk has been heard."""

    level: Level
    on_air_s: float | None


@dataclass(frozen=True, slots=True)
class DeliveryWord:
    """How the talk stands at one loudspeaker now."""

    delivery: Delivery


@dataclass(frozen=True, slots=True)
class EndWord:
    """The talk is over: why, and what became of it. Nothing follows."""

    reason: str
    view: View


Word = LevelWord | DeliveryWord | EndWord


@dataclass(slots=True, eq=False)
class LiveTalk:
    """One talk under way. `hear` takes its frames, `end` ends it, `words` tells how it goes."""

    view: View
    source: LiveSource
    clock: Clock
    times: TalkTimes
    tape: Tape | None
    """What was sent of it, where that is recorded."""
    ended: str = ""
    said_s: float = 0.0
    sent_s: float = 0.0
    opus: OpusVoice | None = None
    """Where packets come instead of frames."""
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    _down: Downsampler = field(default_factory=Downsampler)
    _meter: Meter = field(default_factory=Meter)
    _words: asyncio.Queue[Word] = field(default_factory=lambda: asyncio.Queue(_WORDS_LIMIT))

    @property
    def id(self) -> BroadcastId:
        return self.view.broadcast.id

    def hear(self, frame: bytes) -> None:
        """Say the next 20 ms (`microphone.FRAME_BYTES`), or packet. Raises InvalidInput (`bad-frame`). After the end it is not heard."""
        if self.opus is None:
            check_frame(frame)
        if self.ended:
            return
        self.sent_s += FRAME_S if self.opus is None else self.opus.hear(frame)
        now = self.clock.monotonic()
        if self.sent_s > now - self.times.begun + _AHEAD_FRAMES * FRAME_S:
            self.end(TalkEnd.FLOODED)
            return
        self.times.last_frame = now
        if self.opus is None:
            self._say(self._down.take(frame), now)
        elif self.opus.gone:
            self.end(TalkEnd.LOST)

    def say(self, pcm: bytes) -> None:
        """Say some sound of 8 kHz now."""
        if pcm and not self.ended:
            self._say(pcm, self.clock.monotonic())

    def _say(self, pcm: bytes, now: float) -> None:
        self.source.push(pcm)
        if self._meter.take(pcm) >= SILENT_DB:
            self.times.last_voice = now
            self.said_s += len(pcm) / 2 / SPOKEN_RATE

    def end(self, reason: TalkEnd) -> None:
        """Say nothing more: what was said so far is still heard to its end."""
        if not self.ended:
            self.stop(reason.value)

    def stop(self, reason: str) -> None:
        self.ended = self.ended or reason
        self.source.close()

    def level(self) -> Level:
        return self._meter.level()

    async def words(self) -> AsyncIterator[Word]:
        """What there is to tell the talker, up to the end."""
        while True:
            word = await self._words.get()
            yield word
            if isinstance(word, EndWord):
                return

    def tell(self, word: Word) -> None:
        """Have the talker told; who does not listen is not told of levels."""
        if isinstance(word, LevelWord) and self._words.qsize() >= _WORDS_LIMIT // 2:
            return
        if self._words.full():
            self.end(TalkEnd.LOST)
            self._words.get_nowait()
        self._words.put_nowait(word)


class TalkDesk:
    """All live talks. `run` must be running. A talk is a broadcast like any other: leases, rules, caps and stop-all hold for it."""

    def __init__(
        self,
        *,
        broadcasts: BroadcastService,
        clock: Clock,
        bounds: TalkBounds = USUAL,
        recordings: RecordingShelf | None = None,
    ) -> None:
        """`recordings`: where to keep what was said; None: nowhere."""
        self._broadcasts = broadcasts
        self._clock = clock
        self._bounds = bounds
        self._recordings = recordings
        self._talks: set[LiveTalk] = set()
        self._group: asyncio.TaskGroup | None = None

    async def begin(self, order: Order, *, opus: bool = False) -> LiveTalk:
        """Let somebody speak, in frames or in `opus` packets.

        Raises what `BroadcastService.submit` raises, and Overloaded (`too-many-talks`, `no-opus`).
        It is heard once a delivery is PLAYING: what is said before is not.
        """
        if self._group is None:
            raise Overloaded("live talk is starting", hint="try again in a few seconds")
        if len(self._talks) >= TALKS_LIMIT:
            raise Overloaded(f"{TALKS_LIMIT} people are speaking", code="too-many-talks", hint="Try again when one has ended.")
        if opus and sum(talk.opus is not None for talk in self._talks) >= OPUS_LIMIT:
            raise Overloaded(f"{OPUS_LIMIT} people speak in Opus", code="too-many-talks", hint="Send PCM, or try again when one has ended.")
        tape = None if self._recordings is None else self._recordings.tape()
        source = LiveSource(None if tape is None else tape.take)
        view = await self._broadcasts.submit(order, live=source)
        try:
            talk = await self._open(view, source, tape, opus=opus)
        except BaseException:
            self._broadcasts.bow_out(view.broadcast.id, TalkEnd.LOST)
            if self._recordings is not None:
                self._recordings.settle_later(view.broadcast.id)
            raise
        self._talks.add(talk)
        self._group.create_task(self._attend(talk), name=f"talk {talk.id}")
        return talk

    async def _open(self, view: View, source: LiveSource, tape: Tape | None, *, opus: bool) -> LiveTalk:
        now = self._clock.monotonic()
        talk = LiveTalk(view, source, self._clock, TalkTimes(now, now, now), tape)
        if opus:
            talk.opus = await OpusVoice.start(talk.say)
        return talk

    async def run(self) -> None:
        """Attend to talks until cancelled; those under way are ended."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                await asyncio.Event().wait()
        finally:
            self._group = None

    async def _attend(self, talk: LiveTalk) -> None:
        try:
            await self._watch(talk)
        except asyncio.CancelledError:
            talk.end(TalkEnd.STOPPING)
            raise
        except Exception:  # a defect of ours must not end what other people are saying
            log.exception("broadcast.talk_broke", broadcast=talk.id)
            talk.end(TalkEnd.LOST)
        finally:
            self._broadcasts.bow_out(talk.id, talk.ended or TalkEnd.LOST)
            self._talks.discard(talk)
            if talk.opus is not None:
                await talk.opus.close()
            await self._account(talk)
            talk.finished.set()

    async def _watch(self, talk: LiveTalk) -> None:
        """Look after a talk until no loudspeaker has anything more of it."""
        told: dict[str, Delivery] = {one.speaker: one for one in talk.view.deliveries}
        looks, bowed = 0, False
        look = self._broadcasts.follow(talk.id)
        while True:
            standing = look() or (await self._broadcasts.get(talk.id)).deliveries
            self._tell(talk, standing, told)
            if not any(one.open for one in standing):
                talk.stop(talk.ended or why_over(tuple(told.values())) or TalkEnd.LOST)
                return
            if not talk.ended and (reason := over(talk.times, self._bounds, self._clock.monotonic())) is not None:
                talk.end(reason)
            if talk.ended and not bowed:
                bowed = True
                self._broadcasts.bow_out(talk.id, talk.ended)
            if looks % HUSH_EVERY == 0:
                self._broadcasts.hush(talk.id)
            if looks % LEVEL_EVERY == 0 and not talk.ended:
                talk.tell(LevelWord(talk.level(), self._on_air_s(talk)))
            steady = talk.times.on_air is not None and not talk.ended and looks % 2 == 0
            step = 2 if steady else 1  # where nothing is awaited, every second look is left out
            looks += step
            await self._clock.sleep(step * LOOK_S)

    def _tell(self, talk: LiveTalk, standing: tuple[Delivery, ...], told: dict[str, Delivery]) -> None:
        for delivery in standing:
            before = told.get(delivery.speaker)
            told[delivery.speaker] = delivery
            if before is None or (before.state, before.reason) != (delivery.state, delivery.reason):
                talk.tell(DeliveryWord(delivery))
        if talk.times.on_air is None and any(one.state is DeliveryState.PLAYING for one in standing):
            talk.times.on_air = self._clock.monotonic()

    def _on_air_s(self, talk: LiveTalk) -> float | None:
        return None if talk.times.on_air is None else self._clock.monotonic() - talk.times.on_air

    async def _account(self, talk: LiveTalk) -> None:
        """Keep what was said, put on record why it ended, and tell the talker."""
        on_air_s = self._on_air_s(talk) or 0.0
        recording = Recording(talk.id, RecordingState.NOT_ASKED)
        if self._recordings is not None and talk.tape is not None:
            recording = await self._recordings.settle(talk.id, talk.tape)
        data = {"reason": talk.ended, "on_air_s": round(on_air_s, 2), "voice_s": round(talk.said_s, 2), "recording": recording.sha256}
        told = {"recording_state": recording.state.value, "recording_reason": recording.reason}
        self._broadcasts.note(NewEvent(TALK_ENDED_EVENT, talk.id, self._clock.now(), data | told))
        try:
            view = await self._broadcasts.get(talk.id)
        except GatewayError as error:
            log.warning("broadcast.talk_not_read", broadcast=talk.id, code=error.code, reason=str(error))
            view = talk.view
        talk.tell(EndWord(talk.ended, view))
