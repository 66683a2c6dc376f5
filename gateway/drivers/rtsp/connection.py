"""One RTSP connection to one device: requests with their answers, authentication, keep-alive, and the frames that come between."""

import asyncio
import copy
import re
import socket
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from urllib.parse import urlsplit

from gateway.drivers import deadlines, digest
from gateway.drivers.base import Descriptor, Target, Write
from gateway.drivers.rtsp import messages
from gateway.drivers.rtsp.bursts import Burst, Fragmentation
from gateway.drivers.rtsp.messages import Frame
from gateway.drivers.textual import Headers, Request, Response
from gateway.errors import (
    AuthenticationFailed,
    Busy,
    DeviceError,
    DeviceFault,
    NotSupported,
    ProtocolError,
    Unreachable,
)

USER_AGENT = "city-gateway"  # some cameras answer nobody who does not say a name
# Bytes that wait because the device does not read: in our hands, two seconds of speech, and in the kernel's. Sound that is older is
# of no use, and a device that has stopped reading shall be noticed soon.
WRITE_LIMIT = 16 * 1024
_KERNEL_LIMIT = 16 * 1024
_UNANSWERED_LIMIT = 8  # beyond so many requests without an answer no keep-alive is sent
_ASKED_AT_MOST = 16  # times a second that a device may ask something of us while somebody else writes our answers
_FAREWELL_S = 1.0
_OVER = frozenset({"rtsp-454"})  # what says that the device has no such session any more
_DEFAULT_SESSION_S = 60  # RFC 2326, 12.37
_SESSION = re.compile(r"([^\s;]{1,256})(?:\s*;\s*timeout\s*=\s*(\d{1,6}))?", re.IGNORECASE)
_SAFE_PATH = re.compile(r"/[!-~]*")
_SCHEMES = re.compile(r"(?:rtspu?://)+(?=rtspu?://)", re.IGNORECASE)  # some devices write it twice
# What a device may ask of us; all else is answered 501, and REDIRECT never followed.
_ANSWERED = frozenset({"OPTIONS", "GET_PARAMETER", "SET_PARAMETER", "ANNOUNCE", "TEARDOWN"})

FrameSink = Callable[[int, bytes], None]
BurstSink = Callable[[Burst], None]


deadline = partial(deadlines.deadline, protocol="RTSP")
"""One deadline over everything inside: `deadline(target, timeout_s)`."""


def base_url(target: Target, path: str = "/") -> str:
    """The URL of `path` on the target: the address and port are the inventory's. Raises ProtocolError for a path that is none."""
    if not path.startswith("/"):
        path = "/" + path
    if not _SAFE_PATH.fullmatch(path):
        raise ProtocolError(f"{target.device}: the RTSP path holds characters that no URL has")
    host = f"[{target.address}]" if ":" in target.address else target.address
    return f"rtsp://{host}:{target.ports.rtsp}{path}"


def resolve(target: Target, base: str, control: str) -> str:
    """The URL that a device means by `control`, kept on the target (rule 1): host and port that it names are dropped.

    A relative control is appended to `base`, as devices expect whose paths hold a query, rather than merged as RFC 1808 has it.
    """
    if control in ("", "*"):
        return _kept(target, base)
    if "://" in control or control.startswith("/"):
        return _kept(target, control)
    return _kept(target, base.rstrip("/") + "/" + control)


def _kept(target: Target, url: str) -> str:
    try:
        parts = urlsplit(_SCHEMES.sub("", url, count=1))
    except ValueError as error:
        raise ProtocolError(f"{target.device}: names a URL that is none") from error
    return base_url(target, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))


class Connection(asyncio.Protocol):
    """A connection made by `connect`. It is the only writer on its socket, so that frames and messages never mix.

    `on_frame` gets the frames that the device sends; unwanted ones are dropped where they arrive. `on_end` is called with None when
    the device sends TEARDOWN, and with the error when the connection is lost. `farewell_headers` go with our own TEARDOWN.
    `password_refused`: the device has refused the inventory's password; it is not said again here. `ends_forgotten`: a device that answers
    a keep-alive with 454 has ended the session; whoever is sent something by the device sees better whether it goes on. `let_in` is called
    when the device has granted something with our login shown.
    """

    def __init__(self, target: Target, loop: asyncio.AbstractEventLoop) -> None:
        self.target = target
        self.on_frame: FrameSink = _drop
        self.on_end: Callable[[DeviceError | None], None] = _ignore
        self.let_in: Callable[[], None] = lambda: None
        self.farewell_headers: Sequence[tuple[str, str]] = ()
        self.session = ""
        self.session_timeout_s = float(_DEFAULT_SESSION_S)
        self.failure: DeviceError | None = None
        self.torn_down = False
        self.password_refused = False
        self.ends_forgotten = False
        self._loop = loop
        self._parser = messages.Parser()
        self._room: messages.Room | None = None
        self._on_burst: BurstSink = _ignore_burst
        self._transport: asyncio.Transport | None = None
        self._closed: asyncio.Future[None] = loop.create_future()
        self._pending: dict[int, asyncio.Future[Response]] = {}
        self._sequence = 0
        self._digest: digest.Digest | None = None
        self._trusted = False
        self._keep_alive: asyncio.TimerHandle | None = None
        self._keep_alive_method = "GET_PARAMETER"
        self._writer: Write | None = None
        self._asked: deque[float] = deque(maxlen=_ASKED_AT_MOST)

    # -- requests -----------------------------------------------------------------------------------------------------

    async def request(self, method: str, url: str, headers: Sequence[tuple[str, str]] = ()) -> Response:
        """Send one request and return its 2xx answer, authenticating when asked.

        Raises AuthenticationFailed after one refusal of the same credentials (rule 5), and as stale-nonce when the device takes no nonce
        of its own, which says nothing against them; Busy (453, 503), NotSupported (501, 551),
        DeviceFault for other statuses, Unreachable, ProtocolError. The caller's deadline bounds the wait.
        """
        for _ in range(3):
            login = self._digest
            response = await self._exchange(method, url, headers)
            if response.status != 401:
                self._take_trust(login)
                granted = self._judge(method, response)
                if login is not None:
                    self.let_in()
                return granted
            self._take_challenge(response, login)
        raise self._never_fresh()

    def _take_trust(self, login: digest.Digest | None) -> None:
        """What was asked with `login` was not refused for it: a 401 that follows means that the nonce has had its time."""
        if login is not None and login is self._digest:
            self._trusted = True

    def _take_challenge(self, response: Response, login: digest.Digest | None) -> None:
        """Prepare another try of what was asked with `login`; raises AuthenticationFailed when what we know has been refused already."""
        if login is not None and self._digest is not None and login is not self._digest:
            return  # another request has brought a newer nonce meanwhile
        credentials = self.target.credentials
        if self.password_refused:
            raise self._refused()
        if not credentials.username:
            raise AuthenticationFailed(
                f"{self.target.device}: asks for a password over RTSP and the inventory has none",
                hint="Add the device's user name and password to the inventory.",
            )
        challenge = digest.choose(response.headers.all("WWW-Authenticate"))
        if self._digest is not None:
            renewed = challenge.nonce != self._digest.challenge.nonce and (challenge.stale or self._trusted)
            if not renewed:
                raise self._never_fresh() if challenge.stale else self._refused()
            self._trusted = False
        self._digest = digest.Digest(challenge, credentials)

    def _refused(self) -> AuthenticationFailed:
        """The password is not said again on this connection, not even in our farewell."""
        self.password_refused, self._digest = True, None
        return AuthenticationFailed(
            f"{self.target.device}: refuses our password over RTSP",
            hint="Correct the device's password in the inventory, or, if it is right, check the device with retry_credentials.",
        )

    def _never_fresh(self) -> AuthenticationFailed:
        """Who calls a nonce stale has found the password right (RFC 7616, 3.3)."""
        return AuthenticationFailed(
            f"{self.target.device}: calls every login stale over RTSP",
            code="stale-nonce",
            hint="Restart the device, or update its firmware: it takes no login, be it right.",
        )

    async def _exchange(self, method: str, url: str, headers: Sequence[tuple[str, str]]) -> Response:
        number, answer = self._send(method, url, headers)
        self._pending[number] = answer
        try:
            return await answer
        finally:
            self._pending.pop(number, None)

    def _send(self, method: str, url: str, headers: Sequence[tuple[str, str]]) -> tuple[int, asyncio.Future[Response]]:
        if self.failure is not None or self._transport is None or self._transport.is_closing():
            raise self.failure or Unreachable(f"{self.target.device}: the RTSP connection is closed", code="closed")
        self._sequence += 1
        self._write(self._request(method, url, headers, self._digest))
        return self._sequence, self._loop.create_future()

    def _request(self, method: str, url: str, headers: Sequence[tuple[str, str]], login: digest.Digest | None, *, ahead: int = 0) -> bytes:
        fields = [("CSeq", str(self._sequence + ahead)), ("User-Agent", USER_AGENT), *headers]
        if self.session:
            fields.append(("Session", self.session))
        if login is not None:
            fields.append(("Authorization", login.answer(method, url)))
        return messages.encode(Request(method, url, Headers(fields)))

    def _write(self, data: bytes) -> None:
        assert self._transport is not None
        (self._writer or self._transport.write)(data)

    def _judge(self, method: str, response: Response) -> Response:
        if 200 <= response.status < 300:
            self._take_session(response)
            return response
        detail = f"{response.status} {response.reason}"
        said = f"{self.target.device}: answers {method} with {response.status}"
        match response.status:
            case 453 | 503:
                raise Busy(said, detail=detail)
            case 501 | 551:
                raise NotSupported(said, detail=detail)
            case 403:
                raise AuthenticationFailed(said, code="forbidden", hint="The device's user lacks the right to this stream.")
            case _:
                raise DeviceFault(said, code=f"rtsp-{response.status}", detail=detail)

    def _take_session(self, response: Response) -> None:
        value = response.headers.get("Session")
        if not value:
            return
        match = _SESSION.match(value)
        if match is None or (self.session and match[1] != self.session):
            raise ProtocolError(f"{self.target.device}: changed or garbled the RTSP session")
        self.session = match[1]
        if match[2]:
            self.session_timeout_s = float(max(2, int(match[2])))

    @property
    def ended(self) -> bool:
        """Whether the device ended the session, or the connection is lost."""
        return self.torn_down or self.failure is not None

    @property
    def local_address(self) -> str:
        """Our own address on this connection, where the device's packets come in."""
        assert self._transport is not None
        return str(self._transport.get_extra_info("sockname")[0])

    @property
    def remote_address(self) -> str:
        """The device's address on this connection: the inventory's, as numbers."""
        assert self._transport is not None
        return str(self._transport.get_extra_info("peername")[0])

    # -- lending the way out --------------------------------------------------------------------------------------------

    @property
    def socket(self) -> Descriptor:
        """What the connection writes on."""
        assert self._transport is not None
        descriptor: Descriptor = self._transport.get_extra_info("socket")
        return descriptor

    def lend(self, write: Write) -> None:
        """Write nothing ourselves from now on: what we have to say goes to `write`. Raises Unreachable when that cannot be."""
        if self.ended or self._transport is None or self._transport.is_closing():
            raise self.failure or Unreachable(f"{self.target.device}: the RTSP connection is closed", code="closed")
        if self._transport.get_write_buffer_size():
            raise Unreachable(f"{self.target.device}: does not read what we say", code="closed")
        self._writer = write

    def take_back(self, *, torn: bool) -> None:
        """Write ourselves again. `torn`: a frame was left unfinished, so that nothing that we say would be understood."""
        self._writer = None
        if torn:
            self._fail(Unreachable(f"{self.target.device}: the RTSP connection was left in the midst of a frame", code="closed"))

    def farewell(self, url: str, *, after: int = 0) -> bytes:
        """The TEARDOWN that would be sent next, for somebody else to send when we no longer can. b"" without a session.

        `after`: so many requests are about to be sent before it; numbers that are left out offend no device, those that come twice do.
        """
        if not self.session or self.ended:
            return b""
        login = copy.copy(self._digest)
        for _ in range(after):
            if login is not None:
                login.answer("TEARDOWN", url)
        return self._request("TEARDOWN", url, self.farewell_headers, login, ahead=1 + after)

    # -- frames -------------------------------------------------------------------------------------------------------

    def send_frame(self, channel: int, payload: bytes) -> bool:
        """Queue one whole interleaved frame; False when it is dropped, because the connection is lost or does not drain."""
        transport = self._transport
        if transport is None or self._writer is not None or transport.is_closing() or transport.get_write_buffer_size() > WRITE_LIMIT:
            return False
        transport.write(messages.encode_frame(channel, payload))
        return True

    def take_bursts(self, channels: Mapping[int, Fragmentation], sink: BurstSink) -> None:
        """From now on give `sink`, and not `on_frame`, what comes on these channels, and read more at once."""
        self._on_burst = sink
        if self._room is not None:
            self._room.bursts = channels
        elif channels and self._transport is not None:
            self._room = messages.Room(channels, self._parser.held)
            self._transport.set_protocol(_Roomy(self, self._room))

    def pause_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    # -- keep-alive and end -------------------------------------------------------------------------------------------

    def keep_alive(self, url: str, method: str = "") -> None:
        """From now on ask something harmless every half of the session's timeout (RFC 2326, 10.8), until the end; `method` first."""
        self._keep_alive_method = method or self._keep_alive_method
        self._keep_alive = self._loop.call_later(self.session_timeout_s / 2, self._ask_harmlessly, url)

    def _ask_harmlessly(self, url: str) -> None:
        self.keep_alive(url)
        if len(self._pending) < _UNANSWERED_LIMIT:  # while we do not read a replay, no answer can reach us
            self._say_that_we_live(url)

    def _say_that_we_live(self, url: str, *, again: bool = False) -> None:
        login = self._digest
        try:
            number, answer = self._send(self._keep_alive_method, url, ())
        except DeviceError:
            return
        self._pending[number] = answer

        def take(done: asyncio.Future[Response]) -> None:
            self._pending.pop(number, None)
            if not done.cancelled() and done.exception() is None:
                self._kept_alive(url, done.result(), login, again=again)

        answer.add_done_callback(take)
        self._loop.call_later(self.session_timeout_s / 4, self._lose_patience, url, answer)

    def _lose_patience(self, url: str, answer: asyncio.Future[Response]) -> None:
        """Some devices leave GET_PARAMETER without any answer: they hear OPTIONS before the session's time is over."""
        if answer.done() or self._transport is None or not self._transport.is_reading():
            return
        answer.cancel()
        if self._keep_alive_method != "OPTIONS":
            self._keep_alive_method = "OPTIONS"
            self._say_that_we_live(url)

    def _kept_alive(self, url: str, response: Response, login: digest.Digest | None, *, again: bool) -> None:
        """What a device refuses for its nonce or its method alone, it hears at once with another: half a timeout later may be too late."""
        status = response.status
        if status == 401:
            if self._is_renewed(response, login) and not again:
                self._say_that_we_live(url, again=True)
            return
        self._take_trust(login)
        if status == 454 and self.ends_forgotten:
            self._take_end()
        elif (400 <= status < 500 or status in (501, 551)) and self._keep_alive_method != "OPTIONS":
            self._keep_alive_method = "OPTIONS"
            self._say_that_we_live(url)

    def _is_renewed(self, response: Response, login: digest.Digest | None) -> bool:
        """Whether there is a new nonce; else the connection has failed."""
        try:
            self._take_challenge(response, login)
        except DeviceError as error:
            self._fail(error)
            return False
        return True

    def _take_end(self) -> None:
        """The device ended the session."""
        self._stop_keep_alive()
        self.torn_down = True
        self.on_end(None)

    async def close(self, url: str = "") -> DeviceError | None:
        """End the session, if there is one, by TEARDOWN on `url`, then the connection. Never raises for what the device does.

        Gives what kept the device from confirming the end of the session, which then runs out by itself; None where it did, or where the
        connection had failed before.
        """
        self._stop_keep_alive()
        unconfirmed: DeviceError | None = None
        try:
            if self.session and url and self.failure is None:
                unconfirmed = await self._tear_down(url)
        finally:
            self._hang_up()
        await self._closed
        return unconfirmed

    async def _tear_down(self, url: str) -> DeviceError | None:
        try:
            async with deadline(self.target, _FAREWELL_S):
                await self.request("TEARDOWN", url, self.farewell_headers)
        except DeviceError as error:
            return None if error.code in _OVER else error
        return None

    def abandon(self, url: str = "") -> None:
        """Send TEARDOWN without waiting for anything: the way out of a cancelled set-up."""
        self._stop_keep_alive()
        if self.session and url:
            try:
                self._send("TEARDOWN", url, self.farewell_headers)
            except DeviceError:
                pass
        self._hang_up()

    def _stop_keep_alive(self) -> None:
        if self._keep_alive is not None:
            self._keep_alive.cancel()
            self._keep_alive = None

    def _hang_up(self) -> None:
        if self._transport is None:
            return
        if self._transport.get_write_buffer_size() > WRITE_LIMIT // 2:
            self._transport.abort()
        else:
            self._transport.close()

    # -- asyncio.Protocol ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_LIMIT)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.hear(lambda: self._parser.feed(data))

    def hear(self, came: Callable[[], Sequence[messages.Message]]) -> None:
        """Take the messages that `came` gives."""
        try:
            for message in came():
                if isinstance(message, Burst):
                    self._on_burst(message)
                else:
                    self._take(message)
        except ProtocolError as error:
            self._fail(error)

    def connection_lost(self, exc: Exception | None) -> None:
        code = "reset" if exc is not None else "closed"
        self._fail(Unreachable(f"{self.target.device}: the RTSP connection is lost", code=code))
        if not self._closed.done():
            self._closed.set_result(None)

    def _take(self, message: Request | Response | Frame) -> None:
        if isinstance(message, Frame):
            self.on_frame(message.channel, message.payload)
        elif isinstance(message, Response):
            self._take_response(message)
        else:
            self._take_request(message)

    def _take_response(self, response: Response) -> None:
        waiting = self._pending.get(self._number_of(response))
        if waiting is not None and not waiting.done():
            waiting.set_result(response)

    def _number_of(self, response: Response) -> int:
        """Its CSeq, -1 for none. Where a device leaves it out, the only request that waits is meant."""
        number = response.headers.get("CSeq")
        if not number and len(self._pending) == 1:
            return next(iter(self._pending))
        return int(number) if number.isascii() and number.isdecimal() and len(number) < 10 else -1

    def _take_request(self, request: Request) -> None:
        """Answer what the device asks; a TEARDOWN ends the session (RFC 2326, 10.7)."""
        transport = self._transport
        if transport is None or transport.get_write_buffer_size() > WRITE_LIMIT:
            raise ProtocolError(f"{self.target.device}: asks without reading our answers")
        self._note_question()
        status, reason = (200, "OK") if request.method in _ANSWERED else (501, "Not Implemented")
        fields = [("CSeq", request.headers.get("CSeq", "0")), ("User-Agent", USER_AGENT)]
        self._write(messages.encode(Response(status, reason, Headers(fields))))
        if request.method == "TEARDOWN":
            self._take_end()

    def _note_question(self) -> None:
        """While somebody else writes our answers, no device shall keep them busy with that."""
        now = self._loop.time()
        if self._writer is not None and len(self._asked) == _ASKED_AT_MOST and now - self._asked[0] < 1.0:
            raise ProtocolError(f"{self.target.device}: asks too much while it is spoken to")
        self._asked.append(now)

    def _fail(self, error: DeviceError) -> None:
        """The connection is of no use any more: tell everybody who waits, once."""
        if self.failure is not None:
            return
        self.failure = error
        self._stop_keep_alive()
        for waiting in self._pending.values():
            if not waiting.done():
                waiting.set_exception(error)
        self.on_end(error)
        if self._transport is not None:
            self._transport.abort()


class _Roomy(asyncio.BufferedProtocol):
    """Hears for a connection of which bursts are taken, with more room than the 256 KiB of asyncio's own reads."""

    def __init__(self, connection: Connection, room: messages.Room) -> None:
        self._connection = connection
        self._room = room

    def get_buffer(self, _sizehint: int) -> memoryview:
        return self._room.free()

    def buffer_updated(self, nbytes: int) -> None:
        self._connection.hear(lambda: self._room.take(nbytes))

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.connection_lost(exc)


async def connect(target: Target) -> Connection:
    """A connection to the target's RTSP port; the caller's `deadline` bounds and translates."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: Connection(target, loop), target.address, target.ports.rtsp)
    return connection


async def take_leave(broken: Connection, url: str) -> DeviceError | None:
    """End the session of a connection that broke from a new one: some devices keep a talker's place until they hear TEARDOWN.

    Sessions do not depend on connections (RFC 2326, 1.1). Takes two seconds at the most, and never raises for what the device does; what
    kept the device from confirming the end, as `Connection.close` gives it. A password that was refused is not said again: then TEARDOWN
    goes without one, as some devices want none for it.
    """
    if not broken.session or broken.torn_down or broken.failure is None:
        return None
    try:
        async with deadline(broken.target, _FAREWELL_S):
            connection = await connect(broken.target)
    except DeviceError as unreachable:
        return unreachable  # who cannot be reached hears no farewell
    connection.session, connection.farewell_headers = broken.session, broken.farewell_headers
    connection.password_refused = broken.password_refused
    return await connection.close(url)


def _ignore_burst(_burst: Burst) -> None:
    pass


def _drop(_channel: int, _payload: bytes) -> None:
    pass


def _ignore(_error: DeviceError | None) -> None:
    pass
