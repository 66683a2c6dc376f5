"""The pacer inside the daemon, on an injected clock: for simulated worlds and tests, and in need, when no process can be had."""

import asyncio
from collections.abc import Callable, Collection, Iterable

import structlog

from gateway.broadcast.pacing.core import Chorus, Conductor, End, Ended, Listener, Live, Numbers, Packet
from gateway.broadcast.pacing.live import LiveSource, Outlet
from gateway.broadcast.pacing.stream import Standing, Stream, Tell, figures_of
from gateway.clock import Clock, sleep_unless
from gateway.drivers.base import AudioSession

log = structlog.get_logger()

_UNNUMBERED = Numbers(0, 0, 0)  # the sessions count for themselves


class LocalPacer:
    """A `Pacer` that sends by `AudioSession.send`."""

    def __init__(self, clock: Clock) -> None:
        self.tell: Tell = lambda _: None
        self._clock = clock
        self._conductor = Conductor()
        self._streams: dict[Stream, _Ear] = {}  # as many as there are sessions: bounded by the speakers, one lease each
        self._stirred = asyncio.Event()

    @property
    def standing(self) -> Standing:
        return Standing()

    async def ready(self) -> None:
        return

    def start(self, streams: Iterable[Stream]) -> None:
        ears = [_Ear(stream, self._stirred.set, self._clock) for stream in streams]
        self._streams |= {ear.stream: ear for ear in ears}
        self._conductor.begin((ear.alone for ear in ears), self._clock.monotonic())
        self._stirred.set()

    def stop(self, stream: Stream) -> None:
        ear = self._streams.get(stream)
        if ear is not None:
            self._settle([gone] if (gone := self._conductor.stop(ear)) is not None else [])
        stream.end(End.STOPPED)
        stream.give_back()

    def bequeath(self, _session: AudioSession) -> Callable[[], None]:
        return lambda: None  # who sends in the daemon dies with it

    def stop_all(self) -> None:
        self._settle(self._conductor.stop_all())

    async def run(self) -> None:
        try:
            while True:
                await self._stirred.wait()
                self._stirred.clear()
                await self._beat()
        finally:
            self.stop_all()

    async def _beat(self) -> None:
        """Turn until there is nothing to send."""
        while (due := self._conductor.due) is not None:
            await self._until(due)
            self._settle(self._conductor.turn(self._clock.monotonic(), _send))

    async def _until(self, due: float) -> None:
        """Sleep until then, or until something is stirred up that may be due before."""
        self._stirred.clear()
        await sleep_unless(self._stirred, self._clock, due - self._clock.monotonic())

    def _settle(self, ended: Iterable[Ended]) -> None:
        for each in ended:
            ear = each.listener
            assert isinstance(ear, _Ear)
            self._streams.pop(ear.stream, None)
            ear.leave()
            ear.stream.end(each.how)
            ear.stream.give_back(figures_of(ear.stream.session, each.tally, self._clock))


class _Ear(Listener):
    """One session, in a chorus of its own."""

    __slots__ = ("_outlet", "alone", "stream")

    def __init__(self, stream: Stream, stir: Callable[[], None], clock: Clock) -> None:
        super().__init__(0)
        self.stream = stream
        voice = stream.voice()
        self.alone = Chorus(voice, [self], payload_type=0, numbers=_UNNUMBERED)
        encoding = stream.session.format.encoding
        self._outlet: Outlet | None = None
        if isinstance(voice, Live) and isinstance(stream.sound, LiveSource):

            def take(data: bytes) -> None:
                voice.push(data, clock.monotonic())
                stir()

            self._outlet = Outlet(encoding, take, voice.close)
            stream.sound.attach(self._outlet)
        stream.counts(lambda: figures_of(stream.session, self.alone.tally(self), clock))

    def leave(self) -> None:
        if self._outlet is not None and isinstance(self.stream.sound, LiveSource):
            self.stream.sound.detach(self._outlet)


def _send(chorus: Chorus, packet: Packet) -> Collection[Listener]:
    """Send to the one session. One that breaks ends alone: the others are not to fall silent for it."""
    refused = []
    for ear in chorus.listeners:
        assert isinstance(ear, _Ear)
        try:
            taken = ear.stream.session.send(bytes(packet.payload), timestamp=packet.timestamp, marker=chorus.packets == ear.dropped)
        except Exception:
            log.exception("broadcast.stream_broke")
            taken, ear.gone = False, True
        if not taken:
            refused.append(ear)
    return refused
