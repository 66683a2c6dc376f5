"""Footage on its way out: personal links, which their holders open with a badge number and a code."""

import base64
import binascii
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Final

from aiohttp import web
from pydantic import Field

from gateway.api.byte_ranges import Part, part_of
from gateway.api.byte_ranges import headers as range_headers
from gateway.api.footage_json import PersonOut, shown_person
from gateway.api.footage_reach import opened
from gateway.api.models import Input, Instant, Line, OptionalLine, Output
from gateway.api.problems import Problem, Unauthenticated, problem_of
from gateway.api.replies import content_reply
from gateway.api.routing import Call, Media, Open, Routes
from gateway.api.sending import KINDS, attachment, send
from gateway.domain.access import Permission
from gateway.domain.footage import RequestId
from gateway.domain.handover import Denial, Link, LinkId, Take
from gateway.errors import Conflict, Forbidden, InvalidInput, NotFound, Overloaded
from gateway.footage.link_page import link_page
from gateway.footage.links import Offered, Visit, Wanted

routes = Routes("hand-over", "Footage on its way out: to whom, by which way, how often, and until when.")

_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="footage: badge number and code", charset="UTF-8"'}
_BASIC: Final = {"Authorization": "Basic (RFC 7617): the badge number as user-id, the code as password."}
_HTML: Final = "text/html"


class LinkIn(Input):
    """For whom, what, how often and how long."""

    receiver: Line = Field(description="The one person who may use it.")
    badge: Line = Field(description="The number by which that person is told; with the code, it opens the link.")
    unit: OptionalLine = ""
    names: list[Line] = Field(default=[], max_length=1000, description="Which files; none: the whole package.")
    downloads: int | None = Field(default=None, ge=1, le=100, description="How often each file; all links: `footage.download_max`.")
    hours: float | None = Field(default=None, gt=0, le=720, description="How long; ends `footage.download_hours` after it was ready.")


class TakeOut(Output):
    """One download of one file, in however many calls."""

    name: str
    number: int
    size: int
    begun_at: Instant
    last_at: Instant
    calls: int
    sent: int = Field(description="Bytes that went out.")


class LinkOut(Output):
    """A personal link. Its code is told once, when it is made."""

    id: str
    request: str
    path: str
    receiver: str
    badge: str
    unit: str
    names: list[str]
    downloads: int
    made_by: PersonOut
    made_at: Instant
    expires_at: Instant
    denials: int = Field(description="How often somebody got nothing.")
    wrong: int = Field(description="How often the badge or the code was wrong; at ten the link is locked.")
    revoked_by: PersonOut | None
    revoked_at: Instant | None
    takes: list[TakeOut]


class MadeOut(LinkOut):
    """A new link, and its code."""

    code: str | None = Field(
        description="Give it to the receiver by another way than the link. Nobody can read it again: null when the call is answered again."
    )


class LinkList(Output):
    """The links of a request, the newest first."""

    items: list[LinkOut]


# -- making and ending ------------------------------------------------------------------------------------------------


@routes.op(
    "POST",
    "/v1/footage-requests/{request_id}/links",
    needs=Permission.FOOTAGE_DOWNLOAD,
    status=201,
    problems=(NotFound, Conflict, Forbidden),
    repeatable=True,
    told_once=("code",),
)
async def make_footage_link(call: Call, body: LinkIn) -> MadeOut:
    """Make a personal link.

    The code is kept nowhere: whoever sends the call again learns which link was made, and makes another if the code has not come.
    """
    await call.services.footage.must_be_filer(RequestId(call.path("request_id")), by=call.caller.person, wish="link")
    wanted = Wanted(
        receiver=body.receiver,
        badge=body.badge,
        unit=body.unit,
        names=tuple(body.names),
        downloads=body.downloads,
        lasts=timedelta(hours=body.hours) if body.hours else None,
    )
    made = await call.services.footage.links.make(RequestId(call.path("request_id")), wanted, by=call.caller.person)
    return MadeOut(**_link(made.link, ()).model_dump(), code=made.code)


@routes.op("GET", "/v1/footage-requests/{request_id}/links", needs=Permission.FOOTAGE_READ, problems=(NotFound, Forbidden))
async def list_footage_links(call: Call) -> LinkList:
    """The links of a request, what was taken by each, and what was denied."""
    found = await call.services.footage.links.of(await opened(call))
    return LinkList(items=[_link(link, takes) for link, takes in found])


@routes.op("DELETE", "/v1/footage-links/{link_id}", needs=Permission.FOOTAGE_DOWNLOAD, problems=(NotFound, Forbidden))
async def revoke_footage_link(call: Call) -> LinkOut:
    """Revoke a link, whoever made it: it opens nothing from now on, and what is being downloaded by it is cut off."""
    links, link = call.services.footage.links, LinkId(call.path("link_id"))
    await opened(call, (await links.link(link)).request)
    return _link(await links.revoke(link, by=call.caller.person), ())


# -- using ------------------------------------------------------------------------------------------------------------


@routes.op(
    "GET",
    "/v1/footage-links/{link_id}",
    needs=Open.ANYBODY,
    answers=Media((_HTML,)),
    head=False,
    problems=(Unauthenticated, Conflict),
    headers=_BASIC,
)
async def open_footage_link(call: Call) -> web.StreamResponse:
    """The page of a link for its holder: the files, their sizes and digests. That it was looked at is on record."""
    visit = await _entered(call)
    if isinstance(visit, Problem):
        return visit.response()
    files = await call.services.footage.links.look(visit)
    page = link_page(visit.link, visit.takes, [(file.name, file.size, file.sha256) for file in files])
    policy = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"}
    return content_reply(page, content_type=_HTML, headers=policy)


@routes.op(
    "GET",
    "/v1/footage-links/{link_id}/files/{name}",
    needs=Open.ANYBODY,
    answers=Media(KINDS),
    head=False,
    problems=(Unauthenticated, NotFound, Conflict, Overloaded),
    headers=_BASIC | {"Range": "Part of the file (RFC 9110, 14); goes on with a download.", "If-Range": "The ETag (RFC 9110, 13.1.5)."},
)
async def fetch_by_footage_link(call: Call) -> web.StreamResponse:
    """A file, or a part of it, to the holder of the link: counted and on record before the first byte.

    A download that is resumed within 24 hours counts once. Many ranges in one call are not answered as such: the whole file is.
    """
    visit = await _entered(call)
    if isinstance(visit, Problem):
        return visit.response()
    file = await call.services.footage.links.offer(visit, call.path("name"))
    etag, asked = f'"{file.mark}"', call.request.headers.get("Range")
    try:
        part = part_of(file.size, etag, asked=asked, only_if=call.request.headers.get("If-Range"))
    except InvalidInput as error:
        await call.services.footage.links.refuse_range(visit, file.name, asked or "")
        return _with(problem_of(error), {"Content-Range": f"bytes */{file.size}"}).response()
    return await _send(call, visit, file, part, etag)


async def _entered(call: Call) -> Visit | Problem:
    """Whoever asks, let in; or what to answer to one who shows no right badge and code."""
    shown = _basic(call.request.headers.get("Authorization", ""))
    if shown is None:
        return _with(problem_of(Unauthenticated("This needs the badge number and the code of the link.")), _CHALLENGE)
    try:
        return await call.services.footage.links.enter(LinkId(call.path("link_id")), *shown, where=call.request.remote or "")
    except Forbidden as error:
        return _with(problem_of(Unauthenticated(str(error), code=Denial.WRONG_CODE, hint=error.hint)), _CHALLENGE)


async def _send(call: Call, visit: Visit, file: Offered, part: Part, etag: str) -> web.StreamResponse:
    links, gone = call.services.footage.links, list[int]()
    take = await links.begin(visit, file, part.span)
    head, stop = attachment(file.name, file.sha256) | range_headers(part, file.size, etag), partial(links.cut_off, visit.link)
    damaged = partial(call.services.footage.damage.found, visit.link.request, sealed=file.digests, to=visit.link.holder)
    try:
        pieces = links.pieces(file, part.span)
        return await send(call.request, part, pieces, headers=head, stop=stop, sent=gone.append, damaged=damaged)
    finally:
        await links.end(take, unsent=part.span.length - sum(gone))


def _with(problem: Problem, more: dict[str, str]) -> Problem:
    return replace(problem, headers=more)


def _basic(header: str) -> tuple[str, str] | None:
    """User-id and password (RFC 7617); None for anything else."""
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return (user, password) if colon else None


# -- in our words -----------------------------------------------------------------------------------------------------


_LINK_SAME: Final = (
    *("id", "request", "receiver", "badge", "unit", "downloads", "made_at", "expires_at"),
    *("denials", "wrong", "revoked_at"),
)


def _link(link: Link, takes: "list[Take] | tuple[Take, ...]") -> LinkOut:
    return LinkOut(
        **{name: getattr(link, name) for name in _LINK_SAME},
        path=f"/v1/footage-links/{link.id}",
        names=list(link.names),
        made_by=shown_person(link.made_by),
        revoked_by=shown_person(link.revoked_by) if link.revoked_by else None,
        takes=[TakeOut.model_validate(take) for take in takes],
    )
