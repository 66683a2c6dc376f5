"""Original footage for who filed its request: file by file or as one package, counted and on record before the first byte."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from gateway.api.byte_ranges import Part, part_of
from gateway.api.byte_ranges import headers as range_headers
from gateway.api.footage_reach import request_id
from gateway.api.routing import Call, Media, Routes
from gateway.api.sending import KINDS, attachment, send
from gateway.domain.access import Permission
from gateway.domain.handover import Span
from gateway.errors import Conflict, Forbidden, InvalidInput, NotFound
from gateway.evidence import archive
from gateway.evidence.contents import MANIFEST, Altered

routes = Routes("footage-downloads", "Original footage for those who may have it.")


@routes.op(
    "GET",
    "/v1/footage-requests/{request_id}/files/{name}",
    needs=Permission.FOOTAGE_DOWNLOAD,
    answers=Media(KINDS),
    head=False,
    problems=(NotFound, Conflict, Forbidden, InvalidInput),
    headers={
        "Range": "Part of the file (RFC 9110, section 14); each call counts as a download. The whole file is compared before the first one."
    },
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
    pieces = archive.pieces(package.paths, digests=package.digests)
    return await send(call.request, whole, pieces, headers=headers, stop=_gone(call), damaged=_damaged(call, package.digests))


async def _download(call: Call, name: str) -> web.StreamResponse:
    await _must_be_filer(call, name)
    file = await call.services.footage.download(request_id(call), name, by=call.caller.person)
    headers = attachment(file.name, file.sha256)
    size, etag = (await asyncio.to_thread(file.path.stat)).st_size, f'"{file.sha256}"'
    part = part_of(size, etag, asked=call.request.headers.get("Range"), only_if=call.request.headers.get("If-Range"))
    headers |= range_headers(part, size, etag)
    pieces = call.services.footage.pieces(file, part.span)
    return await send(call.request, part, pieces, headers=headers, stop=_gone(call), damaged=_damaged(call, {file.name: file.sha256}))


def _gone(call: Call) -> Callable[[], bool]:
    """Whether the request has ended meanwhile: what is going out is cut off."""
    return functools.partial(call.services.footage.gone, request_id(call))


def _damaged(call: Call, sealed: Mapping[str, str]) -> Callable[[Altered], Awaitable[None]]:
    """Puts on record that what goes out is not what was `sealed`."""
    return functools.partial(call.services.footage.damage.found, request_id(call), sealed=sealed, to=call.caller.person)


async def _must_be_filer(call: Call, wish: str) -> None:
    await call.services.footage.must_be_filer(request_id(call), by=call.caller.person, wish=wish)
