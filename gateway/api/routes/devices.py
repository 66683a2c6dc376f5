"""Devices: every camera, loudspeaker, recorder and switch with where it hangs, whose it is and how it is now."""

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from aiohttp import web
from pydantic import Field

from gateway.api.device_json import DeviceJson
from gateway.api.models import Instant, Output, Page, PageQuery
from gateway.api.paging import page_by_id
from gateway.api.replies import json_bytes
from gateway.api.routing import Call, Routes
from gateway.domain.access import Permission
from gateway.domain.circumstances import Circumstance
from gateway.domain.city import City
from gateway.domain.devices import CellCode, Device, DeviceId, DeviceKind, GroupId, ZoneId
from gateway.domain.health import HealthState
from gateway.domain.quirks import Quirks
from gateway.drivers.registry import DeviceModel
from gateway.errors import NotFound

routes = Routes("devices", "What hangs in the street, and how it is.")

_json = DeviceJson()


class PositionOut(Output):
    """A place in WGS-84, in degrees."""

    latitude: float
    longitude: float


class PortsOut(Output):
    onvif: int
    rtsp: int
    snmp: int
    sip: int


class ChannelOut(Output):
    """An input of a recorder, and the camera whose footage it keeps."""

    number: int
    camera: str
    recording_token: str


class DeviceOut(Output):
    """A device of the inventory, and how it stands now."""

    id: str
    kind: DeviceKind
    name: str
    address: str
    ports: PortsOut
    group: str | None
    cell: str | None
    position: PositionOut | None
    owner: str
    management_unit: str
    maintainer: str
    vendor: str
    model: str
    serial: str
    firmware: str
    profile: str
    gb28181_id: str
    mac: str = Field(description="The hardware address that the inventory knows, or nothing.")
    endpoint: str = Field(description="Its WS-Discovery endpoint reference, by which it is known again at another address, or nothing.")
    uplink: str | None = Field(description="The device that this one hangs on.")
    uplink_port: int | None
    audio_output_of: str | None = Field(description="The camera whose audio output this loudspeaker is.")
    horns: int
    channels: list[ChannelOut]
    enabled: bool
    state: HealthState
    since: Instant | None
    reason: str = Field(description="A stable code that says why; empty when all is well.")
    check: str = Field(description="The check that found it.")
    last_seen: Instant | None = Field(description="Its last successful answer, by the gateway's clock.")
    clock_offset_s: float | None = Field(description="The device's clock minus the gateway's.")
    facts: dict[str, Any] = Field(description="What the checks learnt; text in it comes from the device.")
    muted: bool = Field(description="Under maintenance: its state is true as ever, and opens no incident.")
    maintenance: str | None = Field(description="The maintenance window that it is in.")
    suppressed_by: str | None = Field(description="The dead device in front of it, because of which it opens no incident of its own.")
    incident: str | None = Field(description="The live incident that it is in.")


class QuirkOut(Output):
    """A known oddity of a device's model."""

    id: str = Field(description="Its entry in the quirk book.")
    switch: str = Field(description="Which form of it.")
    parameters: dict[str, bool | int | float | str]
    source: str = Field(description="Who saw it.")


class ModelOut(Output):
    """What the gateway takes a device for."""

    profile: str = Field(description="The profile that fits it best; empty for none.")
    lineage: list[str] = Field(description="The profiles that this one inherits from, the most general first.")
    quirks: list[QuirkOut]
    learned: dict[str, str] = Field(description="What the device has taught the gateway since it started.")


class DeviceDetail(DeviceOut):
    """A device, and what the gateway takes it for."""

    matched: ModelOut


class DevicePage(Page[DeviceOut]):
    """One page of devices, by id."""


class DeviceQuery(PageQuery):
    """Which devices."""

    kind: DeviceKind | None = None
    state: HealthState | None = None
    group: str | None = Field(default=None, max_length=128)
    cell: str | None = Field(default=None, max_length=128)
    zone: str | None = Field(default=None, max_length=128)
    muted: bool | None = Field(default=None, description="Those under maintenance, or those that are not.")
    suppressed_by: str | None = Field(default=None, max_length=128, description="What a dead device suppresses.")
    incident: str | None = Field(default=None, max_length=128, description="The members of a live incident that are ill.")
    search: str | None = Field(default=None, max_length=128, description="Part of an id, a name, an address or a serial number.")


@routes.op("GET", "/v1/devices", needs=Permission.INVENTORY_READ, answers=DevicePage)
async def list_devices(call: Call, query: DeviceQuery) -> web.Response:
    """All devices, or those that fit every filter, by id.

    The header `X-Event-Cursor` names the newest event that the list already shows: following `/v1/events?after=` from there misses nothing.
    """
    board, beside = call.services.board, call.services.circumstances
    cursor = call.services.store.events.latest
    found, following = page_by_id(_matching(call, query), query, key=lambda device: device.id)
    items = b",".join(_json.write(device, board[device.id], beside[device.id]) for device in found)
    tail = b"null" if following is None else b'"' + following.encode() + b'"'
    return json_bytes(b'{"items":[' + items + b'],"next":' + tail + b"}", headers={"X-Event-Cursor": str(cursor)})


@routes.op("GET", "/v1/devices/{device_id}", needs=Permission.INVENTORY_READ, answers=DeviceDetail, problems=(NotFound,))
async def read_device(call: Call) -> web.Response:
    """One device."""
    shown, matched = device_and_model(call, find_device(call.services.city, call.path("device_id")))
    return json_bytes(shown[:-1] + b',"matched":' + matched + b"}")


def device_and_model(call: Call, device: Device) -> tuple[bytes, bytes]:
    """A `DeviceOut` and a `ModelOut` as JSON."""
    shown = _json.write(device, call.services.board[device.id], call.services.circumstances[device.id])
    return shown, _matched(call.services.model_of(device.id))


def _matched(model: DeviceModel) -> bytes:
    """A `ModelOut` as JSON; what the profile says of it is written once."""
    learned = json.dumps(dict(model.learned), ensure_ascii=False).encode()
    return _profile_json(model.profile, model.lineage, model.quirks)[:-1] + b',"learned":' + learned + b"}"


@lru_cache(maxsize=512)
def _profile_json(profile: str, lineage: tuple[str, ...], quirks: Quirks) -> bytes:
    told = [
        QuirkOut(id=quirk.id, switch=switch, parameters=dict(quirk.parameters), source=quirk.source)
        for switch, quirk in sorted(quirks.by_switch.items())
    ]
    whole = ModelOut(profile=profile, lineage=list(lineage), quirks=told, learned={})
    return whole.model_dump_json(exclude={"learned"}).encode()


def find_device(city: City, device_id: str, kind: DeviceKind | None = None) -> Device:
    """The device, of the right kind when one is given. NotFound."""
    device = city.devices.get(DeviceId(device_id))
    if device is None or (kind is not None and device.kind is not kind):
        place = f"/v1/devices?kind={kind}" if kind else "/v1/devices"
        raise NotFound(f"There is no {kind or 'device'} {device_id!r}.", hint=f"GET {place} lists what there is.")
    return device


def _matching(call: Call, query: DeviceQuery) -> Iterator[Device]:
    city, board = call.services.city, call.services.board
    zone = city.zones.get(ZoneId(query.zone)) if query.zone is not None else None
    for device in _narrowest(city, query):
        if (
            (query.kind is None or device.kind is query.kind)
            and (query.group is None or device.group == query.group)
            and (query.cell is None or device.cell == query.cell)
            and (query.zone is None or (zone is not None and device.id in zone.speakers))
            and (query.state is None or board[device.id].state is query.state)
            and _fits(call.services.circumstances[device.id], query)
            and (query.search is None or _mentions(device, query.search.casefold()))
        ):
            yield device


def _fits(circumstance: Circumstance, query: DeviceQuery) -> bool:
    return (
        (query.muted is None or query.muted is (circumstance.muted is not None))
        and (query.suppressed_by is None or query.suppressed_by == circumstance.suppressed_by)
        and (query.incident is None or query.incident == circumstance.incident)
    )


def _narrowest(city: City, query: DeviceQuery) -> Iterator[Device]:
    if query.group is not None:
        return iter(city.in_group(GroupId(query.group)))
    if query.cell is not None:
        return iter(city.in_cell(CellCode(query.cell)))
    if query.kind is not None:
        return iter(city.of_kind(query.kind))
    return iter(city.devices.values())


def _mentions(device: Device, text: str) -> bool:
    return any(text in part.casefold() for part in (device.id, device.name, device.address, device.serial))
