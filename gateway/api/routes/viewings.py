"""Viewing on site: who looks, who supervises, the page with the watermark, and what came of it."""

from typing import Final

from aiohttp import web
from pydantic import Field

from gateway.api.footage_json import PersonOut, knows, masked, shown_person
from gateway.api.footage_reach import opened, within
from gateway.api.models import Input, Instant, Line, OptionalLine, Output, Text
from gateway.api.replies import content_reply
from gateway.api.routing import Call, Media, Routes
from gateway.api.sending import send_live
from gateway.domain.access import Permission
from gateway.domain.viewing import Viewing, ViewingId, ViewingOutcome
from gateway.errors import Conflict, DeadlineExceeded, Forbidden, InvalidInput, NotFound, Overloaded, ProtocolError
from gateway.footage.viewing import Look
from gateway.footage.viewing_page import POLICY, viewing_page

routes = Routes("viewings", "Footage viewed on site under supervision; no copy leaves.")

_WRONG: Final = (NotFound, Conflict, Forbidden)
_FILM: Final = {
    "Content-Type": "video/mp4",
    "Content-Disposition": "inline",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Accept-Ranges": "none",
}


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


class PageQuery(Input):
    """What the page shows."""

    film: OptionalLine = Field(default="", description="The name of a film; none: the choice alone.")
    from_s: float = Field(default=0.0, ge=0, le=86_400, description="Where it begins, in seconds from its start.")


class FilmQuery(Input):
    """Where a film begins."""

    from_s: float = Field(default=0.0, ge=0, le=86_400, description="In seconds from its start; it begins at the key picture before.")


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


@routes.op("GET", "/v1/footage-requests/{request_id}/viewings", needs=Permission.FOOTAGE_READ, problems=(NotFound, Forbidden))
async def list_viewings(call: Call) -> ViewingList:
    """The viewing records of a request."""
    return ViewingList(items=[_out(call, one) for one in await call.services.footage.viewings.of(await opened(call))])


@routes.op("POST", "/v1/footage-viewings/{viewing_id}/end", needs=Permission.FOOTAGE_DOWNLOAD, problems=_WRONG, repeatable=True)
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
async def open_viewing_page(call: Call, query: PageQuery) -> web.Response:
    """The page with the films, one at a time under a watermark; only for the supervisor, while the viewing lasts."""
    viewing, found = await call.services.footage.viewings.films(_id(call), by=call.caller.person)
    films = [film for film in found if film.brought or film.name.endswith(".mp4")]
    shown = next((film for film in films if film.name == query.film and film.why_not is None), None)
    devices = call.services.city.devices
    names = {film.camera: devices[film.camera].name for film in films if film.camera in devices}
    page = viewing_page(viewing, films, names=names, shown=shown, from_s=query.from_s)
    return content_reply(page, content_type="text/html", headers={"Content-Security-Policy": POLICY})


@routes.op(
    "GET",
    "/v1/footage-viewings/{viewing_id}/films/{name}",
    needs=Permission.FOOTAGE_DOWNLOAD,
    answers=Media(("video/mp4",)),
    head=False,
    problems=(*_WRONG, InvalidInput, Overloaded, ProtocolError, DeadlineExceeded),
)
async def show_film(call: Call, query: FilmQuery) -> web.StreamResponse:
    """A film for the page, encoded anew as it is watched with viewing, card, request and time burnt into every picture.

    Each call is a play, counted and on record before the first byte, and gets all from `from_s` on, whatever `Range` says. A viewing shows
    one film at a time; it stops when another is called for, when the viewing or its request ends, and when its time is over.
    """
    viewings = call.services.footage.viewings
    film = await viewings.film(_id(call), call.path("name"), by=call.caller.person)
    async with viewings.show(film, from_s=query.from_s, by=call.caller.person) as showing:
        return await send_live(call.request, showing.pieces, headers=_FILM, stop=showing.stopped)


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
