"""The inventory in the store: loaded whole at start, changed whole by an import."""

import asyncio
import itertools
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Boolean,
    Column,
    Double,
    Executable,
    ForeignKey,
    LargeBinary,
    Row,
    Table,
    Text,
    bindparam,
    delete,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.bindings import Binding, BindingKey, Sight, SightKey
from gateway.domain.devices import (
    CameraGroup,
    Channel,
    Credentials,
    Device,
    DeviceId,
    DeviceKind,
    GridCell,
    GroupId,
    MulticastGroup,
    Ports,
    Position,
    SnmpCredentials,
    SnmpVersion,
    Zone,
    ZoneId,
)
from gateway.storage.bindings import BindingRepository
from gateway.storage.schema import Json, metadata
from gateway.storage.vault import Vault

_PAGE = 100  # rows turned into objects, or objects into rows, before the loop gets its turn

_AREA = ("name", "district", "street")

grid_cells = Table(
    "grid_cells",
    metadata,
    Column("code", Text, primary_key=True),
    *(Column(name, Text, nullable=False) for name in _AREA),
    Column("rings", Json, nullable=False),
)

areas = Table(
    "areas",
    metadata,
    Column("level", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    *(Column(name, Text, nullable=False) for name in _AREA),
    Column("rings", Json, nullable=False),
)

camera_groups = Table(
    "camera_groups",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("latitude", Double),
    Column("longitude", Double),
    Column("cell", Text, ForeignKey("grid_cells.code")),
    Column("street", Text, nullable=False),
    Column("district", Text, nullable=False),
)

_PORTS = ("onvif_port", "rtsp_port", "snmp_port", "sip_port")
_WORDS = ("owner", "management_unit", "maintainer", "vendor", "model", "serial", "firmware", "profile", "gb28181_id", "mac", "endpoint")

devices = Table(
    "devices",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("address", Text, nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in _PORTS),
    Column("camera_group", Text, ForeignKey("camera_groups.id")),
    Column("cell", Text, ForeignKey("grid_cells.code")),
    Column("latitude", Double),
    Column("longitude", Double),
    *(Column(name, Text, nullable=False) for name in _WORDS),
    Column("uplink", Text, ForeignKey("devices.id")),
    Column("uplink_port", BigInteger),
    Column("audio_output_of", Text, ForeignKey("devices.id")),
    Column("horns", BigInteger, nullable=False),
    Column("enabled", Boolean, nullable=False),
)

channels = Table(
    "channels",
    metadata,
    Column("recorder", Text, ForeignKey("devices.id"), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("camera", Text, ForeignKey("devices.id"), nullable=False),
    Column("recording_token", Text, nullable=False),
)

zones = Table(
    "zones",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("multicast_group", Text, nullable=False),
    Column("multicast_port", BigInteger),
)

zone_speakers = Table(
    "zone_speakers",
    metadata,
    Column("zone", Text, ForeignKey("zones.id"), primary_key=True),
    Column("speaker", Text, ForeignKey("devices.id"), primary_key=True),
)

credentials = Table(
    "credentials",
    metadata,
    Column("device", Text, ForeignKey("devices.id"), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Inventory:
    """All that hangs in the street, or a part of it. Streets and districts have a boundary and a code, as cells do."""

    devices: tuple[Device, ...] = ()
    groups: tuple[CameraGroup, ...] = ()
    cells: tuple[GridCell, ...] = ()
    streets: tuple[GridCell, ...] = ()
    districts: tuple[GridCell, ...] = ()
    zones: tuple[Zone, ...] = ()
    sights: tuple[Sight, ...] = ()
    bindings: tuple[Binding, ...] = ()


@dataclass(frozen=True, slots=True)
class Removal:
    """Ids and codes of what goes."""

    devices: Collection[DeviceId] = ()
    groups: Collection[GroupId] = ()
    cells: Collection[str] = ()
    streets: Collection[str] = ()
    districts: Collection[str] = ()
    zones: Collection[ZoneId] = ()
    sights: Collection[SightKey] = ()
    bindings: Collection[BindingKey] = ()


@dataclass(frozen=True, slots=True)
class InventoryChange:
    """What an import does: `put` is added or written over by id, `remove` goes, `credentials` are set (None: forgotten)."""

    put: Inventory = field(default_factory=Inventory)
    remove: Removal = field(default_factory=Removal)
    credentials: Mapping[DeviceId, Credentials | None] = field(default_factory=dict)


class InventoryRepository:
    """The inventory and the credentials, which are sealed with the vault's key, each to its own device."""

    def __init__(self, conn: AsyncConnection, vault: Vault) -> None:
        self._conn = conn
        self._vault = vault
        self._bindings = BindingRepository(conn)

    async def load(self) -> Inventory:
        """Everything, each part by id, without the credentials."""
        inputs, speakers = defaultdict(list), defaultdict(set)
        for row in await self._all(channels):
            inputs[row.recorder].append(Channel(row.number, DeviceId(row.camera), row.recording_token))
        for row in await self._all(zone_speakers):
            speakers[row.zone].add(DeviceId(row.speaker))
        found: dict[str, list[GridCell]] = {"street": [], "district": []}
        for row in await self._all(areas):
            found[row.level].append(_cell(row))
        return Inventory(
            devices=tuple(await self._devices(inputs)),
            groups=tuple([_group(row) for row in await self._all(camera_groups)]),
            cells=tuple(await self._cells()),
            streets=tuple(found["street"]),
            districts=tuple(found["district"]),
            zones=tuple([_zone(row, speakers[row.id]) for row in await self._all(zones)]),
            sights=tuple(await self._bindings.sights()),
            bindings=tuple(await self._bindings.bindings()),
        )

    async def load_credentials(self) -> dict[DeviceId, Credentials]:
        """The credentials of every device that has some. StorageFailed when one does not open."""
        found = {}
        for number, row in enumerate(await self._all(credentials), 1):
            found[DeviceId(row.device)] = _credentials(self._vault.open(row.sealed, bound_to=row.device))
            if number % _PAGE == 0:
                await asyncio.sleep(0)
        return found

    async def apply(self, change: InventoryChange) -> None:
        """Make `change`, all of it or, with Conflict, nothing: what is referred to must exist when it is done."""
        await self._put(change.put)
        await self._put_credentials(change.credentials)
        await self._remove(change.remove)

    async def replace(self, inventory: Inventory, credentials: Mapping[DeviceId, Credentials | None]) -> None:
        """Make the store hold just `inventory`. Credentials of devices that stay are kept where `credentials` does not name them."""
        gone = Removal(
            devices=await self._absent(devices.c.id, (device.id for device in inventory.devices)),
            groups=await self._absent(camera_groups.c.id, (group.id for group in inventory.groups)),
            cells=await self._absent(grid_cells.c.code, (cell.code for cell in inventory.cells)),
            streets=await self._absent(areas.c.code, (area.code for area in inventory.streets), areas.c.level == "street"),
            districts=await self._absent(areas.c.code, (area.code for area in inventory.districts), areas.c.level == "district"),
            zones=await self._absent(zones.c.id, (zone.id for zone in inventory.zones)),
            sights={sight.key for sight in await self._bindings.sights()} - {sight.key for sight in inventory.sights},
            bindings={binding.key for binding in await self._bindings.bindings()} - {binding.key for binding in inventory.bindings},
        )
        await self.apply(InventoryChange(put=inventory, remove=gone, credentials=credentials))

    # -- putting: parents before children; links between devices when all devices are there -------------------------------------------

    async def _put(self, put: Inventory) -> None:
        await self._upsert(grid_cells, (_cell_row(cell) for cell in put.cells))
        for level, found in (("street", put.streets), ("district", put.districts)):
            await self._upsert(areas, [_cell_row(area) | {"level": level} for area in found])
        await self._upsert(camera_groups, (_group_row(group) for group in put.groups))
        await self._put_devices(put.devices)
        await self._upsert(zones, [_zone_row(zone) for zone in put.zones])
        await self._delete(zone_speakers.c.zone, [zone.id for zone in put.zones])
        members = [{"zone": zone.id, "speaker": speaker} for zone in put.zones for speaker in sorted(zone.speakers)]
        await self._upsert(zone_speakers, members)
        await self._bindings.put_sights(put.sights)
        await self._bindings.put(put.bindings)

    async def _put_devices(self, found: Sequence[Device]) -> None:
        await self._upsert(devices, (_device_row(device) | _NO_LINKS for device in found))
        linked = (device for device in found if device.uplink or device.audio_output_of)
        links = ({"b_id": device.id, "b_uplink": device.uplink, "b_output": device.audio_output_of} for device in linked)
        await self._many(_links_by_id, links)
        await self._delete(channels.c.recorder, [device.id for device in found])
        inputs = (
            {"recorder": device.id, "number": channel.number, "camera": channel.camera, "recording_token": channel.recording_token}
            for device in found
            for channel in device.channels
        )
        await self._upsert(channels, inputs)

    async def _put_credentials(self, found: Mapping[DeviceId, Credentials | None]) -> None:
        await self._delete(credentials.c.device, [device for device, value in found.items() if value is None])
        sealed = (
            {"device": device, "sealed": self._vault.seal(_credentials_json(value), bound_to=device)}
            for device, value in found.items()
            if value is not None
        )
        await self._upsert(credentials, sealed)

    # -- removing: children before parents ------------------------------------------------------------------------------------------

    async def _remove(self, gone: Removal) -> None:
        await self._bindings.remove_sights(gone.sights)
        await self._bindings.remove(gone.bindings)
        await self._bindings.forget(gone.devices)
        for column, ids in (
            (zone_speakers.c.zone, gone.zones),
            (zones.c.id, gone.zones),
            (zone_speakers.c.speaker, gone.devices),
            (channels.c.recorder, gone.devices),
            (channels.c.camera, gone.devices),
            (credentials.c.device, gone.devices),
        ):
            await self._delete(column, ids)
        await self._many(_unlink_by_id, ({"b_id": device} for device in gone.devices))
        await self._delete(devices.c.id, gone.devices)
        await self._delete(camera_groups.c.id, gone.groups)
        await self._delete(grid_cells.c.code, gone.cells)
        for level, codes in (("street", gone.streets), ("district", gone.districts)):
            statement = delete(areas).where(areas.c.level == level, areas.c.code == _id_parameter)
            await self._many(statement, ({"b_id": code} for code in codes))

    # -- statements -----------------------------------------------------------------------------------------------------------------

    async def _all(self, table: Table) -> Sequence[Row[Any]]:
        return (await self._conn.execute(select(table).order_by(*table.primary_key.columns))).all()

    async def _devices(self, inputs: Mapping[str, Sequence[Channel]]) -> list[Device]:
        found: list[Device] = []
        async with self._conn.stream(select(devices).order_by(devices.c.id)) as rows:
            async for page in rows.partitions(_PAGE):
                found += [_device(row, tuple(inputs.get(row.id, ()))) for row in page]
                await asyncio.sleep(0)
        return found

    async def _cells(self) -> list[GridCell]:
        found: list[GridCell] = []
        async with self._conn.stream(select(grid_cells).order_by(grid_cells.c.code)) as rows:
            async for page in rows.partitions(_PAGE):
                found += [_cell(row) for row in page]
                await asyncio.sleep(0)
        return found

    async def _absent(self, column: Column[Any], kept: Iterable[str], *where: Any) -> list[Any]:
        keep = set(kept)
        return [key for key in await self._conn.scalars(select(column).where(*where)) if key not in keep]

    async def _upsert(self, table: Table, rows: Iterable[dict[str, Any]]) -> None:
        dialect = postgresql if self._conn.dialect.name == "postgresql" else sqlite
        statement = dialect.insert(table)
        keys = [column.name for column in table.primary_key.columns]
        changed = {column.name: statement.excluded[column.name] for column in table.columns if not column.primary_key}
        upsert = statement.on_conflict_do_update(index_elements=keys, set_=changed) if changed else statement.on_conflict_do_nothing()
        await self._many(upsert, rows)

    async def _delete(self, column: Column[Any], values: Collection[str]) -> None:
        await self._many(delete(column.table).where(column == _id_parameter), ({"b_id": value} for value in values))

    async def _many(self, statement: Executable, rows: Iterable[dict[str, Any]]) -> None:
        """`statement` for each of `rows`; the loop gets its turn between pages."""
        rest = iter(rows)
        while page := list(itertools.islice(rest, _PAGE)):
            await self._conn.execute(statement, page)


# -- rows and values ------------------------------------------------------------------------------------------------------------------

_NO_LINKS: dict[str, Any] = {"uplink": None, "audio_output_of": None}
_id_parameter: BindParameter[str] = bindparam("b_id", type_=Text)
_links_by_id = (
    update(devices)
    .where(devices.c.id == _id_parameter)
    .values(uplink=bindparam("b_uplink", type_=Text), audio_output_of=bindparam("b_output", type_=Text))
)
_unlink_by_id = update(devices).where(devices.c.id == _id_parameter).values(**_NO_LINKS)


def _place(position: Position | None) -> dict[str, float | None]:
    return {"latitude": position.latitude, "longitude": position.longitude} if position else {"latitude": None, "longitude": None}


def _position(row: Row[Any]) -> Position | None:
    return None if row.latitude is None else Position(row.latitude, row.longitude)


def _cell_row(cell: GridCell) -> dict[str, Any]:
    rings = [[[point.longitude, point.latitude] for point in ring] for ring in cell.rings]
    return {"code": cell.code, "name": cell.name, "district": cell.district, "street": cell.street, "rings": rings}


def _cell(row: Row[Any]) -> GridCell:
    rings = tuple(tuple([Position(latitude, longitude) for longitude, latitude in ring]) for ring in row.rings)
    return GridCell(row.code, row.name, rings, row.district, row.street)


def _group_row(group: CameraGroup) -> dict[str, Any]:
    words = {"id": group.id, "name": group.name, "cell": group.cell, "street": group.street, "district": group.district}
    return words | _place(group.position)


def _zone(row: Row[Any], speakers: Iterable[DeviceId]) -> Zone:
    group = MulticastGroup(row.multicast_group, row.multicast_port) if row.multicast_group else None
    return Zone(ZoneId(row.id), row.name, frozenset(speakers), group)


def _zone_row(zone: Zone) -> dict[str, Any]:
    group = zone.multicast
    return {
        "id": zone.id,
        "name": zone.name,
        "multicast_group": group.address if group else "",
        "multicast_port": group.port if group else None,
    }


def _group(row: Row[Any]) -> CameraGroup:
    return CameraGroup(row.id, row.name, _position(row), row.cell, row.street, row.district)


_SAME = ("id", "name", "address", "cell", *_WORDS, "uplink", "uplink_port", "audio_output_of", "horns", "enabled")


def _device_row(device: Device) -> dict[str, Any]:
    ports = {f"{name}_port": port for name, port in asdict(device.ports).items()}
    same = {name: getattr(device, name) for name in _SAME}
    return same | ports | _place(device.position) | {"kind": device.kind.value, "camera_group": device.group}


def _device(row: Row[Any], inputs: tuple[Channel, ...]) -> Device:
    return Device(
        kind=DeviceKind(row.kind),
        ports=Ports(row.onvif_port, row.rtsp_port, row.snmp_port, row.sip_port),
        group=row.camera_group,
        position=_position(row),
        channels=inputs,
        **{name: row._mapping[name] for name in _SAME},
    )


def _credentials_json(value: Credentials) -> bytes:
    return json.dumps(asdict(value)).encode()


def _credentials(opened: bytes) -> Credentials:
    fields = json.loads(opened)
    snmp = fields["snmp"]
    return Credentials(**fields | {"snmp": SnmpCredentials(**snmp | {"version": SnmpVersion(snmp["version"])}) if snmp else None})
