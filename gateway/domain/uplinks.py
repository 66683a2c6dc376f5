"""Which switch port each device hangs on, by what the switches themselves have seen: inferred where it is certain, never guessed.

What is known of a network is a tree of switches with devices at its edge, and of each switch who answered by LLDP (IEEE 802.1AB) on a port,
behind which port a hardware address was seen (RFC 4188), and which port leads to the root of the spanning tree. Tables are never complete.
These rules are sound all the same, as long as every switch on the way between two others has seen those that lie below it:

* A port is a *trunk* when a switch is behind it, when it leads to the spanning tree's root, when it is crowded, when a device that another
  switch hears by LLDP is seen there, or when some switch sees this one and something behind that port in two different directions.
  Nothing hangs directly on a trunk but its switch.
* A device hangs where it is heard by LLDP on a port that is no trunk; else where its address is seen on a port that is none, if that
  switch's way to the root is known to be another port.
* Two switches are neighbours when one hears the other by LLDP, or when one sees below a port the other and only what that one sees, too.
  Which of them is the upper one, the spanning tree says; where a switch has its uplink elsewhere, its other neighbours hang on it.
* Two candidates that remain are one too many: the device's place is unknown, and why is said.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.domain.devices import Device, DeviceId, DeviceKind

CROWD = 64
"""More addresses behind one port than hang on any pole: it leads to other switches, and which addresses those are tells nothing more."""
_WITNESSES = 16
Place = tuple[DeviceId, int]


class Status(StrEnum):
    AGREED = "agreed"  # the inventory says what the switches say
    PROPOSED = "proposed"  # the inventory says nothing, or not which port
    CONTRADICTS = "contradicts"  # the inventory says otherwise
    UNKNOWN = "unknown"  # the switches do not tell


class Evidence(StrEnum):
    LLDP = "lldp"  # the switch hears the device on that port
    BRIDGE = "bridge-table"  # its hardware address is seen on that port, which leads to no other switch
    SPANNING_TREE = "spanning-tree"  # which of two neighbours is the upper one
    ONLY_WAY = "only-way"  # the neighbour has its uplink elsewhere


class Doubt(StrEnum):
    """Why a place is not known."""

    NO_ADDRESS = "no-hardware-address"
    SHARED = "shared-hardware-address"
    NOT_SEEN = "not-seen"
    BEHIND_TRUNKS = "only-behind-trunks"
    UP_UNKNOWN = "way-up-unknown"
    AMBIGUOUS = "ambiguous"
    TOP = "top"
    NONE = ""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Who answers by LLDP on a port: its hardware addresses (chassis and port, where those are some), its system's name."""

    port: int
    macs: frozenset[str]
    name: str = ""
    bridge: bool = False


@dataclass(frozen=True, slots=True)
class SwitchView:
    """What one switch told. `seen`: port by hardware address; `crowded`: ports of which only the switches' addresses stand in `seen`.

    `root_port`: the port that leads to the root of the spanning tree, 0 when the switch is that root, None when it does not tell.
    """

    switch: DeviceId
    macs: frozenset[str] = frozenset()
    neighbours: tuple[Neighbour, ...] = ()
    seen: Mapping[str, int] = field(default_factory=dict)
    crowded: frozenset[int] = frozenset()
    root_port: int | None = None


@dataclass(frozen=True, slots=True)
class Proposal:
    """Where a device hangs. `port`: None when only its own side of the cable told."""

    uplink: DeviceId
    port: int | None
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the switches say of one device's uplink, beside the inventory."""

    device: DeviceId
    status: Status
    proposal: Proposal | None = None
    doubt: Doubt = Doubt.NONE


def infer(
    devices: Mapping[DeviceId, Device], macs: Mapping[DeviceId, Collection[str]], views: Collection[SwitchView]
) -> Mapping[DeviceId, Verdict]:
    """A verdict for each of `devices`, by id. `macs`: hardware addresses that were learnt, beside those of the inventory."""
    network = _Network(devices, macs, views)
    return {key: _judged(device, *network.place_of(device)) for key, device in sorted(devices.items())}


def _judged(device: Device, proposal: Proposal | None, doubt: Doubt) -> Verdict:
    if proposal is None:
        return Verdict(device.id, Status.UNKNOWN, None, doubt)
    if device.uplink is None:
        return Verdict(device.id, Status.PROPOSED, proposal)
    if device.uplink != proposal.uplink:
        return Verdict(device.id, Status.CONTRADICTS, proposal)
    if proposal.port is None or device.uplink_port == proposal.port:
        return Verdict(device.id, Status.AGREED, proposal)
    return Verdict(device.id, Status.PROPOSED if device.uplink_port is None else Status.CONTRADICTS, proposal)


class _Owners:
    """Whose a hardware address or a system's name is. What two devices claim is nobody's, unless they are one box."""

    def __init__(
        self, devices: Mapping[DeviceId, Device], learnt: Mapping[DeviceId, Collection[str]], views: Collection[SwitchView]
    ) -> None:
        self.box = {key: _box(device, devices) for key, device in devices.items()}
        told: defaultdict[DeviceId, set[str]] = defaultdict(set)
        for key, device in devices.items():
            told[self.box[key]].update({device.mac, *learnt.get(key, ())} - {""})
        for view in views:
            if view.switch in self.box:
                told[self.box[view.switch]].update(view.macs)
        claims: defaultdict[str, set[DeviceId]] = defaultdict(set)
        for box, found in told.items():
            for mac in found:
                claims[mac].add(box)
        self._of_mac = {mac: next(iter(boxes)) for mac, boxes in claims.items() if len(boxes) == 1}
        self._names = {key.casefold(): key for key in devices}
        self.addresses = {box: frozenset(mac for mac in found if mac in self._of_mac) for box, found in told.items()}
        self.claimed = frozenset(box for box, found in told.items() if found)

    def of(self, mac: str) -> DeviceId | None:
        return self._of_mac.get(mac)

    def heard(self, neighbour: Neighbour) -> DeviceId | None:
        """Who a neighbour is: by a hardware address, else because its system bears the id of a device."""
        by_mac = {owner for mac in neighbour.macs if (owner := self.of(mac)) is not None}
        if len(by_mac) == 1:
            return by_mac.pop()
        named = self._names.get(neighbour.name.strip().casefold()) if not by_mac else None
        return self.box[named] if named is not None else None


def _box(device: Device, devices: Mapping[DeviceId, Device]) -> DeviceId:
    """A loudspeaker that is a camera's audio output, at its address, hangs where the camera hangs."""
    camera = devices.get(device.audio_output_of) if device.audio_output_of else None
    return camera.id if camera is not None and camera.address == device.address else device.id


class _Network:
    """All views together, put in order once: who is seen and heard where, which ports are trunks, which switch hangs on which."""

    def __init__(
        self, devices: Mapping[DeviceId, Device], learnt: Mapping[DeviceId, Collection[str]], views: Collection[SwitchView]
    ) -> None:
        self._owners = _Owners(devices, learnt, views)
        self._switches = {key for key, device in devices.items() if device.kind is DeviceKind.SWITCH}
        self._views = {view.switch: view for view in views if view.switch in self._switches}
        self._seen: dict[DeviceId, dict[DeviceId, int]] = {}
        self._witnesses: defaultdict[DeviceId, list[Place]] = defaultdict(list)
        self._heard: defaultdict[DeviceId, set[Place]] = defaultdict(set)
        self._strangers: set[Place] = set()
        for view in self._views.values():
            self._take(view)
        self._behind = self._switches_behind()
        self._trunks = self._find_trunks()
        self._ups = self._find_ups()

    def place_of(self, device: Device) -> tuple[Proposal | None, Doubt]:
        box = self._owners.box[device.id]
        if box in self._switches:
            return self._place_of_switch(box)
        heard = self._heard[box]
        seen = set(self._witnesses[box])
        at_edge = {place for place in heard | seen if place not in self._trunks}
        if len(at_edge) > 1:
            return None, Doubt.AMBIGUOUS
        if at_edge:
            [(switch, port)] = at_edge
            if (switch, port) in heard:
                also = (Evidence.BRIDGE,) if (switch, port) in seen else ()
                return Proposal(switch, port, (Evidence.LLDP, *also)), Doubt.NONE
            return (Proposal(switch, port, (Evidence.BRIDGE,)), Doubt.NONE) if self._way_up(switch, port) else (None, Doubt.UP_UNKNOWN)
        return None, self._doubt(box, sighted=bool(heard or seen))

    def _doubt(self, box: DeviceId, *, sighted: bool) -> Doubt:
        if sighted:
            return Doubt.BEHIND_TRUNKS
        if self._owners.addresses.get(box):
            return Doubt.NOT_SEEN
        return Doubt.SHARED if box in self._owners.claimed else Doubt.NO_ADDRESS

    def _place_of_switch(self, switch: DeviceId) -> tuple[Proposal | None, Doubt]:
        ups = self._ups.get(switch, {})
        if len(ups) == 1:
            return next(iter(ups.values())), Doubt.NONE
        if len(ups) > 1:
            return None, Doubt.AMBIGUOUS
        if self._is_root(switch):
            return None, Doubt.TOP
        known = self._heard[switch] or self._witnesses[switch] or any(place[0] == switch for place in self._behind)
        return None, Doubt.UP_UNKNOWN if known else self._doubt(switch, sighted=False)

    # -- what was seen and heard ------------------------------------------------------------------------------------------------------

    def _take(self, view: SwitchView) -> None:
        ports: dict[DeviceId, int] = {}
        for mac, port in view.seen.items():
            owner = self._owners.of(mac)
            if owner is not None and owner != view.switch:
                ports[owner] = 0 if ports.get(owner, port) != port else port  # seen behind two ports: it tells nothing
        self._seen[view.switch] = {owner: port for owner, port in ports.items() if port}
        for owner, port in self._seen[view.switch].items():
            self._witnesses[owner].append((view.switch, port))
        for neighbour in view.neighbours:
            who = self._owners.heard(neighbour)
            if who is not None and who != view.switch:
                self._heard[who].add((view.switch, neighbour.port))
            elif who is None and neighbour.bridge:
                self._strangers.add((view.switch, neighbour.port))

    def _switches_behind(self) -> Mapping[Place, frozenset[DeviceId]]:
        found: defaultdict[Place, set[DeviceId]] = defaultdict(set)
        for switch in self._switches:
            for place in (*self._heard.get(switch, ()), *self._witnesses.get(switch, ())):
                found[place].add(switch)
        return {place: frozenset(switches) for place, switches in found.items()}

    # -- trunks -----------------------------------------------------------------------------------------------------------------------

    def _find_trunks(self) -> frozenset[Place]:
        found = {*self._behind, *self._strangers}
        for switch, view in self._views.items():
            found.update((switch, port) for port in view.crowded)
            if view.root_port:
                found.add((switch, view.root_port))
        heard = {box: places for box, places in self._heard.items() if box not in self._switches}
        for box, places in heard.items():
            firm = places - found
            if len(firm) == 1:
                found.update(place for place in self._witnesses[box] if place not in firm)
        found.update(self._looking_past())
        return frozenset(found)

    def _looking_past(self) -> Iterator[Place]:
        """Ports behind which something lies that another switch sees in another direction than this one: they lead to that switch."""
        for switch, seen in self._seen.items():
            for witness, here in self._witnesses[switch][:_WITNESSES]:
                there = self._seen.get(witness, {})
                for box, port in seen.items():
                    if there.get(box, here) != here:
                        yield switch, port

    # -- switches among themselves ----------------------------------------------------------------------------------------------------

    def _is_root(self, switch: DeviceId) -> bool:
        view = self._views.get(switch)
        return view is not None and view.root_port == 0

    def _way_up(self, switch: DeviceId, port: int) -> bool:
        """Whether it is certain that `port` does not lead up: the way up is another port, or there is none."""
        if self._views[switch].root_port is not None:
            return True  # and the port that leads there is a trunk
        ups = self._ups.get(switch, {})
        return len(ups) == 1 and any(
            place[0] == switch and place[1] != port and next(iter(ups)) in found for place, found in self._behind.items()
        )

    def _find_ups(self) -> Mapping[DeviceId, Mapping[DeviceId, Proposal]]:
        """For each switch what it may hang on: several when the evidence is at odds."""
        cables = self._cables()
        ups: defaultdict[DeviceId, dict[DeviceId, Proposal]] = defaultdict(dict)
        for (lower, upper), evidence in cables.items():
            if self._below(lower, upper):
                port = self._port_towards(upper, lower)
                ups[lower][upper] = Proposal(upper, port, (evidence, Evidence.SPANNING_TREE))
        self._follow(cables, ups)
        return ups

    def _follow(self, cables: Mapping[tuple[DeviceId, DeviceId], Evidence], ups: defaultdict[DeviceId, dict[DeviceId, Proposal]]) -> None:
        """Where one end of a cable has its uplink elsewhere, the other end hangs on it; so on, until nothing follows any more."""
        around: defaultdict[DeviceId, list[DeviceId]] = defaultdict(list)
        for lower, upper in cables:
            around[upper].append(lower)
        settled = [switch for switch, found in ups.items() if len(found) == 1] + sorted(filter(self._is_root, self._switches))
        while settled:
            upper = settled.pop()
            for lower in around[upper]:
                if not ups[lower] and upper not in ups.get(lower, {}) and lower not in ups.get(upper, {}) and not self._is_root(lower):
                    port = self._port_towards(upper, lower)
                    ups[lower][upper] = Proposal(upper, port, (cables[lower, upper], Evidence.ONLY_WAY))
                    settled.append(lower)

    def _cables(self) -> Mapping[tuple[DeviceId, DeviceId], Evidence]:
        """Pairs of switches with nothing of ours between them, each in both orders where LLDP tells, lower first where a table does."""
        found: dict[tuple[DeviceId, DeviceId], Evidence] = {}
        for place, behind in self._behind.items():
            heard = {switch for switch in behind if place in self._heard[switch]}
            if len(heard) == 1 and place not in self._strangers:
                [other] = heard
                found[other, place[0]] = found[place[0], other] = Evidence.LLDP
        for place, behind in self._behind.items():
            for other in behind if not any(place in self._heard[switch] for switch in behind) else ():
                if (other, place[0]) not in found and self._nearest(other, place, behind):
                    found[other, place[0]] = Evidence.BRIDGE
        return found

    def _nearest(self, lower: DeviceId, place: Place, behind: frozenset[DeviceId]) -> bool:
        """Whether `lower` is the first of the switches seen `behind` a port that leads down: it sees the others, none on its way up."""
        upper, port = place
        view, above = self._views.get(lower), self._views[upper]
        if view is None or not view.root_port or above.root_port in (None, port) or self._strange(lower, view.root_port):
            return False
        seen = self._seen[lower]
        return all(seen.get(other, view.root_port) != view.root_port for other in behind - {lower})

    def _strange(self, switch: DeviceId, port: int) -> bool:
        return (switch, port) in self._strangers

    def _below(self, lower: DeviceId, upper: DeviceId) -> bool:
        """Whether the spanning tree puts `upper` above its neighbour `lower`: each side that tells must say so."""
        up_port = self._port_towards(lower, upper)
        down_port = self._port_towards(upper, lower)
        below, above = self._views.get(lower), self._views.get(upper)
        said: list[bool] = []
        if below is not None and below.root_port is not None and up_port is not None:
            said.append(below.root_port == up_port)
        if above is not None and above.root_port is not None and down_port is not None:
            said.append(above.root_port != down_port)
        if below is not None and below.root_port == 0:
            said.append(False)
        return bool(said) and all(said)

    def _port_towards(self, switch: DeviceId, other: DeviceId) -> int | None:
        """The port of `switch` behind which its neighbour `other` is, when just one is."""
        ports = {place[1] for place in self._heard[other] if place[0] == switch}
        ports = ports or {place[1] for place in self._witnesses[other] if place[0] == switch}
        return ports.pop() if len(ports) == 1 else None


def figures(verdicts: Collection[Verdict]) -> Mapping[str, int]:
    """How many verdicts there are of each status."""
    counts = dict.fromkeys((status.value for status in Status), 0)
    for verdict in verdicts:
        counts[verdict.status] += 1
    return counts


def limited(seen: Sequence[tuple[str, int]], known: Collection[str]) -> tuple[Mapping[str, int], frozenset[int]]:
    """A bridge table as a `SwitchView` keeps it: of a crowded port only the addresses in `known`, which are the switches' own."""
    by_port: defaultdict[int, int] = defaultdict(int)
    for _, port in seen:
        by_port[port] += 1
    crowded = frozenset(port for port, count in by_port.items() if count > CROWD)
    return {mac: port for mac, port in seen if port not in crowded or mac in known}, crowded
