"""ITU-T G.711 decoders written from the recommendation, to judge what others encoded."""

import struct


def _alaw(code: int) -> int:
    code ^= 0x55
    magnitude = (code & 0x0F) << 4 | 8
    exponent = code >> 4 & 7
    if exponent:
        magnitude = (magnitude | 0x100) << exponent - 1
    return magnitude if code & 0x80 else -magnitude


def _mulaw(code: int) -> int:
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3 | 0x84) << (code >> 4 & 7)) - 0x84
    return -magnitude if code & 0x80 else magnitude


_A, _MU = [_alaw(code) for code in range(256)], [_mulaw(code) for code in range(256)]


def decode_alaw(data: bytes) -> bytes:
    return struct.pack(f"<{len(data)}h", *map(_A.__getitem__, data))


def decode_mulaw(data: bytes) -> bytes:
    return struct.pack(f"<{len(data)}h", *map(_MU.__getitem__, data))


DECODERS = {"PCMA": decode_alaw, "PCMU": decode_mulaw}
