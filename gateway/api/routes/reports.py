"""Reports of availability, and the excuses that their adjusted figures leave out."""

import json
import re
from datetime import date
from typing import Annotated, Any

from aiohttp import web
from pydantic import BeforeValidator, Field

from gateway.api.models import Ident, Input, Instant, Line, OptionalLine, Output, Page, PageQuery, Text
from gateway.api.paging import moment_cursor, to_cursor
from gateway.api.replies import attachment, content_reply, json_bytes
from gateway.api.routing import Call, Media, Routes
from gateway.api.scopes import must_reach
from gateway.domain.access import Permission
from gateway.domain.devices import CellCode, DeviceId, GroupId
from gateway.domain.excuses import Decision, Excuse, ExcuseId, ExcusePlaces, ExcuseState
from gateway.errors import Conflict, Fault, Forbidden, InvalidInput, NotFound, Overloaded
from gateway.reports.page import file_name
from gateway.reports.report import By
from gateway.reports.sheet import TABLES
from gateway.reports.telling import report_json
from gateway.reports.wording import Language

routes = Routes("reports", "How available the city was, raw and adjusted side by side, and what was left out and why.")

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
HTML = "text/html"
_NOTHING_LOADED = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def _must_be_day(value: object) -> object:
    if isinstance(value, str) and not _DAY.fullmatch(value):
        raise ValueError("must be a day of the site's calendar, such as 2026-10-01")
    return value


Day = Annotated[date, BeforeValidator(_must_be_day)]


class ReportQuery(Input):
    """Which days, and by what they are parted."""

    first: Day = Field(alias="from", description="The first day, by the site's calendar.")
    last: Day = Field(alias="to", description="The last day; it is counted, too.")
    by: By = By.DISTRICT
    limit: int = Field(default=1000, ge=1, le=10_000, description="At most so many rows; `more` says how many were left out.")


class LanguageQuery(Input):
    """In which language."""

    lang: Language = Language.BOTH
    by: By = Field(default=By.DISTRICT, description="By what the page parts the city; the spreadsheet has every way.")


class BothOut(Output):
    """A share from 0 to 1, as it was and without what is excused; null where nothing was measured."""

    raw: float | None
    adjusted: float | None


class TallyOut(Output):
    """The time that counts, in seconds, and the outages in it."""

    up_s: float
    degraded_s: float
    down_s: float
    outages: int
    longest_outage_s: float
    mtbf_s: float | None
    mttr_s: float | None


class FiguresOut(Output):
    """What was measured. The formulas stand in the report."""

    devices: int
    online: BothOut = Field(description="在线率")
    intact: BothOut = Field(description="完好率")
    time_sync: float | None = Field(description="校时合格率")
    picture: float | None = Field(description="图像质量")
    recording: BothOut = Field(description="录像完整率")
    raw: TallyOut
    adjusted: TallyOut
    unknown_s: float
    maintenance_s: float
    excused_s: float


class RowOut(FiguresOut):
    """The figures of one device, group, district and so on."""

    key: str
    name: str
    place: str


class ReportSpanOut(Output):
    """From `start` until before `end`."""

    start: Instant
    end: Instant


class MaintainedOut(Output):
    """A maintenance window as far as it lies in the report."""

    id: str
    reason: str
    created_by: str
    created_at: Instant
    devices: int
    spans: list[ReportSpanOut]


class ExcusedOut(Output):
    """An approved excuse that touches the report."""

    id: str
    kind: str
    reason: str
    evidence: str
    incident: str
    start: Instant
    end: Instant
    devices: int
    proposed_by: str
    approved_by: str | None
    approved_at: Instant | None


class FormulaOut(Output):
    """How an indicator is worked out."""

    indicator: str
    zh: str
    en: str


class ReportOut(Output):
    """A report of availability."""

    first: date
    last: date
    timezone: str
    start: Instant
    end: Instant = Field(description="Where the figures end: that of the last day, or when it was made.")
    made_at: Instant
    by: By
    out_of_service: int = Field(description="Devices that are not enabled; they are not counted.")
    whole: FiguresOut
    rows: list[RowOut]
    more: int
    kinds: list[RowOut]
    worst: list[RowOut] = Field(description="The devices that were down longest where nothing excuses it.")
    maintenance: list[MaintainedOut]
    excuses: list[ExcusedOut]
    blind: list[ReportSpanOut] = Field(description="When the gateway itself did not look.")
    formulas: list[FormulaOut]


@routes.op("GET", "/v1/health/reports", needs=Permission.HEALTH_READ, answers=ReportOut, problems=(InvalidInput, Overloaded))
async def read_report(call: Call, query: ReportQuery) -> web.Response:
    """The availability of any days of the last 24 months, parted by district, group, vendor and so on."""
    reports = call.services.reports
    report = await reports.report(query.first, query.last, query.by)
    body = await reports.aside(lambda: json.dumps(report_json(report, limit=query.limit), ensure_ascii=False).encode())
    return json_bytes(body)


@routes.op(
    "GET",
    "/v1/health/reports/monthly/{month}.xlsx",
    needs=Permission.HEALTH_READ,
    answers=Media((XLSX,)),
    problems=(InvalidInput, Overloaded),
)
async def read_monthly_sheet(call: Call, query: LanguageQuery) -> web.Response:
    """A month as a spreadsheet: by district, kind, vendor, model, maintainer, group and device."""
    reports = call.services.reports
    report = await reports.month(_month(call), query.by, also=TABLES)
    return attachment(await reports.sheet(report, query.lang), name=file_name(report, "xlsx"), content_type=XLSX)


@routes.op(
    "GET",
    "/v1/health/reports/monthly/{month}.html",
    needs=Permission.HEALTH_READ,
    answers=Media((HTML,)),
    problems=(InvalidInput, Overloaded),
)
async def read_monthly_page(call: Call, query: LanguageQuery) -> web.Response:
    """A month as a page that prints on A4, in Chinese, in English or in both."""
    reports = call.services.reports
    report = await reports.month(_month(call), query.by)
    return page_reply(await reports.page(report, query.lang))


def page_reply(page: str) -> web.Response:
    """A page that loads nothing and runs nothing."""
    reply = content_reply(page.encode(), content_type=HTML, headers={"Content-Security-Policy": _NOTHING_LOADED})
    reply.charset = "utf-8"
    return reply


def _month(call: Call) -> date:
    text = call.path("month")
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", text, re.ASCII) or not "1970" <= text < "9999":
        raise InvalidInput("There is no such month.", faults=[Fault("/month", "must be a month such as 2026-10")], code="bad-period")
    return date(int(text[:4]), int(text[5:]), 1)


# -- excuses


class ExcuseIn(Input):
    """Why time in which devices were down shall be left out of the adjusted figures, and what shows it."""

    kind: Ident = Field(description="A code of GET /v1/health/excuse-kinds.")
    devices: list[Ident] = Field(default=[], max_length=1000)
    groups: list[Ident] = Field(default=[], max_length=1000)
    cells: list[Ident] = Field(default=[], max_length=1000)
    districts: list[Line] = Field(default=[], max_length=100)
    start: Instant
    end: Instant
    reason: Text = Field(min_length=1)
    evidence: OptionalLine = Field(default="", description="What shows it: the number of a letter, the name of a file.")
    incident: OptionalLine = Field(default="", max_length=64, description="Or the incident that it was.")


class ExcuseNoteIn(Input):
    """What whoever decides wants kept."""

    note: Text = ""


class ExcuseOut(Output):
    """An excuse."""

    id: str
    state: ExcuseState
    kind: str
    devices: list[str]
    groups: list[str]
    cells: list[str]
    districts: list[str]
    start: Instant
    end: Instant
    reason: str
    evidence: str
    incident: str
    proposed_by: str
    proposed_at: Instant
    decided_by: str | None
    decided_at: Instant | None
    note: str


class ExcusePage(Page[ExcuseOut]):
    """One page of excuses, the newest first."""


class ExcuseQuery(PageQuery):
    """Which excuses."""

    state: ExcuseState | None = None


class ExcuseKindOut(Output):
    """What may excuse an outage."""

    code: str
    zh: str
    en: str


class ExcuseKindsOut(Output):
    """The maintained list."""

    items: list[ExcuseKindOut]


@routes.op("GET", "/v1/health/excuse-kinds", needs=Permission.HEALTH_READ)
async def list_excuse_kinds(call: Call) -> ExcuseKindsOut:
    """The kinds that an excuse may name, as the operator keeps them."""
    kinds = call.services.reports.kinds
    return ExcuseKindsOut(items=[ExcuseKindOut(code=code, zh=words.zh, en=words.en) for code, words in kinds.items()])


@routes.op("GET", "/v1/health/excuses", needs=Permission.HEALTH_READ)
async def list_excuses(call: Call, query: ExcuseQuery) -> ExcusePage:
    """Excuses, the newest first."""
    place = moment_cursor(query)
    before = (place[0], ExcuseId(place[1])) if place else None
    async with call.services.store.read() as tx:
        found = await tx.excuses.find(state=query.state, before=before, limit=query.limit + 1)
    more = len(found) > query.limit
    last = found[query.limit - 1] if more else None
    following = to_cursor([last.proposed_at.isoformat(), last.id], query) if last else None
    return ExcusePage(items=[_excuse(one) for one in found[: query.limit]], next=following)


@routes.op("GET", "/v1/health/excuses/{excuse_id}", needs=Permission.HEALTH_READ, problems=(NotFound,))
async def read_excuse(call: Call) -> ExcuseOut:
    """One excuse."""
    async with call.services.store.read() as tx:
        return _excuse(await tx.excuses.get(ExcuseId(call.path("excuse_id"))))


@routes.op("POST", "/v1/health/excuses", needs=Permission.HEALTH_MANAGE, status=201, problems=(InvalidInput, Forbidden), repeatable=True)
async def propose_excuse(call: Call, body: ExcuseIn) -> ExcuseOut:
    """Propose that time be left out of the adjusted figures. Somebody else decides."""
    places = ExcusePlaces(
        frozenset(map(DeviceId, body.devices)),
        frozenset(map(GroupId, body.groups)),
        frozenset(map(CellCode, body.cells)),
        frozenset(body.districts),
    )
    _must_be_there(call, body)
    _must_reach(call, places)
    proposed = await call.services.reports.propose(
        kind=body.kind,
        places=places,
        start=body.start,
        end=body.end,
        reason=body.reason,
        evidence=body.evidence,
        incident=body.incident,
        by=call.caller.person,
    )
    return _excuse(proposed)


@routes.op(
    "POST",
    "/v1/health/excuses/{excuse_id}/approve",
    needs=Permission.HEALTH_MANAGE,
    problems=(NotFound, Forbidden, Conflict),
    repeatable=True,
)
async def approve_excuse(call: Call, body: ExcuseNoteIn) -> ExcuseOut:
    """Let it count. Not for whoever proposed it."""
    return await _decide(call, Decision.APPROVE, body.note)


@routes.op(
    "POST",
    "/v1/health/excuses/{excuse_id}/reject",
    needs=Permission.HEALTH_MANAGE,
    problems=(NotFound, Forbidden, Conflict),
    repeatable=True,
)
async def reject_excuse(call: Call, body: ExcuseNoteIn) -> ExcuseOut:
    """Let it not count, or no longer. Not for whoever proposed it."""
    return await _decide(call, Decision.REJECT, body.note)


async def _decide(call: Call, decision: Decision, note: str) -> ExcuseOut:
    excuse_id = ExcuseId(call.path("excuse_id"))
    async with call.services.store.read() as tx:
        _must_reach(call, (await tx.excuses.get(excuse_id)).places)
    return _excuse(await call.services.reports.decide(excuse_id, decision, by=call.caller.person, note=note))


def _must_be_there(call: Call, body: ExcuseIn) -> None:
    """Faults for devices, groups and cells that the inventory does not have: a slip of the pen would excuse nothing, unseen."""
    city = call.services.city
    known: tuple[tuple[str, list[str], Any], ...] = (
        ("devices", body.devices, city.devices),
        ("groups", body.groups, city.groups),
        ("cells", body.cells, city.cells),
        ("districts", body.districts, {group.district for group in city.groups.values()} | {cell.district for cell in city.cells.values()}),
    )
    faults = [
        Fault(f"/{name}/{at}", "is not in the inventory", "not-in-inventory")
        for name, named, there in known
        for at, one in enumerate(named)
        if one not in there
    ]
    if faults:
        raise InvalidInput("The excuse is not right.", faults=faults, code="bad-excuse")


def _must_reach(call: Call, places: ExcusePlaces) -> None:
    city = call.services.city
    if call.caller.key is not None and call.caller.key.scopes:
        must_reach(call.caller.key, (device.id for device in city.devices.values() if places.cover(device, city)), city)


def _excuse(excuse: Excuse) -> ExcuseOut:
    places = excuse.places
    return ExcuseOut(
        id=excuse.id,
        state=excuse.state,
        kind=excuse.kind,
        devices=sorted(places.devices),
        groups=sorted(places.groups),
        cells=sorted(places.cells),
        districts=sorted(places.districts),
        start=excuse.start,
        end=excuse.end,
        reason=excuse.reason,
        evidence=excuse.evidence,
        incident=excuse.incident,
        proposed_by=excuse.proposed_by.name,
        proposed_at=excuse.proposed_at,
        decided_by=excuse.decided_by.name if excuse.decided_by else None,
        decided_at=excuse.decided_at,
        note=excuse.note,
    )
