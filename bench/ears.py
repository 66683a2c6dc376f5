"""Loudspeakers that note, by the kernel's own clock, when each packet arrived; for `bench.broadcast`.

Run as `python -m bench.ears udp | tcp | rtsp`. Says where it listens, on all addresses of 127/8: who a packet was for is told by the
address that it came to. Each line of standard input is answered with what has been heard since the last one. `rtsp` is `udp` with a server
beside it that takes every backchannel. It goes before ordinary processes where it may, so that what it reads late is little.
"""

import contextlib
import itertools
import json
import os
import select
import socket
import struct
import sys
import threading
import time
from array import array
from typing import Any

FRAME = 4 + 12 + 160
_PRIORITY = 5
_LOOK_EVERY_S = 0.004
"""Nobody waits for a packet: to wake a reader at each would cost the sender, and loudspeakers stand elsewhere."""
_BUFFER = 512 << 20
_SAMPLE = 8
_EMPTY_EVERY_S = 0.1
_STAMP, _INFO, _FORCE = socket.SO_TIMESTAMPNS if hasattr(socket, "SO_TIMESTAMPNS") else 35, 8, 33  # Linux
_SPACE = 128
_TIME = struct.Struct("@qq")
_SDP = """v=0
o=- 1 1 IN IP4 127.0.0.1
s=horn
t=0 0
a=control:*
m=audio 0 RTP/AVP 8
a=rtpmap:8 PCMA/8000
a=sendonly
a=control:back
"""

Heard = dict[str, tuple["array[float]", bytearray]]
"""By address: when packets arrived, in seconds since 1970, and the first byte of what each said."""


class Udp:
    """One socket for all."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("0.0.0.0", 0))
        _enlarge(self.socket)
        self.socket.setsockopt(socket.SOL_SOCKET, _STAMP, 1)
        self.socket.setsockopt(socket.IPPROTO_IP, _INFO, 1)
        self.socket.setblocking(False)
        self.port: int = self.socket.getsockname()[1]
        self._heard: list[tuple[bytes, bytes, int]] = []
        self.late: int = 0
        self.counted: float = 0

    def read(self) -> None:
        keep = self._heard.append
        with contextlib.suppress(BlockingIOError):
            for _ in range(4_096):
                data, ancillary, _, _ = self.socket.recvmsg(16, _SPACE)
                if len(ancillary) == 2:
                    keep((ancillary[1][2][8:12], ancillary[0][2], data[12]))

    def take(self) -> Heard:
        heard: Heard = {}
        for address, stamp, said in self._heard:
            times, bytes_ = heard.setdefault(socket.inet_ntoa(address), (array("d"), bytearray()))
            seconds, nanos = _TIME.unpack(stamp)
            times.append(seconds + nanos / 1e9)
            bytes_.append(said)
        self.counted += len(self._heard)
        self._heard.clear()
        return heard


class Tcp:
    """One connection each, on which nothing comes but frames of one size.

    The kernel tells the time of what was read last alone, so that each frame must be read before the next comes: that is done for one
    connection in `_SAMPLE`, for the first ones and for the last one; the others are only counted. `late`: frames that were read together
    with the next in spite of that, and are left out.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("0.0.0.0", 0), backlog=2048)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._lines: list[tuple[socket.socket, str, list[tuple[bytes, int]]]] = []
        self._emptied = 0.0
        self.late: int = 0
        self.counted: float = 0

    def read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                made, _ = self._listener.accept()
                made.setblocking(False)
                made.setsockopt(socket.SOL_SOCKET, _STAMP, 1)
                self._lines.append((made, made.getsockname()[0], []))
        if self._lines:
            for number in {*range(0, len(self._lines), _SAMPLE), len(self._lines) - 1}:
                self._stamp(number)
        if time.monotonic() - self._emptied > _EMPTY_EVERY_S:
            self._emptied = time.monotonic()
            self._empty()

    def _stamp(self, number: int) -> None:
        sock, _, kept = self._lines[number]
        with contextlib.suppress(BlockingIOError):
            while True:
                data, ancillary, _, _ = sock.recvmsg(FRAME, _SPACE)
                if len(data) != FRAME or not ancillary:
                    return
                self.counted += 1
                kept.append((ancillary[0][2], data[16]))

    def _empty(self) -> None:
        for number, (sock, _, _) in enumerate(self._lines):
            if number % _SAMPLE and number != len(self._lines) - 1:
                with contextlib.suppress(BlockingIOError):
                    self.counted += len(sock.recv(1 << 16)) / FRAME

    def take(self) -> Heard:
        self._empty()
        heard: Heard = {}
        for _, address, kept in self._lines:
            if not kept:
                continue
            alone = [one for one, after in itertools.pairwise([*kept, (b"", 0)]) if one[0] != after[0]]
            self.late += len(kept) - len(alone)
            stamps = [_TIME.unpack(stamp) for stamp, _ in alone]
            heard[address] = (array("d", [seconds + nanos / 1e9 for seconds, nanos in stamps]), bytearray(said for _, said in alone))
            kept.clear()
        return heard


def _enlarge(sock: socket.socket) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, _FORCE, _BUFFER)
    except OSError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)


def evenness(heard: Heard, *, packet_s: float = 0.02) -> dict[str, Any]:
    """How even it was: how far the time between two packets was from a packet's; from the first to the last of the first packets; and how
    much longer the whole took than it should, in µs a second."""
    off = sorted(abs(after - before - packet_s) for times, _ in heard.values() for before, after in itertools.pairwise(times))
    firsts = [times[0] for times, _ in heard.values()]
    spans = [(times[-1] - times[0], len(times) - 1) for times, _ in heard.values() if len(times) > 1]
    drift = [1e6 * (span / (count * packet_s) - 1) for span, count in spans]
    return {
        "timed": len(heard),
        "deviation_p50_ms": round(1000 * off[len(off) // 2], 4),
        "deviation_p99_ms": round(1000 * off[len(off) * 99 // 100], 4),
        "deviation_max_ms": round(1000 * off[-1], 4),
        "start_skew_ms": round(1000 * (max(firsts) - min(firsts)), 4),
        "drift_us_per_s": round(sorted(drift)[len(drift) // 2], 1),
    }


def answer(word: str, heard: Heard, late: int, counted: int) -> dict[str, Any]:
    if not heard:
        return {"speakers": 0}
    if word == "evenness":
        return evenness(heard) | {"late": late, "packets": counted}
    if word == "all":
        return {address: [list(times), list(said)] for address, (times, said) in heard.items()}
    return {address: [times[0], times[-1], len(times)] for address, (times, _) in heard.items()}


def main(kind: str) -> None:
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_PRIORITY))
    ear: Udp | Tcp = Tcp() if kind == "tcp" else Udp()
    told = {"port": ear.port, "rtsp": _serve_rtsp(ear.port) if kind == "rtsp" else 0}
    print(json.dumps(told), flush=True)
    while True:
        time.sleep(_LOOK_EVERY_S)
        ear.read()
        if not select.select([0], [], [], 0)[0]:
            continue
        word = sys.stdin.readline()
        if not word:
            return
        heard = ear.take()
        print(json.dumps(answer(word.strip(), heard, ear.late, round(ear.counted))), flush=True)
        ear.late = ear.counted = 0


# -- a server that takes every backchannel ----------------------------------------------------------------------------


def _serve_rtsp(port: int) -> int:
    listener = socket.create_server(("0.0.0.0", 0), backlog=2048)
    threading.Thread(target=_accept, args=(listener, port), daemon=True).start()
    own: int = listener.getsockname()[1]
    return own


def _accept(listener: socket.socket, port: int) -> None:
    poll, lines = select.epoll(), dict[int, tuple[socket.socket, bytearray]]()
    poll.register(listener.fileno(), select.EPOLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == listener.fileno():
                made, _ = listener.accept()
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                lines[made.fileno()] = (made, bytearray())
                poll.register(made.fileno(), select.EPOLLIN)
                continue
            sock, rest = lines[descriptor]
            data = b""
            with contextlib.suppress(OSError):
                data = sock.recv(4096)
            if not data:
                poll.unregister(descriptor)
                lines.pop(descriptor)[0].close()
                continue
            rest += data
            while b"\r\n\r\n" in rest:
                head, _, after = bytes(rest).partition(b"\r\n\r\n")
                rest[:] = after
                with contextlib.suppress(OSError):
                    sock.sendall(_reply(head.decode(), port))


def _reply(head: str, port: int) -> bytes:
    method = head.partition(" ")[0]
    asked = dict(line.partition(": ")[::2] for line in head.split("\r\n")[1:])
    lines = ["RTSP/1.0 200 OK", f"CSeq: {asked.get('CSeq', '0')}"]
    body = ""
    if method == "DESCRIBE":
        body = _SDP
        lines += ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]
    elif "Transport" in asked:
        if "TCP" in asked["Transport"]:
            lines[0] = "RTSP/1.0 461 Unsupported Transport"
        else:
            lines += ["Session: 1", f"Transport: {asked['Transport']};server_port={port}-{port + 1}"]
    else:
        lines += ["Session: 1"]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


if __name__ == "__main__":
    main(sys.argv[1])
