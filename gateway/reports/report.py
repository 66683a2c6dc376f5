"""A report: the figures of a period by device, group, cell, district and so on, the worst offenders, and what was left out and why."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final

from gateway.domain.availability import Account
from gateway.domain.city import City
from gateway.domain.devices import CellCode, Device, DeviceId, GroupId
from gateway.domain.maintenance import district_of, street_of
from gateway.reports.exclusions import Exclusions
from gateway.reports.ledger import Reading

WORST: Final = 20
_NOTHING: Final = Account()


class By(StrEnum):
    DEVICE = "device"
    GROUP = "group"
    CELL = "cell"
    STREET = "street"
    DISTRICT = "district"
    KIND = "kind"
    VENDOR = "vendor"
    MODEL = "model"
    MAINTAINER = "maintainer"


@dataclass(frozen=True, slots=True)
class Figures:
    """What is measured of one or more devices. Recorded seconds: those that should be there and those that are, raw and adjusted."""

    account: Account = _NOTHING
    devices: int = 0
    expected_s: int = 0
    recorded_s: int = 0
    expected_adjusted_s: int = 0
    recorded_adjusted_s: int = 0

    @property
    def recording(self) -> float | None:
        """录像完整率; None where no recorder was asked."""
        return self.recorded_s / self.expected_s if self.expected_s else None

    @property
    def recording_adjusted(self) -> float | None:
        return self.recorded_adjusted_s / self.expected_adjusted_s if self.expected_adjusted_s else None

    def beside(self, other: "Figures") -> "Figures":
        """These devices and others."""
        return Figures(
            self.account.beside(other.account),
            self.devices + other.devices,
            self.expected_s + other.expected_s,
            self.recorded_s + other.recorded_s,
            self.expected_adjusted_s + other.expected_adjusted_s,
            self.recorded_adjusted_s + other.recorded_adjusted_s,
        )


@dataclass(frozen=True, slots=True)
class Row:
    """One line: `key` is an id or a word, `name` what people call it, `place` where it is (of a device)."""

    key: str
    name: str
    figures: Figures
    place: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """`first` and `last` are days of the site's calendar, both counted; `end` is where the figures end, at the latest when it was made.

    `finished`: the period had ended.
    """

    first: date
    last: date
    start: datetime
    end: datetime
    made_at: datetime
    zone: str
    by: By
    tables: Mapping[By, Sequence[Row]]
    whole: Row
    worst: Sequence[Row]
    out_of_service: int
    exclusions: Exclusions
    finished: bool

    @property
    def rows(self) -> Sequence[Row]:
        return self.tables[self.by]


def make(reading: Reading, city: City, *, by: By, first: date, last: date, made_at: datetime, zone: str, also: Iterable[By] = ()) -> Report:
    """The report of what was read: parted `by` and by kind, and `also` otherwise."""
    recorded, pardoned = reading.recorded, reading.pardoned
    devices = {id_: figures_of(account, recorded.get(id_), pardoned.get(id_, 0)) for id_, account in reading.accounts.items()}
    tables = {each: rows(devices, city, each) for each in dict.fromkeys((by, By.KIND, *also))}
    return Report(
        first=first,
        last=last,
        start=reading.start,
        end=reading.end,
        made_at=made_at,
        zone=zone,
        by=by,
        tables=tables,
        whole=Row("", "", _together(row.figures for row in tables[By.KIND])),
        worst=_worst(devices, city),
        out_of_service=sum(not device.enabled for device in city.devices.values()),
        exclusions=reading.exclusions,
        finished=reading.finished,
    )


def figures_of(account: Account, recorded: tuple[int, int] | None, pardoned_s: int = 0) -> Figures:
    """One device. Adjusted recording is not asked of what is missing in excused time."""
    if recorded is None or not recorded[0]:
        return Figures(account, 1)
    return Figures(account, 1, recorded[0], recorded[1], recorded[0] - pardoned_s, recorded[1])


def rows(devices: Mapping[DeviceId, Figures], city: City, by: By) -> Sequence[Row]:
    """One row for each thing that `by` parts the devices into, by key; what has none stands under ""."""
    found: dict[str, list[Figures]] = {}
    key_of = _KEYS[by]
    for id_, figures in devices.items():
        found.setdefault(key_of(city.devices[id_], city), []).append(figures)
    return [Row(key, name_of(by, key, city), _together(parts), _place(by, key, city)) for key, parts in sorted(found.items())]


def name_of(by: By, key: str, city: City) -> str:
    """What people call it; "" when the inventory has no more than the key."""
    if by is By.DEVICE:
        return city.devices[DeviceId(key)].name
    if by is By.GROUP:
        group = city.groups.get(GroupId(key))
        return group.name if group else ""
    if by is By.CELL:
        cell = city.cells.get(CellCode(key))
        return cell.name if cell else ""
    return ""


def place_of(device: Device, city: City) -> str:
    """District and group, for people."""
    group = city.groups.get(device.group) if device.group else None
    return " ".join(part for part in (district_of(device, city), group.name if group else "") if part)


def _place(by: By, key: str, city: City) -> str:
    return place_of(city.devices[DeviceId(key)], city) if by is By.DEVICE else ""


def _together(parts: Iterable[Figures]) -> Figures:
    whole = Figures()
    for part in parts:
        whole = whole.beside(part)
    return whole


def _worst(devices: Mapping[DeviceId, Figures], city: City) -> Sequence[Row]:
    """The devices that were down longest where nothing excuses it; of those as long, the ones that failed more often."""

    def badness(item: tuple[DeviceId, Figures]) -> tuple[int, int, str]:
        adjusted = item[1].account.adjusted
        return -adjusted.down, -adjusted.outages, item[0]

    ordered = sorted((item for item in devices.items() if item[1].account.adjusted.down), key=badness)[:WORST]
    return [Row(id_, city.devices[id_].name, figures, place_of(city.devices[id_], city)) for id_, figures in ordered]


_KEYS: Mapping[By, Callable[[Device, City], str]] = {
    By.DEVICE: lambda device, _: device.id,
    By.GROUP: lambda device, _: device.group or "",
    By.CELL: lambda device, _: device.cell or "",
    By.STREET: street_of,
    By.DISTRICT: district_of,
    By.KIND: lambda device, _: device.kind.value,
    By.VENDOR: lambda device, _: device.vendor,
    By.MODEL: lambda device, _: f"{device.vendor} {device.model}".strip(),
    By.MAINTAINER: lambda device, _: device.maintainer,
}
