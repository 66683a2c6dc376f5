"""Excuses as they are stored: what was proposed, with its evidence, and who decided."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Row, Table, Text, and_, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.devices import CellCode, DeviceId, GroupId
from gateway.domain.events import Actor, Person
from gateway.domain.excuses import Excuse, ExcuseId, ExcusePlaces, ExcuseState
from gateway.errors import Conflict, NotFound
from gateway.storage.schema import Json, UtcTime, metadata

excuses = Table(
    "excuses",
    metadata,
    Column("id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("places", Json, nullable=False),
    Column("start_at", UtcTime, nullable=False),
    Column("end_at", UtcTime, nullable=False),
    Column("reason", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("incident", Text, nullable=False),
    Column("proposed_by", Text, nullable=False),
    Column("proposer", Text, nullable=False),
    Column("proposed_at", UtcTime, nullable=False),
    Column("decided_by", Text),
    Column("decider", Text),
    Column("decided_at", UtcTime),
    Column("note", Text, nullable=False),
)


class ExcuseRepository:
    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def add(self, excuse: Excuse) -> None:
        """Conflict when the id is taken or a rule of the schema is broken."""
        await self._conn.execute(insert(excuses).values(_row(excuse)))

    async def get(self, excuse: ExcuseId) -> Excuse:
        """NotFound when there is none."""
        row = (await self._conn.execute(select(excuses).where(excuses.c.id == excuse))).one_or_none()
        if row is None:
            raise NotFound(f"There is no excuse {excuse!r}.", hint="GET /v1/health/excuses lists what there is.")
        return _excuse(row)

    async def replace(self, before: Excuse, after: Excuse) -> None:
        """Write `after` over `before`; Conflict when the stored state is no longer that of `before`."""
        statement = update(excuses).where(excuses.c.id == before.id, excuses.c.state == before.state.value).values(_row(after))
        if (await self._conn.execute(statement)).rowcount != 1:
            raise Conflict("somebody else has decided meanwhile", code="changed-meanwhile", hint="look at it again")

    async def find(
        self, *, state: ExcuseState | None = None, before: tuple[datetime, ExcuseId] | None = None, limit: int = 100
    ) -> Sequence[Excuse]:
        """Excuses, the newest first, from after the place `before` (proposed_at, id) on."""
        table = excuses.c
        query = select(excuses).order_by(table.proposed_at.desc(), table.id.desc()).limit(limit)
        if state is not None:
            query = query.where(table.state == state.value)
        if before is not None:
            at, last = before
            query = query.where(or_(table.proposed_at < at, and_(table.proposed_at == at, table.id < last)))
        return [_excuse(row) for row in await self._conn.execute(query)]

    async def approved(self, start: datetime, end: datetime) -> Sequence[Excuse]:
        """Those that are approved and touch `start` to `end`, by their beginning."""
        table = excuses.c
        touching = and_(table.state == ExcuseState.APPROVED.value, table.end_at > start, table.start_at < end)
        return [_excuse(row) for row in await self._conn.execute(select(excuses).where(touching).order_by(table.start_at, table.id))]


def _row(excuse: Excuse) -> dict[str, Any]:
    places, decided = excuse.places, excuse.decided_by
    return {
        "id": excuse.id,
        "state": excuse.state.value,
        "kind": excuse.kind,
        "places": {name: sorted(getattr(places, name)) for name in ("devices", "groups", "cells", "districts")},
        "start_at": excuse.start,
        "end_at": excuse.end,
        "reason": excuse.reason,
        "evidence": excuse.evidence,
        "incident": excuse.incident,
        "proposed_by": str(excuse.proposed_by.actor),
        "proposer": excuse.proposed_by.name,
        "proposed_at": excuse.proposed_at,
        "decided_by": str(decided.actor) if decided else None,
        "decider": decided.name if decided else None,
        "decided_at": excuse.decided_at,
        "note": excuse.note,
    }


def _excuse(row: Row[Any]) -> Excuse:
    return Excuse(
        id=ExcuseId(row.id),
        kind=row.kind,
        places=ExcusePlaces(
            frozenset(map(DeviceId, row.places["devices"])),
            frozenset(map(GroupId, row.places["groups"])),
            frozenset(map(CellCode, row.places["cells"])),
            frozenset(row.places["districts"]),
        ),
        start=row.start_at,
        end=row.end_at,
        reason=row.reason,
        evidence=row.evidence,
        incident=row.incident,
        proposed_by=Person(Actor.parse(row.proposed_by), row.proposer),
        proposed_at=row.proposed_at,
        state=ExcuseState(row.state),
        decided_by=Person(Actor.parse(row.decided_by), row.decider) if row.decided_by else None,
        decided_at=row.decided_at,
        note=row.note,
    )
