"""What a camera's microphone hears, as a recorder keeps it beside the pictures: G.711 or AAC, or nothing.

As with pictures, the wall clock chooses: the piece for any moment is the same whenever it is asked for. A tone sounds for a fifth of a
second at every even one.
"""

import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from simulators.frames import FRAME_NS
from simulators.g711 import LINEAR

AAC: Final = "MPEG4-GENERIC"
_LOOP_S: Final = 2
_TONE_S: Final = 0.2
_AAC_RATE, _AAC_SAMPLES, _AAC_TYPE = 16_000, 1_024, 97
_AAC_TOLD: Final = "streamtype=5;profile-level-id=1;mode=AAC-hbr;config=1408;sizelength=13;indexlength=3;indexdeltalength=3"
_G711_RATE, _G711_SAMPLES = 8_000, 160


@dataclass(frozen=True, slots=True)
class Microphone:
    """`pieces`: payloads of RTP packets, `samples` at `rate` Hz each, played in a loop from the epoch on. `told`: format parameters."""

    encoding: str
    payload_type: int
    rate: int
    samples: int
    pieces: Sequence[bytes]
    told: str = ""

    def during(self, frame: int) -> list[tuple[int, bytes]]:
        """The pieces that begin while picture `frame` is shown, each with its capture time in ns since the epoch."""
        lasts_ns = self.samples * 1_000_000_000 // self.rate
        first, stop = -(-frame * FRAME_NS // lasts_ns), -(-(frame + 1) * FRAME_NS // lasts_ns)
        return [(number * lasts_ns, self.pieces[number % len(self.pieces)]) for number in range(first, stop)]

    @property
    def lines(self) -> tuple[str, ...]:
        """Its section of a session description."""
        kind = self.payload_type
        head = (f"m=audio 0 RTP/AVP {kind}", f"a=rtpmap:{kind} {self.encoding}/{self.rate}{'/1' if self.told else ''}")
        return (*head, *((f"a=fmtp:{kind} {self.told}",) if self.told else ()), "a=recvonly")


def microphone_of(camera: str) -> Microphone | None:
    """The microphone of a camera, when it has one: three in four have."""
    return (None, _g711("PCMA", 8), _g711("PCMU", 0), _aac())[zlib.crc32(camera.encode()) % 4]


@lru_cache(maxsize=2)
def _g711(encoding: str, payload_type: int) -> Microphone:
    codes = {int.from_bytes(linear, "little", signed=True): code for code, linear in enumerate(LINEAR[encoding])}
    levels = sorted(codes)
    sound = bytes(codes[min(levels, key=lambda level: abs(level - sample))] for sample in _tone(_G711_RATE))
    pieces = tuple(sound[at : at + _G711_SAMPLES] for at in range(0, len(sound), _G711_SAMPLES))
    return Microphone(encoding, payload_type, _G711_RATE, _G711_SAMPLES, pieces)


@lru_cache(maxsize=1)
def _aac() -> Microphone:
    """RFC 3640, AAC-hbr: one frame a packet. The loop is of whole frames, so the tone wanders against the clock."""
    import av  # noqa: PLC0415 -- PyAV takes 30 MiB, which a city that nobody listens to does without

    encoder = av.AudioCodecContext.create("aac", "w")
    encoder.sample_rate, encoder.layout, encoder.format, encoder.bit_rate = _AAC_RATE, "mono", "fltp", 32_000
    encoder.open()
    coded: list[bytes] = []
    sound = _tone(_AAC_RATE)
    for at in range(0, len(sound) - _AAC_SAMPLES, _AAC_SAMPLES):
        frame = av.AudioFrame("fltp", "mono", _AAC_SAMPLES)
        frame.planes[0].update(b"".join(_float(sample) for sample in sound[at : at + _AAC_SAMPLES]))
        frame.sample_rate, frame.pts = _AAC_RATE, at
        coded += [bytes(packet) for packet in encoder.encode(frame)]
    coded += [bytes(packet) for packet in encoder.encode(None)]
    pieces = tuple(b"\0\x10" + (len(unit) << 3).to_bytes(2) + unit for unit in coded)
    return Microphone(AAC, _AAC_TYPE, _AAC_RATE, _AAC_SAMPLES, pieces, _AAC_TOLD)


def _float(sample: int) -> bytes:
    return struct.pack("<f", sample / 32_768)


def _tone(rate: int) -> list[int]:
    """One loop: a tone of 1 kHz, then a hum."""
    tone = [round(8_000 * math.sin(2 * math.pi * 1_000 * at / rate)) for at in range(round(_TONE_S * rate))]
    return tone + [round(200 * math.sin(2 * math.pi * 50 * at / rate)) for at in range(len(tone), _LOOP_S * rate)]
