"""A sound that comes while it is heard: pushed in as PCM by whoever has a microphone, taken by every stream in its own encoding."""

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter

CLOCK_RATE = 8_000


@dataclass(frozen=True, slots=True, eq=False)
class Outlet:
    """One taker of a live sound: what is called with each encoded piece, and at the end."""

    encoding: str
    take: Callable[[bytes], None]
    close: Callable[[], None]


class LiveSource:
    """A live sound, PCM in, G.711 out. `push` as it comes, 20 ms at a time as a rule; `close` at its end, which ends its streams.

    `tap`: called with the PCM of all that is sent, from the first piece that goes to any loudspeaker on; None: with nothing.
    """

    def __init__(self, tap: Callable[[bytes], None] | None = None) -> None:
        self.tap = tap
        self.closed = False
        self._outlets: list[Outlet] = []

    def push(self, pcm: bytes) -> None:
        """Say `pcm` now: 8 kHz, mono, signed 16 bit, little endian, whole samples. What nobody hears is gone."""
        if self.closed or not self._outlets:
            return
        encoded: dict[str, bytes] = {}
        for outlet in list(self._outlets):
            if outlet.encoding not in encoded:
                encoded[outlet.encoding] = encode(pcm, outlet.encoding)
            outlet.take(encoded[outlet.encoding])
        if self.tap is not None:
            self.tap(pcm)

    def close(self) -> None:
        """Nothing more will come."""
        self.closed = True
        for outlet in list(self._outlets):
            outlet.close()

    def attach(self, outlet: Outlet) -> None:
        """Let `outlet` take what comes from now on."""
        self._outlets.append(outlet)
        if self.closed:
            outlet.close()

    def detach(self, outlet: Outlet) -> None:
        if outlet in self._outlets:
            self._outlets.remove(outlet)


def encode(pcm: bytes, encoding: str) -> bytes:
    """Signed 16-bit samples as PCMA or PCMU (ITU-T G.711), one byte each."""
    samples, table = array("H", pcm), _table(encoding)
    if len(samples) < 2:  # of one, `itemgetter` makes no tuple
        return bytes([table[sample] for sample in samples])
    return bytes(itemgetter(*samples)(table))  # two thirds of the time that a map takes


_tables: dict[str, bytes] = {}


def _table(encoding: str) -> bytes:
    """The byte of every sample, by the sample's bits as an unsigned number."""
    if encoding not in _tables:
        law = {"PCMA": _alaw, "PCMU": _mulaw}[encoding]
        _tables[encoding] = bytes(map(law, (*range(32_768), *range(-32_768, 0))))
    return _tables[encoding]


def _alaw(sample: int) -> int:
    positive, magnitude = (0x80, sample >> 3) if sample >= 0 else (0x00, ~(sample >> 3))
    segment = max(0, magnitude.bit_length() - 5)
    return (positive | segment << 4 | (magnitude >> max(1, segment)) & 0x0F) ^ 0x55


def _mulaw(sample: int) -> int:
    negative, magnitude = (0x00, sample >> 2) if sample >= 0 else (0x80, -(sample >> 2))
    magnitude = min(magnitude, 8_158) + 33
    segment = magnitude.bit_length() - 6
    return ~(negative | segment << 4 | (magnitude >> (segment + 1)) & 0x0F) & 0xFF
