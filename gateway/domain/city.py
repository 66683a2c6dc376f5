"""The whole inventory in memory: what there is, where it is, and what depends on what."""

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeVar

from gateway.domain.bindings import Binding, BindingKey, Sight, SightKey
from gateway.domain.devices import (
    CameraGroup,
    CellCode,
    Channel,
    Device,
    DeviceId,
    DeviceKind,
    GridCell,
    GroupId,
    Position,
    Zone,
    ZoneId,
)
from gateway.domain.geo import Box, bounds, in_polygon

K = TypeVar("K")


def place_of(device: Device, group: CameraGroup | None) -> Position | None:
    """Where a device of `group` hangs: its own position, or its group's."""
    return device.position or (group.position if group is not None else None)


class City:
    """An index of all inventory. `replace` swaps everything at once in this same object: whoever holds it sees the new city.

    Lookups are dictionary reads; `cell_at` looks only at the cells near the position. Unknown ids give empty answers, never an error.
    """

    def __init__(self) -> None:
        self._index = _Index.of(cells=_CellIndex(()))

    @property
    def devices(self) -> Mapping[DeviceId, Device]:
        return self._index.devices

    @property
    def groups(self) -> Mapping[GroupId, CameraGroup]:
        return self._index.groups

    @property
    def cells(self) -> Mapping[CellCode, GridCell]:
        return self._index.cells.cells

    @property
    def streets(self) -> Mapping[CellCode, GridCell]:
        """The streets (街道) with their outlines, by code."""
        return self._index.streets

    @property
    def districts(self) -> Mapping[CellCode, GridCell]:
        """The districts (区) with their outlines, by code."""
        return self._index.districts

    @property
    def zones(self) -> Mapping[ZoneId, Zone]:
        return self._index.zones

    def of_kind(self, kind: DeviceKind) -> Sequence[Device]:
        """All devices of `kind`, by id."""
        return self._index.by_kind.get(kind, ())

    def in_group(self, group: GroupId) -> Sequence[Device]:
        """The devices of a camera group, by id."""
        return self._index.by_group.get(group, ())

    def in_cell(self, cell: CellCode) -> Sequence[Device]:
        """The devices in a grid cell, by id."""
        return self._index.by_cell.get(cell, ())

    @property
    def sights(self) -> Mapping[SightKey, Sight]:
        """Where cameras look, by camera and preset."""
        return self._index.sights

    @property
    def bindings(self) -> Mapping[BindingKey, Binding]:
        """Which loudspeakers are heard where cameras look, by camera, preset and loudspeaker."""
        return self._index.bindings.by_key

    def bindings_of(self, device: DeviceId) -> Sequence[Binding]:
        """The bindings of a camera, or those of a loudspeaker, by key."""
        return self._index.bindings.by_device.get(device, ())

    def audio_outputs(self, camera: DeviceId) -> Sequence[Device]:
        """The loudspeakers that are this camera's own, by id."""
        return self._index.by_output_of.get(camera, ())

    def place_of(self, device: Device) -> Position | None:
        """Where a device hangs: its own position, or its group's."""
        return place_of(device, self.groups.get(device.group) if device.group else None)

    def cell_at(self, position: Position) -> CellCode | None:
        """The cell whose polygon holds `position`; where cells overlap, the first by code."""
        return min(self._index.cells.at(position), default=None)

    def cells_at(self, position: Position) -> Sequence[CellCode]:
        """All cells that hold `position`, by code: more than one means that the grid contradicts itself."""
        return sorted(self._index.cells.at(position))

    def recorder_of(self, camera: DeviceId) -> tuple[Device, Channel] | None:
        """The recorder and channel that keep a camera's footage; enabled recorders first, then by id."""
        return self._index.recorders.get(camera)

    def uplink_chain(self, device: DeviceId) -> Sequence[Device]:
        """What `device` depends on, nearest first. A loop in the inventory is cut where it closes."""
        chain: list[Device] = []
        seen = {device}
        current = self.devices.get(device)
        while current is not None and current.uplink is not None and current.uplink not in seen:
            seen.add(current.uplink)
            current = self.devices.get(current.uplink)
            if current is not None:
                chain.append(current)
        return tuple(chain)

    def district_of(self, device: Device) -> str:
        """The district (区) of a device: its group's, else its cell's; "" where neither says."""
        group = self.groups.get(device.group) if device.group else None
        if group is not None and group.district:
            return group.district
        cell = self.cells.get(device.cell) if device.cell else None
        return cell.district if cell is not None else ""

    def behind(self, uplink: DeviceId) -> Sequence[Device]:
        """The devices that hang directly on `uplink`, by id."""
        return self._index.by_uplink.get(uplink, ())

    def replace(
        self,
        *,
        devices: Iterable[Device],
        groups: Iterable[CameraGroup] = (),
        cells: Iterable[GridCell] = (),
        zones: Iterable[Zone] = (),
        streets: Iterable[GridCell] = (),
        districts: Iterable[GridCell] = (),
        sights: Iterable[Sight] = (),
        bindings: Iterable[Binding] = (),
    ) -> None:
        """Become another city, in one assignment: a reader sees the old one or the new one, so this may run in a thread.

        The index of the cells (50 ms for 12,800) is rebuilt only when the cells changed.
        """
        known = {cell.code: cell for cell in cells}
        polygons = self._index.cells if known == self._index.cells.cells else _CellIndex(known.values())
        self._index = _Index.of(
            devices=devices,
            groups=groups,
            cells=polygons,
            zones=zones,
            streets=streets,
            districts=districts,
            sights=sights,
            bindings=bindings,
        )

    def bind(self, *, put: Iterable[Binding] = (), gone: Iterable[BindingKey] = ()) -> None:
        """Have these bindings, instead of those of the same keys, and no longer those that are `gone`; all else stays as it is."""
        left = set(gone)
        kept = {key: binding for key, binding in self.bindings.items() if key not in left}
        self._index = replace(self._index, bindings=_BindingIndex.of((kept | {binding.key: binding for binding in put}).values()))


@dataclass(frozen=True, slots=True)
class _Index:
    devices: Mapping[DeviceId, Device]
    groups: Mapping[GroupId, CameraGroup]
    cells: "_CellIndex"
    zones: Mapping[ZoneId, Zone]
    streets: Mapping[CellCode, GridCell]
    districts: Mapping[CellCode, GridCell]
    by_kind: Mapping[DeviceKind, Sequence[Device]]
    by_group: Mapping[GroupId, Sequence[Device]]
    by_cell: Mapping[CellCode, Sequence[Device]]
    by_uplink: Mapping[DeviceId, Sequence[Device]]
    by_output_of: Mapping[DeviceId, Sequence[Device]]
    recorders: Mapping[DeviceId, tuple[Device, Channel]]
    sights: Mapping[SightKey, Sight]
    bindings: "_BindingIndex"

    @classmethod
    def of(  # the parts of a city, with the cells already indexed
        cls,
        *,
        devices: Iterable[Device] = (),
        groups: Iterable[CameraGroup] = (),
        cells: "_CellIndex",
        zones: Iterable[Zone] = (),
        streets: Iterable[GridCell] = (),
        districts: Iterable[GridCell] = (),
        sights: Iterable[Sight] = (),
        bindings: Iterable[Binding] = (),
    ) -> "_Index":
        ordered = sorted(devices, key=lambda device: device.id)
        return cls(
            devices=MappingProxyType({device.id: device for device in ordered}),
            groups=MappingProxyType({group.id: group for group in sorted(groups, key=lambda group: group.id)}),
            cells=cells,
            zones=MappingProxyType({zone.id: zone for zone in sorted(zones, key=lambda zone: zone.id)}),
            streets=MappingProxyType({street.code: street for street in sorted(streets, key=lambda street: street.code)}),
            districts=MappingProxyType({district.code: district for district in sorted(districts, key=lambda district: district.code)}),
            by_kind=_gather((device.kind, device) for device in ordered),
            by_group=_gather((device.group, device) for device in ordered if device.group is not None),
            by_cell=_gather((device.cell, device) for device in ordered if device.cell is not None),
            by_uplink=_gather((device.uplink, device) for device in ordered if device.uplink is not None),
            by_output_of=_gather((device.audio_output_of, device) for device in ordered if device.audio_output_of is not None),
            recorders=_recorders(ordered),
            sights=MappingProxyType({sight.key: sight for sight in sorted(sights, key=lambda sight: sight.key)}),
            bindings=_BindingIndex.of(bindings),
        )


@dataclass(frozen=True, slots=True)
class _BindingIndex:
    by_key: Mapping[BindingKey, Binding]
    by_device: Mapping[DeviceId, Sequence[Binding]]

    @classmethod
    def of(cls, bindings: Iterable[Binding]) -> "_BindingIndex":
        ordered = sorted(bindings, key=lambda binding: binding.key)
        found: dict[DeviceId, list[Binding]] = {}
        for binding in ordered:
            found.setdefault(binding.camera, []).append(binding)
            found.setdefault(binding.speaker, []).append(binding)
        by_device = {device: tuple(bound) for device, bound in found.items()}
        return cls(MappingProxyType({binding.key: binding for binding in ordered}), MappingProxyType(by_device))


def _gather(pairs: Iterable[tuple[K, Device]]) -> Mapping[K, Sequence[Device]]:
    found: dict[K, list[Device]] = {}
    for key, device in pairs:
        found.setdefault(key, []).append(device)
    return {key: tuple(members) for key, members in found.items()}


def _recorders(devices: Sequence[Device]) -> Mapping[DeviceId, tuple[Device, Channel]]:
    found: dict[DeviceId, tuple[Device, Channel]] = {}
    for device in sorted(devices, key=lambda device: not device.enabled):
        for channel in device.channels:
            found.setdefault(channel.camera, (device, channel))
    return found


class _CellIndex:
    """Cells by the squares of a coarse raster that their bounding boxes touch.

    The raster's step is twice the median cell, so that a cell lies in at most four squares or so; a polygon that would cover more than
    `_MANY` squares (a park, a mistake) goes into a list that is looked at every time.
    """

    _MANY = 256

    def __init__(self, cells: Iterable[GridCell]) -> None:
        ordered = sorted((cell for cell in cells if cell.rings), key=lambda cell: cell.code)
        self.cells: Mapping[CellCode, GridCell] = MappingProxyType({cell.code: cell for cell in ordered})
        boxed = [(cell, bounds(cell.rings[0])) for cell in ordered]
        self._step = _raster_step([box for _, box in boxed])
        self._squares: dict[tuple[int, int], list[tuple[Box, GridCell]]] = {}
        self._wide: list[tuple[Box, GridCell]] = []
        for cell, box in boxed:
            self._place(cell, box)

    def at(self, position: Position) -> Iterator[CellCode]:
        near = self._squares.get(self._square(position.latitude, position.longitude), ())
        return (cell.code for box, cell in (*near, *self._wide) if box.holds(position) and in_polygon(position, cell.rings))

    def _place(self, cell: GridCell, box: Box) -> None:
        south, west = self._square(box.south, box.west)
        north, east = self._square(box.north, box.east)
        if (north - south + 1) * (east - west + 1) > self._MANY:
            self._wide.append((box, cell))
            return
        for row in range(south, north + 1):
            for column in range(west, east + 1):
                self._squares.setdefault((row, column), []).append((box, cell))

    def _square(self, latitude: float, longitude: float) -> tuple[int, int]:
        return math.floor(latitude / self._step), math.floor(longitude / self._step)


def _raster_step(boxes: Sequence[Box]) -> float:
    sizes = [max(box.north - box.south, box.east - box.west) for box in boxes]
    return max(1e-6, 2 * statistics.median(sizes)) if sizes else 1.0
