"""One broadcast being carried out: each delivery from the queue to its end, and the curtain that rises for all at once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from gateway.broadcast.journal import Journal
from gateway.broadcast.leases import Leases
from gateway.broadcast.pacer import Pacer, Stream, StreamEnd
from gateway.clock import Clock
from gateway.domain.broadcast import Broadcast, Delivery, DeliveryState, Priority, Step, advance
from gateway.domain.devices import DeviceId
from gateway.drivers.base import AudioSession, AudioSink
from gateway.errors import GatewayError
from gateway.media.clips import PreparedClip

log = structlog.get_logger()

ENCODINGS = ("PCMA", "PCMU")
_STREAM_ENDS = {
    StreamEnd.PLAYED: (Step.FINISH, ""),
    StreamEnd.LOST: (Step.FAIL, "connection-lost"),
    StreamEnd.STOPPED: (Step.FAIL, "gateway-stopped"),
}
# Why a delivery that never began did not: somebody else held the speaker, or it was too slow.
_WAITING = {DeliveryState.QUEUED: "speaker-busy", DeliveryState.CONNECTING: "too-slow"}


@dataclass(frozen=True, slots=True)
class Manner:
    """How broadcasts are carried out. `barrier_s`: how long those that are ready wait for the others; `linger_s`: how long a session
    stays open after the last packet, for what the speaker still has in its buffer; `setups_at_once`: sessions being set up."""

    lead_in_s: float = 0.2
    linger_s: float = 0.3
    barrier_s: float = 1.0
    setup_timeout_s: float = 5.0
    setups_at_once: int = 128


USUAL = Manner()


@dataclass(frozen=True, slots=True)
class Stage:
    """What a performance needs of the house. `verify` raises WrongDevice when another device answers at a speaker's address, and
    ends by itself within a bounded time."""

    clock: Clock
    leases: Leases
    pacer: Pacer
    journal: Journal
    speaker_of: Callable[[DeviceId], AudioSink]
    verify: Callable[[DeviceId], Awaitable[None]]
    setups: asyncio.Semaphore
    manner: Manner


class Part:
    """One delivery on its way; a `leases.Holder`. Its state changes only by the table, and each change is put in the journal."""

    def __init__(self, broadcast: Broadcast, delivery: Delivery, stage: Stage) -> None:
        self.delivery = delivery
        self.stream: Stream | None = None
        self.stopped = False
        self._broadcast = broadcast
        self._stage = stage
        self._task: asyncio.Task[None] | None = None

    @property
    def priority(self) -> Priority:
        return self._broadcast.priority

    def preempt(self) -> None:
        self.stop(Step.PREEMPT, "preempted")

    def stop(self, step: Step, reason: str) -> None:
        """End this delivery, if it has not ended: not one more packet from this moment; the session is closed soon after."""
        if not self.delivery.open:
            return
        self.stopped = True
        if self.stream is not None:
            self._stage.pacer.stop(self.stream)
        self.end(step, reason)
        if self._task is not None:
            self._task.cancel()

    def take(self, step: Step, reason: str = "") -> Delivery:
        """The delivery after `step`, now; Conflict when the table forbids it."""
        figures = self.stream.figures if self.stream else None
        now, not_after = self._stage.clock.now(), self._broadcast.not_after
        return advance(self.delivery, step, at=now, not_after=not_after, reason=reason[:100], figures=figures)

    def end(self, step: Step, reason: str) -> None:
        """Enter a terminal state, once."""
        if self.delivery.open:
            self.delivery = self.take(step, reason)
            self._stage.journal.put(self.delivery)

    def expire(self) -> None:
        """The time is over: what has not begun never will."""
        if self.delivery.state in _WAITING:
            self.stop(Step.EXPIRE, _WAITING[self.delivery.state])

    @property
    def late(self) -> bool:
        return self._stage.clock.now() > self._broadcast.not_after

    async def run(self, clip: PreparedClip, curtain: "Curtain") -> None:
        """Carry the delivery out to a terminal state. Raises nothing but the cancellation of the whole service."""
        self._task = asyncio.current_task()
        try:
            if not self.stopped:
                await self._speak(clip, curtain)
        except asyncio.CancelledError:
            if not self.stopped:
                self.end(Step.FAIL, "gateway-stopped")
                raise
        except GatewayError as error:
            self.end(Step.FAIL, error.code)
        except Exception:  # a defect of ours must not silence the other speakers
            log.exception("broadcast.delivery_broke", broadcast=self._broadcast.id, speaker=self.delivery.speaker)
            self.end(Step.FAIL, "internal-error")
        finally:
            curtain.leave(self)

    async def _speak(self, clip: PreparedClip, curtain: "Curtain") -> None:
        stage, speaker = self._stage, self.delivery.speaker
        async with stage.leases.hold(speaker, self):
            if self.late:
                self.expire()
                return
            self.delivery = self.take(Step.CONNECT)
            session = await self._connect()
            try:
                lead_in_s = max(stage.manner.lead_in_s, session.format.swallows_s)
                self.stream = Stream(session, clip.encodings[session.format.encoding], lead_in_s=lead_in_s)
                await curtain.rise(self)
                end = await self.stream.finished
                await stage.clock.sleep(stage.manner.linger_s + session.format.buffers_s)
                self.end(*_STREAM_ENDS[end])
            finally:
                await session.close()

    async def _connect(self) -> AudioSession:
        """An open session with the right device."""
        stage, speaker = self._stage, self.delivery.speaker
        async with stage.setups:
            await stage.verify(speaker)
            return await stage.speaker_of(speaker).open_audio(prefer=ENCODINGS, timeout_s=stage.manner.setup_timeout_s)


class Curtain:
    """Rises once for all parts that are ready; who comes later begins when ready. Before each rise PLAYING is made durable."""

    def __init__(self, parts: Iterable[Part], stage: Stage) -> None:
        self._awaited = set(parts)
        self._ready: dict[Part, asyncio.Future[None]] = {}
        self._stage = stage
        self._up = False
        self._somebody = asyncio.Event()
        self._stirred = asyncio.Event()

    async def rise(self, part: Part) -> None:
        """Return once the part's stream has begun. Raises what kept it from beginning."""
        begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ready[part] = begun
        self._awaited.discard(part)
        self._somebody.set()
        self._stirred.set()
        await begun

    def leave(self, part: Part) -> None:
        """Nobody shall wait for `part`."""
        self._awaited.discard(part)
        self._stirred.set()

    async def run(self) -> None:
        """Work until every part has begun or left."""
        async with asyncio.TaskGroup() as group:
            patience = group.create_task(self._lose_patience(), name="patience")
            while self._awaited or self._ready:
                await self._stirred.wait()
                self._stirred.clear()
                if self._ready and (self._up or not self._awaited):
                    self._up = True
                    await self._begin()
            patience.cancel()

    async def _lose_patience(self) -> None:
        """Those who are ready wait `barrier_s` for the others and no longer."""
        await self._somebody.wait()
        await self._stage.clock.sleep(self._stage.manner.barrier_s)
        self._up = True
        self._stirred.set()

    async def _begin(self) -> None:
        wave, self._ready = self._ready, {}
        playing: dict[Part, Delivery] = {}

        def sent() -> list[Delivery]:
            """Asked inside the transaction, so that who was stopped meanwhile is not said to play."""
            for part in wave:
                if part.late:
                    part.expire()
            playing.update({part: part.take(Step.PLAY) for part in wave if not part.stopped})
            return list(playing.values())

        try:
            await self._stage.journal.commit(sent)
        except GatewayError as error:
            _tell(wave.values(), error)
            return
        going = [part for part in playing if not part.stopped]
        for part in going:
            part.delivery = playing[part]
        self._stage.pacer.start(part.stream for part in going if part.stream is not None)
        _tell((wave[part] for part in going), None)


def _tell(waiting: Iterable[asyncio.Future[None]], error: GatewayError | None) -> None:
    for begun in waiting:
        if begun.done():
            continue
        if error is None:
            begun.set_result(None)
        else:
            begun.set_exception(error)


async def perform(broadcast: Broadcast, parts: Sequence[Part], clip: PreparedClip, stage: Stage) -> None:
    """Carry all parts of a broadcast out; each is in a terminal state when this returns."""
    curtain = Curtain(parts, stage)
    async with asyncio.TaskGroup() as group:
        expiry = group.create_task(_expire(broadcast, parts, stage.clock), name=f"expiry {broadcast.id}")
        group.create_task(curtain.run(), name=f"curtain {broadcast.id}")
        async with asyncio.TaskGroup() as speaking:
            for part in parts:
                speaking.create_task(part.run(clip, curtain), name=f"delivery {broadcast.id} {part.delivery.speaker}")
        expiry.cancel()


async def _expire(broadcast: Broadcast, parts: Sequence[Part], clock: Clock) -> None:
    await clock.sleep((broadcast.not_after - clock.now()) / timedelta(seconds=1))
    for part in parts:
        part.expire()
