"""The one RTSP listener of the city: connections, log-in, sessions that expire, and the faults of a device on this protocol."""

import asyncio
import secrets
import socket
import struct
import time
import zlib
from functools import lru_cache
from typing import Final, Self

from simulators.city import City, SimDevice
from simulators.digest import DigestGuard, Login, Verdict
from simulators.faults import Answer
from simulators.listening import Listening
from simulators.rtsp import rtp
from simulators.rtsp.message import Interleaved, Malformed, Parser, Request, Response
from simulators.rtsp.methods import METHODS, Exchange
from simulators.rtsp.misbehaviour import misbehave
from simulators.rtsp.outlets import Address, UdpPair
from simulators.rtsp.plays import LiveClock
from simulators.rtsp.sessions import TIMEOUT_S, Phase, Session, SessionBook
from simulators.state import State

SWEEP_S: Final = 5.0
IDLE_S: Final = 2 * TIMEOUT_S
"""A connection that holds no session and asks nothing for so long is closed."""
HIGH_WATER: Final = 256 * 1024
"""Bytes that may wait for a client before its media stop."""
OVERFULL: Final = 4 * HIGH_WATER
"""A client that has this much unread and still asks for more is cut off."""
BACKLOG: Final = 1024


def serve(city: City, port: int, state: State) -> Listening["RtspServer"]:
    """Listen for all devices of `city` on `port` (0: any free one) until closed. Awaiting it raises OSError when the port is taken."""
    return Listening(RtspServer.listening(city, port, state))


class RtspServer:
    """All RTSP of the city. `port`: where it listens."""

    def __init__(self, city: City, state: State) -> None:
        self.city, self.state = city, state
        self.book = SessionBook()
        self.live = LiveClock(state.now)
        self.guard = DigestGuard(secrets.token_bytes(16), state.now)
        self.connections: set[Connection] = set()
        self.port = 0
        self._outputs = {speaker.audio_output_of: speaker for speaker in city.of_kind("speaker") if speaker.audio_output_of}
        self._sweeper: asyncio.TimerHandle | None = None

    @classmethod
    async def listening(cls, city: City, port: int, state: State) -> Self:
        server = cls(city, state)
        loop = asyncio.get_running_loop()
        server.udp = UdpPair(server._hear_rtp, server._hear_rtcp)
        try:
            server._listener = await loop.create_server(lambda: Connection(server), "0.0.0.0", port, backlog=BACKLOG, reuse_address=True)
        except OSError:
            server.udp.close()
            raise
        state.at_reboot(server._rebooted)
        server.port = server._listener.sockets[0].getsockname()[1]
        return server

    udp: UdpPair
    _listener: asyncio.Server

    async def close(self) -> None:
        """Stop listening, say goodbye to the sessions and cut the connections."""
        self._listener.close()
        for session in tuple(self.book.by_id.values()):
            self.end(session)
        for connection in tuple(self.connections):
            connection.cut()
        if self._sweeper:
            self._sweeper.cancel()
        self.udp.close()
        await self._listener.wait_closed()

    def count(self, what: str, device: SimDevice) -> None:
        self.state.count("rtsp", what, device.kind)

    def now_ns(self) -> int:
        return int(self.state.now() * 1e9)

    def speaker_of(self, device: SimDevice) -> SimDevice | None:
        """The loudspeaker behind a device: itself, or the one that is a camera's audio output."""
        if device.kind == "speaker":
            return device if device.audio else None
        return self._outputs.get(device.id)

    def dead(self, device: SimDevice) -> bool:
        """Whether a device sends and hears nothing, as one without power."""
        return self.state.troubled and self.state.fault(device).on("rtsp")[0] in {Answer.SILENT, Answer.REFUSE}

    def _rebooted(self, device: SimDevice) -> None:
        """Sessions and connections do not outlive a reboot."""
        for connection in tuple(self.connections):
            if connection.device.id == device.id:
                connection.cut()

    # -- sessions -----------------------------------------------------------------------------------------------------

    def halt(self, session: Session) -> None:
        """Stop what a session plays; it may go on later."""
        if session.live:
            self.live.remove(session.live)
            session.live = None
        if session.replay:
            session.replay.pause()
        if session.talk:
            session.talk.shut()

    def end(self, session: Session) -> None:
        """Stop it for good and free what it held."""
        if session.live:
            session.live.end()
        self.halt(session)
        if session.talk:
            session.talk.finish(self.now_ns())
        self.book.remove(session)

    def lose(self, session: Session) -> None:
        """Its connection has gone without TEARDOWN: that ends it, unless the device keeps the talker's place all the same."""
        quirk = self.state.quirk(session.device, "lingering-talk") if session.talk else None
        if quirk is None:
            self.end(session)
            return
        self.halt(session)
        session.connection, session.forgotten_at = None, self.state.now() + float(quirk["seconds"])
        self.watch()

    def sweep(self) -> None:
        """End the sessions that were not heard of for 60 s (RFC 2326 §12.37) and close connections that nobody uses."""
        now = self.state.now()
        for session in tuple(self.book.by_id.values()):
            if session.expired(now):
                self.count("expired", session.device)
                self.end(session)
            elif session.replay and session.phase is Phase.PLAYING:
                session.replay.drained()  # a fault that held it up may be gone
        for connection in tuple(self.connections):
            idle = now - connection.last_seen > IDLE_S and not any(self.book.on(connection))
            if idle or self.state.fault(connection.device).on("rtsp")[0] is Answer.REFUSE:
                connection.cut()

    def watch(self) -> None:
        """Sweep from now on, as long as there is anybody."""
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep_again)

    def _sweep_again(self) -> None:
        self._sweeper = None
        self.sweep()
        if self.connections or self.book.by_id:
            self.watch()

    # -- datagrams ----------------------------------------------------------------------------------------------------

    def _hear_rtp(self, local: str, peer: Address, packet: bytes, arrival_ns: int) -> None:
        session = self.book.by_port.get((local, peer[0], peer[1]))
        if session and session.talk:
            self.hear(session, packet, arrival_ns)

    def hear(self, session: Session, packet: bytes, arrival_ns: int) -> None:
        if session.talk and not self.dead(session.device) and not session.talk.hear(packet, arrival_ns):
            self.count("audio_refused", session.device)

    def _hear_rtcp(self, local: str, peer: Address, packet: bytes, _arrival_ns: int) -> None:
        session = self.book.by_port.get((local, peer[0], peer[1]))
        if session and rtp.is_rtcp(packet):
            session.last_seen = self.state.now()  # a receiver report keeps alive (ONVIF Streaming, "Timeout and keep-alive handling")


class Connection(asyncio.Protocol):
    """One client's RTSP connection to one device."""

    def __init__(self, server: RtspServer) -> None:
        self._server = server
        self._parser = Parser()
        self._channels: dict[int, tuple[Session, bool]] = {}
        self._full = False
        self.last_seen = server.state.now()
        self.peer = ""

    device: SimDevice
    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        local, peer = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        device = self._server.state.at(self._server.city, local[0]) if local else None
        if device is None or not peer or not peer[0].startswith("127.") or not offers_rtsp(device):
            transport.abort()
            return
        self.device, self.peer = device, peer[0]
        if self._fault() is Answer.REFUSE:
            transport.abort()
            return
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.set_write_buffer_limits(high=HIGH_WATER)
        self._server.connections.add(self)
        self._server.watch()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._server.connections.discard(self)
        for session in self._server.book.on(self):
            self._server.lose(session)

    def data_received(self, data: bytes) -> None:
        try:
            messages = self._parser.feed(data)
        except Malformed:
            self._server.count("malformed", self.device)
            self.write(Response(400).encoded("0"))
            self.transport.close()
            return
        self.last_seen = self._server.state.now()
        for message in messages:
            if isinstance(message, Interleaved):
                self._hear(message)
            else:
                self._answer(message)

    # -- media --------------------------------------------------------------------------------------------------------

    @property
    def blocked(self) -> bool:
        return self._full or self.transport.is_closing() or self._server.dead(self.device)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        for session in self._server.book.on(self):
            if session.replay and session.phase is Phase.PLAYING:
                session.replay.drained()

    def write(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)

    def free_channels(self) -> tuple[int, int]:
        first = next(channel for channel in range(0, 256, 2) if channel not in self._channels)
        return first, first + 1

    def take_channels(self, channels: tuple[int, int], session: Session, *, talk: bool) -> None:
        self._channels[channels[0]] = (session, talk)
        self._channels[channels[1]] = (session, False)

    def _hear(self, frame: Interleaved) -> None:
        session, talk = self._channels.get(frame.channel, (None, False))
        if session is None:
            return
        if talk:
            self._server.hear(session, frame.payload, time.time_ns())
        elif rtp.is_rtcp(frame.payload):
            session.last_seen = self._server.state.now()

    # -- requests -----------------------------------------------------------------------------------------------------

    def own_url(self, path: str) -> str:
        return f"rtsp://{self.device.address}:{self._server.port}/{path}"

    def cut(self) -> None:
        self.transport.abort()

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _fault(self) -> Answer:
        return self._server.state.fault(self.device).on("rtsp")[0]

    def _answer(self, request: Request) -> None:
        if self.transport.is_closing():
            return
        if self.transport.get_write_buffer_size() > OVERFULL:
            self.cut()
            return
        self._server.count("requests", self.device)
        fault, delay_s = self._server.state.ill(self.device, "rtsp")
        exchange = Exchange(self._server, self, request)
        response = self._guarded(exchange)
        if fault is Answer.NORMAL and not delay_s:
            self._send(exchange, response)
        else:
            asyncio.get_running_loop().call_later(delay_s, self._send_faulty, fault, exchange, response)

    def _send_faulty(self, fault: Answer, exchange: Exchange, response: Response) -> None:
        if not self.transport.is_closing() and not misbehave(self, fault, exchange, response):
            self._send(exchange, response)

    def _send(self, exchange: Exchange, response: Response) -> None:
        self.write(response.encoded(exchange.request.header("cseq")))
        if exchange.after:
            exchange.after()

    def _guarded(self, exchange: Exchange) -> Response:
        """The answer, once version, method and log-in are right. OPTIONS needs no log-in."""
        request = exchange.request
        if request.version != "RTSP/1.0":
            return Response(505)
        if not request.header("cseq").isdigit():
            return Response(400)
        method = METHODS.get(request.method)
        if method is None:
            return Response(501)
        refusal = None if request.method == "OPTIONS" else self._challenge(request)
        return refusal or exchange.unsupported() or method(exchange)

    def _challenge(self, request: Request) -> Response | None:
        """401 with a new challenge unless the request's credentials are good."""
        login, guard = self._login(), self._server.guard
        verdict = guard.check(login, method=request.method, url=request.url, authorization=request.header("authorization"))
        if verdict is Verdict.GOOD:
            self._server.state.logged_in("rtsp", self.device)
            return None
        self._server.count(verdict.value, self.device)
        return Response(401, (("WWW-Authenticate", guard.challenge(login, stale=verdict is Verdict.STALE)),))

    def _login(self) -> Login:
        device = self.device
        return Login(
            device.model or device.kind, device.username, self._server.state.password(device), device.rtsp_algorithm, offers_qop(device)
        )


def offers_rtsp(device: SimDevice) -> bool:
    return device.kind in {"camera", "recorder", "speaker"} and "onvif" not in device.lacks


@lru_cache(maxsize=4096)
def offers_qop(device: SimDevice) -> bool:
    """Half of the MD5 devices keep to RFC 2069, as many older ones do, and an eighth of the others leave out qop, which RFC 7616 allows."""
    return bool(zlib.crc32(device.id.encode()) & (1 if device.rtsp_algorithm == "MD5" else 7))
