"""A few SNMP devices for tests, and a plain datagram client for them."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from simulators.city import City, SimDevice, Snmp
from simulators.snmp import server as snmp
from simulators.snmp.server import Recordings
from simulators.state import State
from tests.simulators.block import Wallclock, city_of, device
from tests.waiting import until

COMMUNITY = Snmp(version="v2c", community="c1ty", engine_id="80001f880431", write_community="m4yor")


def v3(number: int, auth: str = "", priv: str = "") -> Snmp:
    return Snmp("v3", "", "poller", auth, "auth-secret" if auth else "", priv, "priv-secret" if priv else "", f"80001f8804{number:02x}3333")


SWITCH = device("switch", 1, vendor="H3C", model="IE4320-10S", snmp=COMMUNITY)
CAMERA = device("camera", 1, uplink=SWITCH.id, uplink_port=1)
SPEAKER = device("speaker", 1, vendor="AXIS", model="C1310-E", uplink=SWITCH.id, uplink_port=5, audio=("PCMA",), horns=2, snmp=COMMUNITY)
OLD_SWITCH = device("switch", 2, snmp=replace(COMMUNITY, version="v1"))
AGGREGATION = device("switch", 3, snmp=v3(3, "SHA", "AES128"))
BRANCH = device("switch", 4, uplink=AGGREGATION.id, uplink_port=7, snmp=v3(4))
RECORDER = device(
    "recorder", 1, vendor="HIKVISION", uplink=AGGREGATION.id, uplink_port=20, snmp=replace(COMMUNITY, engine_id="80001f880439")
)
MD5_SWITCH = device("switch", 5, snmp=v3(5, "MD5"))
SHA256_SWITCH = device("switch", 6, snmp=v3(6, "SHA256", "AES128"))
MD5_AES_SWITCH = device("switch", 7, snmp=v3(7, "MD5", "AES"))
CITY = city_of(SWITCH, CAMERA, SPEAKER, OLD_SWITCH, AGGREGATION, BRANCH, RECORDER, MD5_SWITCH, SHA256_SWITCH, MD5_AES_SWITCH)


@dataclass
class Block:
    server: snmp.SnmpServer
    state: State
    clock: Wallclock

    def at(self, target: SimDevice) -> str:
        """host:port, as net-snmp's programs want it."""
        return f"{target.address}:{self.server.port}"

    async def ask(self, target: SimDevice, datagram: bytes, *, within_s: float = 60.0) -> bytes:
        """The answer, which comes from the address that was asked. Raises TimeoutError."""
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            await loop.sock_sendto(sock, datagram, (target.address, self.server.port))
            async with asyncio.timeout(within_s):
                data, source = await loop.sock_recvfrom(sock, 65_535)
        assert source == (target.address, self.server.port)
        return data

    async def is_silent(self, target: SimDevice, datagram: bytes) -> bool:
        """Whether nothing comes back, although the agent has read what was sent."""
        loop, before = asyncio.get_running_loop(), self.server.heard
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            await loop.sock_sendto(sock, datagram, (target.address, self.server.port))
            await until(lambda: self.server.heard > before, within_s=60)
            try:
                sock.recv(65_535)
            except BlockingIOError:
                return True
        return False


@asynccontextmanager
async def snmp_block(recordings: Recordings | None = None, *, retry_s: float = 30.0, city: City = CITY) -> AsyncIterator[Block]:
    clock = Wallclock()
    state = State(clock)
    async with snmp.serve(city, 0, state, recordings=recordings, retry_s=retry_s) as server:
        yield Block(server, state, clock)
