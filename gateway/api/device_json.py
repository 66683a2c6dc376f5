"""A device with its standing, as JSON text: what never changes is written once, so that a read costs two look-ups and one join."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from gateway.api.models import instant_text
from gateway.domain.circumstances import Circumstance
from gateway.domain.devices import Device, DeviceId, Position
from gateway.domain.health import Standing


class DeviceJson:
    """Writes devices as `DeviceOut` describes them.

    The inventory's part is kept by device id, and the standing's part beside it, each with the very object that it was written from:
    both are frozen and replaced when they change, so identity tells what is stale.
    """

    def __init__(self) -> None:
        self._fixed: dict[DeviceId, tuple[Device, bytes]] = {}
        self._moving: dict[DeviceId, tuple[Standing, bytes]] = {}

    def write(self, device: Device, standing: Standing, circumstance: Circumstance) -> bytes:
        """The JSON object of `device`, `standing` and what stands beside it, in UTF-8."""
        fixed = self._fixed.get(device.id)
        if fixed is None or fixed[0] is not device:
            self._keep(len(self._fixed))
            fixed = self._fixed[device.id] = (device, _dump(_inventory(device))[:-1] + b",")
        moving = self._moving.get(device.id)
        if moving is None or moving[0] is not standing:
            moving = self._moving[device.id] = (standing, _dump(_standing(standing))[1:-1] + b",")
        return fixed[1] + moving[1] + _beside(circumstance)

    def _keep(self, size: int, limit: int = 50_000) -> None:
        if size >= limit:  # ids that came and went over months of imports
            self._fixed.clear()
            self._moving.clear()


@lru_cache(maxsize=4_096)
def _beside(circumstance: Circumstance) -> bytes:
    """Most devices have the same: nothing."""
    fields = {
        "muted": circumstance.muted is not None,
        "maintenance": circumstance.muted,
        "suppressed_by": circumstance.suppressed_by,
        "incident": circumstance.incident,
    }
    return _dump(fields)[1:]


def position_of(position: Position | None) -> dict[str, float] | None:
    return None if position is None else {"latitude": position.latitude, "longitude": position.longitude}


def _inventory(device: Device) -> Mapping[str, Any]:
    return {
        "id": device.id,
        "kind": device.kind,
        "name": device.name,
        "address": device.address,
        "ports": asdict(device.ports),
        "group": device.group,
        "cell": device.cell,
        "position": position_of(device.position),
        "owner": device.owner,
        "management_unit": device.management_unit,
        "maintainer": device.maintainer,
        "vendor": device.vendor,
        "model": device.model,
        "serial": device.serial,
        "firmware": device.firmware,
        "profile": device.profile,
        "gb28181_id": device.gb28181_id,
        "mac": device.mac,
        "endpoint": device.endpoint,
        "uplink": device.uplink,
        "uplink_port": device.uplink_port,
        "audio_output_of": device.audio_output_of,
        "horns": device.horns,
        "channels": [{"number": c.number, "camera": c.camera, "recording_token": c.recording_token} for c in device.channels],
        "enabled": device.enabled,
    }


def _standing(standing: Standing) -> Mapping[str, Any]:
    return {
        "state": standing.state,
        "since": standing.since and instant_text(standing.since),
        "reason": standing.reason,
        "check": standing.check,
        "last_seen": standing.last_seen and instant_text(standing.last_seen),
        "clock_offset_s": None if standing.offset is None else round(standing.offset.total_seconds(), 3),
        "facts": standing.facts,
    }


def _dump(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str).encode("utf-8", "replace")
