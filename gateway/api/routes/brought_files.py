"""Files that a vendor's client exported and somebody brought: announced, sent in any number of calls, taken in as they are."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import Field

from gateway.api.footage_json import PeriodOut, PersonOut
from gateway.api.footage_reach import opened, within
from gateway.api.models import Ident, Input, Instant, Line, Output, Text
from gateway.api.routing import BODY_TIMEOUT_S, Call, Routes
from gateway.domain.access import Permission
from gateway.domain.devices import DeviceId
from gateway.domain.footage import Period
from gateway.domain.imports import ORIGIN, ORIGIN_WORDING, Brought, Import, ImportId, ImportState
from gateway.errors import Conflict, Fault, Forbidden, InvalidInput, NotFound, Overloaded

routes = Routes("brought files", "Footage that the gateway did not fetch: a vendor's client exported it, somebody brought it.")

_TYPE: Final = "application/octet-stream"
_RANGE: Final = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.ASCII)


class BroughtIn(Input):
    """Who brings what, from where."""

    brought_by: Line = Field(description="Who brings it.")
    badge: Line
    device: Line = Field(description="The device that it was exported from, as it stands on it: kind, address, serial number.")
    client: Line = Field(description="The vendor's software that exported it, with its version.")
    original_name: Line = Field(description="What the file is called there.")
    size: int = Field(ge=1, le=1 << 50, description="Bytes.")
    sha256: str = Field(default="", pattern=r"^([0-9a-fA-F]{64})?$", description="Its SHA-256, where one came with it.")
    camera: Ident | None = Field(default=None, description="The inventory's camera, where it is one.")
    claimed_start: Instant | None = Field(default=None, description="The period that it is said to show; nothing checks that.")
    claimed_end: Instant | None = None
    note: Text = ""


class BroughtOut(Output):
    """A brought file, and how far it is."""

    id: str
    request: str
    state: ImportState
    origin: str
    origin_wording: str
    name: str = Field(description="What it is called in the package.")
    original_name: str
    brought_by: str
    badge: str
    device: str
    client: str
    camera: str
    claimed: PeriodOut | None
    note: str
    size: int
    received: int = Field(description="Bytes that are safe here: the next call begins there.")
    sha256: str = Field(description="Of the bytes as they lie here; empty until all are.")
    taken_in_by: PersonOut
    made_at: Instant
    kept_at: Instant | None = Field(description="Since when it is in the signed package.")


class BroughtList(Output):
    """The brought files of a request, by number."""

    items: list[BroughtOut]


@routes.op(
    "POST",
    "/v1/footage-requests/{request_id}/brought-files",
    needs=Permission.FOOTAGE_DOWNLOAD,
    status=201,
    problems=(NotFound, Conflict, Forbidden),
    repeatable=True,
)
async def announce_brought_file(call: Call, body: BroughtIn) -> BroughtOut:
    """Say that a file will come that the gateway did not fetch. Its bytes follow by PUT."""
    request = await within(call)
    if body.camera is not None and DeviceId(body.camera) not in call.services.city.devices:
        raise InvalidInput("there is no such camera", faults=[Fault("/camera", "is not in the inventory", "not-in-inventory")])
    words = {name: getattr(body, name) for name in ("brought_by", "badge", "device", "client", "original_name", "note")}
    brought = Brought(**words, camera=body.camera or "", claimed=_claimed(body))
    imports = call.services.footage.imports
    return _out(await imports.announce(request, brought, size=body.size, sha256=body.sha256, by=call.caller.person))


@routes.op(
    "PUT",
    "/v1/brought-files/{file_id}/content",
    needs=Permission.FOOTAGE_DOWNLOAD,
    problems=(NotFound, Conflict, Forbidden, InvalidInput, Overloaded),
    headers={"Content-Range": "bytes FIRST-LAST/SIZE (RFC 9110, 14.4): this call brings these bytes; without it, all."},
)
async def send_brought_file(call: Call) -> BroughtOut:
    """Send the bytes, or go on sending from `received` on. What had come when a call breaks off stays.

    The body is application/octet-stream, of any length. Four files are received at once; a fifth is told to try again soon. With the last
    byte the file is hashed as it lies on the disk, compared with the digest that was announced, and the package is sealed anew with it.
    """
    one = ImportId(call.path("file_id"))
    start = _start(call.request)
    await within(call, (await call.services.footage.imports.get(one)).request)
    return _out(await call.services.footage.imports.receive(one, _pieces(call.request), start=start, by=call.caller.person))


@routes.op("GET", "/v1/brought-files/{file_id}", needs=Permission.FOOTAGE_READ, problems=(NotFound, Forbidden))
async def read_brought_file(call: Call) -> BroughtOut:
    """How far a file is."""
    found = await call.services.footage.imports.get(ImportId(call.path("file_id")))
    await opened(call, found.request)
    return _out(found)


@routes.op("GET", "/v1/footage-requests/{request_id}/brought-files", needs=Permission.FOOTAGE_READ, problems=(NotFound, Forbidden))
async def list_brought_files(call: Call) -> BroughtList:
    """The files that were brought for a request."""
    return BroughtList(items=[_out(one) for one in await call.services.footage.imports.of(await opened(call))])


def _claimed(body: BroughtIn) -> Period | None:
    if body.claimed_start is None and body.claimed_end is None:
        return None
    if body.claimed_start is None or body.claimed_end is None or body.claimed_end <= body.claimed_start:
        raise InvalidInput("the claimed period is none", faults=[Fault("/claimed_end", "must be later than claimed_start")])
    return Period(body.claimed_start, body.claimed_end)


def _start(request: web.Request) -> int:
    if request.content_type != _TYPE or request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise InvalidInput(f"The body must be plain {_TYPE}.", faults=[Fault("Content-Type", f"must be {_TYPE}")])
    told = request.headers.get("Content-Range")
    if told is None:
        return 0
    match = _RANGE.fullmatch(told.strip())
    if match is None:
        raise InvalidInput("This is no range of bytes.", faults=[Fault("Content-Range", "must be bytes FIRST-LAST/SIZE")])
    return int(match[1])


async def _pieces(request: web.Request) -> AsyncIterator[bytes]:
    """The body as it comes. InvalidInput when nothing comes for a minute, or it ends too early."""
    try:
        while True:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                piece = await request.content.readany()
            if not piece:
                return
            yield piece
    except TimeoutError:
        raise InvalidInput(f"Nothing came for {BODY_TIMEOUT_S:g} s.", code="body-too-slow") from None
    except (web.RequestPayloadError, HttpProcessingError):
        raise InvalidInput("The body is not framed as HTTP has it, or ends too early.", code="malformed-request") from None


def _out(one: Import) -> BroughtOut:
    brought, claimed = one.brought, one.brought.claimed
    return BroughtOut(
        **{name: getattr(one, name) for name in ("id", "request", "state", "name", "size", "received", "sha256", "made_at", "kept_at")},
        **{name: getattr(brought, name) for name in ("original_name", "brought_by", "badge", "device", "client", "camera", "note")},
        origin=ORIGIN,
        origin_wording=ORIGIN_WORDING,
        claimed=PeriodOut(start=claimed.start, end=claimed.end) if claimed else None,
        taken_in_by=PersonOut(name=one.by.name, actor=str(one.by.actor)),
    )
