"""How evenly the pacer's process sends to many loudspeakers at once, with every core kept busy by others; for `bench.broadcast`."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.health import line_of, say
from bench.witness import watching
from gateway.broadcast.pacing.client import ChildPacer
from gateway.broadcast.pacing.stream import Stream
from gateway.clock import SystemClock
from gateway.domain.speaking import SpeakerPath
from gateway.drivers.base import AudioFormat, Line
from gateway.drivers.rtp.udp import UdpPair

SECONDS = 8.0
_HOG = "import time; end = time.monotonic() + {seconds}\nwhile time.monotonic() < end: pass"


class Ready:
    """A session that has been set up."""

    def __init__(self, line: Line) -> None:
        self.format = AudioFormat("PCMA", 8_000, 8)
        self.missed: int | None = None
        self.ended = False
        self.path = SpeakerPath.BACKCHANNEL
        self.line = line

    def send(self, payload: bytes, *, timestamp: int, marker: bool) -> bool:  # noqa: ARG002 -- nothing is sent by us
        return False

    async def close(self) -> None:
        return


def addresses(count: int) -> list[str]:
    return [f"127.{20 + number // 250}.7.{1 + number % 250}" for number in range(count)]


@contextlib.contextmanager
def hogs(seconds: float) -> Iterator[None]:
    """One process a core that does nothing but compute, for a bounded time."""
    cores = sorted(os.sched_getaffinity(0))
    made = [subprocess.Popen([sys.executable, "-c", _HOG.format(seconds=seconds)]) for _ in cores]
    try:
        for process, core in zip(made, cores, strict=True):
            os.sched_setaffinity(process.pid, {core})
        yield
    finally:
        for process in made:
            process.kill()
            process.wait()


@contextlib.contextmanager
def ears(kind: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "bench.ears", kind]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextlib.asynccontextmanager
async def pacing(*, fifo: bool = True, batched: bool = True) -> AsyncIterator[ChildPacer]:
    pacer = ChildPacer(SystemClock(), fifo=fifo, batched=batched)
    task = asyncio.create_task(pacer.run())
    try:
        await pacer.ready()
        yield pacer
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def percentile(values: Sequence[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def cpu_s(pid: int) -> float:
    """What all threads of a process have used so far, by the scheduler's own count."""
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in Path(f"/proc/{pid}/task").iterdir()) / 1e9


def nobody(_torn: bool) -> None:
    pass


def lend(_write: object, _ended: object) -> None:
    pass


@contextlib.contextmanager
def lines(kind: str, port: int, count: int) -> Iterator[Sequence[Line]]:
    """As many lines as that, over UDP from the pair of sockets that they share, or a connection each."""
    with contextlib.ExitStack() as stack:
        if kind == "udp":
            pair = stack.enter_context(contextlib.closing(UdpPair("127.0.0.1")))
            yield [Line(pair.socket, 8, lend=lend, returned=nobody, destination=(host, port)) for host in addresses(count)]
            return
        made = []
        for host in addresses(count):
            sock = stack.enter_context(socket.create_connection((host, port)))
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.append(Line(sock, 8, lend=lend, returned=nobody, channel=0))
        yield made


async def evenness(
    kind: str,
    count: int,
    *,
    fifo: bool = True,
    batched: bool = True,
    busy: bool = True,
    seconds: float = SECONDS,
    settle: Callable[[ChildPacer], None] = lambda _: None,
) -> dict[str, Any]:
    """One sound to so many loudspeakers: what their kernel saw, what the pacer used, and what the machine did meanwhile (`bench.witness`).
    `settle` is called once the pacer is ready."""
    with ears(kind) as ear, contextlib.ExitStack() as stack:
        port = int(_told(ear)["port"])
        made = stack.enter_context(lines(kind, port, count))
        async with pacing(fifo=fifo, batched=batched) as pacer:
            settle(pacer)
            if busy:
                stack.enter_context(hogs(seconds + 15))
            await asyncio.sleep(0.5)
            sound = bytes(round(8_000 * seconds))
            streams = [Stream(Ready(line), sound) for line in made]
            pid = pacer.standing.pid
            assert pid is not None
            told = stack.enter_context(watching(seconds))
            pacer.start(streams)
            await asyncio.sleep(1.0)
            before, at = cpu_s(pid), time.monotonic()
            await asyncio.sleep(seconds - 2.5)
            used = (cpu_s(pid) - before) / (time.monotonic() - at)
            await asyncio.wait([stream.finished for stream in streams])
            await asyncio.sleep(0.5)
            dropped = sum(stream.figures.dropped for stream in streams)
            standing, machine = pacer.standing, told()
        say(ear, "evenness")
        heard = _told(ear)
    wanted = count * round(seconds / 0.02)
    return {
        **heard,
        **machine,
        "cpu_pct_of_core": round(100 * used, 2),
        "missing": wanted - heard["packets"],
        "dropped": dropped,
        "fifo": standing.fifo,
    }


def _told(process: "subprocess.Popen[str]") -> dict[str, Any]:
    told: dict[str, Any] = json.loads(line_of(process))
    return told
