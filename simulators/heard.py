"""What a loudspeaker heard, with the kernel's arrival times, and what its horn played of it: each talk put together by RTP timestamp.

The two differ where the horn has a quirk: it may lose the first moments, play seconds late, or play only packets of one size.
"""

import operator
import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from simulators import g711

HEARD_BYTES: Final = 10 * 1024 * 1024
"""Payload kept of one loudspeaker: more than 20 minutes of G.711. What comes later is counted and not kept."""
SESSIONS_KEPT: Final = 100
FARTHEST_JUMP: Final = 10 * g711.RATE
"""Samples; a timestamp farther away than this is a new beginning, not a hole."""
PACKETS_KEPT: Final = 3_000
"""Arrivals remembered of one loudspeaker: a minute of one talk."""
_ARRIVAL: Final = struct.Struct("=QIHHBB")


@dataclass(frozen=True, slots=True)
class Horn:
    """How a horn plays what it hears. `loses_ms`: of each talk's beginning it plays nothing for so long. `late_s`: it plays so long after
    hearing, and what is still unplayed at the end of a talk never. `packet_bytes`: it plays only packets of that many bytes with the
    timestamp 0; 0: any."""

    loses_ms: float = 0.0
    late_s: float = 0.0
    packet_bytes: int = 0

    def takes(self, payload: bytes, timestamp: int) -> bool:
        """Whether it can play this packet."""
        return not self.packet_bytes or (len(payload) == self.packet_bytes and timestamp == 0)


PLAIN: Final = Horn()


@dataclass(slots=True)
class HeardSession:
    """One backchannel session; arrival times are the kernel's for UDP and the moment of reading for TCP, in ns since the epoch.

    `transport`: "udp" or "tcp". `encoding`: that of the first packet. `audio`: the payload, holes filled with silence.
    `level`: how loud the loudspeaker was set when it began, from 0 to 100; None: nobody says.
    `refused`: packets that were not taken: before PLAY was answered, of another payload type, or too late to be placed.
    `unplayable`: packets that were taken and that the horn cannot play.
    """

    peer: str
    transport: str
    encoding: str = ""
    started_ns: int = 0
    ended_ns: int | None = None
    packets: int = 0
    refused: int = 0
    unplayable: int = 0
    missing_samples: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    level: int | None = None
    horn: Horn = PLAIN
    audio: bytearray = field(default_factory=bytearray)
    _origin: int | None = None
    _last_timestamp: int = -1
    _last_sequence: int = -1

    @property
    def played_ns(self) -> int | None:
        """When the first sample was due out of the horn."""
        return None if self.first_ns is None or not self.audio else self.first_ns + int(self.horn.late_s * 1e9)

    def finish(self, now_ns: int, *, arrival_ns: int) -> None:
        """The talk is over, at `arrival_ns` by the clock of the arrivals: what a late horn has not played by then, it never will."""
        if self.ended_ns is None:
            self.ended_ns = now_ns
            if self.horn.late_s and self.played_ns is not None:
                del self.audio[max(0, (arrival_ns - self.played_ns) * g711.RATE // 1_000_000_000) :]

    def sound(self, _now_ns: int) -> Iterator[tuple[str, bytes | bytearray]]:
        """What came out of the horn, with the silence before it."""
        silence = g711.SILENCE.get(self.encoding, b"")
        lost = min(len(self.audio), int(self.horn.loses_ms * g711.RATE / 1000))
        yield self.encoding, silence * (int(self.horn.late_s * g711.RATE) + lost if self.audio else 0)
        yield self.encoding, self.audio[lost:]

    def is_playing(self, _now_ns: int) -> bool:
        return self.packets > 0 and self.ended_ns is None

    def place(self, payload: bytes, *, sequence: int, timestamp: int, room: int) -> int:
        """Put one packet's samples where its timestamp says; returns by how many bytes the audio grew, at most `room`.

        Some talkers leave the timestamp at zero: an unchanged timestamp with a new sequence number is played after what came before.
        """
        if sequence == self._last_sequence:
            return 0
        before = len(self.audio)
        at = self._offset(timestamp)
        if at < 0:
            self.refused += 1
            return 0
        self._last_sequence, self._last_timestamp = sequence, timestamp
        if at > before:
            self.missing_samples += at - before
            self.audio += g711.SILENCE[self.encoding] * min(at - before, room)
        if at < before:
            self.missing_samples -= min(len(payload), before - at)
        end = min(at + len(payload), before + room)
        self.audio[at:end] = payload[: max(0, end - at)]
        return len(self.audio) - before

    def _offset(self, timestamp: int) -> int:
        """Where in `audio` this timestamp begins, negative when before all of it; the modulus of RTP timestamps is 2³²."""
        end = len(self.audio)
        if self._origin is not None and timestamp != self._last_timestamp:
            offset = (timestamp - self._origin + 0x8000_0000) % 0x1_0000_0000 - 0x8000_0000
            if end - FARTHEST_JUMP <= offset <= end + FARTHEST_JUMP:
                return offset
        self._origin = (timestamp - end) % 0x1_0000_0000
        return end


@dataclass(slots=True)
class PlayedClip:
    """One clip that a loudspeaker plays out of its memory, from `started_ns` on.

    `audio`: one run of it in `encoding`, empty when it cannot be decoded here; `run_s`, `pause_s`: how long a run and the silence before
    the next last; `runs`: how often, None: until it is stopped; `level`: as in `HeardSession`.
    """

    token: str
    started_ns: int
    encoding: str
    audio: bytes
    run_s: float
    pause_s: float = 0.0
    runs: int | None = 1
    stopped_ns: int | None = None
    level: int | None = None

    def end_ns(self) -> int | None:
        """When it ends or ended; None: not by itself."""
        whole = None if self.runs is None else self.started_ns + int((self.runs * (self.run_s + self.pause_s) - self.pause_s) * 1e9)
        return whole if self.stopped_ns is None or (whole is not None and whole < self.stopped_ns) else self.stopped_ns

    def is_playing(self, now_ns: int) -> bool:
        end = self.end_ns()
        return self.started_ns <= now_ns and (end is None or now_ns < end)

    def runs_left(self, now_ns: int) -> int:
        """Repetitions still to come; -1: without end."""
        if self.runs is None:
            return -1
        begun = int((now_ns - self.started_ns) / 1e9 / max(self.run_s + self.pause_s, 1e-3)) + 1
        return max(0, self.runs - begun)

    def sound(self, now_ns: int) -> Iterator[tuple[str, bytes | bytearray]]:
        """What came out of the horn until now."""
        end = self.end_ns()
        played_ns = max(0, (now_ns if end is None else min(now_ns, end)) - self.started_ns)
        left = min(HEARD_BYTES, (played_ns * g711.RATE + 500_000_000) // 1_000_000_000 * g711.WIDTH[self.encoding])
        silence = g711.SILENCE[self.encoding] * int(self.pause_s * g711.RATE)
        while left > 0 and self.audio:
            for part in (self.audio, silence):
                yield self.encoding, part[:left]
                left = max(0, left - len(part))


@dataclass(slots=True)
class Heard:
    """All that one loudspeaker heard and played since the start or since it was last cleared."""

    packets: int = 0
    octets: int = 0
    kept: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    encoding: str = ""
    sessions: deque[HeardSession] = field(default_factory=lambda: deque(maxlen=SESSIONS_KEPT))
    clips: deque[PlayedClip] = field(default_factory=lambda: deque(maxlen=SESSIONS_KEPT))
    _arrivals: deque[bytes] = field(default_factory=lambda: deque(maxlen=PACKETS_KEPT))

    def take(self, session: HeardSession, payload: bytes, *, arrival_ns: int, sequence: int, timestamp: int, marker: bool = False) -> None:
        """Note one RTP packet's payload, and play it if the horn can."""
        for part in (self, session):
            part.packets += 1
            part.first_ns = arrival_ns if part.first_ns is None else part.first_ns
            part.last_ns = arrival_ns
        self.encoding = session.encoding
        self.octets += len(payload)
        played = session.horn.takes(payload, timestamp)
        if played:
            self.kept += session.place(payload, sequence=sequence, timestamp=timestamp, room=HEARD_BYTES - self.kept)
        else:
            session.unplayable += 1
        self._arrivals.append(_ARRIVAL.pack(arrival_ns, timestamp, sequence, len(payload), marker, played))

    def arrivals(self) -> list[dict[str, Any]]:
        """The last packets one by one, in the order in which they came."""
        names = ("arrival_ns", "timestamp", "sequence", "bytes", "marker", "played")
        rows = (dict(zip(names, _ARRIVAL.unpack(packed), strict=True)) for packed in self._arrivals)
        return [{**row, "marker": bool(row["marker"]), "played": bool(row["played"])} for row in rows]

    def is_playing(self, now_ns: int) -> bool:
        """Whether the horn sounds: a talk goes on, or a clip."""
        return any(part.is_playing(now_ns) for part in self._parts())

    def _parts(self) -> "list[HeardSession | PlayedClip]":
        """Talks and clips in the order in which they began."""
        return sorted([*self.sessions, *self.clips], key=operator.attrgetter("started_ns"))

    def wav(self, now_ns: int) -> bytes:
        """What came out of the horn until now: talks and clips one after the other, as a 16-bit mono WAV at 8 kHz."""
        return g711.wav(piece for part in self._parts() for piece in part.sound(now_ns) if piece[1])
