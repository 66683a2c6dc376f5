"""What a session plays: live pictures on one clock for all, and replays each at their own pace."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from simulators.frames import FRAME_NS, FRAME_TICKS, GOP_FRAMES, frame_at
from simulators.microphones import Microphone
from simulators.rtsp import rtp
from simulators.rtsp.outlets import Outlet
from simulators.rtsp.replay import Step

if TYPE_CHECKING:
    from simulators.video import Reel

FRAME_S: Final = FRAME_NS / 1e9
REPORT_FRAMES: Final = 62
"""Pictures between two sender reports: 5 s."""
BURST: Final = 32
"""Pictures of an unpaced replay sent in one turn of the loop."""
QUEUED: Final = 4
"""Ranges that may wait for their turn."""
UDP_SPEED: Final = 16.0
"""How much faster than real time a replay without rate control is over UDP, which cannot push back."""


class LivePlay:
    """One live stream. It begins with the key picture of the group being shown and what followed it, so a decoder can begin at once."""

    def __init__(self, reel: "Reel", *, stream: rtp.Stream, outlet: Outlet, offset_s: Callable[[], float]) -> None:
        self._reel, self._outlet, self._stream, self._offset_s = reel, outlet, stream, offset_s
        self._first = 0
        self._waits_for_key = False

    def begin(self, frame: int) -> None:
        self._first = frame - frame % GOP_FRAMES
        for shown in range(self._first, frame + 1):
            self.tick(shown)

    def tick(self, frame: int) -> None:
        """Send picture `frame` of the city's clock; drop pictures up to the next key one while the client does not read."""
        if self._outlet.blocked:
            self._waits_for_key = True
            return
        unit = self._reel.unit(frame)
        if self._waits_for_key and not unit.key:
            return
        self._waits_for_key = False
        timestamp = self._timestamp(frame)
        self._outlet.send(self._stream.packetise(unit, timestamp))
        if (frame - self._first) % REPORT_FRAMES == 1:
            ntp = rtp.ntp_of(frame * FRAME_NS + round(self._offset_s() * 1000) * 1_000_000)
            self._outlet.send_control(rtp.sender_report(self._stream, ntp=ntp, timestamp=timestamp))

    def _timestamp(self, frame: int) -> int:
        return (self._stream.timestamp_base + (frame - self._first) * FRAME_TICKS) & 0xFFFF_FFFF

    def end(self) -> None:
        """Say goodbye, unless the client would not hear it."""
        if not self._outlet.blocked:
            self._outlet.send_control(rtp.goodbye(self._stream))


class LiveClock:
    """Ticks at each picture for all live streams together, and only while there are any."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._plays: dict[LivePlay, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._frame = 0
        self._due = 0.0

    def add(self, play: LivePlay) -> None:
        if not self._plays:
            self._restart()
        self._plays[play] = None
        play.begin(self._frame)

    def remove(self, play: LivePlay) -> None:
        if play in self._plays:
            del self._plays[play]
        if not self._plays and self._timer:
            self._timer.cancel()
            self._timer = None

    def _restart(self) -> None:
        loop = asyncio.get_running_loop()
        self._frame, self._due = frame_at(int(self._now() * 1e9)), loop.time() + FRAME_S
        self._timer = loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._frame += 1
        self._due = max(self._due + FRAME_S, loop.time() - 1.0)  # after a long stall, catch up by a second at most
        self._timer = loop.call_at(self._due, self._tick)
        for play in tuple(self._plays):
            play.tick(self._frame)


@dataclass(frozen=True, slots=True)
class Pace:
    """`speed` times real time, or None: as fast as the client reads. `scale`: as the Scale header says it."""

    speed: float | None
    recorded_times: bool
    scale: float = 1.0


@dataclass(slots=True)
class Sound:
    """What is heard beside the pictures of a replay."""

    microphone: Microphone
    stream: rtp.Stream
    outlet: Outlet

    def send(self, frame: int, played: int, extension: Callable[[int], bytes]) -> None:
        """What was heard while picture `frame` was seen, which comes `played` pictures after the first; `extension` by capture time."""
        microphone, stream = self.microphone, self.stream
        packets = []
        for at_ns, piece in microphone.during(frame):
            ticks = (played * FRAME_NS + at_ns - frame * FRAME_NS) * microphone.rate // 1_000_000_000
            timestamp = (stream.timestamp_base + ticks) & 0xFFFF_FFFF
            packets.append(stream.spoken(piece, microphone.payload_type, timestamp, extension(at_ns)))
        self.outlet.send(packets)

    def end(self) -> None:
        self.outlet.send_control(rtp.goodbye(self.stream))


class ReplayPlay:
    """One replay: sends the pictures of `steps` until they end, then RTCP BYE. `offset_ns`: the recorder's clock minus the city's.

    RTP timestamps follow the recording when the client controls the rate, else the playback (ONVIF Streaming, "RTP timestamps").
    """

    def __init__(
        self,
        reel: "Reel",
        steps: Iterator[Step],
        *,
        stream: rtp.Stream,
        outlet: Outlet,
        pace: Pace,
        cseq: int,
        offset_ns: int,
        sound: Sound | None = None,
    ) -> None:
        self._reel, self._steps, self._stream, self._outlet = reel, steps, stream, outlet
        self._pace, self._cseq, self._offset_ns = pace, cseq, offset_ns
        self._next: Step | None = next(steps, None)
        self._then: deque[tuple[Iterator[Step], int]] = deque()  # at most QUEUED, see `then`
        self._sound = sound
        self._sent = self._played = 0
        self.timestamp = stream.timestamp_base
        self._handle: asyncio.Handle | None = None
        self._due = 0.0
        self._running = False
        self.finished = False

    @property
    def position_s(self) -> float | None:
        """The capture time of the next picture by the recorder's clock, in seconds since the epoch; None at the end."""
        return None if self._next is None else self._time_ns(self._next) / 1e9

    @property
    def scale(self) -> float:
        return self._pace.scale

    def then(self, steps: Iterator[Step], cseq: int) -> bool:
        """Go on with other pictures after the last of these; False when it has ended, or too much waits already."""
        if self.finished or len(self._then) >= QUEUED:
            return False
        self._then.append((steps, cseq))
        return True

    def start(self) -> None:
        """Begin, or go on after `pause`."""
        if not self._running and not self.finished:
            self._running = True
            self._due = asyncio.get_running_loop().time()
            self._schedule()

    def pause(self) -> None:
        self._running = False
        if self._handle:
            self._handle.cancel()
        self._handle = None

    def drained(self) -> None:
        """The client reads again."""
        if self._running and self._handle is None and not self.finished:
            self._schedule()

    def _schedule(self) -> None:
        loop = asyncio.get_running_loop()
        if self._pace.speed is None:
            self._handle = loop.call_soon(self._burst)
        else:
            self._due = max(self._due, loop.time() - 1.0)
            self._handle = loop.call_at(self._due, self._paced)

    def _burst(self) -> None:
        self._handle = None
        for _ in range(BURST):
            if self._outlet.blocked:
                return  # `drained` goes on
            if not self._send_next():
                return
        self._schedule()

    def _paced(self) -> None:
        self._handle = None
        if self._outlet.blocked:
            return
        if self._send_next():
            self._schedule()

    def _send_next(self) -> bool:
        """Send one picture; False after the last, when BYE has been sent."""
        step = self._next
        if step is None:
            return self._finish()
        self._outlet.send(self._stream.packetise(self._reel.unit(step.frame), self.timestamp, self._extension(step)))
        if self._sound:
            self._sound.send(step.frame, self._played, self._heard_at)
        self._sent += 1
        if self._sent % REPORT_FRAMES == 2:
            self._outlet.send_control(rtp.sender_report(self._stream, ntp=rtp.ntp_of(self._time_ns(step)), timestamp=self.timestamp))
        self._next = next(self._steps, None)
        while self._next is None and self._then:
            self._steps, self._cseq = self._then.popleft()
            self._next = next(self._steps, None)
        if self._next is None:
            return self._finish()
        self._advance(step, self._next)
        return True

    def _advance(self, sent: Step, following: Step) -> None:
        distance = following.frame - sent.frame
        played = 1 if following.discontinuity else distance  # nobody waits through a gap
        stepped = distance if self._pace.recorded_times else played
        self._played += stepped
        self.timestamp = (self.timestamp + stepped * FRAME_TICKS) & 0xFFFF_FFFF
        if self._pace.speed is not None:
            self._due += played * FRAME_S / self._pace.speed

    def _time_ns(self, step: Step) -> int:
        return step.frame * FRAME_NS + self._offset_ns

    def _extension(self, step: Step) -> bytes:
        return rtp.replay_extension(
            rtp.ntp_of(self._time_ns(step)),
            clean=step.clean,
            end=step.end,
            discontinuity=step.discontinuity,
            terminal=step.terminal,
            cseq=self._cseq,
        )

    def _heard_at(self, at_ns: int) -> bytes:
        ntp = rtp.ntp_of(at_ns + self._offset_ns)
        return rtp.replay_extension(ntp, clean=True, end=False, discontinuity=False, terminal=False, cseq=self._cseq)

    def _finish(self) -> bool:
        self.finished = True
        if self._sound:
            self._sound.end()
        self._outlet.send_control(rtp.goodbye(self._stream))
        return False
