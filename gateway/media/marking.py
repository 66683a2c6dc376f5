"""Films for a screen, with a mark burnt into every picture by a process of its own: the bytes that go out are not the original's."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from gateway.errors import DeadlineExceeded, Overloaded, ProtocolError
from gateway.processes import put_down

AT_ONCE: Final = 3
"""Films that are shown at once; each takes a third of a core while it plays 1080p25, and less than 150 MiB."""
_WORKER: Final = Path(__file__).with_name("marking_worker.py")
_PLACE_S: Final = 5.0
_FIRST_S: Final = 30.0
_PIECE: Final = 64 << 10


class Projector:
    """Shows films, at most `at_once` of them."""

    def __init__(self, *, python: str = sys.executable, at_once: int = AT_ONCE) -> None:
        self._python = python
        self._places = asyncio.Semaphore(at_once)

    @contextlib.asynccontextmanager
    async def show(self, film: Path, lines: Sequence[str], *, begins: datetime, from_s: float = 0.0) -> AsyncIterator[AsyncIterator[bytes]]:
        """The pieces of a fragmented MP4 that shows `film` from `from_s` seconds on, made as fast as they are read.

        `lines`: the mark; letters beyond A-Z, digits and -*:/ are left out. Where nothing was recorded it goes on with what comes after,
        and the mark says from when to when, by a clock that shows `begins` at the film's start. Overloaded while too many are shown;
        ProtocolError (`no-picture`) when there is no picture, DeadlineExceeded (`slow`) when none came in time; OSError.
        """
        async with self._place():
            opened = await asyncio.to_thread(os.open, film, os.O_RDONLY | os.O_CLOEXEC)
            try:
                process = await self._start(opened)
            finally:
                os.close(opened)
            try:
                first = await _first(process, {"lines": [*lines], "begins": begins.isoformat(), "from_s": from_s})
                yield _pieces(process, first)
            finally:
                await put_down(process)

    @contextlib.asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(_PLACE_S):  # one that was just given up is free in a moment
                await self._places.acquire()
        except TimeoutError:
            raise Overloaded("as many films are shown as the gateway can show at once", hint="close another one") from None
        try:
            yield
        finally:
            self._places.release()

    async def _start(self, film: int) -> asyncio.subprocess.Process:
        pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        return await asyncio.create_subprocess_exec(
            *(self._python, "-I", str(_WORKER), str(film)), stdin=pipe, stdout=pipe, stderr=nowhere, pass_fds=[film], limit=_PIECE
        )


async def _first(process: asyncio.subprocess.Process, job: Mapping[str, Any]) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(ConnectionError):
        process.stdin.write(json.dumps(job).encode() + b"\n")
        await process.stdin.drain()
    try:
        async with asyncio.timeout(_FIRST_S):
            first = await process.stdout.read(_PIECE)
    except TimeoutError:
        raise DeadlineExceeded(f"the film showed nothing within {_FIRST_S:g} s", code="slow") from None
    if not first:
        raise ProtocolError("the film has no picture there that can be shown", code="no-picture")
    return first


async def _pieces(process: asyncio.subprocess.Process, first: bytes) -> AsyncIterator[bytes]:
    assert process.stdout is not None
    piece = first
    while piece:
        yield piece
        piece = await process.stdout.read(_PIECE)
