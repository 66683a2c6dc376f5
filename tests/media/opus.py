"""Sound as Opus packets, by libopus."""

import array
from fractions import Fraction
from typing import Any

import av


def opus_packets(pcm: array.array, *, rate: int, layout: str, bits: int = 64_000) -> list[bytes]:
    """Mono samples of signed 16 bit as packets of 20 ms; with two channels, the same on both."""
    encoder: Any = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format, encoder.bit_rate = rate, layout, "s16", bits
    encoder.time_base, encoder.options = Fraction(1, rate), {"frame_duration": "20", "vbr": "on"}
    channels, size = 1 + (layout == "stereo"), rate // 50
    packets: list[bytes] = []
    for at in range(0, len(pcm), size):
        piece = pcm[at : at + size] + array.array("h", [0]) * (size - len(pcm[at : at + size]))
        frame = av.AudioFrame(format="s16", layout=layout, samples=size)
        frame.sample_rate, frame.pts = rate, at
        data = array.array("h", (sample for sample in piece for _ in range(channels))).tobytes()
        frame.planes[0].update(data.ljust(frame.planes[0].buffer_size, b"\0"))
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return packets + [bytes(packet) for packet in encoder.encode(None)]
