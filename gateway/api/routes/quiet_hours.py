"""Quiet hours: when the city's loudspeakers may speak, and the days on which that is otherwise."""

import re
from datetime import date, time
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from gateway.api.models import Ident, Input, Instant, Line, Output
from gateway.api.routing import Call, Routes
from gateway.api.scopes import must_reach_everything, must_reach_zones
from gateway.domain.access import Permission
from gateway.domain.broadcast_rules import EVERYWHERE, DatedHours, Effect, Loudness, QuietDays, SpeakingHours
from gateway.domain.devices import ZoneId
from gateway.domain.hours import Hours
from gateway.errors import Conflict, InvalidInput, NotFound, Overloaded

routes = Routes("quiet hours", "When the city's loudspeakers may speak.")


def _clock_time(value: object) -> object:
    if not isinstance(value, str) or not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d|24:00", value):
        raise ValueError("must be a time of day such as 07:30")
    return time(0) if value == "24:00" else time.fromisoformat(value)


ClockTime = Annotated[time, BeforeValidator(_clock_time), WithJsonSchema({"type": "string", "pattern": r"^\d\d:\d\d$"})]


class HoursOut(Output):
    """Hours of the wall clock; an end that is not after the beginning is on the next day. `days`: on which they begin, 0 is Monday."""

    start: str
    end: str
    days: list[int]


class LoudnessOut(HoursOut):
    """No louder than `percent` within these hours."""

    percent: int


class ZoneHoursOut(Output):
    """How it stands with one zone; "" is the city, with the loudspeakers that are in no zone."""

    zone: str
    own: bool = Field(description="Whether the zone has hours of its own instead of the city's.")
    quiet: list[HoursOut]
    volume: list[LoudnessOut]
    quiet_until: Instant | None = Field(description="Until when it is quiet at `at`; null when it may speak.")
    because: str = Field(description="The exception by which it is quiet; empty for the usual hours.")


class DaysOut(Output):
    """Other hours on some days. Those of the file have no `actor`."""

    id: str
    name: str
    first: date
    last: date
    start: str
    end: str
    effect: Effect
    zones: list[str] = Field(description="Empty: everywhere.")
    reason: str
    actor: str
    created_at: Instant | None


class QuietHoursOut(Output):
    """All that holds."""

    timezone: str
    at: Instant
    zones: list[ZoneHoursOut]
    exceptions: list[DaysOut]
    unknown_zones: list[str] = Field(description="Zones that have hours and that the inventory does not have.")


class QuietHoursQuery(Input):
    """When."""

    at: Instant | None = Field(default=None, description="Now, when left out.")


class DaysIn(Input):
    """Other hours from `first` to `last`: each day from `start` until before `end`, by the wall clock of the site."""

    name: Line = Field(max_length=100, description="Such as 高考.")
    first: date
    last: date
    start: ClockTime
    end: ClockTime
    effect: Effect = Field(description="`quiet` is quiet whatever else holds; `open` takes the usual hours away.")
    zones: list[Ident] = Field(default=[], max_length=1000, description="Empty: everywhere.")
    reason: Line = Field(description="Why: the notice or the decision.")


@routes.op("GET", "/v1/quiet-hours", needs=Permission.BROADCAST_READ)
async def read_quiet_hours(call: Call, query: QuietHoursQuery) -> QuietHoursOut:
    """The hours of every zone, whether it is quiet now or at a time, and all exceptions."""
    return _shown(call, query)


@routes.op("POST", "/v1/quiet-hours/reload", needs=Permission.BROADCAST_RULES, problems=(Conflict, InvalidInput))
async def reload_quiet_hours(call: Call) -> QuietHoursOut:
    """Read the file of speaking hours anew: all of it, or, when it has faults (each with its line), nothing."""
    must_reach_everything(call.caller.key)
    await call.services.hours.reload(call.caller.actor)
    return _shown(call, QuietHoursQuery())


@routes.op(
    "POST", "/v1/quiet-hours/exceptions", needs=Permission.BROADCAST_RULES, status=201, problems=(InvalidInput, Overloaded), repeatable=True
)
async def add_quiet_days(call: Call, body: DaysIn) -> DaysOut:
    """Make some days quiet, or open, in some zones or everywhere. They are on record with who did it, and why."""
    zones = frozenset(map(ZoneId, body.zones))
    must_reach_zones(call.caller.key, zones)
    wanted = DatedHours(
        id="", name=body.name, first=body.first, last=body.last, start=body.start, end=body.end, effect=body.effect, zones=zones
    )
    return _days(await call.services.hours.add(wanted, reason=body.reason, actor=call.caller.actor))


@routes.op("DELETE", "/v1/quiet-hours/exceptions/{days}", needs=Permission.BROADCAST_RULES, problems=(NotFound,))
async def withdraw_quiet_days(call: Call) -> DaysOut:
    """Take back days that were added here; those of the file are changed in the file."""
    named = call.path("days")
    for days in call.services.hours.added:
        if days.hours.id == named:
            must_reach_zones(call.caller.key, days.hours.zones)
    return _days(await call.services.hours.withdraw(named, call.caller.actor))


def _shown(call: Call, query: QuietHoursQuery) -> QuietHoursOut:
    desk, city = call.services.hours, call.services.city
    at, hours = query.at or call.services.clock.now(), desk.hours
    return QuietHoursOut(
        timezone=str(hours.timezone),
        at=at,
        zones=[_zone(zone, hours, at) for zone in (EVERYWHERE, *sorted(city.zones))],
        exceptions=[*(_filed(one) for one in desk.filed.exceptions), *map(_days, desk.added)],
        unknown_zones=list(desk.unknown_zones),
    )


def _zone(zone: ZoneId, hours: SpeakingHours, at: Instant) -> ZoneHoursOut:
    own = hours.zones.get(zone)
    quiet = hours.quiet if own is None or own.quiet is None else own.quiet
    volume = hours.volume if own is None or own.volume is None else own.volume
    now = hours.quiet_within((zone,) if zone else (), at, at)
    return ZoneHoursOut(
        zone=zone,
        own=own is not None and own.quiet is not None,
        quiet=[_hours(one) for one in quiet],
        volume=[_loudness(one) for one in volume],
        quiet_until=now.end if now else None,
        because=now.name if now else "",
    )


def _hours(hours: Hours) -> HoursOut:
    return HoursOut(start=_text(hours.start), end=_text(hours.end), days=sorted(hours.days))


def _loudness(loudness: Loudness) -> LoudnessOut:
    return LoudnessOut(**_hours(loudness.hours).model_dump(), percent=loudness.percent)


def _days(days: QuietDays) -> DaysOut:
    return _filed(days.hours, reason=days.reason, actor=str(days.actor), created_at=days.created_at)


def _filed(hours: DatedHours, *, reason: str = "", actor: str = "", created_at: Instant | None = None) -> DaysOut:
    return DaysOut(
        id=hours.id,
        name=hours.name,
        first=hours.first,
        last=hours.last,
        start=_text(hours.start),
        end=_text(hours.end),
        effect=hours.effect,
        zones=sorted(hours.zones),
        reason=reason,
        actor=actor,
        created_at=created_at,
    )


def _text(at: time) -> str:
    return at.isoformat("minutes")
