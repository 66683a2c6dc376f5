"""Which objects each kind of device has: MIB-2, IF-MIB, POWER-ETHERNET-MIB, LLDP, BRIDGE-MIB, the makers' own, and the simulator's.

The simulator's own objects, below the invented enterprise number 99999 (no loudspeaker's MIB that we could read tells volume, amplifier
or contact; see `SIMULATOR`). A loudspeaker has, each with the instance .0:

    1.3.6.1.4.1.99999.1.1   volume, 0 to 100
    1.3.6.1.4.1.99999.1.2   amplifier: 1 ok, 2 fault
    1.3.6.1.4.1.99999.1.3   temperature in tenths of °C
    1.3.6.1.4.1.99999.1.4   contact input: 1 closed, 2 open
    1.3.6.1.4.1.99999.1.5   playing: 1 idle, 2 playing
    1.3.6.1.4.1.99999.1.6   impedance of the loudspeaker line in ohms
    1.3.6.1.4.1.99999.1.7   horns connected
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Final

from simulators.snmp import ber, neighbours
from simulators.snmp.ber import Oid
from simulators.snmp.managed import UPLINK_BPS, Managed
from simulators.snmp.tree import Getter, Shape, Writer

Row = tuple[Oid, Getter[Managed]]

ENTERPRISES: Final = (1, 3, 6, 1, 4, 1)
SYSTEM: Final = (1, 3, 6, 1, 2, 1, 1)
INTERFACES: Final = (1, 3, 6, 1, 2, 1, 2)
IF_X: Final = (1, 3, 6, 1, 2, 1, 31, 1, 1, 1)
POE: Final = (1, 3, 6, 1, 2, 1, 105, 1)
ENTITY: Final = (1, 3, 6, 1, 2, 1, 47, 1, 1, 1, 1)
HOST: Final = (1, 3, 6, 1, 2, 1, 25, 1)
ENGINE: Final = (1, 3, 6, 1, 6, 3, 10, 2, 1)
ZONE: Final = timezone(timedelta(hours=8))
"""All clocks of the city are set to China Standard Time."""
SIMULATOR: Final = (*ENTERPRISES, 99_999)
AXIS: Final = (*ENTERPRISES, 368, 4, 1)
HIKVISION: Final = (*ENTERPRISES, 39_165, 1)
HIKVISION_RECORDER: Final = (*ENTERPRISES, 50_001)
DAHUA: Final = (*ENTERPRISES, 1_004_849, 2, 1)

_PRODUCTS: Final[dict[str, Oid]] = {
    "AXIS": (*ENTERPRISES, 368, 6, 4),
    "Dahua": (*ENTERPRISES, 1_004_849),
    "H3C": (*ENTERPRISES, 25_506, 1, 1234),
    "Huawei": (*ENTERPRISES, 2011, 2, 23, 1234),
}
"""sysObjectID by maker; makers' recorders may differ, others are the simulator's."""
_STATUS_UP, _STATUS_DOWN = 1, 2
_TRUTH: Final = frozenset({1, 2})


def shape_of(managed: Managed) -> Shape[Managed]:
    """The objects of a device's build; all devices of one build share one."""
    device = managed.device
    return _shape(device.kind, device.vendor, len(managed.ports))


@lru_cache(maxsize=64)
def _shape(kind: str, vendor: str, ports: int) -> Shape[Managed]:
    rows = [*_system(), *_entity(), *_host(), *_engine()]
    if kind == "switch":
        rows += [*_if_table(range(1, ports + 1)), *_poe(ports), *neighbours.local(ports)]
    else:
        rows += _single_interface()
    if kind == "speaker":
        rows += _loudspeaker()
    rows += _MAKERS.get((vendor, kind), lambda: iter(()))()
    if kind == "switch":
        return Shape(rows, writers=dict(_port_writers(ports)), tables=neighbours.TABLES)
    return Shape(rows)


# -- values -----------------------------------------------------------------------------------------------------------


def _integer(value: Callable[[Managed], int]) -> Getter[Managed]:
    return lambda managed: ber.integer(value(managed))


def _constant(encoded: bytes) -> Getter[Managed]:
    return lambda _managed: encoded


def _text(value: Callable[[Managed], str]) -> Getter[Managed]:
    return lambda managed: ber.octets(value(managed))


def _counted(tag: int, value: Callable[[Managed], float]) -> Getter[Managed]:
    return lambda managed: ber.unsigned(tag, int(value(managed)))


def _percent(value: Callable[[Managed], int]) -> Getter[Managed]:
    return _amount("PERCENT", value)


def _amount(unit: str, value: Callable[[Managed], int]) -> Getter[Managed]:
    """A number; as text with its unit in a device with the quirk that says so."""

    def get(managed: Managed) -> bytes:
        number = value(managed)
        if managed.quirk("text-numbers") is None:
            return ber.integer(number)
        return ber.octets(f"{number} {unit}" if unit == "PERCENT" else f"{number:.1f} {unit}")

    return get


def _mac(managed: Managed, port: int = 0) -> bytes:
    raw = bytes.fromhex(managed.device.mac.replace(":", "")) or b"\x02" + bytes(5)
    return ber.octets(raw[:5] + bytes(((raw[5] + port) % 256,)))


# -- what everybody has -----------------------------------------------------------------------------------------------


def _description(managed: Managed) -> str:
    device = managed.device
    if device.vendor == "AXIS":
        kind = "Network Speaker" if device.kind == "speaker" else "Network Camera"
        return f" ; AXIS {device.model}; {kind}; {device.firmware}; Jun 14 2023 09:41; {device.hardware}; 1;"
    return f"{device.vendor} {device.model} {device.firmware}".strip()


def _object_id(managed: Managed) -> bytes:
    device = managed.device
    if (device.vendor, device.kind) == ("HIKVISION", "recorder"):
        return ber.oid(HIKVISION_RECORDER)
    if (device.vendor, device.kind) == ("HIKVISION", "camera"):
        return ber.oid(HIKVISION)
    return ber.oid(_PRODUCTS.get(device.vendor, (*SIMULATOR, 2)))


def _system() -> Iterator[Row]:
    """RFC 3418, the system group."""
    yield (*SYSTEM, 1, 0), _text(_description)
    yield (*SYSTEM, 2, 0), _object_id
    yield (*SYSTEM, 3, 0), _counted(ber.TICKS, lambda managed: managed.agent_s * 100)
    yield (*SYSTEM, 4, 0), _text(lambda managed: managed.device.maintainer)
    yield (*SYSTEM, 5, 0), _text(lambda managed: managed.device.id)
    yield (*SYSTEM, 6, 0), _text(lambda managed: f"{managed.device.latitude:.6f},{managed.device.longitude:.6f}")
    yield (*SYSTEM, 7, 0), _integer(lambda managed: 2 if managed.device.kind == "switch" else 72)


def _entity() -> Iterator[Row]:
    """RFC 6933: one physical entity, the device."""
    yield (*ENTITY, 2, 1), _text(_description)
    yield (*ENTITY, 9, 1), _text(lambda managed: managed.device.firmware)
    yield (*ENTITY, 11, 1), _text(lambda managed: managed.state.serial(managed.device))
    yield (*ENTITY, 13, 1), _text(lambda managed: managed.device.model)


def _host() -> Iterator[Row]:
    """RFC 2790, hrSystem: the uptime of the device itself, and its clock."""
    yield (*HOST, 1, 0), _counted(ber.TICKS, lambda managed: managed.uptime_s * 100)
    yield (
        (*HOST, 2, 0),
        lambda managed: ber.octets(_local_text(managed) if managed.quirk("local-clock-text") is not None else _date(managed)),
    )


def _engine() -> Iterator[Row]:
    """RFC 3411, snmpEngine; all zero for a device without an engine id."""
    yield (*ENGINE, 1, 0), lambda managed: ber.octets(managed.engine_id)
    yield (*ENGINE, 2, 0), _integer(lambda managed: managed.boots)
    yield (*ENGINE, 3, 0), _integer(_engine_time)


def _engine_time(managed: Managed) -> int:
    """snmpEngineTime; as an agent has it that lets its hundredths overflow, with the quirk that says so."""
    seconds = int(managed.agent_s)
    return seconds - 2**32 // 100 if managed.quirk("engine-time-negative") is not None else seconds


def _date(managed: Managed) -> bytes:
    """DateAndTime (RFC 2579) with its zone."""
    moment = datetime.fromtimestamp(managed.state.device_time(managed.device), ZONE)
    parts = (moment.month, moment.day, moment.hour, moment.minute, moment.second, moment.microsecond // 100_000)
    return moment.year.to_bytes(2, "big") + bytes(parts) + b"+\x08\x00"


def _local_text(managed: Managed) -> str:
    return datetime.fromtimestamp(managed.state.device_time(managed.device), ZONE).strftime("%Y-%m-%d %H:%M:%S")


def _single_interface() -> Iterator[Row]:
    """The one Ethernet port of a camera, recorder or loudspeaker."""
    entry = (*INTERFACES, 2, 1)
    yield (*INTERFACES, 1, 0), _constant(ber.integer(1))
    yield (*entry, 1, 1), _constant(ber.integer(1))
    yield (*entry, 2, 1), _constant(ber.octets("eth0"))
    yield (*entry, 3, 1), _constant(ber.integer(6))
    yield (*entry, 5, 1), _constant(ber.unsigned(ber.GAUGE32, 100_000_000))
    yield (*entry, 6, 1), _mac
    yield (*entry, 7, 1), _constant(ber.integer(_STATUS_UP))
    yield (*entry, 8, 1), _constant(ber.integer(_STATUS_UP))
    yield (*entry, 10, 1), _counted(ber.COUNTER32, lambda managed: managed.uptime_s * 900)
    yield (*entry, 14, 1), _constant(ber.unsigned(ber.COUNTER32, 0))
    yield (*entry, 16, 1), _counted(ber.COUNTER32, lambda managed: managed.uptime_s * 20_000)
    yield (*entry, 20, 1), _constant(ber.unsigned(ber.COUNTER32, 0))


# -- switches ---------------------------------------------------------------------------------------------------------


def _if_table(ports: range) -> Iterator[Row]:
    """RFC 2863: ifTable and ifXTable."""
    yield (*INTERFACES, 1, 0), _constant(ber.integer(len(ports)))
    for port in ports:
        for column, getter in _if_entry(port):
            yield (*INTERFACES, 2, 1, column, port), getter
        for column, getter in _if_x_entry(port):
            yield (*IF_X, column, port), getter


def _if_entry(port: int) -> Iterator[tuple[int, Getter[Managed]]]:
    yield 1, _constant(ber.integer(port))
    yield 2, _constant(ber.octets(f"GigabitEthernet1/0/{port}"))
    yield 3, _constant(ber.integer(6))
    yield 4, _constant(ber.integer(1500))
    yield 5, _constant(ber.unsigned(ber.GAUGE32, UPLINK_BPS))
    yield 6, lambda managed: _mac(managed, port)
    yield 7, _integer(lambda managed: _STATUS_UP if managed.is_enabled(port) else _STATUS_DOWN)
    yield 8, _integer(lambda managed: _STATUS_UP if managed.is_up(port) else _STATUS_DOWN)
    yield 9, _counted(ber.TICKS, lambda managed: managed.last_change_s(port) * 100)
    yield 10, _counted(ber.COUNTER32, lambda managed: managed.octets(port, "in"))
    yield 11, _counted(ber.COUNTER32, lambda managed: managed.octets(port, "in") // 1100)
    yield 13, _constant(ber.unsigned(ber.COUNTER32, 0))
    yield 14, _counted(ber.COUNTER32, lambda managed: managed.errors(port))
    yield 16, _counted(ber.COUNTER32, lambda managed: managed.octets(port, "out"))
    yield 17, _counted(ber.COUNTER32, lambda managed: managed.octets(port, "out") // 90)
    yield 19, _constant(ber.unsigned(ber.COUNTER32, 0))
    yield 20, _constant(ber.unsigned(ber.COUNTER32, 0))


def _if_x_entry(port: int) -> Iterator[tuple[int, Getter[Managed]]]:
    yield 1, _constant(ber.octets(f"GE1/0/{port}"))
    yield 6, _counted(ber.COUNTER64, lambda managed: managed.octets(port, "in"))
    yield 10, _counted(ber.COUNTER64, lambda managed: managed.octets(port, "out"))
    yield 14, _constant(ber.integer(1))
    yield 15, _constant(ber.unsigned(ber.GAUGE32, UPLINK_BPS // 1_000_000))
    yield 18, _text(lambda managed: managed.name_behind(port))


def _poe(ports: int) -> Iterator[Row]:
    """RFC 3621: one group of ports; the last port, the uplink, gives no power."""
    entry, supply = (*POE, 1, 1), (*POE, 3, 1, 1)
    for port in range(1, ports):
        for column, getter in _pse_port_entry(port):
            yield (*entry, column, 1, port), getter
        for column in (8, 11, 12, 13, 14):
            yield (*entry, column, 1, port), _constant(ber.unsigned(ber.COUNTER32, 0))
    yield (*supply, 2, 1), _constant(ber.unsigned(ber.GAUGE32, 125 if ports < 20 else 370))
    yield (*supply, 3, 1), _constant(ber.integer(1))
    yield (*supply, 4, 1), _counted(ber.GAUGE32, lambda managed: managed.power_w())


def _pse_port_entry(port: int) -> Iterator[tuple[int, Getter[Managed]]]:
    yield 3, _integer(lambda managed: 1 if managed.feeds(port) else 2)
    yield 6, _integer(lambda managed: managed.detection(port))
    yield 7, _constant(ber.integer(3))
    yield 10, _constant(ber.integer(4))


def _port_writers(ports: int) -> Iterator[tuple[Oid, Writer[Managed]]]:
    """ifAdminStatus up and down; pethPsePortAdminEnable true and false."""
    for port in range(1, ports + 1):
        yield (*INTERFACES, 2, 1, 7, port), _link_writer(port)
        if port < ports:
            yield (*POE, 1, 1, 3, 1, port), _power_writer(port)


def _link_writer(port: int) -> Writer[Managed]:
    return Writer(_TRUTH, lambda managed, value: managed.enable(port, up=value == 1))


def _power_writer(port: int) -> Writer[Managed]:
    return Writer(_TRUTH, lambda managed, value: managed.enable(port, powered=value == 1))


# -- loudspeakers and makers ------------------------------------------------------------------------------------------


def _loudspeaker() -> Iterator[Row]:
    """The simulator's own objects; see the head of this module."""
    own = (*SIMULATOR, 1)
    yield (*own, 1, 0), _percent(lambda managed: managed.volume())
    yield (*own, 2, 0), _integer(lambda managed: 1 if managed.state.cabinet(managed.device).amplifier == "ok" else 2)
    yield (*own, 3, 0), _integer(lambda managed: int(managed.temperature() * 10))
    yield (*own, 4, 0), _integer(lambda managed: 1 if managed.state.cabinet(managed.device).contact == "closed" else 2)
    yield (*own, 5, 0), _integer(lambda managed: 2 if managed.is_playing() else 1)
    yield (*own, 6, 0), _integer(lambda managed: 8 + managed.number("line", 9))
    yield (*own, 7, 0), _integer(lambda managed: managed.device.horns)


def _axis() -> Iterator[Row]:
    """AXIS-VIDEO-MIB: temperature (index type.id), audio signal, casing, processor."""
    yield (*AXIS, 3, 1, 3, 1, 1), _constant(ber.integer(1))
    yield (*AXIS, 3, 1, 4, 1, 1), _integer(lambda managed: int(managed.temperature()))
    yield (*AXIS, 5, 1, 2, 1), _constant(ber.integer(1))
    yield (*AXIS, 6, 1, 3, 1), _constant(ber.integer(1))
    yield (*AXIS, 100, 3, 1, 0), _percent(lambda managed: 10 + managed.number("cpu", 30))


def _hikvision_camera() -> Iterator[Row]:
    """HIK-DEVICE-MIB: type, firmware, MAC, processor and memory, clock."""
    yield (*HIKVISION, 1, 0), _text(lambda managed: managed.device.model)
    yield (*HIKVISION, 3, 0), _text(lambda managed: managed.device.firmware)
    yield (*HIKVISION, 4, 0), _text(lambda managed: managed.device.mac)
    yield (*HIKVISION, 7, 0), _percent(lambda managed: 20 + managed.number("cpu", 30))
    yield (*HIKVISION, 10, 0), _amount("GB", lambda managed: 1 + managed.number("memory", 8))
    yield (*HIKVISION, 11, 0), _percent(lambda managed: 30 + managed.number("used", 30))
    yield (*HIKVISION, 19, 0), _text(_local_text)


def _hikvision_recorder() -> Iterator[Row]:
    """The tree of HIKVISION's recorders, as recordings show it."""
    own = (*HIKVISION_RECORDER, 1)
    yield (*own, 3, 0), _text(lambda managed: managed.state.serial(managed.device))
    yield (*own, 201, 0), _constant(ber.octets("1000MHZ"))
    yield (*own, 220, 0), _constant(ber.integer(1130))
    yield (*own, 240, 0), _constant(ber.integer(1))
    for column, value in ((3, 0), (4, 100), (5, 2_861_588)):
        yield (*own, 241, 1, column, 1, 0), _constant(ber.integer(value))


def _dahua() -> Iterator[Row]:
    """DAHUA-SNMP-MIB: firmware, serial number, type, status."""
    yield (*DAHUA, 1, 1, 0), _text(lambda managed: managed.device.firmware)
    yield (*DAHUA, 2, 4, 0), _text(lambda managed: managed.state.serial(managed.device))
    yield (*DAHUA, 2, 6, 0), _text(lambda managed: managed.device.model)
    yield (*DAHUA, 2, 8, 0), _constant(ber.integer(1))


_MAKERS: Final[dict[tuple[str, str], Callable[[], Iterator[Row]]]] = {
    ("HIKVISION", "camera"): _hikvision_camera,
    ("AXIS", "speaker"): _axis,
    ("HIKVISION", "recorder"): _hikvision_recorder,
    ("Dahua", "recorder"): _dahua,
    ("Dahua", "speaker"): _dahua,
}
