"""Writing the inventory as files that the importer reads back without a difference; secrets are never written."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Final

import xlsxwriter
import yaml

from gateway.domain.bindings import Binding, Sight
from gateway.domain.city import City, place_of
from gateway.domain.devices import CameraGroup, CellCode, Credentials, Device, DeviceId, Position, Zone
from gateway.domain.spreadsheets import guarded
from gateway.inventory.grid import geojson
from gateway.inventory.raw import COLUMNS, SECRETS, Noun
from gateway.storage.inventory import Inventory

Row = dict[str, str | list[str]]
_TABLES: Final = (Noun.GROUPS, Noun.DEVICES, Noun.CHANNELS, Noun.ZONES, Noun.SIGHTS, Noun.BINDINGS)
_HEAD: Final = "version: 1\ncoordinates: WGS-84\n# Passwords are not exported; a row without one keeps what the gateway has.\n"


def export(inventory: Inventory, credentials: Mapping[DeviceId, Credentials], suffix: str) -> bytes:
    """The inventory as `yaml`, `csv` (one table with a column `noun`) or `xlsx` (a sheet a noun), or the polygons as `geojson`.

    ValueError for another suffix.
    """
    if suffix == "geojson":
        return geojson(cells=inventory.cells, streets=inventory.streets, districts=inventory.districts)
    tables = _tables(inventory, credentials)
    writer = {"yaml": _yaml, "csv": _csv, "xlsx": _xlsx}.get(suffix)
    if writer is None:
        raise ValueError(f"no writer for {suffix!r}")
    return writer(tables)


def device_row(device: Device, *, told: CellCode | None = None) -> Row:
    """A device in the columns of a file, without its credentials. Its cell is left out where the position has `told` it."""
    ours = ("name", "owner", "management_unit", "maintainer", "vendor", "model", "serial", "firmware", "profile")
    same = (*ours, "gb28181_id", "mac", "endpoint")
    row: Row = {"id": device.id, "kind": device.kind.value, "address": device.address}
    row |= {name: str(getattr(device, name)) for name in same}
    row |= {f"{name}_port": str(port) for name, port in asdict(device.ports).items()}
    row |= {"group": device.group or "", "cell": "" if device.cell == told else device.cell or "", **_place(device.position)}
    row |= {"uplink": device.uplink or "", "uplink_port": "" if device.uplink_port is None else str(device.uplink_port)}
    row |= {"audio_output_of": device.audio_output_of or "", "horns": str(device.horns or ""), "enabled": str(device.enabled).lower()}
    return row


def credentials_row(credentials: Credentials | None, *, secrets: bool) -> Row:
    """The log-in in the columns of a file; `secrets` is True only for merging an import with what is known."""
    if credentials is None:
        return {}
    row: Row = {"username": credentials.username, "password": credentials.password}
    if snmp := credentials.snmp:
        row |= {"snmp_version": snmp.version.value, "snmp_community": snmp.community, "snmp_user": snmp.user}
        row |= {"snmp_write_community": snmp.write_community}
        row |= {"snmp_auth_protocol": snmp.auth_protocol, "snmp_auth_key": snmp.auth_key}
        row |= {"snmp_priv_protocol": snmp.priv_protocol, "snmp_priv_key": snmp.priv_key}
    return row if secrets else {name: value for name, value in row.items() if name not in SECRETS}


def group_row(group: CameraGroup) -> Row:
    return {"id": group.id, "name": group.name, "street": group.street, "district": group.district, **_place(group.position)}


def zone_row(zone: Zone) -> Row:
    return {"id": zone.id, "name": zone.name, "speakers": sorted(zone.speakers), "multicast": str(zone.multicast or "")}


def sight_row(sight: Sight) -> Row:
    return {"camera": sight.camera, "preset": sight.preset, "bearing": _number(sight.bearing_deg), "distance_m": _number(sight.distance_m)}


def binding_row(binding: Binding) -> Row:
    at = binding.decided_at.isoformat() if binding.decided_at else ""
    row: Row = {"camera": binding.camera, "preset": binding.preset, "speaker": binding.speaker, "reach_m": _number(binding.reach_m)}
    return row | {"state": binding.state.value, "decided_by": binding.decided_by, "decided_at": at, "note": binding.note}


def channel_rows(recorder: Device) -> Iterator[Row]:
    for channel in recorder.channels:
        number, camera, token = str(channel.number), str(channel.camera), channel.recording_token
        yield {"recorder": recorder.id, "number": number, "camera": camera, "recording_token": token}


def _tables(inventory: Inventory, credentials: Mapping[DeviceId, Credentials]) -> Mapping[Noun, Sequence[Row]]:
    told = _cells_by_place(inventory)
    devices = [
        device_row(device, told=told.get(device.id)) | credentials_row(credentials.get(device.id), secrets=False)
        for device in inventory.devices
    ]
    return {
        Noun.GROUPS: [group_row(group) for group in inventory.groups],
        Noun.DEVICES: devices,
        Noun.CHANNELS: [row for device in inventory.devices for row in channel_rows(device)],
        Noun.ZONES: [zone_row(zone) for zone in inventory.zones],
        Noun.SIGHTS: [sight_row(sight) for sight in inventory.sights],
        Noun.BINDINGS: [binding_row(binding) for binding in inventory.bindings],
    }


def _cells_by_place(inventory: Inventory) -> Mapping[DeviceId, CellCode | None]:
    """The cells that the positions of the devices, or of their groups, lie in: the importer finds them by itself."""
    city = City()
    city.replace(devices=(), cells=inventory.cells, groups=inventory.groups)
    places = ((device, place_of(device, city.groups.get(device.group) if device.group else None)) for device in inventory.devices)
    return {device.id: city.cell_at(place) for device, place in places if place is not None}


def _place(position: Position | None) -> Row:
    return {"latitude": repr(position.latitude), "longitude": repr(position.longitude)} if position else {"latitude": "", "longitude": ""}


def _number(value: float) -> str:
    """A number of metres or degrees without an exponent, as the importer takes it."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _yaml(tables: Mapping[Noun, Sequence[Row]]) -> bytes:
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    lines = [_HEAD]
    for noun in _TABLES:
        lines.append(f"{noun}:\n" if tables[noun] else f"{noun}: []\n")
        for row in tables[noun]:
            known = {name: row[name] for name in COLUMNS[noun] if row.get(name) or name == "speakers"}
            text = yaml.dump(known, Dumper=dumper, default_flow_style=True, allow_unicode=True, sort_keys=False, width=1_000_000)
            lines.append(f"  - {text}")
    return "".join(lines).encode()


def _csv(tables: Mapping[Noun, Sequence[Row]]) -> bytes:
    columns = list(dict.fromkeys(name for noun in _TABLES for name in COLUMNS[noun] if name not in SECRETS))
    out = io.StringIO()
    out.write("# coordinates: WGS-84\r\n")
    table = csv.DictWriter(out, ["noun", *columns], restval="")
    table.writeheader()
    for noun in _TABLES:
        table.writerows({"noun": noun} | {name: _cell(value) for name, value in row.items()} for row in tables[noun])
    return out.getvalue().encode()


def _cell(value: str | list[str]) -> str:
    """A cell of a CSV file; what a spreadsheet would run as a formula is kept from it by a leading apostrophe."""
    text = value if isinstance(value, str) else " ".join(value)
    return text if _is_number(text) else guarded(text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _xlsx(tables: Mapping[Noun, Sequence[Row]]) -> bytes:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}) as book:
        text = book.add_format({"num_format": "@"})  # ids of 20 digits stay text
        book.add_worksheet("file").write_row(0, 0, ("coordinates", "WGS-84"))
        for noun in _TABLES:
            sheet = book.add_worksheet(noun)
            columns = [name for name in COLUMNS[noun] if name not in SECRETS]
            sheet.freeze_panes(1, 0)
            for number, cells in enumerate(_lines(columns, tables[noun])):
                for place, cell in enumerate(cells):
                    sheet.write_string(number, place, cell, text)
    return out.getvalue()


def _lines(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[list[str]]:
    yield list(columns)
    for row in rows:
        yield [value if isinstance(value := row.get(name, ""), str) else " ".join(value) for name in columns]
