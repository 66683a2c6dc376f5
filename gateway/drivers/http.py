"""The one way out for HTTP to devices: a bounded conversation, under one deadline, with the address that the inventory names.

A caller says *what* to ask as a `Conversation`: a generator that yields requests and is sent their answers, and whose return value is
the result. `Http.converse` says *how*: it keeps to one connection as long as the device lets it, never follows a redirect, never sends
or keeps a cookie, knows no proxy, and takes an address, a port and a path, never a URL. There is one conversation per socket and one
socket per conversation, so one device can neither see nor delay another's.

It speaks over bare non-blocking sockets: a check is two small exchanges, and a general client costs more than everything else in it.
"""

import asyncio
import errno
import re
import socket
from collections import Counter
from collections.abc import Generator
from typing import Generic, NamedTuple, TypeVar
from urllib.parse import quote

from gateway.drivers.http_reader import Answer, AnswerReader
from gateway.errors import DeadlineExceeded, InvalidInput, Overloaded, ProtocolError, Unreachable

SOAP_LIMIT = 256 * 1024
"""Bytes of an ordinary answer, before and after decompression."""

RICH_LIMIT = 2 * 1024 * 1024
"""Bytes of an answer that may list much, and of a picture."""

PATH_LIMIT = 2048

REQUEST_LIMIT = 16
"""Requests of one conversation, retries included: what a device can make us send by asking for more."""


class Request(NamedTuple):
    """One request. `path` is what `path_of` or we ourselves made. `last`: the connection is closed after the answer.

    `repeatable`: sending it twice does no harm, so that it may be sent again when a kept connection turns out to be closed.
    """

    method: str
    path: str
    body: bytes = b""
    fields: tuple[tuple[str, str], ...] = ()
    limit: int = SOAP_LIMIT
    last: bool = True
    repeatable: bool = True


T = TypeVar("T")
Conversation = Generator[Request, Answer, T]


class Http:
    """All conversations with devices: at most `connections` at a time, `per_address` with one address.

    Over either bound a call waits for nothing and raises `Overloaded`: the wheel's spreading keeps us below, so a caller that meets
    it is lagging and must say "unknown", not "down".
    """

    def __init__(self, *, connections: int = 1024, per_address: int = 4) -> None:
        self._free = connections
        self._per_address = per_address
        self._busy: Counter[str] = Counter()

    async def converse(self, address: str, port: int, conversation: Conversation[T], *, timeout_s: float) -> T:
        """Hold `conversation` with a device and return its result. `timeout_s` is one deadline over the whole of it.

        Raises Unreachable, DeadlineExceeded, ProtocolError, what the conversation itself raises, and Overloaded.
        """
        if self._free <= 0 or self._busy[address] >= self._per_address:
            raise Overloaded("too many conversations with devices are under way")
        self._free -= 1
        self._busy[address] += 1
        try:
            return await _Link(address, port, conversation).result(timeout_s)
        finally:
            self._free += 1
            self._busy[address] -= 1
            if not self._busy[address]:
                del self._busy[address]

    async def ask(self, address: str, port: int, request: Request, *, timeout_s: float) -> Answer:
        """One request and its answer, whatever its status but a redirect."""
        return await self.converse(address, port, _one(request), timeout_s=timeout_s)


def path_of(url: str) -> str:
    """Path and query of a URL that a device gave; whatever stands before them (scheme, user, host, port) is thrown away unread.

    Never fails: what cannot be part of a request line is percent-encoded, what has no path is "/", and `PATH_LIMIT` characters are kept.
    """
    url = url.strip()[:PATH_LIMIT]
    authority = _AUTHORITY.match(url)
    rest = (url[authority.end() :] if authority else url).partition("#")[0]
    if rest.startswith("?"):
        rest = "/" + rest
    path = quote(rest[rest.find("/") :] if "/" in rest else "/", safe=_KEPT, errors="replace")
    return "/" + path.lstrip("/")


# -- one conversation -------------------------------------------------------------------------------------------------

_AUTHORITY = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)(?://)?[^/?#]*|//[^/?#]*")
_KEPT = "/?&=%:@!$'()*+,;~-._"
_READ_SIZE = 32 * 1024
_UNSAFE = re.compile(r"[^\x21-\x7e]")
_UNREACHABLE = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.ECONNABORTED: "reset",
    errno.EHOSTUNREACH: "no-route",
    errno.ENETUNREACH: "no-route",
    errno.EHOSTDOWN: "no-route",
    errno.ENETDOWN: "no-route",
    errno.ETIMEDOUT: "no-route",
}
_OURS = {errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.EADDRINUSE, errno.ENOBUFS, errno.ENOMEM}


def _one(request: Request) -> Conversation[Answer]:
    return (yield request)


class _Link(Generic[T]):
    """One conversation under way. The generator is resumed inside the loop's callbacks: no task wakes up between its requests."""

    __slots__ = (
        "_address",
        "_asked",
        "_conversation",
        "_done",
        "_host",
        "_kept",
        "_loop",
        "_outgoing",
        "_port",
        "_reader",
        "_request",
        "_sent_at",
        "_socket",
        "_writing",
    )

    def __init__(self, address: str, port: int, conversation: Conversation[T]) -> None:
        self._address = address
        self._port = port
        self._host = _host_field(address, port)
        self._conversation = conversation
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[T] = self._loop.create_future()
        self._socket: socket.socket | None = None
        self._asked = 0
        self._kept = False
        self._sent_at = 0.0
        self._writing = False

    async def result(self, timeout_s: float) -> T:
        deadline = self._loop.call_later(timeout_s, self._expire, timeout_s)
        try:
            self._resume(None)
            return await self._done
        finally:
            deadline.cancel()
            self._disconnect()
            self._conversation.close()

    # -- the conversation ----------------------------------------------------------------------------------------------

    def _resume(self, answer: Answer | None) -> None:
        """Give the conversation an answer and send what it asks next."""
        try:
            request = next(self._conversation) if answer is None else self._conversation.send(answer)
            self._asked += 1
            self._request = request
            if self._asked > REQUEST_LIMIT:
                self._fail(ProtocolError("the device never lets the conversation end"))
            else:
                self._ask(kept=answer is not None and answer.reusable)
        except StopIteration as stop:
            self._done.set_result(stop.value)
        except OSError as error:
            self._fail(_translate(error))
        except Exception as error:  # whatever it is, it is the caller's to see
            self._fail(error)

    def _ask(self, *, kept: bool) -> None:
        self._outgoing = _encode(self._request, self._host)
        self._reader = AnswerReader(self._request.limit)
        self._kept = kept
        if kept:
            self._send()
        else:
            self._disconnect()
            self._connect()

    def _answered(self, answer: Answer) -> None:
        if 300 <= answer.status < 400:
            self._fail(ProtocolError("the device wants to send us elsewhere", code="redirect"))
            return
        self._resume(answer._replace(elapsed_s=self._loop.time() - self._sent_at))

    def _fail(self, error: Exception) -> None:
        if not self._done.done():
            self._done.set_exception(error)

    def _expire(self, timeout_s: float) -> None:
        heard = self._asked > 1 or self._reader.started
        self._fail(DeadlineExceeded(f"no complete answer within {timeout_s:g} s", code="slow" if heard else None))

    # -- the socket ----------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        link = socket.socket(socket.AF_INET6 if ":" in self._address else socket.AF_INET, _STREAM)
        self._socket = link
        state = link.connect_ex((self._address, self._port))
        if state not in (0, errno.EINPROGRESS):
            raise OSError(state, "connect")
        self._loop.add_writer(link.fileno(), self._connected)

    def _connected(self) -> None:
        assert self._socket is not None
        if self._done.done():
            return
        self._loop.remove_writer(self._socket.fileno())
        state = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if state:
            self._fail(_translate(OSError(state, "connect")))
            return
        self._loop.add_reader(self._socket.fileno(), self._readable)
        self._guarded_send()

    def _guarded_send(self) -> None:
        try:
            self._send()
        except OSError as error:
            self._broken(_translate(error))

    def _send(self) -> None:
        """Send what is left of the request; requests are small, so nearly always all of it at once."""
        assert self._socket is not None
        self._sent_at = self._loop.time()
        try:
            sent = self._socket.send(self._outgoing)
        except BlockingIOError:
            sent = 0
        self._outgoing = self._outgoing[sent:]
        if self._outgoing and not self._writing:
            self._writing = True
            self._loop.add_writer(self._socket.fileno(), self._guarded_send)
        elif self._writing and not self._outgoing:
            self._writing = False
            self._loop.remove_writer(self._socket.fileno())

    def _readable(self) -> None:
        assert self._socket is not None
        if self._done.done():
            return
        try:
            data = self._socket.recv(_READ_SIZE)
            answer = self._reader.feed(data) if data else self._reader.end()
        except BlockingIOError:
            return
        except OSError as error:
            self._broken(_translate(error))
        except Exception as error:  # nothing that a device sends may reach the loop's own handler
            self._fail(error)
        else:
            if answer is not None:
                self._answered(answer)
            elif not data:
                self._broken(_hung_up(in_the_middle=self._reader.started))

    def _broken(self, error: Exception) -> None:
        """The connection ended. A device may close a kept connection at any moment: then the request was not read, and is sent anew."""
        if not self._kept or self._reader.started or not self._request.repeatable:
            self._fail(error)
            return
        try:
            self._ask(kept=False)
        except OSError as again:
            self._fail(_translate(again))

    def _disconnect(self) -> None:
        link, self._socket = self._socket, None
        if link is not None:
            self._loop.remove_reader(link.fileno())
            self._loop.remove_writer(link.fileno())
            link.close()


_STREAM = socket.SOCK_STREAM | socket.SOCK_NONBLOCK


def _host_field(address: str, port: int) -> str:
    """The Host field's value; the address must be literal, because a name would be looked up, and blocking."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        socket.inet_pton(family, address)
    except OSError:
        raise InvalidInput(f"{address!r} is no IP address") from None
    host = f"[{address}]" if family == socket.AF_INET6 else address
    return host if port == 80 else f"{host}:{port}"


def _encode(request: Request, host: str) -> bytes:
    if _UNSAFE.search(request.path):
        raise InvalidInput("a request path holds what no request line may")
    connection = "close" if request.last else "keep-alive"
    fields = "".join(f"{name}: {value}\r\n" for name, value in request.fields)
    fields += f"Content-Length: {len(request.body)}\r\nConnection: {connection}\r\n"
    head = f"{request.method} {request.path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"
    return head.encode("latin-1") + request.body


def _hung_up(*, in_the_middle: bool) -> Unreachable:
    if in_the_middle:
        return Unreachable("the device closed the connection in the middle of its answer", code="truncated")
    return Unreachable("the device closed the connection instead of answering", code="closed")


def _translate(error: OSError) -> Exception:
    if error.errno in _OURS:
        return Overloaded(f"this machine has no sockets left ({errno.errorcode[error.errno or 0]})")
    code = _UNREACHABLE.get(error.errno or 0, "unreachable")
    return Unreachable(f"no connection to the device: {code}", code=code)
