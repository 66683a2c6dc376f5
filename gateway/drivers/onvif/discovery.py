"""Finding ONVIF devices that the inventory may not know: WS-Discovery (April 2005), as ONVIF Core, 7 uses it.

Whoever is in the network can answer, so everything is bounded: how long we listen, how many datagrams are read, in all and from one
address, and how large each is. An answer counts for the address that it came from; of the addresses that it names only the path and the
port are taken, as a hint for people. Nothing that is found is spoken to.
"""

import asyncio
import itertools
import os
import socket
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from lxml import etree

from gateway.clock import Clock
from gateway.drivers.onvif.soap import child, children, envelope, parse, text
from gateway.errors import ProtocolError, Unreachable

PORT: Final = 3702
GROUP: Final = ("239.255.255.250", PORT)
TYPES: Final = ("dn:NetworkVideoTransmitter", "tds:Device")
"""Devices answer to one of them at least (Core, 7.3.2.1)."""
AGAIN_S: Final = 0.2
"""After which a probe is sent once more, because datagrams are lost (WS-Discovery, appendix I)."""
LARGEST: Final = 8 * 1024
MOST_DATAGRAMS: Final = 16_384
MOST_FROM_ONE: Final = 16
MOST_FOUND: Final = 4_096
TICK_S: Final = 0.1
"""Probes to single addresses leave in small lots, this far apart."""
_TEXT: Final = 256
_SCOPES: Final = 64


def _nobody(_count: int) -> None:
    """Nobody wants to know how far a sweep is."""


@dataclass(frozen=True, slots=True)
class Found:
    """A device that answered. All but `address` is what it says of itself: untrusted text.

    `reference`: its endpoint reference, by which some devices can be known again; `path` and `port`: where it says that ONVIF is.
    """

    address: str
    reference: str
    types: tuple[str, ...]
    scopes: tuple[str, ...]
    path: str = ""
    port: int = 0


async def discover(clock: Clock, *, listen_s: float, source: str = "", to: tuple[str, int] = GROUP) -> Sequence[Found]:
    """Every device that answers within `listen_s` seconds, in the order of addresses.

    `source`: the address of ours that is asked from, which decides the interface ("": the system decides); `to`: the multicast group, or
    one device's own address. Raises Unreachable when a probe cannot be sent.
    """
    asked = _Asked()
    async with _listening(source, asked.hear) as send:
        for probe in asked.probes:
            send(probe, to)
        await clock.sleep(min(AGAIN_S, listen_s / 2))
        for probe in asked.probes:
            send(probe, to)
        await clock.sleep(max(0.0, listen_s - AGAIN_S))
    return _sorted(asked.found.values())


async def sweep(
    clock: Clock, addresses: Iterable[str], *, per_s: float, listen_s: float, port: int = PORT, asked: Callable[[int], None] = _nobody
) -> Sequence[Found]:
    """Every device that answers a probe to its own address, of `addresses` and no others: nobody else is sent anything, or heard.

    At most `per_s` addresses are asked a second; `listen_s`: how long the last is waited for; `asked` is told how many were, so far.
    Raises Unreachable when a probe cannot be sent.
    """
    search, count = _Asked(), 0
    meant: set[str] = set()

    def hear(data: bytes, address: str) -> None:
        if address in meant:
            search.hear(data, address)

    async with _listening("", hear) as send:
        rest = iter(addresses)
        while batch := list(itertools.islice(rest, max(1, round(per_s * TICK_S)))):
            meant.update(batch)
            for address in batch:
                for probe in search.probes:
                    send(probe, (address, port))
            count += len(batch)
            asked(count)
            await clock.sleep(len(batch) / per_s)
        await clock.sleep(listen_s)
    return _sorted(search.found.values())


def _sorted(found: Iterable[Found]) -> Sequence[Found]:
    return sorted(found, key=lambda one: (socket.inet_aton(one.address), one.reference))


class _Asked:
    """One search: the probes that were sent, and what came back."""

    def __init__(self) -> None:
        ids = [f"urn:uuid:{uuid.UUID(bytes=os.urandom(16), version=4)}" for _ in TYPES]
        self._ids = frozenset(ids)
        self.probes = [_probe(message_id, type_) for message_id, type_ in zip(ids, TYPES, strict=True)]
        self.found: dict[tuple[str, str], Found] = {}
        self._heard: Counter[str] = Counter()

    def hear(self, data: bytes, address: str) -> None:
        """One datagram, whatever it is."""
        self._heard[address] += 1
        if len(data) > LARGEST or self._heard[address] > MOST_FROM_ONE or self._heard.total() > MOST_DATAGRAMS:
            return
        try:
            root = parse(data)
        except ProtocolError:
            return
        if _answers(root, self._ids):
            for match in children(child(root, "Body", "ProbeMatches"), "ProbeMatch"):
                found = _found(match, address)
                if len(self.found) < MOST_FOUND:
                    self.found[address, found.reference] = found


def _answers(root: etree._Element, ids: frozenset[str]) -> bool:
    """Whether it relates to a probe of ours.

    Some devices put the probe's id in the place of their own and relate to nothing (andreikop/python-ws-discovery#38).
    """
    header = child(root, "Header")
    return (text(header, "RelatesTo") or text(header, "MessageID")) in ids


def _found(match: etree._Element, address: str) -> Found:
    path, port = _place(text(match, "XAddrs"))
    reference = text(match, "EndpointReference", "Address")[:_TEXT]
    types = tuple(name.rpartition(":")[2][:_TEXT] for name in text(match, "Types").split()[:_SCOPES])
    return Found(address, reference, types, tuple(scope[:_TEXT] for scope in text(match, "Scopes").split()[:_SCOPES]), path, port)


def _place(xaddrs: str) -> tuple[str, int]:
    """Path and port of the first address that is one: the host is not taken from there."""
    for xaddr in xaddrs.split()[:8]:
        try:
            parts = urlsplit(xaddr)
            if parts.scheme in ("http", "https") and parts.path.startswith("/"):
                return parts.path[:_TEXT], parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            continue
    return "", 0


def _probe(message_id: str, type_: str) -> bytes:
    header = (
        f'<a:Action xmlns:a="{_ADDRESSING}">{_DISCOVERY}/Probe</a:Action><a:MessageID xmlns:a="{_ADDRESSING}">{escape(message_id)}'
        f'</a:MessageID><a:To xmlns:a="{_ADDRESSING}">urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To>'
    )
    body = (
        f'<d:Probe xmlns:d="{_DISCOVERY}"><d:Types xmlns:dn="http://www.onvif.org/ver10/network/wsdl" '
        f'xmlns:tds="http://www.onvif.org/ver10/device/wsdl">{type_}</d:Types></d:Probe>'
    )
    return envelope(body.encode(), header.encode())


_DISCOVERY: Final = "http://schemas.xmlsoap.org/ws/2005/04/discovery"
_ADDRESSING: Final = "http://schemas.xmlsoap.org/ws/2004/08/addressing"


# -- the socket -------------------------------------------------------------------------------------------------------


class _Ears(asyncio.DatagramProtocol):
    def __init__(self, hear: Callable[[bytes, str], None]) -> None:
        self._hear = hear

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self._hear(data, str(addr[0]))

    def error_received(self, exc: Exception) -> None:
        """A device that has nobody at the port says so: no answer, like silence."""


@asynccontextmanager
async def _listening(source: str, hear: Callable[[bytes, str], None]) -> AsyncIterator[Callable[[bytes, tuple[str, int]], None]]:
    """A socket that tells what it hears; gives how to send. Multicast leaves by the interface of `source`, for that link alone."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
            if source:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(source))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024 * 1024)
            sock.bind((source, 0))
        except OSError as error:
            raise Unreachable(f"nothing can be sent from {source or 'here'}: {error.strerror}") from error
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: _Ears(hear), sock=sock)
        try:
            yield transport.sendto
        finally:
            transport.close()
