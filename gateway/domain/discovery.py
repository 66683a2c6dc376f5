"""What was found in the network, held against the inventory: new devices, known ones at another address, others in their place.

A device is recognised by its WS-Discovery endpoint reference, a hardware address, or its serial number together with its maker. An endpoint
reference speaks for a device and never against it: some make themselves a new one at each boot. Serial numbers that all units of a model
share are taken away before anything comes here. What two addresses claim at the same time recognises nothing, and is shown.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.domain.devices import Device, DeviceId, DeviceKind
from gateway.domain.identity import hardware_address, has_other_hardware, has_other_serial


class Kind(StrEnum):
    """What a finding proposes."""

    NEW = "new"  # a device that the inventory does not have
    MOVED = "moved"  # a known device at another address
    REPLACED = "replaced"  # another device answers where the inventory has this one
    DETAIL = "detail"  # a known device told what the inventory lacks
    CONFLICT = "conflict"  # what was told points to two things at once: nothing to take, something to look at


@dataclass(frozen=True, slots=True)
class Sighting:
    """What answered at an address, and what it said of itself: untrusted text, "" for what it did not say.

    `reference`: its endpoint reference; `port`: where it says that ONVIF is, 0 for nowhere; `kind`: what it seems to be;
    `logins`: the names of the log-ins that it took; `trouble`: why it was not asked who it is, or did not say.
    """

    address: str
    reference: str = ""
    port: int = 0
    name: str = ""
    kind: DeviceKind | None = None
    vendor: str = ""
    model: str = ""
    firmware: str = ""
    serial: str = ""
    macs: tuple[str, ...] = ()
    description: str = ""
    logins: tuple[str, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to propose. `changes`: columns of the inventory with the values that it would get; `by`: what the device was recognised by.

    `others`: devices or addresses that have to do with it. `key` is the same whenever the same thing is found again.
    """

    kind: Kind
    key: str
    sighting: Sighting
    device: DeviceId | None = None
    changes: Mapping[str, str] = field(default_factory=dict)
    by: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


Mark = tuple[str, str]
"""Something that tells devices apart: what it is (endpoint, mac, serial), and its value."""


def findings(sightings: Sequence[Sighting], devices: Mapping[DeviceId, Device]) -> list[Finding]:
    """What `sightings` mean, given the inventory: in the order of addresses, conflicts first."""
    return list(_Comparison(sightings, devices).run())


class _Comparison:
    def __init__(self, sightings: Sequence[Sighting], devices: Mapping[DeviceId, Device]) -> None:
        self._sightings = sorted(sightings, key=lambda seen: seen.address)
        self._at: defaultdict[str, list[Device]] = defaultdict(list)
        self._known: defaultdict[Mark, list[Device]] = defaultdict(list)
        self._claims: defaultdict[Mark, list[Sighting]] = defaultdict(list)
        for device in devices.values():
            self._at[device.address].append(device)
            for mark in _marks_of(device):
                self._known[mark].append(device)
        for seen in self._sightings:
            for mark in _marks(seen):
                self._claims[mark].append(seen)

    def run(self) -> Iterator[Finding]:
        yield from self._contradictory()
        for seen in self._sightings:
            here = sorted(self._at.get(seen.address, ()), key=lambda device: (device.audio_output_of is not None, device.id))
            yield from self._at_a_known_address(seen, here) if here else self._at_a_strange_address(seen)

    def _contradictory(self) -> Iterator[Finding]:
        for (what, value), claimed in sorted(self._claims.items(), key=lambda item: item[0]):
            addresses = sorted({seen.address for seen in claimed})
            if len(addresses) > 1 and self._contested((what, value)):
                known = self._known.get((what, value), [])
                yield Finding(
                    Kind.CONFLICT,
                    f"conflict:{what}:{value}",
                    claimed[0],
                    known[0].id if len(known) == 1 else None,
                    by=(what,),
                    others=tuple(addresses),
                )

    def _contested(self, mark: Mark) -> bool:
        """Whether several addresses claim it. Devices of different makers may count their serial numbers alike."""
        claimed = self._claims[mark]
        if mark[0] != "serial":
            return len({seen.address for seen in claimed}) > 1
        return any(
            one.address != other.address and _same_maker(one.vendor, other.vendor)
            for one in claimed
            for other in claimed
            if one is not other
        )

    def _recognised(self, seen: Sighting) -> dict[DeviceId, list[str]]:
        """The devices that a sighting may be, each with what speaks for it."""
        found: defaultdict[DeviceId, list[str]] = defaultdict(list)
        for mark in _marks(seen):
            known = self._known.get(mark, [])
            if self._contested(mark) or len({_box(device) for device in known}) != 1:
                continue
            device = min(known, key=lambda device: (device.audio_output_of is not None, device.id))
            if mark[0] != "serial" or _same_maker(device.vendor, seen.vendor):
                found[device.id].append(mark[0])
        return found

    def _at_a_known_address(self, seen: Sighting, here: Sequence[Device]) -> Iterator[Finding]:
        recognised = self._recognised(seen)
        home = {device.id for device in here}
        elsewhere = {key: by for key, by in recognised.items() if key not in home}
        mine = any(key in home for key in recognised)
        device = here[0]
        if elsewhere and mine:
            yield self._torn(seen, recognised)
        elif len(elsewhere) == 1:
            [(other, by)] = elsewhere.items()
            yield _moved(other, seen, by, others=tuple(sorted(home)))
        elif elsewhere:
            yield self._torn(seen, recognised)
        elif _contradicts(seen, device):
            told = {**_told(seen), **({"endpoint": seen.reference} if seen.reference else {})}
            changes = {column: value for column, value in told.items() if value != getattr(device, column)}
            yield Finding(Kind.REPLACED, f"replaced:{device.id}:{seen.serial}:{','.join(seen.macs)}", seen, device.id, changes)
        else:
            lacking = {
                column: value for column, value in _told(seen).items() if value and not getattr(device, column) and column != "firmware"
            }
            if lacking:
                yield Finding(Kind.DETAIL, f"detail:{device.id}", seen, device.id, lacking)

    def _at_a_strange_address(self, seen: Sighting) -> Iterator[Finding]:
        recognised = self._recognised(seen)
        if len(recognised) == 1:
            [(device, by)] = recognised.items()
            yield _moved(device, seen, by)
        elif recognised:
            yield self._torn(seen, recognised)
        else:
            port = {"onvif_port": str(seen.port)} if seen.port else {}
            kind = {"kind": seen.kind.value} if seen.kind else {}
            changes = {"address": seen.address, **port, **kind, **{column: value for column, value in _told(seen).items() if value}}
            yield Finding(Kind.NEW, f"new:{seen.address}", seen, None, changes)

    def _torn(self, seen: Sighting, recognised: Mapping[DeviceId, Sequence[str]]) -> Finding:
        """A sighting that is two devices at once, by different marks."""
        by = tuple(sorted({mark for marks in recognised.values() for mark in marks}))
        return Finding(Kind.CONFLICT, f"conflict:address:{seen.address}", seen, by=by, others=tuple(sorted(recognised)))


def _contradicts(seen: Sighting, device: Device) -> bool:
    """Whether what answers cannot be `device`."""
    return has_other_serial(device, seen.serial) or has_other_hardware(device, seen.macs)


def _moved(device: DeviceId, seen: Sighting, by: Sequence[str], *, others: tuple[str, ...] = ()) -> Finding:
    return Finding(
        kind=Kind.MOVED,
        key=f"moved:{device}:{seen.address}",
        sighting=seen,
        device=device,
        changes={"address": seen.address},
        by=tuple(by),
        others=others,
    )


def _told(seen: Sighting) -> dict[str, str]:
    """What a sighting says, in columns of the inventory. Of several hardware addresses it is not known which is the right one."""
    mac = seen.macs[0] if len(seen.macs) == 1 else ""
    words = {"vendor": seen.vendor, "model": seen.model, "firmware": seen.firmware, "serial": seen.serial}
    return {**words, "mac": mac, "endpoint": seen.reference}


def _marks(seen: Sighting) -> list[Mark]:
    macs = [("mac", mac) for address in seen.macs if (mac := hardware_address(address))]
    return [mark for mark in (("endpoint", _plain(seen.reference)), ("serial", _plain(seen.serial)), *macs) if mark[1]]


def _marks_of(device: Device) -> list[Mark]:
    return [mark for mark in (("endpoint", _plain(device.endpoint)), ("serial", _plain(device.serial)), ("mac", device.mac)) if mark[1]]


def _plain(text: str) -> str:
    return text.strip().casefold()


def _box(device: Device) -> str:
    """A loudspeaker that is a camera's audio output is the camera, by all that can be told."""
    return device.audio_output_of or device.id


def _same_maker(one: str, other: str) -> bool:
    """Whether two names of makers may mean the same one: makers lengthen and shorten their names."""
    first, second = _plain(one), _plain(other)
    return not first or not second or first in second or second in first
