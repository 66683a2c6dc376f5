"""The whole daemon as a process of its own, which benches may kill, and begin again on the same files."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

READY_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Life:
    """One life of the daemon, and how long it took from its start until it answered."""

    pid: int
    ready_s: float


class Nursery:
    """Starts daemons: as a user does, or, quicker, as a child of a process that has imported all that they need."""

    def __init__(self, http: aiohttp.ClientSession, config: Path) -> None:
        self._http, self._config = http, config
        self._process: asyncio.subprocess.Process | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Nursery"]:
        """For the block, `quick` lives can be had."""
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.nursery", str(self._config), stdin=pipe, stdout=pipe
        )
        try:
            assert self._process.stdout is not None
            await self._process.stdout.readline()
            yield self
        finally:
            self._process.kill()
            await self._process.wait()

    @asynccontextmanager
    async def quick(self) -> AsyncIterator[Life]:
        """A daemon that has nothing to import; killed at the end, if it still lives."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        begun = time.monotonic()
        self._process.stdin.write(b"\n")
        pid = int(await self._process.stdout.readline())
        try:
            await _answering(self._http, self._config, pid, begun)
            yield Life(pid, time.monotonic() - begun)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            while Path(f"/proc/{pid}").exists():  # noqa: ASYNC240 -- until its last thread has let go of its files
                await asyncio.sleep(0.005)


@asynccontextmanager
async def alive(http: aiohttp.ClientSession, config: Path) -> AsyncIterator[Life]:
    """A daemon that answers `http`; killed at the end, if it still lives. Its log stands beside `config`. AssertionError when it fails."""
    begun = time.monotonic()
    with config.with_suffix(".log").open("ab") as out:
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "gateway", "serve", "--config", str(config), stderr=out)
    try:
        await _answering(http, config, process.pid, begun)
        yield Life(process.pid, time.monotonic() - begun)
    finally:
        if process.returncode is None and lives(process.pid):
            process.kill()
        await process.wait()


def lives(pid: int) -> bool:
    """Whether there is such a process, and it is not one of the dead whom nobody has waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def _answering(http: aiohttp.ClientSession, config: Path, pid: int, begun: float) -> None:
    while not await _answers(http):
        if not lives(pid) or time.monotonic() - begun > READY_WITHIN_S:
            raise AssertionError(f"the daemon did not come up:\n{config.with_suffix('.log').read_text()[-2000:]}")
        await asyncio.sleep(0.02)


async def _answers(http: aiohttp.ClientSession) -> bool:
    try:
        async with http.get("/healthz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
