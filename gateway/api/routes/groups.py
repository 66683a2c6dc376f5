"""Places: camera groups, grid cells and zones, each with how its devices are."""

from collections.abc import Iterable

from pydantic import Field

from gateway.api.census import States, states_of
from gateway.api.models import Output, Page, PageQuery
from gateway.api.paging import page_by_id
from gateway.api.routes.devices import PositionOut
from gateway.api.routing import Call, Routes
from gateway.domain.access import Permission
from gateway.domain.devices import CameraGroup, CellCode, Device, DeviceId, GridCell, GroupId, Ring, Zone, ZoneId
from gateway.errors import NotFound

routes = Routes("places", "Camera groups, grid cells and zones: where things hang and what belongs together.")


class GroupOut(Output):
    """监控组: the cameras of one pole or junction, and what else hangs there."""

    id: str
    name: str
    position: PositionOut | None
    cell: str | None
    street: str
    district: str
    devices: list[str]
    states: States


class GroupPage(Page[GroupOut]):
    """One page of camera groups, by id."""


class CellOut(Output):
    """单元网格, without its outline."""

    code: str
    name: str
    street: str
    district: str
    devices: int
    states: States


class PolygonOut(Output):
    """A GeoJSON polygon (RFC 7946, 3.1.6): rings of [longitude, latitude], the outer one first."""

    type: str = "Polygon"
    coordinates: list[list[tuple[float, float]]]


class CellDetailOut(CellOut):
    """单元网格 with its outline."""

    geometry: PolygonOut


class CellPage(Page[CellOut]):
    """One page of grid cells, by code."""


class ZoneOut(Output):
    """A named set of loudspeakers."""

    id: str
    name: str
    speakers: list[str]
    multicast: str = Field(description="Where all of them hear one stream, `239.1.2.3:5004`; empty for nowhere.")


class ZonePage(Page[ZoneOut]):
    """One page of zones, by id."""


@routes.op("GET", "/v1/camera-groups", needs=Permission.INVENTORY_READ)
async def list_camera_groups(call: Call, query: PageQuery) -> GroupPage:
    """All camera groups, by id."""
    found, following = page_by_id(call.services.city.groups.values(), query, key=lambda group: group.id)
    return GroupPage(items=[_group(call, group) for group in found], next=following)


@routes.op("GET", "/v1/camera-groups/{group_id}", needs=Permission.INVENTORY_READ, problems=(NotFound,))
async def read_camera_group(call: Call) -> GroupOut:
    """One camera group."""
    group = call.services.city.groups.get(GroupId(call.path("group_id")))
    if group is None:
        raise NotFound(f"There is no camera group {call.path('group_id')!r}.", hint="GET /v1/camera-groups lists what there is.")
    return _group(call, group)


@routes.op("GET", "/v1/grid-cells", needs=Permission.INVENTORY_READ)
async def list_grid_cells(call: Call, query: PageQuery) -> CellPage:
    """All grid cells, by code; their outlines are read one by one, or as GeoJSON from `/v1/inventory/export`."""
    found, following = page_by_id(call.services.city.cells.values(), query, key=lambda cell: cell.code)
    return CellPage(items=[_cell(call, cell) for cell in found], next=following)


@routes.op("GET", "/v1/grid-cells/{code}", needs=Permission.INVENTORY_READ, problems=(NotFound,))
async def read_grid_cell(call: Call) -> CellDetailOut:
    """One grid cell with its outline."""
    cell = call.services.city.cells.get(CellCode(call.path("code")))
    if cell is None:
        raise NotFound(f"There is no grid cell {call.path('code')!r}.", hint="GET /v1/grid-cells lists what there is.")
    geometry = PolygonOut(coordinates=[_ring(ring) for ring in cell.rings])
    return CellDetailOut(**_cell(call, cell).model_dump(), geometry=geometry)


@routes.op("GET", "/v1/zones", needs=Permission.INVENTORY_READ)
async def list_zones(call: Call, query: PageQuery) -> ZonePage:
    """All zones, by id."""
    found, following = page_by_id(call.services.city.zones.values(), query, key=lambda zone: zone.id)
    return ZonePage(items=[_zone(zone) for zone in found], next=following)


@routes.op("GET", "/v1/zones/{zone_id}", needs=Permission.INVENTORY_READ, problems=(NotFound,))
async def read_zone(call: Call) -> ZoneOut:
    """One zone."""
    zone = call.services.city.zones.get(ZoneId(call.path("zone_id")))
    if zone is None:
        raise NotFound(f"There is no zone {call.path('zone_id')!r}.", hint="GET /v1/zones lists what there is.")
    return _zone(zone)


def _ids(devices: Iterable[Device]) -> list[DeviceId]:
    return [device.id for device in devices]


def _group(call: Call, group: CameraGroup) -> GroupOut:
    members = _ids(call.services.city.in_group(group.id))
    return GroupOut(
        id=group.id,
        name=group.name,
        position=PositionOut.model_validate(group.position) if group.position else None,
        cell=group.cell,
        street=group.street,
        district=group.district,
        devices=[str(member) for member in members],
        states=states_of(call.services.board, members),
    )


def _cell(call: Call, cell: GridCell) -> CellOut:
    members = _ids(call.services.city.in_cell(cell.code))
    states = states_of(call.services.board, members)
    return CellOut(code=cell.code, name=cell.name, street=cell.street, district=cell.district, devices=len(members), states=states)


def _ring(ring: Ring) -> list[tuple[float, float]]:
    return [(corner.longitude, corner.latitude) for corner in ring]


def _zone(zone: Zone) -> ZoneOut:
    return ZoneOut(id=zone.id, name=zone.name, speakers=sorted(zone.speakers), multicast=str(zone.multicast or ""))
