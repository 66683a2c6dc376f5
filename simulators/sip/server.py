"""The SIP port of all horns of the city, over UDP and TCP, and the RTP port on which they hear."""

import asyncio
import secrets
import socket
import time
from typing import Final, Self

from simulators.city import City, SimDevice
from simulators.digest import DigestGuard
from simulators.faults import Answer
from simulators.http import is_loopback
from simulators.listening import Listening
from simulators.rtsp.outlets import UdpPair
from simulators.sip.horn import Send, SipHorn
from simulators.sip.message import LIMIT, Malformed, Message, length, parse
from simulators.snmp.pktinfo import Address, bound, received, send_from
from simulators.state import State

_DEAD: Final = frozenset({Answer.SILENT, Answer.REFUSE, Answer.RESET, Answer.HALF_OPEN})


def serve(city: City, port: int, state: State) -> Listening["SipServer"]:
    """Listen for all horns of `city` on `port` (0: any free one) until closed. Awaiting it raises OSError when the port is taken."""
    return Listening(SipServer.listening(city, port, state))


class SipServer:
    """`port`: where the horns are called."""

    def __init__(self, city: City, state: State, sock: socket.socket) -> None:
        self._city, self._state, self._socket = city, state, sock
        self._guard = DigestGuard(secrets.token_bytes(16), state.now, same=lambda uri, url: uri == url)
        self._horns: dict[str, SipHorn] = {}
        self._talks: dict[tuple[str, str, int], SipHorn] = {}
        self._rtp = UdpPair(self._hear_rtp, lambda *_: None)
        self.streams: set[_Stream] = set()
        self.port: int = sock.getsockname()[1]
        self.rtp_port = self._rtp.ports[0]

    _listener: asyncio.Server

    @classmethod
    async def listening(cls, city: City, port: int, state: State) -> Self:
        server = cls(city, state, bound(port))
        loop = asyncio.get_running_loop()
        try:
            server._listener = await loop.create_server(lambda: _Stream(server), "0.0.0.0", server.port, reuse_address=True)
        except OSError:
            server._socket.close()
            server._rtp.close()
            raise
        loop.add_reader(server._socket, server._drain)
        state.at_reboot(server._rebooted)
        return server

    async def close(self) -> None:
        for horn in self._horns.values():
            horn.end()
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self._rtp.close()
        self._listener.close()
        for stream in tuple(self.streams):
            stream.transport.abort()
        await self._listener.wait_closed()

    def horn_at(self, address: str) -> SipHorn | None:
        """Who is called at an address now; None where nobody is, or is ill."""
        device = self._state.at(self._city, address)
        if device is None or not device.sip_user:
            return None
        known = self._horns.get(device.id)
        if known is None or known.device is not device:
            known = self._horns[device.id] = SipHorn(
                device, self._state, self._guard, port=self.port, rtp_port=self.rtp_port, report=self._report
            )
        return known

    def _report(self, packet: bytes, local: str, to: Address) -> None:
        self._rtp.send_control(packet, local=local, to=to)

    def deaf(self, device: SimDevice) -> bool:
        return self._state.troubled and self._state.fault(device).on("sip")[0] in _DEAD

    def _rebooted(self, device: SimDevice) -> None:
        if device.id in self._horns:
            self._horns.pop(device.id).end()

    def _drain(self) -> None:
        for data, local, peer in received(self._socket):
            self._hear_datagram(data, local, peer)

    def _hear_datagram(self, data: bytes, local: bytes, peer: Address) -> None:
        horn = self.horn_at(socket.inet_ntoa(local))
        if horn is None or horn.loses():
            return

        def send(message: Message) -> None:
            if not horn.loses() and not self.deaf(horn.device):
                send_from(self._socket, message.encoded(), local, peer)

        self.hear(horn, data, send, peer[0])

    def hear(self, horn: SipHorn, data: bytes, send: Send, peer: str) -> None:
        """One message for a horn."""
        device = horn.device
        ailment, delay_s = self._state.ill(device, "sip")
        if ailment in _DEAD:
            return
        self._state.count("sip", "messages", device.kind)
        try:
            message = parse(data)
        except Malformed:
            self._state.count("sip", "malformed", device.kind)
            return
        if delay_s:
            asyncio.get_running_loop().call_later(delay_s, self._pass_on, horn, message, send, peer)
        else:
            self._pass_on(horn, message, send, peer)

    def _pass_on(self, horn: SipHorn, message: Message, send: Send, peer: str) -> None:
        horn.hear(message, send, peer)
        if horn.call is not None:
            self._talks[horn.device.address, horn.call.peer, horn.call.port] = horn

    def _hear_rtp(self, local: str, peer: Address, packet: bytes, arrival_ns: int) -> None:
        horn = self._talks.get((local, peer[0], peer[1]))
        if horn is None:
            self._state.counters[f"sip.audio_astray.{local}"] += 1
        if horn is None or self.deaf(horn.device):
            return
        call = horn.call
        if call is None or call.talk is None or call.port != peer[1]:
            self._talks.pop((local, peer[0], peer[1]), None)
        elif not call.talk.hear(packet, arrival_ns or time.time_ns()):
            self._state.count("sip", "audio_refused", horn.device.kind)


class _Stream(asyncio.Protocol):
    """One caller's TCP connection to one horn."""

    def __init__(self, server: SipServer) -> None:
        self._server = server
        self._held = b""

    transport: asyncio.Transport
    _address: str
    _peer: str

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        local, peer = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        self._address, self._peer = (local[0], peer[0]) if local and peer else ("", "")
        horn = self._server.horn_at(self._address)
        if horn is None or not is_loopback(self._peer) or self._server.deaf(horn.device):
            transport.abort()
            return
        self._server.streams.add(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._server.streams.discard(self)

    def data_received(self, data: bytes) -> None:
        self._held += data
        if len(self._held) > LIMIT:
            self.transport.abort()
            return
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            whole = end + 4 + length(self._held[:end])
            if len(self._held) < whole:
                return
            message, self._held = self._held[:whole], self._held[whole:]
            horn = self._server.horn_at(self._address)
            if horn is not None and message.strip():
                self._server.hear(horn, message, self._send, self._peer)

    def _send(self, message: Message) -> None:
        if not self.transport.is_closing():
            self.transport.write(message.encoded())
