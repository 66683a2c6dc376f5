"""The same change to many devices: which are meant, and the rows of an import that makes it."""

import difflib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Final

from gateway.domain.city import City
from gateway.domain.devices import Device, DeviceKind
from gateway.errors import Fault, InvalidInput, NotFound
from gateway.inventory.raw import COLUMNS, Noun, RawFile, RawRow

SETTABLE: Final = tuple(column for column in COLUMNS[Noun.DEVICES] if column != "id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Devices that fit everything that is given; None for what does not matter. Words are compared as they are, but for case."""

    ids: Collection[str] | None = None
    kind: DeviceKind | None = None
    group: str | None = None
    district: str | None = None
    vendor: str | None = None
    model: str | None = None

    def of(self, city: City) -> Iterator[Device]:
        """The devices that are meant, by id."""
        ids = None if self.ids is None else frozenset(self.ids)
        for device in city.devices.values():
            if (
                (ids is None or device.id in ids)
                and (self.kind is None or device.kind is self.kind)
                and (self.group is None or device.group == self.group)
                and (self.district is None or self.district in districts_of(device, city))
                and (self.vendor is None or device.vendor.casefold() == self.vendor.casefold())
                and (self.model is None or device.model.casefold() == self.model.casefold())
            ):
                yield device


def districts_of(device: Device, city: City) -> Collection[str]:
    """The districts that the device's group and cell lie in."""
    group = city.groups.get(device.group) if device.group else None
    cell = city.cells.get(device.cell) if device.cell else None
    return {place.district for place in (group, cell) if place is not None and place.district}


def chosen(selection: Selection, city: City) -> list[Device]:
    """The devices that `selection` means.

    InvalidInput when it names nothing or fits nothing; NotFound when one of its ids is no device's: no edit means fewer than was asked.
    """
    if all(getattr(selection, field.name) is None for field in fields(selection)):
        raise InvalidInput(
            "The selection is empty.", code="nothing-selected", hint="Name ids, or a kind, group, district, vendor or model."
        )
    missing = sorted(set(selection.ids or ()) - city.devices.keys())
    if missing:
        raise NotFound(f"There is no device {missing[0]!r}.", hint="GET /v1/devices lists what there is.")
    found = list(selection.of(city))
    if not found:
        raise InvalidInput("No device fits the selection.", code="nothing-selected", hint="GET /v1/devices lists what there is.")
    return found


def edit(devices: Collection[Device], values: Mapping[str, str]) -> RawFile:
    """The import that sets the columns `values` of all `devices`; an empty value empties the column. InvalidInput names unknown columns."""
    faults = [Fault(f"/set/{name}", _unknown(name)) for name in values if name not in SETTABLE]
    if faults:
        raise InvalidInput("These fields cannot be set.", faults=faults, code="bad-inventory")
    rows = [RawRow(Noun.DEVICES, f"device {device.id}", {"id": device.id, **values}) for device in devices]
    return RawFile(nouns=frozenset({Noun.DEVICES}), rows=rows)


def _unknown(name: str) -> str:
    if name == "id":
        return "the id of a device never changes"
    near = difflib.get_close_matches(name.lower(), SETTABLE, n=1)
    return f"no such field{f': did you mean {near[0]!r}?' if near else ''}"
