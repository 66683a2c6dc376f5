"""The one SNMP socket of the city: each datagram goes to the agent of the device that was asked, and is answered from its address."""

import asyncio
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from simulators.city import City, SimDevice
from simulators.faults import Answer as Ailment
from simulators.listening import Listening
from simulators.snmp.agent import Agent
from simulators.snmp.history import History
from simulators.snmp.managed import Managed, managed
from simulators.snmp.mibs import shape_of
from simulators.snmp.notifier import RETRY_S, Notifier
from simulators.snmp.pktinfo import Address, bound, received, send_from
from simulators.snmp.recorded import recorded_device
from simulators.snmp.tree import Shape, View
from simulators.state import State
from simulators.traps import Sink, Trap

_STRANGERS = frozenset({"bad_community", "wrong_digest", "unknown_user"})
"""What an agent reports by authenticationFailure (RFC 3418)."""
Recordings = Mapping[str, Shape[Any]]


def serve(
    city: City, port: int, state: State, *, recordings: Recordings | None = None, retry_s: float = RETRY_S
) -> Listening["SnmpServer"]:
    """Answer for all devices of `city` on `port` (0: any free one) until closed. Awaiting it raises OSError when the port is taken.

    `recordings`: device id → what it shows instead of its own objects (`recorded_device`). `retry_s`: between two tries of an inform.
    """
    return Listening(SnmpServer.listening(city, port, state, recordings or {}, retry_s))


class SnmpServer:
    """`port`: where it listens. `heard`: datagrams that came for a device, answered or not."""

    def __init__(self, city: City, state: State, recordings: Recordings, sock: socket.socket, retry_s: float) -> None:
        self._city, self._state, self._recordings, self._socket = city, state, dict(recordings), sock
        if city.traps and state.traps.sink is None:
            state.traps.sink = Sink.parse(city.traps)
        self._history = History(city, state)
        self._notifier = Notifier(city, state, self._managed, retry_s=retry_s)
        self._agents: dict[str, tuple[SimDevice, Agent]] = {}
        self.port: int = sock.getsockname()[1]
        self.heard = 0

    @classmethod
    async def listening(cls, city: City, port: int, state: State, recordings: Recordings, retry_s: float) -> Self:
        server = cls(city, state, recordings, bound(port), retry_s)
        asyncio.get_running_loop().add_reader(server._socket, server._drain)
        return server

    async def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self._history.close()
        self._notifier.close()

    def _drain(self) -> None:
        for data, local, peer in received(self._socket):
            self._hear(data, local, peer)

    def _hear(self, data: bytes, local: bytes, peer: Address) -> None:
        found = self._agent(socket.inet_ntoa(local))
        if found is None:
            return
        self.heard += 1
        device, agent = found
        ailment, delay_s = self._state.ill(device, "snmp")
        if ailment in {Ailment.SILENT, Ailment.REFUSE, Ailment.RESET, Ailment.HALF_OPEN}:
            return
        answer = agent.answer(data)
        self._state.count("snmp", "requests", device.kind)
        if answer.note:
            self._state.count("snmp", answer.note, device.kind)
            if answer.note in _STRANGERS:
                self._state.traps.send(device, Trap.AUTHENTICATION_FAILURE)
        if answer.authentic:
            self._state.logged_in("snmp", device)
        if answer.data is not None:
            self._reply(answer.data, local, peer, ailment, delay_s)

    def _agent(self, address: str) -> tuple[SimDevice, Agent] | None:
        """The agent at an address, made when it is first asked; None where nobody answers."""
        device = self._state.at(self._city, address)
        if device is None or device.snmp is None:
            return None
        known = self._agents.get(address)
        if known is not None and known[0] is device:
            return known
        itself = self._managed(device)
        view = View(self._shape(itself), itself)
        self._agents[address] = device, Agent(itself, device.snmp, view)
        return self._agents[address]

    def _shape(self, itself: Managed) -> Shape[Any]:
        """What a device shows: a recording, when it plays one."""
        device = itself.device
        if device.id not in self._recordings and device.snmprec:
            self._recordings[device.id] = recorded_device(Path(device.snmprec))
        return self._recordings.get(device.id) or shape_of(itself)

    def _managed(self, device: SimDevice) -> Managed:
        return managed(self._city, device, self._state, self._history)

    def _reply(self, data: bytes, local: bytes, peer: Address, ailment: Ailment, delay_s: float) -> None:
        if ailment is Ailment.TRUNCATED:
            data = data[: len(data) // 2]
        elif ailment is Ailment.GARBAGE:
            data = bytes(range(255, -1, -1))
        if delay_s:
            asyncio.get_running_loop().call_later(delay_s, self._send, data, local, peer)
        else:
            self._send(data, local, peer)

    def _send(self, data: bytes, local: bytes, peer: Address) -> None:
        if not send_from(self._socket, data, local, peer):
            self._state.counters["snmp.lost"] += 1
