"""Footage requests, found and read: what was recorded, what was fetched, and the chain of custody."""

from typing import Any, Final, Literal, Self

from pydantic import Field, model_validator

from gateway.api.footage_json import (
    BroughtFileOut,
    CoverageOut,
    CustodyOut,
    DossierOut,
    FileOut,
    RequestOut,
    brought_out,
    coverage_out,
    custody_out,
    dossier_out,
    file_out,
    request_out,
)
from gateway.api.footage_reach import opened, reach, searched
from gateway.api.models import Instant, Output, Page, PageQuery
from gateway.api.paging import moment_cursor, number_cursor, to_cursor
from gateway.api.routing import Call, Routes
from gateway.domain.access import Permission
from gateway.domain.devices import DeviceId
from gateway.domain.footage import DELIVERABLE, FootageRequest, FootageState, Period, Reach, RequesterKind, RequestId, Search
from gateway.domain.imports import ORIGIN, ORIGIN_WORDING
from gateway.errors import Forbidden, NotFound

routes = Routes("footage", "Original footage for those who may have it, with its chain of custody.")

_CLOSED: Final = (NotFound, Forbidden)


class RequestPage(Page[RequestOut]):
    """One page of requests, newest first."""


class CustodyPage(Page[CustodyOut]):
    """One page of the custody log, in order."""


class CoverageList(Output):
    """What was recorded, camera by camera."""

    items: list[CoverageOut]


class FetchedEvidenceOut(FileOut):
    """A file with the request that it was fetched for."""

    fetched: Literal[True] = True
    request: str
    case_number: str


class BroughtEvidenceOut(BroughtFileOut):
    """A file that the gateway did not fetch, with the request that somebody brought it for."""

    fetched: Literal[False] = False
    origin: str
    origin_wording: str
    request: str
    case_number: str


class EvidencePage(Page[FetchedEvidenceOut | BroughtEvidenceOut]):
    """The files of one page of requests, newest request first."""


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

    def parsed(self, reach: Reach | None) -> Search:
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
            reach=reach,
        )


@routes.op("GET", "/v1/footage-requests", needs=Permission.FOOTAGE_READ)
async def list_footage_requests(call: Call, query: RequestQuery) -> RequestPage:
    """Requests, newest first; to a key with scopes those that it filed, and those whose cameras it all reaches."""
    found, following = await _find(call, query)
    return RequestPage(items=[request_out(call, request) for request in found], next=following)


@routes.op("GET", "/v1/footage-requests/{request_id}", needs=Permission.FOOTAGE_READ, problems=_CLOSED)
async def read_footage_request(call: Call) -> DossierOut:
    """One request with its coverage, files and custody log. Who reads it is on record: an audit row in a quarter of an hour."""
    footage = call.services.footage
    dossier = await footage.dossier(await opened(call))
    brought = await footage.imports.of(dossier.request.id)
    async with call.services.store.read() as tx:
        findings = await tx.scrubs.of(dossier.request.id)
    return dossier_out(call, dossier, brought, footage.progress(dossier.request.id), findings)


@routes.op("GET", "/v1/footage-requests/{request_id}/coverage", needs=Permission.FOOTAGE_READ, problems=_CLOSED)
async def read_footage_coverage(call: Call) -> CoverageList:
    """What was recorded of the window and what was not, camera by camera."""
    dossier = await call.services.footage.dossier(await opened(call))
    return CoverageList(items=[coverage_out(export) for export in dossier.exports])


@routes.op("GET", "/v1/footage-requests/{request_id}/custody", needs=Permission.FOOTAGE_READ, problems=_CLOSED)
async def read_footage_custody(call: Call, query: PageQuery) -> CustodyPage:
    """Who had what in hand, when: every line, in order."""
    after = number_cursor(query) or 0
    lines = await call.services.footage.custody(await opened(call), after=after, limit=query.limit + 1)
    following = to_cursor(lines[query.limit - 1].number, query) if len(lines) > query.limit else None
    return CustodyPage(items=[custody_out(call, line) for line in lines[: query.limit]], next=following)


@routes.op("GET", "/v1/evidence", needs=Permission.FOOTAGE_READ)
async def list_evidence(call: Call, query: RequestQuery) -> EvidencePage:
    """The files that are kept, fetched and brought, request by request, newest first; a page holds the files of `limit` requests."""
    found, following = await _find(call, query)
    shown = [request.id for request in found if request.state in DELIVERABLE]
    await call.services.footage.readings.note(shown, by=call.caller.person)
    items = [item for request in shown for item in await _evidence(call, request)]
    return EvidencePage(items=items, next=following)


async def _evidence(call: Call, request: RequestId) -> list[FetchedEvidenceOut | BroughtEvidenceOut]:
    """The files of a request, those that were brought behind those that were fetched."""
    dossier, brought = await call.services.footage.dossier(request), await call.services.footage.imports.of(request)
    of: dict[str, Any] = {"request": request, "case_number": dossier.request.filing.case_number}
    fetched = [FetchedEvidenceOut(**file_out(file).model_dump(), **of) for file in dossier.files]
    marked = of | {"origin": ORIGIN, "origin_wording": ORIGIN_WORDING}
    return [*fetched, *(BroughtEvidenceOut(**one.model_dump(), **marked) for one in brought_out(brought))]


async def _find(call: Call, query: RequestQuery) -> tuple[list[FootageRequest], str | None]:
    place = moment_cursor(query)
    before = None if place is None else (place[0], RequestId(place[1]))
    found = await call.services.footage.find(query.parsed(reach(call)), before=before, limit=query.limit + 1)
    await searched(call, query, min(len(found), query.limit))
    if len(found) <= query.limit:
        return found, None
    last = found[query.limit - 1]
    return found[: query.limit], to_cursor([last.submitted_at.isoformat(), last.id], query)
