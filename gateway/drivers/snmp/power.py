"""The power of a switch's ports (RFC 3621), and what the switch itself says of who hangs at a port (IEEE 802.1AB, RFC 4188)."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.drivers.base import Target
from gateway.drivers.snmp.engine import Assignment, Oid, PollEngine, Syntax, Value, WriteEngine
from gateway.drivers.snmp.sensors import text
from gateway.errors import NotSupported

ADMIN_ENABLE: Final = "1.3.6.1.2.1.105.1.1.1.3"  # pethPsePortAdminEnable
_ON, _OFF = 1, 2  # TruthValue
_LLDP_REMOTE: Final = "1.0.8802.1.1.2.1.4.1.1"
_LLDP_CHASSIS_KIND, _LLDP_CHASSIS, _LLDP_NAME, _LLDP_ENABLED = (f"{_LLDP_REMOTE}.{column}" for column in (4, 5, 9, 12))
_MAC_ADDRESS: Final = 4  # LldpChassisIdSubtype
_BRIDGE, _ROUTER = 0x20, 0x08  # LldpSystemCapabilitiesMap, its first octet
_FORWARDING_PORT: Final = "1.3.6.1.2.1.17.4.3.1.2"  # dot1dTpFdbPort
_BRIDGE_PORT_INTERFACE: Final = "1.3.6.1.2.1.17.1.4.1.2"  # dot1dBasePortIfIndex


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Who is at a switch's ports, as far as it knows. Ports by their interface; hardware addresses as aa:bb:cc:dd:ee:ff.

    `macs`: the port behind which each address was seen; `names`, `chassis`: what the neighbour at a port calls itself; `bridges`: ports
    at which another switch or router says that it is one.
    """

    macs: Mapping[str, int] = field(default_factory=dict)
    names: Mapping[int, str] = field(default_factory=dict)
    chassis: Mapping[int, str] = field(default_factory=dict)
    bridges: frozenset[int] = frozenset()

    def seen_at(self, port: int) -> frozenset[str]:
        """The hardware addresses behind a port."""
        return frozenset(mac for mac, at in self.macs.items() if at == port)


class PortPower:
    """Switches the power of ports by `writer`, reading by `reader`. `writing`: a target with the login that may write."""

    def __init__(self, reader: PollEngine, writer: Callable[[], WriteEngine]) -> None:
        self._reader = reader
        self._writer = writer

    async def find(self, switch: Target, port: int, *, timeout_s: float) -> Oid:
        """The object that has the power of `port`. Raises NotSupported: no such (`no-port-power`), or several (`port-ambiguous`)."""
        rows = await self._reader.walk(switch, ADMIN_ENABLE, timeout_s=timeout_s)
        found = [index for index, _ in rows if index.rpartition(".")[2] == str(port)]
        if not found:
            raise NotSupported(f"{switch.device} gives no power at its port {port}", code="no-port-power", hint="see uplink_port")
        if len(found) > 1:
            raise NotSupported(
                f"{switch.device} has the port {port} in {len(found)} groups",
                code="port-ambiguous",
                hint="a stack: ports are not told apart",
            )
        return f"{ADMIN_ENABLE}.{found[0]}"

    async def is_on(self, switch: Target, port: Oid, *, timeout_s: float) -> bool:
        """Whether the port may give power."""
        reply = await self._reader.get(switch, (port,), timeout_s=timeout_s)
        return reply.values[port] == _ON

    async def set(self, writing: Target, port: Oid, *, on: bool, timeout_s: float) -> None:
        """Switch the power of a port on or off; on DeadlineExceeded the outcome is not known."""
        await self._writer().set(writing, [Assignment(port, Syntax.INTEGER, _ON if on else _OFF)], timeout_s=timeout_s)

    async def neighbours(self, switch: Target, *, timeout_s: float) -> Neighbours:
        """Who is where; empty in what the switch does not tell. Raises when it does not answer at all."""
        interfaces = dict(await self._table(switch, _BRIDGE_PORT_INTERFACE, timeout_s))
        macs = {}
        for index, at in await self._table(switch, _FORWARDING_PORT, timeout_s):
            interface = interfaces.get(str(at), at)
            if isinstance(interface, int) and (mac := _mac_of_index(index)):
                macs[mac] = interface
        kinds = dict(await self._table(switch, _LLDP_CHASSIS_KIND, timeout_s))
        chassis, names, bridges = {}, {}, set()
        for index, value in await self._table(switch, _LLDP_CHASSIS, timeout_s):
            if kinds.get(index) == _MAC_ADDRESS and isinstance(value, bytes) and len(value) == 6:
                chassis[_lldp_port(index)] = value.hex(":")
        for index, value in await self._table(switch, _LLDP_NAME, timeout_s):
            names[_lldp_port(index)] = text(value or "")
        for index, value in await self._table(switch, _LLDP_ENABLED, timeout_s):
            if isinstance(value, bytes) and value and value[0] & (_BRIDGE | _ROUTER):
                bridges.add(_lldp_port(index))
        crowded = {port for port, count in Counter(_lldp_port(index) for index in kinds).items() if count > 1}
        return Neighbours(
            macs,
            {port: name for port, name in names.items() if port not in crowded},
            {port: mac for port, mac in chassis.items() if port not in crowded},
            frozenset(bridges),
        )

    async def _table(self, switch: Target, root: Oid, timeout_s: float) -> list[tuple[Oid, Value]]:
        return list(await self._reader.walk(switch, root, timeout_s=timeout_s))


def _lldp_port(index: Oid) -> int:
    """lldpRemLocalPortNum of lldpRemTimeMark.lldpRemLocalPortNum.lldpRemIndex; 0 for what is none."""
    parts = index.split(".")
    return int(parts[1]) if len(parts) == 3 else 0


def _mac_of_index(index: Oid) -> str:
    parts = [int(part) for part in index.split(".")]
    return bytes(parts).hex(":") if len(parts) == 6 and max(parts) < 256 else ""
