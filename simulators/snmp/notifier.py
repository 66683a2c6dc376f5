"""Puts notifications on the wire (RFC 3416 §4.2.6, §4.2.7; RFC 1157 §4.1.6 for v1), each from its device's address.

A trap is sent once. An inform is repeated until it is acknowledged, `TRIES` times at most; over v3 its receiver is the authoritative
engine, which says by a report who it is and what its clock shows (RFC 3414 §4).
"""

import asyncio
import hmac
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from simulators.city import City, SimDevice, Snmp
from simulators.snmp import ber, pdu, v3
from simulators.snmp.ber import Malformed, Oid, Reader
from simulators.snmp.managed import Managed
from simulators.snmp.mibs import INTERFACES, SYSTEM, shape_of
from simulators.snmp.pktinfo import bound, received, send_from
from simulators.snmp.tree import View
from simulators.snmp.usm import User, user_of
from simulators.snmp.v3 import AUTH, REPORTABLE, Engine, Message
from simulators.state import State
from simulators.traps import Sink, Trap

TRIES: Final = 5
RETRY_S: Final = 2.0
WAITING: Final = 1_000
"""Informs that wait to be acknowledged; the oldest goes unheard when there are more."""
TRAP_OID: Final = (1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0)
TRAPS: Final = (1, 3, 6, 1, 6, 3, 1, 1, 5)


@dataclass(slots=True)
class _Inform:
    """An inform under way: how it is put together for what is known of its receiver, and how often it went out."""

    managed: Managed
    sink: Sink
    body: bytes
    user: User | None = None
    tries: int = 0
    timer: asyncio.TimerHandle | None = None


class Notifier:
    """Sends for all devices of a city through one socket, opened with the first notification.

    `managed_of`: the device as its agent knows it. `sent`, `acknowledged`, `given_up`: for whoever watches.
    """

    def __init__(self, city: City, state: State, managed_of: Callable[[SimDevice], Managed], *, retry_s: float = RETRY_S) -> None:
        self._city, self._state, self._managed_of, self._retry_s = city, state, managed_of, retry_s
        self._socket: socket.socket | None = None
        self._next_id = 1
        self._salt = int.from_bytes(struct.pack("=d", state.now()), "big")
        self._waiting: dict[int, _Inform] = {}
        self._receivers: dict[Sink, Engine] = {}
        state.traps.senders.append(self.send)

    def close(self) -> None:
        self._state.traps.senders.remove(self.send)
        for inform in self._waiting.values():
            if inform.timer is not None:
                inform.timer.cancel()
        self._waiting.clear()
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()

    def send(self, device: SimDevice, trap: Trap, port: int = 0) -> None:
        """Tell the sink what befell a device; nothing for one without SNMP."""
        sink, settings = self._state.traps.sink, device.snmp
        if sink is None or settings is None:
            return
        managed, number = self._managed_of(device), self._next_id
        self._next_id = self._next_id % 0x7FFF_FFFF + 1
        rows = _bindings(managed, trap, port)
        if sink.informs and settings.version != "v1":
            self._begin(number, _Inform(managed, sink, _v2(pdu.INFORM, number, managed, trap, rows)))
        elif settings.version == "v1":
            self._put(managed, sink, _community(0, settings, _v1(managed, trap, rows)))
        elif settings.version == "v2c":
            self._put(managed, sink, _community(1, settings, _v2(pdu.TRAP_V2, number, managed, trap, rows)))
        else:
            engine = Engine(managed.engine_id, managed.boots, int(managed.agent_s))
            body = v3.scoped(engine.id, b"", _v2(pdu.TRAP_V2, number, managed, trap, rows))
            user = user_of(settings, engine.id)
            flags = user.level if user else 0
            self._put(managed, sink, self._wrapped(number, engine, settings, body, user=user, flags=flags))
        self._state.count("snmp", "informs" if sink.informs else "traps", device.kind)

    # -- informs ------------------------------------------------------------------------------------------------------

    def _begin(self, number: int, inform: _Inform) -> None:
        while len(self._waiting) >= WAITING:
            self._end(next(iter(self._waiting)), "informs_given_up")
        self._waiting[number] = inform
        self._try(number)

    def _try(self, number: int) -> None:
        """Send it (again), or give it up."""
        inform = self._waiting[number]
        if inform.timer is not None:
            inform.timer.cancel()
        if inform.tries >= TRIES:
            self._end(number, "informs_given_up")
            return
        inform.tries += 1
        settings = inform.managed.device.snmp
        assert settings is not None
        data = self._v3_inform(number, inform, settings) if settings.version == "v3" else _community(1, settings, inform.body)
        if not self._state.dark(inform.managed.device):
            self._put(inform.managed, inform.sink, data)
        inform.timer = asyncio.get_running_loop().call_later(self._retry_s, self._try, number)

    def _v3_inform(self, number: int, inform: _Inform, settings: Snmp) -> bytes:
        """The inform for the receiver's engine; a question who it is, while that is not known."""
        engine = self._receivers.get(inform.sink, Engine())
        body = v3.scoped(engine.id, b"", inform.body)
        if not engine.id:
            return v3.wrap(ber.integer(number), engine, b"", body, user=None, flags=REPORTABLE, salt=b"")
        inform.user = user_of(settings, engine.id)
        flags = REPORTABLE | (inform.user.level if inform.user else 0)
        return self._wrapped(number, engine, settings, body, user=inform.user, flags=flags)

    def _end(self, number: int, how: str) -> None:
        inform = self._waiting.pop(number)
        if inform.timer is not None:
            inform.timer.cancel()
        self._state.count("snmp", how, inform.managed.device.kind)

    # -- the wire -----------------------------------------------------------------------------------------------------

    def _wrapped(self, number: int, engine: Engine, settings: Snmp, body: bytes, *, user: User | None, flags: int) -> bytes:
        self._salt = self._salt + 1 & 0xFFFF_FFFF_FFFF_FFFF
        salt = self._salt.to_bytes(8, "big")
        return v3.wrap(ber.integer(number), engine, settings.user.encode(), body, user=user, flags=flags, salt=salt)

    def _put(self, managed: Managed, sink: Sink, data: bytes) -> None:
        if self._socket is None:
            self._socket = bound(0)
            asyncio.get_running_loop().add_reader(self._socket, self._drain)
        if not send_from(self._socket, data, socket.inet_aton(managed.device.address), (sink.host, sink.port)):
            self._state.counters["snmp.lost"] += 1

    def _drain(self) -> None:
        assert self._socket is not None
        for data, local, _ in received(self._socket):
            try:
                self._hear(data, socket.inet_ntoa(local))
            except Malformed:
                self._state.counters["snmp.malformed_acknowledgements"] += 1

    def _hear(self, data: bytes, local: str) -> None:
        """An acknowledgement, or a report of the receiver's engine. Raises `Malformed`."""
        reader = Reader(data).inner(ber.SEQUENCE)
        if reader.integer() == 3:
            self._hear_v3(v3.read(data, reader), local)
            return
        reader.content(ber.OCTETS)
        tag, number = _kind(data, reader)
        if tag == pdu.RESPONSE and self._is_from(number, local):
            self._end(number, "informs_acknowledged")

    def _hear_v3(self, message: Message, local: str) -> None:
        number = Reader(message.id).integer()
        if not self._is_from(number, local):
            return
        inform = self._waiting[number]
        signed = bool(message.flags & AUTH)
        if signed and not (inform.user and hmac.compare_digest(v3.signature(message, inform.user), message.tag)):
            return
        scoped = v3.scoped_of(message, inform.user)
        inner = Reader(scoped).inner(ber.SEQUENCE)
        inner.content(ber.OCTETS)
        inner.content(ber.OCTETS)
        tag, _ = _kind(scoped, inner)
        if tag == pdu.RESPONSE and signed == bool(inform.user and inform.user.auth):
            self._end(number, "informs_acknowledged")
        elif tag == pdu.REPORT:
            self._receivers[inform.sink] = message.engine
            self._try(number)

    def _is_from(self, number: int, local: str) -> bool:
        """Whether an answer that came to an address is one to an inform from there."""
        inform = self._waiting.get(number)
        return inform is not None and inform.managed.device.address == local


# -- what is told -----------------------------------------------------------------------------------------------------


def _bindings(managed: Managed, trap: Trap, port: int) -> bytes:
    """The objects that belong to a notification: of a link its index and both its states (RFC 2863 §3.1.14)."""
    if trap not in {Trap.LINK_DOWN, Trap.LINK_UP}:
        return b""
    names = [(*INTERFACES, 2, 1, column, port) for column in (1, 7, 8)]
    view = View(shape_of(managed), managed)
    return b"".join(pdu.binding(ber.oid(name), view.get(name) or ber.EMPTY) for name in names)


def _v2(tag: int, number: int, managed: Managed, trap: Trap, rows: bytes) -> bytes:
    uptime: Oid = (*SYSTEM, 3, 0)
    head = pdu.binding(ber.oid(uptime), ber.unsigned(ber.TICKS, int(managed.agent_s * 100)))
    head += pdu.binding(ber.oid(TRAP_OID), ber.oid((*TRAPS, trap + 1)))
    return pdu.response(ber.integer(number), head + rows, tag=tag)


def _v1(managed: Managed, trap: Trap, rows: bytes) -> bytes:
    enterprise = View(shape_of(managed), managed).get((*SYSTEM, 2, 0)) or ber.oid(TRAPS)
    address = ber.tlv(ber.IP_ADDRESS, socket.inet_aton(managed.device.address))
    stamp = ber.unsigned(ber.TICKS, int(managed.agent_s * 100))
    inner = enterprise + address + ber.integer(trap) + ber.integer(0) + stamp + ber.tlv(ber.SEQUENCE, rows)
    return ber.tlv(pdu.TRAP_V1, inner)


def _community(version: int, settings: Snmp, body: bytes) -> bytes:
    return ber.tlv(ber.SEQUENCE, ber.integer(version) + ber.octets(settings.community) + body)


def _kind(data: bytes, reader: Reader) -> tuple[int, int]:
    """Tag and request-id of a PDU."""
    tag, start, stop = reader.element()
    return tag, Reader(data, start, stop).integer()
