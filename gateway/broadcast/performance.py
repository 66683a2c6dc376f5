"""One broadcast being carried out: each delivery from the queue to its end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from enum import Enum, auto
from typing import Final

import structlog

from gateway.broadcast.curtain import Curtain
from gateway.broadcast.farewells import PATIENCE_S
from gateway.broadcast.kept import LET_IN_S, Keepable, KeptTurn, Unanswered
from gateway.broadcast.pacing.live import LiveSource
from gateway.broadcast.pacing.stream import Stream, StreamEnd
from gateway.broadcast.sessions import OpenSession
from gateway.broadcast.stage import Stage
from gateway.broadcast.understudies import Understudies
from gateway.broadcast.zonecast import ZoneCast
from gateway.clock import Clock
from gateway.domain.broadcast import TRANSITIONS, Broadcast, Delivery, DeliveryState, Figures, Priority, Step, Talk, added, advance
from gateway.domain.broadcast_rules import Refusal
from gateway.domain.devices import DeviceId
from gateway.domain.remarks import Remark, remark_on_end
from gateway.drivers.base import AudioSession, ClipSink, Loaded
from gateway.errors import Busy, DeviceError, GatewayError, NotSupported
from gateway.media.clips import NARROW, PreparedClip

log = structlog.get_logger()

ENCODINGS = ("PCMA", "PCMU", "G722")
"""Best first. The last one is for devices that take no other, and only clips come in it."""
Sound = PreparedClip | LiveSource
_STREAM_ENDS = {
    StreamEnd.PLAYED: (Step.FINISH, ""),
    StreamEnd.LOST: (Step.FAIL, "connection-lost"),
    StreamEnd.STOPPED: (Step.FAIL, "gateway-stopped"),
    StreamEnd.DIED: (Step.FAIL, "pacer-died"),
}
_WHOLE = frozenset({StreamEnd.PLAYED, StreamEnd.STOPPED})
_RETURN_S = 1.0  # the pacer gives a session back within half a second
# What the end of its time makes of a delivery that is not playing, and why: somebody else held the speaker, or it was too slow.
_TIME_OVER: Final = {
    DeliveryState.AWAITING_APPROVAL: (Step.EXPIRE, "not-approved"),
    DeliveryState.QUEUED: (Step.EXPIRE, "speaker-busy"),
    DeliveryState.CONNECTING: (Step.EXPIRE, "too-slow"),
    DeliveryState.INTERRUPTED: (Step.PREEMPT, "preempted"),
}
_UNHEARD: Final = frozenset({DeliveryState.QUEUED, DeliveryState.CONNECTING})


class _About(Enum):
    """What remarks are about: the last one of each counts."""

    IDENTITY = auto()
    ZONE = auto()
    VOLUME = auto()
    END = auto()


class Part:
    """One delivery on its way; a `leases.Holder`. Its state changes only by the table, and each change is put in the journal."""

    def __init__(self, broadcast: Broadcast, delivery: Delivery, length: timedelta, stage: Stage) -> None:
        """`length`: of what is to be heard."""
        self.delivery = delivery
        self.stream: Stream | None = None
        self.stopped = False
        self._broadcast = broadcast
        self._length = length
        self._stage = stage
        self._task: asyncio.Task[None] | None = None
        self._gives_way = self._turned_away = False  # from the moment of a pre-emption until the lease is left; by our own cancellation
        self._cooling = False
        self._remarks: dict[_About, Remark | None] = {}  # what is to be known of it, though all is well
        self._before = Figures()  # what was sent before the last interruption
        self._said_s = 0.0  # how much was heard by then
        self._cast: ZoneCast | None = None
        self._zone: Sequence[Part] = ()

    def speak_with(self, zone: Sequence["Part"], cast: ZoneCast) -> None:
        """Be heard through the stream that all of `zone` hear, if all can."""
        self._cast, self._zone = cast, zone

    @property
    def _sharing(self) -> list["Part"]:
        """The others that hear the very same stream, or are about to."""
        return [part for part in self._zone if part is not self] if self._cast is not None and self._cast.together else []

    @property
    def priority(self) -> Priority:
        return self._broadcast.priority

    @property
    def _live(self) -> bool:
        return isinstance(self._broadcast.programme.content, Talk)

    @property
    def _noted(self) -> tuple[Remark, ...]:
        return tuple(remark for remark in self._remarks.values() if remark is not None)

    @property
    def interrupted(self) -> bool:
        return self.delivery.state is DeliveryState.INTERRUPTED

    def preempt(self) -> None:
        if self._broadcast.resume and not self._live:
            self._give_way()
        else:
            self.stop(Step.PREEMPT, "preempted")

    def _give_way(self) -> None:
        """Not one more packet from this moment; the session is closed soon after, and the speaker asked for again."""
        if not self.delivery.open or self._gives_way:
            return
        if self.stream is not None and self.delivery.state is DeliveryState.PLAYING:
            if self.stream.finished.done():
                self.stop(*self._ending(self.stream))
                return
            sharing = self._sharing
            self._stage.pacer.stop(self.stream)  # which ends the turn
            for part in sharing:
                part._interrupt()
        elif self._sharing:
            self.stop(Step.PREEMPT, "preempted")  # in the moment before all begin together
            return
        elif self._task is not None:
            self._turned_away = True
            self._task.cancel()
        self._interrupt()

    def _interrupt(self) -> None:
        self._gives_way = True
        if Step.INTERRUPT in TRANSITIONS[self.delivery.state]:
            self.delivery = self.take(Step.INTERRUPT, "preempted")
            self._stage.journal.put(self.delivery)

    def stop(self, step: Step, reason: str) -> None:
        """End this delivery, if it has not ended: not one more packet from this moment; the session is closed soon after."""
        if not self.delivery.open:
            return
        self.stopped = True
        sharing = self._sharing
        if self.stream is not None:
            self._stage.pacer.stop(self.stream)
        self.end(step, reason)
        if self._task is not None:
            self._task.cancel()
        for part in sharing:
            part.stop(step, reason)

    def take(self, step: Step, reason: str = "", detail: str = "") -> Delivery:
        """The delivery after `step`, now; Conflict when the table forbids it."""
        figures = added(self._before, self.stream.figures) if self.stream else self._before
        now, not_after = self._stage.clock.now(), self._broadcast.not_after
        taken = advance(self.delivery, step, at=now, not_after=not_after, reason=reason[:100], detail=detail[:300], figures=figures)
        return replace(taken, remarks=self._noted)

    def begin(self) -> Delivery | None:
        """The delivery as it is once its sound begins, or goes on, now; None when it may not."""
        if self.late:
            self.expire()
        elif not self.stopped and self._is_quiet():
            self.stop(Step.PREEMPT if self.interrupted else Step.FAIL, Refusal.QUIET_HOURS)
        if self.stopped or self._gives_way:
            return None
        return self.take(Step.RESUME if self.interrupted else Step.PLAY)

    def hush(self) -> None:
        """Fall silent if it is heard and quiet hours have begun."""
        if self.delivery.state is DeliveryState.PLAYING and self._is_quiet():
            heard = self.stream is not None and self.stream.figures.packets > 0
            self.stop(Step.FINISH if heard else Step.FAIL, Refusal.QUIET_HOURS)

    def goes_on_from(self, before: Delivery) -> bool:
        """Whether nobody has stopped it, or asked it to give way, since it was `before`."""
        return self.delivery is before and not self._gives_way

    def end(self, step: Step, reason: str, detail: str = "") -> None:
        """Enter a terminal state, once."""
        if self.delivery.open:
            self.delivery = self.take(step, reason, detail)
            self._stage.journal.put(self.delivery)
            self._stage.rules.ended(self.delivery)

    def understudy(self, speaker: DeviceId) -> "Part":
        """The part of who steps in for this one: queued, or ended at once where a rule forbids it to speak now."""
        stage = self._stage
        part = Part(self._broadcast, Delivery(self._broadcast.id, speaker, DeliveryState.QUEUED, stage.clock.now()), self._length, stage)
        stage.journal.put(part.delivery)
        try:
            stage.rules.admit(self._broadcast, [speaker], self._length)
        except GatewayError as refused:
            part.end(Step.FAIL, refused.code, str(refused))
        return part

    def expire(self) -> None:
        """The time is over: what has not begun never will."""
        if self.delivery.state in _TIME_OVER:
            step, reason = _TIME_OVER[self.delivery.state]
            self.stop(step, Refusal.COOLING_DOWN if self._cooling else reason)

    def must_be_in_time(self) -> None:
        """End what is said to play, and would begin after its time."""
        if self.late:
            self.stop(Step.FAIL, "too-slow")

    @property
    def late(self) -> bool:
        return self._stage.clock.now() > self._broadcast.not_after

    async def run(self, sound: Sound, curtain: Curtain, replace: Callable[["Part"], None]) -> None:
        """Carry the delivery out to a terminal state. Raises nothing but the cancellation of the whole service.

        `replace` is told when the speaker could not be reached, before any sound.
        """
        self._task = asyncio.current_task()
        try:
            if not self.stopped:
                await self._speak(sound, curtain)
        except asyncio.CancelledError:
            if not self.stopped:
                self.end(Step.FAIL, "gateway-stopped")
                raise
        except GatewayError as error:
            unheard = self.delivery.state in _UNHEARD and isinstance(error, DeviceError)
            self.end(Step.FAIL, error.code, str(error))
            if unheard:
                replace(self)
        except Exception:  # a defect of ours must not silence the other speakers
            log.exception("broadcast.delivery_broke", broadcast=self._broadcast.id, speaker=self.delivery.speaker)
            self.end(Step.FAIL, "internal-error")
        finally:
            curtain.leave(self)

    async def _speak(self, sound: Sound, curtain: Curtain) -> None:
        """Take turns until it has ended: one, and one more after each interruption."""
        while self.delivery.open:
            await self._cool_down()
            try:
                async with self._stage.leases.hold(self.delivery.speaker, self, ahead=self.interrupted, waits=not self._live):
                    if self.late:
                        self.expire()
                    elif not self._cools_for():
                        await self._take_turn(sound, curtain)
            except asyncio.CancelledError:
                if self.stopped or not self._turned_away or (self._task is not None and self._task.uncancel()):
                    raise
            self._gives_way = self._turned_away = False

    async def _take_turn(self, sound: Sound, curtain: Curtain) -> None:
        stage, self.stream = self._stage, None
        if not self.interrupted:
            self.delivery = self.take(Step.CONNECT)
        if self._cast is not None and not self._said_s and await self._speak_together(self._cast, sound, curtain):
            return
        kept = None if isinstance(sound, LiveSource) or self._said_s else Keepable(self._broadcast.programme, sound)
        way = await self._connect(kept, _encodings_of(sound))
        if isinstance(way, Loaded):
            assert kept is not None
            async with self._quietened():
                absence = await self._have_played(KeptTurn(way, kept.repeats, stage.clock), curtain)
            if absence is None:
                return
            way = await self._connect_otherwise(absence, sound)
        try:
            async with self._quietened():
                await self._send(sound, way, curtain)
        finally:
            way.sound = await self._take_back()
            way.awake = way.awake or self.delivery.figures.packets > 0
            if not way.suits(ENCODINGS) or not stage.leases.leave(self.delivery.speaker, way):
                stage.farewells.begin(self.delivery.speaker, way)

    async def _speak_together(self, cast: ZoneCast, sound: Sound, curtain: Curtain) -> bool:
        """A turn in which one stream is heard by the whole zone; False when it does not come to that, and nothing was sent."""
        try:
            async with self._stage.setups.place(self.priority):
                self._remarks[_About.IDENTITY] = await self._stage.verify(self.delivery.speaker)
            async with self._quietened():
                await self._close_left()
                session = await cast.join(self.delivery.speaker)
                if session is None:
                    return False
                self._remarks[_About.ZONE] = cast.remark
                try:
                    await self._send(sound, OpenSession(session, _nothing, self._note_end), curtain, cast)
                finally:
                    await self._take_back()
                    await session.close()
        finally:
            await cast.withdraw()
        return True

    async def _send(self, sound: Sound, way: OpenSession, curtain: Curtain, cast: ZoneCast | None = None) -> None:
        manner, session = self._stage.manner, way.session
        # A microphone is quiet before its person speaks: amplifiers wake up by that. Those that have just sounded are awake.
        lead_in_s = 0.0 if way.awake else max(0.0 if self._live else manner.lead_in_s, session.format.swallows_s)
        stream = cast.stream if cast is not None else None
        self.stream = stream = stream or Stream(session, _rest(sound, session, self._said_s), lead_in_s=lead_in_s)
        if cast is not None:
            cast.stream = stream
        if self.delivery.state is DeliveryState.PLAYING:  # on record already: the device was to play by itself
            self.must_be_in_time()
            if not self.stopped:
                self._stage.pacer.start([stream])
        else:
            await curtain.rise(self)
        await stream.finished
        if self.interrupted:
            await self._take_back()
            self._remember(stream, session, lead_in_s)
            return
        await self._stage.clock.sleep(manner.linger_s + session.format.buffers_s)
        self.end(*self._ending(stream))

    def _ending(self, stream: Stream) -> tuple[Step, str]:
        """What the end of the stream makes of the delivery. Of which nothing went out, as of a key let go at once, that was not played."""
        step, reason = _STREAM_ENDS[stream.finished.result()]
        sent = added(self._before, stream.figures).packets
        return (step, reason) if sent or step is not Step.FINISH else (Step.FAIL, "nothing-sent")

    @asynccontextmanager
    async def _quietened(self) -> AsyncIterator[None]:
        """For the block, the right device is no louder than the rules have it."""
        limit = self._stage.rules.loudest(self._broadcast, self.delivery.speaker, self._length)
        async with self._stage.loudness.at_most(self.delivery.speaker, limit) as self._remarks[_About.VOLUME]:
            yield

    async def _have_played(self, turn: KeptTurn, curtain: Curtain) -> NotSupported | None:
        """A turn in which the device plays by itself. What is interrupted goes on as a stream: a device begins a clip at its beginning.

        It is asked to play once, so that has to wait for the end of a session that it has not confirmed. The answer of a device that knows
        no such thing, else None: it has not sounded, and may hear a stream.
        """
        self._before = replace(self._before, path=turn.loaded.path)
        await self._stage.farewells.over(self.delivery.speaker)
        owed = self._stage.silencing.owe(self.delivery, turn)
        try:
            await self._stage.silencing.clear(owed)
            await curtain.rise(self)
            await turn.begin()
            why = await turn.last()
            self.end(Step.FAIL if why else Step.FINISH, why)
        except Unanswered:
            self.end(Step.LOSE, "clip-unanswered")
        except NotSupported as absence:
            turn.began_at = None
            return absence
        finally:
            self._said_s += turn.played_s
            stop = self._stage.silencing.begin(owed)
            self._stage.loudness.keep_until(self.delivery.speaker, owed.silent)
            await asyncio.wait([stop], timeout=LET_IN_S)
        return None

    def _remember(self, stream: Stream, session: AudioSession, lead_in_s: float) -> None:
        """Where to go on: packets that were dropped had their time as well, the lead-in is no part of what is to be heard."""
        figures = stream.figures
        sent_s = (figures.packets + figures.dropped) * session.format.packet_samples / session.format.clock_rate
        self._said_s += max(0.0, sent_s - lead_in_s)
        self._before, self.stream = added(self._before, figures), None

    async def _take_back(self) -> bool:
        """Have the session to ourselves again, with the last word on what was sent; whether it can be sent to once more."""
        stream = self.stream
        if stream is None:
            return True
        self._stage.pacer.stop(stream)
        await asyncio.wait([stream.returned], timeout=_RETURN_S)
        figures = added(self._before, stream.figures)
        if not self.delivery.open and self.delivery.figures != figures:
            self.delivery = replace(self.delivery, figures=figures)
            self._stage.journal.put(self.delivery)
        ended = stream.finished.done() and not stream.finished.cancelled()
        return ended and stream.finished.result() in _WHOLE and stream.returned.done()

    async def _connect(self, kept: Keepable | None, prefer: Sequence[str]) -> OpenSession | Loaded:
        """An open session with the right device, its own or the one that somebody left; or the sound in its memory, where it may be kept.

        It is asked who it is when the session stands, which no exchange of devices outlives. What an import moves meanwhile is not whom the
        session is with: it is approached anew.
        """
        stage, speaker = self._stage, self.delivery.speaker
        async with stage.setups.place(self.priority):
            while True:
                place, right = stage.place_of(speaker), False
                way = self._inherit(prefer, place) or await self._approach(kept, prefer, place)
                try:
                    self._remarks[_About.IDENTITY] = await stage.verify(speaker)
                    right = stage.place_of(speaker) == place
                finally:
                    if not right and not isinstance(way, Loaded):
                        stage.farewells.begin(speaker, way)
                if right:
                    return way

    async def _connect_otherwise(self, absence: NotSupported, sound: Sound) -> OpenSession:
        """An open session with a device that turned out to play nothing by itself. Raises `absence` where it hears no stream."""
        try:
            way = await self._connect(None, _encodings_of(sound))
        except NotSupported:
            raise absence from None
        assert not isinstance(way, Loaded)
        return way

    def _inherit(self, prefer: Sequence[str], place: object) -> OpenSession | None:
        """The session that the one before left open at `place`, when this sound can go on in it."""
        left = self._stage.leases.take_left(self.delivery.speaker)
        if left is None:
            return None
        if left.place != place or not left.suits(prefer):
            self._stage.farewells.begin(self.delivery.speaker, left)
            return None
        left.go_on(self._note_end)
        return left

    async def _close_left(self) -> None:
        left = self._stage.leases.take_left(self.delivery.speaker)
        if left is not None:
            self._stage.farewells.begin(self.delivery.speaker, left)
        await self._let_go()

    async def _let_go(self) -> None:
        """Wait for the device to confirm the end of the session before, where that is urgent for a moment only."""
        await self._stage.farewells.over(self.delivery.speaker, within_s=PATIENCE_S if self.priority >= Priority.TALK else None)

    async def _approach(self, kept: Keepable | None, prefer: Sequence[str], place: object) -> OpenSession | Loaded:
        """A way that is set up anew. A device that takes one talker and has not let go of the last one is asked once more when it has."""
        await self._let_go()
        farewells, speaker = self._stage.farewells, self.delivery.speaker
        if farewells.under_way(speaker):
            try:
                return await self._open(kept, prefer, place)
            except Busy:
                await farewells.over(speaker)
        return await self._open(kept, prefer, place)

    async def _open(self, kept: Keepable | None, prefer: Sequence[str], place: object) -> OpenSession | Loaded:
        session: AudioSession | Loaded
        way, timeout_s = self._stage.speaker_of(self.delivery.speaker), self._stage.manner.setup_timeout_s
        if kept is not None and isinstance(way, ClipSink) and way.keeps_clips:
            session = await way.open(kept.clip, prefer=prefer, timeout_s=timeout_s)
        else:
            session = await way.open_audio(prefer=prefer, timeout_s=timeout_s)
        if isinstance(session, Loaded):
            return session
        return OpenSession(session, self._stage.pacer.bequeath(session), self._note_end, place)

    def _note_end(self, unconfirmed: DeviceError) -> None:
        """Its device did not confirm the end of the session, which comes after its own end: that waits for no device."""
        self._remarks[_About.END] = remark_on_end(unconfirmed)
        if not self.delivery.open:
            self.delivery = replace(self.delivery, remarks=self._noted)
            self._stage.journal.put(self.delivery)

    async def _cool_down(self) -> None:
        """Wait, while others may have the speaker, until it has been silent for long enough."""
        while wait_s := self._cools_for():
            self._cooling = True
            await self._stage.clock.sleep(wait_s)
        self._cooling = False

    def _cools_for(self) -> float:
        return 0.0 if self.interrupted else self._stage.rules.cools_for(self._broadcast, self.delivery.speaker)

    def _is_quiet(self) -> bool:
        rest = self._length - timedelta(seconds=self._said_s)
        return self._stage.rules.quiet_from(self._broadcast, self.delivery.speaker, max(rest, timedelta())) is not None


def _nothing() -> None:
    pass


def _encodings_of(sound: Sound) -> Sequence[str]:
    """In which encodings the sound can be had, best first."""
    had = NARROW if isinstance(sound, LiveSource) else sound.encodings
    return tuple(name for name in ENCODINGS if name in had)


def _rest(sound: Sound, session: AudioSession, said_s: float) -> bytes | LiveSource:
    """What is still to be heard, in the session's encoding; what is spoken live has no past."""
    if isinstance(sound, LiveSource):
        return sound
    return sound.encodings[session.format.encoding][round(said_s * session.format.clock_rate) :]


async def perform(broadcast: Broadcast, parts: list[Part], sound: Sound, stage: Stage, understudies: Understudies) -> None:
    """Carry all parts of a broadcast out; each is in a terminal state when this returns.

    Those that step in for a speaker that cannot be reached are added to `parts`, at the moment in which that one fails.
    """
    urgent = broadcast.priority >= Priority.TALK
    patience_s = stage.manner.barrier_urgent_s if urgent else stage.manner.barrier_s
    curtain = Curtain(parts, clock=stage.clock, journal=stage.journal, pacer=stage.pacer, patience_s=patience_s)

    def enter(part: Part) -> None:
        speaking.create_task(part.run(sound, curtain, replace), name=f"delivery {broadcast.id} {part.delivery.speaker}")

    def replace(lost: Part) -> None:
        states = {part.delivery.speaker: part.delivery.state for part in parts}
        for speaker in understudies.after(lost.delivery.speaker, states):
            part = lost.understudy(speaker)
            parts.append(part)
            if part.delivery.open:
                curtain.join(part)
                enter(part)
            else:
                replace(part)

    async with asyncio.TaskGroup() as group:
        expiry = group.create_task(_expire(broadcast, parts, stage.clock), name=f"expiry {broadcast.id}")
        group.create_task(curtain.run(), name=f"curtain {broadcast.id}")
        async with asyncio.TaskGroup() as speaking:
            for part in parts:
                enter(part)
        expiry.cancel()


async def _expire(broadcast: Broadcast, parts: Sequence[Part], clock: Clock) -> None:
    await clock.sleep((broadcast.not_after - clock.now()) / timedelta(seconds=1))
    for part in parts:
        part.expire()
