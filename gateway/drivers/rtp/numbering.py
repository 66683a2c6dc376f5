"""The heads of the RTP packets of one session that we send: who we are, which packet it is, and of when (RFC 3550, 5.1)."""

from collections.abc import Callable

from gateway.drivers.base import AudioFormat, Line
from gateway.drivers.rtp.packets import header


class Numbering:
    """Counts packets on from random numbers. What it has reached stands in the session's `Line`, for whoever goes on from there."""

    __slots__ = ("_audio", "_origin", "_sequence", "_ssrc", "_unstamped")

    def __init__(self, audio: AudioFormat, entropy: Callable[[int], int], *, unstamped: bool = False) -> None:
        """`entropy(bits)`: a random number of so many bits. `unstamped`: each packet has its marker and the timestamp 0."""
        self._audio = audio
        self._unstamped = unstamped
        self._ssrc, self._sequence, self._origin = entropy(32), entropy(16), entropy(32)

    def next(self, line: Line, *, timestamp: int, marker: bool) -> bytes:
        """The head of the next packet. `timestamp` counts samples from the start."""
        stamp, marked = (0, True) if self._unstamped else (self._origin + timestamp, marker)
        head = header(payload_type=self._audio.payload_type, sequence=self._sequence, timestamp=stamp, ssrc=self._ssrc, marker=marked)
        self._sequence += 1
        after = self._origin + timestamp + self._audio.packet_samples
        line.numbers = (self._ssrc, self._sequence & 0xFFFF, after & 0xFFFFFFFF)
        return head

    def resume(self, line: Line) -> None:
        """Go on from where whoever had the line has come to."""
        if line.numbers is not None:
            self._ssrc, self._sequence, self._origin = line.numbers
