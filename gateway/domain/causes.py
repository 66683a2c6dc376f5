"""Root causes: which of the devices that are down are ill by themselves, which only hang behind one, and what several have in common.

Suppress alerting, never monitoring; suppress creation, never resolution. What is said of a device here follows from the real state of
what it hangs on, nearest first: an uplink that is down explains it; one that was seen alive *after* it went down clears all that are in
front; one of which nothing is known (disabled, never seen, not in the inventory) is passed over. An uplink that was last seen before is
not proof: it may have died a second later. It is looked at, and the device waits for that, at most `uplink_wait`.
"""

import ipaddress
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NewType

from gateway.domain.city import City
from gateway.domain.devices import Device, DeviceId, DeviceKind
from gateway.domain.health import Board, HealthState
from gateway.domain.incidents import Cause, CauseKind, Scope
from gateway.domain.maintenance import district_of, street_of

REACHED = (HealthState.UP, HealthState.DEGRADED)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited for what. `window`: roots that fall within it may have a common cause, and one that falls again is reopened.

    `settle`: what every root waits; `uplink_wait`: for an uplink of which it is not known whether it lives; `group_wait`: for neighbours
    that are silent but not yet down; `grace`: for what hung on an uplink that has returned, to boot and to be verified;
    `degraded_wait`: before a complaint becomes an incident.
    """

    settle: timedelta = timedelta(seconds=3)
    uplink_wait: timedelta = timedelta(seconds=60)
    group_wait: timedelta = timedelta(seconds=90)
    grace: timedelta = timedelta(seconds=150)
    degraded_wait: timedelta = timedelta(seconds=60)
    window: timedelta = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Limits:
    """When several roots are one: so many at least, and that share of the scope's devices; of a crowd, a smaller share is enough."""

    roots: int = 3
    share: float = 0.5
    crowd: int = 20
    crowd_share: float = 0.25
    blind_share: float = 0.1
    blind_least: int = 3


# -- the uplink tree --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Root:
    """Ill by itself."""


@dataclass(frozen=True, slots=True)
class Behind:
    """Out of reach because of `root`, which is ill by itself (or waits for the same); `uplink` is the dead device nearest to it."""

    root: DeviceId
    uplink: DeviceId


@dataclass(frozen=True, slots=True)
class Undecided:
    """Whether `uplink` lives must be known first."""

    uplink: DeviceId


Verdict = Root | Behind | Undecided


class Tree:
    """What hangs on what, and what is down, at one moment. `fallen`: whether a device counts as down."""

    def __init__(self, city: City, board: Board, fallen: Callable[[DeviceId], bool]) -> None:
        self._city = city
        self._board = board
        self._fallen = fallen

    def verdict(self, device: DeviceId) -> Verdict:
        """Of a device that is down. A loop of dead uplinks has its first by id as the root."""
        at = self._board[device].since
        found = self._next(device, at)
        if found is None or isinstance(found, Undecided):
            return found or Root()
        first, path = found, [device]
        while found not in path:
            path.append(found)
            following = self._next(found, self._board[found].since)
            if following is None or isinstance(following, Undecided):  # what a dead uplink waits for, waits with it
                return Behind(found, first)
            found = following
        root = min(path[path.index(found) :])
        return Root() if root == device else Behind(root, first)

    def _next(self, device: DeviceId, at: datetime | None) -> DeviceId | Undecided | None:
        """The nearest uplink that is down; None when what is in front of `device` lives, or nothing is known of it."""
        for uplink in self._city.uplink_chain(device):
            if self._fallen(uplink.id):
                return uplink.id
            standing = self._board[uplink.id]
            if not uplink.enabled or standing.state is HealthState.UNKNOWN:
                continue
            if at is None or (standing.last_seen is not None and standing.last_seen >= at):
                return None
            return Undecided(uplink.id)
        return None


def oddities(city: City) -> Mapping[str, Sequence[DeviceId]]:
    """What is wrong with the uplinks of the inventory: `loop`, `unknown` (no such device), `itself`."""
    found: dict[str, list[DeviceId]] = {"itself": [], "loop": [], "unknown": []}
    for device in city.devices.values():
        if device.uplink is None:
            continue
        if device.uplink == device.id:
            found["itself"].append(device.id)
        elif device.uplink not in city.devices:
            found["unknown"].append(device.id)
        elif _closes(device, city):
            found["loop"].append(device.id)
    return found


def _closes(device: Device, city: City) -> bool:
    """Whether `device` is in front of itself."""
    return any(above.uplink == device.id for above in city.uplink_chain(device.id))


# -- scopes -----------------------------------------------------------------------------------------------------------

ScopeKey = NewType("ScopeKey", tuple[Scope, str])


def scopes_of(device: Device, city: City) -> Iterator[ScopeKey]:
    """Everything that `device` shares with its neighbours, the whole city included."""
    if device.group:
        yield ScopeKey((Scope.POLE, device.group))
    if device.cell:
        yield ScopeKey((Scope.CELL, device.cell))
    for uplink in city.uplink_chain(device.id):
        yield ScopeKey((Scope.UPLINK, uplink.id))
    if subnet := subnet_of(device.address):
        yield ScopeKey((Scope.SUBNET, subnet))
    if device.model:
        yield ScopeKey((Scope.MODEL, f"{device.vendor} {device.model}".strip()))
    if street := street_of(device, city):
        yield ScopeKey((Scope.STREET, street))
    if district := district_of(device, city):
        yield ScopeKey((Scope.DISTRICT, district))
    yield ScopeKey((Scope.CITY, ""))


def subnet_of(address: str) -> str:
    """The /24 (IPv6: /64) that a literal address is in; "" for anything else."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    return str(ipaddress.ip_network(f"{found}/{24 if found.version == 4 else 64}", strict=False))


def scope_name(scope: Scope, key: str, city: City) -> str:
    """What people call it."""
    if scope is Scope.POLE:
        group = next((one for one in city.groups.values() if one.id == key), None)
        return group.name if group else key
    if scope is Scope.CELL:
        cell = next((one for one in city.cells.values() if one.code == key), None)
        return cell.name or key if cell else key
    if scope is Scope.UPLINK:
        device = city.devices.get(DeviceId(key))
        return device.name if device else key
    return key


class Neighbourhoods:
    """All scopes with the devices in them, of one city. Made anew when the city has changed."""

    def __init__(self, city: City) -> None:
        self._city = city
        self._of: dict[DeviceId, tuple[ScopeKey, ...]] = {}
        self._sizes: Counter[ScopeKey] = Counter()
        for device in city.devices.values():
            if device.enabled:
                keys = tuple(scopes_of(device, city))
                self._of[device.id] = keys
                self._sizes.update(keys)

    def of(self, device: DeviceId) -> Sequence[ScopeKey]:
        return self._of.get(device, ())

    def size(self, key: ScopeKey) -> int:
        """How many enabled devices are in it."""
        return self._sizes[key]

    def within(self, device: DeviceId, scope: Scope | None, key: str) -> bool:
        return (scope, key) in self.of(device)

    def count(self, devices: Iterable[DeviceId]) -> Counter[ScopeKey]:
        """How many of `devices` are in each scope."""
        found: Counter[ScopeKey] = Counter()
        for device in devices:
            found.update(self.of(device))
        return found

    def cause(self, key: ScopeKey) -> Cause:
        scope, name = key
        return Cause(CauseKind.COMMON, None, scope, name, scope_name(scope, name, self._city))


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many roots, and how many that are ill in all, each scope has."""

    roots: Counter[ScopeKey]
    ill: Counter[ScopeKey]


def best_scope(
    devices: Iterable[DeviceId], crowd: Crowd, near: Neighbourhoods, limits: Limits, *, whole_city: int, models: bool
) -> ScopeKey | None:
    """Of the scopes of `devices` the one that explains most roots, the narrowest on a tie; None when none of them fits.

    `whole_city`: so many roots have the whole city as their scope, when nothing narrower explains as many. `models`: whether a model is
    a scope (of complaints; silence goes by place).
    """
    keys = {key for device in devices for key in near.of(device) if models or key[0] is not Scope.MODEL}
    fitting = [key for key in keys if _fits(key, crowd, near, limits, whole_city=whole_city)]
    return max(fitting, key=lambda key: (crowd.roots[key], -key[0].width, key[1]), default=None)


def _fits(key: ScopeKey, crowd: Crowd, near: Neighbourhoods, limits: Limits, *, whole_city: int) -> bool:
    roots = crowd.roots[key]
    if key[0] is Scope.CITY:
        return roots >= whole_city
    return roots >= limits.roots and mostly(crowd.ill[key], near.size(key), roots, limits)


def mostly(ill: int, size: int, roots: int, limits: Limits) -> bool:
    """Whether so many of a scope's devices are ill that it is no accident."""
    if not size:
        return False
    return ill >= limits.share * size or (roots >= limits.crowd and ill >= limits.crowd_share * size)


def blinded_by(recorders: Iterable[DeviceId], city: City) -> Sequence[DeviceId]:
    """The cameras whose footage nobody keeps while `recorders` are down; they are not down themselves."""
    found: defaultdict[DeviceId, None] = defaultdict(lambda: None)
    for recorder in recorders:
        device = city.devices.get(recorder)
        if device is None or device.kind is not DeviceKind.RECORDER:
            continue
        for channel in device.channels:
            keeper = city.recorder_of(channel.camera)
            if keeper is not None and keeper[0].id == recorder:
                found[channel.camera]
    return tuple(found)
