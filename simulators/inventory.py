"""The files that a city's operator would hand to the gateway: `inventory.yaml` and `cells.geojson`, beside the simulator's `city.json`."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from simulators.bindings import bindings, sights
from simulators.city import City, SimDevice
from simulators.grid import Grid

COPIED: Final = (
    *("group", "latitude", "longitude", "owner", "management_unit", "maintainer", "vendor", "model", "serial", "profile"),
    *("gb28181_id", "mac", "uplink", "uplink_port", "audio_output_of", "horns", "username", "password"),
)
"""What the operator knows of a device as it is."""


def write(city: City, folder: Path) -> None:
    """Write `city.json`, `inventory.yaml` and `cells.geojson` into `folder`, which is made when missing."""
    folder.mkdir(parents=True, exist_ok=True)
    city.save(folder / "city.json")
    (folder / "inventory.yaml").write_text("".join(inventory(city)), encoding="utf-8")
    (folder / "cells.geojson").write_text(Grid().geojson(), encoding="utf-8")


def inventory(city: City) -> Iterator[str]:
    """The import file in pieces (YAML): groups, devices with their logins, channels, zones, sights, bindings."""
    yield "version: 1\ncoordinates: WGS-84\n"
    yield from _table("groups", (asdict(group) for group in city.groups))
    yield from _table("devices", (_device(city, device) for device in city.devices))
    yield from _table("channels", _channels(city))
    yield from _table("zones", (asdict(zone) for zone in city.zones))
    yield from _table("sights", sights(city))
    yield from _table("bindings", bindings(city))


def _device(city: City, device: SimDevice) -> dict[str, Any]:
    row: dict[str, Any] = {"id": device.id, "kind": device.kind, "name": device.name, "address": device.address}
    if device.sip_user:
        row |= {"sip_port": city.sip_port}
    if device.kind != "switch" and "onvif" not in device.lacks:
        row |= {"onvif_port": city.http_port, "rtsp_port": city.rtsp_port}
    row |= {name: getattr(device, name) for name in COPIED}
    if device.snmp:
        row |= {"snmp_port": city.snmp_port}
        row |= {f"snmp_{name}": value for name, value in asdict(device.snmp).items() if name != "engine_id"}
    return {name: value for name, value in row.items() if value not in ("", 0)}


def _channels(city: City) -> Iterator[dict[str, Any]]:
    for recorder in city.of_kind("recorder"):
        for channel in recorder.channels:
            yield {"recorder": recorder.id, "number": channel.number, "camera": channel.camera, "recording_token": channel.token}


def _table(name: str, rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """One YAML list, a flow mapping a line: JSON's scalars are YAML's."""
    lines = [_line(row) for row in rows]
    yield f"{name}:\n" if lines else f"{name}: []\n"
    yield from lines


def _line(row: Mapping[str, Any]) -> str:
    return "  - {" + ", ".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in row.items()) + "}\n"
