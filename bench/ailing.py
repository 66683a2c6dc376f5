"""A whole city for benches, cheap and mortal: ONVIF devices and SNMP switches on loopback addresses, each of which can be ailing.

Run as `python -m bench.ailing`; prints one JSON line, `{"onvif": PORT, "snmp": PORT}`. Each line of its standard input is a JSON object of
addresses and what ails them from now on (`Ill`); who is not named is well. It says `done` when that is so.

    silent   takes connections and datagrams, and never answers      hole     answers no SYN and no datagram, as a dead device
    drip     sends its answer a byte every half second                reset    reads the request, then breaks the connection
"""

import asyncio
import contextlib
import json
import socket
import struct
import sys
import time
from collections.abc import Mapping
from enum import StrEnum

from bench import cameras
from simulators.http import raise_file_limit
from simulators.snmp import ber, pktinfo

DRIP_S = 0.5
_UPTIME = ber.oid((1, 3, 6, 1, 2, 1, 1, 3, 0))
_DESCRIPTION = ber.oid((1, 3, 6, 1, 2, 1, 1, 1, 0))


class Ill(StrEnum):
    WELL = "well"
    SILENT = "silent"
    HOLE = "hole"
    DRIP = "drip"
    RESET = "reset"


class City:
    """What ails whom."""

    def __init__(self) -> None:
        self.ills: dict[str, Ill] = {}
        self._holes: list[socket.socket] = []

    def afflict(self, ills: Mapping[str, Ill], port: int) -> None:
        """From now on these and no others ail."""
        for hole in self._holes:
            hole.close()
        self.ills = dict(ills)
        self._holes = [part for address, ill in ills.items() if ill is Ill.HOLE for part in _hole(address, port)]

    def of(self, address: str) -> Ill:
        return self.ills.get(address, Ill.WELL)


def _hole(address: str, port: int) -> tuple[socket.socket, socket.socket]:
    """Where SYNs vanish: a listener of this very address with room for one connection, and that connection."""
    listener = _listener(address, port)
    listener.listen(0)
    stopper = socket.socket()
    stopper.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        stopper.connect((address, port))
    return listener, stopper


def _listener(address: str, port: int) -> socket.socket:
    listener = socket.socket()
    listener.setblocking(False)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # the listener of one address beside that of all
    listener.bind((address, port))
    return listener


class Device(cameras.Camera):
    """One connection to one ONVIF device."""

    def __init__(self, city: City) -> None:
        self._city = city

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._ill = self._city.of(transport.get_extra_info("sockname")[0])

    def data_received(self, data: bytes) -> None:
        match self._ill:
            case Ill.SILENT | Ill.HOLE:
                return
            case Ill.RESET:
                sock = self._transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self._transport.abort()
            case Ill.DRIP:
                self._drip(b"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\nContent-Length: 900\r\n\r\n")
            case _:
                super().data_received(data)

    def _drip(self, rest: bytes) -> None:
        if rest and not self._transport.is_closing():
            self._transport.write(rest[:1])
            asyncio.get_running_loop().call_later(DRIP_S, self._drip, rest[1:])


def answer(datagram: bytes, uptime: int) -> bytes:
    """What an agent says to a GET over v2c: how long it is up, a description, and of nothing else. Raises Malformed."""
    message = ber.Reader(datagram).inner(ber.SEQUENCE)
    version, community = message.integer(), message.content(ber.OCTETS)
    _, start, end = message.element()
    request = ber.Reader(datagram, start, end)
    number = request.integer()
    request.integer()
    request.integer()
    names, found = request.inner(ber.SEQUENCE), b""
    while names.more:
        name = ber.tlv(ber.OBJECT, names.inner(ber.SEQUENCE).content(ber.OBJECT))
        value = _value(name, uptime)
        found += ber.tlv(ber.SEQUENCE, name + value)
    reply = ber.integer(number) + ber.integer(0) + ber.integer(0) + ber.tlv(ber.SEQUENCE, found)
    return ber.tlv(ber.SEQUENCE, ber.integer(version) + ber.octets(community) + ber.tlv(0xA2, reply))


def _value(name: bytes, uptime: int) -> bytes:
    if name == _UPTIME:
        return ber.unsigned(ber.TICKS, uptime)
    return ber.octets("a switch") if name == _DESCRIPTION else ber.NO_SUCH_OBJECT


def _agents(sock: socket.socket, city: City) -> None:
    for datagram, local, peer in pktinfo.received(sock):
        if city.of(socket.inet_ntoa(local)) is Ill.WELL:
            pktinfo.send_from(sock, answer(datagram, int(time.monotonic() * 100)), local, peer)


async def serve() -> None:
    """Serve until standard input ends."""
    raise_file_limit()
    loop, city = asyncio.get_running_loop(), City()
    listener, agents = _listener("0.0.0.0", 0), pktinfo.bound(0)
    port = listener.getsockname()[1]
    await loop.create_server(lambda: Device(city), sock=listener, backlog=4096)
    loop.add_reader(agents, _agents, agents, city)
    print(json.dumps({"onvif": port, "snmp": agents.getsockname()[1]}), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        city.afflict({address: Ill(ill) for address, ill in json.loads(line).items()}, port)
        print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(serve())
