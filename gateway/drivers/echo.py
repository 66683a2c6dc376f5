"""ICMP echo (RFC 792): is a host there at all whose services say nothing? One socket for all, where the system permits one."""

import asyncio
import ipaddress
import os
import socket
from contextlib import suppress

import structlog

log = structlog.get_logger()

_REQUEST, _REPLY = 8, 0
_TOKEN_BYTES = 16
_WAITING = 256
"""Echoes at a time; beyond them nobody is asked."""


class Echoes:
    """Unprivileged where `net.ipv4.ping_group_range` allows it, else by a raw socket where we may have one (CAP_NET_RAW), else not at all.

    Of the loopback network nothing is asked, since there our own kernel answers for everybody; `loopback` does it all the same.
    """

    def __init__(self, *, loopback: bool = False) -> None:
        self._loopback = loopback
        self._socket: socket.socket | None = None
        self._permitted: bool | None = None
        self._waiting: dict[bytes, tuple[str, asyncio.Future[bool]]] = {}
        self._sequence = 0

    async def answered(self, address: str, timeout_s: float) -> bool | None:
        """Whether `address` answers an echo in time. None: not known, because we may not ask, or not there."""
        if not self._may_ask(address) or len(self._waiting) >= _WAITING or (wire := self._open()) is None:
            return None
        token, loop = os.urandom(_TOKEN_BYTES), asyncio.get_running_loop()
        self._sequence = (self._sequence + 1) % 65_536
        answer: asyncio.Future[bool] = loop.create_future()
        self._waiting[token] = (address, answer)
        try:
            async with asyncio.timeout(timeout_s):
                await loop.sock_sendto(wire, request(self._sequence, token), (address, 0))
                return await answer
        except TimeoutError:
            return False
        except OSError:  # no way there, says our own system
            return False
        finally:
            del self._waiting[token]

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            with suppress(RuntimeError):  # the loop is closed already
                asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _may_ask(self, address: str) -> bool:
        try:
            host = ipaddress.ip_address(address)
        except ValueError:
            return False
        return host.version == 4 and (self._loopback or not host.is_loopback)

    def _open(self) -> socket.socket | None:
        if self._socket is None and self._permitted is not False:
            self._socket = _socket()
            self._permitted = self._socket is not None
            if self._socket is None:
                log.warning("echo.not_permitted", hint="allow it in net.ipv4.ping_group_range, or give CAP_NET_RAW")
            else:
                asyncio.get_running_loop().add_reader(self._socket, self._read, self._socket)
        return self._socket

    def _read(self, wire: socket.socket) -> None:
        with suppress(OSError):
            while True:
                datagram, source = wire.recvfrom(2_048)
                waiting = self._waiting.get(token_of(datagram))
                if waiting is not None and waiting[0] == source[0] and not waiting[1].done():
                    waiting[1].set_result(True)


def request(sequence: int, token: bytes) -> bytes:
    """An echo request. Its identifier is 0: unprivileged sockets get another one, and we go by the token."""
    head = bytes((_REQUEST, 0, 0, 0, 0, 0)) + sequence.to_bytes(2)
    return head[:2] + _checksum(head + token).to_bytes(2) + head[4:] + token


def token_of(datagram: bytes) -> bytes:
    """The token of an echo reply, "" of anything else; raw sockets give the IP header, too."""
    if datagram[:1] and datagram[0] >> 4 == 4:
        datagram = datagram[4 * (datagram[0] & 15) :]
    return datagram[8 : 8 + _TOKEN_BYTES] if len(datagram) >= 8 + _TOKEN_BYTES and datagram[0] == _REPLY else b""


def _checksum(message: bytes) -> int:
    """RFC 1071."""
    total = sum(int.from_bytes(message[at : at + 2].ljust(2, b"\0")) for at in range(0, len(message), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _socket() -> socket.socket | None:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            opened = socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP)
        except OSError:
            continue
        opened.setblocking(False)
        return opened
    return None
