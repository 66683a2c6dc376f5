"""From raw rows and what is stored to the inventory that an import would leave, or to the list of everything that is wrong."""

import difflib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Final, Protocol, TypeVar

from gateway.domain.bindings import Binding, BindingKey, BindingState, Sight, SightKey
from gateway.domain.city import City, place_of
from gateway.domain.devices import CameraGroup, CellCode, Channel, Credentials, Device, DeviceId, GridCell, Position
from gateway.domain.geo import CoordinateSystem
from gateway.errors import Fault, InvalidInput
from gateway.inventory.consistency import Parts, breaches, channel_key, pair_key
from gateway.inventory.exporting import Row, binding_row, credentials_row, device_row, group_row, sight_row, zone_row
from gateway.inventory.fields import Faults, Fields
from gateway.inventory.grid import AreaLevel, overlaps
from gateway.inventory.raw import COLUMNS, KEYS, REQUIRED, Header, Noun, RawFile
from gateway.inventory.rows import area_of, binding_of, channel_of, credentials_of, device_of, group_of, sight_of, zone_of
from gateway.storage.inventory import Inventory

_MAX_OVERLAPS: Final = 20
"""Overlapping cells named in one report: a shifted grid overlaps everywhere."""


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


V = TypeVar("V")
T = TypeVar("T", bound=_Identified)
P = TypeVar("P", Sight, Binding)


@dataclass(frozen=True, slots=True)
class Holdings:
    """An inventory with the log-ins of its devices: what is stored, or what would be."""

    inventory: Inventory = field(default_factory=Inventory)
    credentials: Mapping[DeviceId, Credentials] = field(default_factory=dict)


def validate(file: RawFile, stored: Holdings, *, prune: bool = False) -> Holdings:
    """What would be stored after `file`, merged into `stored`.

    A thing that the file names is changed in the columns that the file has; what it does not name stays, unless `prune`, which removes
    it from the nouns that the file has rows of. InvalidInput names every fault with its line, all at once; before that, a file that says
    nothing, or does not say which things it is about, is refused as a whole.
    """
    _refuse([*_unusable(file), *(_emptied(file, stored.inventory) if prune else ())])
    merge = _Merge(file, pruned(stored, file) if prune else stored)
    after = merge.run()
    _refuse(merge.faults.found, count=merge.faults.count)
    return after


def signed(after: Holdings, before: Holdings, *, by: str, at: datetime) -> Holdings:
    """`after` with its new decisions on bindings put down to `by`, who imports them at `at`.

    A decision that the file brings with both who made it and when is left so, unless it is another one than stored under the same names.
    """
    known = {binding.key: binding for binding in before.inventory.bindings}

    def sign(binding: Binding) -> Binding:
        if binding.state is BindingState.PROPOSED:
            return binding
        old = known.get(binding.key)
        signature = (binding.decided_by, binding.decided_at)
        borrowed = old is not None and old.state is not binding.state and signature == (old.decided_by, old.decided_at)
        return binding.decided(binding.state, by=by, at=at) if borrowed or not all(signature) else binding

    return replace(after, inventory=replace(after.inventory, bindings=tuple(map(sign, after.inventory.bindings))))


def _refuse(faults: Sequence[Fault], *, count: int | None = None) -> None:
    """InvalidInput with `faults`, of `count` in all, unless there is none."""
    if faults:
        count = count or len(faults)
        message = f"the file has {count} fault{'s' if count > 1 else ''}; nothing was imported"
        raise InvalidInput(message, faults=faults, code="bad-inventory")


def _unusable(file: RawFile) -> Iterator[Fault]:
    """Why nothing can be learnt from `file`: a table without the columns that name its things, or no row at all."""
    for header in file.headers:
        nouns = [header.noun] if header.noun else sorted({row.noun for row in file.rows})
        missing = dict.fromkeys(column for noun in nouns for column in KEYS[noun] if column not in header.columns)
        yield from (Fault(header.where, f"the column {column!r} is missing") for column in missing)
        if missing:
            yield from _unknown_columns(header)
    if not file.rows:
        yield Fault("file", "there is no row in it")


def _unknown_columns(header: Header) -> Iterator[Fault]:
    known = _known_columns(header)
    yield from (Fault(header.where, _unknown(column, known)) for column in header.columns if column not in known)


def _known_columns(header: Header) -> Sequence[str]:
    """The columns that the table may have: those of its noun, or of any."""
    return COLUMNS[header.noun] if header.noun else tuple(column for columns in COLUMNS.values() for column in columns)


def _unknown(column: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(column.lower(), known, n=1)
    return f"unknown column {column[:60]!r}{f': did you mean {near[0]!r}?' if near else ''}"


def _emptied(file: RawFile, stored: Inventory) -> Iterator[Fault]:
    """The lists without a row that pruning would take for the word that everything stored of the noun is gone."""
    held = {
        Noun.GROUPS: len(stored.groups),
        Noun.DEVICES: len(stored.devices),
        Noun.CHANNELS: sum(len(device.channels) for device in stored.devices),
        Noun.ZONES: len(stored.zones),
        Noun.AREAS: len(stored.cells) + len(stored.streets) + len(stored.districts),
        Noun.SIGHTS: len(stored.sights),
        Noun.BINDINGS: len(stored.bindings),
    }
    for noun in sorted(file.nouns - {row.noun for row in file.rows}):
        if held[noun]:
            yield Fault(noun, f"the list is empty: pruning would remove all {held[noun]} that are stored")


def pruned(stored: Holdings, file: RawFile) -> Holdings:
    """`stored` without what `file` has a list for and does not name; channels, zones, sights and bindings lose what is gone."""
    named: defaultdict[Noun, set[str]] = defaultdict(set)
    for row in file.rows:
        named[row.noun].add(pair_key(*(row.text(column) for column in _NAMES.get(row.noun, ("id",)))))
    before = stored.inventory

    def stays(noun: Noun, name: str) -> bool:
        return noun not in file.nouns or name in named[noun]

    devices = {device.id: device for device in before.devices if stays(Noun.DEVICES, device.id)}
    kept = Inventory(
        devices=tuple(
            replace(device, channels=_remaining(device, devices) if stays(Noun.CHANNELS, device.id) else ()) for device in devices.values()
        ),
        groups=tuple(group for group in before.groups if stays(Noun.GROUPS, group.id)),
        cells=tuple(cell for cell in before.cells if stays(Noun.AREAS, cell.code)),
        streets=tuple(street for street in before.streets if stays(Noun.AREAS, street.code)),
        districts=tuple(district for district in before.districts if stays(Noun.AREAS, district.code)),
        zones=tuple(
            replace(zone, speakers=frozenset(speaker for speaker in zone.speakers if speaker in devices))
            for zone in before.zones
            if stays(Noun.ZONES, zone.id)
        ),
        sights=tuple(sight for sight in before.sights if sight.camera in devices and stays(Noun.SIGHTS, pair_key(*sight.key))),
        bindings=tuple(
            binding
            for binding in before.bindings
            if {binding.camera, binding.speaker} <= devices.keys() and stays(Noun.BINDINGS, pair_key(*binding.key))
        ),
    )
    return Holdings(kept, {device: found for device, found in stored.credentials.items() if device in devices})


_NAMES: Final[Mapping[Noun, tuple[str, ...]]] = {
    Noun.CHANNELS: ("recorder",),
    Noun.AREAS: ("code",),
    Noun.SIGHTS: SightKey._fields,
    Noun.BINDINGS: BindingKey._fields,
}
"""The columns that tell what pruning leaves in place, where it is not the id."""


def _remaining(recorder: Device, devices: Collection[DeviceId]) -> tuple[Channel, ...]:
    return tuple(channel for channel in recorder.channels if channel.camera in devices)


class _Merge:
    """One file on its way into `stored`. The faults gather; what is returned beside faults is of no use."""

    def __init__(self, file: RawFile, stored: Holdings) -> None:
        self.faults = Faults()
        self._file = file
        self._before = stored.inventory
        self._credentials = dict(stored.credentials)
        self._places: dict[tuple[Noun, str], str] = {}
        self._system = self._coordinates(file.coordinates)

    def run(self) -> Holdings:
        self._check_columns()
        areas = self._areas()
        groups = self._things(Noun.GROUPS, self._before.groups, group_row, group_of)
        devices = self._things(Noun.DEVICES, self._before.devices, self._known_device, self._device)
        zones = self._things(Noun.ZONES, self._before.zones, zone_row, zone_of)
        self._wire(devices)
        self._locate(groups, devices, areas[AreaLevel.CELL])
        sights = self._pairs(Noun.SIGHTS, self._before.sights, sight_row, sight_of)
        bindings = self._pairs(Noun.BINDINGS, self._before.bindings, binding_row, binding_of)
        for breach in breaches(Parts(devices, groups, zones, sights.values(), bindings.values())):
            self._fault(breach.noun, breach.id, breach.why)
        after = Inventory(
            devices=_by_key(devices),
            groups=_by_key(groups),
            cells=_by_key(areas[AreaLevel.CELL]),
            streets=_by_key(areas[AreaLevel.STREET]),
            districts=_by_key(areas[AreaLevel.DISTRICT]),
            zones=_by_key(zones),
            sights=_by_key(sights),
            bindings=_by_key(bindings),
        )
        return Holdings(after, self._credentials)

    # -- the file as a whole ----------------------------------------------------------------------------------------------------------

    def _coordinates(self, name: str) -> CoordinateSystem:
        try:
            return CoordinateSystem(name.strip().upper() or CoordinateSystem.WGS84)
        except ValueError:
            self.faults.add("coordinates", f"{name[:40]!r} is not one of {', '.join(CoordinateSystem)}")
            return CoordinateSystem.WGS84

    def _check_columns(self) -> None:
        """Name each unknown column once, with the nearest known one: at the header, or else where it stands first."""
        seen: set[tuple[Noun, str]] = set()
        for header in self._file.headers:
            for fault in _unknown_columns(header):
                self.faults.add(fault.where, fault.why)
            strangers = set(header.columns).difference(_known_columns(header))
            seen.update((noun, column) for noun in ([header.noun] if header.noun else Noun) for column in strangers)
        for row in self._file.rows:
            for column in row.values:
                if column not in COLUMNS[row.noun] and (row.noun, column) not in seen:
                    seen.add((row.noun, column))
                    self.faults.add(row.where, _unknown(column, COLUMNS[row.noun]))

    def _fault(self, noun: Noun, key: str, why: str) -> None:
        self.faults.add(self._places.get((noun, key), f"{noun} {key.replace(chr(0), ' ')} (stored, not in the file)"), why)

    def _claim(self, noun: Noun, key: str, where: str) -> bool:
        """Note where `key` stands; a fault, and False, when it stands elsewhere already."""
        first = self._places.get((noun, key))
        if first is not None:
            self.faults.add(where, f"{key.replace(chr(0), ' ')!r} stands already at {first}")
            return False
        self._places[noun, key] = where
        return True

    # -- one noun after the other -----------------------------------------------------------------------------------------------------

    def _things(
        self,
        noun: Noun,
        stored: Iterable[T],
        row_of: Callable[[T], Row],
        value_of: Callable[[Fields, T | None, CoordinateSystem], T],
    ) -> dict[str, T]:
        """The stored things of a noun, and over them those of the file, by id."""
        found = {thing.id: thing for thing in stored}
        for row in self._file.of(noun):
            key = row.text("id")
            kept = found.get(key)
            fields = Fields(row, self.faults, known=row_of(kept) if kept is not None else None)
            complete = fields.require(REQUIRED[noun])
            value = value_of(fields, kept, self._system)
            if complete and self._claim(noun, key, row.where):
                found[key] = value
        return found

    def _known_device(self, device: Device) -> Row:
        return device_row(device) | credentials_row(self._credentials.get(device.id), secrets=True)

    def _device(self, fields: Fields, kept: Device | None, system: CoordinateSystem) -> Device:
        device = device_of(fields, kept, system)
        credentials = credentials_of(fields)
        if credentials is None:
            self._credentials.pop(device.id, None)
        else:
            self._credentials[device.id] = credentials
        return device

    def _pairs(self, noun: Noun, stored: Iterable[P], row_of: Callable[[P], Row], value_of: Callable[[Fields], P]) -> dict[str, P]:
        """The stored things of a noun that are known by several columns, and over them those of the file."""
        found = {pair_key(*thing.key): thing for thing in stored}
        for row in self._file.of(noun):
            key = pair_key(*(row.text(column) for column in _NAMES[noun]))
            kept = found.get(key)
            fields = Fields(row, self.faults, known=row_of(kept) if kept is not None else None)
            complete = fields.require(REQUIRED[noun])
            value = value_of(fields)
            if complete and self._claim(noun, key, row.where):
                found[key] = value
        return found

    def _areas(self) -> dict[AreaLevel, dict[str, GridCell]]:
        found = {
            AreaLevel.CELL: {str(cell.code): cell for cell in self._before.cells},
            AreaLevel.STREET: {str(street.code): street for street in self._before.streets},
            AreaLevel.DISTRICT: {str(district.code): district for district in self._before.districts},
        }
        for row in self._file.of(Noun.AREAS):
            fields = Fields(row, self.faults)
            complete = fields.require(REQUIRED[Noun.AREAS])
            level, area = area_of(fields, self._system)
            if complete and area.rings and self._claim(Noun.AREAS, f"{level} {area.code}", row.where):
                found[level][area.code] = area
        if Noun.AREAS in self._file.nouns:
            for one, other in islice(overlaps(found[AreaLevel.CELL].values()), _MAX_OVERLAPS):
                self._fault(Noun.AREAS, f"{AreaLevel.CELL} {one}", f"polygon: the middle of cell {one} lies in cell {other} too")
        return found

    def _wire(self, devices: dict[str, Device]) -> None:
        """Give each recorder that the file lists channels of just those channels."""
        listed: defaultdict[str, list[Channel]] = defaultdict(list)
        for row in self._file.of(Noun.CHANNELS):
            fields = Fields(row, self.faults)
            recorder = row.text("recorder")
            complete = fields.require(REQUIRED[Noun.CHANNELS])
            channel = channel_of(fields)
            if recorder and recorder not in devices:
                fields.fault(f"recorder: no device {recorder!r}")
            elif complete and self._claim(Noun.CHANNELS, channel_key(recorder, channel.number), row.where):
                listed[recorder].append(channel)
        for recorder, found in listed.items():
            devices[recorder] = replace(devices[recorder], channels=tuple(sorted(found, key=lambda channel: channel.number)))

    # -- places -----------------------------------------------------------------------------------------------------------------------

    def _locate(self, groups: dict[str, CameraGroup], devices: dict[str, Device], cells: Mapping[str, GridCell]) -> None:
        """Give everything its cell: the one that its position lies in, else the one that the file names, now or when it was put there."""
        city = City()
        city.replace(devices=(), cells=cells.values())
        for key, group in groups.items():
            cell = city.cell_at(group.position) if group.position else group.cell
            groups[key] = replace(group, cell=cell if cell in city.cells else None)
        named = self._named_cells(city)
        before = _Before(self._before)
        for key, device in devices.items():
            place = place_of(device, groups.get(device.group or ""))
            found = city.cell_at(place) if place else None
            if found and named.get(key, found) != found:
                self._fault(Noun.DEVICES, key, f"cell: {named[key]!r}, but its position lies in {found!r}")
            fallback = named.get(key) or (device.cell if place is None or before.named_cell(key, place) else None)
            cell = found or (fallback if fallback in city.cells else None)
            if cell != device.cell:
                devices[key] = replace(device, cell=cell)

    def _named_cells(self, city: City) -> dict[str, CellCode]:
        """The cells that rows of the file name; a fault for each that there is not."""
        named = {row.text("id"): row for row in self._file.of(Noun.DEVICES) if row.text("cell")}
        for row in named.values():
            if row.text("cell") not in city.cells:
                hint = "" if city.cells else ": import the grid first"
                self.faults.add(row.where, f"cell: no grid cell {row.text('cell')[:64]!r}{hint}")
        return {key: CellCode(row.text("cell")) for key, row in named.items()}


class _Before:
    """Where things were before the import, and how their cells were known."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._devices = {str(device.id): device for device in inventory.devices}
        self._groups = {str(group.id): group for group in inventory.groups}
        self._city: City | None = None

    def named_cell(self, key: str, place: Position) -> bool:
        """Whether the device was at `place` already, and in a cell that a file had named because no polygon held it."""
        device = self._devices.get(key)
        if device is None or device.cell is None or place_of(device, self._groups.get(device.group or "")) != place:
            return False
        if self._city is None:  # few cities need it
            self._city = City()
            self._city.replace(devices=(), cells=self._inventory.cells)
        return self._city.cell_at(place) is None


def _by_key(found: Mapping[str, V]) -> tuple[V, ...]:
    return tuple(found[key] for key in sorted(found))
