"""What is to be sent when, to whom, and what became of it: decided without a clock or a socket, `now` is an argument.

Times are seconds of one monotonic clock. Lines that began together with the same sound form a *chorus*: they get the very same packets, so
that what a packet costs does not grow with the number of those who hear it. Deadlines are absolute: nothing drifts.

Standard library only: the pacer's process imports this.
"""

import math
import struct
from collections import deque
from collections.abc import Callable, Collection, Iterable
from enum import StrEnum
from typing import NamedTuple, Protocol

SLOT_S = 0.005
"""What begins while something else is under way begins a multiple of this later than that: whoever waits waits no longer, and a packet's
20 ms have four of them, so that a hundred broadcasts that began at random wake the process no more than two hundred times a second."""
LIVE_SLOT_S = 0.010
"""The same for what is fetched while it comes: a wait of 5 ms in the mean, for half of the wake-ups, which are most of its cost. These
are multiples of the clock's own time, so that who fills the well knows when it is fetched from."""
LONGEST_CATCH_UP_S = 0.2
"""An absence of the process longer than this is not made up for by a burst, which would overrun the speakers' buffers."""
LOST_AFTER_S = 1.0
"""So much sound in a row that a line did not take, and it is lost."""
LINES_LIMIT = 4_000
"""Lines at a time: at 2.5 µs a packet half of the time of one core, which the pacer never exceeds."""
_EPSILON_S = 1e-6

_HEADER = struct.Struct("!BBHII")


class End(StrEnum):
    """How a stream ended. DIED: the pacer itself went away, and what was heard last is not known."""

    PLAYED = "played"
    LOST = "lost"
    STOPPED = "stopped"
    DIED = "died"


class Shape(NamedTuple):
    """How a sound is cut: samples a second, bytes a sample (0.5 for none yet), samples a packet, and the bytes that are silence.

    `silence`: what one packet of silence repeats; one byte for G.711.
    """

    clock_rate: int
    packet_samples: int
    silence: bytes
    sample_bytes: int = 1

    @property
    def packet_s(self) -> float:
        return self.packet_samples / self.clock_rate

    @property
    def packet_bytes(self) -> int:
        return self.packet_samples * self.sample_bytes

    def quiet(self, size: int) -> bytes:
        """So many bytes of silence."""
        return (self.silence * (size // len(self.silence) + 1))[:size]


class Packet(NamedTuple):
    """One packet's content. `timestamp` counts samples from the start of the stream."""

    payload: bytes | memoryview
    timestamp: int
    marker: bool


class Numbers(NamedTuple):
    """What RTP counts on a line (RFC 3550, 5.1), as the next packet has it."""

    ssrc: int
    sequence: int
    timestamp: int

    def after(self, packets: int, samples: int) -> "Numbers":
        return Numbers(self.ssrc, (self.sequence + packets) & 0xFFFF, (self.timestamp + samples) & 0xFFFFFFFF)


# -- voices -----------------------------------------------------------------------------------------------------------


class Voice(Protocol):
    """A sound in packets. `slot_s`: it begins at a multiple of this; `due`: when the next step is to be taken, None while there is none;
    `over`: nothing will follow. All are plain attributes: `due` is read several times for each step."""

    shape: Shape
    slot_s: float
    due: float | None
    over: bool

    def begin(self, at: float) -> None: ...

    def take(self, now: float) -> Packet | None:
        """The packet that is due at `now`; None when that time only ends the sound. Only once `due` has come."""
        ...


class Whole:
    """A sound that is known from its beginning to its end: silence for amplifiers to wake up, the sound, silence up to a whole packet."""

    def __init__(self, sound: bytes | memoryview, shape: Shape, *, lead_in: int = 0) -> None:
        """`sound`: encoded as the shape says; `lead_in` in samples."""
        self.shape = shape
        self.slot_s = SLOT_S
        self.due: float | None = None
        """When the next packet is; after the last one, when it has had its time."""
        self.over = False
        self._sound = memoryview(sound)
        self._lead = lead_in * shape.sample_bytes
        self._packets = -(-(self._lead + len(self._sound)) // shape.packet_bytes)
        self._next = 0
        self._start = 0.0

    def begin(self, at: float) -> None:
        self._start = self.due = at

    def take(self, now: float) -> Packet | None:
        if self.due is None:
            return None
        if self._next >= self._packets:
            self.over, self.due = True, None
            return None
        if now - self.due > LONGEST_CATCH_UP_S:
            self._start += now - self.due
        number = self._next
        self._next += 1
        self.due = self._start + self._next * self.shape.packet_s
        return Packet(self._payload(number), number * self.shape.packet_samples, number == 0)

    def _payload(self, number: int) -> bytes | memoryview:
        size = self.shape.packet_bytes
        begin = number * size - self._lead
        if begin >= 0 and begin + size <= len(self._sound):
            return self._sound[begin : begin + size]
        before = self.shape.quiet(min(size, max(0, -begin)))
        said = before + bytes(self._sound[max(0, begin) : max(0, begin + size)])
        return said + self.shape.quiet(size - len(said))


class Well(Protocol):
    """Where a live sound is fetched from."""

    def read(self) -> tuple[Iterable[tuple[float, bytes]], bool]:
        """What came since the last time, each with the moment at which it did, and whether nothing will follow."""
        ...


class Live:
    """A sound that comes while it is sent: as soon as it comes, but evenly.

    The packets keep the pace of their source, behind the latest of late ones; a wait that proves needless is taken back. Where nothing
    comes, silence is sent, so that no speaker runs dry; of a burst after it so many of the oldest go as packets of silence took their
    place, and `BUFFER` wait at the most: who speaks is to be heard now, not later and later.
    """

    BUFFER = 5
    FILLED = 50
    """Packets of silence that late ones are held against: a second."""
    WINDOW = 10
    """Packets over which the wait of the one that waited least is taken as needless."""
    SPARE_S = 0.003
    STEP_S = 0.004

    def __init__(self, shape: Shape, *, lead_in: int = 0, well: "Well | None" = None) -> None:
        """`lead_in` in samples, spoken over: what comes meanwhile is not heard, rather than that all that follows comes later by it.

        `well`: where the sound is fetched from whenever a packet is due, and again after each slot of a wait; without it, it is pushed.
        Whoever fetches keeps to slots of `LIVE_SLOT_S`, so that many who speak wake the process no more often than those come.
        """
        self.shape = shape
        self.slot_s = SLOT_S if well is None else LIVE_SLOT_S
        self.due: float | None = None
        self.over = False
        self.dropped = 0
        self._lead = -(-lead_in // shape.packet_samples)
        self._frames: deque[tuple[float, bytes]] = deque()  # `BUFFER` packets at the most: `push` drops the oldest
        self._rest = b""
        self._closed = False
        self._next: float | None = None
        self._sent = 0
        self._least, self._seen = float("inf"), 0
        self._filled = 0  # packets of silence in a row, which stand for late ones as far as those come
        self._well = well
        self._look = 0.0  # how long after `_next` there will be something to fetch

    def _plan(self) -> None:
        """Set `due`; called by all that changes what it depends on."""
        if self._next is None or self.over:
            self.due = None
        elif self._lead > 0 or self._frames or self._closed:
            self.due = self._next
        elif self._well is not None:
            self.due = self._next + self._look
        else:
            self.due = self._next + self.shape.packet_s  # a late one is waited for, for one packet's time

    def begin(self, at: float) -> None:
        self._next = at
        self._plan()

    def push(self, data: bytes, now: float) -> None:
        """Take encoded sound of any length."""
        if not self._closed:
            self._add(data, now)
            self._plan()

    def _add(self, data: bytes, now: float) -> None:
        if len(data) == self.shape.packet_bytes and not self._rest:  # as a rule
            self._frames.append((now, data))
        else:
            self._cut(data, now)
        while len(self._frames) > (1 if self._lead > 0 or self._filled > 0 else self.BUFFER):
            self._frames.popleft()
            self._filled = max(0, self._filled - 1)
            self.dropped += 1

    def _cut(self, data: bytes, now: float) -> None:
        size = self.shape.packet_bytes
        self._rest += data
        while len(self._rest) >= size:
            self._frames.append((now, self._rest[:size]))
            self._rest = self._rest[size:]

    def close(self) -> None:
        """Nothing will be pushed any more: what waits is sent, and then the sound is over."""
        if self._rest and not self._closed:
            self._frames.append((self._next or 0.0, self._rest + self.shape.quiet(self.shape.packet_bytes - len(self._rest))))
        self._closed = True
        self._plan()

    def take(self, now: float) -> Packet | None:
        if self._next is None or self.over:
            return None
        packet = self._step(now, self._next)
        self._plan()
        return packet

    def _step(self, now: float, next_: float) -> Packet | None:
        if self._well is not None:
            self._fetch(self._well)
            if not self._frames and not self._closed and self._lead <= 0 and self._look < self.shape.packet_s:
                self._look = min(self.shape.packet_s, self._look + LIVE_SLOT_S)
                return None
        if self._lead > 0 or not self._frames:
            if self._lead <= 0 and self._closed:
                self.over = True
                return None
            self._filled = min(self.FILLED, self._filled + (self._lead <= 0))
            self._lead -= 1
            return self._packet(self.shape.quiet(self.shape.packet_bytes), max(next_, now - LONGEST_CATCH_UP_S))
        came, payload = self._frames.popleft()
        planned = next_ + self._look
        if (came > planned and self._well is None) or now - planned > LONGEST_CATCH_UP_S:
            planned = now  # late: from now on so much later
        self._filled = max(0, self._filled - 1)
        self._watch(now - came)
        return self._packet(payload, planned)

    def _fetch(self, well: "Well") -> None:
        pieces, closed = well.read()
        for came, data in pieces:
            self._add(data, came)
        if closed:
            self.close()

    def _watch(self, waited: float) -> None:
        self._least, self._seen = min(self._least, waited), self._seen + 1

    def _packet(self, payload: bytes, planned: float) -> Packet:
        number = self._sent
        self._sent += 1
        self._look = 0.0
        self._next = planned + self.shape.packet_s - self._needless()
        return Packet(payload, number * self.shape.packet_samples, number == 0)

    def _needless(self) -> float:
        """What the next packet may come earlier, since all of the last ones waited longer than they had to."""
        if self._seen < self.WINDOW:
            return 0.0
        least, self._least, self._seen = self._least, float("inf"), 0
        while least >= self.shape.packet_s and self._frames:
            self._frames.popleft()
            self.dropped += 1
            least -= self.shape.packet_s
        if self._well is not None:
            return LIVE_SLOT_S if least >= LIVE_SLOT_S + self.SPARE_S else 0.0
        return min(self.STEP_S, max(0.0, least - self.SPARE_S))


# -- who hears it -----------------------------------------------------------------------------------------------------


class Listener:
    """One line in a chorus, and what it did not take. `gone`: it will never take any more.

    `refused`: samples since it took two packets in a row. That one was taken is certain with the next alone: a closed port (ICMP) is told
    then. `doubted`: it took the last packet, and not the one before.
    """

    __slots__ = ("chorus", "doubted", "dropped", "first", "gone", "last", "number", "refused")

    def __init__(self, number: int) -> None:
        self.number = number
        self.chorus: Chorus | None = None
        self.dropped = self.refused = 0
        self.doubted = self.gone = False
        self.first: float | None = None
        self.last: float | None = None


class Tally(NamedTuple):
    """What one line was sent, with the times of the first and the last packet."""

    packets: int
    dropped: int
    first: float | None
    last: float | None


class Chorus:
    """Lines that get the very same packets, from the first to the last. `changes`: how often one left."""

    def __init__(
        self, voice: Voice, listeners: Iterable[Listener], *, payload_type: int, numbers: Numbers, unstamped: bool = False
    ) -> None:
        """`numbers`: the first packet's; `unstamped`: each packet has its marker and the timestamp 0."""
        self.voice = voice
        self.listeners = dict.fromkeys(listeners)
        self.changes = 0
        self.begun = False
        self.numbers = numbers
        self.packets = 0
        self.first: float | None = None
        self.last: float | None = None
        self._payload_type = payload_type & 0x7F
        self._unstamped = unstamped
        self._troubled: set[Listener] = set()
        for listener in self.listeners:
            listener.chorus = self

    def join(self, listener: Listener) -> None:
        """Let `listener` hear it too; only before it begins."""
        self.listeners[listener] = None
        listener.chorus = self

    def header(self, packet: Packet) -> bytes:
        """The fixed RTP header (RFC 3550, 5.1) of 12 bytes of the packet that was taken last."""
        numbers = self.numbers
        stamp = 0 if self._unstamped else (numbers.timestamp + packet.timestamp) & 0xFFFFFFFF
        marker = 0x80 if packet.marker or self._unstamped else 0
        sequence = (numbers.sequence + self.packets) & 0xFFFF
        return _HEADER.pack(0x80, self._payload_type | marker, sequence, stamp, numbers.ssrc)

    def following(self) -> Numbers:
        """What the next packet on these lines will have, whoever sends it."""
        return self.numbers.after(self.packets, self.packets * self.voice.shape.packet_samples)

    def tally(self, listener: Listener) -> Tally:
        sent = self.packets - listener.dropped
        if not sent:
            return Tally(0, listener.dropped, None, None)
        return Tally(
            sent,
            listener.dropped,
            self.first if listener.first is None else listener.first,
            listener.last if listener.refused and not listener.doubted else self.last,
        )

    def sent(self, now: float, refusals: Collection[Listener]) -> list[Listener]:
        """Count one packet, sent at `now` to all but these; who is lost by that."""
        before, self.last = self.last, now
        self.first = now if self.first is None else self.first
        self.packets += 1
        if not refusals and not self._troubled:
            return []
        for listener in self._troubled.difference(refusals):
            if listener.doubted:
                listener.refused = 0
                self._troubled.discard(listener)
            elif listener.dropped == self.packets - 1:
                listener.first = now
            listener.doubted = not listener.doubted
        for listener in refusals:
            listener.last = before if listener.doubted or not listener.refused else listener.last
            listener.dropped += 1
            listener.refused += self.voice.shape.packet_samples * (2 if listener.doubted else 1)
            listener.doubted = False
        self._troubled.update(refusals)
        patience = self.voice.shape.clock_rate * LOST_AFTER_S
        return [listener for listener in refusals if listener.gone or listener.refused >= patience]

    def end_of(self, listener: Listener) -> End:
        """How it ended for `listener` now that all was sent: who took nothing of the last half was lost, however short the sound was."""
        missed = listener.refused // self.voice.shape.packet_samples
        return End.LOST if missed and 2 * missed >= self.packets else End.PLAYED

    def part(self, listener: Listener) -> "Tally":
        """Let `listener` go; what it was sent."""
        del self.listeners[listener]
        self._troubled.discard(listener)
        listener.chorus = None
        self.changes += 1
        return self.tally(listener)


class Ended(NamedTuple):
    """One line to which nothing more will be sent."""

    listener: Listener
    how: End
    tally: Tally
    numbers: Numbers


Send = Callable[[Chorus, Packet], Collection[Listener]]
"""Sends one packet to all of a chorus; gives those back that did not take it."""


class Conductor:
    """All choruses, and what each is due. Whoever runs it calls `turn` as soon as `due` has come."""

    def __init__(self) -> None:
        self._choruses: list[Chorus] = []
        self._origin = 0.0  # where the slots are counted from
        self.lines = 0

    @property
    def due(self) -> float | None:
        """When there is something to do next; None while there is nothing."""
        soonest = None
        for chorus in self._choruses:
            due = chorus.voice.due
            if due is not None and (soonest is None or due < soonest):
                soonest = due
        return soonest

    def begin(self, choruses: Iterable[Chorus], now: float) -> None:
        """Let these begin together: at once where nothing is under way, else at the next slot."""
        if not self._choruses:
            self._origin = now
        for chorus in choruses:
            slot = chorus.voice.slot_s
            origin = 0.0 if slot == LIVE_SLOT_S else self._origin
            chorus.voice.begin(origin + math.ceil((now - origin) / slot - _EPSILON_S) * slot)
            chorus.begun = True
            self._choruses.append(chorus)
            self.lines += len(chorus.listeners)

    def turn(self, now: float, send: Send) -> list[Ended]:
        """Send all that is due at `now`; who ended by that."""
        ended: list[Ended] = []
        until = now + _EPSILON_S
        for chorus in list(self._choruses):
            voice = chorus.voice
            while (due := voice.due) is not None and due <= until and chorus.listeners:
                packet = voice.take(now)
                if packet is not None and (lost := chorus.sent(now, send(chorus, packet))):
                    ended += [self._part(chorus, listener, End.LOST) for listener in lost]
            if voice.over:
                ended += [self._part(chorus, listener, chorus.end_of(listener)) for listener in list(chorus.listeners)]
        return ended

    def stop(self, listener: Listener, how: End = End.STOPPED) -> Ended | None:
        """Send no further packet to `listener`; None when that is so already."""
        chorus = listener.chorus
        return None if chorus is None else self._part(chorus, listener, how)

    def stop_all(self) -> list[Ended]:
        """Send nothing to anybody."""
        return [self._part(chorus, listener, End.STOPPED) for chorus in list(self._choruses) for listener in list(chorus.listeners)]

    def _part(self, chorus: Chorus, listener: Listener, how: End) -> Ended:
        tally = chorus.part(listener)
        self.lines -= chorus.begun
        if chorus.begun and not chorus.listeners:
            self._choruses.remove(chorus)
        return Ended(listener, how, tally, chorus.following())
