"""From a connection to a playing session: DESCRIBE, SETUP of one media over UDP or interleaved TCP, PLAY."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from gateway.drivers import sdp
from gateway.drivers.base import Descriptor
from gateway.drivers.rtsp.connection import Connection, base_url, resolve
from gateway.drivers.rtsp.pairs import Pairs
from gateway.drivers.sdp import Media, SessionDescription
from gateway.drivers.textual import Response
from gateway.errors import DeviceFault, NotSupported, ProtocolError

# Names in any case, white space around every sign (RFC 2326, 2 and 12.39).
_INTERLEAVED = re.compile(r"\binterleaved\s*=\s*(\d{1,3})\b", re.IGNORECASE)
_SERVER_PORT = re.compile(r"\bserver_port\s*=\s*(\d{1,5})\b", re.IGNORECASE)
_FIRST_UNPRIVILEGED_PORT = 1024  # a device must not aim our packets at the system services of its address

_pairs = Pairs()  # the process's own: sockets, like the ports that they take, are the machine's


class Transport(StrEnum):
    TCP = "tcp"
    UDP = "udp"


@dataclass(frozen=True, slots=True)
class Wire:
    """How the packets of one media travel: `send` takes a whole RTP packet, `channel` is the interleaved one (None over UDP).

    `socket`: what they are written on; `destination`: where they go from there, None when it is connected. `reports`: the RTCP packets
    that have come since it was asked last; over TCP they are frames, and come to whoever takes those.
    """

    send: Callable[[bytes], bool]
    channel: int | None
    close: Callable[[], None]
    socket: Descriptor
    destination: tuple[str, int] | None = None
    reports: Callable[[], Sequence[bytes]] = tuple


async def describe(connection: Connection, path: str, headers: Sequence[tuple[str, str]] = ()) -> tuple[str, SessionDescription]:
    """The base URL for relative controls (Content-Base, RFC 2326, C.1.1) and the description of `path`."""
    url = base_url(connection.target, path)
    answer = await connection.request("DESCRIBE", url, [("Accept", "application/sdp"), *headers])
    base = answer.headers.get("Content-Base") or answer.headers.get("Content-Location") or url
    return resolve(connection.target, base, ""), _as_we_see_it(sdp.parse(answer.body))


def _as_we_see_it(described: SessionDescription) -> SessionDescription:
    """The description with its directions as ONVIF has them, from our side (Streaming, 5.3): a device that says of its pictures to send
    them means its own, and listens where it says to receive. Beside a microphone without a direction, a backchannel was added by the book.
    """
    video, audio = (frozenset(media.direction for media in described.media if media.kind == kind) for kind in ("video", "audio"))
    if "sendonly" not in video or ("" in audio and "recvonly" not in audio):
        return described
    turned = {"sendonly": "recvonly", "recvonly": "sendonly"}
    media = tuple(replace(media, direction=turned.get(media.direction, media.direction)) for media in described.media)
    return replace(described, media=media)


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
    told = answer.headers.get("Transport")
    match = _INTERLEAVED.search(told)
    if match is None and (_SERVER_PORT.search(told) or "multicast" in told.lower()):
        raise _another(connection, told)
    given = int(match[1]) if match else channel
    if given > 255:
        raise ProtocolError(f"{connection.target.device}: names an interleaved channel above 255")
    return Wire(lambda packet: connection.send_frame(given, packet), given, lambda: None, connection.socket)


async def _set_up_udp(connection: Connection, url: str, headers: Sequence[tuple[str, str]]) -> Wire:
    seat = _pairs.take(connection.local_address, connection.remote_address)
    try:
        wanted = f"RTP/AVP;unicast;client_port={seat.port}-{seat.port + 1}"
        answer = await connection.request("SETUP", url, [("Transport", wanted), *headers])
        seat.connect(_server_port(connection, answer))
    except BaseException:
        seat.close()
        raise
    return Wire(seat.send, None, seat.close, seat.socket, seat.destination, reports=seat.reports)


def _server_port(connection: Connection, answer: Response) -> int:
    told = answer.headers.get("Transport")
    match = _SERVER_PORT.search(told)
    if match is None and _INTERLEAVED.search(told):
        raise _another(connection, told)
    if match is None or not _FIRST_UNPRIVILEGED_PORT <= int(match[1]) < 65535:
        raise ProtocolError(f"{connection.target.device}: names no usable server port for RTP")
    return int(match[1])


def _another(connection: Connection, told: str) -> DeviceFault:
    """The device says yes to another transport than it was asked for: as good as no (461)."""
    return DeviceFault(f"{connection.target.device}: answers SETUP with another transport", code="rtsp-461", detail=told[:200])
