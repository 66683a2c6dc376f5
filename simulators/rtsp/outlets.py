"""Where a track's packets go: into the RTSP connection, or to the client's UDP ports from the city's one pair of sockets."""

import asyncio
import socket
import struct
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from simulators.rtsp.message import interleave

SO_TIMESTAMPNS: Final = 35  # Linux, asm-generic/socket.h; also the type of its control message
IP_PKTINFO: Final = 8  # Linux, linux/in.h; the socket module names it only from Python 3.12 on
BATCH: Final = 256
"""Datagrams read in one turn of the loop."""
RECEIVE_BYTES: Final = 8 * 1024 * 1024
"""110 talkers send 5,500 packets a second; this holds seconds of them while the loop is busy elsewhere."""

Address = tuple[str, int]
Hearing = Callable[[str, Address, bytes, int], None]
"""Called with the local address, the peer, the datagram and its arrival in ns since the epoch."""


class Wire(Protocol):
    """What an outlet needs of an RTSP connection."""

    @property
    def blocked(self) -> bool: ...

    def write(self, data: bytes) -> None: ...


class Outlet(Protocol):
    """One track's way out. `blocked`: the client does not read; send nothing more until it does."""

    @property
    def blocked(self) -> bool: ...

    def send(self, packets: Sequence[bytes]) -> None: ...

    def send_control(self, packet: bytes) -> None: ...


class InterleavedOutlet:
    def __init__(self, wire: Wire, channel: int, control_channel: int) -> None:
        self._wire, self._channel, self._control = wire, channel, control_channel

    @property
    def blocked(self) -> bool:
        return self._wire.blocked

    def send(self, packets: Sequence[bytes]) -> None:
        self._wire.write(b"".join([interleave(self._channel, packet) for packet in packets]))

    def send_control(self, packet: bytes) -> None:
        self._wire.write(interleave(self._control, packet))


class UdpOutlet:
    def __init__(self, pair: "UdpPair", local: str, peer: str, ports: tuple[int, int], muted: Callable[[], bool]) -> None:
        self._pair, self._local, self._muted = pair, local, muted
        self._to, self._control_to = (peer, ports[0]), (peer, ports[1])

    @property
    def blocked(self) -> bool:
        return self._muted()

    def send(self, packets: Sequence[bytes]) -> None:
        for packet in packets:
            self._pair.send(packet, local=self._local, to=self._to)

    def send_control(self, packet: bytes) -> None:
        self._pair.send_control(packet, local=self._local, to=self._control_to)


class UdpPair:
    """Two neighbouring ports on all addresses, RTP on the even one. Packets leave from the address of the device that sends them."""

    def __init__(self, on_rtp: Hearing, on_rtcp: Hearing) -> None:
        self._rtp, self._rtcp = _bound_pair()
        self.ports = (self._rtp.getsockname()[1], self._rtcp.getsockname()[1])
        loop = asyncio.get_running_loop()
        loop.add_reader(self._rtp, _drain, self._rtp, on_rtp)
        loop.add_reader(self._rtcp, _drain, self._rtcp, on_rtcp)

    def send(self, packet: bytes, *, local: str, to: Address) -> None:
        _send_from(self._rtp, packet, local, to)

    def send_control(self, packet: bytes, *, local: str, to: Address) -> None:
        _send_from(self._rtcp, packet, local, to)

    def close(self) -> None:
        for sock in (self._rtp, self._rtcp):
            asyncio.get_running_loop().remove_reader(sock)
            sock.close()


def _bound_pair() -> tuple[socket.socket, socket.socket]:
    for _ in range(100):
        rtp = _udp_socket(0)
        port = rtp.getsockname()[1]
        try:
            if port % 2 == 0:
                return rtp, _udp_socket(port + 1)
        except OSError:
            pass  # somebody else has the odd neighbour: try another pair
        rtp.close()
    raise OSError("no pair of neighbouring UDP ports is free")


def _udp_socket(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        sock.bind(("0.0.0.0", port))
    except OSError:
        sock.close()
        raise
    return sock


def _send_from(sock: socket.socket, packet: bytes, local: str, to: Address) -> None:
    """As a device on a full link does, lose what does not fit."""
    source = struct.pack("=i4s4s", 0, socket.inet_aton(local), b"\x00" * 4)
    try:
        sock.sendmsg([packet], [(socket.IPPROTO_IP, IP_PKTINFO, source)], 0, to)
    except (BlockingIOError, ConnectionRefusedError, PermissionError):
        pass


def _drain(sock: socket.socket, hear: Hearing) -> None:
    for _ in range(BATCH):
        try:
            packet, control, _, peer = sock.recvmsg(2048, 128)
        except (BlockingIOError, ConnectionRefusedError):
            return
        local, arrival_ns = "", 0
        for _level, kind, data in control:
            if kind == SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack("=qq", data)
                arrival_ns = seconds * 1_000_000_000 + nanoseconds
            elif kind == IP_PKTINFO:
                local = socket.inet_ntoa(data[8:12])
        hear(local, peer, packet, arrival_ns or time.time_ns())
