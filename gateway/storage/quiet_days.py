"""Dated exceptions of the quiet hours as people have added them, kept for the record when they are taken back."""

from collections.abc import Sequence
from datetime import date, datetime, time
from typing import Any

from sqlalchemy import Column, Row, Table, Text, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.broadcast_rules import DatedHours, Effect, QuietDays
from gateway.domain.devices import ZoneId
from gateway.domain.events import Actor, ActorKind
from gateway.errors import NotFound
from gateway.storage.schema import Json, UtcTime, metadata

quiet_days = Table(
    "quiet_days",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("first_day", Text, nullable=False),
    Column("last_day", Text, nullable=False),
    Column("start_time", Text, nullable=False),
    Column("end_time", Text, nullable=False),
    Column("effect", Text, nullable=False),
    Column("zones", Json, nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("actor_id", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("withdrawn_at", UtcTime),
)


class QuietDaysRepository:
    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def add(self, days: QuietDays) -> None:
        """Its id must be new."""
        await self._conn.execute(insert(quiet_days).values(_columns(days)))

    async def standing(self, *, since: date) -> Sequence[QuietDays]:
        """Those that are not withdrawn and have days from `since` on, by their first day."""
        table = quiet_days.c
        statement = select(quiet_days).where(table.withdrawn_at.is_(None), table.last_day >= since.isoformat())
        return [_days(row) for row in await self._conn.execute(statement.order_by(table.first_day, table.id))]

    async def withdraw(self, id_: str, at: datetime) -> QuietDays:
        """What holds no more from `at` on. NotFound (`no-quiet-days`) when there is none, or it was withdrawn before."""
        table = quiet_days.c
        standing = (table.id == id_) & table.withdrawn_at.is_(None)
        row = (await self._conn.execute(select(quiet_days).where(standing))).one_or_none()
        if row is None:
            hint = "GET /v1/quiet-hours lists what there is; those of the file are changed in the file"
            raise NotFound(f"no exception {id_[:80]!r} of the quiet hours", code="no-quiet-days", hint=hint)
        await self._conn.execute(update(quiet_days).where(standing).values(withdrawn_at=at))
        return _days(row)


def _columns(days: QuietDays) -> dict[str, Any]:
    hours = days.hours
    return {
        "id": hours.id,
        "name": hours.name,
        "first_day": hours.first.isoformat(),
        "last_day": hours.last.isoformat(),
        "start_time": hours.start.isoformat("minutes"),
        "end_time": hours.end.isoformat("minutes"),
        "effect": hours.effect.value,
        "zones": sorted(hours.zones),
        "reason": days.reason,
        "actor_kind": days.actor.kind.value,
        "actor_id": days.actor.id,
        "created_at": days.created_at,
    }


def _days(row: Row[Any]) -> QuietDays:
    hours = DatedHours(
        id=row.id,
        name=row.name,
        first=date.fromisoformat(row.first_day),
        last=date.fromisoformat(row.last_day),
        start=time.fromisoformat(row.start_time),
        end=time.fromisoformat(row.end_time),
        effect=Effect(row.effect),
        zones=frozenset(map(ZoneId, row.zones)),
    )
    return QuietDays(hours, row.reason, Actor(ActorKind(row.actor_kind), row.actor_id), row.created_at)
