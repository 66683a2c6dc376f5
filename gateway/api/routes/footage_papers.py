"""What follows after a footage request was filed: the rest of its register, and its documents as files."""

from aiohttp import web
from pydantic import Field

from gateway.api.footage_json import PersonOut, RequestOut, request_out, shown_person
from gateway.api.footage_reach import opened, refuse, within
from gateway.api.models import Input, Instant, Line, OptionalLine, Output, Text
from gateway.api.routing import Call, Media, Routes
from gateway.domain.access import Permission
from gateway.domain.footage import Document, DocumentId, DocumentKind
from gateway.errors import Conflict, Forbidden, InvalidInput, NotFound

routes = Routes("footage papers", "The rest of a footage request's register, and its documents.")

SCAN = Media(("application/pdf", "image/jpeg", "image/png", "application/octet-stream"), limit="document_bytes")
_ENDINGS = {"application/pdf": ".pdf", "image/jpeg": ".jpg", "image/png": ".png"}


class AmendIn(Input):
    """Fields of the register; those that are left out, or empty, stay as they are."""

    unit: OptionalLine = ""
    badge: OptionalLine = ""
    second_officer: OptionalLine = ""
    case_kind: OptionalLine = ""
    legal_basis: OptionalLine = ""
    authorising_document: OptionalLine = ""
    approval_letter: OptionalLine = ""
    purpose: Text = ""
    destination: Text = ""
    contact: OptionalLine = ""


class DocumentQuery(Input):
    """What is uploaded."""

    kind: DocumentKind = DocumentKind.AUTHORISATION
    name: Line = Field(default="document", description="What the file is called; its content says what it is.")


class DocumentOut(Output):
    """A document of a request."""

    id: str
    kind: DocumentKind
    name: str
    media: str
    sha256: str
    size: int
    by: PersonOut
    at: Instant
    removed_at: Instant | None = Field(description="When it was deleted, its term being over; it cannot be read any more.")


class DocumentList(Output):
    """The documents of a request, the oldest first."""

    items: list[DocumentOut]


@routes.op(
    "POST",
    "/v1/footage-requests/{request_id}/register",
    needs=Permission.FOOTAGE_REQUEST,
    problems=(NotFound, Conflict, Forbidden, InvalidInput),
    repeatable=True,
)
async def amend_footage_request(call: Call, body: AmendIn) -> RequestOut:
    """Fill in what the register still lacks (`missing` of the request). What was filled in stays once somebody has decided.

    The proof of footage that is ready is written and signed anew when that changed something; what was handed over keeps its own. In an
    emergency the papers count as supplied when nothing is missing and an authorising document or letter was uploaded.
    """
    return request_out(call, await call.services.footage.amending.amend(await within(call), body.model_dump(), by=call.caller.person))


@routes.op(
    "POST",
    "/v1/footage-requests/{request_id}/documents",
    needs=Permission.FOOTAGE_REQUEST,
    status=201,
    takes=SCAN,
    problems=(NotFound, Conflict, Forbidden),
    repeatable=True,
)
async def add_footage_document(call: Call, query: DocumentQuery, content: bytes) -> DocumentOut:
    """Upload a document, as PDF, JPEG or PNG; its content says which. The same bytes are kept once for each request."""
    kept = await call.services.footage.amending.add(await within(call), content, kind=query.kind, name=query.name, by=call.caller.person)
    return _shown(kept)


@routes.op("GET", "/v1/footage-requests/{request_id}/documents", needs=Permission.FOOTAGE_READ, problems=(NotFound, Forbidden))
async def list_footage_documents(call: Call) -> DocumentList:
    """The documents of a request."""
    found = await call.services.footage.amending.documents(await opened(call))
    return DocumentList(items=[_shown(document) for document in found])


@routes.op(
    "GET",
    "/v1/footage-requests/{request_id}/documents/{document_id}",
    needs=Permission.FOOTAGE_READ,
    answers=Media(("application/pdf", "image/jpeg", "image/png")),
    head=False,
    problems=(NotFound, Forbidden),
)
async def read_footage_document(call: Call) -> web.Response:
    """The document itself, to who filed the request and to who may approve it; each reading is a line of the custody log."""
    desk, name = call.services.footage, await opened(call)
    owner = (await desk.request(name)).submitted_by
    if owner.actor != call.caller.actor and not call.caller.may(Permission.FOOTAGE_APPROVE):
        hint = f"{owner.name} filed the request; whoever approves may read it, too."
        await refuse(call, name, Forbidden("This document is not for you.", code="not-yours", hint=hint))
    document = await desk.amending.open(name, DocumentId(call.path("document_id")), by=call.caller.person)
    known = document.document
    headers = {
        "Content-Disposition": f'attachment; filename="{known.id}{_ENDINGS[known.media]}"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return web.Response(body=document.data, content_type=known.media, headers=headers)


def _shown(document: Document) -> DocumentOut:
    same = {name: getattr(document, name) for name in DocumentOut.model_fields if name != "by"}
    return DocumentOut(**same, by=shown_person(document.by))
