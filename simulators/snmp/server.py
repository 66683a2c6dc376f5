"""The one SNMP socket of the city: each datagram goes to the agent of the device that was asked, and is answered from its address."""

import asyncio
import socket
import struct
from collections.abc import Mapping
from typing import Any, Final, Self

from simulators.city import City, SimDevice
from simulators.faults import Answer as Ailment
from simulators.faults import Fault
from simulators.listening import Listening
from simulators.snmp.agent import Agent
from simulators.snmp.managed import managed
from simulators.snmp.mibs import shape_of
from simulators.snmp.tree import Shape, View
from simulators.state import State

IP_PKTINFO: Final = 8  # Linux, linux/in.h; the socket module names it only from Python 3.12 on
BATCH: Final = 256
"""Datagrams answered in one turn of the loop."""
BUFFER_BYTES: Final = 4 * 1024 * 1024
_HEAD: Final = socket.CMSG_SPACE(12)

Address = tuple[str, int]
Recordings = Mapping[str, Shape[Any]]


def serve(city: City, port: int, state: State, *, recordings: Recordings | None = None) -> Listening["SnmpServer"]:
    """Answer for all devices of `city` on `port` (0: any free one) until closed. Awaiting it raises OSError when the port is taken.

    `recordings`: device id → what it shows instead of its own objects (`recorded_device`).
    """
    return Listening(SnmpServer.listening(city, port, state, recordings or {}))


class SnmpServer:
    """`port`: where it listens. `heard`: datagrams that came for a device, answered or not."""

    def __init__(self, city: City, state: State, recordings: Recordings, sock: socket.socket) -> None:
        self._city, self._state, self._recordings, self._socket = city, state, recordings, sock
        self._epoch = state.now()
        self._agents: dict[str, tuple[SimDevice, Agent] | None] = {}
        self.port: int = sock.getsockname()[1]
        self.heard = 0

    @classmethod
    async def listening(cls, city: City, port: int, state: State, recordings: Recordings) -> Self:
        server = cls(city, state, recordings, _bound(port))
        asyncio.get_running_loop().add_reader(server._socket, server._drain)
        return server

    async def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _drain(self) -> None:
        receive = self._socket.recvmsg
        for _ in range(BATCH):
            try:
                data, control, _, peer = receive(65_535, _HEAD)
            except (BlockingIOError, ConnectionRefusedError):
                return
            if control and peer[0].startswith("127."):
                self._hear(data, control[0][2][8:12], peer)

    def _hear(self, data: bytes, local: bytes, peer: Address) -> None:
        found = self._agent(socket.inet_ntoa(local))
        if found is None:
            return
        self.heard += 1
        device, agent = found
        fault = self._state.fault(device)
        if fault.on("snmp")[0] in {Ailment.SILENT, Ailment.REFUSE, Ailment.RESET}:
            return
        answer = agent.answer(data)
        self._state.count("snmp", "requests", device.kind)
        if answer.note:
            self._state.count("snmp", answer.note, device.kind)
        if answer.authentic:
            self._state.logged_in("snmp", device)
        if answer.data is not None:
            self._reply(answer.data, local, peer, fault)

    def _agent(self, address: str) -> tuple[SimDevice, Agent] | None:
        """The agent at an address, made when it is first asked; None where nobody answers."""
        try:
            return self._agents[address]
        except KeyError:
            device = self._city.by_address(address)
        if device is None or device.snmp is None:
            return None
        itself = managed(self._city, device, self._state, epoch=self._epoch)
        view = View(self._recordings.get(device.id) or shape_of(itself), itself)
        self._agents[address] = device, Agent(itself, device.snmp, view)
        return self._agents[address]

    def _reply(self, data: bytes, local: bytes, peer: Address, fault: Fault) -> None:
        ailment, delay_s = fault.on("snmp")
        if ailment is Ailment.TRUNCATED:
            data = data[: len(data) // 2]
        elif ailment is Ailment.GARBAGE:
            data = bytes(range(255, -1, -1))
        if delay_s:
            asyncio.get_running_loop().call_later(delay_s, self._send, data, local, peer)
        else:
            self._send(data, local, peer)

    def _send(self, data: bytes, local: bytes, peer: Address) -> None:
        """From the address that was asked; what does not fit into the socket is lost, as on a wire."""
        source = struct.pack("=i4s4s", 0, local, b"\x00\x00\x00\x00")
        try:
            self._socket.sendmsg((data,), ((socket.IPPROTO_IP, IP_PKTINFO, source),), 0, peer)
        except OSError:
            self._state.counters["snmp.lost"] += 1


def _bound(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        sock.bind(("0.0.0.0", port))
    except OSError:
        sock.close()
        raise
    return sock
