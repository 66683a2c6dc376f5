"""Key pictures told in a few numbers, by a decoder in a process of its own that is kept while there is work."""

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from gateway.domain.pictures import COLUMNS, ROWS, Picture
from gateway.errors import DeadlineExceeded, ProtocolError
from gateway.processes import put_down

_TIMEOUT_S = 10.0
_WORKER = Path(__file__).with_name("picture_worker.py")
_ANSWER_LIMIT = 1 << 16


class PictureReader:
    """One decoder for all, one picture at a time; it is started when it is needed, and again when it has ended or had to be killed."""

    def __init__(self, *, python: str = sys.executable, timeout_s: float = _TIMEOUT_S) -> None:
        self._python = python
        self._timeout_s = timeout_s
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None

    async def read(self, encoding: str, stream: bytes) -> Picture:
        """The picture that `stream` begins with. ProtocolError (`no-picture`) for one that cannot be decoded, DeadlineExceeded (`slow`)."""
        async with self._turn:
            try:
                async with asyncio.timeout(self._timeout_s):
                    line = await self._ask(encoding, stream)
            except TimeoutError:
                await self._kill()
                raise DeadlineExceeded(f"the stream's picture was not decoded within {self._timeout_s:g} s", code="slow") from None
            except BaseException:
                await self._kill()
                raise
        told = json.loads(line or '{"ok": false, "why": "the decoder died"}')
        if not told["ok"]:
            raise ProtocolError(f"the stream's picture cannot be decoded: {told['why']}", code="no-picture")
        return _picture(told)

    async def close(self) -> None:
        """End the decoder."""
        await self._kill()

    async def _ask(self, encoding: str, stream: bytes) -> bytes:
        for fresh in (False, True):
            process = await self._running(anew=fresh)
            assert process.stdin is not None
            assert process.stdout is not None
            with contextlib.suppress(ConnectionError):
                process.stdin.write(f"{encoding} {len(stream)}\n".encode() + stream)
                await process.stdin.drain()
            line = await process.stdout.readline()
            if line:
                return line
        return b""

    async def _running(self, *, anew: bool) -> asyncio.subprocess.Process:
        if anew or self._process is None or self._process.returncode is not None:
            await self._kill()
            pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
            self._process = await asyncio.create_subprocess_exec(
                self._python, "-I", str(_WORKER), stdin=pipe, stdout=pipe, stderr=nowhere, limit=_ANSWER_LIMIT
            )
        return self._process

    async def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await put_down(process)


def _picture(told: dict[str, Any]) -> Picture:
    grains, fields = bytes.fromhex(told["grains"]), bytes.fromhex(told["fields"])
    assert len(fields) == len(grains) == COLUMNS * ROWS
    numbers = {name: told[name] for name in ("width", "height", "dark", "bright", "flat", "sharpness", "colour", "digest")}
    return Picture(**numbers, grains=grains, fields=fields)
