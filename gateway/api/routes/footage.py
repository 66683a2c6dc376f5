"""Footage requests: filed by one person, decided by another, fetched, and handed over on record."""

import base64
from typing import Any

from aiohttp import web
from pydantic import Field

from gateway.api.models import Ident, Input, Instant, Line, OptionalLine, Output, Page, PageQuery, Text
from gateway.api.paging import moment_cursor, to_cursor
from gateway.api.routing import Call, Media, Routes
from gateway.api.scopes import must_reach
from gateway.domain.access import Permission
from gateway.domain.devices import CellCode, DeviceId, GroupId
from gateway.domain.footage import (
    DELIVERABLE,
    CustodyEntry,
    Dossier,
    Export,
    ExportState,
    Filing,
    FootageFile,
    FootageRequest,
    FootageState,
    Period,
    Person,
    RequestId,
    Urgency,
)
from gateway.errors import Conflict, Forbidden, NotFound

routes = Routes("footage", "Original footage for those who may have it, with its chain of custody.")

_WRONG_TIME = (NotFound, Conflict)
MANIFEST = "manifest.json"
_NOT_WORDS = {"start", "end", "cameras", "groups", "cells"}
_KEPT = ("id", "state", "reason", "submitted_at", "decided_at", "note", "changed_at", "ready_at")


class FilingIn(Input):
    """A request with all that the register (登记表) needs. The place is named by cameras, camera groups or grid cells."""

    requester: Line
    unit: Line
    badge: Line
    second_officer: Line = Field(description="Two officers come; this one is not the requester.")
    case_number: Line
    case_kind: Ident = Field(description="A code of GET /v1/footage-register.")
    legal_basis: Ident = Field(description="A code of GET /v1/footage-register.")
    authorising_document: Line = Field(description="The number of the 调取证据通知书 or of the unit's letter.")
    approval_letter: OptionalLine = ""
    purpose: Text = Field(min_length=1)
    destination: Text = Field(min_length=1)
    urgency: Urgency = Urgency.NORMAL
    cameras: list[Ident] = Field(default=[], max_length=200)
    groups: list[Ident] = Field(default=[], max_length=200)
    cells: list[Ident] = Field(default=[], max_length=200)
    start: Instant
    end: Instant


class NoteIn(Input):
    """What the person who does it wants kept."""

    note: Text = ""


class ReceiverIn(Input):
    """To whom the footage goes."""

    receiver: Line


class PersonOut(Output):
    """Who did it: the human, and the key on record."""

    name: str
    actor: str


class PeriodOut(Output):
    """From `start` to `end`, half open, on the true clock."""

    start: Instant
    end: Instant


class RequestOut(Output):
    """A footage request."""

    id: str
    state: FootageState
    reason: str = Field(description="Why it is where it is.")
    requester: str
    unit: str
    badge: str
    second_officer: str
    case_number: str
    case_kind: str
    legal_basis: str
    authorising_document: str
    approval_letter: str
    purpose: str
    destination: str
    urgency: Urgency
    start: Instant
    end: Instant
    cameras: list[str] = Field(description="The place, resolved to cameras when the request was filed.")
    submitted_by: PersonOut
    submitted_at: Instant
    decided_by: PersonOut | None
    decided_at: Instant | None
    note: str = Field(description="What was said with the decision.")
    changed_at: Instant | None
    ready_at: Instant | None


class CoverageOut(Output):
    """What one camera's recorder has of the window, and what was obtained of it."""

    camera: str
    recorder: str
    state: ExportState
    reason: str
    clock_offset_s: float | None = Field(description="The recorder's clock less the true one; null when it was never measured.")
    recorded: list[PeriodOut]
    obtained: list[PeriodOut]
    gaps: list[PeriodOut]


class FileOut(Output):
    """A finished file, its bytes as the camera made them."""

    name: str
    camera: str
    number: int
    sha256: str
    size: int
    frames: int
    damaged: int
    start: Instant
    end: Instant
    created_at: Instant
    downloads: int
    removed: bool


class CustodyOut(Output):
    """A line of the custody log."""

    number: int
    step: str
    by: PersonOut
    at: Instant
    detail: dict[str, Any]


class DossierOut(RequestOut):
    """A request with everything that came of it."""

    coverage: list[CoverageOut]
    files: list[FileOut]
    custody: list[CustodyOut]


class RequestPage(Page[RequestOut]):
    """One page of requests, newest first."""


class CoverageList(Output):
    """What was recorded, camera by camera."""

    items: list[CoverageOut]


class EvidenceOut(FileOut):
    """A file with the request that it was fetched for."""

    request: str
    case_number: str


class EvidencePage(Page[EvidenceOut]):
    """The files of one page of requests, newest request first."""


class RegisterOut(Output):
    """The maintained lists: code to wording."""

    case_kinds: dict[str, str]
    legal_bases: dict[str, str]


class RequestQuery(PageQuery):
    """Which requests."""

    state: FootageState | None = None
    case_number: str | None = Field(default=None, max_length=200)


# -- filing and deciding ----------------------------------------------------------------------------------------------


@routes.op("GET", "/v1/footage-register", needs=Permission.FOOTAGE_READ)
async def read_footage_register(call: Call) -> RegisterOut:
    """The kinds of case and legal bases that a request may name."""
    register = call.services.footage.register
    return RegisterOut(case_kinds=dict(register.case_kinds), legal_bases=dict(register.legal_bases))


@routes.op("POST", "/v1/footage-requests", needs=Permission.FOOTAGE_REQUEST, status=201, problems=(Forbidden,), repeatable=True)
async def submit_footage_request(call: Call, body: FilingIn) -> RequestOut:
    """File a request; another person has to approve it."""
    filing = _filing(body)
    _must_reach(call, filing)
    return _request(await call.services.footage.submit(filing, by=_person(call)))


@routes.op("POST", "/v1/footage-requests/{request_id}/approve", needs=Permission.FOOTAGE_APPROVE, problems=_WRONG_TIME, repeatable=True)
async def approve_footage_request(call: Call, body: NoteIn) -> RequestOut:
    """Let the footage be fetched. Whoever approves is none of those who ask."""
    return _request(await call.services.footage.approve(_id(call), by=_person(call), note=body.note))


@routes.op("POST", "/v1/footage-requests/{request_id}/reject", needs=Permission.FOOTAGE_APPROVE, problems=_WRONG_TIME, repeatable=True)
async def reject_footage_request(call: Call, body: NoteIn) -> RequestOut:
    """Refuse it; `note` says why and may not be empty."""
    return _request(await call.services.footage.reject(_id(call), by=_person(call), note=body.note))


@routes.op("POST", "/v1/footage-requests/{request_id}/cancel", needs=Permission.FOOTAGE_REQUEST, problems=_WRONG_TIME, repeatable=True)
async def cancel_footage_request(call: Call, body: NoteIn) -> RequestOut:
    """Withdraw it; what was fetched for it is removed."""
    return _request(await call.services.footage.cancel(_id(call), by=_person(call), note=body.note))


@routes.op("POST", "/v1/footage-requests/{request_id}/retry", needs=Permission.FOOTAGE_REQUEST, problems=_WRONG_TIME, repeatable=True)
async def retry_footage_request(call: Call) -> RequestOut:
    """Fetch again what a failed or partial request still lacks."""
    return _request(await call.services.footage.retry(_id(call), by=_person(call)))


@routes.op("POST", "/v1/footage-requests/{request_id}/hand-over", needs=Permission.FOOTAGE_DOWNLOAD, problems=_WRONG_TIME, repeatable=True)
async def hand_over_footage(call: Call, body: ReceiverIn) -> RequestOut:
    """Record that the footage was handed to somebody."""
    return _request(await call.services.footage.hand_over(_id(call), by=_person(call), receiver=body.receiver))


# -- looking ----------------------------------------------------------------------------------------------------------


@routes.op("GET", "/v1/footage-requests", needs=Permission.FOOTAGE_READ)
async def list_footage_requests(call: Call, query: RequestQuery) -> RequestPage:
    """Requests, newest first."""
    found, following = await _find(call, query)
    return RequestPage(items=[_request(request) for request in found], next=following)


@routes.op("GET", "/v1/footage-requests/{request_id}", needs=Permission.FOOTAGE_READ, problems=(NotFound,))
async def read_footage_request(call: Call) -> DossierOut:
    """One request with its coverage, files and custody log."""
    return _dossier(await call.services.footage.dossier(_id(call)))


@routes.op("GET", "/v1/footage-requests/{request_id}/coverage", needs=Permission.FOOTAGE_READ, problems=(NotFound,))
async def read_footage_coverage(call: Call) -> CoverageList:
    """What was recorded of the window and what was not, camera by camera."""
    dossier = await call.services.footage.dossier(_id(call))
    return CoverageList(items=[_coverage(export) for export in dossier.exports])


@routes.op("GET", "/v1/evidence", needs=Permission.FOOTAGE_READ)
async def list_evidence(call: Call, query: RequestQuery) -> EvidencePage:
    """The files that are kept, request by request, newest first; a page holds the files of `limit` requests."""
    found, following = await _find(call, query)
    dossiers = [await call.services.footage.dossier(request.id) for request in found if request.state in DELIVERABLE]
    items = [
        EvidenceOut(**_file(file).model_dump(), request=dossier.request.id, case_number=dossier.request.filing.case_number)
        for dossier in dossiers
        for file in dossier.files
    ]
    return EvidencePage(items=items, next=following)


# -- downloading ------------------------------------------------------------------------------------------------------


@routes.op(
    "GET",
    "/v1/footage-requests/{request_id}/files/{name}",
    needs=Permission.FOOTAGE_DOWNLOAD,
    answers=Media(("video/mp4", "application/json")),
    head=False,
    problems=(NotFound, Conflict, Forbidden),
    headers={"Range": "Part of the file (RFC 9110, section 14); each call counts as a download."},
)
async def download_footage(call: Call) -> web.StreamResponse:
    """One file, to the person who filed the request. Each call is counted and goes into the custody log before the first byte."""
    return await _download(call, call.path("name"))


@routes.op(
    "GET",
    "/v1/footage-requests/{request_id}/manifest",
    needs=Permission.FOOTAGE_DOWNLOAD,
    answers=Media(("application/json",)),
    head=False,
    problems=(NotFound, Conflict, Forbidden),
)
async def download_manifest(call: Call) -> web.StreamResponse:
    """What goes with the files: case, people, devices and their clocks, times, gaps and digests."""
    return await _download(call, MANIFEST)


async def _download(call: Call, name: str) -> web.StreamResponse:
    footage, request = call.services.footage, _id(call)
    owner = (await footage.dossier(request)).request.submitted_by
    if owner.actor != call.caller.actor:
        hint = f"{owner.name} filed it and may download it."
        raise Forbidden("Footage goes to the person who filed the request.", code="not-yours", hint=hint)
    file = await footage.download(request, name, by=_person(call))
    kind = "application/json" if name == MANIFEST else "video/mp4"
    headers = {
        "Content-Type": kind,
        "Content-Disposition": f'attachment; filename="{file.name}"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    if file.sha256:
        headers["Repr-Digest"] = f"sha-256=:{base64.b64encode(bytes.fromhex(file.sha256)).decode()}:"  # RFC 9530
    return web.FileResponse(file.path, headers=headers)


# -- in our words -----------------------------------------------------------------------------------------------------


async def _find(call: Call, query: RequestQuery) -> tuple[list[FootageRequest], str | None]:
    place = moment_cursor(query)
    before = None if place is None else (place[0], RequestId(place[1]))
    found = await call.services.footage.find(state=query.state, case_number=query.case_number or "", before=before, limit=query.limit + 1)
    if len(found) <= query.limit:
        return found, None
    last = found[query.limit - 1]
    return found[: query.limit], to_cursor([last.submitted_at.isoformat(), last.id], query)


def _must_reach(call: Call, filing: Filing) -> None:
    city = call.services.city
    placed = [device.id for cell in filing.cells for device in city.in_cell(cell)]
    grouped = [device.id for group in filing.groups for device in city.in_group(group)]
    must_reach(call.caller.key, [*filing.cameras, *placed, *grouped], city)


def _id(call: Call) -> RequestId:
    return RequestId(call.path("request_id"))


def _person(call: Call) -> Person:
    return Person(call.caller.actor, call.caller.name)


def _filing(body: FilingIn) -> Filing:
    told = body.model_dump(exclude=_NOT_WORDS)
    return Filing(
        **told,
        window=Period(body.start, body.end),
        cameras=tuple(map(DeviceId, body.cameras)),
        groups=tuple(map(GroupId, body.groups)),
        cells=tuple(map(CellCode, body.cells)),
    )


def _request(request: FootageRequest) -> RequestOut:
    return RequestOut(**_told(request))


def _told(request: FootageRequest) -> dict[str, Any]:
    filing = request.filing
    words = {name: getattr(filing, name) for name in FilingIn.model_fields if name not in _NOT_WORDS}
    return {
        **words,
        **{name: getattr(request, name) for name in _KEPT},
        "start": filing.window.start,
        "end": filing.window.end,
        "cameras": list(request.cameras),
        "submitted_by": _shown(request.submitted_by),
        "decided_by": _shown(request.decided_by) if request.decided_by else None,
    }


def _dossier(dossier: Dossier) -> DossierOut:
    return DossierOut(
        **_told(dossier.request),
        coverage=[_coverage(export) for export in dossier.exports],
        files=[_file(file) for file in dossier.files],
        custody=[_custody(entry) for entry in dossier.custody],
    )


def _shown(person: Person) -> PersonOut:
    return PersonOut(name=person.name, actor=str(person.actor))


def _coverage(export: Export) -> CoverageOut:
    return CoverageOut(
        camera=export.camera,
        recorder=export.recorder,
        state=export.state,
        reason=export.reason,
        clock_offset_s=None if export.offset is None else export.offset.total_seconds(),
        recorded=[_period(period) for period in export.coverage],
        obtained=[_period(period) for period in export.obtained],
        gaps=[_period(period) for period in export.gaps],
    )


def _period(period: Period) -> PeriodOut:
    return PeriodOut(start=period.start, end=period.end)


def _file(file: FootageFile) -> FileOut:
    same = {name: getattr(file, name) for name in FileOut.model_fields if name not in {"start", "end"}}
    return FileOut(**same, start=file.period.start, end=file.period.end)


def _custody(entry: CustodyEntry) -> CustodyOut:
    return CustodyOut(number=entry.number, step=entry.step, by=_shown(entry.by), at=entry.at, detail=dict(entry.detail))
