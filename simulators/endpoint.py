"""The endpoint reference by which a device is the same wherever it is met (ONVIF Core §7.3.1)."""

import uuid
from functools import lru_cache
from typing import Final

from simulators.city import SimDevice
from simulators.state import State

_CITY: Final = uuid.uuid5(uuid.NAMESPACE_DNS, "city.simulators.invalid")


def reference_of(device: SimDevice, state: State) -> str:
    """A URN made of its hardware address; with the quirk `uuid-per-boot` another one after each reboot."""
    return _reference(device.mac, state.boots[device.id] if state.quirk(device, "uuid-per-boot") is not None else 0)


@lru_cache(maxsize=4096)
def _reference(mac: str, boots: int) -> str:
    return f"urn:uuid:{uuid.uuid5(_CITY, f'{mac} {boots}' if boots else mac)}"
