"""Traps and informs as they come off the wire: of v1 (RFC 1157, 4.1.6) and v2c (RFC 3416, 4.2.6 and 4.2.7), and the PDU that v3 carries.

Whichever version told it, a notification has the object id that v2 would give it (RFC 3584, 3.1).
"""

from dataclasses import dataclass
from typing import Final

from gateway.drivers.snmp import ber
from gateway.drivers.snmp.ber import Malformed, Value

V1, V2C, V3 = 0, 1, 3
TRAP_V1, TRAP_V2, INFORM, RESPONSE = 0xA4, 0xA7, 0xA6, 0xA2
TRAP_OID: Final = "1.3.6.1.6.3.1.1.4.1.0"
GENERIC: Final = "1.3.6.1.6.3.1.1.5"
SYS_UPTIME: Final = "1.3.6.1.2.1.1.3.0"
_ENTERPRISE_SPECIFIC: Final = 6
BINDINGS: Final = 64
"""Objects that are kept of one notification; what comes behind them is left out."""


@dataclass(frozen=True, slots=True)
class Notification:
    """What a device told. `bindings` without uptime and trap object id; `inform`: it waits to hear that we have it."""

    trap: str
    bindings: tuple[tuple[str, Value], ...]
    uptime: int | None = None
    inform: bool = False
    request_id: int = 0


@dataclass(frozen=True, slots=True)
class Message:
    """A v1 or v2c message before it is believed: its community, and its PDU at `pdu` of `data`."""

    version: int
    community: bytes
    data: bytes
    pdu: int

    def notification(self) -> Notification:
        """What it tells. Raises Malformed."""
        return read_pdu(self.data, self.pdu, len(self.data))

    def acknowledgement(self) -> bytes:
        """The answer to an inform: the same message as a Response (RFC 3416, 4.2.7)."""
        return self.data[: self.pdu] + bytes((RESPONSE,)) + self.data[self.pdu + 1 :]


def version_of(data: bytes) -> int:
    """Which SNMP a datagram says that it is. Raises Malformed."""
    start, stop = ber.expect(data, 0, len(data), ber.SEQUENCE)
    return ber.integer(data, start, stop)[0]


def read_message(data: bytes) -> Message:
    """A v1 or v2c message. Raises Malformed; what follows it in the datagram is dropped."""
    start, stop = ber.expect(data, 0, len(data), ber.SEQUENCE)
    version, at = ber.integer(data, start, stop)
    community, at = ber.octets(data, at, stop)
    tag, _, end = ber.element(data, at, stop)
    if version not in (V1, V2C) or (tag == TRAP_V1) != (version == V1):
        raise Malformed("a PDU that this version does not have")
    return Message(version, community, data[:end], at)


def read_pdu(data: bytes, at: int, end: int) -> Notification:
    """The notification at `at`. Raises Malformed, for any other PDU too."""
    tag, start, stop = ber.element(data, at, end)
    if tag == TRAP_V1:
        return _read_v1(data, start, stop)
    if tag not in (TRAP_V2, INFORM):
        raise Malformed("no notification")
    request_id, at = ber.integer(data, start, stop)
    _, at = ber.integer(data, at, stop)
    _, at = ber.integer(data, at, stop)
    uptime, trap, kept = None, "", []
    for oid, value in _bindings(data, at, stop):
        if oid == SYS_UPTIME and isinstance(value, int):
            uptime = value
        elif oid == TRAP_OID and isinstance(value, str):
            trap = value
        else:
            kept.append((oid, value))
    if not trap:
        raise Malformed("does not say what it is of")
    return Notification(trap, tuple(kept), uptime, tag == INFORM, request_id)


def _read_v1(data: bytes, at: int, stop: int) -> Notification:
    start, end = ber.expect(data, at, stop, ber.OBJECT_ID)
    enterprise = ber.object_id(data, start, end)
    _, at = ber.value(data, end, stop)  # the agent's address: anybody may write anything there
    generic, at = ber.integer(data, at, stop)
    specific, at = ber.integer(data, at, stop)
    uptime, at = ber.value(data, at, stop)
    if not 0 <= generic <= _ENTERPRISE_SPECIFIC or specific < 0 or not isinstance(uptime, int):
        raise Malformed("a v1 trap with what no such has")
    trap = f"{enterprise}.0.{specific}" if generic == _ENTERPRISE_SPECIFIC else f"{GENERIC}.{generic + 1}"
    return Notification(trap, tuple(_bindings(data, at, stop)), uptime)


def _bindings(data: bytes, at: int, stop: int) -> list[tuple[str, Value]]:
    at, stop = ber.expect(data, at, stop, ber.SEQUENCE)
    found: list[tuple[str, Value]] = []
    while at < stop and len(found) < BINDINGS:
        row, at = ber.expect(data, at, stop, ber.SEQUENCE)
        start, end = ber.expect(data, row, at, ber.OBJECT_ID)
        value, rest = ber.value(data, end, at)
        if rest != at:
            raise Malformed("more than a name and a value")
        found.append((ber.object_id(data, start, end), value))
    return found
