"""A small SNMP v1 and v2c agent on a real socket, slow and scriptable: it serves a table, a recording, or lies."""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pyasn1.codec.ber import decoder, encoder
from pysnmp.proto import api
from pysnmp.proto.api import verdec
from pysnmp.proto.rfc1905 import endOfMibView, noSuchObject

from gateway.domain.devices import Credentials, DeviceId, Ports, SnmpCredentials, SnmpVersion
from gateway.drivers.base import Target

v2c = api.PROTOCOL_MODULES[api.SNMP_VERSION_2C]
Table = Mapping[str, Any]
_TYPES = {
    "2": lambda raw: v2c.Integer(int(raw)),
    "4": v2c.OctetString,
    "5": lambda _: v2c.Null(""),
    "6": v2c.ObjectIdentifier,
    "64": v2c.IpAddress,
    "65": lambda raw: v2c.Counter32(int(raw)),
    "66": lambda raw: v2c.Gauge32(int(raw)),
    "67": lambda raw: v2c.TimeTicks(int(raw)),
    "68": v2c.Opaque,
    "70": lambda raw: v2c.Counter64(int(raw)),
}


def recorded(path: Path) -> Table:
    """The table of a `.snmprec` file: `OID|type|value` a line, the type's `x` meaning hexadecimal."""
    table = {}
    for line in path.read_bytes().splitlines():
        oid, tag, value = line.split(b"|", 2)
        kind = tag.decode()
        raw = bytes.fromhex(value.decode()) if kind.endswith("x") else value
        kind = kind.rstrip("x")
        if kind == "64":
            raw = ".".join(map(str, raw)).encode() if tag.endswith(b"x") else raw
        table[oid.decode()] = _TYPES[kind](raw if kind in ("4", "68") else raw.decode())
    return table


class Agent(asyncio.DatagramProtocol):
    """Answers from `table`. `lie`, when set, makes the datagrams that go out instead: of the request, and of the honest answer."""

    def __init__(self, table: Table, community: str = "public") -> None:
        self.table = table
        self.lie: Callable[[bytes, bytes], list[bytes]] | None = None
        self.requests = 0
        self._community = community
        self._sorted = sorted((tuple(map(int, oid.split("."))), oid) for oid in table)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.requests += 1
        honest = self._answer(data)
        for datagram in self.lie(data, honest) if self.lie else [honest] if honest else []:
            self._transport.sendto(datagram, addr)

    def _answer(self, data: bytes) -> bytes:
        version = verdec.decode_message_version(data)
        module = api.PROTOCOL_MODULES[version]
        message, _ = decoder.decode(data, asn1Spec=module.Message())
        if bytes(module.apiMessage.get_community(message)).decode() != self._community:
            return b""
        request = module.apiMessage.get_pdu(message)
        response = module.apiPDU.get_response(request)
        asked = [str(oid) for oid, _ in module.apiPDU.get_varbinds(request)]
        if request.isSameTypeWith(module.GetRequestPDU()):
            rows = [(oid, self.table.get(oid, noSuchObject)) for oid in asked]
        else:
            bulk = version == api.SNMP_VERSION_2C and request.isSameTypeWith(v2c.GetBulkRequestPDU())
            rows = self._following(asked[0], int(v2c.apiBulkPDU.get_max_repetitions(request)) if bulk else 1)
        missing = next((place for place, (_, value) in enumerate(rows, 1) if value in (noSuchObject, endOfMibView)), 0)
        if version == api.SNMP_VERSION_1 and missing:
            module.apiPDU.set_error_status(response, 2)
            module.apiPDU.set_error_index(response, missing)
            rows = [(oid, module.Null("")) for oid, _ in rows]
        module.apiPDU.set_varbinds(response, [(module.ObjectIdentifier(oid), value) for oid, value in rows])
        module.apiMessage.set_pdu(message, response)
        return bytes(encoder.encode(message))

    def _following(self, oid: str, count: int) -> list[tuple[str, Any]]:
        begin = bisect_right(self._sorted, (tuple(map(int, oid.split("."))), oid))
        found = [(name, self.table[name]) for _, name in self._sorted[begin : begin + count]]
        return found if len(found) == count else [*found, (oid, endOfMibView)]


@asynccontextmanager
async def serving(table: Table, *, address: str = "127.77.2.1") -> AsyncIterator[tuple[Agent, Target]]:
    """An agent with `table`, and the target to reach it over v2c."""
    loop = asyncio.get_running_loop()
    transport, agent = await loop.create_datagram_endpoint(lambda: Agent(table), local_addr=(address, 0))
    try:
        yield agent, target(address, transport.get_extra_info("sockname")[1])
    finally:
        transport.close()


def target(address: str, port: int, *, version: SnmpVersion = SnmpVersion.V2C, profile: str = "", community: str = "public") -> Target:
    credentials = Credentials(snmp=SnmpCredentials(version, community=community))
    return Target(DeviceId(f"{address}:{port}:{version}:{community}"), address, Ports(snmp=port), credentials, profile)
