"""Which of the devices that were found in the network the inventory knows."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.drivers.onvif.discovery import Found


@dataclass(frozen=True, slots=True)
class Sighting:
    """What answered a probe, and the device that the inventory has at its address, if any."""

    found: Found
    device: DeviceId | None


def sightings(found: Iterable[Found], city: City) -> Iterator[Sighting]:
    """Each with its device. Endpoint references do not count: some devices make themselves a new one at each boot."""
    known = {device.address: device.id for device in city.devices.values()}
    for one in found:
        yield Sighting(one, known.get(_key(one)))


def _key(found: Found) -> str:
    return found.address
