"""Footage requests: filed by one person, decided by another, fetched, and handed over on record."""

import asyncio
import functools
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Self

from aiohttp import web
from pydantic import Field, model_validator

from gateway.api.byte_ranges import Part, part_of
from gateway.api.byte_ranges import headers as range_headers
from gateway.api.models import Ident, Input, Instant, Line, OptionalLine, Output, Page, PageQuery, Text
from gateway.api.orders import CircleIn, PointIn
from gateway.api.paging import moment_cursor, number_cursor, to_cursor
from gateway.api.routing import Call, Media, Routes, allowed
from gateway.api.scopes import must_reach, reaches
from gateway.api.sending import KINDS, attachment, pieces_of, send
from gateway.domain.access import Permission
from gateway.domain.broadcast import Circle
from gateway.domain.devices import CellCode, DeviceId, GroupId
from gateway.domain.events import Actor, Person
from gateway.domain.footage import (
    DELIVERABLE,
    OPTIONAL_FIELDS,
    REGISTER_FIELDS,
    CustodyEntry,
    Direction,
    Dossier,
    Emergency,
    Export,
    ExportState,
    Filing,
    FootageFile,
    FootageRequest,
    FootageState,
    Period,
    RequesterKind,
    RequestId,
    Route,
    Search,
    Urgency,
    missing,
)
from gateway.domain.handover import Span
from gateway.errors import Conflict, Forbidden, InvalidInput, NotFound
from gateway.evidence import archive
from gateway.evidence.contents import MANIFEST
from gateway.footage.progress import Progress

routes = Routes("footage", "Original footage for those who may have it, with its chain of custody.")

_WRONG_TIME = (NotFound, Conflict)
_SHOWN = 4  # letters of an identity card's number
_SAME = (*REGISTER_FIELDS, *OPTIONAL_FIELDS, "kind", "urgency", "emergency")
_KEPT = (
    *("id", "state", "outcome", "reason", "submitted_at", "decided_at", "note", "changed_at", "ready_at"),
    *("papers_due_at", "papers_at", "owing"),
)


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


class NoteIn(Input):
    """What the person who does it wants kept."""

    note: Text = ""


class ViewedIn(NoteIn):
    """What came of looking at it here."""

    found_something: bool


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


class WindowOut(PeriodOut):
    """What is wanted of one camera."""

    camera: str


class SoughtOut(WindowOut):
    """A camera that a place means."""

    name: str
    recorded: bool = Field(description="A recorder keeps its footage; else a copy is to be had from its card or by hand at the most.")
    within_reach: bool = Field(description="Your key may ask for it.")


class FaultOut(Output):
    """What is wrong, as filing would tell it."""

    pointer: str
    detail: str


class PreviewOut(Output):
    """What a place and a time mean."""

    cameras: list[SoughtOut]
    faults: list[FaultOut]


class RequestOut(Output):
    """A footage request."""

    id: str
    state: FootageState
    outcome: FootageState | None = Field(description="The last state that told what came of it; it stays when the files are gone.")
    reason: str = Field(description="Why it is where it is.")
    kind: RequesterKind
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
    contact: str
    missing: list[str] = Field(description="The fields of the register that are to be filled in before anything is handed over.")
    urgency: Urgency
    emergency: Emergency | None
    papers_due_at: Instant | None = Field(description="In an emergency, until when the papers may follow.")
    papers_at: Instant | None
    owing: bool = Field(description="It went ahead in an emergency, and a second person's word or the papers have not followed.")
    start: Instant
    end: Instant
    tolerance_s: float
    address: str
    cameras: list[str] = Field(description="The place, resolved to cameras when the request was filed.")
    windows: list[WindowOut] = Field(description="What is wanted of each camera: the window with its tolerance, moved along a route.")
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


class ProgressOut(Output):
    """How far the fetching of one camera's footage is."""

    camera: str
    done_s: float = Field(description="Seconds of footage that are on the disk.")
    whole_s: float = Field(description="Seconds of footage that its recorder has of the window.")
    size: int = Field(description="Bytes so far.")
    bytes_per_s: float | None = Field(description="Measured over the last seconds; null while it is not known.")
    left_s: float | None = Field(description="How long the rest will take at the speed measured; null while it is not known.")


class DossierOut(RequestOut):
    """A request with everything that came of it. `progress`: of the cameras whose footage is being fetched at this moment."""

    progress: list[ProgressOut]
    coverage: list[CoverageOut]
    files: list[FileOut]
    custody: list[CustodyOut] = Field(description="The newest 200 lines; `…/custody` has all, page by page.")


class RequestPage(Page[RequestOut]):
    """One page of requests, newest first."""


class CustodyPage(Page[CustodyOut]):
    """One page of the custody log, in order."""


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
    """Which requests; texts are parts of words."""

    state: FootageState | None = None
    case_number: str | None = Field(default=None, max_length=200)
    q: str = Field(default="", max_length=100, description="In requester, unit, numbers, purpose, destination or place.")
    unit: str = Field(default="", max_length=100)
    person: str = Field(default="", max_length=100, description="Requester, second officer, who filed it or who decided.")
    camera: str | None = Field(default=None, max_length=128)
    kind: RequesterKind | None = None
    owing: bool = Field(default=False, description="Emergencies whose second person or papers have not followed.")
    since: Instant | None = Field(default=None, description="With `until`: what is wanted of a camera overlaps this time.")
    until: Instant | None = None

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.since is None) != (self.until is None):
            raise ValueError("since and until go together")
        return self

    def parsed(self) -> Search:
        return Search(
            states=(self.state,) if self.state else (),
            case_number=self.case_number or "",
            text=self.q.strip(),
            unit=self.unit.strip(),
            person=self.person.strip(),
            camera=DeviceId(self.camera) if self.camera else None,
            kind=self.kind,
            owing=self.owing,
            within=Period(self.since, self.until) if self.since is not None and self.until is not None else None,
        )


# -- filing and deciding ----------------------------------------------------------------------------------------------


@routes.op("GET", "/v1/footage-register", needs=Permission.FOOTAGE_READ)
async def read_footage_register(call: Call) -> RegisterOut:
    """The kinds of case and legal bases that a request may name."""
    register = call.services.footage.register
    return RegisterOut(case_kinds=dict(register.case_kinds), legal_bases=dict(register.legal_bases))


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
    return PreviewOut(cameras=cameras, faults=[FaultOut(pointer=fault.where, detail=fault.why) for fault in sought.faults])


@routes.op("POST", "/v1/footage-requests/{request_id}/approve", needs=Permission.FOOTAGE_APPROVE, problems=_WRONG_TIME, repeatable=True)
async def approve_footage_request(call: Call, body: NoteIn) -> RequestOut:
    """Let the footage be fetched. Whoever approves is none of those who ask."""
    return request_out(call, await call.services.footage.approve(await within(call), by=call.caller.person, note=body.note))


@routes.op("POST", "/v1/footage-requests/{request_id}/reject", needs=Permission.FOOTAGE_APPROVE, problems=_WRONG_TIME, repeatable=True)
async def reject_footage_request(call: Call, body: NoteIn) -> RequestOut:
    """Refuse it; `note` says why and may not be empty."""
    return request_out(call, await call.services.footage.reject(await within(call), by=call.caller.person, note=body.note))


@routes.op("POST", "/v1/footage-requests/{request_id}/confirm", needs=Permission.FOOTAGE_APPROVE, problems=_WRONG_TIME, repeatable=True)
async def confirm_footage_request(call: Call, body: NoteIn) -> RequestOut:
    """A second person's word for an emergency that went ahead without one."""
    return request_out(call, await call.services.footage.confirm(await within(call), by=call.caller.person, note=body.note))


@routes.op("POST", "/v1/footage-requests/{request_id}/revoke", needs=Permission.FOOTAGE_APPROVE, problems=_WRONG_TIME, repeatable=True)
async def revoke_footage_request(call: Call, body: NoteIn) -> RequestOut:
    """Take an emergency back: what was fetched for it is removed; `note` says why and may not be empty."""
    return request_out(call, await call.services.footage.revoke(await within(call), by=call.caller.person, note=body.note))


@routes.op("POST", "/v1/footage-requests/{request_id}/give-up", needs=Permission.FOOTAGE_READ, problems=_WRONG_TIME, repeatable=True)
async def give_up_footage_request(call: Call, body: NoteIn) -> RequestOut:
    """Say that what failed is not to be had; `note` says why and may not be empty. By who filed it, or approves."""
    mine = await owned(call, "give-up", Permission.FOOTAGE_REQUEST)
    return request_out(call, await call.services.footage.give_up(mine, by=call.caller.person, note=body.note))


@routes.op("POST", "/v1/footage-requests/{request_id}/close", needs=Permission.FOOTAGE_READ, problems=_WRONG_TIME, repeatable=True)
async def close_footage_request(call: Call, body: ViewedIn) -> RequestOut:
    """It was viewed here and no copy is taken. By who filed it, or approves."""
    mine, found = await owned(call, "close", Permission.FOOTAGE_DOWNLOAD), body.found_something
    return request_out(call, await call.services.footage.close(mine, by=call.caller.person, found_something=found, note=body.note))


@routes.op("POST", "/v1/footage-requests/{request_id}/cancel", needs=Permission.FOOTAGE_READ, problems=_WRONG_TIME, repeatable=True)
async def cancel_footage_request(call: Call, body: NoteIn) -> RequestOut:
    """Withdraw it; what was fetched for it is removed. By who filed it, or approves."""
    mine = await owned(call, "cancel", Permission.FOOTAGE_REQUEST)
    return request_out(call, await call.services.footage.cancel(mine, by=call.caller.person, note=body.note))


@routes.op("POST", "/v1/footage-requests/{request_id}/retry", needs=Permission.FOOTAGE_READ, problems=_WRONG_TIME, repeatable=True)
async def retry_footage_request(call: Call) -> RequestOut:
    """Fetch again what a failed or partial request still lacks. By who filed it, or approves."""
    mine = await owned(call, "retry", Permission.FOOTAGE_REQUEST)
    return request_out(call, await call.services.footage.retry(mine, by=call.caller.person))


@routes.op("POST", "/v1/footage-requests/{request_id}/hand-over", needs=Permission.FOOTAGE_READ, problems=_WRONG_TIME, repeatable=True)
async def hand_over_footage(call: Call, body: ReceiverIn) -> RequestOut:
    """Record that the footage was handed to somebody. By who filed it, or approves."""
    mine = await owned(call, "hand-over", Permission.FOOTAGE_DOWNLOAD)
    return request_out(call, await call.services.footage.hand_over(mine, by=call.caller.person, receiver=body.receiver))


# -- looking ----------------------------------------------------------------------------------------------------------


@routes.op("GET", "/v1/footage-requests", needs=Permission.FOOTAGE_READ)
async def list_footage_requests(call: Call, query: RequestQuery) -> RequestPage:
    """Requests, newest first."""
    found, following = await _find(call, query)
    return RequestPage(items=[request_out(call, request) for request in found], next=following)


@routes.op("GET", "/v1/footage-requests/{request_id}", needs=Permission.FOOTAGE_READ, problems=(NotFound,))
async def read_footage_request(call: Call) -> DossierOut:
    """One request with its coverage, files and custody log."""
    dossier = await call.services.footage.dossier(request_id(call))
    return _dossier(call, dossier, call.services.footage.progress(dossier.request.id))


@routes.op("GET", "/v1/footage-requests/{request_id}/coverage", needs=Permission.FOOTAGE_READ, problems=(NotFound,))
async def read_footage_coverage(call: Call) -> CoverageList:
    """What was recorded of the window and what was not, camera by camera."""
    dossier = await call.services.footage.dossier(request_id(call))
    return CoverageList(items=[_coverage(export) for export in dossier.exports])


@routes.op("GET", "/v1/footage-requests/{request_id}/custody", needs=Permission.FOOTAGE_READ, problems=(NotFound,))
async def read_footage_custody(call: Call, query: PageQuery) -> CustodyPage:
    """Who had what in hand, when: every line, in order."""
    after = number_cursor(query) or 0
    lines = await call.services.footage.custody(request_id(call), after=after, limit=query.limit + 1)
    following = to_cursor(lines[query.limit - 1].number, query) if len(lines) > query.limit else None
    return CustodyPage(items=[_custody(call, line) for line in lines[: query.limit]], next=following)


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
    answers=Media(KINDS),
    head=False,
    problems=(NotFound, Conflict, Forbidden, InvalidInput),
    headers={"Range": "Part of the file (RFC 9110, section 14); each call counts as a download."},
)
async def download_footage(call: Call) -> web.StreamResponse:
    """One file, to the person who filed the request. Each call is counted and goes into the custody log before the first byte.

    Beside the footage: manifest.json, manifest.json.sig, certificate.pem, SHA256SUMS, SHA256SUMS.sig, VERIFY.txt, verify.html and the
    papers custody-sheet.html and evidence-list.html.
    """
    return await _download(call, call.path("name"))


@routes.op(
    "GET",
    "/v1/footage-requests/{request_id}/manifest",
    needs=Permission.FOOTAGE_DOWNLOAD,
    answers=Media(("application/json",)),
    head=False,
    problems=(NotFound, Conflict, Forbidden, InvalidInput),
)
async def download_manifest(call: Call) -> web.StreamResponse:
    """What goes with the files: case, people, devices and their clocks, times, gaps and digests."""
    return await _download(call, MANIFEST)


@routes.op(
    "GET",
    "/v1/footage-requests/{request_id}/package",
    needs=Permission.FOOTAGE_DOWNLOAD,
    answers=Media(("application/zip",)),
    head=False,
    problems=(NotFound, Conflict, Forbidden),
)
async def download_package(call: Call) -> web.StreamResponse:
    """The whole evidence package as one ZIP, stored without compression; counts as a download of each of its files."""
    await _must_be_filer(call, "package")
    package = await call.services.footage.package(request_id(call), by=call.caller.person)
    whole, headers = Part(Span(0, package.length), whole=True), attachment(package.name)
    return await send(call.request, whole, archive.pieces(package.paths), headers=headers, stop=_gone(call))


async def _download(call: Call, name: str) -> web.StreamResponse:
    await _must_be_filer(call, name)
    file = await call.services.footage.download(request_id(call), name, by=call.caller.person)
    headers = attachment(file.name, file.sha256)
    known = await asyncio.to_thread(file.path.stat)
    etag = f'"{file.sha256 or f"{known.st_mtime_ns:x}-{known.st_size:x}"}"'
    asked, only_if = call.request.headers.get("Range"), call.request.headers.get("If-Range")
    part = part_of(known.st_size, etag, asked=asked, only_if=only_if)
    headers |= range_headers(part, known.st_size, etag)
    return await send(call.request, part, pieces_of(file.path, part.span), headers=headers, stop=_gone(call))


def _gone(call: Call) -> Callable[[], bool]:
    """Whether the request has ended meanwhile: what is going out is cut off."""
    return functools.partial(call.services.footage.gone, request_id(call))


async def _must_be_filer(call: Call, wish: str) -> None:
    await call.services.footage.must_be_filer(request_id(call), by=call.caller.person, wish=wish)


# -- in our words -----------------------------------------------------------------------------------------------------


async def _find(call: Call, query: RequestQuery) -> tuple[list[FootageRequest], str | None]:
    place = moment_cursor(query)
    before = None if place is None else (place[0], RequestId(place[1]))
    found = await call.services.footage.find(query.parsed(), before=before, limit=query.limit + 1)
    if len(found) <= query.limit:
        return found, None
    last = found[query.limit - 1]
    return found[: query.limit], to_cursor([last.submitted_at.isoformat(), last.id], query)


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


def request_id(call: Call) -> RequestId:
    return RequestId(call.path("request_id"))


async def within(call: Call, request: RequestId | None = None) -> RequestId:
    """The `request`, or the one in the call's path, when the key reaches all its cameras. NotFound; Forbidden (`out-of-scope`)."""
    name = request or request_id(call)
    must_reach(call.caller.key, (await call.services.footage.request(name)).cameras, call.services.city)
    return name


async def owned(call: Call, wish: str, needs: Permission) -> RequestId:
    """As `within`, for what who filed the request does by the right `needs`, or who may approve.

    Forbidden to others, and on record (`not-yours`) when they have that right.
    """
    name = await within(call)
    if not call.caller.may(Permission.FOOTAGE_APPROVE):
        allowed(call.caller, needs)
        await call.services.footage.must_be_filer(name, by=call.caller.person, wish=wish)
    return name


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


def request_out(call: Call, request: FootageRequest) -> RequestOut:
    return RequestOut(**_told(call, request))


def masked(number: str) -> str:
    """A number of an identity card as it is shown to those who need not know it: its last four letters, if it is a long one."""
    shown = number[-_SHOWN:] if len(number) > 2 * _SHOWN else ""
    return "*" * (len(number) - len(shown)) + shown


def knows(call: Call, owner: Actor) -> bool:
    """Whether the caller may read the numbers of identity cards: `owner`, who wrote them down, and who may approve."""
    return call.caller.actor == owner or call.caller.may(Permission.FOOTAGE_APPROVE)


def _told(call: Call, request: FootageRequest) -> dict[str, Any]:
    filing = request.filing
    open_ = filing.kind is not RequesterKind.CITIZEN or knows(call, request.submitted_by.actor)
    return {
        **{name: getattr(filing, name) for name in _SAME},
        "badge": filing.badge if open_ else masked(filing.badge),
        **{name: getattr(request, name) for name in _KEPT},
        "start": filing.window.start,
        "end": filing.window.end,
        "tolerance_s": filing.tolerance.total_seconds(),
        "missing": list(missing(filing)),
        "address": filing.address,
        "windows": [
            WindowOut(camera=camera, start=window.start, end=window.end)
            for camera in request.cameras
            for window in (request.window_of(camera),)
        ],
        "cameras": list(request.cameras),
        "submitted_by": shown_person(request.submitted_by),
        "decided_by": shown_person(request.decided_by) if request.decided_by else None,
    }


def _dossier(call: Call, dossier: Dossier, progress: Mapping[DeviceId, Progress]) -> DossierOut:
    return DossierOut(
        **_told(call, dossier.request),
        progress=[_progress(camera, found) for camera, found in progress.items()],
        coverage=[_coverage(export) for export in dossier.exports],
        files=[_file(file) for file in dossier.files],
        custody=[_custody(call, entry) for entry in dossier.custody],
    )


def shown_person(person: Person) -> PersonOut:
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


def _progress(camera: DeviceId, found: Progress) -> ProgressOut:
    return ProgressOut(
        camera=camera,
        done_s=round(found.done.total_seconds(), 1),
        whole_s=round(found.whole.total_seconds(), 1),
        size=found.size,
        bytes_per_s=None if found.bytes_per_s is None else round(found.bytes_per_s),
        left_s=None if found.left_s is None else round(found.left_s, 1),
    )


def _custody(call: Call, entry: CustodyEntry) -> CustodyOut:
    detail = dict(entry.detail)
    if "identity" in detail and not knows(call, entry.by.actor):
        detail["identity"] = masked(str(detail["identity"]))
    return CustodyOut(number=entry.number, step=entry.step, by=shown_person(entry.by), at=entry.at, detail=detail)
