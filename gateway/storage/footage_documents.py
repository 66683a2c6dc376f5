"""The documents of footage requests in the store: which there are; their bytes lie on the disk."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, ColumnElement, Row, Table, Text, exists, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.events import Actor, ActorKind, Person
from gateway.domain.footage import OVER, Document, DocumentId, DocumentKind, RequestId
from gateway.domain.holds import HoldState
from gateway.errors import NotFound
from gateway.storage.footage_tables import footage_cameras, footage_requests
from gateway.storage.holds import hold_keeps, holds
from gateway.storage.schema import UtcTime, metadata

footage_documents = Table(
    "footage_documents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("request", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("media", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("actor_id", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("removed_at", UtcTime),
)


class DocumentRepository:
    """Documents over one connection."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def add(self, document: Document) -> None:
        """Conflict when the request has a file with these bytes already."""
        await self._conn.execute(insert(footage_documents).values(_row(document)))

    async def put(self, document: Document) -> None:
        """Let its row be as `document` is."""
        await self._conn.execute(update(footage_documents).where(footage_documents.c.id == document.id).values(_row(document)))

    async def remove(self, document: DocumentId, *, at: datetime) -> None:
        """Mark its bytes as gone. Conflict while its request is not over, or an active hold needs it."""
        await self._conn.execute(update(footage_documents).where(footage_documents.c.id == document).values(removed_at=at))

    async def of(self, request: RequestId) -> list[Document]:
        """Those of a request, the oldest first."""
        table = footage_documents.c
        statement = select(footage_documents).where(table.request == request).order_by(table.at, table.id)
        return [_document(row) for row in await self._conn.execute(statement)]

    async def due(self, moment: datetime, *, limit: int, request: RequestId | None = None) -> list[Document]:
        """Those that came before `moment`, of requests (or of one) that were over before it and that no active hold needs."""
        table, asked = footage_documents.c, footage_requests.c
        over = (asked.state.in_([state.value for state in OVER]), asked.changed_at < moment)
        statement = select(footage_documents).join(footage_requests, asked.id == table.request).where(*over, ~_held())
        statement = statement.where(table.removed_at.is_(None), table.at < moment)
        if request is not None:
            statement = statement.where(table.request == request)
        statement = statement.order_by(asked.changed_at, table.request, table.id).limit(limit)
        return [_document(row) for row in await self._conn.execute(statement)]

    async def there(self, sha256: str) -> bool:
        """Whether any request still has these bytes."""
        table = footage_documents.c
        found = await self._conn.execute(select(table.id).where(table.sha256 == sha256, table.removed_at.is_(None)).limit(1))
        return found.one_or_none() is not None

    async def gone(self) -> list[str]:
        """The hashes of bytes that no request has any more."""
        table, other = footage_documents.c, footage_documents.alias()
        kept = exists().where(other.c.sha256 == table.sha256, other.c.removed_at.is_(None))
        return list(await self._conn.scalars(select(table.sha256).distinct().where(table.removed_at.is_not(None), ~kept)))

    async def get(self, request: RequestId, document: DocumentId) -> Document:
        """NotFound when the request has no such document."""
        table = footage_documents.c
        found = await self._conn.execute(select(footage_documents).where(table.request == request, table.id == document))
        row = found.one_or_none()
        if row is None:
            raise NotFound(f"footage request {request} has no document {document[:64]!r}")
        return _document(row)


def _held() -> ColumnElement[bool]:
    """That an active hold names a row's request, or covers something of one of its cameras in what was asked of it."""
    window = footage_cameras.c
    over = (holds.c.start_at < window.end_at, holds.c.end_at > window.start_at)
    asked = (window.request == footage_documents.c.request, window.camera == hold_keeps.c.camera)
    covers = exists().where(hold_keeps.c.hold == holds.c.id, *asked, *over).correlate(footage_documents, holds)
    names = holds.c.request == footage_documents.c.request
    return exists().where(holds.c.state == HoldState.ACTIVE.value, or_(names, covers)).correlate(footage_documents)


def _row(document: Document) -> dict[str, Any]:
    actor = document.by.actor
    same = {name: getattr(document, name) for name in ("id", "request", "name", "media", "sha256", "size", "at", "removed_at")}
    who = {"actor_kind": actor.kind.value, "actor_id": actor.id, "person": document.by.name}
    return same | who | {"kind": document.kind.value}


def _document(row: Row[Any]) -> Document:
    by = Person(Actor(ActorKind(row.actor_kind), row.actor_id), row.person)
    return Document(
        *(DocumentId(row.id), RequestId(row.request), DocumentKind(row.kind), row.name, row.media, row.sha256, row.size, by, row.at),
        removed_at=row.removed_at,
    )
