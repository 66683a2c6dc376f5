"""Viewing on site: who looks, who supervises, the page with the watermark, and what came of it."""

from typing import Final

from aiohttp import web
from pydantic import Field

from gateway.api.byte_ranges import headers, part_of
from gateway.api.footage_json import PersonOut, knows, masked, shown_person
from gateway.api.footage_reach import request_id, within
from gateway.api.models import Input, Instant, Line, OptionalLine, Output, Text
from gateway.api.replies import content_reply
from gateway.api.routing import Call, Media, Routes
from gateway.api.sending import pieces_of, send
from gateway.domain.access import Permission
from gateway.domain.viewing import Viewing, ViewingId, ViewingOutcome
from gateway.errors import Conflict, Forbidden, InvalidInput, NotFound
from gateway.footage.viewing import Look
from gateway.footage.viewing_page import POLICY, viewing_page

routes = Routes("viewings", "Footage viewed on site under supervision; no copy leaves.")

_WRONG: Final = (NotFound, Conflict, Forbidden)


class ViewingIn(Input):
    """Who looks. Whose key this is supervises."""

    viewer: Line
    identity: Line = Field(description="Number of the identity card or badge.")
    companions: OptionalLine = ""
    place: OptionalLine = Field(default="", description="Where the screen stands.")


class OutcomeIn(Input):
    """What came of it."""

    outcome: ViewingOutcome
    note: Text = ""


class ViewingOut(Output):
    """A viewing."""

    id: str
    request: str
    page: str = Field(description="The page to open on the screen, with the supervisor's session.")
    viewer: str
    identity: str
    companions: str
    place: str
    supervisor: PersonOut
    started_at: Instant
    until: Instant
    plays: int
    ended_at: Instant | None
    outcome: ViewingOutcome | None
    note: str


class ViewingList(Output):
    """The viewings of a request, the oldest first."""

    items: list[ViewingOut]


@routes.op(
    "POST",
    "/v1/footage-requests/{request_id}/viewings",
    needs=Permission.FOOTAGE_DOWNLOAD,
    status=201,
    problems=(*_WRONG, InvalidInput),
    repeatable=True,
)
async def start_viewing(call: Call, body: ViewingIn) -> ViewingOut:
    """Begin a viewing; whoever does supervises it, and is who filed the request."""
    request = await within(call)
    look = Look(body.viewer, body.identity, body.companions, body.place)
    return _out(call, await call.services.footage.viewings.start(request, look, by=call.caller.person))


@routes.op("GET", "/v1/footage-requests/{request_id}/viewings", needs=Permission.FOOTAGE_READ, problems=(NotFound,))
async def list_viewings(call: Call) -> ViewingList:
    """The viewing records of a request."""
    return ViewingList(items=[_out(call, one) for one in await call.services.footage.viewings.of(request_id(call))])


@routes.op("POST", "/v1/footage-viewings/{viewing_id}/end", needs=Permission.FOOTAGE_DOWNLOAD, problems=_WRONG)
async def end_viewing(call: Call, body: OutcomeIn) -> ViewingOut:
    """End a viewing, by who supervises it. `nothing-found` and `no-copy` close the request with it."""
    await within(call, await call.services.footage.viewings.request_of(_id(call)))
    done = await call.services.footage.viewings.end(_id(call), body.outcome, by=call.caller.person, note=body.note)
    return _out(call, done)


@routes.op(
    "GET",
    "/v1/footage-viewings/{viewing_id}",
    needs=Permission.FOOTAGE_DOWNLOAD,
    answers=Media(("text/html",)),
    head=False,
    problems=_WRONG,
)
async def open_viewing_page(call: Call) -> web.Response:
    """The page with the films, each under a watermark; only for the supervisor, while the viewing lasts."""
    viewing, films = await call.services.footage.viewings.films(_id(call), by=call.caller.person)
    page = viewing_page(viewing, [film.name for film in films if film.name.endswith(".mp4")])
    return content_reply(page, content_type="text/html", headers={"Content-Security-Policy": POLICY})


@routes.op(
    "GET",
    "/v1/footage-viewings/{viewing_id}/films/{name}",
    needs=Permission.FOOTAGE_DOWNLOAD,
    answers=Media(("video/mp4",)),
    head=False,
    problems=(*_WRONG, InvalidInput),
    headers={"Range": "Part of the film (RFC 9110, 14); a play, counted and on record: one from its first byte, and the first."},
)
async def show_film(call: Call) -> web.StreamResponse:
    """A film for the page; it stops when the viewing or its request ends, or its time is over."""
    viewings, name = call.services.footage.viewings, call.path("name")
    asked = call.request.headers.get("Range", "")
    film = await viewings.film(_id(call), name, by=call.caller.person)
    etag = f'"{film.sha256}"'
    part = part_of(film.size, etag, asked=asked or None, only_if=call.request.headers.get("If-Range"))
    await viewings.play(film, begins=part.span.start == 0, by=call.caller.person)
    about = {"Content-Type": "video/mp4", "Content-Disposition": "inline", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    about |= headers(part, film.size, etag)
    pieces = pieces_of(film.path, part.span)
    return await send(call.request, part, pieces, headers=about, stop=lambda: viewings.over(film.viewing))


def _id(call: Call) -> ViewingId:
    return ViewingId(call.path("viewing_id"))


def _out(call: Call, one: Viewing) -> ViewingOut:
    same = ("id", "request", "viewer", "companions", "place", "started_at", "until", "plays", "ended_at", "outcome", "note")
    identity = one.identity if knows(call, one.supervisor.actor) else masked(one.identity)
    return ViewingOut(
        **{name: getattr(one, name) for name in same},
        identity=identity,
        page=f"/v1/footage-viewings/{one.id}",
        supervisor=shown_person(one.supervisor),
    )
