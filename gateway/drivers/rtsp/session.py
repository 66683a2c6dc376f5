"""From a connection to a playing session: DESCRIBE, SETUP of one media over UDP or interleaved TCP, PLAY."""

import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gateway.drivers.rtsp import sdp
from gateway.drivers.rtsp.connection import Connection, base_url, resolve
from gateway.drivers.rtsp.messages import Response
from gateway.drivers.rtsp.sdp import Media, SessionDescription
from gateway.errors import DeviceFault, NotSupported, ProtocolError, Unreachable

_INTERLEAVED = re.compile(r"interleaved=(\d{1,3})(?:-(\d{1,3}))?")
_SERVER_PORT = re.compile(r"server_port=(\d{1,5})(?:-(\d{1,5}))?")
_FIRST_UNPRIVILEGED_PORT = 1024  # a device must not aim our packets at the system services of its address
_PAIR_TRIES = 16


class Transport(StrEnum):
    TCP = "tcp"
    UDP = "udp"


@dataclass(frozen=True, slots=True)
class Wire:
    """How the packets of one media travel: `send` takes a whole RTP packet, `channel` is the interleaved one (None over UDP)."""

    send: Callable[[bytes], bool]
    channel: int | None
    close: Callable[[], None]


async def describe(connection: Connection, path: str, headers: Sequence[tuple[str, str]] = ()) -> tuple[str, SessionDescription]:
    """The base URL for relative controls (Content-Base, RFC 2326, C.1.1) and the description of `path`."""
    url = base_url(connection.target, path)
    answer = await connection.request("DESCRIBE", url, [("Accept", "application/sdp"), *headers])
    base = answer.headers.get("Content-Base") or answer.headers.get("Content-Location") or url
    return resolve(connection.target, base, ""), sdp.parse(answer.body)


async def set_up(
    connection: Connection, url: str, *, order: Sequence[Transport], channel: int = 0, headers: Sequence[tuple[str, str]] = ()
) -> Wire:
    """SETUP of the media at `url` by the first transport of `order` that the device takes (461 means: try the next)."""
    for transport in order:
        try:
            if transport is Transport.TCP:
                return await _set_up_tcp(connection, url, channel, headers)
            return await _set_up_udp(connection, url, headers)
        except DeviceFault as fault:
            if fault.code != "rtsp-461":
                raise
    raise NotSupported(f"{connection.target.device}: takes none of {', '.join(order)} as RTP transport", code="no-transport")


def aggregate_url(connection: Connection, base: str, description: SessionDescription) -> str:
    """The URL of the whole session, for PLAY and TEARDOWN."""
    return resolve(connection.target, base, description.control)


def media_url(connection: Connection, base: str, media: Media) -> str:
    return resolve(connection.target, base, media.control)


async def _set_up_tcp(connection: Connection, url: str, channel: int, headers: Sequence[tuple[str, str]]) -> Wire:
    wanted = f"RTP/AVP/TCP;unicast;interleaved={channel}-{channel + 1}"
    answer = await connection.request("SETUP", url, [("Transport", wanted), *headers])
    match = _INTERLEAVED.search(answer.headers.get("Transport"))
    given = int(match[1]) if match else channel
    if given > 255:
        raise ProtocolError(f"{connection.target.device}: names an interleaved channel above 255")
    return Wire(lambda packet: connection.send_frame(given, packet), given, lambda: None)


async def _set_up_udp(connection: Connection, url: str, headers: Sequence[tuple[str, str]]) -> Wire:
    pair = _UdpPair(connection.local_address)
    try:
        wanted = f"RTP/AVP;unicast;client_port={pair.port}-{pair.port + 1}"
        answer = await connection.request("SETUP", url, [("Transport", wanted), *headers])
        pair.connect(connection.target.address, _server_port(connection, answer))
    except BaseException:
        pair.close()
        raise
    return Wire(pair.send, None, pair.close)


def _server_port(connection: Connection, answer: Response) -> int:
    match = _SERVER_PORT.search(answer.headers.get("Transport"))
    if match is None or not _FIRST_UNPRIVILEGED_PORT <= int(match[1]) < 65535:
        raise ProtocolError(f"{connection.target.device}: names no usable server port for RTP")
    return int(match[1])


class _UdpPair:
    """An even port for RTP and the odd one above for RTCP (RFC 3550, 11), connected to the inventory's address alone."""

    def __init__(self, local_address: str) -> None:
        self._family = socket.AF_INET6 if ":" in local_address else socket.AF_INET
        self._rtp, self._rtcp = self._bind(local_address)
        self.port: int = self._rtp.getsockname()[1]

    def _bind(self, address: str) -> tuple[socket.socket, socket.socket]:
        for _ in range(_PAIR_TRIES):
            first = self._socket(address, 0)
            port = first.getsockname()[1]
            try:
                if port % 2 == 0:
                    return first, self._socket(address, port + 1)
            except OSError:
                pass
            first.close()
        raise Unreachable("no free pair of UDP ports for RTP", code="no-ports")

    def _socket(self, address: str, port: int) -> socket.socket:
        made = socket.socket(self._family, socket.SOCK_DGRAM)
        try:
            made.setblocking(False)
            made.bind((address, port))
        except OSError:
            made.close()
            raise
        return made

    def connect(self, address: str, port: int) -> None:
        self._rtp.connect((address, port))
        self._rtcp.connect((address, port + 1))

    def send(self, packet: bytes) -> bool:
        try:
            return self._rtp.send(packet) == len(packet)
        except OSError:  # the queue is full, or an ICMP error of an earlier packet is reported
            return False

    def close(self) -> None:
        self._rtp.close()
        self._rtcp.close()
