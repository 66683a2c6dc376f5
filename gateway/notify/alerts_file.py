"""The alerts file: channels and routes, every fault named with its line before anything of it is used."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, timedelta, tzinfo
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, ValidationError

from gateway.config import Section
from gateway.domain.alert_routes import NO_ROUTES, Match, Quiet, Route, Routes
from gateway.domain.devices import DeviceKind
from gateway.domain.hours import ALL_DAYS, Hours
from gateway.domain.severity import Severity
from gateway.notify import broadcast_desks, footage_desks
from gateway.notify.broadcast_desks import BroadcastDesk
from gateway.notify.channels.settings import KINDS, ChannelSettings, EmailSettings, Name
from gateway.notify.footage_desks import Desk, FootageDesk
from gateway.notify.handing_over import Handover
from gateway.yaml_file import ClockTime, Days, Place, YamlFile, dotted, nearest, plainly


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise ValueError("is no time zone; they are named as Asia/Shanghai") from None
    return name


Names = frozenset[Annotated[str, Field(min_length=1, max_length=200)]]


class _Hours(Section):
    from_: Annotated[ClockTime, Field(alias="from")]
    to: ClockTime
    days: Days = ALL_DAYS

    def value(self) -> Hours:
        return Hours(self.from_, self.to, self.days)


class _Quiet(_Hours):
    below: Severity = Severity.CRITICAL


class _Match(Section):
    severity: Severity = Severity.WARNING
    kinds: frozenset[DeviceKind] = frozenset()
    districts: Names = frozenset()
    cells: Names = frozenset()
    groups: Names = frozenset()
    vendors: Names = frozenset()
    times: tuple[_Hours, ...] = ()

    def value(self) -> Match:
        return Match(
            severity=self.severity,
            kinds=frozenset(kind.value for kind in self.kinds),
            districts=self.districts,
            cells=self.cells,
            groups=self.groups,
            vendors=self.vendors,
            times=tuple(one.value() for one in self.times),
        )


class _Route(Section):
    name: Name
    match: _Match = _Match()
    channels: Annotated[tuple[Name, ...], Field(min_length=1, max_length=20)]
    to: Literal["on-duty"] | None = None
    continue_: Annotated[bool, Field(alias="continue")] = False
    recovery: bool = True
    group_wait_s: Annotated[float, Field(ge=0, le=3_600)] = 30.0
    group_interval_s: Annotated[float, Field(ge=0, le=86_400)] = 120.0
    remind_s: Annotated[float, Field(ge=60, le=2_592_000)] | None = None
    quiet: tuple[_Quiet, ...] = ()

    def value(self) -> Route:
        return Route(
            self.name,
            tuple(dict.fromkeys(self.channels)),
            match=self.match.value(),
            on_duty=self.to == "on-duty",
            goes_on=self.continue_,
            recovery=self.recovery,
            group_wait=timedelta(seconds=self.group_wait_s),
            group_interval=timedelta(seconds=self.group_interval_s),
            remind=timedelta(seconds=self.remind_s or 0),
            quiet=tuple(Quiet(one.value(), one.below) for one in self.quiet),
        )


class _Told(Section):
    """Who is told event by event."""

    channels: Annotated[tuple[Name, ...], Field(min_length=1, max_length=20)]

    @property
    def distinct(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.channels))


class _Handover(_Told):
    maintainers: Names = frozenset()
    severity: Severity = Severity.WARNING

    def value(self) -> Handover:
        return Handover(self.distinct, self.maintainers, self.severity)


def _only(known: Iterable[str], names: frozenset[str]) -> frozenset[str]:
    strange = sorted(names - set(known))
    if strange:
        raise ValueError(f"there is no step {' or '.join(strange)}; there are {', '.join(known)}")
    return names


class _Footage(_Told):
    tell: Desk
    units: Names = frozenset()
    steps: Annotated[Names, AfterValidator(partial(_only, footage_desks.STEPS))] = frozenset()
    urgent: bool = False

    def value(self) -> FootageDesk:
        return FootageDesk(self.distinct, self.tell, self.units, self.steps, self.urgent)


class _Broadcasts(_Told):
    steps: Annotated[Names, AfterValidator(partial(_only, broadcast_desks.STEPS))] = frozenset()

    def value(self) -> BroadcastDesk:
        return BroadcastDesk(self.distinct, self.steps)


class _File(Section):
    timezone: Annotated[str, AfterValidator(_zone)] = "Asia/Shanghai"
    language: Literal["zh", "en", "both"] = "zh"
    channels: dict[Name, Annotated[ChannelSettings, Field(discriminator="kind")]] = Field(default_factory=dict)
    routes: tuple[_Route, ...] = ()
    work_orders: tuple[_Handover, ...] = ()
    footage: tuple[_Footage, ...] = ()
    broadcasts: tuple[_Broadcasts, ...] = ()


@dataclass(frozen=True, slots=True)
class Alerts:
    """All of it, checked: channels by name, routes in order, and in which language and time zone people are spoken to."""

    channels: Mapping[str, ChannelSettings] = field(default_factory=dict)
    routes: Routes = NO_ROUTES
    language: str = "zh"
    zone: tzinfo = UTC
    handovers: tuple[Handover, ...] = ()
    footage: tuple[FootageDesk, ...] = ()
    broadcasts: tuple[BroadcastDesk, ...] = ()


def load_alerts(path: Path) -> Alerts:
    """What the file at `path` says. InvalidInput (`bad-alerts`) with one fault for everything that is wrong, each with its line."""
    file = YamlFile(path, code="bad-alerts", example="configs/alerts.yaml")
    values = file.values()
    found = _validated(values, file)
    _judge(values, file)
    if file.faults or found is None:
        file.refuse()
    zone = ZoneInfo(found.timezone)
    return Alerts(
        channels=found.channels,
        routes=Routes(tuple(route.value() for route in found.routes), zone),
        language=found.language,
        zone=zone,
        handovers=tuple(one.value() for one in found.work_orders),
        footage=tuple(one.value() for one in found.footage),
        broadcasts=tuple(one.value() for one in found.broadcasts),
    )


def _validated(values: dict[str, Any], file: YamlFile) -> _File | None:
    try:
        return _File.model_validate(values)
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            place = _without_tag(detail["loc"])
            file.fault(file.line(place), _plain(place, detail["type"], detail["msg"]))
        return None


def _judge(values: Mapping[str, Any], file: YamlFile) -> None:
    """What no single key shows: channels that routes name, files that channels name, names that stand twice.

    It goes by `values` as they stand in the file, of which any part may be wrong: what cannot be read, the model has complained of.
    """
    channels = values.get("channels")
    channels = channels if isinstance(channels, Mapping) else {}
    for name, channel in channels.items():
        if isinstance(channel, Mapping):
            _judge_channel(name, channel, file)
    names: set[str] = set()
    for number, route in _entries(values, "routes"):
        name = route.get("name")
        name = name if isinstance(name, str) else ""
        if name and name in names:
            file.fault(file.line(("routes", number, "name")), f"there are two routes {name}")
        names.add(name)
        _judge_names(route, channels, file, ("routes", number, "channels"), f"routes.{name or number + 1}")
    for section in ("work_orders", "footage", "broadcasts"):
        for number, entry in _entries(values, section):
            _judge_names(entry, channels, file, (section, number, "channels"), section)


def _judge_channel(name: str, channel: Mapping[str, Any], file: YamlFile) -> None:
    known = KINDS.get(str(channel.get("kind")))
    for what, named in channel.items():
        is_file = what.endswith("_file") and (known is None or what in known.model_fields)
        if is_file and isinstance(named, str) and not os.path.isfile(named):  # noqa: PTH113 -- Path.is_file raises where a folder is closed
            why = f"there is no file {named}" if named.strip() else "must be a path"
            file.fault(file.line(("channels", name, what)), f"channels.{name}.{what}: {why}")
    if known is EmailSettings and (channel.get("password_file") is None) != (channel.get("username") is None):
        file.fault(file.line(("channels", name)), f"channels.{name}: username and password_file go together")


def _judge_names(entry: Mapping[str, Any], channels: Mapping[str, Any], file: YamlFile, place: Place, who: str) -> None:
    named = entry.get("channels")
    for name in named if isinstance(named, list) else ():
        if isinstance(name, str) and name not in channels:
            file.fault(file.line(place), f"{who}: no channel {name}{nearest(name, list(channels))}")


def _entries(values: Mapping[str, Any], section: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The entries of a list that are sections of keys, each with its number."""
    found = values.get(section)
    for number, entry in enumerate(found if isinstance(found, list) else ()):
        if isinstance(entry, Mapping):
            yield number, entry


def _without_tag(place: Sequence[str | int]) -> Place:
    """pydantic names the kind of a channel among the keys."""
    return (*place[:2], *place[3:]) if place[0] == "channels" and len(place) > 2 else tuple(place)


def _plain(place: Place, kind: str, message: str) -> str:
    """pydantic's words, as we would say them."""
    if kind == "extra_forbidden":
        return f"no key {dotted(place)!r}{nearest(str(place[-1]), _keys_beside(place))}"
    if kind == "union_tag_invalid":
        return f"{dotted(place)}.kind must be one of {', '.join(KINDS)}"
    return plainly(place, kind, message)


_LEVELS: Mapping[str, type[Section]] = {
    "match": _Match,
    "times": _Hours,
    "quiet": _Quiet,
    "routes": _Route,
    "work_orders": _Handover,
    "footage": _Footage,
    "broadcasts": _Broadcasts,
}


def _keys_beside(place: Place) -> list[str]:
    """The keys that are known where an unknown one stands."""
    above = next((str(part) for part in reversed(place[:-1]) if isinstance(part, str) and part in _LEVELS), "")
    if place[0] == "channels":
        return sorted({key for model in KINDS.values() for key in _aliases(model)})
    return list(_aliases(_LEVELS.get(above, _File)))


def _aliases(model: type[Section]) -> Iterator[str]:
    yield from (one.alias or name for name, one in model.model_fields.items())
