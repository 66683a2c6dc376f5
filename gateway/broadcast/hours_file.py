"""The file of speaking hours: when the city and its zones are quiet, and how loud a voice may be; every fault named with its line."""

from collections.abc import Iterator, Mapping
from datetime import date, time, tzinfo
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from gateway.config import Section
from gateway.domain.broadcast_rules import NIGHT, DatedHours, Effect, Loudness, SpeakingHours, ZoneRules
from gateway.domain.devices import ZoneId
from gateway.domain.hours import ALL_DAYS, Hours
from gateway.yaml_file import ClockTime, Days, Place, YamlFile

EXAMPLE: Final = "configs/quiet-hours.yaml"
LONGEST_DAYS: Final = 366
"""Of one exception: what lasts longer is a zone's own hours."""
_SENSITIVE: Final = (Hours(time(21), time(7)), Hours(time(12), time(14)))


class _Hours(Section):
    from_: Annotated[ClockTime, Field(alias="from")]
    to: ClockTime
    days: Days = ALL_DAYS

    def value(self) -> Hours:
        return Hours(self.from_, self.to, self.days)


class _Loudness(_Hours):
    percent: Annotated[int, Field(ge=1, le=100)]

    def limit(self) -> Loudness:
        return Loudness(self.value(), self.percent)


_Zone = Annotated[str, Field(min_length=1, max_length=64)]
_QuietList = Annotated[tuple[_Hours, ...], Field(max_length=50)]
_VolumeList = Annotated[tuple[_Loudness, ...], Field(max_length=50)]


class _Own(Section):
    quiet: _QuietList | None = None
    volume: _VolumeList | None = None

    def value(self) -> ZoneRules:
        quiet = None if self.quiet is None else tuple(one.value() for one in self.quiet)
        return ZoneRules(quiet, None if self.volume is None else tuple(one.limit() for one in self.volume))


class _Sensitive(_Own):
    zones: Annotated[tuple[_Zone, ...], Field(max_length=10_000)] = ()

    def value(self) -> ZoneRules:
        own = super().value()
        return ZoneRules(_SENSITIVE if own.quiet is None else own.quiet, own.volume)


class _Exception(Section):
    name: Annotated[str, Field(min_length=1, max_length=100)]
    first: date
    last: date
    from_: Annotated[ClockTime, Field(alias="from")]
    to: ClockTime
    then: Effect
    zones: frozenset[_Zone] = frozenset()

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last < self.first:
            raise ValueError("last is before first")
        if (self.last - self.first).days >= LONGEST_DAYS:
            raise ValueError(f"lasts longer than {LONGEST_DAYS} days; give the zone hours of its own")
        return self

    def value(self, number: int) -> DatedHours:
        zones = frozenset(map(ZoneId, self.zones))
        return DatedHours(
            id=f"file-{number}",
            name=self.name,
            first=self.first,
            last=self.last,
            start=self.from_,
            end=self.to,
            effect=self.then,
            zones=zones,
        )


class _File(Section):
    quiet: _QuietList | None = None
    volume: _VolumeList = ()
    noise_sensitive: _Sensitive = _Sensitive()
    zones: dict[_Zone, _Own] = Field(default_factory=dict)
    exceptions: Annotated[tuple[_Exception, ...], Field(max_length=1_000)] = ()


def load_hours(path: Path, timezone: tzinfo) -> SpeakingHours:
    """What the file at `path` says. InvalidInput (`bad-quiet-hours`) with one fault for everything that is wrong, each with its line."""
    file = YamlFile(path, code="bad-quiet-hours", example=EXAMPLE)
    found = file.validated(_File, _keys_beside)
    if found is not None:
        _judge(found, file)
    if file.faults or found is None:
        file.refuse()
    return SpeakingHours(
        timezone,
        quiet=(NIGHT,) if found.quiet is None else tuple(one.value() for one in found.quiet),
        volume=tuple(one.limit() for one in found.volume),
        zones=_zones(found),
        exceptions=tuple(one.value(number) for number, one in enumerate(found.exceptions, start=1)),
    )


def _zones(found: _File) -> Mapping[ZoneId, ZoneRules]:
    sensitive = {ZoneId(zone): found.noise_sensitive.value() for zone in found.noise_sensitive.zones}
    return sensitive | {ZoneId(zone): own.value() for zone, own in found.zones.items()}


def _judge(found: _File, file: YamlFile) -> None:
    """What no single key shows: a zone that is told twice."""
    seen: set[str] = set()
    for number, zone in enumerate(found.noise_sensitive.zones):
        if zone in found.zones or zone in seen:
            other = "under zones" if zone in found.zones else "in this list"
            file.fault(file.line(("noise_sensitive", "zones", number)), f"noise_sensitive.zones: {zone} stands {other} as well")
        seen.add(zone)


def _keys_beside(place: Place) -> Iterator[str]:
    """The keys that are known where an unknown one stands."""
    levels: Mapping[str, type[Section]] = {
        "quiet": _Hours,
        "volume": _Loudness,
        "exceptions": _Exception,
        "zones": _Own,
        "noise_sensitive": _Sensitive,
    }
    above = next((str(part) for part in reversed(place[:-1]) if isinstance(part, str) and part in levels), "")
    yield from (one.alias or name for name, one in levels.get(above, _File).model_fields.items())
