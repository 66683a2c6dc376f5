"""Footage requests as they are filed: the register's lists, what a place and a time mean, and the filing itself."""

from datetime import timedelta
from typing import Any

from pydantic import Field

from gateway.api.footage_json import RequestOut, WindowOut, request_out
from gateway.api.models import Ident, Input, Instant, Line, OptionalLine, Output, Text
from gateway.api.orders import CircleIn, PointIn
from gateway.api.problems import FaultOut, fault_body
from gateway.api.routing import Call, Routes, allowed
from gateway.api.scopes import must_reach, reaches
from gateway.domain.access import Permission
from gateway.domain.broadcast import Circle
from gateway.domain.devices import CellCode, DeviceId, GroupId
from gateway.domain.footage import OPTIONAL_FIELDS, REGISTER_FIELDS, Direction, Emergency, Filing, Period, RequesterKind, Route, Urgency
from gateway.errors import Forbidden

routes = Routes("footage-filing", "Footage requests as they are filed.")

_SAME = (*REGISTER_FIELDS, *OPTIONAL_FIELDS, "kind", "urgency", "emergency")


class RouteIn(Input):
    """A way that somebody took. The window is when they were at its beginning; further along it moves and widens by the speeds."""

    points: list[PointIn] = Field(min_length=2, max_length=200, description="Its corners in order.")
    direction: Direction = Field(default=Direction.EITHER, description="Which way they went, from the first point or from the last.")
    slowest_kmh: float = Field(default=3, strict=True, gt=0, le=200)
    fastest_kmh: float = Field(default=30, strict=True, gt=0, le=200)
    corridor_m: float = Field(default=50, strict=True, gt=0, le=500, description="So far from it a camera sees it.")

    def parsed(self) -> Route:
        points = tuple(point.parsed() for point in self.points)
        return Route(points, self.direction, self.slowest_kmh, self.fastest_kmh, self.corridor_m)


class PlaceIn(Input):
    """Where and when: all that is named, together, without the cameras that are left out."""

    cameras: list[Ident] = Field(default=[], max_length=200)
    groups: list[Ident] = Field(default=[], max_length=200)
    cells: list[Ident] = Field(default=[], max_length=200)
    circle: CircleIn | None = Field(default=None, description="An address point and the metres around it.")
    route: RouteIn | None = None
    address: OptionalLine = Field(default="", description="How people call the place.")
    left_out: list[Ident] = Field(default=[], max_length=200, description="Cameras that are there and not wanted.")
    start: Instant
    end: Instant
    tolerance_s: float = Field(default=0, ge=0, le=86_400, description="How far memory may be out: both ends are moved by it.")


class FilingIn(PlaceIn):
    """A request for the register (登记表).

    Police and other authorities give requester, unit, badge, case number, document and purpose; what else the register needs may follow
    until the footage is handed over. A citizen gives name, identity card and purpose, and views without getting a copy.
    """

    kind: RequesterKind = RequesterKind.POLICE
    requester: Line
    unit: OptionalLine = ""
    badge: OptionalLine = Field(default="", description="The number of a work id; a citizen's identity card.")
    second_officer: OptionalLine = Field(default="", description="Two officers come; this one is not the requester.")
    case_number: OptionalLine = Field(default="", description="A citizen needs none: the request's id stands for it.")
    case_kind: OptionalLine = Field(default="", description="A code of GET /v1/footage-register.")
    legal_basis: OptionalLine = Field(default="", description="A code of GET /v1/footage-register.")
    authorising_document: OptionalLine = Field(
        default="", description="The number of the 调取证据通知书 or of the unit's letter. In an emergency it may follow."
    )
    approval_letter: OptionalLine = ""
    purpose: Text = ""
    destination: Text = ""
    contact: OptionalLine = Field(default="", description="How the requester is reached.")
    urgency: Urgency = Urgency.NORMAL
    emergency: Emergency | None = Field(
        default=None,
        description="Fetch at once, before anybody approves: this raises an alarm; a second person's word and the papers have to follow.",
    )


class SoughtOut(WindowOut):
    """A camera that a place means."""

    name: str
    recorded: bool = Field(description="A recorder keeps its footage; else a copy is to be had from its card or by hand at the most.")
    within_reach: bool = Field(description="Your key may ask for it.")


class PreviewOut(Output):
    """What a place and a time mean."""

    cameras: list[SoughtOut]
    faults: list[FaultOut]


class RegisterOut(Output):
    """The maintained lists: code to wording, as papers print it and in English."""

    case_kinds: dict[str, str]
    legal_bases: dict[str, str]
    case_kinds_en: dict[str, str]
    legal_bases_en: dict[str, str]


@routes.op("GET", "/v1/footage-register", needs=Permission.FOOTAGE_READ)
async def read_footage_register(call: Call) -> RegisterOut:
    """The kinds of case and legal bases that a request may name."""
    register = call.services.footage.register
    return RegisterOut(**{name: dict(getattr(register, name)) for name in RegisterOut.model_fields})


@routes.op("POST", "/v1/footage-requests", needs=Permission.FOOTAGE_REQUEST, status=201, problems=(Forbidden,), repeatable=True)
async def submit_footage_request(call: Call, body: FilingIn) -> RequestOut:
    """File a request; another person has to approve it. An emergency goes ahead at once, which needs `footage:urgent`."""
    filing = _filing(body)
    if filing.emergency is not None:
        allowed(call.caller, Permission.FOOTAGE_URGENT)
    _must_reach(call, filing)
    return request_out(call, await call.services.footage.submit(filing, by=call.caller.person, longest=_longest(call)))


@routes.op("POST", "/v1/footage-requests/preview", needs=Permission.FOOTAGE_REQUEST)
async def preview_footage_request(call: Call, body: PlaceIn) -> PreviewOut:
    """Which cameras a place and a time mean, and which stretch of each, before anything is filed. Nothing is kept of it."""
    city = call.services.city
    sought = call.services.footage.preview(Filing(requester="", **_where(body)), longest=_longest(call))
    cameras = [
        SoughtOut(
            camera=camera,
            name=city.devices[camera].name,
            start=window.start,
            end=window.end,
            recorded=city.recorder_of(camera) is not None,
            within_reach=reaches(call.caller.key, camera, city),
        )
        for camera, window in sought.windows.items()
    ]
    return PreviewOut(cameras=cameras, faults=[FaultOut(**fault_body(fault)) for fault in sought.faults])


def _longest(call: Call) -> timedelta | None:
    hours = call.caller.key.footage_hours if call.caller.key is not None else None
    return timedelta(hours=hours) if hours is not None else None


def _must_reach(call: Call, filing: Filing) -> None:
    """The key's scopes, for everything that is named and everything that it means."""
    city = call.services.city
    placed = [device.id for cell in filing.cells for device in city.in_cell(cell)]
    grouped = [device.id for group in filing.groups for device in city.in_group(group)]
    sought = call.services.footage.preview(filing).windows
    must_reach(call.caller.key, [*filing.cameras, *placed, *grouped, *sought], city)


def _filing(body: FilingIn) -> Filing:
    return Filing(**{name: getattr(body, name) for name in _SAME}, **_where(body))


def _where(body: PlaceIn) -> dict[str, Any]:
    return {
        "window": Period(body.start, body.end),
        "tolerance": timedelta(seconds=body.tolerance_s),
        "cameras": tuple(map(DeviceId, body.cameras)),
        "groups": tuple(map(GroupId, body.groups)),
        "cells": tuple(map(CellCode, body.cells)),
        "circle": Circle(body.circle.centre.parsed(), body.circle.radius_m) if body.circle else None,
        "route": body.route.parsed() if body.route else None,
        "address": body.address,
        "left_out": tuple(map(DeviceId, body.left_out)),
    }
