"""How SIP messages travel between us and one address: UDP, or one TCP connection (RFC 3261, 18)."""

import asyncio
import errno
import socket
from collections.abc import Callable
from enum import StrEnum
from typing import Final, Protocol

from gateway.drivers.base import Descriptor
from gateway.drivers.sip.messages import Message, StreamParser, encode, parse
from gateway.errors import DeviceError, ProtocolError, Unreachable

LARGEST_DATAGRAM: Final = 65_535
READ_AT_ONCE: Final = 32
"""Datagrams taken in one turn of the loop, so that a device that floods delays nobody."""
WRITE_LIMIT: Final = 64 * 1024
_RECEIVE_ERRORS: Final = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}  # IP_RECVERR, IPV6_RECVERR

Take = Callable[[Message], None]
Fail = Callable[[DeviceError], None]


class Transport(StrEnum):
    UDP = "udp"
    TCP = "tcp"


class Wire(Protocol):
    """`host`, `port`: where the other side reaches us."""

    host: str
    port: int

    @property
    def signalling(self) -> Descriptor:
        """A connected socket on which somebody else may say a last word when we no longer can; closed with the wire."""
        ...

    def send(self, message: Message) -> None: ...

    def close(self) -> None: ...


async def connect(transport: Transport, address: str, port: int, *, take: Take, fail: Fail) -> Wire:
    """A wire to an address. What comes from another address is dropped; `fail` is told when there is no way, or no longer.

    Raises OSError when there is no way from the beginning; the caller's deadline bounds it.
    """
    if transport is Transport.UDP:
        return UdpWire(address, port, take=take, fail=fail)
    _, protocol = await asyncio.get_running_loop().create_connection(lambda: TcpWire(take=take, fail=fail), address, port)
    return protocol


class UdpWire:
    """A socket of its own for one conversation. A device may answer from another port than it listens on, so only its address counts."""

    def __init__(self, address: str, port: int, *, take: Take, fail: Fail) -> None:
        self._loop = asyncio.get_running_loop()
        self._to = (address, port)
        self._last_word: socket.socket | None = None
        self._take, self._fail = take, fail
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.bind((_own_address(family, address, port), 0))
            self._socket.setsockopt(*_RECEIVE_ERRORS[family], 1)
        except OSError:
            self._socket.close()
            raise
        self.host, self.port = self._socket.getsockname()[:2]
        self._loop.add_reader(self._socket, self._read)

    @property
    def signalling(self) -> Descriptor:
        if self._last_word is None:
            self._last_word = socket.socket(self._socket.family, socket.SOCK_DGRAM)
            self._last_word.setblocking(False)
            self._last_word.bind((self.host, 0))
            self._last_word.connect(self._to)
        return self._last_word

    def send(self, message: Message) -> None:
        try:
            self._socket.sendto(encode(message), self._to)
        except BlockingIOError:
            pass  # as if the network had lost it
        except OSError as error:
            self._fail(_no_way(error))

    def _read(self) -> None:
        for _ in range(READ_AT_ONCE):
            try:
                data, sender = self._socket.recvfrom(LARGEST_DATAGRAM)
            except BlockingIOError:
                return
            except OSError as error:  # an ICMP error: it stays in a queue of its own until it is read there
                self._drain_errors()
                self._fail(_no_way(error))
                return
            if sender[0] == self._to[0]:
                self._hear(data)
            if self._socket.fileno() < 0:
                return

    def _hear(self, data: bytes) -> None:
        try:
            message = parse(data)
        except ProtocolError:
            return  # a datagram that is none is as good as lost
        if message is not None:
            self._take(message)

    def _drain_errors(self) -> None:
        for _ in range(READ_AT_ONCE):
            try:
                self._socket.recvmsg(1, 512, socket.MSG_ERRQUEUE)
            except OSError:
                return

    def close(self) -> None:
        if self._last_word is not None:
            self._last_word.close()
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()


class TcpWire(asyncio.Protocol):
    """One connection, on which requests and answers go both ways."""

    def __init__(self, *, take: Take, fail: Fail) -> None:
        self._take, self._fail = take, fail
        self._parser = StreamParser()
        self._transport: asyncio.Transport | None = None
        self.host, self.port = "", 0

    @property
    def signalling(self) -> Descriptor:
        assert self._transport is not None
        descriptor: Descriptor = self._transport.get_extra_info("socket")
        return descriptor

    def send(self, message: Message) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() > WRITE_LIMIT:
            self._fail(Unreachable("a device does not read what it is told over SIP", code="reset"))
            return
        self._transport.write(encode(message))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.host, self.port = transport.get_extra_info("sockname")[:2]

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._parser.feed(data):
                self._take(message)
        except ProtocolError as error:
            self._fail(error)
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(Unreachable("the SIP connection is lost", code="closed" if exc is None else "reset"))


def _own_address(family: int, address: str, port: int) -> str:
    """Our address on the way to `address`."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((address, port))
        return str(probe.getsockname()[0])


def _no_way(error: OSError) -> Unreachable:
    if error.errno == errno.ECONNREFUSED:
        return Unreachable("the SIP port refuses", code="refused")
    return Unreachable(f"no way to the SIP port ({error.strerror})", code="no-route")
