"""One page per device (一机一档): everything that is known of it, as JSON and as a page that prints."""

import json
from datetime import date
from typing import Any

from aiohttp import web
from pydantic import Field

from gateway.api.models import Input, Instant, Output, instant_text
from gateway.api.replies import json_bytes
from gateway.api.routes.devices import DeviceOut, ModelOut, device_and_model, find_device
from gateway.api.routes.health import TransitionOut
from gateway.api.routes.reports import HTML, FiguresOut, page_reply
from gateway.api.routing import Call, Media, Routes
from gateway.domain.access import Permission
from gateway.domain.devices import Device
from gateway.domain.excuses import Excuse
from gateway.domain.health import HealthState
from gateway.domain.incidents import Incident
from gateway.domain.maintenance import Window, district_of, street_of
from gateway.domain.work_orders import WorkOrder
from gateway.errors import NotFound
from gateway.incidents.telling import title
from gateway.reports.device_file import DeviceFile
from gateway.reports.device_page import device_page
from gateway.reports.report import Figures
from gateway.reports.telling import figures_json
from gateway.reports.wording import Language, Wording
from gateway.storage.complaints import Complaint
from gateway.storage.health import NumberedTransition

routes = Routes("device files", "Everything that is known of one device, on one page.")


class PlaceOut(Output):
    """Where it is, in words."""

    group: str
    cell: str
    street: str
    district: str


class ChainOut(Output):
    """A device on the way to the centre."""

    id: str
    name: str
    state: HealthState


class KeptByOut(Output):
    """The recorder that keeps its footage."""

    id: str
    channel: int


class ComplaintOut(Output):
    """A check complained of it."""

    check: str
    reason: str
    since: Instant
    until: Instant | None


class FileIncidentOut(Output):
    """An incident that it was part of."""

    id: str
    state: str
    severity: str
    title: dict[str, str]
    opened_at: Instant
    resolved_at: Instant | None


class FileWindowOut(Output):
    """A maintenance window that covers it."""

    id: str
    reason: str
    since: Instant
    until: Instant | None
    rrule: str


class FileExcuseOut(Output):
    """An excuse that covers it."""

    id: str
    state: str
    kind: str
    reason: str
    evidence: str
    since: Instant
    until: Instant


class FileOrderOut(Output):
    """A work order for it."""

    id: str
    state: str
    severity: str
    maintainer: str
    what: str
    opened_at: Instant
    repaired_at: Instant | None
    closing_note: str


class DeedOut(Output):
    """Something that was done to it: a picture taken, a move, a port switched."""

    at: Instant
    action: str


class MonthOut(FiguresOut):
    """A whole month."""

    month: str


class AvailabilityOut(Output):
    """How available it was."""

    this_month: FiguresOut
    last_12_months: FiguresOut = Field(description="The last twelve whole months.")
    months: list[MonthOut]


class DeviceFileOut(Output):
    """Everything that is known of a device."""

    made_at: Instant
    device: DeviceOut
    matched: ModelOut
    place: PlaceOut
    uplinks: list[ChainOut] = Field(description="What it hangs on, the nearest first.")
    behind: int = Field(description="How many devices hang directly on it.")
    recorder: KeptByOut | None
    checks: dict[str, Instant] = Field(description="The checks that are made of it, and since when.")
    complaints: list[ComplaintOut]
    transitions: list[TransitionOut]
    incidents: list[FileIncidentOut]
    maintenance: list[FileWindowOut]
    excuses: list[FileExcuseOut]
    work_orders: list[FileOrderOut]
    deeds: list[DeedOut]
    availability: AvailabilityOut


class FileQuery(Input):
    """In which language."""

    lang: Language = Language.BOTH


@routes.op("GET", "/v1/devices/{device_id}/file", needs=Permission.HEALTH_READ, answers=DeviceFileOut, problems=(NotFound,))
async def read_device_file(call: Call) -> web.Response:
    """Everything that is known of a device: inventory, standing, checks, uplinks, complaints, incidents, maintenance, availability."""
    return json_bytes(json.dumps(await _told(call), ensure_ascii=False).encode())


@routes.op("GET", "/v1/devices/{device_id}/file.html", needs=Permission.HEALTH_READ, answers=Media((HTML,)), problems=(NotFound,))
async def read_device_page(call: Call, query: FileQuery) -> web.Response:
    """The same as a page that prints on A4."""
    told = await _told(call)
    return page_reply(device_page(told, Wording(query.lang, call.services.reports.zone)))


async def _told(call: Call) -> dict[str, Any]:
    services = call.services
    device = find_device(services.city, call.path("device_id"))
    found = await services.reports.file(device)
    shown, matched = device_and_model(call, device)
    return {
        "made_at": instant_text(services.clock.now()),
        "device": json.loads(shown),
        "matched": json.loads(matched),
        **_around(call, device),
        "checks": {check: instant_text(since) for check, since in found.checked.items()},
        **_happened(found),
        "availability": _availability(found),
    }


def _around(call: Call, device: Device) -> dict[str, Any]:
    city, board = call.services.city, call.services.board
    group = city.groups.get(device.group) if device.group else None
    cell = city.cells.get(device.cell) if device.cell else None
    kept = city.recorder_of(device.id)
    return {
        "place": {
            "group": group.name if group else "",
            "cell": cell.name if cell else "",
            "street": street_of(device, city),
            "district": district_of(device, city),
        },
        "uplinks": [{"id": one.id, "name": one.name, "state": board[one.id].state.value} for one in city.uplink_chain(device.id)],
        "behind": len(city.behind(device.id)),
        "recorder": {"id": kept[0].id, "channel": kept[1].number} if kept else None,
    }


def _happened(found: DeviceFile) -> dict[str, Any]:
    return {
        "complaints": [_complaint(one) for one in found.complaints],
        "transitions": [_transition(one) for one in found.transitions],
        "incidents": [_incident(one) for one in found.incidents],
        "maintenance": [_window(one) for one in found.windows],
        "excuses": [_excuse(one) for one in found.excuses],
        "work_orders": [_work_order(one) for one in found.work_orders],
        "deeds": [{"at": instant_text(row.entry.at), "action": row.entry.action} for row in found.deeds],
    }


def _complaint(one: Complaint) -> dict[str, Any]:
    return {"check": one.check, "reason": one.reason, "since": instant_text(one.since), "until": one.until and instant_text(one.until)}


def _transition(one: NumberedTransition) -> dict[str, Any]:
    return {
        "number": one.number,
        "before": one.transition.before.value,
        "after": one.transition.after.value,
        "at": instant_text(one.transition.at),
        "reason": one.transition.reason,
        "check": one.transition.check,
        "facts": dict(one.transition.facts),
    }


def _incident(one: Incident) -> dict[str, Any]:
    return {
        "id": one.id,
        "state": one.state.value,
        "severity": one.severity.value,
        "title": title(one),
        "opened_at": instant_text(one.opened_at),
        "resolved_at": one.resolved_at and instant_text(one.resolved_at),
    }


def _window(one: Window) -> dict[str, Any]:
    return {
        "id": one.id,
        "reason": one.reason,
        "since": instant_text(one.start),
        "until": one.end and instant_text(one.end),
        "rrule": one.rule,
    }


def _excuse(one: Excuse) -> dict[str, Any]:
    return {
        "id": one.id,
        "state": one.state.value,
        "kind": one.kind,
        "reason": one.reason,
        "evidence": " ".join(part for part in (one.evidence, one.incident) if part),
        "since": instant_text(one.start),
        "until": instant_text(one.end),
    }


def _work_order(one: WorkOrder) -> dict[str, Any]:
    return {
        "id": one.id,
        "state": one.state.value,
        "severity": one.severity.value,
        "maintainer": one.maintainer,
        "what": one.what,
        "opened_at": instant_text(one.opened_at),
        "repaired_at": one.repaired_at and instant_text(one.repaired_at),
        "closing_note": one.closing_note,
    }


def _availability(found: DeviceFile) -> dict[str, Any]:
    return {
        "this_month": figures_json(found.month),
        "last_12_months": figures_json(found.year),
        "months": [{"month": _named(month), **figures_json(Figures(account, 1))} for month, account in found.months],
    }


def _named(month: date) -> str:
    return f"{month:%Y-%m}"
