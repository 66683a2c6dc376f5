"""A recorder's tape for `bench.export`: H.264 as a replay sends it, made once, then only handed to the kernel."""

import base64
import random
import socket
import struct
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av

BEGIN = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
FPS, WIDTH, HEIGHT, BITRATE = 25, 1920, 1080, 4_000_000
SSRC, PAYLOAD_TYPE, MTU = 0x0C17, 96, 1_400
_NTP_OFFSET_S = 2_208_988_800
_PLAIN = struct.Struct(">BBHBBHII")
_EXTENDED = struct.Struct(">BBHBBHIIHHIIBBH")
_FAREWELL = struct.pack(">BBHBBHIBBHI", 0x24, 1, 16, 0x80, 201, 1, SSRC, 0x81, 203, 1, SSRC)
"""A receiver report before the BYE: ffmpeg does not look at an RTCP packet of less than 12 bytes."""
_LOOP = 100
"""Distinct pictures; two groups, so that neighbouring key pictures differ in idr_pic_id."""

Nals = tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Tape:
    """`wire`: the file with every interleaved frame, RTCP BYE the last. `pictures` follow each other in a loop, `count` of them in all."""

    wire: Path
    sdp: Path
    pictures: Sequence[Nals]
    count: int

    @property
    def span(self) -> timedelta:
        return timedelta(seconds=self.count / FPS)

    @property
    def media_bytes(self) -> int:
        """Of NAL units, without any framing."""
        loops, rest = divmod(self.count, len(self.pictures))
        sizes = [sum(map(len, nals)) for nals in self.pictures]
        return loops * sum(sizes) + sum(sizes[:rest])


def record(folder: Path, seconds: int) -> Tape:
    """Make a tape of so many seconds in `folder`."""
    pictures, count = _pictures(), seconds * FPS
    wire, sdp = folder / "wire.bin", folder / "session.sdp"
    sequence = 0
    with wire.open("wb") as out:
        for index in range(count):
            framed, sequence = _framed(pictures[index % len(pictures)], index, sequence, last=index == count - 1)
            out.write(framed)
        out.write(_FAREWELL)
    sets = [nal for nal in pictures[0] if nal[0] & 0x1F in (7, 8)]
    sprop = ",".join(base64.b64encode(nal).decode() for nal in sets)
    sdp.write_text(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=tape\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\n"
        f"a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1;sprop-parameter-sets={sprop}\r\na=control:track\r\n"
    )
    return Tape(wire, sdp, pictures, count)


def _pictures() -> list[Nals]:
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    context.time_base, context.framerate, context.bit_rate = Fraction(1, FPS), Fraction(FPS, 1), BITRATE
    context.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "g": "50",
        "x264-params": "aud=1:vbv-maxrate=4000:vbv-bufsize=4000:slices=1:sliced-threads=0",
    }
    noise, found = random.Random(7), []
    frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
    for index in range(_LOOP):
        for plane in frame.planes:
            plane.update(noise.randbytes(plane.buffer_size // 8) * 8)
        frame.pts = index
        found += [_split(bytes(packet)) for packet in context.encode(frame)]
    found += [_split(bytes(packet)) for packet in context.encode(None)]
    return found


def _split(annex_b: bytes) -> Nals:
    return tuple(part.rstrip(b"\0") for part in annex_b.split(b"\0\0\1") if part.rstrip(b"\0"))


def _framed(nals: Nals, index: int, sequence: int, *, last: bool) -> tuple[bytes, int]:
    """The interleaved frames of one picture, the time in an extension of the first, and the sequence number that follows."""
    payloads = [payload for nal in nals for payload in _payloads(nal)]
    made = []
    for place, payload in enumerate(payloads):
        second = PAYLOAD_TYPE | (0x80 if place == len(payloads) - 1 else 0)
        numbers = (sequence, index * 90_000 // FPS & 0xFFFFFFFF, SSRC)
        if place == 0:
            seconds, part = divmod(index, FPS)
            ntp = int(BEGIN.timestamp()) + _NTP_OFFSET_S + seconds
            flags = (0x80 if nals[0] and any(nal[0] & 0x1F == 5 for nal in nals) else 0) | (0x50 if last else 0)
            head = _EXTENDED.pack(0x24, 0, 28 + len(payload), 0x90, second, *numbers, 0xABAC, 3, ntp, (part << 32) // FPS, flags, 1, 0)
        else:
            head = _PLAIN.pack(0x24, 0, 12 + len(payload), 0x80, second, *numbers)
        made += [head, payload]
        sequence = sequence + 1 & 0xFFFF
    return b"".join(made), sequence


def _payloads(nal: bytes) -> list[bytes]:
    if len(nal) <= MTU:
        return [nal]
    step, indicator = MTU - 2, nal[0] & 0xE0 | 28
    starts = range(1, len(nal), step)
    edges = [(0x80 if at == 1 else 0) | (0x40 if at + step >= len(nal) else 0) for at in starts]
    return [bytes((indicator, edge | nal[0] & 0x1F)) + nal[at : at + step] for at, edge in zip(starts, edges, strict=True)]


# -- playing it back ---------------------------------------------------------------------------------------------------


def _serve(wire: Path, sdp: str) -> None:
    """Print the port, then answer whoever comes until our input closes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        threading.Thread(target=_accept, args=(server, wire, sdp), daemon=True).start()
        sys.stdin.read()


def _accept(server: socket.socket, wire: Path, sdp: str) -> None:
    while True:
        client, _ = server.accept()
        threading.Thread(target=_play, args=(client, wire, sdp), daemon=True).start()


def _play(client: socket.socket, wire: Path, sdp: str) -> None:
    with client, client.makefile("rb") as lines:
        try:
            while (first := lines.readline()) and _answer(client, lines, first, wire, sdp):
                pass
        except OSError:
            pass  # the client has had enough


def _answer(client: socket.socket, lines: BinaryIO, first: bytes, wire: Path, sdp: str) -> bool:
    method = first.split(b" ")[0].decode()
    number = "0"
    while line := lines.readline().strip():
        if line.lower().startswith(b"cseq:"):
            number = line.partition(b":")[2].strip().decode()
    more = {
        "OPTIONS": "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER\r\n",
        "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Length: {len(sdp)}\r\n",
        "SETUP": "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n",
    }.get(method, "")
    body = sdp if method == "DESCRIBE" else ""
    client.sendall(f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\nSession: 1;timeout=600\r\n{more}\r\n{body}".encode())
    if method == "PLAY":
        with wire.open("rb") as tape:
            client.sendfile(tape)
    return method != "TEARDOWN"


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), Path(sys.argv[2]).read_bytes().decode())
