"""What an import would change, thing by thing and field by field, fit to be read by people: secrets show only as "changed"."""

import hashlib
from collections import Counter
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from gateway.domain.bindings import Binding, Sight
from gateway.domain.devices import CameraGroup, Credentials, Device, DeviceId, GridCell, Zone
from gateway.inventory.exporting import binding_row, credentials_row, device_row, group_row, sight_row, zone_row
from gateway.inventory.raw import SECRETS
from gateway.inventory.validation import Holdings
from gateway.storage.inventory import Inventory, InventoryChange, Removal

HIDDEN: Final = "changed"


class Verb(StrEnum):
    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field, before and after. For a secret both are empty."""

    name: str
    before: str = ""
    after: str = ""
    secret: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {HIDDEN}" if self.secret else f"{self.name}: {self.before or '(empty)'} → {self.after or '(empty)'}"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is added, changed in some fields, or removed. `noun`: camera, speaker, …, group, cell, street, district, zone,
    sight, binding."""

    verb: Verb
    noun: str
    id: str
    name: str = ""
    fields: tuple[FieldChange, ...] = ()

    def __str__(self) -> str:
        mark = {Verb.ADDED: "+", Verb.CHANGED: "~", Verb.REMOVED: "-"}[self.verb]
        return f"{mark} {self.noun} {self.id} {self.name}".rstrip() + (f"  {'; '.join(map(str, self.fields))}" if self.fields else "")


@dataclass(frozen=True, slots=True)
class Diff:
    """All changes in the order of the inventory: cells and areas, groups, devices, zones, sights, bindings."""

    changes: tuple[Change, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changes)

    def counts(self) -> dict[str, int]:
        """How many things are added, changed and removed."""
        found = Counter(change.verb for change in self.changes)
        return {verb.value: found[verb] for verb in Verb}

    def lines(self, *, most: int = 1_000) -> Iterator[str]:
        """The diff as text, a line a thing, at most `most` of them, and a last line that sums up."""
        yield from map(str, self.changes[:most])
        if len(self.changes) > most:
            yield f"… and {len(self.changes) - most} more"
        yield "no difference" if not self else ", ".join(f"{count} {verb}" for verb, count in self.counts().items())


def diff(before: Holdings, after: Holdings) -> Diff:
    """From one inventory to the other."""
    return Diff(tuple(_changes(before, after)))


def change(before: Holdings, after: Holdings) -> InventoryChange:
    """What the store has to do to hold `after` instead of `before`: only what differs is written."""
    old, new = before.inventory, after.inventory
    names = ("devices", "groups", "cells", "streets", "districts", "zones", "sights", "bindings")
    put: dict[str, Any] = {name: _new_or_other(getattr(old, name), getattr(new, name)) for name in names}
    remove: dict[str, Any] = {name: _gone(getattr(old, name), getattr(new, name)) for name in names}
    stay = {device.id for device in new.devices}
    credentials: dict[DeviceId, Credentials | None] = {
        device: after.credentials.get(device)
        for device in sorted({*before.credentials, *after.credentials} & stay)
        if before.credentials.get(device) != after.credentials.get(device)
    }
    return InventoryChange(put=Inventory(**put), remove=Removal(**remove), credentials=credentials)


def _changes(before: Holdings, after: Holdings) -> Iterator[Change]:
    old, new = before.inventory, after.inventory
    for noun, name in (("cell", "cells"), ("street", "streets"), ("district", "districts")):
        yield from _of(noun, _areas(getattr(old, name)), _areas(getattr(new, name)))
    yield from _of("group", _groups(old.groups), _groups(new.groups))
    yield from _of("device", _devices(before), _devices(after))
    yield from _of("zone", _zones(old.zones), _zones(new.zones))
    yield from _of("sight", *({_label(*sight.key): _flat(sight_row(sight)) for sight in one.sights} for one in (old, new)))
    yield from _of("binding", *({_label(*binding.key): _flat(binding_row(binding)) for binding in one.bindings} for one in (old, new)))


_Rows = Mapping[str, Mapping[str, str]]


def _of(noun: str, before: _Rows, after: _Rows) -> Iterator[Change]:
    for key in sorted({*before, *after}):
        old, new = before.get(key, {}), after.get(key, {})
        word = (new or old).get("kind", noun)
        name = (new or old).get("name", "")
        if not old:
            yield Change(Verb.ADDED, word, key, name)
        elif not new:
            yield Change(Verb.REMOVED, word, key, name)
        elif old != new:
            yield Change(Verb.CHANGED, word, key, name, _fields(old, new))


def _fields(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[FieldChange, ...]:
    differing = [name for name in dict.fromkeys([*old, *new]) if old.get(name, "") != new.get(name, "")]
    return tuple(
        FieldChange(name, secret=True) if name in SECRETS else FieldChange(name, old.get(name, ""), new.get(name, "")) for name in differing
    )


def _areas(found: Sequence[GridCell]) -> _Rows:
    return {cell.code: {"name": cell.name, "district": cell.district, "street": cell.street, "polygon": _outline(cell)} for cell in found}


def _outline(cell: GridCell) -> str:
    """A short name for a polygon, equal only for equal polygons: number of corners and a digest."""
    digest = hashlib.sha256(repr(cell.rings).encode()).hexdigest()[:12]
    return f"{sum(map(len, cell.rings))} points #{digest}"


def _groups(found: Sequence[CameraGroup]) -> _Rows:
    return {group.id: _flat(group_row(group)) | {"cell": group.cell or ""} for group in found}


def _devices(holdings: Holdings) -> _Rows:
    return {
        device.id: _flat(device_row(device) | credentials_row(holdings.credentials.get(device.id), secrets=True))
        | {"cell": device.cell or ""}
        | _channels(device)
        for device in holdings.inventory.devices
    }


def _channels(recorder: Device) -> dict[str, str]:
    return {f"channel {channel.number}": f"{channel.camera} {channel.recording_token}".rstrip() for channel in recorder.channels}


def _zones(found: Sequence[Zone]) -> _Rows:
    return {zone.id: _flat(zone_row(zone)) for zone in found}


def _flat(row: Mapping[str, str | list[str]]) -> dict[str, str]:
    return {name: value if isinstance(value, str) else " ".join(value) for name, value in row.items()}


def _label(camera: str, preset: str, speaker: str = "") -> str:
    """How a sight or a binding is called in a line of the difference."""
    return f"{camera}{f' preset {preset}' if preset else ''}{f' → {speaker}' if speaker else ''}"


def _key(thing: Any) -> Hashable:
    found: Hashable = thing.key if isinstance(thing, Sight | Binding) else getattr(thing, "code", None) or thing.id
    return found


def _new_or_other(old: Collection[Any], new: Collection[Any]) -> tuple[Any, ...]:
    known = {_key(thing): thing for thing in old}
    return tuple(thing for thing in new if known.get(_key(thing)) != thing)


def _gone(old: Collection[Any], new: Collection[Any]) -> tuple[Hashable, ...]:
    stay = {_key(thing) for thing in new}
    return tuple(key for thing in old if (key := _key(thing)) not in stay)
