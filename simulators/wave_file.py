"""WAV files as a loudspeaker reads them: linear PCM and µ-law, made into what it plays (8 kHz, mono)."""

from __future__ import annotations

import array
import itertools
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from simulators import g711

PCM: Final = 1
MU_LAW: Final = 7
"""Format tags, the `codec` of audio/vnd.wave (RFC 2361)."""
_EXTENSIBLE: Final = 0xFFFE
_FORMAT: Final = struct.Struct("<HHIIHH")
_RATES: Final = range(8_000, 48_001)


@dataclass(frozen=True, slots=True)
class Sound:
    """One clip, decoded: `audio` in `encoding` as `g711` knows it, 8 kHz mono. `codec`: the file's format tag."""

    codec: int
    encoding: str
    audio: bytes

    @property
    def seconds(self) -> float:
        return len(self.audio) / g711.WIDTH[self.encoding] / g711.RATE


def decode(data: bytes) -> Sound:
    """Raises ValueError for what is no WAV file, or has a format that is not played."""
    chunks = _chunks(data)
    head, body = chunks.get(b"fmt ", b""), chunks.get(b"data", b"")
    if len(head) < _FORMAT.size or not body:
        raise ValueError("a WAV file has a format and data")
    codec, channels, rate, _, _, bits = _FORMAT.unpack_from(head)
    if codec == _EXTENSIBLE and len(head) >= 26:
        codec = int.from_bytes(head[24:26], "little")
    if (codec, bits) not in {(PCM, 8), (PCM, 16), (MU_LAW, 8)} or channels not in {1, 2} or rate not in _RATES:
        raise ValueError(f"format {codec} with {bits} bit, {channels} channels and {rate} Hz is not played")
    if (codec, channels, rate) == (MU_LAW, 1, g711.RATE):
        return Sound(codec, "PCMU", body)
    samples = _at_our_rate(_mono(_linear(codec, bits, body), channels), rate)
    return Sound(codec, g711.LINEAR_16, _little_endian(samples))


def _chunks(data: bytes) -> dict[bytes, bytes]:
    """The chunks of a RIFF file by their names; one that is cut short ends with the file."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ValueError("this is no WAV file")
    found: dict[bytes, bytes] = {}
    at = 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        found.setdefault(data[at : at + 4], data[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return found


def _linear(codec: int, bits: int, body: bytes) -> array.array[int]:
    if codec == MU_LAW:
        body = g711.decode("PCMU", body)
    elif bits == 8:
        return array.array("h", [(octet - 128) << 8 for octet in body])
    samples = array.array("h", body[: len(body) & ~1])
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def _mono(samples: array.array[int], channels: int) -> Sequence[int]:
    return samples if channels == 1 else [(left + right) // 2 for left, right in zip(samples[::2], samples[1::2], strict=False)]


def _at_our_rate(samples: Sequence[int], rate: int) -> Sequence[int]:
    """At 8 kHz: each sample the mean of those that fall into its time."""
    if rate == g711.RATE:
        return samples
    edges = [at * rate // g711.RATE for at in range(len(samples) * g711.RATE // rate + 1)]
    return [sum(samples[start:end]) // (end - start) for start, end in itertools.pairwise(edges)]


def _little_endian(samples: Sequence[int]) -> bytes:
    found = array.array("h", samples)
    if sys.byteorder == "big":
        found.byteswap()
    return found.tobytes()
