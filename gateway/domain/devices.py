"""What hangs in the street and where: devices, camera groups, grid cells, districts, zones."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

DeviceId = NewType("DeviceId", str)
GroupId = NewType("GroupId", str)
CellCode = NewType("CellCode", str)
ZoneId = NewType("ZoneId", str)


class DeviceKind(StrEnum):
    CAMERA = "camera"
    SPEAKER = "speaker"
    RECORDER = "recorder"
    SWITCH = "switch"


@dataclass(frozen=True, slots=True)
class Position:
    """A place in WGS-84, in degrees."""

    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a device's services listen. The inventory's word is final: what a device says of its own ports is ignored."""

    onvif: int = 80
    rtsp: int = 554
    snmp: int = 161
    sip: int = 5060


Place = tuple[str, Ports]
"""Where a device answers: its address and its ports. What answers elsewhere is another device."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One input of a recorder: the recording that holds the footage of one camera."""

    number: int
    camera: DeviceId
    recording_token: str = ""


@dataclass(frozen=True, slots=True)
class Device:
    """One piece of street hardware, as the inventory has it. `id` is the operator's own code and never changes.

    `endpoint`: its WS-Discovery endpoint reference (a URN), by which it is known again at another address; "" when that is not known.
    """

    id: DeviceId
    kind: DeviceKind
    name: str
    address: str
    ports: Ports = Ports()
    group: GroupId | None = None
    cell: CellCode | None = None
    position: Position | None = None
    owner: str = ""
    management_unit: str = ""
    maintainer: str = ""
    vendor: str = ""
    model: str = ""
    serial: str = ""
    firmware: str = ""
    profile: str = ""
    gb28181_id: str = ""
    mac: str = ""
    endpoint: str = ""
    uplink: DeviceId | None = None
    uplink_port: int | None = None
    audio_output_of: DeviceId | None = None
    horns: int = 0
    channels: tuple[Channel, ...] = ()
    enabled: bool = True

    @property
    def place(self) -> Place:
        return self.address, self.ports


@dataclass(frozen=True, slots=True)
class CameraGroup:
    """监控组: the cameras of one pole or junction."""

    id: GroupId
    name: str
    position: Position | None = None
    cell: CellCode | None = None
    street: str = ""
    district: str = ""


Ring = tuple[Position, ...]


@dataclass(frozen=True, slots=True)
class GridCell:
    """单元网格: a closed polygon of about 10,000 m² with a code. `rings`: the outer boundary first, then holes."""

    code: CellCode
    name: str
    rings: tuple[Ring, ...]
    district: str = ""
    street: str = ""


@dataclass(frozen=True, slots=True)
class MulticastGroup:
    """Where loudspeakers listen together: an IPv4 multicast address and the port of its RTP, an even one (RFC 3550, 11)."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Zone:
    """A named set of loudspeakers. `multicast`: where all of them hear one stream, those that are set up for it."""

    id: ZoneId
    name: str
    speakers: frozenset[DeviceId]
    multicast: MulticastGroup | None = None


class SnmpVersion(StrEnum):
    V1 = "v1"
    V2C = "v2c"
    V3 = "v3"


@dataclass(frozen=True, slots=True)
class SnmpCredentials:
    """How to speak SNMP to a device. v1 and v2c use `community`; v3 uses the USM user (RFC 3414) with its protocols.

    `auth_protocol`: "", "MD5", "SHA", "SHA256"…; `priv_protocol`: "", "DES", "AES128", "AES256". `write_community`: that of v1 and v2c
    which may write, "" where it is the same.
    """

    version: SnmpVersion = SnmpVersion.V2C
    community: str = field(default="", repr=False)
    user: str = ""
    auth_protocol: str = ""
    auth_key: str = field(default="", repr=False)
    priv_protocol: str = ""
    priv_key: str = field(default="", repr=False)
    write_community: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What we log in to a device with. Never printed: secrets are left out of repr."""

    username: str = ""
    password: str = field(default="", repr=False)
    snmp: SnmpCredentials | None = None
