"""How far the clocks of devices were off, and when: one row for as long as it stays the same."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, Double, Row, Table, Text, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.devices import DeviceId
from gateway.domain.footage import Basis, ClockPart, ClockReading, ClockRun, Period
from gateway.storage.fetched import to_offset, to_seconds
from gateway.storage.schema import UtcTime, metadata
from gateway.storage.spans import to_periods, to_spans

RUNS_MOST: Final = 200
"""Of one device: a clock that jumps all the time loses its oldest runs."""

device_clocks = Table(
    "device_clocks",
    metadata,
    Column("device", Text, primary_key=True),
    Column("first_at", UtcTime, primary_key=True),
    Column("last_at", UtcTime, nullable=False),
    Column("offset_s", Double, nullable=False),
)
_c = device_clocks.c


class ClockRepository:
    """What was measured of devices' clocks."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def newest(self) -> Mapping[DeviceId, ClockRun]:
        """The last run of each device."""
        last = select(_c.device, func.max(_c.first_at).label("first_at")).group_by(_c.device).subquery()
        statement = select(device_clocks).join(last, (last.c.device == _c.device) & (last.c.first_at == _c.first_at))
        return {DeviceId(row.device): _run(row) for row in await self._conn.execute(statement)}

    async def around(self, device: DeviceId, window: Period) -> tuple[ClockRun, ...]:
        """The runs that tell of `window`, in order: those in it, the one before and the one after it."""
        mine = select(device_clocks).where(_c.device == device)
        before = await self._conn.execute(mine.where(_c.first_at <= window.start).order_by(_c.first_at.desc()).limit(1))
        inside = await self._conn.execute(
            mine.where(_c.first_at > window.start, _c.first_at < window.end).order_by(_c.first_at).limit(RUNS_MOST)
        )
        after = await self._conn.execute(mine.where(_c.first_at >= window.end).order_by(_c.first_at).limit(1))
        return tuple([_run(row) for rows in (before, inside, after) for row in rows.all()])

    async def put(self, device: DeviceId, run: ClockRun) -> None:
        """`run` is the last one of `device`; one that began at the same moment goes on."""
        same = (_c.device == device, _c.first_at == run.first)
        if (await self._conn.execute(update(device_clocks).where(*same).values(last_at=run.last))).rowcount:
            return
        row = {"device": device, "first_at": run.first, "last_at": run.last, "offset_s": to_seconds(run.offset)}
        await self._conn.execute(insert(device_clocks).values(row))
        oldest = select(_c.first_at).where(_c.device == device).order_by(_c.first_at.desc()).offset(RUNS_MOST - 1).limit(1)
        await self._conn.execute(delete(device_clocks).where(_c.device == device, _c.first_at < oldest.scalar_subquery()))

    async def forget(self, *, before: datetime) -> None:
        """Drop the runs that ended before that."""
        await self._conn.execute(delete(device_clocks).where(_c.last_at < before))


def _run(row: Row[Any]) -> ClockRun:
    offset = to_offset(row.offset_s)
    assert offset is not None
    return ClockRun(row.first_at, row.last_at, offset)


def to_clock_json(clock: ClockReading | None) -> dict[str, Any] | None:
    """A reading as a column of JSON has it."""
    if clock is None:
        return None
    parts = [[*to_spans([part.period])[0], to_seconds(part.offset), part.basis] for part in clock.parts]
    return {"now_s": to_seconds(clock.now), "parts": parts}


def to_clock(found: Mapping[str, Any] | None) -> ClockReading | None:
    """The reading that `to_clock_json` wrote down."""
    if found is None:
        return None
    parts = [ClockPart(to_periods([part[:2]])[0], to_offset(part[2]), Basis(part[3])) for part in found["parts"]]
    return ClockReading(tuple(parts), to_offset(found["now_s"]))
