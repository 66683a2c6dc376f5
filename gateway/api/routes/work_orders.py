"""Work orders: what maintainers are asked to repair, with response and repair clocks, a closing note and pictures."""

import asyncio
from typing import Any, Literal

from aiohttp import web
from pydantic import Field

from gateway.api.models import Ident, Input, Instant, Line, OptionalLine, Output, Page, PageQuery, Text
from gateway.api.paging import moment_cursor, to_cursor
from gateway.api.replies import attachment, content_reply
from gateway.api.routing import Call, Media, Routes, allowed
from gateway.api.scopes import must_reach
from gateway.domain.access import Permission
from gateway.domain.devices import DeviceId, DeviceKind
from gateway.domain.severity import Severity
from gateway.domain.work_orders import Deed, WorkAct, WorkOrder, WorkOrderId, WorkState
from gateway.errors import Conflict, DeviceError, Fault, Forbidden, InvalidInput, NotFound, Overloaded
from gateway.incidents.work_order_files import write
from gateway.incidents.work_orders import Order
from gateway.storage.work_orders import WantedOrders

routes = Routes("work-orders", "What maintainers are asked to repair, and how long that takes them.")

PICTURE = Media(("image/jpeg", "image/png"), limit="picture_bytes")
CSV, XLSX = "text/csv", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
EXPORT_AT_MOST = 10_000
_REFUSALS = (NotFound, Conflict, Forbidden)


class ClockOut(Output):
    """A clock of an order: it runs around the clock or in working hours, and stands while the order is paused."""

    target_s: int
    used_s: int
    due_at: Instant | None = Field(description="Null while it stands still.")
    stopped_at: Instant | None
    overdue: bool


class PictureOut(Output):
    """A picture on record; `source` is `upload`, or `capture:` and the camera."""

    sha256: str
    media_type: str
    size: int
    at: Instant
    by: str
    source: str


class WorkDeviceOut(Output):
    """What is to be repaired, and where it hangs."""

    id: str
    name: str
    kind: DeviceKind | None
    address: str | None
    group: str | None
    cell: str | None
    district: str | None
    position: dict[str, float] | None


class WorkOrderOut(Output):
    """A work order, complete."""

    id: str
    state: WorkState
    severity: Severity
    maintainer: str
    technician: str
    what: str
    incident: str | None
    opened_at: Instant
    opened_by: str
    accepted_at: Instant | None
    on_site_at: Instant | None
    repaired_at: Instant | None
    closing_note: str
    ended_at: Instant | None
    ended_by: str
    sent_back: int
    paused: bool
    pause_reason: str
    clocks: dict[Literal["response", "repair"], ClockOut]
    around_the_clock: bool
    device_count: int
    devices: list[WorkDeviceOut] = Field(description="At most 500.")
    pictures: list[PictureOut]


class WorkOrderPage(Page[WorkOrderOut]):
    """One page of orders, the latest first; with `overdue`, all that are, the longest overdue first."""


class WorkEntryOut(Output):
    """One thing that was done to an order."""

    number: int
    at: Instant
    what: str
    actor: str
    name: str = Field(description='The name of the person behind `actor` then; "" where nobody was named.')
    comment: str
    detail: dict[str, Any]


class WorkHistoryOut(Output):
    """What was done to an order, in order."""

    items: list[WorkEntryOut]


class WorkOrderFilter(Input):
    """Which orders: those that fit everything that is given."""

    state: list[WorkState] = Field(default=[])
    severity: list[Severity] = Field(default=[])
    maintainer: Line | None = None
    incident: Ident | None = None
    device: Ident | None = None
    overdue: bool = Field(default=False, description="Only those of which a clock that runs has run out.")


class WorkOrderQuery(WorkOrderFilter, PageQuery):
    """Which orders, and which page of them."""


class WorkOrderExportQuery(WorkOrderFilter):
    """Which orders, and as what."""

    format: Literal["csv", "xlsx"] = "xlsx"


class WorkOrderIn(Input):
    """An order for an incident, for devices, or both. Maintainer and severity follow from them where they are not given."""

    what: Text = Field(min_length=1)
    devices: list[Ident] = Field(default=[], max_length=5_000)
    incident: OptionalLine = ""
    maintainer: OptionalLine = ""
    severity: Severity | None = None


class WorkDeedIn(Input):
    """A comment on what is done, and who does it."""

    comment: Text = ""
    technician: OptionalLine = ""


class WorkReasonIn(Input):
    """Why."""

    comment: Text = Field(min_length=1)


class WorkCaptureIn(Input):
    """The camera that shows it."""

    camera: Ident


@routes.op("GET", "/v1/work-orders", needs=Permission.HEALTH_READ)
async def list_work_orders(call: Call, query: WorkOrderQuery) -> WorkOrderPage:
    """Work orders, the latest first."""
    place = moment_cursor(query)
    before = (place[0], WorkOrderId(place[1])) if place else None
    found = list(await _found(call, query, before=before, limit=query.limit + 1))
    following = None
    if len(found) > query.limit:
        del found[query.limit :]
        following = None if query.overdue else to_cursor([found[-1].opened_at.isoformat(), found[-1].id], query)
    return WorkOrderPage(items=[_shown(call, one) for one in found], next=following)


@routes.op("GET", "/v1/work-orders/export", needs=Permission.HEALTH_READ, answers=Media((XLSX, CSV)))
async def export_work_orders(call: Call, query: WorkOrderExportQuery) -> web.Response:
    """Work orders as a table to hand over to a maintainer: the 10,000 latest of those that fit."""
    desk = call.services.work_orders
    told = [desk.told(one) for one in await _found(call, query, before=None, limit=EXPORT_AT_MOST)]
    data = await asyncio.to_thread(write, told, query.format, desk.zone)
    return attachment(data, name=f"work-orders.{query.format}", content_type=CSV if query.format == "csv" else XLSX)


@routes.op("GET", "/v1/work-orders/{work_order_id}", needs=Permission.HEALTH_READ, problems=(NotFound,))
async def read_work_order(call: Call) -> WorkOrderOut:
    """One work order."""
    return _shown(call, await call.services.work_orders.get(_id(call)))


@routes.op("GET", "/v1/work-orders/{work_order_id}/history", needs=Permission.HEALTH_READ, problems=(NotFound,))
async def read_work_order_history(call: Call) -> WorkHistoryOut:
    """What was done to a work order, by whom, in order."""
    return WorkHistoryOut(items=[WorkEntryOut.model_validate(one) for one in await call.services.work_orders.history(_id(call))])


@routes.op(
    "POST", "/v1/work-orders", needs=Permission.HEALTH_MANAGE, status=201, problems=(NotFound, Forbidden, Overloaded), repeatable=True
)
async def open_work_order(call: Call, body: WorkOrderIn) -> WorkOrderOut:
    """Ask a maintainer to repair something. Its clocks begin to run."""
    devices = [DeviceId(one) for one in body.devices]
    wish = Order(body.what, devices, body.incident, body.maintainer, body.severity)
    proposed = await call.services.work_orders.propose(wish)
    must_reach(call.caller.key, proposed.devices, call.services.city)
    return _shown(call, await call.services.work_orders.open(proposed, by=call.caller.person))


@routes.op("POST", "/v1/work-orders/{work_order_id}/accept", needs=Permission.HEALTH_MANAGE, problems=_REFUSALS, repeatable=True)
async def accept_work_order(call: Call, body: WorkDeedIn) -> WorkOrderOut:
    """The maintainer has taken it; the response clock stops."""
    return await _act(call, WorkAct.ACCEPT, body.comment, body.technician)


@routes.op("POST", "/v1/work-orders/{work_order_id}/on-site", needs=Permission.HEALTH_MANAGE, problems=_REFUSALS, repeatable=True)
async def arrive_for_work_order(call: Call, body: WorkDeedIn) -> WorkOrderOut:
    """Somebody is there."""
    return await _act(call, WorkAct.ARRIVE, body.comment, body.technician)


@routes.op("POST", "/v1/work-orders/{work_order_id}/repaired", needs=Permission.HEALTH_MANAGE, problems=_REFUSALS, repeatable=True)
async def repair_work_order(call: Call, body: WorkReasonIn) -> WorkOrderOut:
    """It is repaired; the comment is the closing note, and the repair clock stops."""
    return await _act(call, WorkAct.REPAIR, body.comment)


@routes.op("POST", "/v1/work-orders/{work_order_id}/send-back", needs=Permission.HEALTH_MANAGE, problems=_REFUSALS, repeatable=True)
async def send_work_order_back(call: Call, body: WorkReasonIn) -> WorkOrderOut:
    """It is not repaired after all; the repair clock runs on."""
    return await _act(call, WorkAct.SEND_BACK, body.comment)


@routes.op("POST", "/v1/work-orders/{work_order_id}/close", needs=Permission.HEALTH_MANAGE, problems=_REFUSALS, repeatable=True)
async def close_work_order(call: Call, body: WorkDeedIn) -> WorkOrderOut:
    """The repair was looked at and is good."""
    return await _act(call, WorkAct.CLOSE, body.comment)


@routes.op("POST", "/v1/work-orders/{work_order_id}/cancel", needs=Permission.HEALTH_MANAGE, problems=_REFUSALS, repeatable=True)
async def cancel_work_order(call: Call, body: WorkReasonIn) -> WorkOrderOut:
    """It need not be repaired."""
    return await _act(call, WorkAct.CANCEL, body.comment)


@routes.op("POST", "/v1/work-orders/{work_order_id}/pause", needs=Permission.HEALTH_MANAGE, problems=_REFUSALS, repeatable=True)
async def pause_work_order(call: Call, body: WorkReasonIn) -> WorkOrderOut:
    """Let both clocks stand: nobody can do anything now."""
    return await _act(call, WorkAct.PAUSE, body.comment)


@routes.op("POST", "/v1/work-orders/{work_order_id}/resume", needs=Permission.HEALTH_MANAGE, problems=_REFUSALS, repeatable=True)
async def resume_work_order(call: Call, body: WorkDeedIn) -> WorkOrderOut:
    """Let the clocks run on."""
    return await _act(call, WorkAct.RESUME, body.comment)


@routes.op("POST", "/v1/work-orders/{work_order_id}/comment", needs=Permission.HEALTH_MANAGE, problems=_REFUSALS, repeatable=True)
async def comment_on_work_order(call: Call, body: WorkReasonIn) -> WorkOrderOut:
    """Put a comment on record."""
    return await _act(call, WorkAct.COMMENT, body.comment)


@routes.op(
    "POST", "/v1/work-orders/{work_order_id}/pictures", needs=Permission.HEALTH_MANAGE, takes=PICTURE, problems=_REFUSALS, repeatable=True
)
async def add_work_order_picture(call: Call, content: bytes) -> WorkOrderOut:
    """Put a picture on record: JPEG or PNG, told by its own bytes, kept under its hash; the same picture once."""
    await _must_reach(call)
    return _shown(call, await call.services.work_orders.add_picture(_id(call), content, source="upload", by=call.caller.person))


@routes.op(
    "POST",
    "/v1/work-orders/{work_order_id}/captures",
    needs=Permission.HEALTH_MANAGE,
    problems=(*_REFUSALS, DeviceError),
    repeatable=True,
)
async def capture_for_work_order(call: Call, body: WorkCaptureIn) -> WorkOrderOut:
    """Put on record what a camera shows now: the one that was repaired, or one that sees it. Needs `control:act` as well."""
    allowed(call.caller, Permission.CONTROL_ACT)
    camera = call.services.city.devices.get(DeviceId(body.camera))
    if camera is None or camera.kind is not DeviceKind.CAMERA:
        raise InvalidInput("The body is not right.", faults=[Fault("/camera", f"there is no camera {body.camera[:64]!r}")])
    await _must_reach(call)
    must_reach(call.caller.key, [camera.id], call.services.city)
    by = call.caller.person
    capture = await call.services.captures.take(camera.id, profile=None, case=_id(call), actor=by.actor)
    order = await call.services.work_orders.add_picture(_id(call), capture.picture, source=f"capture:{camera.id}", by=by)
    return _shown(call, order)


@routes.op("GET", "/v1/work-orders/{work_order_id}/pictures/{sha256}", needs=Permission.HEALTH_READ, answers=PICTURE, problems=(NotFound,))
async def read_work_order_picture(call: Call) -> web.Response:
    """A picture as it came."""
    data, media_type = await call.services.work_orders.picture(_id(call), call.path("sha256"))
    return content_reply(data, content_type=media_type)


async def _found(call: Call, query: WorkOrderFilter, *, before: tuple[Any, WorkOrderId] | None, limit: int) -> "list[WorkOrder]":
    desk = call.services.work_orders
    overdue = [order.id for order in desk.overdue][:EXPORT_AT_MOST] if query.overdue else None
    wanted = WantedOrders(
        states=query.state,
        severities=query.severity,
        maintainer=query.maintainer,
        incident=query.incident,
        device=DeviceId(query.device) if query.device is not None else None,
        ids=overdue,
    )
    found = list(await desk.page(wanted, before=before, limit=limit))
    if overdue is not None:
        found.sort(key=lambda order: overdue.index(order.id))
    return found


async def _act(call: Call, act: WorkAct, comment: str, technician: str = "") -> WorkOrderOut:
    await _must_reach(call)
    return _shown(call, await call.services.work_orders.act(_id(call), Deed(act, comment, technician), by=call.caller.person))


async def _must_reach(call: Call) -> None:
    must_reach(call.caller.key, (await call.services.work_orders.get(_id(call))).devices, call.services.city)


def _shown(call: Call, order: WorkOrder) -> WorkOrderOut:
    return WorkOrderOut.model_validate(call.services.work_orders.told(order))


def _id(call: Call) -> WorkOrderId:
    return WorkOrderId(call.path("work_order_id"))
