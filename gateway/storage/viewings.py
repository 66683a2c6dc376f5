"""Viewings on site, in the store: who looked, who sat beside, from when to when, with which outcome."""

from typing import Any, Final

from sqlalchemy import BigInteger, Column, Row, Table, Text, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.events import Actor, Person
from gateway.domain.footage import RequestId
from gateway.domain.viewing import Viewing, ViewingId, ViewingOutcome
from gateway.errors import NotFound
from gateway.storage.schema import UtcTime, metadata

_SAME: Final = ("id", "request", "viewer", "identity", "companions", "place", "started_at", "until", "plays", "ended_at", "note")

footage_viewings = Table(
    "footage_viewings",
    metadata,
    Column("id", Text, primary_key=True),
    *(Column(name, Text, nullable=False) for name in ("request", "viewer", "identity", "companions", "place", "started_by", "supervisor")),
    Column("started_at", UtcTime, nullable=False),
    Column("until", UtcTime, nullable=False),
    Column("plays", BigInteger, nullable=False),
    Column("ended_at", UtcTime),
    Column("outcome", Text),
    Column("note", Text, nullable=False),
)


class ViewingRepository:
    """Viewings over one connection."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def add(self, viewing: Viewing) -> None:
        """Store a new one. Conflict when a rule of the schema is broken."""
        await self._conn.execute(insert(footage_viewings).values(_row(viewing)))

    async def put(self, viewing: Viewing) -> None:
        """Write its plays and its end."""
        row = _row(viewing)
        changed = {name: row[name] for name in ("plays", "ended_at", "outcome", "note")}
        await self._conn.execute(update(footage_viewings).where(footage_viewings.c.id == viewing.id).values(changed))

    async def get(self, viewing: ViewingId) -> Viewing:
        """NotFound when there is none."""
        row = (await self._conn.execute(select(footage_viewings).where(footage_viewings.c.id == viewing))).one_or_none()
        if row is None:
            raise NotFound(f"no viewing {viewing!r}")
        return _viewing(row)

    async def of(self, request: RequestId) -> list[Viewing]:
        """All of a request, the oldest first."""
        table = footage_viewings.c
        statement = select(footage_viewings).where(table.request == request).order_by(table.started_at, table.id)
        return [_viewing(row) for row in await self._conn.execute(statement)]

    async def open(self, *, limit: int = 100) -> list[Viewing]:
        """Those that nobody has ended, the oldest first."""
        table = footage_viewings.c
        statement = select(footage_viewings).where(table.ended_at.is_(None)).order_by(table.started_at).limit(limit)
        return [_viewing(row) for row in await self._conn.execute(statement)]


def _row(viewing: Viewing) -> dict[str, Any]:
    return {name: getattr(viewing, name) for name in _SAME} | {
        "started_by": str(viewing.supervisor.actor),
        "supervisor": viewing.supervisor.name,
        "outcome": viewing.outcome.value if viewing.outcome else None,
    }


def _viewing(row: Row[Any]) -> Viewing:
    return Viewing(
        **{name: row._mapping[name] for name in _SAME},
        supervisor=Person(Actor.parse(row.started_by), row.supervisor),
        outcome=ViewingOutcome(row.outcome) if row.outcome else None,
    )
