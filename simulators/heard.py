"""What a loudspeaker heard: each talk's audio put together by RTP timestamp, with the kernel's arrival times."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from simulators import g711

HEARD_BYTES: Final = 10 * 1024 * 1024
"""Payload kept of one loudspeaker: more than 20 minutes of G.711. What comes later is counted and not kept."""
SESSIONS_KEPT: Final = 100
FARTHEST_JUMP: Final = 10 * g711.RATE
"""Samples; a timestamp farther away than this is a new beginning, not a hole."""


@dataclass(slots=True)
class HeardSession:
    """One backchannel session; arrival times are the kernel's for UDP and the moment of reading for TCP, in ns since the epoch.

    `transport`: "udp" or "tcp". `encoding`: that of the first packet. `audio`: the payload, holes filled with silence.
    `refused`: packets that were not played: before PLAY was answered, of another payload type, or too late to be placed.
    """

    peer: str
    transport: str
    encoding: str = ""
    started_ns: int = 0
    ended_ns: int | None = None
    packets: int = 0
    refused: int = 0
    missing_samples: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    audio: bytearray = field(default_factory=bytearray)
    _origin: int | None = None
    _last_timestamp: int = -1
    _last_sequence: int = -1

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
class Heard:
    """All that one loudspeaker heard since the start or since it was last cleared."""

    packets: int = 0
    octets: int = 0
    kept: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    encoding: str = ""
    sessions: deque[HeardSession] = field(default_factory=lambda: deque(maxlen=SESSIONS_KEPT))

    def take(self, session: HeardSession, payload: bytes, *, arrival_ns: int, sequence: int, timestamp: int) -> None:
        """Note one RTP packet's payload."""
        for part in (self, session):
            part.packets += 1
            part.first_ns = arrival_ns if part.first_ns is None else part.first_ns
            part.last_ns = arrival_ns
        self.encoding = session.encoding
        self.octets += len(payload)
        self.kept += session.place(payload, sequence=sequence, timestamp=timestamp, room=HEARD_BYTES - self.kept)

    def wav(self) -> bytes:
        """The talks one after the other, as a 16-bit mono WAV at 8 kHz."""
        return g711.wav((session.encoding, session.audio) for session in self.sessions if session.audio)
