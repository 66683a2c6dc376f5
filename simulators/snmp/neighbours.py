"""What a switch has learnt of the devices on its ports: LLDP-MIB (IEEE 802.1AB), BRIDGE-MIB (RFC 4188) and Q-BRIDGE-MIB
(RFC 4363), true to the city's plan.

Every device tells its name by LLDP to the switch that it hangs on; the forwarding table has the hardware addresses of all that are behind
a port, and on the uplink that of the switch above. Who is dark is in neither. The root of the spanning tree is the switch at the top.
"""

from collections.abc import Iterator
from typing import Final

from simulators.city import SimDevice
from simulators.snmp import ber
from simulators.snmp.ber import Oid
from simulators.snmp.history import is_dead
from simulators.snmp.managed import Managed
from simulators.snmp.tree import Getter, Shape
from simulators.wiring import below

LLDP: Final = (1, 0, 8802, 1, 1, 2, 1)
BRIDGE: Final = (1, 3, 6, 1, 2, 1, 17)
LLDP_REMOTE: Final = (*LLDP, 4)
FORWARDING: Final = (*BRIDGE, 4, 3)
VLAN_FORWARDING: Final = (*BRIDGE, 7, 1, 2, 2)
_MAC_ADDRESS, _INTERFACE_NAME = 4, 5
"""LldpChassisIdSubtype; LldpPortIdSubtype."""
_LEARNED: Final = 3
_VLAN: Final = 1
_PRIORITY: Final = 0x8000
_BRIDGES, _OTHERS = b"\x20", b"\x01"
"""LldpSystemCapabilitiesMap: bit 2 is bridge, bit 7 station only."""

Row = tuple[Oid, Getter[Managed]]


def mac_of(device: SimDevice) -> bytes:
    return bytes.fromhex(device.mac.replace(":", "")) or b"\x02" + bytes(5)


# -- of the switch itself ------------------------------------------------------------------------------------------------


def local(ports: int) -> Iterator[Row]:
    """lldpLocalSystemData, dot1dStp, and dot1dBase with its ports."""
    yield (*LLDP, 3, 1, 0), _constant(ber.integer(_MAC_ADDRESS))
    yield (*LLDP, 3, 2, 0), lambda managed: ber.octets(mac_of(managed.device))
    yield (*LLDP, 3, 3, 0), lambda managed: ber.octets(managed.device.id)
    for port in range(1, ports + 1):
        yield (*LLDP, 3, 7, 1, 2, port), _constant(ber.integer(_INTERFACE_NAME))
        yield (*LLDP, 3, 7, 1, 3, port), _constant(ber.octets(f"GE1/0/{port}"))
        yield (*LLDP, 3, 7, 1, 4, port), _constant(ber.octets(f"GigabitEthernet1/0/{port}"))
    yield (*BRIDGE, 1, 1, 0), lambda managed: ber.octets(mac_of(managed.device))
    yield (*BRIDGE, 1, 2, 0), _constant(ber.integer(ports))
    yield (*BRIDGE, 1, 3, 0), _constant(ber.integer(2))
    yield (*BRIDGE, 2, 1, 0), _constant(ber.integer(3))
    yield (*BRIDGE, 2, 2, 0), _constant(ber.integer(_PRIORITY))
    yield (*BRIDGE, 2, 5, 0), lambda managed: ber.octets(_PRIORITY.to_bytes(2, "big") + mac_of(_top(managed)))
    yield (*BRIDGE, 2, 7, 0), lambda managed: ber.integer(len(managed.ports) if managed.device.uplink else 0)
    for port in range(1, ports + 1):
        yield (*BRIDGE, 1, 4, 1, 1, port), _constant(ber.integer(port))
        yield (*BRIDGE, 1, 4, 1, 2, port), _constant(ber.integer(port))


# -- of its neighbours -------------------------------------------------------------------------------------------------


def _remote(managed: Managed) -> Shape[Managed]:
    return managed.history.kept(managed.device.id, LLDP_REMOTE, lambda: Shape(_remote_rows(managed)))


def _forwarding(managed: Managed) -> Shape[Managed]:
    return managed.history.kept(managed.device.id, FORWARDING, lambda: Shape(_forwarding_rows(managed)))


def _vlan_forwarding(managed: Managed) -> Shape[Managed]:
    return managed.history.kept(managed.device.id, VLAN_FORWARDING, lambda: Shape(_vlan_rows(managed)))


TABLES: Final = ((LLDP_REMOTE, _remote), (FORWARDING, _forwarding), (VLAN_FORWARDING, _vlan_forwarding))
"""The tables whose rows are a switch's own."""


def _neighbours(managed: Managed) -> Iterator[tuple[int, SimDevice]]:
    """Port and device of everyone at the other end of a cable who is alive."""
    uplink = managed.city.by_id(managed.device.uplink)
    for port, behind in enumerate((*managed.ports[:-1], uplink), start=1):
        if behind is not None and managed.is_enabled(port) and not is_dead(managed.state, behind):
            yield port, behind


def _remote_rows(managed: Managed) -> Iterator[Row]:
    """lldpRemTable, and the addresses of lldpRemManAddrTable. Each port has one neighbour."""
    for port, neighbour in _neighbours(managed):
        index = (0, port, 1)
        own_port = f"GE1/0/{managed.device.uplink_port}" if neighbour.id == managed.device.uplink else "eth0"
        capabilities = _BRIDGES if neighbour.kind == "switch" else _OTHERS
        values = (
            (4, ber.integer(_MAC_ADDRESS)),
            (5, ber.octets(mac_of(neighbour))),
            (6, ber.integer(_INTERFACE_NAME)),
            (7, ber.octets(own_port)),
            (8, ber.octets(own_port)),
            (9, ber.octets(neighbour.id)),
            (10, ber.octets(f"{neighbour.vendor} {neighbour.model} {neighbour.firmware}".strip())),
            (11, ber.octets(capabilities)),
            (12, ber.octets(capabilities)),
        )
        for column, value in values:
            yield (*LLDP_REMOTE, 1, 1, column, *index), _constant(value)
        address = (1, 4, *map(int, neighbour.address.split(".")))
        for column, value in ((3, ber.integer(2)), (4, ber.integer(1)), (5, ber.oid((0, 0)))):
            yield (*LLDP_REMOTE, 2, 1, column, *index, *address), _constant(value)


def _forwarding_rows(managed: Managed) -> Iterator[Row]:
    """dot1dTpFdbTable."""
    for mac, port in _learned(managed):
        for column, value in ((1, ber.octets(mac)), (2, ber.integer(port)), (3, ber.integer(_LEARNED))):
            yield (*FORWARDING, 1, column, *mac), _constant(value)


def _vlan_rows(managed: Managed) -> Iterator[Row]:
    """dot1qTpFdbTable: all is in one VLAN."""
    for mac, port in _learned(managed):
        for column, value in ((2, ber.integer(port)), (3, ber.integer(_LEARNED))):
            yield (*VLAN_FORWARDING, 1, column, _VLAN, *mac), _constant(value)


def _learned(managed: Managed) -> Iterator[tuple[bytes, int]]:
    """The hardware address and port of everybody behind a port who is alive."""
    seen: set[bytes] = set()
    for port, neighbour in _neighbours(managed):
        deeper = below(managed.city, neighbour) if neighbour.kind == "switch" and neighbour.id != managed.device.uplink else ()
        for device in (neighbour, *deeper):
            mac = mac_of(device)
            if mac not in seen and not is_dead(managed.state, device):
                seen.add(mac)
                yield mac, port


def _top(managed: Managed) -> SimDevice:
    """The switch at the top of the tree in which this one hangs."""
    top = managed.device
    while (above := managed.city.by_id(top.uplink)) is not None:
        top = above
    return top


def _constant(encoded: bytes) -> Getter[Managed]:
    return lambda _managed: encoded
