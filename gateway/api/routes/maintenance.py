"""Maintenance windows: when somebody works on devices on purpose, so that nobody is woken for it."""

from collections.abc import Iterable
from datetime import timedelta

from pydantic import Field, model_validator

from gateway.api.models import Ident, Input, Instant, Line, OptionalLine, Output, Page, PageQuery, Text
from gateway.api.paging import moment_cursor, to_cursor
from gateway.api.routing import Call, Routes
from gateway.api.scopes import must_reach
from gateway.domain.access import Permission
from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.domain.maintenance import Places, Window, WindowId, covers, spans
from gateway.domain.timetable import FARTHEST
from gateway.errors import Conflict, Fault, Forbidden, InvalidInput, NotFound, Overloaded
from gateway.incidents.maintenance import Wish
from gateway.incidents.telling import told_window

routes = Routes("maintenance", "When somebody works on devices on purpose, so that nobody is woken for it.")

EARLIER = timedelta(minutes=5)
"""So far back a window may begin: what counts for availability is not made up afterwards (that is what excuses are for)."""


class SpanOut(Output):
    """From `start` until before `end`."""

    start: Instant
    end: Instant


class WindowOut(Output):
    """A maintenance window."""

    id: str
    devices: list[str]
    groups: list[str]
    cells: list[str]
    districts: list[str]
    vendors: list[str]
    everything: bool
    start: Instant
    end: Instant | None
    rrule: str | None = Field(description="RFC 5545, followed in `timezone` from `start` on.")
    duration_minutes: float | None
    timezone: str
    reason: str
    created_by: str
    creator: str = Field(description='The name of the person behind `created_by` when it was made; "" where nobody was named.')
    created_at: Instant
    cancelled_at: Instant | None
    in_force: bool
    span: SpanOut | None = Field(description="The time for which it is in force now.")


class WindowPage(Page[WindowOut]):
    """One page of windows, the latest made first."""


class SpansOut(Output):
    """When a window was, or will be, in force."""

    spans: list[SpanOut]


class WindowQuery(PageQuery):
    """Which windows; `ahead`: only those that are in force or may come to be."""

    ahead: bool = False


class SpansQuery(Input):
    """Of which time; at most a year."""

    since: Instant
    until: Instant


class WindowIn(Input):
    """A window: what it covers (all that any of these names), and when. Without `start` it begins now.

    Once: `minutes` or `end`. Again and again: `rrule` with `duration_minutes` and `timezone`.
    """

    devices: list[Ident] = Field(default=[], max_length=5_000)
    groups: list[Ident] = Field(default=[], max_length=1_000)
    cells: list[Ident] = Field(default=[], max_length=1_000)
    districts: list[Line] = Field(default=[], max_length=200)
    vendors: list[Line] = Field(default=[], max_length=200)
    everything: bool = False
    reason: Text = ""
    start: Instant | None = None
    end: Instant | None = None
    minutes: float | None = Field(default=None, strict=True, gt=0, le=5_000_000)
    rrule: OptionalLine = ""
    duration_minutes: float | None = Field(default=None, strict=True, gt=0, le=50_000)
    timezone: OptionalLine = "UTC"

    @model_validator(mode="after")
    def _one_way(self) -> "WindowIn":
        if self.minutes is not None and (self.end is not None or self.rrule):
            raise ValueError("minutes goes neither with end nor with rrule")
        if bool(self.rrule) != (self.duration_minutes is not None):
            raise ValueError("rrule and duration_minutes go together")
        return self


class NoBody(Input):
    """Nothing: `{}`."""


_REFUSALS = (NotFound, Conflict, Forbidden)


@routes.op("GET", "/v1/maintenance-windows", needs=Permission.HEALTH_READ)
async def list_maintenance_windows(call: Call, query: WindowQuery) -> WindowPage:
    """Maintenance windows, past ones included, the latest made first."""
    place = moment_cursor(query)
    before = (place[0], WindowId(place[1])) if place else None
    async with call.services.store.read() as tx:
        found = list(
            await tx.maintenance.page(before=before, limit=query.limit + 1, ahead_of=call.services.clock.now() if query.ahead else None)
        )
    following = None
    if len(found) > query.limit:
        found.pop()
        following = to_cursor([found[-1].created_at.isoformat(), found[-1].id], query)
    return WindowPage(items=[_shown(call, one) for one in found], next=following)


@routes.op("GET", "/v1/maintenance-windows/{window_id}", needs=Permission.HEALTH_READ, problems=(NotFound,))
async def read_maintenance_window(call: Call) -> WindowOut:
    """One maintenance window."""
    return _shown(call, await call.services.maintenance.get(_id(call)))


@routes.op("GET", "/v1/maintenance-windows/{window_id}/spans", needs=Permission.HEALTH_READ, problems=(NotFound,))
async def list_maintenance_spans(call: Call, query: SpansQuery) -> SpansOut:
    """When a window was, or will be, in force: early starts and ends, and the clocks that change in summer, included."""
    if not timedelta() < query.until - query.since <= timedelta(days=370):
        raise InvalidInput("The query parameters are not right.", faults=[Fault("?until", "must be after since, and within a year")])
    window = await call.services.maintenance.get(_id(call))
    return SpansOut(spans=[SpanOut.model_validate(one) for one in spans(window, query.since, query.until)])


@routes.op(
    "POST",
    "/v1/maintenance-windows",
    needs=Permission.HEALTH_MANAGE,
    status=201,
    problems=(Forbidden, Overloaded),
    repeatable=True,
)
async def create_maintenance_window(call: Call, body: WindowIn) -> WindowOut:
    """Mute devices for a time, or again and again. One click is `{"devices": [...], "minutes": 120, "reason": "..."}`."""
    now = call.services.clock.now()
    start = body.start or now
    if start < now - EARLIER:
        raise InvalidInput("The body is not right.", faults=[Fault("/start", "lies in the past", "in-the-past")])
    if start > now + FARTHEST:
        raise InvalidInput(
            "The body is not right.",
            faults=[Fault("/start", f"lies more than {FARTHEST.days} days ahead", "too-far", {"days": FARTHEST.days})],
        )
    places = _places(body)
    _must_exist(places, call.services.city)
    wish = Wish(
        places=places,
        reason=body.reason,
        start=start,
        end=start + timedelta(minutes=body.minutes) if body.minutes is not None else body.end,
        rule=body.rrule.removeprefix("RRULE:").upper(),
        duration=timedelta(minutes=body.duration_minutes or 0),
        timezone=body.timezone or "UTC",
    )
    must_reach(call.caller.key, _covered(places, call.services.city), call.services.city)
    return _shown(call, await call.services.maintenance.create(wish, by=call.caller.person))


@routes.op(
    "POST",
    "/v1/maintenance-windows/{window_id}/start",
    needs=Permission.HEALTH_MANAGE,
    problems=_REFUSALS,
    repeatable=True,
)
async def start_maintenance_window(call: Call, body: NoBody) -> WindowOut:  # noqa: ARG001 -- declares the body
    """Let it be in force from now on: one of once until its end, a recurring one for its duration."""
    await _must_reach_window(call)
    return _shown(call, await call.services.maintenance.start(_id(call), by=call.caller.actor))


@routes.op(
    "POST",
    "/v1/maintenance-windows/{window_id}/end",
    needs=Permission.HEALTH_MANAGE,
    problems=_REFUSALS,
    repeatable=True,
)
async def end_maintenance_window(call: Call, body: NoBody) -> WindowOut:  # noqa: ARG001 -- declares the body
    """End it early; a recurring one comes again as planned. What is still ill opens its incident."""
    await _must_reach_window(call)
    return _shown(call, await call.services.maintenance.end(_id(call), by=call.caller.actor))


@routes.op("DELETE", "/v1/maintenance-windows/{window_id}", needs=Permission.HEALTH_MANAGE, problems=_REFUSALS)
async def delete_maintenance_window(call: Call) -> WindowOut:
    """Let it never be in force again. The time for which it was stays on record, for availability."""
    await _must_reach_window(call)
    return _shown(call, await call.services.maintenance.cancel(_id(call), by=call.caller.actor))


async def _must_reach_window(call: Call) -> None:
    window = await call.services.maintenance.get(_id(call))
    must_reach(call.caller.key, _covered(window.places, call.services.city), call.services.city)


def _covered(places: Places, city: City) -> Iterable[DeviceId]:
    return [device.id for device in city.devices.values() if covers(places, device, city)]


def _places(body: WindowIn) -> Places:
    return Places(
        devices=frozenset(body.devices),
        groups=frozenset(body.groups),
        cells=frozenset(body.cells),
        districts=frozenset(body.districts),
        vendors=frozenset(body.vendors),
        everything=body.everything,
    )


def _must_exist(places: Places, city: City) -> None:
    """A misspelt id would mute nobody, and nobody would notice. InvalidInput."""
    known = {
        "devices": city.devices.keys(),
        "groups": city.groups.keys(),
        "cells": city.cells.keys(),
        "districts": {group.district for group in city.groups.values()} | {cell.district for cell in city.cells.values()},
        "vendors": {device.vendor for device in city.devices.values()},
    }
    faults = [
        Fault(f"/{name}", f"there is no {one[:64]!r}", "unknown", {"name": one[:64]})
        for name, there in known.items()
        for one in sorted(getattr(places, name) - there)
    ]
    if faults:
        raise InvalidInput("The body is not right.", faults=faults)


def _shown(call: Call, window: Window) -> WindowOut:
    return WindowOut.model_validate(told_window(window, call.services.maintenance.span(window)))


def _id(call: Call) -> WindowId:
    return WindowId(call.path("window_id"))
