"""The documents of footage requests in the store: which there are; their bytes lie on the disk."""

from typing import Any

from sqlalchemy import BigInteger, Column, Row, Table, Text, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.events import Actor, ActorKind, Person
from gateway.domain.footage import Document, DocumentId, DocumentKind, RequestId
from gateway.errors import NotFound
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
)


class DocumentRepository:
    """Documents over one connection."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def add(self, document: Document) -> None:
        """Conflict when the request has a file with these bytes already."""
        actor = document.by.actor
        same = {name: getattr(document, name) for name in ("id", "request", "name", "media", "sha256", "size", "at")}
        who = {"actor_kind": actor.kind.value, "actor_id": actor.id, "person": document.by.name}
        await self._conn.execute(insert(footage_documents).values(same | who | {"kind": document.kind.value}))

    async def of(self, request: RequestId) -> list[Document]:
        """Those of a request, the oldest first."""
        table = footage_documents.c
        statement = select(footage_documents).where(table.request == request).order_by(table.at, table.id)
        return [_document(row) for row in await self._conn.execute(statement)]

    async def get(self, request: RequestId, document: DocumentId) -> Document:
        """NotFound when the request has no such document."""
        table = footage_documents.c
        found = await self._conn.execute(select(footage_documents).where(table.request == request, table.id == document))
        row = found.one_or_none()
        if row is None:
            raise NotFound(f"footage request {request} has no document {document[:64]!r}")
        return _document(row)


def _document(row: Row[Any]) -> Document:
    by = Person(Actor(ActorKind(row.actor_kind), row.actor_id), row.person)
    return Document(
        DocumentId(row.id), RequestId(row.request), DocumentKind(row.kind), row.name, row.media, row.sha256, row.size, by, row.at
    )
