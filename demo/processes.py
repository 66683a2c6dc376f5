"""Starts the demo's processes, waits until each is ready, and ends them cleanly in the reverse order."""

import asyncio
import contextlib
import itertools
import random
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
READY_WITHIN_S = 120.0
STOP_WITHIN_S = 20.0
LOWEST_PORT = 10_240
PORTS_AT_ONCE = 32
_chance = random.SystemRandom()  # ports that were just let go of are taken again as late as can be
_choosing = threading.Lock()
_claimed: dict[int, socket.socket] = {}
_given: set[int] = set()


class DemoFailed(Exception):
    """A process of the demo did not do its part; the message says which and shows its last words."""


async def run(*arguments: str, log: Path) -> None:
    """Run `python -m …` to its end; raises `DemoFailed` with its output when it fails."""
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", *arguments, cwd=ROOT, stdout=out, stderr=out)
    if await process.wait() != 0:
        raise DemoFailed(f"`{' '.join(arguments)}` failed:\n{_last_words(log)}")


async def output(*arguments: str) -> str:
    """Run `python -m …` and return what it prints on standard output."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", *arguments, cwd=ROOT, stdout=pipe, stderr=pipe)
    out, err = await process.communicate()
    if process.returncode != 0:
        raise DemoFailed(f"`{' '.join(arguments)}` failed:\n{err.decode(errors='replace')[-2000:]}")
    return out.decode()


@asynccontextmanager
async def running(arguments: Sequence[str], *, log: Path, ready: bool = True) -> AsyncIterator[asyncio.subprocess.Process]:
    """Keep `python -m …` running for the duration. With `ready`, wait for its first line on standard output."""
    with log.open("wb") as out:
        stdout = asyncio.subprocess.PIPE if ready else out
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", *arguments, cwd=ROOT, stdout=stdout, stderr=out)
    try:
        if process.stdout is not None and not await asyncio.wait_for(process.stdout.readline(), READY_WITHIN_S):
            raise DemoFailed(f"`{' '.join(arguments)}` did not start:\n{_last_words(log)}")
        yield process
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), STOP_WITHIN_S)
    except TimeoutError:
        process.kill()
        await process.wait()


def _last_words(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:] if log.exists() else ""


def free_port(preferred: int) -> int:
    """`preferred` when nothing listens there, else one that is free. Both TCP and UDP must be free on every address.

    It lies below the ports that the kernel hands out to outgoing connections, in a block from which no other process chooses: nobody takes
    it before it is listened on. None but the preferred one is given twice in a process. Raises `DemoFailed` when none is left.
    """
    with _choosing:
        for candidate in itertools.chain((preferred,), _own_ports()):
            if candidate and (candidate == preferred or candidate not in _given) and _is_free(candidate):
                _given.add(candidate)
                return candidate
    raise DemoFailed("no free port is left on this machine")


def _own_ports() -> Iterator[int]:
    """The ports of the blocks that are ours, then of those that can still be claimed, in rising order within each."""
    for first in tuple(_claimed):
        yield from range(first, first + PORTS_AT_ONCE)
    lowest_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    blocks = range(LOWEST_PORT, lowest_ephemeral - PORTS_AT_ONCE + 1, PORTS_AT_ONCE)
    for first in _chance.sample(blocks, len(blocks)):
        if first not in _claimed and _claim(first):
            yield from range(first, first + PORTS_AT_ONCE)


def _claim(first: int) -> bool:
    """Whether the block that begins with `first` is ours from now on, until the process ends: a name that the kernel gives to one alone."""
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0city-gateway-ports-{first}")
    except OSError:
        claim.close()
        return False
    _claimed[first] = claim
    return True


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tcp.bind(("0.0.0.0", port))
            udp.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True
