"""G.711 decoded: the two companding laws of ITU-T G.711 as tables, for listening to what a loudspeaker was sent."""

import io
import struct
import wave
from collections.abc import Iterable
from typing import Final

RATE: Final = 8_000
"""Samples, and as many bytes, a second."""


def _linear_a(code: int) -> int:
    """One A-law octet as a 16-bit sample (G.711 table 1a, even bits inverted)."""
    code ^= 0x55
    exponent, mantissa = code >> 4 & 7, code & 15
    magnitude = (mantissa << 4) + 8 if exponent == 0 else ((mantissa << 4) + 0x108) << (exponent - 1)
    return magnitude if code & 0x80 else -magnitude


def _linear_mu(code: int) -> int:
    """One µ-law octet as a 16-bit sample (G.711 table 2a, all bits inverted)."""
    code = ~code & 0xFF
    magnitude = (((code & 15) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return -magnitude if code & 0x80 else magnitude


LINEAR: Final = {
    "PCMA": tuple(struct.pack("<h", _linear_a(code)) for code in range(256)),
    "PCMU": tuple(struct.pack("<h", _linear_mu(code)) for code in range(256)),
}
"""Encoding → the 16-bit little-endian sample of each octet."""

LINEAR_16: Final = "linear16"
"""Samples that are decoded already: 16 bit, little-endian."""
SILENCE: Final = {"PCMA": b"\xd5", "PCMU": b"\xff", LINEAR_16: b"\x00\x00"}
WIDTH: Final = {"PCMA": 1, "PCMU": 1, LINEAR_16: 2}
"""Bytes a sample."""


def decode(encoding: str, payload: bytes | bytearray) -> bytes:
    """16-bit little-endian samples. Raises KeyError when `encoding` is none of PCMA, PCMU and `LINEAR_16`."""
    if encoding == LINEAR_16:
        return bytes(payload)
    return b"".join(map(LINEAR[encoding].__getitem__, payload))


def wav(parts: Iterable[tuple[str, bytes | bytearray]]) -> bytes:
    """One 16-bit mono WAV of several (encoding, payload) pieces in a row."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        for encoding, payload in parts:
            out.writeframes(decode(encoding, payload))
    return file.getvalue()
