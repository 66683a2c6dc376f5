"""The pacer's process: wakes when something is due, sends it, and hears the daemon meanwhile.

Started by `client` as `python -I -S -c … ROOT CONTROL PAGE`; standard library only, so that nothing else can hold it up. It runs under
SCHED_FIFO where it may, which lets it pass every ordinary process, and takes care not to starve them: RLIMIT_RTTIME ends it when it works
for half a second without a pause, and it never takes more than half of the time. Hundreds of lines over UDP are served by two threads
(`wire`) until all have begun, so that the last one hears it no later than it must. When the daemon is gone it falls silent at once, says
the farewells that it was given, and ends.
"""

import ctypes
import gc
import mmap
import os
import resource
import select
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from gateway.broadcast.pacing.core import LINES_LIMIT, Chorus, Conductor, End, Ended, Live, Numbers, Shape, Voice, Whole
from gateway.broadcast.pacing.protocol import CHORUSES_A_MESSAGE, LINES_A_MESSAGE, MESSAGE_BYTES, Page, decode, encode
from gateway.broadcast.pacing.ring import RingReader
from gateway.broadcast.pacing.uring import Ring
from gateway.broadcast.pacing.wire import TcpLine, UdpLine, Wire

PRIORITY = 10
RTTIME_US = 500_000
LOCKABLE_BYTES = 256 << 20
"""What must be lockable before memory is locked: a limit reached later would make every allocation fail."""
IDLE_S = 0.5
"""The longest sleep: the daemon takes a pacer for dead whose beat stands still for some of these."""
TELL_S = 0.5
MESSAGES_A_TURN = 32
LONGEST_TURN_S = 0.010
"""A turn that took longer is followed by a pause as long: half of a core is the most that is taken, whatever is asked."""
FLUSH_S = 0.5
"""How long a line whose last frame was taken in part is tried before it is given back torn."""
OUT_LIMIT = 20_000
_DESCRIPTORS = 253  # SCM_MAX_FD
_MCL_CURRENT, _MCL_FUTURE, _PR_SET_TIMERSLACK = 1, 2, 29


class Pacing:
    """All that the process holds, and what each message does to it."""

    def __init__(self, control: socket.socket, page: Page, ring: Ring | None) -> None:
        control.setblocking(False)
        self._control = control
        self._page = page
        self._epoch = page.epoch
        self._conductor = Conductor()
        self._wire = Wire(ring)
        self._sounds: dict[int, memoryview] = {}
        self._sources: dict[int, RingReader] = {}
        self._staged: dict[int, Chorus] = {}
        self._choruses: dict[int, Chorus] = {}
        self._lines: dict[int, UdpLine | TcpLine] = {}
        self._sockets: dict[int, tuple[socket.socket, int]] = {}
        self._farewells: dict[int, tuple[socket.socket, bytes]] = {}
        self._wills: dict[int, tuple[socket.socket, bytes]] = {}
        self._flushing: dict[TcpLine, tuple[Ended, float]] = {}
        self._unsaid: dict[int, Chorus] = {}
        self._out: deque[bytes] = deque()  # `OUT_LIMIT` at the most; what the daemon does not take beyond that is not told
        self._told = 0.0
        self._late = 0.0
        self.alone = False

    # -- the loop -----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Until the daemon is gone."""
        due: float | None = None
        while not self.alone:
            now = time.monotonic()
            self._page.live()
            if self._page.epoch != self._epoch:
                self._silence()
                due = self._conductor.due
            if due is not None and due <= now:
                self._late = max(self._late, now - due)
                if ended := self._conductor.turn(now, self._wire.send):
                    self._report(ended)
                self._after_turn(now)
            due = self._conductor.due  # asked for once a turn: that looks at every chorus
            if self._hear(self._pause(due)):
                due = self._conductor.due

    def _after_turn(self, begun: float) -> None:
        if self._unsaid:
            self._say_began()
        took = time.monotonic() - begun
        if took > LONGEST_TURN_S:
            time.sleep(took)

    def _pause(self, due: float | None) -> float:
        now = time.monotonic()
        if now - self._told >= TELL_S and self._choruses:
            self._say_progress(now)
        if self._flushing:
            self._flush(now)
        self._push_out()
        longest = 0.02 if self._flushing or self._out else IDLE_S
        return longest if due is None else min(longest, max(0.0, due - time.monotonic()))  # all that took its time, too

    def _hear(self, pause: float) -> bool:
        """Wait for messages or the next deadline; take some. Whether any came."""
        if not select.select([self._control], [], [], pause)[0]:
            return False
        for _ in range(MESSAGES_A_TURN):
            try:
                data, descriptors, _, _ = socket.recv_fds(self._control, MESSAGE_BYTES, _DESCRIPTORS)
            except BlockingIOError:
                break
            except OSError:
                data, descriptors = b"", []
            if not data:
                self.alone = True
                break
            message, raw = decode(data)
            _ORDERS[message["do"]](self, message, raw, descriptors)
            due = self._conductor.due
            if due is not None and due <= time.monotonic():
                break
        return True

    # -- orders -------------------------------------------------------------------------------------------------------

    def _take_sound(self, order: Mapping[str, Any], _raw: bytes, descriptors: Sequence[int]) -> None:
        size = os.fstat(descriptors[0]).st_size
        self._sounds[order["id"]] = memoryview(mmap.mmap(descriptors[0], size, prot=mmap.PROT_READ))
        os.close(descriptors[0])

    def _take_source(self, order: Mapping[str, Any], _raw: bytes, descriptors: Sequence[int]) -> None:
        self._sources[order["id"]] = RingReader(descriptors[0])

    def _take_chorus(self, order: Mapping[str, Any], _raw: bytes, _descriptors: Sequence[int]) -> None:
        rate, samples, silence, size = order["shape"]
        shape = Shape(rate, samples, bytes.fromhex(silence), size)
        voice: Voice
        if "sound" in order:
            voice = Whole(self._sounds[order["sound"]], shape, lead_in=order["lead_in"])
        else:
            voice = Live(shape, lead_in=order["lead_in"], well=self._sources.pop(order["source"]))
        numbers = Numbers(*order["numbers"])
        self._staged[order["id"]] = Chorus(voice, [], payload_type=order["payload_type"], numbers=numbers, unstamped=order["unstamped"])

    def _take_lines(self, order: Mapping[str, Any], _raw: bytes, descriptors: Sequence[int]) -> None:
        chorus = self._staged[order["chorus"]]
        sockets = [self._adopt(descriptor) for descriptor in descriptors]
        for (number, place, channel, host, port, other), farewell in zip(order["lines"], order["farewells"], strict=True):
            sock = sockets[place]
            line = UdpLine(number, sock, (host, port) if host else None) if channel < 0 else TcpLine(number, sock, channel)
            self._hold(sock)
            self._hold(sockets[other])
            self._farewells[number] = (sockets[other], farewell.encode("latin-1"))
            self._lines[number] = line
            chorus.join(line)
        for sock in sockets:
            self._release(sock)

    def _go(self, order: Mapping[str, Any], _raw: bytes, _descriptors: Sequence[int]) -> None:
        choruses = {number: self._staged.pop(number) for number in order["choruses"]}
        wanted = sum(len(chorus.listeners) for chorus in choruses.values())
        if order["epoch"] != self._page.epoch or self._conductor.lines + wanted > LINES_LIMIT:
            how = End.STOPPED if order["epoch"] != self._page.epoch else End.LOST
            for chorus in choruses.values():
                self._report([gone for line in list(chorus.listeners) if (gone := self._conductor.stop(line, how)) is not None])
            return
        for chorus in choruses.values():
            self._wire.prepare(chorus)
        self._choruses |= choruses
        self._unsaid |= choruses
        self._conductor.begin(choruses.values(), time.monotonic())

    def _stop(self, order: Mapping[str, Any], _raw: bytes, _descriptors: Sequence[int]) -> None:
        lines = [line for number in order["lines"] if (line := self._lines.get(number)) is not None]
        self._report([gone for line in lines if (gone := self._conductor.stop(line)) is not None])

    def _write(self, order: Mapping[str, Any], raw: bytes, _descriptors: Sequence[int]) -> None:
        line = self._lines.get(order["line"])
        if isinstance(line, TcpLine):
            line.write(raw)

    def _farewell(self, order: Mapping[str, Any], raw: bytes, _descriptors: Sequence[int]) -> None:
        known = self._farewells.get(order["line"])
        if known is not None:
            self._farewells[order["line"]] = (known[0], raw)

    def _forget(self, order: Mapping[str, Any], _raw: bytes, _descriptors: Sequence[int]) -> None:
        for number in order["sounds"]:
            self._sounds.pop(number, None)

    def _take_will(self, order: Mapping[str, Any], raw: bytes, descriptors: Sequence[int]) -> None:
        sock = self._adopt(descriptors[0])
        self._settle(order, raw, descriptors)
        self._wills[order["id"]] = (sock, raw)

    def _settle(self, order: Mapping[str, Any], _raw: bytes, _descriptors: Sequence[int]) -> None:
        known = self._wills.pop(order["id"], None)
        if known is not None:
            self._release(known[0])

    def _silence(self) -> None:
        """The daemon raised the epoch: nobody gets another packet."""
        self._epoch = self._page.epoch
        self._report(self._conductor.stop_all())

    # -- what became of it ----------------------------------------------------------------------------------------------

    def _report(self, ended: Iterable[Ended]) -> None:
        """Give lines back; those in the midst of a frame once that is out."""
        until = time.monotonic() + FLUSH_S
        whole = []
        for each in ended:
            line = each.listener
            if isinstance(line, TcpLine) and not line.clear and not line.gone:
                self._flushing[line] = (each, until)
            else:
                whole.append(each)
        self._say_ended(whole)

    def _flush(self, now: float) -> None:
        done = [line for line, (_, until) in self._flushing.items() if line.flush() or line.gone or now >= until]
        self._say_ended([self._flushing.pop(line)[0] for line in done])

    def _say_ended(self, ended: Sequence[Ended]) -> None:
        if not ended:
            return
        if self._unsaid:
            self._say_began()
        rows = []
        for listener, how, tally, numbers in ended:
            line = self._lines.pop(listener.number)
            if isinstance(line, TcpLine):
                line.seal()
            rows.append([listener.number, how, *tally, numbers, isinstance(line, TcpLine) and line.torn])
            self._release(self._farewells.pop(listener.number)[0])
            self._release(line.socket)
        for piece in _pieces(rows, LINES_A_MESSAGE):
            self._say({"is": "ended", "lines": piece})
        for number, chorus in list(self._choruses.items()):
            if not chorus.listeners:
                del self._choruses[number]
                self._wire.forget(chorus)

    def _say_began(self) -> None:
        begun = {number: chorus for number, chorus in self._unsaid.items() if chorus.first is not None}
        if begun:
            for rows in _pieces([[number, chorus.first] for number, chorus in begun.items()], CHORUSES_A_MESSAGE):
                self._say({"is": "began", "choruses": rows})
            self._unsaid = {number: chorus for number, chorus in self._unsaid.items() if number not in begun and chorus.listeners}

    def _say_progress(self, now: float) -> None:
        self._told = now
        rows = [[number, chorus.packets, chorus.last] for number, chorus in self._choruses.items()]
        for piece in _pieces(rows, CHORUSES_A_MESSAGE):
            self._say({"is": "progress", "choruses": piece, "late": self._late, "batched": self._wire.batched})
        self._late = 0.0

    def _say(self, message: dict[str, Any]) -> None:
        if len(self._out) < OUT_LIMIT:
            self._out.append(encode(message))
        self._push_out()

    def _push_out(self) -> None:
        while self._out:
            try:
                self._control.send(self._out[0], socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return
            except OSError:
                self.alone = True
                return
            self._out.popleft()

    # -- sockets --------------------------------------------------------------------------------------------------------

    def _adopt(self, descriptor: int) -> socket.socket:
        """The socket behind a descriptor; the one that is known when it came before."""
        inode = os.fstat(descriptor).st_ino
        if inode in self._sockets:
            os.close(descriptor)
            self._hold(self._sockets[inode][0])
        else:
            self._sockets[inode] = (socket.socket(fileno=descriptor), 1)
        return self._sockets[inode][0]

    def _hold(self, sock: socket.socket) -> None:
        inode = os.fstat(sock.fileno()).st_ino
        self._sockets[inode] = (sock, self._sockets[inode][1] + 1)

    def _release(self, sock: socket.socket) -> None:
        inode = os.fstat(sock.fileno()).st_ino
        count = self._sockets[inode][1] - 1
        if count:
            self._sockets[inode] = (sock, count)
        else:
            del self._sockets[inode]
            sock.close()

    def take_leave(self) -> None:
        """End every session that is still open, without waiting for anybody."""
        for line in self._lines.values():
            if isinstance(line, TcpLine):
                line.flush()
        for number, (sock, words) in self._farewells.items():
            lent = self._lines.get(number)
            if not (isinstance(lent, TcpLine) and not lent.clear):
                _say_last(sock, words)
        lent_out = [sock for sock, _ in self._farewells.values()]
        for sock, words in self._wills.values():
            if sock not in lent_out:
                _say_last(sock, words)

    def say_ready(self, standing: dict[str, Any]) -> None:
        self._say({"is": "ready", **standing})


def _pieces(rows: Sequence[list[Any]], most: int) -> Iterator[Sequence[list[Any]]]:
    """`rows` in their order, so many at a time: a message that the daemon's buffer does not hold would be cut off."""
    return (rows[begin : begin + most] for begin in range(0, len(rows), most))


def _say_last(sock: socket.socket, words: bytes) -> None:
    if words:
        try:
            sock.send(words, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:
            pass


_Order = Callable[[Pacing, Mapping[str, Any], bytes, Sequence[int]], None]
_ORDERS: Mapping[str, _Order] = {
    "sound": Pacing._take_sound,
    "source": Pacing._take_source,
    "chorus": Pacing._take_chorus,
    "lines": Pacing._take_lines,
    "go": Pacing._go,
    "stop": Pacing._stop,
    "write": Pacing._write,
    "farewell": Pacing._farewell,
    "forget": Pacing._forget,
    "will": Pacing._take_will,
    "settle": Pacing._settle,
}


# -- standing in the system -------------------------------------------------------------------------------------------


def rise(*, fifo: bool) -> dict[str, Any]:
    """Take as high a place among the processes as there is; what was granted, and why not more."""
    why = []
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_RTTIME, (RTTIME_US, 2 * RTTIME_US))
    try:
        if fifo:
            os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(PRIORITY))
        else:
            why.append("SCHED_FIFO: not asked for")
    except OSError as error:
        fifo = False
        why.append(f"SCHED_FIFO: {error.strerror}")
        _be_nice(why)
    locked = _lock(libc, why)
    return {"fifo": fifo, "locked": locked, "why": "; ".join(why)}


def _be_nice(why: list[str]) -> None:
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    except OSError as error:
        why.append(f"nice: {error.strerror}")


def _lock(libc: ctypes.CDLL, why: list[str]) -> bool:
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if os.geteuid() != 0 and soft != resource.RLIM_INFINITY and soft < LOCKABLE_BYTES:
        why.append(f"memory lock: the limit is {soft} bytes")
        return False
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE) != 0:
        why.append(f"memory lock: {os.strerror(ctypes.get_errno())}")
        return False
    return True


def open_ring() -> tuple[Ring | None, str]:
    """What sends to many connections at once, or why there is none."""
    try:
        return Ring(), ""
    except OSError as error:
        return None, f"io_uring: {error.strerror}"


def main(control: int, page: int, fifo: int, batched: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C reaches the daemon, which ends us
    ring, unbatched = open_ring() if batched else (None, "io_uring: not asked for")
    pacing = Pacing(socket.socket(fileno=control), Page(page), ring)
    gc.collect()
    gc.freeze()
    gc.disable()
    standing = rise(fifo=bool(fifo))
    why = "; ".join(filter(None, (standing["why"], unbatched)))
    pacing.say_ready(standing | {"batched": ring is not None, "why": why})
    pacing.run()
    pacing.take_leave()
