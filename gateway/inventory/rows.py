"""From the cells of a row to a value of the city: one function a noun. `kept` is what is stored under the same id, or None."""

from typing import Final

from gateway.domain.bindings import REACH_M, REACH_MAX_M, SEEN_M, Binding, BindingState, Sight
from gateway.domain.devices import (
    CameraGroup,
    CellCode,
    Channel,
    Credentials,
    Device,
    DeviceId,
    DeviceKind,
    GridCell,
    GroupId,
    Ports,
    SnmpCredentials,
    SnmpVersion,
    Zone,
    ZoneId,
)
from gateway.domain.geo import CoordinateSystem, to_wgs84
from gateway.inventory.fields import Fields, rounded
from gateway.inventory.grid import AreaLevel

MAX_PORT: Final = 65_535
MAX_CHANNEL: Final = 1_024
_AUTH_PROTOCOLS: Final = ("", "MD5", "SHA", "SHA224", "SHA256", "SHA384", "SHA512")
_PRIV_PROTOCOLS: Final = ("", "DES", "AES128", "AES192", "AES256")
_SNMP_COLUMNS: Final = ("snmp_version", "snmp_community", "snmp_user", "snmp_auth_key", "snmp_priv_key")
_USM_KEY_LENGTH: Final = 8  # RFC 3414, 11.2


def device_of(fields: Fields, kept: Device | None, system: CoordinateSystem) -> Device:
    """A device with the channels that it has; its cell is the one that the row names, or the stored one."""
    words = ("name", "owner", "management_unit", "maintainer", "vendor", "model", "serial", "firmware", "profile", "endpoint")
    return Device(
        id=DeviceId(fields.id("id")),
        kind=DeviceKind(fields.choice("kind", tuple(DeviceKind), default=DeviceKind.CAMERA)),
        address=fields.address("address"),
        ports=_ports(fields),
        group=GroupId(fields.text("group")) or None,
        cell=CellCode(fields.text("cell")) or (kept.cell if kept else None),
        position=fields.position(system, kept=kept.position if kept else None),
        gb28181_id=fields.gb28181_id("gb28181_id"),
        mac=fields.hardware_address("mac"),
        uplink=DeviceId(fields.text("uplink")) or None,
        uplink_port=fields.integer("uplink_port", low=0, high=MAX_PORT),
        audio_output_of=DeviceId(fields.text("audio_output_of")) or None,
        horns=fields.integer("horns", low=0, high=64) or 0,
        channels=kept.channels if kept else (),
        enabled=fields.flag("enabled", default=True),
        **{word: fields.text(word) for word in words},
    )


def credentials_of(fields: Fields) -> Credentials | None:
    """How to log in; None when the row and the store say nothing about it."""
    username, password = fields.text("username"), fields.secret("password")
    snmp = _snmp_of(fields) if any(fields.secret(column) for column in _SNMP_COLUMNS) else None
    return Credentials(username, password, snmp) if username or password or snmp else None


def group_of(fields: Fields, kept: CameraGroup | None, system: CoordinateSystem) -> CameraGroup:
    return CameraGroup(
        id=GroupId(fields.id("id")),
        name=fields.text("name"),
        position=fields.position(system, kept=kept.position if kept else None),
        cell=kept.cell if kept else None,
        street=fields.text("street"),
        district=fields.text("district"),
    )


def zone_of(fields: Fields, _kept: Zone | None, _system: CoordinateSystem) -> Zone:
    speakers = frozenset(DeviceId(speaker) for speaker in fields.ids("speakers"))
    return Zone(ZoneId(fields.id("id")), fields.text("name"), speakers, fields.group("multicast"))


def channel_of(fields: Fields) -> Channel:
    number = fields.integer("number", low=1, high=MAX_CHANNEL, default=1)
    return Channel(number or 1, DeviceId(fields.text("camera")), fields.text("recording_token"))


def area_of(fields: Fields, system: CoordinateSystem) -> tuple[AreaLevel, GridCell]:
    level = AreaLevel(fields.choice("level", tuple(AreaLevel), default=AreaLevel.CELL))
    rings = tuple(tuple(rounded(to_wgs84(corner, system)) for corner in ring) for ring in fields.rings("rings"))
    code, name = CellCode(fields.id("code")), fields.text("name")
    return level, GridCell(code, name, rings, fields.text("district"), fields.text("street"))


def sight_of(fields: Fields) -> Sight:
    bearing = fields.number("bearing", low=0, high=360, default=0)
    distance_m = fields.number("distance_m", low=0, high=REACH_MAX_M, default=SEEN_M)
    return Sight(DeviceId(fields.text("camera")), fields.text("preset"), bearing % 360, distance_m)


def binding_of(fields: Fields) -> Binding:
    """A binding as the file has it: a decision may lack who made it and when, see `signed`."""
    state = BindingState(fields.choice("state", tuple(BindingState), default=BindingState.PROPOSED))
    by, at = fields.text("decided_by"), fields.moment("decided_at")
    decided = state is not BindingState.PROPOSED
    return Binding(
        camera=DeviceId(fields.text("camera")),
        speaker=DeviceId(fields.text("speaker")),
        preset=fields.text("preset"),
        reach_m=fields.number("reach_m", low=1, high=REACH_MAX_M, default=REACH_M),
        state=state,
        decided_by=by if decided else "",
        decided_at=at if decided else None,
        note=fields.text("note"),
    )


def _ports(fields: Fields) -> Ports:
    usual = Ports()
    onvif = fields.integer("onvif_port", low=1, high=MAX_PORT, default=usual.onvif)
    rtsp = fields.integer("rtsp_port", low=1, high=MAX_PORT, default=usual.rtsp)
    snmp = fields.integer("snmp_port", low=1, high=MAX_PORT, default=usual.snmp)
    sip = fields.integer("sip_port", low=1, high=MAX_PORT, default=usual.sip)
    return Ports(onvif or usual.onvif, rtsp or usual.rtsp, snmp or usual.snmp, sip or usual.sip)


def _snmp_of(fields: Fields) -> SnmpCredentials:
    user = fields.text("snmp_user")
    version = fields.choice("snmp_version", tuple(SnmpVersion), default=SnmpVersion.V3 if user else SnmpVersion.V2C)
    found = SnmpCredentials(
        version=SnmpVersion(version),
        community=fields.secret("snmp_community"),
        user=user,
        auth_protocol=fields.choice("snmp_auth_protocol", _AUTH_PROTOCOLS),
        auth_key=fields.secret("snmp_auth_key"),
        priv_protocol=fields.choice("snmp_priv_protocol", _PRIV_PROTOCOLS),
        priv_key=fields.secret("snmp_priv_key"),
        write_community=fields.secret("snmp_write_community"),
    )
    if found.version is SnmpVersion.V3:
        _check_usm(fields, found)
    elif not found.community:
        fields.fault(f"snmp_community is missing for {found.version}")
    return found


def _check_usm(fields: Fields, found: SnmpCredentials) -> None:
    """The rules of the user-based security model: a user; no privacy without authentication; keys of eight characters or more."""
    if not found.user:
        fields.fault("snmp_user is missing for v3")
    if found.priv_protocol and not found.auth_protocol:
        fields.fault("snmp_priv_protocol: no privacy without authentication (RFC 3414)")
    for name, protocol, key in (("auth", found.auth_protocol, found.auth_key), ("priv", found.priv_protocol, found.priv_key)):
        if protocol and len(key) < _USM_KEY_LENGTH:
            fields.fault(f"snmp_{name}_key: missing, or shorter than {_USM_KEY_LENGTH} characters")
        if key and not protocol:
            fields.fault(f"snmp_{name}_key: a key without snmp_{name}_protocol")
