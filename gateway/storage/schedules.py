"""Schedules of broadcasts and their runs in the store."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Double, ForeignKey, Row, Table, Text, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.broadcast import ClipId
from gateway.domain.events import Actor, ActorKind
from gateway.domain.schedules import Days, Run, RunState, Schedule, ScheduleId, ScheduleState
from gateway.errors import NotFound
from gateway.storage.broadcasts import programme_columns, programme_of, targets_from_json, targets_to_json
from gateway.storage.schema import Json, UtcTime, metadata

schedules = Table(
    "schedules",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("name_en", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("clip", Text, ForeignKey("clips.id")),
    Column("text", Text, nullable=False),
    Column("voice", Text, nullable=False),
    Column("chime", Boolean, nullable=False),
    Column("repeats", BigInteger, nullable=False),
    Column("pause_s", Double, nullable=False),
    Column("targets", Json, nullable=False),
    Column("start_at", UtcTime, nullable=False),
    Column("rule", Text, nullable=False),
    Column("timezone", Text, nullable=False),
    Column("days", Text, nullable=False),
    Column("within_s", Double, nullable=False),
    Column("reason", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("actor_id", Text, nullable=False),
    Column("approved_by_kind", Text),
    Column("approved_by_id", Text),
    Column("created_at", UtcTime, nullable=False),
    Column("done_until", UtcTime, nullable=False),
)

schedule_runs = Table(
    "schedule_runs",
    metadata,
    Column("schedule", Text, ForeignKey("schedules.id"), primary_key=True),
    Column("due", UtcTime, primary_key=True),
    Column("state", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("code", Text, nullable=False),
    Column("detail", Text, nullable=False),
)


class ScheduleRepository:
    """Schedules are withdrawn, not deleted; a run is written once."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def add(self, schedule: Schedule) -> None:
        """Its id must be new."""
        await self._conn.execute(insert(schedules).values(**_columns(schedule)))

    async def save(self, schedule: Schedule) -> None:
        """Write what may change of it: its state, the second person, how far it was seen to."""
        by = schedule.approved_by
        changed = {
            "state": schedule.state.value,
            "approved_by_kind": by.kind.value if by else None,
            "approved_by_id": by.id if by else None,
            "done_until": schedule.done_until,
        }
        await self._conn.execute(update(schedules).where(schedules.c.id == schedule.id).values(changed))

    async def get(self, schedule: ScheduleId) -> Schedule:
        """Raises NotFound (`no-schedule`)."""
        row = (await self._conn.execute(select(schedules).where(schedules.c.id == schedule))).one_or_none()
        if row is None:
            raise NotFound(f"no schedule {schedule[:80]}", code="no-schedule", hint="GET /v1/schedules lists what there is.")
        return _schedule(row)

    async def standing(self) -> Sequence[Schedule]:
        """Those that are not withdrawn, the oldest first."""
        statement = select(schedules).where(schedules.c.state != ScheduleState.WITHDRAWN.value)
        return [_schedule(row) for row in await self._conn.execute(statement.order_by(schedules.c.created_at, schedules.c.id))]

    async def of_clip(self, clip: ClipId) -> Sequence[ScheduleId]:
        """Those that are not withdrawn and need `clip`."""
        statement = select(schedules.c.id).where(schedules.c.clip == clip, schedules.c.state != ScheduleState.WITHDRAWN.value)
        return [ScheduleId(row.id) for row in await self._conn.execute(statement.order_by(schedules.c.id))]

    async def add_run(self, run: Run) -> None:
        """Write down what became of an occurrence; what is written down already stays."""
        this = (schedule_runs.c.schedule == run.schedule) & (schedule_runs.c.due == run.due)
        if (await self._conn.execute(select(schedule_runs.c.due).where(this))).one_or_none() is None:
            values = {"due": run.due, "state": run.state.value, "at": run.at, "code": run.code, "detail": run.detail}
            await self._conn.execute(insert(schedule_runs).values(schedule=run.schedule, **values))

    async def take_back(self, schedule: ScheduleId, *, after: datetime) -> None:
        """Forget what became of its occurrences after `after`, but for those that were ordered."""
        untold = schedule_runs.c.state != RunState.ORDERED.value
        await self._conn.execute(delete(schedule_runs).where(schedule_runs.c.schedule == schedule, schedule_runs.c.due > after, untold))

    async def runs(self, schedule: ScheduleId, *, limit: int) -> Sequence[Run]:
        """The last `limit` of them, the latest first."""
        statement = select(schedule_runs).where(schedule_runs.c.schedule == schedule).order_by(schedule_runs.c.due.desc())
        return [_run(row) for row in await self._conn.execute(statement.limit(limit))]

    async def last_runs(self) -> dict[ScheduleId, Run]:
        """The latest run of each schedule that has one."""
        ranked = select(
            schedule_runs, func.row_number().over(partition_by=schedule_runs.c.schedule, order_by=schedule_runs.c.due.desc()).label("place")
        )
        latest = ranked.subquery()
        rows = await self._conn.execute(select(latest).where(latest.c.place == 1))
        return {ScheduleId(row.schedule): _run(row) for row in rows}


def _columns(schedule: Schedule) -> dict[str, Any]:
    by = schedule.approved_by
    return {
        "id": schedule.id,
        "name": schedule.name,
        "name_en": schedule.name_en,
        **programme_columns(schedule.programme),
        "targets": targets_to_json(schedule.targets),
        "start_at": schedule.start,
        "rule": schedule.rule,
        "timezone": schedule.timezone,
        "days": schedule.days.value,
        "within_s": schedule.within / timedelta(seconds=1),
        "reason": schedule.reason,
        "sender": schedule.sender,
        "state": schedule.state.value,
        "actor_kind": schedule.actor.kind.value,
        "actor_id": schedule.actor.id,
        "approved_by_kind": by.kind.value if by else None,
        "approved_by_id": by.id if by else None,
        "created_at": schedule.created_at,
        "done_until": schedule.done_until,
    }


def _schedule(row: Row[Any]) -> Schedule:
    return Schedule(
        id=ScheduleId(row.id),
        name=row.name,
        programme=programme_of(row),
        targets=targets_from_json(row.targets),
        start=row.start_at,
        timezone=row.timezone,
        within=timedelta(seconds=row.within_s),
        actor=Actor(ActorKind(row.actor_kind), row.actor_id),
        created_at=row.created_at,
        done_until=row.done_until,
        name_en=row.name_en,
        rule=row.rule,
        days=Days(row.days),
        reason=row.reason,
        sender=row.sender,
        state=ScheduleState(row.state),
        approved_by=None if row.approved_by_id is None else Actor(ActorKind(row.approved_by_kind), row.approved_by_id),
    )


def _run(row: Row[Any]) -> Run:
    return Run(ScheduleId(row.schedule), row.due, RunState(row.state), row.at, row.code, row.detail)
