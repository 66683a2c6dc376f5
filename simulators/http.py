"""A small HTTP/1.1 server on a raw asyncio protocol: one listener for all devices, told apart by the local address.

Everything is bounded: a head of 16 KiB, a body of 256 KiB, 1,024 connections waiting to be taken, a minute of idleness. A peer that is not
on loopback is closed at once, unheard.
"""

import asyncio
import re
import resource
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

HEAD_BYTES: Final = 16 * 1024
BODY_BYTES: Final = 256 * 1024
BACKLOG: Final = 1024
IDLE_S: Final = 60.0
REASONS: Final = {
    200: b"OK",
    302: b"Found",
    400: b"Bad Request",
    401: b"Unauthorized",
    404: b"Not Found",
    405: b"Method Not Allowed",
    409: b"Conflict",
    410: b"Gone",
    411: b"Length Required",
    413: b"Content Too Large",
    415: b"Unsupported Media Type",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
}
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r\n")


@dataclass(frozen=True, slots=True)
class Request:
    """One complete request. `head`: the request line and the header lines, each ended by CRLF.

    `peer`: who asks; `connections`: how many are open to this host, the one it came by included.
    """

    method: str
    target: str
    head: bytes
    body: bytes
    peer: str = ""
    connections: int = 1

    def header(self, name: str) -> str:
        """The first value of a header, "" when it is absent."""
        found = re.search(rb"\r\n" + re.escape(name.encode()) + rb":[ \t]*([^\r\n]*)", self.head, re.IGNORECASE)
        return found.group(1).decode("latin-1").strip() if found else ""


@dataclass(frozen=True, slots=True)
class Response:
    status: int = 200
    body: bytes = b""
    content_type: bytes = b"application/soap+xml; charset=utf-8"
    headers: tuple[bytes, ...] = ()

    def encoded(self, *, close: bool) -> bytes:
        lines = [*self.headers, b"Connection: close" if close else b"Connection: keep-alive"]
        return b"HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n\r\n%s" % (
            self.status,
            REASONS[self.status],
            self.content_type,
            len(self.body),
            b"\r\n".join(lines),
            self.body,
        )


class Wire(Protocol):
    """One connection as a misbehaving device sees it."""

    def write(self, data: bytes) -> None: ...

    async def drain(self) -> None: ...

    def close(self) -> None: ...

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        ...


Later = Coroutine[Any, Any, Response]
"""An answer that takes its time; the connection waits for it, the others do not."""

Behaviour = Callable[[Wire, Response], Coroutine[Any, Any, None]]
"""Sends an answer in its own way, and closes or does not."""


class Host(Protocol):
    """What stands behind one local address."""

    def answer(self, request: Request) -> Response | Later: ...

    def welcomes(self) -> bool:
        """False when connections are to be closed at once."""
        ...

    def behaviour(self, request: Request) -> Behaviour | None:
        """How to send the answer to `request`; None for at once and whole."""
        ...


Lookup = Callable[[str], Host | None]
Around = Callable[[Callable[[], asyncio.Protocol]], asyncio.Protocol]


def is_loopback(address: str) -> bool:
    """Whether a peer's address is 127.0.0.0/8 or ::1, mapped or not."""
    return address.removeprefix("::ffff:").startswith("127.") or address == "::1"


def raise_file_limit() -> int:
    """Let this process open as many files as it may; returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


@asynccontextmanager
async def listen(
    lookup: Lookup, *, host: str = "0.0.0.0", port: int, idle_s: float = IDLE_S, around: Around | None = None
) -> AsyncIterator[int]:
    """Serve what `lookup` finds for a local address until the block ends, then drop all connections; gives the bound port.

    `around`: what stands between a new connection and its HTTP, such as TLS.
    Raises OSError when the port is taken.
    """
    tasks, connections, crowd = asyncio.TaskGroup(), set[_Connection](), Counter[str]()

    def taken() -> asyncio.Protocol:
        return _Connection(lookup, connections, crowd, tasks)

    server = await asyncio.get_running_loop().create_server(
        taken if around is None else lambda: around(taken), host, port, backlog=BACKLOG, start_serving=False
    )
    async with _alone(tasks):
        sweeper = tasks.create_task(_sweep(connections, idle_s), name="http idle sweep")
        try:
            await server.start_serving()
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            sweeper.cancel()
            for connection in tuple(connections):
                connection.abort()


@asynccontextmanager
async def _alone(tasks: asyncio.TaskGroup) -> AsyncIterator[None]:
    """The task group, but an error that came alone leaves it as itself."""
    try:
        async with tasks:
            yield
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise


async def _sweep(connections: "set[_Connection]", idle_s: float) -> None:
    """Closes what has been idle for so long, give or take a sixth."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(idle_s / 6)
        for connection in [connection for connection in connections if connection.idle_since < loop.time() - idle_s]:
            connection.abort()


class _Connection(asyncio.Protocol):
    """One connection: requests in, answers out, one at a time and in order."""

    __slots__ = (
        "_buffer",
        "_busy",
        "_connections",
        "_crowd",
        "_drained",
        "_host",
        "_local",
        "_lookup",
        "_peer",
        "_task",
        "_tasks",
        "_transport",
        "idle_since",
    )

    def __init__(self, lookup: Lookup, connections: "set[_Connection]", crowd: Counter[str], tasks: asyncio.TaskGroup) -> None:
        self._lookup = lookup
        self._connections = connections
        self._crowd = crowd
        self._local = self._peer = ""
        self._tasks = tasks
        self._buffer = b""
        self._busy = False
        self._task: asyncio.Task[None] | None = None
        self._drained: asyncio.Event | None = None
        self.idle_since = 0.0

    # -- what the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        host = self._lookup(local[0]) if peer and is_loopback(peer[0]) else None
        if host is None or not host.welcomes():
            transport.abort()
            return
        self._host = host
        self._local, self._peer = local[0], peer[0]
        self._crowd[self._local] += 1
        self._connections.add(self)
        self.idle_since = asyncio.get_running_loop().time()

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if len(self._buffer) > HEAD_BYTES + BODY_BYTES:
            self._refuse(413)
        while self._buffer and not self._busy:
            if not self._take():
                return

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio calls it so
        self._connections.discard(self)
        if self._local:
            self._crowd[self._local] -= 1
            if not self._crowd[self._local]:
                del self._crowd[self._local]
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        if self._drained is not None:
            self._drained.clear()

    def resume_writing(self) -> None:
        if self._drained is not None:
            self._drained.set()

    # -- Wire

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    async def drain(self) -> None:
        assert self._drained is not None
        await asyncio.sleep(0)
        await self._drained.wait()

    def close(self) -> None:
        self._transport.close()

    def reset(self) -> None:
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def abort(self) -> None:
        self._transport.abort()

    # -- one request

    def _take(self) -> bool:
        """Answer the first request in the buffer; False when it is not complete or the connection is over."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or end > HEAD_BYTES:
            return self._refuse(431) if end > 0 or len(self._buffer) > HEAD_BYTES else False
        head = self._buffer[: end + 2]
        lower = head.lower()
        length = _body_length(lower)
        if length is None or length > BODY_BYTES:
            return self._refuse(411 if length is None else 413)
        body = self._buffer[end + 4 : end + 4 + length]
        if len(body) < length:
            return False
        words = head[: head.index(b"\r\n")].split(b" ")
        if len(words) != 3:
            return self._refuse(400)
        self._buffer = self._buffer[end + 4 + length :]
        close = b"\r\nconnection: close" in lower or words[2] == b"HTTP/1.0"
        method, target = words[0].decode("latin-1"), words[1].decode("latin-1")
        self._answer(Request(method, target, head, body, self._peer, self._crowd[self._local]), close=close)
        return not close

    def _answer(self, request: Request, *, close: bool) -> None:
        response = self._host.answer(request)
        behaviour = self._host.behaviour(request)
        if behaviour is None and isinstance(response, Response):
            self._send(response, close=close)
            return
        self._busy = True
        self._drained = asyncio.Event()
        self._drained.set()
        self.idle_since = float("inf")
        self._task = self._tasks.create_task(self._take_time(response, behaviour, close=close), name="slow or faulty answer")

    async def _take_time(self, answer: Response | Later, behaviour: Behaviour | None, *, close: bool) -> None:
        response = answer if isinstance(answer, Response) else await answer
        if behaviour is None:
            self.write(response.encoded(close=close))
        else:
            await behaviour(self, response)
        self._task = None
        self._busy = False
        if close or self._transport.is_closing():
            self._transport.close()
            return
        self.idle_since = asyncio.get_running_loop().time()
        self.data_received(b"")

    def _send(self, response: Response, *, close: bool) -> None:
        self._transport.write(response.encoded(close=close))
        if close:
            self._transport.close()
        self.idle_since = asyncio.get_running_loop().time()

    def _refuse(self, status: int) -> bool:
        self._buffer = b""
        self._send(Response(status, content_type=b"text/plain"), close=True)
        return False


def _body_length(head: bytes) -> int | None:
    """Content-Length of a lower-cased head, 0 without one; None for a body whose length is not said (chunked)."""
    if b"\r\ntransfer-encoding:" in head:
        return None
    found = _LENGTH.search(head)
    return int(found.group(1)) if found else 0
