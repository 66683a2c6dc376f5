"""From what was ordered to the loudspeakers that will speak."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from gateway.domain.broadcast import Targets
from gateway.domain.city import City
from gateway.domain.devices import Device, DeviceId, DeviceKind
from gateway.domain.health import Board, HealthState
from gateway.errors import Conflict, Fault, Forbidden, InvalidInput

Id = TypeVar("Id", bound=str)


@dataclass(frozen=True, slots=True)
class Route:
    """The speakers of a broadcast, by id: those that will be tried, and those that will not, each with the reason."""

    speakers: tuple[DeviceId, ...]
    left_out: Mapping[DeviceId, str]


def route(targets: Targets, city: City, board: Board, *, cap: int) -> Route:
    """Find the speakers of `targets`.

    Raises InvalidInput naming each target that does not exist, InvalidInput (no-speaker) when there is none in them, Forbidden
    (too-many-speakers) beyond `cap`, Conflict (no-healthy-speaker) when none of them can be used.
    """
    found = {device.id: device for device in _resolve(targets, city)}
    if not found:
        raise InvalidInput("there is no loudspeaker in these targets", code="no-speaker", hint="Name speakers, or a place that has some.")
    if len(found) > cap:
        hint = "Name fewer speakers, or ask for a key that may reach more."
        raise Forbidden(f"{len(found)} loudspeakers are more than this key may reach ({cap})", code="too-many-speakers", hint=hint)
    left_out = {device.id: reason for device in found.values() if (reason := _unusable(device, board))}
    usable = tuple(sorted(found.keys() - left_out.keys()))
    if not usable:
        names = ", ".join(f"{speaker} ({reason})" for speaker, reason in sorted(left_out.items())[:5])
        raise Conflict(f"none of these loudspeakers can speak: {names}", code="no-healthy-speaker", hint="See why they are down.")
    return Route(usable, left_out)


def _resolve(targets: Targets, city: City) -> Iterator[Device]:
    """All speakers named, some perhaps twice."""
    _refuse_unknown(targets, city)
    for speaker in targets.speakers:
        yield city.devices[speaker]
    named = (city.devices.get(speaker) for zone in targets.zones for speaker in city.zones[zone].speakers)
    placed = (device for cell in targets.cells for device in city.in_cell(cell))
    grouped = (device for group in targets.groups for device in city.in_group(group))
    for devices in (named, placed, grouped):
        yield from (device for device in devices if device is not None and device.kind is DeviceKind.SPEAKER)


def _refuse_unknown(targets: Targets, city: City) -> None:
    faults = [
        *_faults("speakers", targets.speakers, lambda speaker: _why_no_speaker(speaker, city)),
        *_faults("zones", targets.zones, lambda zone: "" if zone in city.zones else "no such zone"),
        *_faults("cells", targets.cells, lambda cell: "" if cell in city.cells else "no such grid cell"),
        *_faults("groups", targets.groups, lambda group: "" if group in city.groups else "no such camera group"),
    ]
    if faults:
        raise InvalidInput("some targets do not exist", faults=faults, code="unknown-target")


def _faults(kind: str, names: Iterable[Id], why: Callable[[Id], str]) -> Iterator[Fault]:
    return (Fault(f"/targets/{kind}/{index}", reason) for index, name in enumerate(names) if (reason := why(name)))


def _why_no_speaker(speaker: DeviceId, city: City) -> str:
    device = city.devices.get(speaker)
    if device is None:
        return "no such device"
    return "" if device.kind is DeviceKind.SPEAKER else f"a {device.kind}, not a speaker"


def _unusable(device: Device, board: Board) -> str:
    """Why a speaker is not even tried; one whose state is not known is."""
    if not device.enabled:
        return "disabled"
    return "speaker-down" if board[device.id].state is HealthState.DOWN else ""
