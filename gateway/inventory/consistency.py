"""What must hold between the things of an inventory, whatever file they came from: pure, one function a rule.

Each rule yields (noun, id, why); the noun and id tell the caller where in the file the thing stands.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Final, NamedTuple

from gateway.domain.bindings import Binding, Sight
from gateway.domain.devices import CameraGroup, Device, DeviceId, DeviceKind, MulticastGroup, Zone
from gateway.inventory.raw import Noun


class Breach(NamedTuple):
    """A rule that something breaks."""

    noun: Noun
    id: str
    why: str


class Parts(NamedTuple):
    """The things that the rules look at, by id."""

    devices: Mapping[str, Device]
    groups: Mapping[str, CameraGroup]
    zones: Mapping[str, Zone]
    sights: Collection[Sight] = ()
    bindings: Collection[Binding] = ()


SERVICES: Final[Mapping[DeviceKind, tuple[str, ...]]] = {
    DeviceKind.CAMERA: ("onvif", "rtsp"),
    DeviceKind.RECORDER: ("onvif", "rtsp"),
    DeviceKind.SPEAKER: ("onvif", "rtsp", "snmp"),
    DeviceKind.SWITCH: ("snmp",),
}
"""The ports that a device of each kind is spoken to at, which no other device may have at the same address."""


def breaches(parts: Parts) -> Iterator[Breach]:
    """Every breach of every rule."""
    for rule in (endpoints, gb28181_ids, groups, uplinks, loops, audio_outputs, channels, zone_members, zone_groups, sights, bindings):
        yield from rule(parts)


def channel_key(recorder: str, number: int) -> str:
    """The id under which a channel's place in the file is known."""
    return f"{recorder} channel {number}"


def pair_key(*names: str) -> str:
    """The id under which the place in the file of a sight or a binding is known."""
    return "\0".join(names)


def endpoints(parts: Parts) -> Iterator[Breach]:
    """Two devices do not share an address and port, except a loudspeaker that is its camera's audio output."""
    taken: dict[tuple[str, int], Device] = {}
    for device in parts.devices.values():
        for port in sorted({getattr(device.ports, service) for service in SERVICES[device.kind]}):
            other = taken.setdefault((device.address, port), device)
            if other is not device and other.id != device.audio_output_of and device.id != other.audio_output_of:
                yield Breach(Noun.DEVICES, device.id, f"address: {device.address} port {port} is already that of {other.id}")
                break


def gb28181_ids(parts: Parts) -> Iterator[Breach]:
    taken: dict[str, DeviceId] = {}
    for device in parts.devices.values():
        if device.gb28181_id and taken.setdefault(device.gb28181_id, device.id) != device.id:
            yield Breach(Noun.DEVICES, device.id, f"gb28181_id: {device.gb28181_id} is already that of {taken[device.gb28181_id]}")


def groups(parts: Parts) -> Iterator[Breach]:
    for device in parts.devices.values():
        if device.group and device.group not in parts.groups:
            yield Breach(Noun.DEVICES, device.id, f"group: no camera group {device.group!r}")


def uplinks(parts: Parts) -> Iterator[Breach]:
    """What a device hangs on is a switch: the reason of an outage is looked for there."""
    for device in parts.devices.values():
        above = parts.devices.get(device.uplink) if device.uplink else None
        if device.uplink and above is None:
            yield Breach(Noun.DEVICES, device.id, f"uplink: no device {device.uplink!r}")
        elif above is not None and above.kind is not DeviceKind.SWITCH:
            yield Breach(Noun.DEVICES, device.id, f"uplink: {above.id} is a {above.kind}, not a switch")


def loops(parts: Parts) -> Iterator[Breach]:
    """Nothing depends on itself: each loop of uplinks is named once, at its first device."""
    cleared: set[str] = set()
    for start in parts.devices:
        path: list[str] = []
        current: str | None = start
        while current and current in parts.devices and current not in cleared and current not in path:
            path.append(current)
            current = parts.devices[current].uplink
        if current and current in path:
            loop = path[path.index(current) :]
            yield Breach(Noun.DEVICES, loop[0], f"uplink: a loop, {' → '.join([*loop, loop[0]])}")
        cleared.update(path)


def audio_outputs(parts: Parts) -> Iterator[Breach]:
    for device in parts.devices.values():
        if device.audio_output_of is None:
            continue
        camera = parts.devices.get(device.audio_output_of)
        if camera is None or camera.kind is not DeviceKind.CAMERA:
            yield Breach(Noun.DEVICES, device.id, f"audio_output_of: no camera {device.audio_output_of!r}")
        elif device.kind is not DeviceKind.SPEAKER:
            yield Breach(Noun.DEVICES, device.id, f"audio_output_of: a {device.kind} is no loudspeaker")


def channels(parts: Parts) -> Iterator[Breach]:
    """Only recorders have channels; a channel has a camera; a recorder has no number and no camera twice."""
    for recorder in parts.devices.values():
        seen: defaultdict[str, set[object]] = defaultdict(set)
        for channel in recorder.channels:
            key = channel_key(recorder.id, channel.number)
            if recorder.kind is not DeviceKind.RECORDER:
                yield Breach(Noun.CHANNELS, key, f"recorder: {recorder.id} is a {recorder.kind}")
            camera = parts.devices.get(channel.camera)
            if camera is None or camera.kind is not DeviceKind.CAMERA:
                yield Breach(Noun.CHANNELS, key, f"camera: no camera {channel.camera!r}")
            for what, value in (("number", channel.number), ("camera", channel.camera)):
                if value in seen[what]:
                    yield Breach(Noun.CHANNELS, key, f"{what}: {value} stands twice on {recorder.id}")
                seen[what].add(value)


def zone_members(parts: Parts) -> Iterator[Breach]:
    for zone in parts.zones.values():
        for member in sorted(zone.speakers):
            device = parts.devices.get(member)
            if device is None or device.kind is not DeviceKind.SPEAKER:
                yield Breach(Noun.ZONES, zone.id, f"speakers: no loudspeaker {member!r}")


def zone_groups(parts: Parts) -> Iterator[Breach]:
    """Who listens to a group hears all that is said there: it is one zone's."""
    taken: dict[MulticastGroup, str] = {}
    for zone in parts.zones.values():
        if zone.multicast is not None and taken.setdefault(zone.multicast, zone.id) != zone.id:
            yield Breach(Noun.ZONES, zone.id, f"multicast: {zone.multicast} is the group of {taken[zone.multicast]}")


def sights(parts: Parts) -> Iterator[Breach]:
    for sight in parts.sights:
        if not _is(parts, sight.camera, DeviceKind.CAMERA):
            yield Breach(Noun.SIGHTS, pair_key(*sight.key), f"camera: no camera {sight.camera!r}")


def bindings(parts: Parts) -> Iterator[Breach]:
    for binding in parts.bindings:
        if not _is(parts, binding.camera, DeviceKind.CAMERA):
            yield Breach(Noun.BINDINGS, pair_key(*binding.key), f"camera: no camera {binding.camera!r}")
        if not _is(parts, binding.speaker, DeviceKind.SPEAKER):
            yield Breach(Noun.BINDINGS, pair_key(*binding.key), f"speaker: no loudspeaker {binding.speaker!r}")


def _is(parts: Parts, device: DeviceId, kind: DeviceKind) -> bool:
    found = parts.devices.get(device)
    return found is not None and found.kind is kind
