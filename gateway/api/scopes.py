"""What a key with scopes may act upon: the devices of its districts, zones, groups, its cameras, no others.

Devices, their health and broadcasts are seen by whoever may see any. Footage is not: `footage_reach` narrows what is read of requests and
holds, their events and their rows of the audit record to what the key reaches.
"""

from collections.abc import Iterable

from gateway.domain.access import ApiKey
from gateway.domain.city import City
from gateway.domain.devices import Device, DeviceId, DeviceKind, GroupId, ZoneId
from gateway.errors import Forbidden

_NAMED = 5


def must_reach(key: ApiKey | None, devices: Iterable[DeviceId], city: City) -> None:
    """Raise Forbidden (`out-of-scope`) when `key` has scopes and one of `devices` lies in none of them."""
    if key is None or not key.scopes:
        return
    beyond = sorted(set(devices) - {device.id for device in city.devices.values() if _within(device, key.scopes, city)})
    if beyond:
        named = ", ".join(beyond[:_NAMED]) + (" …" if len(beyond) > _NAMED else "")
        raise Forbidden(f"Your key does not reach {named}.", code="out-of-scope", hint=f"It reaches {', '.join(sorted(key.scopes))}.")


def reaches(key: ApiKey | None, device: DeviceId, city: City) -> bool:
    """Whether `key` has no scopes, or `device` lies in one of them."""
    return key is None or not key.scopes or (device in city.devices and _within(city.devices[device], key.scopes, city))


def must_reach_everything(key: ApiKey | None) -> None:
    """Raise Forbidden (`out-of-scope`) when `key` has scopes: for what concerns the whole city."""
    if key is not None and key.scopes:
        hint = f"Your key reaches {', '.join(sorted(key.scopes))} only: use one without scopes."
        raise Forbidden("This concerns the whole city.", code="out-of-scope", hint=hint)


def must_reach_zones(key: ApiKey | None, zones: Iterable[ZoneId]) -> None:
    """Raise Forbidden (`out-of-scope`) when `key` has scopes and one of `zones` is none of them; no zone stands for the whole city."""
    if key is None or not key.scopes:
        return
    named = set(zones)
    beyond = sorted(named - key.scopes)
    if beyond or not named:
        place = f"the zone {beyond[0]}" if beyond else "the whole city"
        raise Forbidden(f"Your key does not reach {place}.", code="out-of-scope", hint=f"It reaches {', '.join(sorted(key.scopes))}.")


def must_reach_group(key: ApiKey | None, group: str, city: City) -> None:
    """Raise Forbidden (`out-of-scope`) when `key` has scopes and neither `group` nor its district is one of them."""
    if key is None or not key.scopes:
        return
    known = city.groups.get(GroupId(group))
    if known is None or key.scopes.isdisjoint({known.id, known.district}):
        place = f"the group {group!r}" if group else "what belongs to no group"
        raise Forbidden(f"Your key does not reach {place}.", code="out-of-scope", hint=f"It reaches {', '.join(sorted(key.scopes))}.")


def speakers_within(key: ApiKey | None, city: City) -> frozenset[DeviceId] | None:
    """The loudspeakers that `key` reaches; None: all of them."""
    if key is None or not key.scopes:
        return None
    return frozenset(speaker.id for speaker in city.of_kind(DeviceKind.SPEAKER) if _within(speaker, key.scopes, city))


def cameras_within(key: ApiKey | None, city: City) -> frozenset[DeviceId] | None:
    """The cameras that `key` reaches; None: all of them."""
    if key is None or not key.scopes:
        return None
    return frozenset(camera.id for camera in city.of_kind(DeviceKind.CAMERA) if _within(camera, key.scopes, city))


def places(city: City) -> frozenset[str]:
    """What a scope may name: every district, zone, group and camera that there is."""
    districts = {group.district for group in city.groups.values()} | {cell.district for cell in city.cells.values()}
    cameras = (camera.id for camera in city.of_kind(DeviceKind.CAMERA))
    return frozenset({*districts, *city.zones, *city.groups, *cameras} - {""})


def _within(device: Device, scopes: frozenset[str], city: City) -> bool:
    group = city.groups.get(device.group) if device.group else None
    cell = city.cells.get(device.cell) if device.cell else None
    places = {device.id, device.group, group and group.district, cell and cell.district}
    return not scopes.isdisjoint(places) or any(device.id in zone.speakers for zone in city.zones.values() if zone.id in scopes)
