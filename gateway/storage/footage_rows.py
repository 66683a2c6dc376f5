"""Requests for footage, exports, files and custody entries as rows of their tables, and back."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Row

from gateway.domain.broadcast import Circle
from gateway.domain.devices import CellCode, DeviceId, GroupId, Position
from gateway.domain.events import Actor, ActorKind, Person
from gateway.domain.footage import (
    UNDERTAKEN,
    Counted,
    CustodyEntry,
    Direction,
    Emergency,
    Export,
    ExportState,
    Filing,
    FootageFile,
    FootageRequest,
    FootageState,
    Origin,
    Period,
    RequesterKind,
    RequestId,
    Route,
    Step,
    Urgency,
)
from gateway.storage.clocks import to_clock, to_clock_json
from gateway.storage.fetched import TOLD_APART, to_file_fields, to_file_row, to_offset, to_seconds
from gateway.storage.footage_tables import WORDS
from gateway.storage.spans import to_periods, to_spans

_PLACES: Final = ("cameras", "groups", "cells", "left_out")


def request_row(request: FootageRequest) -> dict[str, Any]:
    filing, decided = request.filing, request.decided_by
    return {name: getattr(filing, name) for name in WORDS} | {
        "id": request.id,
        "state": request.state.value,
        "outcome": request.outcome.value if request.outcome else None,
        "kind": filing.kind.value,
        "urgency": filing.urgency.value,
        "emergency": filing.emergency.value if filing.emergency else None,
        "place": _place(filing),
        "start_at": filing.window.start,
        "end_at": filing.window.end,
        "tolerance_s": filing.tolerance.total_seconds(),
        "submitted_by": str(request.submitted_by.actor),
        "submitter": request.submitted_by.name,
        "submitted_at": request.submitted_at,
        "cleared": request.cleared,
        "decided_by": str(decided.actor) if decided else None,
        "decider": decided.name if decided else None,
        "decided_at": request.decided_at,
        "note": request.note,
        "reason": request.reason,
        "changed_at": request.changed_at or request.submitted_at,
        "ready_at": request.ready_at,
        "papers_due_at": request.papers_due_at,
        "papers_at": request.papers_at,
        "reminded_at": request.reminded_at,
    }


def _place(filing: Filing) -> dict[str, Any]:
    place: dict[str, Any] = {name: list(getattr(filing, name)) for name in _PLACES} | {"address": filing.address}
    if (circle := filing.circle) is not None:
        place["circle"] = [*_point(circle.centre), circle.radius_m]
    if (route := filing.route) is not None:
        told = {name: getattr(route, name) for name in ("direction", "slowest_kmh", "fastest_kmh", "corridor_m")}
        place["route"] = told | {"points": [_point(point) for point in route.points]}
    return place


def _point(position: Position) -> list[float]:
    return [position.latitude, position.longitude]


def _circle(found: Sequence[float] | None) -> Circle | None:
    return None if found is None else Circle(Position(found[0], found[1]), found[2])


def _route(found: Mapping[str, Any] | None) -> Route | None:
    if found is None:
        return None
    points = tuple(Position(latitude, longitude) for latitude, longitude in found["points"])
    return Route(points, Direction(found["direction"]), found["slowest_kmh"], found["fastest_kmh"], found["corridor_m"])


def camera_rows(request: FootageRequest) -> list[dict[str, Any]]:
    windows = {camera: request.window_of(camera) for camera in request.cameras}
    return [
        {"request": request.id, "camera": camera, "number": number, "start_at": window.start, "end_at": window.end}
        for number, (camera, window) in enumerate(windows.items(), start=1)
    ]


def to_request(row: Row[Any], windows: Mapping[DeviceId, Period]) -> FootageRequest:
    filing = Filing(
        **{name: row._mapping[name] for name in WORDS},
        window=Period(row.start_at, row.end_at),
        kind=RequesterKind(row.kind),
        urgency=Urgency(row.urgency),
        emergency=Emergency(row.emergency) if row.emergency else None,
        tolerance=timedelta(seconds=row.tolerance_s),
        cameras=tuple(map(DeviceId, row.place["cameras"])),
        groups=tuple(map(GroupId, row.place["groups"])),
        cells=tuple(map(CellCode, row.place["cells"])),
        left_out=tuple(map(DeviceId, row.place.get("left_out", ()))),
        address=row.place.get("address", ""),
        circle=_circle(row.place.get("circle")),
        route=_route(row.place.get("route")),
    )
    return FootageRequest(
        id=RequestId(row.id),
        filing=filing,
        cameras=tuple(windows),
        submitted_by=Person(Actor.parse(row.submitted_by), row.submitter),
        submitted_at=row.submitted_at,
        state=FootageState(row.state),
        decided_by=Person(Actor.parse(row.decided_by), row.decider) if row.decided_by else None,
        decided_at=row.decided_at,
        note=row.note,
        reason=row.reason,
        changed_at=row.changed_at,
        ready_at=row.ready_at,
        windows={camera: window for camera, window in windows.items() if window != filing.widened},
        outcome=FootageState(row.outcome) if row.outcome else None,
        papers_due_at=row.papers_due_at,
        papers_at=row.papers_at,
        reminded_at=row.reminded_at,
    )


COUNTED: Final = (
    *("id", "unit", "kind", "case_kind", "submitted_at"),
    *("state", "outcome", "emergency", "papers_at", "decided_by", "ready_at"),
)


def to_counted(row: Row[Any], hours: Sequence[float]) -> Counted:
    undertaken = FootageState(row.state) in UNDERTAKEN
    return Counted(
        unit=row.unit,
        kind=RequesterKind(row.kind),
        case_kind=row.case_kind,
        submitted_at=row.submitted_at,
        told=FootageState(row.outcome or row.state),
        emergency=row.emergency is not None,
        owing=row.emergency is not None and undertaken and (row.papers_at is None or row.decided_by is None),
        cameras=len(hours),
        hours=sum(hours),
        ready_at=row.ready_at,
    )


def export_row(export: Export) -> dict[str, Any]:
    return {
        "request": export.request,
        "camera": export.camera,
        "cleared": True,
        "recorder": export.recorder,
        "recording": export.recording,
        "serial": export.serial,
        "offset_s": to_seconds(export.offset),
        "state": export.state.value,
        "reason": export.reason,
        **{name: to_spans(getattr(export, name)) for name in ("coverage", "obtained", "gaps")},
        "card": None if export.card is None else _card_json(export.card),
        "clock": to_clock_json(export.clock),
        "told_at": export.told_at,
        "awaited": export.awaited,
    }


def _card_json(card: Origin) -> dict[str, Any]:
    same = {name: getattr(card, name) for name in ("device", "recording", "serial")}
    return same | {"offset_s": to_seconds(card.offset), "recorded": to_spans(card.recorded), "clock": to_clock_json(card.clock)}


def _card(found: Mapping[str, Any]) -> Origin:
    offset, recorded = to_offset(found["offset_s"]), to_periods(found["recorded"])
    return Origin(DeviceId(found["device"]), found["recording"], found["serial"], offset, recorded, to_clock(found.get("clock")))


def to_export(row: Row[Any]) -> Export:
    return Export(
        request=RequestId(row.request),
        camera=DeviceId(row.camera),
        recorder=DeviceId(row.recorder),
        recording=row.recording,
        serial=row.serial,
        offset=to_offset(row.offset_s),
        state=ExportState(row.state),
        reason=row.reason,
        coverage=to_periods(row.coverage),
        obtained=to_periods(row.obtained),
        gaps=to_periods(row.gaps),
        card=None if row.card is None else _card(row.card),
        clock=to_clock(row.clock),
        told_at=row.told_at,
        awaited=row.awaited,
    )


_FILE_SAME: Final = (
    *("request", "camera", "number", "name", "sha256", "size", "frames", "damaged"),
    *("created_at", "downloads", "removed", "device", "serial", "recording", "sound_left_out", "sound_refused", "set_backs"),
)
assert {*_FILE_SAME, *TOLD_APART} == {field.name for field in fields(FootageFile)}


def file_row(file: FootageFile) -> dict[str, Any]:
    return to_file_row(file, _FILE_SAME)


def to_file(row: Row[Any]) -> FootageFile:
    return FootageFile(**to_file_fields(row, _FILE_SAME))


def custody_row(entry: CustodyEntry) -> dict[str, Any]:
    actor = entry.by.actor
    who = {"actor_kind": actor.kind.value, "actor_id": actor.id, "person": entry.by.name}
    return who | {"request": entry.request, "step": entry.step.value, "at": entry.at, "detail": dict(entry.detail)}


def to_custody_entry(row: Row[Any]) -> CustodyEntry:
    by = Person(Actor(ActorKind(row.actor_kind), row.actor_id), row.person)
    return CustodyEntry(RequestId(row.request), Step(row.step), by, row.at, row.detail, row.number)
