"""What a switch has learnt of its neighbours, over SNMP: LLDP-MIB (IEEE 802.1AB), BRIDGE-MIB (RFC 4188), Q-BRIDGE-MIB (RFC 4363).

Ports are numbered as the bridge numbers them (dot1dBasePort), which is what stands on the front of most switches. LLDP and the interfaces
number them in their own ways; the names of the ports join them. A table that the switch lacks, or fails to give, is left out and named.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.domain.identity import hardware_address
from gateway.domain.uplinks import Neighbour, SwitchView, limited
from gateway.drivers.base import Target
from gateway.drivers.snmp.engine import Oid, PollEngine, Value
from gateway.drivers.snmp.sensors import text
from gateway.errors import DeviceError

BRIDGE_ADDRESS: Final = "1.3.6.1.2.1.17.1.1.0"
ROOT_PORT: Final = "1.3.6.1.2.1.17.2.7.0"
DESIGNATED_ROOT: Final = "1.3.6.1.2.1.17.2.5.0"
LLDP_CHASSIS: Final = "1.0.8802.1.1.2.1.3.2.0"
PORT_INTERFACE: Final = "1.3.6.1.2.1.17.1.4.1.2"
INTERFACE_NAMES: Final = "1.3.6.1.2.1.31.1.1.1.1"
INTERFACE_ADDRESSES: Final = "1.3.6.1.2.1.2.2.1.6"
FORWARDING_PORT, FORWARDING_STATUS = "1.3.6.1.2.1.17.4.3.1.2", "1.3.6.1.2.1.17.4.3.1.3"
VLAN_PORT, VLAN_STATUS = "1.3.6.1.2.1.17.7.1.2.2.1.2", "1.3.6.1.2.1.17.7.1.2.2.1.3"
LLDP_LOCAL_PORT: Final = "1.0.8802.1.1.2.1.3.7.1.3"
LLDP_REMOTE: Final = "1.0.8802.1.1.2.1.4.1.1"
_CHASSIS_KIND, _CHASSIS, _PORT_KIND, _PORT, _SYSTEM_NAME, _CAPABILITIES = "4", "5", "6", "7", "9", "12"
_CHASSIS_IS_MAC, _PORT_IS_MAC = 4, 3
_BRIDGE_BIT: Final = 0x20
_LEARNED: Final = 3
_ADDRESS_OCTETS: Final = 6
_PRIORITY_OCTETS: Final = 2


@dataclass(frozen=True, slots=True)
class SwitchTables:
    """What one switch told, and the parts that it failed to tell, each with why."""

    view: SwitchView
    troubles: tuple[str, ...] = ()


async def read_neighbours(engine: PollEngine, target: Target, *, switches: frozenset[str], timeout_s: float) -> SwitchTables:
    """Ask a switch for all of it, one table after the other, each within `timeout_s`.

    `switches`: the hardware addresses of switches, which are kept of crowded ports, too. Raises the DeviceErrors of the first question.
    """
    asked = (BRIDGE_ADDRESS, ROOT_PORT, DESIGNATED_ROOT, LLDP_CHASSIS)
    scalars = (await engine.get(target, asked, timeout_s=timeout_s)).values
    reading = _Reading(engine, target, timeout_s)
    ports = await _ports(reading)
    seen = [
        *await reading.addresses(FORWARDING_PORT, FORWARDING_STATUS),
        *await reading.addresses(VLAN_PORT, VLAN_STATUS),
    ]
    neighbours = _neighbours(await reading.walk(LLDP_REMOTE), ports)
    own = {_mac(scalars[BRIDGE_ADDRESS]), _mac(scalars[LLDP_CHASSIS]), *map(_mac, (await reading.walk(INTERFACE_ADDRESSES)).values())} - {
        ""
    }
    known, crowded = limited(sorted(set(seen)), switches)
    view = SwitchView(
        switch=target.device,
        macs=frozenset(own),
        neighbours=neighbours,
        seen={mac: port for mac, port in known.items() if mac not in own},
        crowded=crowded,
        root_port=_root_port(scalars, own),
    )
    return SwitchTables(view, tuple(reading.troubles))


@dataclass(frozen=True, slots=True)
class _Ports:
    """How the port numbers of the interfaces and of LLDP become the bridge's."""

    of_interface: Mapping[int, int]
    of_lldp: Mapping[int, int]


@dataclass(slots=True)
class _Reading:
    """One visit: tables that fail are written down, and read as empty."""

    engine: PollEngine
    target: Target
    timeout_s: float
    troubles: list[str] = field(default_factory=list)

    async def walk(self, root: Oid) -> Mapping[str, Value]:
        try:
            return dict(await self.engine.walk(self.target, root, timeout_s=self.timeout_s))
        except DeviceError as error:
            self.troubles.append(f"{root}: {error.code}")
            return {}

    async def addresses(self, ports: Oid, statuses: Oid) -> Sequence[tuple[str, int]]:
        """Hardware address and port of a forwarding table, whose index ends in the address: what was learnt, and not set by hand."""
        found = await self.walk(ports)
        learned = await self.walk(statuses) if found else {}
        pairs = ((_mac_of_index(index), port) for index, port in found.items() if learned.get(index, _LEARNED) == _LEARNED)
        return [(mac, port) for mac, port in pairs if mac and isinstance(port, int) and port > 0]


async def _ports(reading: _Reading) -> _Ports:
    interfaces = await reading.walk(PORT_INTERFACE)
    of_interface = {number: int(port) for port, number in interfaces.items() if isinstance(number, int) and port.isdigit()}
    names = {text(name): int(index) for index, name in (await reading.walk(INTERFACE_NAMES)).items() if index.isdigit() and name}
    of_lldp = {}
    for local, name in (await reading.walk(LLDP_LOCAL_PORT)).items():
        if local.isdigit():
            of_lldp[int(local)] = of_interface.get(names.get(text(name), -1), _numbered(int(local), of_interface))
    return _Ports(of_interface, of_lldp)


def _numbered(local: int, of_interface: Mapping[int, int]) -> int:
    """LLDP's port number where no name joins it: the bridge's own number, else that of an interface (802.1AB leaves it open)."""
    return local if local in of_interface.values() else of_interface.get(local, local)


def _neighbours(rows: Mapping[str, Value], ports: _Ports) -> tuple[Neighbour, ...]:
    """lldpRemTable; its index is time mark, local port, number."""
    found: dict[str, dict[str, Value]] = {}
    for place, value in rows.items():
        column, _, index = place.partition(".")
        found.setdefault(index, {})[column] = value
    return tuple(neighbour for index, row in sorted(found.items()) if (neighbour := _neighbour(index, row, ports)) is not None)


def _neighbour(index: str, row: Mapping[str, Value], ports: _Ports) -> Neighbour | None:
    parts = index.split(".")
    if len(parts) != 3 or not parts[1].isdigit():
        return None
    local = int(parts[1])
    chassis = _mac(row.get(_CHASSIS)) if row.get(_CHASSIS_KIND) == _CHASSIS_IS_MAC else ""
    port = _mac(row.get(_PORT)) if row.get(_PORT_KIND) == _PORT_IS_MAC else ""
    capabilities = row.get(_CAPABILITIES)
    bridge = isinstance(capabilities, bytes) and bool(capabilities[:1]) and bool(capabilities[0] & _BRIDGE_BIT)
    name = row.get(_SYSTEM_NAME)
    return Neighbour(
        port=ports.of_lldp.get(local, _numbered(local, ports.of_interface)),
        macs=frozenset({chassis, port} - {""}),
        name=text(name) if name else "",
        bridge=bridge,
    )


def _root_port(scalars: Mapping[Oid, Value], own: Iterable[str]) -> int | None:
    """The port towards the spanning tree's root; 0 for the root itself, None for a switch that takes part in no tree.

    Some agents answer 0 because they run no spanning tree: only one that names itself as the root is believed to be it.
    """
    port, root = scalars[ROOT_PORT], scalars[DESIGNATED_ROOT]
    if not isinstance(port, int) or not isinstance(root, bytes) or len(root) != _PRIORITY_OCTETS + _ADDRESS_OCTETS:
        return None
    if port > 0:
        return port
    return 0 if _mac(root[_PRIORITY_OCTETS:]) in own else None


def _mac(value: Value) -> str:
    return hardware_address(value.hex()) if isinstance(value, bytes) and len(value) == _ADDRESS_OCTETS else ""


def _mac_of_index(index: str) -> str:
    parts = index.split(".")[-_ADDRESS_OCTETS:]
    octets = [int(part) for part in parts if part.isdigit()]
    if len(octets) != _ADDRESS_OCTETS or max(octets) > 255:
        return ""
    return hardware_address(bytes(octets).hex())
