"""A program of its own that decodes the Opus packets of one talk: nothing else touches them, and it can harm no other talk.

On the SEQPACKET socket with the descriptor `argv[1]` comes one packet a message, answered by one message: 1 and PCM (8 kHz, mono, signed
16 bit, little endian), or 0 for a packet that cannot be decoded. It ends with the other side. It imports nothing of the gateway.
"""

import resource
import socket
import sys
from collections.abc import Iterator
from typing import Any

MEMORY_BYTES = 512 << 20
CPU_S = 60
PACKET_BYTES = 4_096
_SPOKEN_RATE = 8_000


def main(descriptor: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    decoder = Decoder()
    with socket.socket(fileno=descriptor) as control:
        while packet := control.recv(PACKET_BYTES):
            pcm = decoder.pcm(packet)
            control.send(b"\0" if pcm is None else b"\1" + pcm)


class Decoder:
    """Opus to telephone sound, one packet after the other; libopus makes one channel of two, and fills in what a packet leaves out."""

    def __init__(self) -> None:
        import av  # loaded after the limits are set

        self._av: Any = av
        self._decoder: Any = av.CodecContext.create("libopus", "r")
        self._decoder.sample_rate, self._decoder.layout = 48_000, "mono"
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=_SPOKEN_RATE)

    def pcm(self, packet: bytes) -> bytes | None:
        """None for what is no packet."""
        try:
            return b"".join(self._samples(packet))
        except (self._av.error.FFmpegError, ValueError, EOFError):
            return None

    def _samples(self, packet: bytes) -> Iterator[bytes]:
        for frame in self._decoder.decode(self._av.Packet(packet)):
            frame.pts = None
            for spoken in self._resampler.resample(frame):
                yield bytes(spoken.planes[0])[: spoken.samples * 2]


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]))
    except ConnectionError:
        pass  # nobody wants to hear it any more
