"""One clock for all loudspeakers: every 20 ms what is due to each, on absolute deadlines, so that nothing drifts and all begin together."""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

import structlog

from gateway.clock import Clock
from gateway.domain.broadcast import Figures
from gateway.drivers.base import AudioSession

log = structlog.get_logger()

TICK_S = 0.020
# A pause of the process longer than this is not made up for by a burst, which would overrun the speakers' buffers.
_LONGEST_CATCH_UP_S = 0.2
_LOST_AFTER_S = 1.0  # so much sound in a row that the connection did not take
SILENCE = {"PCMA": b"\xd5", "PCMU": b"\xff"}


class StreamEnd(StrEnum):
    PLAYED = "played"
    LOST = "lost"
    STOPPED = "stopped"


class Stream:
    """One clip on its way to one speaker, begun by `Pacer.start`. `finished` is done once nothing more will be sent."""

    def __init__(self, session: AudioSession, audio: bytes, *, lead_in_s: float = 0.0) -> None:
        """`audio`: one byte a sample, in the session's format; `lead_in_s`: silence before it, in which amplifiers wake up."""
        audio_format = session.format
        silence = SILENCE[audio_format.encoding]
        self.finished: asyncio.Future[StreamEnd] = asyncio.get_running_loop().create_future()
        self._session = session
        self._tick = round(audio_format.clock_rate * TICK_S)
        self._packet = audio_format.packet_samples
        whole = silence * round(lead_in_s * audio_format.clock_rate) + audio
        self._audio = whole + silence * (-len(whole) % self._packet)
        self._refusable = audio_format.clock_rate * _LOST_AFTER_S
        self._time = self._position = 0  # samples whose time has come, samples that were sent
        self._packets = self._dropped = self._refused = 0
        self._first: datetime | None = None
        self._last: datetime | None = None

    @property
    def figures(self) -> Figures:
        """What was sent so far."""
        return Figures(self._session.format.encoding, self._packets, self._dropped, self._first, self._last)

    def send_next(self, now: datetime) -> bool:
        """Send the packets that begin in this tick: one as a rule, two or none where the speaker wants shorter or longer ones.

        False when nothing more will follow, now that the last one has had its time.
        """
        if self._time >= len(self._audio):
            self.end(StreamEnd.PLAYED)
            return False
        self._time += self._tick
        while self._position < min(self._time, len(self._audio)):
            if not self._send_packet(now):
                self.end(StreamEnd.LOST)
                return False
        return True

    def _send_packet(self, now: datetime) -> bool:
        """Send the next packet; False when too much was refused by now."""
        at = self._position
        self._position += self._packet
        if self._session.send(self._audio[at : self._position], timestamp=at, marker=not self._packets):
            self._first, self._last = self._first or now, now
            self._packets, self._refused = self._packets + 1, 0
            return True
        self._dropped, self._refused = self._dropped + 1, self._refused + self._packet
        return self._refused < self._refusable

    def end(self, how: StreamEnd) -> None:
        if not self.finished.done():
            self.finished.set_result(how)


class Pacer:
    """Sends for all streams; `run` must be running. What is started together begins on the same tick."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._streams: list[Stream] = []  # as many as there are sessions: bounded by the speakers, one lease each
        self._stirred = asyncio.Event()

    def start(self, streams: Iterable[Stream]) -> None:
        self._streams.extend(streams)
        self._stirred.set()

    def stop(self, stream: Stream) -> None:
        """Send no further packet of `stream`, from this moment."""
        if stream in self._streams:
            self._streams.remove(stream)
        stream.end(StreamEnd.STOPPED)

    def stop_all(self) -> None:
        """Send nothing to anybody, from this moment."""
        for stream in self._streams:
            stream.end(StreamEnd.STOPPED)
        self._streams.clear()

    async def run(self) -> None:
        """Send until cancelled."""
        try:
            while True:
                await self._stirred.wait()
                await self._beat()
                self._stirred.clear()
        finally:
            self.stop_all()

    async def _beat(self) -> None:
        """Tick until there is nothing to send."""
        due = self._clock.monotonic()
        while self._streams:
            self._tick()
            due += TICK_S
            now = self._clock.monotonic()
            if now - due > _LONGEST_CATCH_UP_S:
                due = now + TICK_S
            await self._clock.sleep(due - now)

    def _tick(self) -> None:
        now = self._clock.now()
        self._streams = [stream for stream in self._streams if _send(stream, now)]


def _send(stream: Stream, now: datetime) -> bool:
    """Send what is due. A stream that breaks ends alone: the others are not to fall silent for it."""
    try:
        return stream.send_next(now)
    except Exception:
        log.exception("broadcast.stream_broke")
        stream.end(StreamEnd.LOST)
        return False
