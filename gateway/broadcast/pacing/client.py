"""The daemon's side of the pacer's process: starts it, hands sessions over, takes them back, and sees that it lives."""

import asyncio
import contextlib
import itertools
import os
import secrets
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from gateway.broadcast.pacing.core import End, Numbers, Tally
from gateway.broadcast.pacing.live import LiveSource, Outlet
from gateway.broadcast.pacing.local import LocalPacer
from gateway.broadcast.pacing.protocol import FAREWELL_BYTES, LINES_A_MESSAGE, MESSAGE_BYTES, Page, decode, encode
from gateway.broadcast.pacing.ring import RingWriter
from gateway.broadcast.pacing.stream import Standing, Stream, Tell, figures_of
from gateway.clock import Clock
from gateway.domain.broadcast import Figures
from gateway.drivers.base import AudioSession, Descriptor, LastWord, Line
from gateway.errors import DeviceError

log = structlog.get_logger()

ROOT = Path(__file__).parents[3]
_BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from gateway.broadcast.pacing.child import main; main(*map(int, sys.argv[2:]))"
READY_S = 10.0
WATCH_S = 0.5
HUNG_S = 3.0
"""A pacer whose beat stands still so long is killed: its longest sleep is half a second, and RLIMIT_RTTIME bounds its longest turn."""
END_S = 2.0
OUT_LIMIT = 4_096
"""Messages that the pacer has not taken; one that lets so many wait is taken for hung."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 1.0
HEALTHY_AFTER_S = 10.0
MESSAGES_A_TURN = 64
_BUFFER = 1 << 20


@dataclass(slots=True)
class _Chorus:
    """What the pacer said last of lines that get the same packets."""

    packets: int = 0
    first: float | None = None
    last: float | None = None
    sound: int | None = None
    source: tuple[LiveSource, Outlet] | None = None
    left: int = 0


@dataclass(slots=True)
class _Lent:
    """A session in the pacer's hands."""

    stream: Stream
    line: Line
    chorus: _Chorus


@dataclass(slots=True)
class _Child:
    """One life of the process."""

    process: asyncio.subprocess.Process
    control: socket.socket
    page: Page
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    out: deque[tuple[bytes, list[int]]] = field(default_factory=deque)


class ChildPacer:
    """The `Pacer` whose sending is done by a process of its own.

    What cannot be handed over (a session without a line), and everything while no process can be had, is sent by the daemon itself; that
    is told by `standing`. `tell` is called with what happened when a pacer died: its streams ended with `End.DIED`, and the next is
    started at once.
    """

    def __init__(
        self, clock: Clock, *, python: str = sys.executable, fifo: bool = True, batched: bool = True, tell: Tell | None = None
    ) -> None:
        """`fifo`: whether the process shall ask to go before all others; `batched`: for io_uring."""
        self.tell: Tell = tell or (lambda _: None)
        self._clock = clock
        self._python = python
        self._wishes = (str(int(fifo)), str(int(batched)))
        self._local = LocalPacer(clock)
        self._child: _Child | None = None
        self._standing = Standing(why="not started yet")
        self._known = asyncio.Event()
        self._numbers = itertools.count(1)
        self._lent: dict[int, _Lent] = {}  # bounded by core.LINES_LIMIT, which the process keeps
        self._of: dict[Stream, int] = {}
        self._choruses: dict[int, _Chorus] = {}
        self._wills: dict[int, tuple[int, LastWord, Descriptor]] = {}  # by the identity of the socket on which they are said

    @property
    def standing(self) -> Standing:
        return self._standing

    async def ready(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_S):
                await self._known.wait()

    # -- orders -------------------------------------------------------------------------------------------------------

    def start(self, streams: Iterable[Stream]) -> None:
        wanted = list(streams)
        child = self._child
        apart = [stream for stream in wanted if child is not None and stream.session.line is not None]
        if child is not None and apart:
            self._hand_over(child, apart)
        if len(apart) < len(wanted):
            self._local.start(stream for stream in wanted if stream not in set(apart))

    def stop(self, stream: Stream) -> None:
        number = self._of.get(stream)
        if number is None:
            self._local.stop(stream)
        else:
            self._say({"do": "stop", "lines": [number]})
            stream.end(End.STOPPED)

    def bequeath(self, session: AudioSession) -> Callable[[], None]:
        line = session.line
        if line is None:
            return lambda: None
        return self.inherit(line.farewell, line.signalling or line.socket)

    def inherit(self, farewell: LastWord, signalling: Descriptor) -> Callable[[], None]:
        """The `Heir` of drivers whose sessions begin before they can be told of as such. One will a socket: a later one takes its place."""
        known = self._wills.get(id(signalling))
        number = known[0] if known is not None else next(self._numbers)
        self._wills[id(signalling)] = number, farewell, signalling
        self._tell_will(number, farewell, signalling)

        def settle() -> None:
            if self._wills.pop(id(signalling), None) is not None:
                self._say({"do": "settle", "id": number})

        return settle

    def stop_all(self) -> None:
        self._local.stop_all()
        if self._child is not None:
            self._child.page.silence()
            for lent in self._lent.values():
                lent.stream.end(End.STOPPED)
            self._say({"do": "forget", "sounds": []})  # wakes it

    def _hand_over(self, child: _Child, streams: Sequence[Stream]) -> None:
        groups: dict[tuple[Any, ...], list[tuple[int, Stream, Line]]] = {}
        for stream in streams:
            line = stream.session.line
            assert line is not None
            number = next(self._numbers)
            try:
                line.lend(partial(self._write, number), partial(self._end, stream))
            except DeviceError:
                stream.end(End.LOST)
                stream.give_back()
                continue
            key = (id(stream.sound), stream.lead_in, stream.shape, line.payload_type, line.unstamped, line.numbers)
            groups.setdefault(key, []).append((number, stream, line))
        sounds: dict[int, int] = {}
        choruses = [self._gather(members, sounds) for members in groups.values()]
        self._say({"do": "go", "choruses": choruses, "epoch": child.page.epoch})
        if sounds:
            self._say({"do": "forget", "sounds": list(sounds.values())})

    def _gather(self, members: Sequence[tuple[int, Stream, Line]], sounds: dict[int, int]) -> int:
        """Tell the pacer of lines that will get the same packets; their chorus."""
        _, stream, line = members[0]
        known, number = _Chorus(left=len(members)), next(self._numbers)
        order: dict[str, Any] = {"do": "chorus", "id": number, "lead_in": stream.lead_in, "payload_type": line.payload_type}
        shape = stream.shape
        order["shape"] = [shape.clock_rate, shape.packet_samples, shape.silence.hex(), shape.sample_bytes]
        order["unstamped"] = line.unstamped
        order["numbers"] = line.numbers or (secrets.randbits(32), secrets.randbits(16), secrets.randbits(32))
        if isinstance(stream.sound, LiveSource):
            order["source"] = self._attach(stream.sound, stream.session.format.encoding, known)
        else:
            if id(stream.sound) not in sounds:
                sounds[id(stream.sound)] = self._share(stream.sound)
            order["sound"] = sounds[id(stream.sound)]
        self._say(order)
        self._choruses[number] = known
        for begin in range(0, len(members), LINES_A_MESSAGE):
            self._tell_lines(number, known, members[begin : begin + LINES_A_MESSAGE])
        return number

    def _tell_lines(self, chorus: int, known: _Chorus, members: Sequence[tuple[int, Stream, Line]]) -> None:
        places: dict[int, int] = {}
        rows, farewells = [], []
        for number, stream, line in members:
            signal = line.signalling or line.socket
            place, other = (places.setdefault(sock.fileno(), len(places)) for sock in (line.socket, signal))
            host, port = line.destination or ("", 0)
            rows.append([number, place, -1 if line.channel is None else line.channel, host, port, other])
            words = line.farewell()
            farewells.append(words.decode("latin-1") if len(words) <= FAREWELL_BYTES else "")
            self._lent[number] = _Lent(stream, line, known)
            self._of[stream] = number
            stream.counts(partial(self._so_far, stream, known))
        self._say({"do": "lines", "chorus": chorus, "lines": rows, "farewells": farewells}, descriptors=list(places))

    def _tell_will(self, number: int, farewell: LastWord, signal: Descriptor) -> None:
        words = farewell()
        if 0 < len(words) <= FAREWELL_BYTES and signal.fileno() >= 0:
            self._say({"do": "will", "id": number}, words, descriptors=[signal.fileno()])

    def _share(self, sound: bytes) -> int:
        """The number of a sound that the pacer can read now."""
        number = next(self._numbers)
        descriptor = os.memfd_create("sound", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, sound)
            self._say({"do": "sound", "id": number}, descriptors=[descriptor])
        finally:
            os.close(descriptor)
        return number

    def _attach(self, source: LiveSource, encoding: str, chorus: _Chorus) -> int:
        number, ring = next(self._numbers), RingWriter()
        try:
            self._say({"do": "source", "id": number}, descriptors=[ring.descriptor])
        finally:
            ring.sent()
        outlet = Outlet(encoding, ring.write, ring.close)
        chorus.source = (source, outlet)
        source.attach(outlet)
        return number

    def _write(self, number: int, data: bytes) -> None:
        """What a session has to say while its line is lent."""
        self._say({"do": "write", "line": number}, data)
        lent = self._lent.get(number)
        if lent is not None and len(words := lent.line.farewell()) <= FAREWELL_BYTES:
            self._say({"do": "farewell", "line": number}, words)

    def _end(self, stream: Stream) -> None:
        """The device ended the session, or the connection is lost."""
        number = self._of.get(stream)
        if number is not None and not stream.finished.done():
            stream.end(End.LOST)
            self._say({"do": "stop", "lines": [number]})

    def _so_far(self, stream: Stream, known: _Chorus) -> Figures:
        return self._figures(stream, Tally(known.packets, 0, known.first, known.last))

    def _figures(self, stream: Stream, tally: Tally) -> Figures:
        return figures_of(stream.session, tally, self._clock)

    # -- the wire -----------------------------------------------------------------------------------------------------

    def _say(self, message: dict[str, Any], raw: bytes = b"", *, descriptors: Sequence[int] = ()) -> None:
        child = self._child
        if child is None:
            return
        data = encode(message, raw)
        if not child.out and self._put(child, data, descriptors):
            return
        if len(child.out) >= OUT_LIMIT:
            self._kill(child, "it takes no orders")
            return
        child.out.append((data, [os.dup(descriptor) for descriptor in descriptors]))
        if len(child.out) == 1:
            asyncio.get_running_loop().add_writer(child.control, self._push, child)

    def _put(self, child: _Child, data: bytes, descriptors: Sequence[int]) -> bool:
        try:
            socket.send_fds(child.control, [data], list(descriptors))
        except BlockingIOError:
            return False
        except OSError:
            child.gone.set()
        return True

    def _push(self, child: _Child) -> None:
        while child.out:
            data, descriptors = child.out[0]
            if not self._put(child, data, descriptors):
                return
            child.out.popleft()
            for descriptor in descriptors:
                os.close(descriptor)
        asyncio.get_running_loop().remove_writer(child.control)

    def _hear(self, child: _Child) -> None:
        for _ in range(MESSAGES_A_TURN):
            try:
                data = child.control.recv(MESSAGE_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                asyncio.get_running_loop().remove_reader(child.control)
                child.gone.set()
                return
            self._take(child, decode(data)[0])

    def _take(self, child: _Child, message: Mapping[str, Any]) -> None:
        match message["is"]:
            case "ready":
                self._take_ready(child, message)
            case "began":
                for number, at in message["choruses"]:
                    self._take_progress(number, 1, at, at)
            case "progress":
                for number, packets, last in message["choruses"]:
                    self._take_progress(number, packets, None, last)
                self._take_standing(message)
            case "ended":
                for row in message["lines"]:
                    self._take_ended(row)

    def _take_ready(self, child: _Child, message: Mapping[str, Any]) -> None:
        told = {name: message[name] for name in ("fifo", "locked", "batched", "why")}
        self._standing = replace(self._standing, apart=True, pid=child.process.pid, **told)
        self._known.set()
        level = log.info if message["fifo"] else log.warning
        level("broadcast.pacer_ready", pid=child.process.pid, **told)

    def _take_standing(self, message: Mapping[str, Any]) -> None:
        if self._standing.batched and not message["batched"]:
            log.error("broadcast.pacer_unbatched", reason="io_uring did not send at once")
        self._standing = replace(self._standing, late_s=message["late"], batched=message["batched"])

    def _take_progress(self, number: int, packets: int, first: float | None, last: float | None) -> None:
        known = self._choruses.get(number)
        if known is not None:
            known.packets, known.first, known.last = max(known.packets, packets), first if known.first is None else known.first, last

    def _take_ended(self, row: Sequence[Any]) -> None:
        number, how, packets, dropped, first, last, numbers, torn = row
        lent = self._lent.pop(number, None)
        if lent is None:
            return
        stream = lent.stream
        self._of.pop(stream, None)
        self._leave(lent.chorus)
        lent.line.give_back(Numbers(*numbers), torn=torn)
        if (will := self._wills.get(id(lent.line.signalling or lent.line.socket))) is not None:
            self._tell_will(*will)  # with the words that come next now
        stream.end(End(how))
        stream.give_back(self._figures(stream, Tally(packets, dropped, first, last)))

    def _leave(self, chorus: _Chorus) -> None:
        chorus.left -= 1
        if chorus.left:
            return
        self._choruses = {number: known for number, known in self._choruses.items() if known is not chorus}
        if chorus.source is not None:
            source, outlet = chorus.source
            source.detach(outlet)

    # -- lives ----------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._local.run(), name="pacer in the daemon")
                group.create_task(self._keep(), name="pacer's process")
        finally:
            self._give_all_back(End.STOPPED)

    async def _keep(self) -> None:
        """Start the process, and start it again whenever it dies, with growing pauses while it does not live long."""
        pause = FIRST_PAUSE_S
        while True:
            begun = self._clock.monotonic()
            try:
                await self._live()
            except OSError as error:
                self._standing = replace(self._standing, apart=False, why=str(error))
                self._known.set()
                log.warning("broadcast.pacer_not_started", reason=str(error))
            if self._clock.monotonic() - begun >= HEALTHY_AFTER_S:
                pause = FIRST_PAUSE_S
            await self._clock.sleep(pause)
            pause = min(LONGEST_PAUSE_S, 2 * pause)

    async def _live(self) -> None:
        """One life of the process."""
        child = await self._spawn()
        loop = asyncio.get_running_loop()
        loop.add_reader(child.control, self._hear, child)
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(self._watch(child), name="pacer's watch")
                ended = group.create_task(child.process.wait(), name="pacer's end")
                ended.add_done_callback(lambda _: child.gone.set())
                self._child = child
                for will in self._wills.values():
                    self._tell_will(*will)
                await child.gone.wait()
                self._child = None
                self._hear(child)  # what it said before it died
                watch.cancel()
                self._end_it(child)
        finally:
            self._child = None
            loop.remove_reader(child.control)
            loop.remove_writer(child.control)
            await self._bury(child)
        self._mourn(child)

    async def _spawn(self) -> _Child:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        page = os.memfd_create("pacer", os.MFD_CLOEXEC)
        try:
            ours.setblocking(False)
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
            os.ftruncate(page, Page.BYTES)
            command = (self._python, "-I", "-S", "-c", _BOOT, str(ROOT), str(theirs.fileno()), str(page), *self._wishes)
            process = await asyncio.create_subprocess_exec(*command, pass_fds=(theirs.fileno(), page), stdin=asyncio.subprocess.DEVNULL)
            return _Child(process, ours, Page(page))
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
            os.close(page)

    async def _watch(self, child: _Child) -> None:
        """Kill a pacer whose beat stands still; by the machine's clock, since it is a process of the machine."""
        beat, since = child.page.beat, time.monotonic()
        while True:
            await asyncio.sleep(WATCH_S)
            now = time.monotonic()
            if child.page.beat != beat:
                beat, since = child.page.beat, now
            elif now - since > HUNG_S:
                self._kill(child, "its beat stands still")

    def _kill(self, child: _Child, why: str) -> None:
        log.error("broadcast.pacer_hangs", pid=child.process.pid, reason=why)
        self._end_it(child)

    def _end_it(self, child: _Child) -> None:
        with contextlib.suppress(ProcessLookupError):
            if child.process.returncode is None:
                os.kill(child.process.pid, signal.SIGKILL)  # `Process.kill` would take the exit status from who waits for it
        child.gone.set()

    async def _bury(self, child: _Child) -> None:
        """Close what is ours; the end of the control socket lets a living one say its farewells and go."""
        child.control.close()
        for _, descriptors in child.out:
            for descriptor in descriptors:
                os.close(descriptor)
        try:
            async with asyncio.timeout(END_S):
                await child.process.wait()
        except TimeoutError:
            self._end_it(child)
            await child.process.wait()

    def _mourn(self, child: _Child) -> None:
        """Nobody sends for these streams any more, and what was heard last is not known."""
        self._standing = Standing(restarts=self._standing.restarts + 1, why="it died")
        told = {"pid": child.process.pid, "exit": child.process.returncode, "deliveries": len(self._lent)}
        self._give_all_back(End.DIED)
        log.error("broadcast.pacer_died", **told)
        self.tell(told)

    def _give_all_back(self, how: End) -> None:
        lost, self._lent, self._of, self._choruses = self._lent, {}, {}, {}
        for lent in lost.values():
            if lent.chorus.source is not None:
                lent.chorus.source[0].detach(lent.chorus.source[1])
            figures = lent.stream.figures
            lent.line.give_back(None, torn=lent.line.channel is not None)
            lent.stream.end(how)
            lent.stream.give_back(figures)
