"""One frame from each of many sockets by one system call: io_uring(7) of Linux, used without ever waiting.

Every request is a `send` with MSG_DONTWAIT: the kernel carries it out within `io_uring_enter(2)`, on the thread that calls it, and never
puts it off. When the call returns, each request has its completion, and nothing of ours is in use any more: who takes nothing keeps nobody
waiting, completions always have room, and, since neither another thread nor one of the kernel's touches the queues, the program's own order
is all that memory needs, on x86-64 as on aarch64. That the kernel at hand keeps to this is tried when the ring is made, and watched.

Standard library only: the pacer's process imports this.
"""

import ctypes
import errno
import mmap
import os
import socket
import struct
from collections.abc import Sequence

ENTRIES = 4_096
"""Requests in the ring: as many as the pacer has lines. 0.4 MiB."""
_SETUP, _ENTER = 425, 426  # the same on every machine of `_MACHINES`
_MACHINES = ("x86_64", "aarch64")
_NOP, _SEND = 0, 26
_NOW = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
_QUEUES, _REQUESTS = 0, 0x1000_0000  # from where in the descriptor they are mapped
_ONE_MAP = 1  # both queues in one piece: Linux 5.4; to send came with 5.6
_PARAMS = struct.Struct("=30I")  # struct io_uring_params
_REQUEST = struct.Struct("=BBHiQQIIQ4xH18x")
"""struct io_uring_sqe: opcode, flags, ioprio, fd, addr2, addr, len, msg_flags, user_data, addr_len."""
_ANSWER = struct.Struct("=QiI")  # struct io_uring_cqe: user_data, res, flags

_syscall = ctypes.CDLL(None, use_errno=True).syscall
_syscall.argtypes = [ctypes.c_long] * 7
_syscall.restype = ctypes.c_long


class Sends:
    """A frame from each of several sockets, laid out as the kernel takes it. `frame` is what is sent next."""

    __slots__ = ("_each", "_names", "answers", "count", "frame", "requests")

    def __init__(self, descriptors: Sequence[int], size: int, names: Sequence[bytearray] = ()) -> None:
        """`size`: of a frame, in bytes; `names`: where to, each a `struct sockaddr`, empty for a connected socket; none when all are."""
        self.count = len(descriptors)
        self.frame = memoryview(bytearray(size))  # which cannot move
        self._names = names or [bytearray()] * self.count
        at = _pointer(self.frame)
        self._each = [
            _REQUEST.pack(_SEND, 0, 0, descriptor, _pointer(name), at, size, _NOW, number, len(name))
            for number, (descriptor, name) in enumerate(zip(descriptors, self._names, strict=True))
        ]
        self.requests = bytearray(b"".join(self._each))
        self.answers = b"".join(_ANSWER.pack(number, size, 0) for number in range(self.count))
        """What comes back when everybody takes all."""

    def skip(self, number: int) -> None:
        """Send nothing from this one until it is resumed."""
        self._put(number, _REQUEST.pack(_NOP, 0, 0, -1, 0, 0, 0, 0, number, 0))

    def resume(self, number: int) -> None:
        self._put(number, self._each[number])

    def _put(self, number: int, request: bytes) -> None:
        self.requests[number * _REQUEST.size : (number + 1) * _REQUEST.size] = request


class Ring:
    """The two queues. Belongs to the thread that made it. `addressed`: sends may name where to (newer kernels of the 6 series)."""

    def __init__(self, entries: int = ENTRIES) -> None:
        """OSError where the kernel has no such thing, forbids it, or does otherwise than we need."""
        self._descriptor, told = _set_up(entries)
        self._entries, self._room = told[0], told[1]
        submissions, completions = told[10:20], told[20:30]  # where things are: head, tail, mask, size, …, and the entries at 6 and at 5
        try:
            size = max(submissions[6] + 4 * self._entries, completions[5] + _ANSWER.size * self._room)
            self._queues = self._map(size, _QUEUES)
            self._requests = memoryview(self._map(_REQUEST.size * self._entries, _REQUESTS))
            self._words = memoryview(self._queues).cast("I")
            self._taken, self._asked = submissions[0] // 4, submissions[1] // 4
            self._read, self._answered = completions[0] // 4, completions[1] // 4
            self._answers = completions[5]
            for number in range(self._entries):  # each place of the queue stands for the request at the same place, for good
                self._words[submissions[6] // 4 + number] = number
            self._lost: list[Sends] = []
            self._try()
            self.addressed = self._try_addressed()
        except OSError:
            os.close(self._descriptor)
            raise

    def _map(self, size: int, offset: int) -> mmap.mmap:
        return mmap.mmap(self._descriptor, size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE, offset=offset)

    def close(self) -> None:
        os.close(self._descriptor)

    @property
    def sound(self) -> bool:
        """False once the kernel broke its word: then it must not be asked again."""
        return not self._lost

    def send(self, sends: Sends) -> list[tuple[int, int]]:
        """Send the frame from each. By number, who did not take all of it: how many bytes (0: it was skipped), or the error, negative.

        -EAGAIN: nothing was taken, for want of room or of the kernel's memory. -ECANCELED: what became of it is not known.
        """
        odd: list[tuple[int, int]] = []
        begin = 0
        while begin < sends.count:
            end = min(sends.count, begin + self._entries - self._words[self._asked] % self._entries)
            taken, answers = self._submit(memoryview(sends.requests)[begin * _REQUEST.size : end * _REQUEST.size])
            if answers != sends.answers[begin * _ANSWER.size : end * _ANSWER.size]:
                odd += self._compare(sends, begin, end, begin + taken, answers)
            begin = end
        return odd

    def _submit(self, requests: memoryview) -> tuple[int, bytes]:
        """Have these carried out, none of which may stand behind the queue's end: how many were taken up, and the answers.

        As many were answered as were ever taken up, and there is room for twice as many: answers do not go beyond their end either.
        """
        words, before = self._words, self._words[self._asked]
        place = before % self._entries * _REQUEST.size
        self._requests[place : place + len(requests)] = requests
        count = len(requests) // _REQUEST.size
        words[self._asked] = (before + count) & 0xFFFF_FFFF
        _syscall(_ENTER, self._descriptor, count, 0, 0, 0, 0)
        words[self._asked] = words[self._taken]  # what was not taken up, for want of memory, never will be
        read, answered = words[self._read], words[self._answered]
        at = self._answers + read % self._room * _ANSWER.size
        answers = self._queues[at : at + ((answered - read) & 0xFFFF_FFFF) * _ANSWER.size]
        words[self._read] = answered
        return (words[self._taken] - before) & 0xFFFF_FFFF, answers

    def _compare(self, sends: Sends, begin: int, end: int, taken: int, answers: bytes) -> list[tuple[int, int]]:
        """`taken`: which was the first one that was not taken up."""
        told = {number: done for number, done, _ in _ANSWER.iter_unpack(answers)}
        if len(told) != taken - begin:
            self._lost.append(sends)  # kept: the kernel may still read it
        unknown = {number: -errno.ECANCELED if number < taken else -errno.EAGAIN for number in range(begin, end)}
        return [(number, done) for number, done in (unknown | told).items() if done != len(sends.frame)]

    def _try(self) -> None:
        """Send to one who takes it, to one who has no room though it may wait, and to one who is gone."""
        pairs = [socket.socketpair() for _ in range(3)]
        try:
            _fill(pairs[1][0])
            pairs[2][1].close()
            sends = Sends([ours.fileno() for ours, _ in pairs], 4)
            if self.send(sends) != [(1, -errno.EAGAIN), (2, -errno.EPIPE)] or not self.sound:
                raise OSError(errno.ENOTSUP, "it does not send at once")
        finally:
            for sock in (sock for pair in pairs for sock in pair):
                sock.close()

    def _try_addressed(self) -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            sends = Sends([sock.fileno()], 4, [address(sock.family, sock.getsockname())])
            return not self.send(sends)


def address(family: int, destination: tuple[str, int]) -> bytearray:
    """A `struct sockaddr`."""
    host, port = destination
    packed = socket.inet_pton(family, host)
    if family == socket.AF_INET6:
        return bytearray(struct.pack("=H", family) + struct.pack("!HI16sI", port, 0, packed, 0))
    return bytearray(struct.pack("=H", family) + struct.pack("!H4s8x", port, packed))


def _pointer(buffer: bytearray | memoryview) -> int:
    """Where it is; 0 for an empty one."""
    return ctypes.addressof((ctypes.c_char * len(buffer)).from_buffer(buffer)) if buffer else 0


def _set_up(entries: int) -> tuple[int, tuple[int, ...]]:
    """Its descriptor, and the words of `struct io_uring_params`."""
    if os.uname().machine not in _MACHINES:
        raise OSError(errno.ENOSYS, "not known on this machine")
    told = bytearray(_PARAMS.size)
    descriptor = _syscall(_SETUP, entries, _pointer(told), 0, 0, 0, 0)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    words = _PARAMS.unpack(told)
    if not words[5] & _ONE_MAP:
        os.close(descriptor)
        raise OSError(errno.ENOTSUP, "older than Linux 5.6")
    return descriptor, words


def _fill(sock: socket.socket) -> None:
    try:
        while True:
            sock.send(bytes(65_536), _NOW)
    except BlockingIOError:
        pass
