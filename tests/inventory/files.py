"""A small city as import files: what the tests of this folder start from."""

import json

from gateway.domain.devices import Credentials, Device, DeviceId
from gateway.inventory.importing import read
from gateway.inventory.validation import Holdings, validate

CITY = """\
version: 1
coordinates: WGS-84
groups:
  - {id: G-1, name: 人民路口, latitude: 36.4500, longitude: 115.9800, street: 古楼街道, district: 东昌府区}
devices:
  - {id: SW-1, kind: switch, name: 交换机, address: 10.0.0.1, group: G-1, snmp_version: v2c, snmp_community: public-no}
  - {id: CAM-1, kind: camera, name: 枪机, address: 10.0.0.2, group: G-1, latitude: 36.4501, longitude: 115.9801, uplink: SW-1,
     uplink_port: 1, username: admin, password: "se cret ", gb28181_id: "34020000001320000001", serial: "000771"}
  - {id: SPK-1, kind: speaker, name: 音柱, address: 10.0.0.2, group: G-1, audio_output_of: CAM-1, uplink: SW-1, horns: 2}
  - {id: NVR-1, kind: recorder, name: 录像机, address: 10.0.0.3, username: admin, password: other}
channels:
  - {recorder: NVR-1, number: 1, camera: CAM-1, recording_token: rec-01}
zones:
  - {id: Z-1, name: 全部, speakers: [SPK-1]}
"""


def stored(text: str = CITY, before: Holdings | None = None, *, name: str = "city.yaml", prune: bool = False) -> Holdings:
    """What is stored after importing `text`."""
    return validate(read(text.encode(), name), before or Holdings(), prune=prune)


def device(holdings: Holdings, name: str) -> Device:
    return next(found for found in holdings.inventory.devices if found.id == name)


def login(holdings: Holdings, name: str) -> Credentials | None:
    return holdings.credentials.get(DeviceId(name))


def square(code: str, south: float, west: float, size: float = 0.001, **properties: str) -> dict[str, object]:
    """A GeoJSON feature."""
    north, east = round(south + size, 6), round(west + size, 6)
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    known = {"code": code, "name": code, "level": "cell"} | properties
    return {"type": "Feature", "properties": known, "geometry": {"type": "Polygon", "coordinates": [ring]}}


def grid(*features: dict[str, object], **members: object) -> str:
    return json.dumps({"type": "FeatureCollection", "features": list(features)} | members)
