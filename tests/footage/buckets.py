"""An S3-compatible store on loopback, moto's, in a process of its own; and what lies in it."""

import asyncio
import contextlib
import hashlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from xml.etree import ElementTree

import aiohttp

from gateway.footage.to_object_store import Bucket, Login, ObjectStoreDestination
from tests.waiting import until

BUCKET = "evidence"
LOGIN = Login("an-access-key", "hunter2")
_SERVE = "from moto.server import main; main(['-H', '127.0.0.1', '-p', '{port}'])"
_NS = "{http://s3.amazonaws.com/doc/2006-03-01/}"


@dataclass(frozen=True)
class Shelf:
    """The bucket at `endpoint`, as anybody with a key sees it."""

    endpoint: str
    http: aiohttp.ClientSession

    def destination(self, prefix: str = "", *, bucket: str = BUCKET, door: int | None = None) -> ObjectStoreDestination:
        """`door`: the port by which it is reached, unless it is its own."""
        endpoint = f"http://127.0.0.1:{door}" if door else self.endpoint
        return ObjectStoreDestination("platform", Bucket(endpoint, bucket, prefix), lambda: LOGIN)

    async def objects(self) -> dict[str, str]:
        """Key → SHA-256 of what lies there."""
        keys = [str(one.text) for one in (await self._listed("list-type=2")).iter(f"{_NS}Key")]
        return {key: hashlib.sha256(await self.read(key)).hexdigest() for key in keys}

    async def uploads(self) -> int:
        """How many uploads in parts were begun and are neither whole nor given up."""
        return len(list((await self._listed("uploads")).iter(f"{_NS}UploadId")))

    async def read(self, key: str) -> bytes:
        async with self.http.get(f"{self.endpoint}/{BUCKET}/{key}") as answer:
            return await answer.read()

    async def put(self, key: str, data: bytes) -> None:
        async with self.http.put(f"{self.endpoint}/{BUCKET}/{key}", data=data) as answer:
            assert answer.status == 200

    async def _listed(self, query: str) -> ElementTree.Element:
        async with self.http.get(f"{self.endpoint}/{BUCKET}?{query}") as answer:
            return ElementTree.fromstring(await answer.text())


@contextlib.asynccontextmanager
async def shelf(port: int) -> AsyncIterator[Shelf]:
    """A store with the empty bucket BUCKET."""
    endpoint = f"http://127.0.0.1:{port}"
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _SERVE.format(port=port), stdout=quiet, stderr=quiet)
    try:
        async with aiohttp.ClientSession() as http:
            await until(lambda: _made(http, f"{endpoint}/{BUCKET}"), within_s=60)
            yield Shelf(endpoint, http)
    finally:
        process.terminate()
        await process.wait()


class _Door:
    """Stands in front of the store and passes on what comes and goes; what is done with what comes in, `_let_in` says."""

    def __init__(self, port: int, *, after: int) -> None:
        self._port = port
        self._left = after

    @contextlib.asynccontextmanager
    async def standing(self, port: int) -> AsyncIterator[None]:
        """While it stands at `port` of loopback."""
        server = await asyncio.start_server(self._pass, "127.0.0.1", port)
        try:
            yield
        finally:
            server.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, mine = await asyncio.open_connection("127.0.0.1", self._port)
        async with asyncio.TaskGroup() as group:
            group.create_task(_flow(theirs, writer))
            group.create_task(_flow(reader, mine, lambda data: self._let_in(data, reader, writer)))

    async def _let_in(self, data: bytes, reader: asyncio.StreamReader, back: asyncio.StreamWriter) -> bytes:
        """What goes on to the store of `data`; nothing ends that."""
        raise NotImplementedError


class Gate(_Door):
    """Lets bytes in until it has seen `after` of them and then none, until `open` is called."""

    def __init__(self, port: int, *, after: int) -> None:
        super().__init__(port, after=after)
        self._opened = asyncio.Event()
        self.shut = asyncio.Event()

    def open(self) -> None:
        self._opened.set()

    async def _let_in(self, data: bytes, reader: asyncio.StreamReader, back: asyncio.StreamWriter) -> bytes:
        self._left -= len(data)
        if self._left < 0 and not self._opened.is_set():
            self.shut.set()
            await self._opened.wait()
        return data


class Spoiler(_Door):
    """A store behind which the disk flips one bit of what came in by this door after so many bytes; `keeping`: it refuses to remove."""

    def __init__(self, port: int, *, after: int, keeping: bool = False) -> None:
        super().__init__(port, after=after)
        self._keeping = keeping

    async def _let_in(self, data: bytes, reader: asyncio.StreamReader, back: asyncio.StreamWriter) -> bytes:
        if self._keeping and b"?delete HTTP" in data:
            back.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            await reader.read()
            return b""
        before, self._left = self._left, self._left - len(data)
        return _flipped(data, before) if 0 <= before < len(data) else data


async def _flow(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, change: Callable[[bytes], Awaitable[bytes]] | None = None
) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            changed = await change(data) if change else data
            if not changed:
                break
            writer.write(changed)
            await writer.drain()
    writer.close()


def _flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


async def _made(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.put(url) as answer:
            return answer.status == 200
    except aiohttp.ClientConnectionError:
        return False
