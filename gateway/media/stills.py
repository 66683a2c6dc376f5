"""A still out of a stream: the first key picture of its packets, decoded in a process of its own and given as JPEG."""

import asyncio
import json
import sys
from pathlib import Path

from gateway.errors import DeadlineExceeded, ProtocolError
from gateway.media.depacketize import Depacketizer, Packet
from gateway.media.mp4 import Track
from gateway.media.parameter_sets import from_format
from gateway.processes import put_down

_TIMEOUT_S = 10.0
_AT_ONCE = 2  # each decoder may take 512 MiB
_WORKER = Path(__file__).with_name("still_worker.py")
_START = b"\x00\x00\x00\x01"


class KeyPicture:
    """Looks for the first undamaged key picture of `track`. NotSupported for a codec that cannot be decoded."""

    def __init__(self, track: Track) -> None:
        self._depacketizer = Depacketizer(track.encoding)
        self._sets = from_format(track.encoding, track.parameters)

    def __call__(self, packet: Packet) -> bytes | None:
        """The picture as a byte stream with its parameter sets, once it is complete. Raises ProtocolError for one that is too large."""
        for unit in self._depacketizer.push(packet):
            if unit.key and not unit.damaged:
                return b"".join(_START + nal for nal in (*self._sets, *unit.nals))
        return None


class StillDecoder:
    """Turns key pictures into JPEG, `_AT_ONCE` at a time."""

    def __init__(self, *, python: str = sys.executable, width: int | None = None) -> None:
        """`width`: of the JPEG in pixels, the height in proportion; None: as large as the picture is. Nothing is made larger."""
        self._python = python
        self._size = [str(width)] if width else []
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def jpeg(self, encoding: str, stream: bytes) -> bytes:
        """The picture that `stream` begins with. Raises ProtocolError when it cannot be decoded, DeadlineExceeded after 10 s."""
        async with self._places:
            output = await self._run(encoding, stream)
        line, _, picture = output.partition(b"\n")
        answer = json.loads(line or '{"ok": false, "why": "the decoder died"}')
        if not answer["ok"]:
            raise ProtocolError(f"the stream's picture cannot be decoded: {answer['why']}", code="no-picture")
        return picture

    async def _run(self, encoding: str, stream: bytes) -> bytes:
        """What the worker wrote. It is killed when it takes too long or nobody waits for it any more."""
        pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(
            self._python, "-I", str(_WORKER), encoding, *self._size, stdin=pipe, stdout=pipe, stderr=nowhere, limit=1 << 20
        )
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                output, _ = await process.communicate(stream)
        except TimeoutError:
            raise DeadlineExceeded(f"the stream's picture was not decoded within {_TIMEOUT_S:g} s", code="slow") from None
        finally:
            await put_down(process)
        return output
