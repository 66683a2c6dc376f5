"""What stands beside a device's state, never in it: whether it is muted, what suppresses it, which incident it is in."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gateway.domain.devices import DeviceId
from gateway.domain.incidents import IncidentId
from gateway.domain.maintenance import WindowId


@dataclass(frozen=True, slots=True)
class Circumstance:
    """`muted`: the maintenance window that it is in. `suppressed_by`: the dead device in front of it. `incident`: the live one it is in."""

    muted: WindowId | None = None
    suppressed_by: DeviceId | None = None
    incident: IncidentId | None = None


NONE = Circumstance()


class Circumstances:
    """Those of every device, in memory: written by the incident service, read by everybody else."""

    def __init__(self) -> None:
        self._of: dict[DeviceId, Circumstance] = {}

    def __getitem__(self, device: DeviceId) -> Circumstance:
        """`NONE` for a device of which there is nothing to tell."""
        return self._of.get(device, NONE)

    def __iter__(self) -> Iterator[DeviceId]:
        return iter(self._of)

    def replace(self, of: Mapping[DeviceId, Circumstance]) -> None:
        """These, and none of any other device. One that is as it was stays the same object."""
        self._of = {device: known if (known := self._of.get(device)) == new else new for device, new in of.items()}
