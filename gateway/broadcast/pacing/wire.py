"""The pacer's sockets: one packet to many lines, by `sendmmsg` over UDP and as whole interleaved frames over RTSP connections.

To a few it is sent by a call each: the first `sendmmsg` after a pause finds nothing of what it needs in the caches and costs 35 µs more.

What leaves by many sockets does so by one call where the kernel has io_uring (`uring`), else by one call each.

Standard library only: the pacer's process imports this.
"""

import ctypes
import errno
import os
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from functools import partial

from gateway.broadcast.pacing.core import Chorus, Listener, Packet
from gateway.broadcast.pacing.uring import Ring, Sends, address

QUEUE_BYTES = 16 * 1024
"""Messages of the daemon that wait on one line; a device that reads so little gets no more of them."""
_NOW = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
_NOT_NOW = (-errno.EAGAIN, -errno.EINTR)
_DOLLAR = 0x24
_AT_ONCE = 1_024  # UIO_MAXIOV: messages in one sendmmsg
_RTP_BYTES = 12
SHARED_FROM = 256
"""Lines to which the first packets are sent by two threads: for fewer, the second one would come too late to save anything."""
SHARED_ALWAYS_FROM = 1_500
"""Lines to which all packets are: one thread would take too long."""
APART_STEP_S = 0.000_1
"""How much later with each packet the second thread sends its half, until the first one is done by then and does that too: all begin as
nearly at once as they can, and then it costs a fifth less."""
RING_FROM = 16
"""Sockets from which one packet is sent through the ring: for fewer, a call each costs no more. And lines that share a socket for which
`sendmmsg` is better."""
VECTOR_FROM = 8
"""Lines that share a socket from which `sendmmsg` costs less than a call each."""
_STACK_BYTES = 256 * 1024
_MSGHDR = struct.Struct("@QI4xQQQQi4xI4x")  # struct mmsghdr of 64-bit Linux: msghdr, then the length that was sent

_libc = ctypes.CDLL(None, use_errno=True)
_sendmmsg = _libc.sendmmsg
_sendmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int]


class UdpLine(Listener):
    """A line over UDP. `destination` None: the socket is connected."""

    __slots__ = ("destination", "socket")

    def __init__(self, number: int, sock: socket.socket, destination: tuple[str, int] | None) -> None:
        super().__init__(number)
        self.socket = sock
        self.destination = destination


class TcpLine(Listener):
    """A line inside an RTSP connection. Whole frames and whole messages, or nothing: of a frame that was taken in part the tail is kept."""

    __slots__ = ("_send", "_tail", "_waiting", "_waiting_bytes", "channel", "socket", "torn", "unclear")

    def __init__(self, number: int, sock: socket.socket, channel: int) -> None:
        super().__init__(number)
        self.socket = sock
        self.channel = channel
        self.torn = False
        self.unclear: set[TcpLine] = set()
        """Where it enters itself whenever something that was begun waits; who flushes it takes it out again."""
        self._send = sock.send
        self._tail = b""
        self._waiting: deque[bytes] = deque()  # `QUEUE_BYTES` at the most; a message beyond that is dropped
        self._waiting_bytes = 0

    @property
    def clear(self) -> bool:
        """Whether all that was begun has been taken."""
        return not self._tail and not self._waiting

    def write(self, message: bytes) -> None:
        """Send a message between two frames; let go when too much waits."""
        if self._waiting_bytes + len(message) <= QUEUE_BYTES:
            self._waiting.append(message)
            self._waiting_bytes += len(message)
        if not self.flush():
            self.unclear.add(self)

    def send_frame(self, frame: bytes) -> bool:
        """Send one whole frame; False when it is dropped."""
        if (self._tail or self._waiting) and not self.flush():
            return False
        return self._put(frame)

    def flush(self) -> bool:
        """Send what was begun, and then what waits; whether nothing is left."""
        if self.gone:
            return False
        if self._tail:
            tail, self._tail = self._tail, b""
            if not self._put(tail) and not self.gone:
                self._tail = tail
                return False
        while self._waiting and not self._tail and self._put(self._waiting[0]):
            self._waiting_bytes -= len(self._waiting.popleft())
        return self.clear

    def _put(self, data: bytes) -> bool:
        """False when nothing of it was taken; the rest of what was taken in part becomes the tail."""
        try:
            taken = self._send(data, _NOW)
        except OSError as error:
            taken = -(error.errno or errno.EIO)
        return self.took(data, taken)

    def took(self, data: bytes | bytearray, taken: int) -> bool:
        """Note what became of `data`: bytes that were taken, or the error, negative. False when nothing was."""
        if taken < 0:
            self.gone = self.gone or taken not in _NOT_NOW
            return False
        if taken < len(data):
            self._tail = bytes(data[taken:])
            self.unclear.add(self)
        return True

    def seal(self) -> None:
        """Note whether the line is left in the midst of a frame, for good."""
        self.torn = bool(self._tail)
        self.unclear.discard(self)


class Wire:
    """Sends a chorus's packets to all of its lines; keeps for each chorus what the kernel is given."""

    def __init__(self, ring: Ring | None = None) -> None:
        """`ring`: what leaves by many sockets is sent through it."""
        self._ring = ring
        self._choirs: dict[Chorus, _Choir] = {}

    def send(self, chorus: Chorus, packet: Packet) -> Collection[Listener]:
        """`core.Send` on real sockets."""
        choir = self._choirs.get(chorus)
        if choir is None or choir.changes != chorus.changes or choir.batched != self.batched:
            choir = self.prepare(chorus)
        return choir.send(chorus.header(packet) + packet.payload)

    @property
    def batched(self) -> bool:
        """Whether what leaves by many sockets does so by one call."""
        return self._ring is not None and self._ring.sound

    def prepare(self, chorus: Chorus) -> "_Choir":
        """Lay out what the kernel is given, so that the first packet need not wait for that."""
        choir = self._choirs[chorus] = _Choir(chorus, self._ring if self.batched else None)
        return choir

    def forget(self, chorus: Chorus) -> None:
        self._choirs.pop(chorus, None)


class _Choir:
    """The lines of a chorus by their ways."""

    __slots__ = ("_parts", "batched", "changes")

    def __init__(self, chorus: Chorus, ring: Ring | None) -> None:
        self.changes = chorus.changes
        self.batched = ring is not None
        size = _RTP_BYTES + chorus.voice.shape.packet_bytes
        by_channel: dict[int, list[TcpLine]] = {}
        by_socket: dict[socket.socket, list[UdpLine]] = {}
        for line in chorus.listeners:
            if isinstance(line, TcpLine):
                by_channel.setdefault(line.channel, []).append(line)
            elif isinstance(line, UdpLine):
                by_socket.setdefault(line.socket, []).append(line)
        few = [line for lines in by_socket.values() if len(lines) < RING_FROM for line in lines]
        self._parts: list[_Letters | _Volley | _Few | _Round] = []
        if ring is not None and ring.addressed and len(few) >= RING_FROM:
            self._parts.append(_Letters(few, size, ring))
            by_socket = {sock: lines for sock, lines in by_socket.items() if len(lines) >= RING_FROM}
        begun = chorus.packets > 0
        for sock, lines in by_socket.items():
            self._parts.append(_Few(sock, lines) if len(lines) < VECTOR_FROM else _Volley(sock, lines, size, begun=begun))
        self._parts += [_Round(channel, lines, size, ring) for channel, lines in by_channel.items()]

    def send(self, packet: bytes) -> list[Listener]:
        refused: list[Listener] = []
        for part in self._parts:
            refused += part.send(packet)
        return refused


class _Round:
    """One packet to many connections, in frames of one channel."""

    def __init__(self, channel: int, lines: Sequence[TcpLine], size: int, ring: Ring | None) -> None:
        self._lines = lines
        self._head = bytes((_DOLLAR, channel)) + size.to_bytes(2)
        self._ring = ring if len(lines) >= RING_FROM else None
        if self._ring is not None:
            self._sends = Sends([line.socket.fileno() for line in lines], len(self._head) + size)
            self._numbers = {line: number for number, line in enumerate(lines)}
            self._unclear = {line for line in lines if not line.clear}
            for line in lines:
                line.unclear = self._unclear

    def send(self, packet: bytes) -> list[TcpLine]:
        """Who did not get it."""
        frame = self._head + packet
        if self._ring is None:
            return [line for line in self._lines if not line.send_frame(frame)]
        blocked = self._blocked() if self._unclear else []
        for line in blocked:
            self._sends.skip(self._numbers[line])
        self._sends.frame[:] = frame
        odd = self._ring.send(self._sends)
        for line in blocked:
            self._sends.resume(self._numbers[line])
        return blocked + [line for number, taken in odd if taken and not (line := self._lines[number]).took(frame, taken)]

    def _blocked(self) -> list[TcpLine]:
        """Those that are still in the midst of something else."""
        blocked = [line for line in tuple(self._unclear) if not line.flush()]
        self._unclear.intersection_update(blocked)
        return blocked


class _Letters:
    """One packet from many sockets, each to an address of its own."""

    def __init__(self, lines: Sequence[UdpLine], size: int, ring: Ring) -> None:
        self._lines = lines
        self._sends = Sends([line.socket.fileno() for line in lines], size, [_name(line) for line in lines])
        self._ring = ring

    def send(self, packet: bytes) -> list[UdpLine]:
        """Who did not get it."""
        self._sends.frame[:] = packet
        return [self._lines[number] for number, _ in self._ring.send(self._sends)]


class _Few:
    """One packet from one socket to a few addresses, which are numeric."""

    def __init__(self, sock: socket.socket, lines: Sequence[UdpLine]) -> None:
        self._send_to = sock.sendto
        self._send = sock.send
        self._lines = lines

    def send(self, packet: bytes) -> list[UdpLine]:
        """Who did not get it."""
        refused = []
        for line in self._lines:
            try:
                if line.destination is None:
                    self._send(packet, _NOW)
                else:
                    self._send_to(packet, _NOW, line.destination)
            except OSError:
                refused.append(line)
        return refused


class _Volley:
    """One packet to many addresses from one socket: every message of the vector points to the same buffer."""

    def __init__(self, sock: socket.socket, lines: Sequence[UdpLine], size: int, *, begun: bool) -> None:
        """`begun`: these have heard something already."""
        self._descriptor = sock.fileno()
        self._lines = lines
        self._packet = bytearray(size)
        self._names = [_name(line) for line in lines]
        self._vector = bytearray(16)
        struct.pack_into("@QQ", self._vector, 0, _pointer(self._packet), size)
        self._messages = bytearray(_MSGHDR.size * len(lines))
        for number, name in enumerate(self._names):
            where = _pointer(name) if name else 0
            _MSGHDR.pack_into(self._messages, number * _MSGHDR.size, where, len(name), _pointer(self._vector), 1, 0, 0, 0, 0)
        self._at = _pointer(self._messages)

        shared = len(lines) >= (SHARED_ALWAYS_FROM if begun else SHARED_FROM)
        self._second = _Second.whenever() if shared else None
        self._apart_s = 0.0

    def send(self, packet: bytes) -> list[UdpLine]:
        """Who did not get it: the queue is full, or there is no way to the address."""
        self._packet[:] = packet
        count = len(self._lines)
        if self._second is None:
            return self._send(0, count)
        begun = time.monotonic()
        self._second.begin(partial(self._send, count // 2, count), begun + self._apart_s)
        refused = self._send(0, count // 2)
        took = time.monotonic() - begun
        refused += self._second.result()
        if count < SHARED_ALWAYS_FROM:
            self._apart_s += APART_STEP_S
            if self._apart_s > took:
                self._second = None
        return refused

    def _send(self, done: int, count: int) -> list[UdpLine]:
        """To those from `done` to `count`."""
        refused = []
        while done < count:
            sent = _sendmmsg(self._descriptor, self._at + done * _MSGHDR.size, min(_AT_ONCE, count - done), _NOW)
            if sent <= 0:
                refused.append(self._lines[done])
                sent = 1
            done += sent
        return refused


class _Second:
    """A second thread that sends meanwhile, as high among the processes as the first.

    `sendmmsg` is called without the interpreter's lock, so that both send at the same time.
    """

    _only: "_Second | None" = None

    def __init__(self) -> None:
        self._job: Callable[[], list[UdpLine]] = list
        self._at = 0.0
        self._refused: list[UdpLine] = []
        self._asked, self._done = threading.Semaphore(0), threading.Semaphore(0)
        place = os.sched_getscheduler(0), os.sched_getparam(0)
        before = threading.stack_size(_STACK_BYTES)  # all of it is locked in memory
        threading.Thread(target=self._run, args=place, daemon=True, name="second sender").start()
        threading.stack_size(before)

    @classmethod
    def whenever(cls) -> "_Second | None":
        """The one of this process; None where there is no core for it."""
        if cls._only is None and len(os.sched_getaffinity(0)) > 1:
            cls._only = cls()
        return cls._only

    def begin(self, job: Callable[[], list[UdpLine]], at: float) -> None:
        """Do `job` at that time."""
        self._job, self._at = job, at
        self._asked.release()

    def result(self) -> list[UdpLine]:
        """Of the job, once it is done."""
        self._done.acquire()
        return self._refused

    def _run(self, policy: int, parameter: os.sched_param) -> None:
        try:
            os.sched_setscheduler(0, policy, parameter)
        except OSError:
            pass  # sends as it may
        while True:
            self._asked.acquire()
            if (early := self._at - time.monotonic()) > 0:
                time.sleep(early)
            self._refused = self._job()
            self._done.release()


def _name(line: UdpLine) -> bytearray:
    return bytearray() if line.destination is None else address(line.socket.family, line.destination)


def _pointer(buffer: bytearray) -> int:
    return ctypes.addressof((ctypes.c_char * len(buffer)).from_buffer(buffer))
