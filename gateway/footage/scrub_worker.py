"""The digest of stored files, read in a process of its own that goes after everybody else for processor and disk.

Protocol: one JSON line on its standard input names a file and has its first piece read, an empty one the next piece. Each is answered by a
line: how much was read, at the end the digest, or what the system said. So who asks decides how fast it goes, and when its input closes,
because the daemon is gone, it ends.
"""

import asyncio
import contextlib
import errno
import hashlib
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

from gateway.errors import Unreachable
from gateway.processes import put_down

PIECE: Final = 4 << 20
"""Bytes that are read at a time."""
_NICENESS: Final = 19

Pace = Callable[[int], Awaitable[object]]
"""Told of so many bytes that were read; the next ones are read when it returns."""


class Digester:
    """The daemon's side of one process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def sha256(self, path: Path, pace: Pace) -> str:
        """Of the file as it lies on the disk, hex. OSError when it cannot be read; Unreachable when the process has died."""
        answer = await self._ask(str(path))
        while "read" in answer:
            await pace(answer["read"])
            answer = await self._ask("")
        if "sha256" not in answer:
            raise OSError(answer["errno"], answer["why"])
        return str(answer["sha256"])

    async def _ask(self, what: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        line = await self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise Unreachable("the process that reads stored footage died", code="worker-died")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextlib.asynccontextmanager
async def digester() -> AsyncIterator[Digester]:
    """A process for the time of the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.footage.scrub_worker"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Digester(process)
    finally:
        await put_down(process)


# -- the process itself -----------------------------------------------------------------------------------------------


def _answers(path: Path) -> Iterator[dict[str, Any]]:
    """What is said of a file, an answer a piece. Past the page cache: the disk is asked, and what others read is not pushed out."""
    digest, at = hashlib.sha256(), 0
    try:
        with path.open("rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while piece := file.read(PIECE):
                digest.update(piece)
                os.posix_fadvise(file.fileno(), at, len(piece), os.POSIX_FADV_DONTNEED)
                at += len(piece)
                yield {"read": len(piece)}
        yield {"sha256": digest.hexdigest()}
    except OSError as error:
        yield {"errno": error.errno or errno.EIO, "why": error.strerror or str(error)}


def _go_last() -> None:
    """Take what nobody else wants: an idle process is idle towards the disk, too, where its scheduler knows of that."""
    os.nice(_NICENESS)
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _main() -> None:
    answers: Iterator[dict[str, Any]] = iter(())
    for line in sys.stdin:
        if path := json.loads(line):
            answers = _answers(Path(path))
        sys.stdout.write(json.dumps(next(answers)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _go_last()
    with contextlib.suppress(BrokenPipeError):  # the daemon is gone
        _main()
