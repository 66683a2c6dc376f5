"""The process that receives traps: off the socket into a bounded ring at once, opened behind it, handed to the daemon as it takes them.

Run by the daemon as `python -m gateway.traps.receiving FD`. Standard input brings lines of JSON: who may tell us something, and what the
daemon has taken; standard output carries lines of JSON: what was told, and counts. The end of standard input ends it, so it does not
outlive the daemon. Up to the ring there is nothing but the standard library: no decoding, no log, no allocation that grows.

What is full lets the newest go and counts it: the first of a storm name its cause.
"""

import contextlib
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.drivers.snmp.usm_receiving import Ourselves, UsmReceiver
from gateway.traps.opening import Datagram, Opened, Opener

RING: Final = 8_192
RING_BYTES: Final = 8 << 20
LARGEST: Final = 8_192
"""Octets of a datagram; no trap that anybody sends is longer."""
WAITING: Final = 4_096
"""Informs that the daemon has not taken yet; the oldest goes unanswered when there are more, and its sender repeats it."""
DRAIN: Final = 256
OPEN: Final = 32
"""Datagrams read, and opened, at a turn: at 0.1 ms each the socket is never left alone for longer than 3 ms."""
OUT_BYTES: Final = 256 << 10
"""Octets for the daemon beyond which nothing is opened until it has read some."""
TELL_S: Final = 1.0
STRANGERS: Final = 16
MEMORY: Final = 512 << 20
"""Address space; 28 MiB of it are used with v3 in a whole city."""
NICE: Final = 5
"""The daemon's checks go before our opening; what comes meanwhile waits in the kernel."""
_OCTETS: Final = 256
_IP_PKTINFO, _SO_RXQ_OVFL = 8, 40  # Linux
_ANCILLARY: Final = 128


class Intake:
    """The socket and the ring behind it. A source that tells more than `rate` a second, beyond `burst`, is let go before it costs."""

    def __init__(
        self,
        sock: socket.socket,
        counts: Counter[str],
        knows: Callable[[str], bool],
        *,
        rate: float,
        burst: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._socket = sock
        self._counts = counts
        self._knows = knows
        self._rate, self._burst = rate, burst
        self._monotonic = monotonic
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._bytes = 0
        self.ring: deque[Datagram] = deque()  # `RING` of them and `RING_BYTES` at the most; what comes beyond is counted and dropped
        self.strangers: deque[str] = deque(maxlen=STRANGERS)

    def drain(self) -> None:
        """Take what has come, a bounded number of datagrams at a time."""
        for _ in range(DRAIN):
            try:
                data, ancillary, flags, sender = self._socket.recvmsg(LARGEST, _ANCILLARY)
            except BlockingIOError:
                return
            except OSError:  # an ICMP error of something that we sent
                continue
            local = self._read_ancillary(ancillary)
            self._counts["received"] += 1
            if flags & socket.MSG_TRUNC:
                self._counts["too_large"] += 1
            else:
                self._take(Datagram(sender[0].removeprefix("::ffff:"), sender[1], local, data))

    def pop(self) -> Datagram:
        datagram = self.ring.popleft()
        self._bytes -= len(datagram.data)
        return datagram

    def _take(self, datagram: Datagram) -> None:
        if not self._knows(datagram.address):
            self._counts["unknown_source"] += 1
            if datagram.address not in self.strangers:
                self.strangers.append(datagram.address)
        elif not self._may(datagram.address):
            self._counts["limited"] += 1
        elif len(self.ring) >= RING or self._bytes + len(datagram.data) > RING_BYTES:
            self._counts["ring_full"] += 1
        else:
            self._bytes += len(datagram.data)
            self.ring.append(datagram)

    def _may(self, address: str) -> bool:
        """A token bucket a source; sources are those of the inventory, and so bounded."""
        now = self._monotonic()
        tokens, at = self._buckets.get(address, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at) * self._rate)
        self._buckets[address] = (max(0.0, tokens - 1), now)
        self._buckets.move_to_end(address)
        if len(self._buckets) > 2 * RING:
            self._buckets.popitem(last=False)
        return tokens >= 1

    def _read_ancillary(self, ancillary: list[tuple[int, int, bytes]]) -> bytes:
        """To which of our addresses it was sent; and how many the kernel has dropped."""
        local = b""
        for level, kind, content in ancillary:
            if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
                local = content[4:8]
            elif level == socket.SOL_SOCKET and kind == _SO_RXQ_OVFL:
                self._counts["kernel_dropped"] = struct.unpack("=I", content[:4])[0]
        return local


class Receiving:
    """The loop of the process. Ends when `orders` (the daemon's end) does."""

    def __init__(self, sock: socket.socket, orders: int, reports: int, hello: Mapping[str, Any]) -> None:
        self.counts: Counter[str] = Counter()
        self._socket, self._orders, self._reports = sock, orders, reports
        self._hearing, self._telling = select.poll(), select.poll()  # select() takes no descriptor from 1,024 on
        for poll in (self._hearing, self._telling):
            poll.register(sock.fileno(), select.POLLIN)
            poll.register(orders, select.POLLIN)
        self._telling.register(reports, select.POLLOUT)
        engine, started = hello["engine"], time.monotonic()
        ourselves = Ourselves(bytes.fromhex(engine["id"]), engine["boots"], lambda: int(time.monotonic() - started))
        self._opener = Opener(UsmReceiver(ourselves, time.monotonic), self.counts, self._reply)
        self._intake = Intake(sock, self.counts, self._opener.knows, rate=hello["rate"], burst=hello["burst"])
        self._in = b""
        self._out = bytearray()
        self._number = 0
        self._waiting: OrderedDict[int, tuple[Datagram, bytes]] = OrderedDict()
        self._told: Counter[str] = Counter()
        self._tell_at = 0.0

    def run(self) -> None:
        while True:
            waiting, pause = bool(self._out), self._pause()
            poll = self._telling if waiting else self._hearing
            ready = {descriptor for descriptor, _ in poll.poll(None if pause is None else pause * 1_000)}
            if self._socket.fileno() in ready:
                self._intake.drain()
            if self._orders in ready and not self._hear():
                return
            for _ in range(min(OPEN, len(self._intake.ring))):
                if len(self._out) >= OUT_BYTES:
                    break
                self._open(self._intake.pop())
            self._tell_counts()
            if (self._reports in ready or not waiting) and self._out and not self._write():
                return

    def _pause(self) -> float | None:
        """How long there is nothing to do but wait for somebody."""
        if self._intake.ring and len(self._out) < OUT_BYTES:
            return 0.0
        return max(0.0, self._tell_at - time.monotonic()) if self.counts != self._told else None

    # -- the daemon

    def _hear(self) -> bool:
        """Take the daemon's orders; False when there will be no more."""
        chunk = os.read(self._orders, 1 << 16)
        if not chunk:
            return False
        *lines, self._in = (self._in + chunk).split(b"\n") if b"\n" in chunk else (self._in + chunk,)
        for line in lines:
            order = json.loads(line)
            if "sources" in order:
                self._opener.introduce(order["sources"])
            for number in order.get("taken", ()):
                datagram, answer = self._waiting.pop(number, (None, b""))
                if datagram is not None:
                    self._reply(datagram, answer)
                    self.counts["acknowledged"] += 1
        return True

    def _open(self, datagram: Datagram) -> None:
        opened = self._opener.open(datagram)
        if opened is None:
            return
        self.counts["opened"] += 1
        self._number += 1
        if opened.answer:
            self._waiting[self._number] = (datagram, opened.answer)
            if len(self._waiting) > WAITING:
                self._waiting.popitem(last=False)
                self.counts["unanswered"] += 1
        self._out += json.dumps({"told": _plain(self._number, opened)}, separators=(",", ":")).encode() + b"\n"

    def _tell_counts(self) -> None:
        if self.counts == self._told or time.monotonic() < self._tell_at or len(self._out) >= OUT_BYTES:
            return
        self._told, self._tell_at = self.counts.copy(), time.monotonic() + TELL_S
        self._out += json.dumps({"counts": self._told, "strangers": list(self._intake.strangers)}).encode() + b"\n"

    def _write(self) -> bool:
        try:
            del self._out[: os.write(self._reports, self._out[: 1 << 16])]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            return False
        return True

    # -- the wire

    def _reply(self, datagram: Datagram, answer: bytes) -> None:
        """From the address that was written to: a device takes no answer from another."""
        ancillary = [(socket.IPPROTO_IP, _IP_PKTINFO, bytes(4) + datagram.local + bytes(4))] if datagram.local else []
        mapped = self._socket.family == socket.AF_INET6 and ":" not in datagram.address
        with contextlib.suppress(OSError):
            self._socket.sendmsg([answer], ancillary, 0, ("::ffff:" * mapped + datagram.address, datagram.port))


def _plain(number: int, opened: Opened) -> list[Any]:
    """What was told, as JSON: octets as {"x": hexadecimal}, cut."""
    told = opened.notification
    rows = [[oid, {"x": value[:_OCTETS].hex()} if isinstance(value, bytes) else value] for oid, value in told.bindings]
    return [number if opened.answer else 0, opened.device, opened.version, told.trap, told.uptime, told.inform, rows]


def listen(host: str, port: int, *, buffer_bytes: int) -> tuple[socket.socket, int]:
    """The socket, and how large its buffer really is. Raises OSError.

    The kernel grants `net.core.rmem_max` at most, and all of it where we may overrule that (CAP_NET_ADMIN).
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        try:
            sock.setsockopt(socket.SOL_SOCKET, 33, buffer_bytes)  # SO_RCVBUFFORCE
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        sock.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
        if family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock, sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2  # the kernel doubles what it is asked for (socket(7))


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the daemon's, whose end is ours
    os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # devices' keys are in here
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as orders:
        hello = json.loads(orders.readline())  # unbuffered: the rest is read as it comes
    sock = socket.socket(fileno=int(sys.argv[1]))
    os.set_blocking(sys.stdout.fileno(), False)
    Receiving(sock, sys.stdin.fileno(), sys.stdout.fileno(), hello).run()


if __name__ == "__main__":
    main()
