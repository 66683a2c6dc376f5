"""What the broadcast service sees of the pacer: streams that are started, stopped, and say what became of them."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Protocol

from gateway.broadcast.pacing.core import End, Live, Shape, Tally, Voice, Whole
from gateway.broadcast.pacing.live import LiveSource
from gateway.clock import Clock
from gateway.domain.broadcast import Figures
from gateway.drivers.base import AudioFormat, AudioSession

StreamEnd = End
Tell = Callable[[Mapping[str, Any]], None]
SILENCE = {"PCMA": b"\xd5", "PCMU": b"\xff", "G722": b"\xfa"}
Sound = bytes | LiveSource
"""A whole sound in the session's encoding, or one that comes while it is heard."""


class Stream:
    """One sound on its way to one speaker, begun by `Pacer.start`.

    `finished` is done once nothing more will be sent; `returned` once the session's line is the session's again, which is soon after, so
    that TEARDOWN can be said. `figures` are those of what was sent so far, and final once `returned` is done.
    """

    def __init__(self, session: AudioSession, sound: Sound, *, lead_in_s: float = 0.0) -> None:
        """`sound`: one byte a sample, in the session's format; `lead_in_s`: silence before it, in which amplifiers wake up."""
        loop = asyncio.get_running_loop()
        self.session = session
        self.sound = sound
        self.shape = shape_of(session.format)
        self._missed_before = session.missed or 0  # of another sound, that went through the same session
        self.lead_in = round(lead_in_s * session.format.clock_rate)
        self.finished: asyncio.Future[End] = loop.create_future()
        self.returned: asyncio.Future[None] = loop.create_future()
        self._tally: Callable[[], Figures] = lambda: Figures(session.format.encoding, path=session.path)

    @property
    def figures(self) -> Figures:
        figures, missed = self._tally(), self.session.missed
        return figures if missed is None else replace(figures, lost=max(0, missed - self._missed_before))

    def counts(self, tally: Callable[[], Figures]) -> None:
        """From now on the figures come from there."""
        self._tally = tally

    def end(self, how: End) -> None:
        """Nothing more is sent."""
        if not self.finished.done():
            self.finished.set_result(how)

    def give_back(self, figures: Figures | None = None) -> None:
        """The line is the session's again; `figures` are final."""
        if figures is not None:
            self._tally = lambda: figures
        if not self.returned.done():
            self.returned.set_result(None)

    def voice(self) -> Voice:
        """What is to be said, in packets."""
        if isinstance(self.sound, LiveSource):
            return Live(self.shape, lead_in=self.lead_in)
        return Whole(self.sound, self.shape, lead_in=self.lead_in)


@dataclass(frozen=True, slots=True)
class Standing:
    """How well the pacer can keep time. `apart`: it is a process of its own; `fifo`, `locked`: it goes before all others, and its memory
    stays; `batched`: what leaves by many sockets does so by one call; `why`: what was refused; `restarts`: how often it died; `late_s`: how
    late it woke at the most, in its last second of work."""

    apart: bool = False
    fifo: bool = False
    locked: bool = False
    batched: bool = False
    why: str = ""
    restarts: int = 0
    late_s: float = 0.0
    pid: int | None = None


class Pacer(Protocol):
    """Sends for all streams; `run` must be running. What is started together begins together."""

    tell: Tell
    """Called with what happened when the pacer died."""

    @property
    def standing(self) -> Standing: ...

    def start(self, streams: Iterable[Stream]) -> None: ...

    def stop(self, stream: Stream) -> None:
        """Send no further packet of `stream`: from this moment, as far as the daemon can tell; within one packet's time on the wire."""
        ...

    def stop_all(self) -> None:
        """Send nothing to anybody, in the same sense."""
        ...

    def bequeath(self, session: AudioSession) -> Callable[[], None]:
        """Have `session` ended should the daemon die, whether it is sent to or not; until the function that is returned is called."""
        ...

    async def ready(self) -> None:
        """Return once it can send as well as it ever will; at once when it can already."""
        ...

    async def run(self) -> None:
        """Send until cancelled."""
        ...


def shape_of(audio: AudioFormat) -> Shape:
    return Shape(audio.clock_rate, audio.packet_samples, SILENCE.get(audio.encoding, b"\x00"))


def figures_of(session: AudioSession, tally: Tally, clock: Clock) -> Figures:
    """The figures of a tally, its monotonic times told as times of day."""
    now, monotonic = clock.now(), clock.monotonic()
    first, last = (None if at is None else now - timedelta(seconds=monotonic - at) for at in (tally.first, tally.last))
    return Figures(session.format.encoding, tally.packets, tally.dropped, first, last, path=session.path)
