"""Maintenance windows as they are stored. None is ever deleted: what was in force counts for availability for ever."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, ColumnElement, Row, Table, Text, literal, or_, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.maintenance import Places, Span, Window, WindowId
from gateway.errors import NotFound
from gateway.storage.schema import Json, UtcTime, metadata

maintenance_windows = Table(
    "maintenance_windows",
    metadata,
    Column("id", Text, primary_key=True),
    Column("places", Json, nullable=False),
    Column("start_at", UtcTime, nullable=False),
    Column("end_at", UtcTime),
    Column("rule", Text, nullable=False),
    Column("duration_s", BigInteger, nullable=False),
    Column("timezone", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("creator", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("extra", Json, nullable=False),
    Column("cuts", Json, nullable=False),
    Column("cancelled_at", UtcTime),
    Column("in_force", Boolean, nullable=False),
)
_PLACES = ("devices", "groups", "cells", "districts", "vendors")


class MaintenanceRepository:
    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def save(self, window: Window) -> None:
        """Write `window` as it now is."""
        row = _columns(window)
        dialect = postgresql if self._conn.dialect.name == "postgresql" else sqlite
        changed = {name: value for name, value in row.items() if name != "id"}
        statement = dialect.insert(maintenance_windows).values(**row)
        await self._conn.execute(statement.on_conflict_do_update(index_elements=["id"], set_=changed))

    async def get(self, window: WindowId) -> Window:
        """Raises NotFound."""
        row = (await self._conn.execute(select(maintenance_windows).where(maintenance_windows.c.id == window))).one_or_none()
        if row is None:
            hint = "GET /v1/maintenance-windows lists what there is."
            raise NotFound(f"no maintenance window {window[:80]}", code="no-window", hint=hint)
        return _window(row)

    async def ahead(self, now: datetime) -> Sequence[Window]:
        """Those that are, or may come to be, in force at `now` or later, and those of which it was told that they are."""
        statement = select(maintenance_windows).where(_ahead(now))
        order = (maintenance_windows.c.start_at, maintenance_windows.c.id)
        return [_window(row) for row in await self._conn.execute(statement.order_by(*order))]

    async def between(self, start: datetime, end: datetime) -> Sequence[Window]:
        """Those that may have been in force at some time from `start` until before `end`: `spans` tells when they were."""
        table = maintenance_windows
        # one that was started early has `extra` before its start; that is never long before it was made
        within = (table.c.created_at < end) & or_(table.c.rule != "", table.c.end_at > start, table.c.extra != literal([], Json))
        statement = select(table).where(within, or_(table.c.cancelled_at.is_(None), table.c.cancelled_at > start))
        return [_window(row) for row in await self._conn.execute(statement.order_by(table.c.start_at, table.c.id))]

    async def page(
        self, *, before: tuple[datetime, WindowId] | None = None, limit: int, ahead_of: datetime | None = None
    ) -> Sequence[Window]:
        """Up to `limit` windows, the latest made first; `before`: those after this time and id in that order.

        `ahead_of`: only those that are, or may come to be, in force then or later.
        """
        order = (maintenance_windows.c.created_at, maintenance_windows.c.id)
        statement = select(maintenance_windows).order_by(*(column.desc() for column in order)).limit(limit)
        if before is not None:
            statement = statement.where(tuple_(*order) < tuple_(literal(before[0], UtcTime), literal(before[1], Text)))
        if ahead_of is not None:
            statement = statement.where(_ahead(ahead_of))
        return [_window(row) for row in await self._conn.execute(statement)]


def _ahead(now: datetime) -> ColumnElement[bool]:
    table = maintenance_windows
    to_come = or_(table.c.rule != "", table.c.end_at > now) & or_(table.c.cancelled_at.is_(None), table.c.cancelled_at > now)
    return or_(table.c.in_force.is_(True), to_come)


def _columns(window: Window) -> dict[str, Any]:
    return {
        "id": window.id,
        "places": {**{name: sorted(getattr(window.places, name)) for name in _PLACES}, "everything": window.places.everything},
        "start_at": window.start,
        "end_at": window.end,
        "rule": window.rule,
        "duration_s": int(window.duration.total_seconds()),
        "timezone": window.timezone,
        "reason": window.reason,
        "created_by": window.created_by,
        "creator": window.creator,
        "created_at": window.created_at,
        "extra": _spans(window.extra),
        "cuts": _spans(window.cuts),
        "cancelled_at": window.cancelled_at,
        "in_force": window.in_force,
    }


def _spans(spans: Sequence[Span]) -> list[list[str]]:
    return [[span.start.isoformat(), span.end.isoformat()] for span in spans]


def _read_spans(stored: Sequence[Sequence[str]]) -> tuple[Span, ...]:
    return tuple(Span(datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in stored)


def _window(row: Row[Any]) -> Window:
    named = {name: frozenset(row.places[name]) for name in _PLACES}
    return Window(
        id=WindowId(row.id),
        places=Places(**named, everything=row.places["everything"]),
        start=row.start_at,
        reason=row.reason,
        created_by=row.created_by,
        creator=row.creator,
        created_at=row.created_at,
        end=row.end_at,
        rule=row.rule,
        duration=timedelta(seconds=row.duration_s),
        timezone=row.timezone,
        extra=_read_spans(row.extra),
        cuts=_read_spans(row.cuts),
        cancelled_at=row.cancelled_at,
        in_force=bool(row.in_force),
    )
