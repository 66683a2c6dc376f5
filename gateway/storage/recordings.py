"""Recordings of live talks: what became of each, which file belongs to which broadcast, and until when it is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Row, Table, Text, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.broadcast import BroadcastId
from gateway.domain.broadcast_ledger import Recording, RecordingState
from gateway.errors import NotFound
from gateway.storage.broadcasts import broadcasts
from gateway.storage.schema import UtcTime, metadata

recordings = Table(
    "recordings",
    metadata,
    Column("broadcast", Text, ForeignKey("broadcasts.id"), primary_key=True),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("duration_ms", BigInteger, nullable=False),
    Column("began_at", UtcTime),
    Column("settled_at", UtcTime),
    Column("keep_until", UtcTime),
    Column("gone", Boolean, nullable=False),
)


class RecordingRepository:
    """What became of a recording is said once. The row stays when the file has gone: that it was, and its hash, belong to the record."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def begin(self, recording: Recording) -> None:
        """There shall be one of this broadcast, which has one at the most."""
        await self._conn.execute(insert(recordings).values(**_columns(recording)))

    async def settle(self, recording: Recording) -> bool:
        """Say what became of one that is under way; False, and nothing is changed, where that is known."""
        table = recordings.c
        still = (table.broadcast == recording.broadcast, table.state == RecordingState.UNDER_WAY.value)
        return bool((await self._conn.execute(update(recordings).where(*still).values(**_columns(recording)))).rowcount)

    async def left(self, *, before: datetime) -> list[BroadcastId]:
        """Those under way whose broadcasts were ordered earlier than that."""
        table = recordings.c
        found = select(table.broadcast).join(broadcasts, broadcasts.c.id == table.broadcast)
        rows = await self._conn.scalars(found.where(table.state == RecordingState.UNDER_WAY.value, broadcasts.c.created_at < before))
        return [BroadcastId(row) for row in rows]

    async def about(self, of: Sequence[BroadcastId]) -> Mapping[BroadcastId, Recording]:
        """The recordings of several broadcasts, of those that were to have one."""
        if not of:
            return {}
        rows = await self._conn.execute(select(recordings).where(recordings.c.broadcast.in_(of)))
        return {BroadcastId(row.broadcast): _recording(row) for row in rows}

    async def of(self, broadcast: BroadcastId) -> Recording:
        """One whose file is there. NotFound (`no-recording`) when there is none, or none any more."""
        kept = (await self.about([broadcast])).get(broadcast)
        if kept is None or kept.state is not RecordingState.KEPT or kept.gone:
            raise NotFound(f"there is no recording of {broadcast[:100]!r}", code="no-recording")
        return kept

    async def drop(self, *, before: datetime, limit: int) -> list[str]:
        """Note of up to `limit` recordings, kept until `before`, that they are gone; the files that no other recording needs."""
        table = recordings.c
        there = (table.state == RecordingState.KEPT.value, table.gone.is_(False))
        old = select(table.broadcast, table.sha256).where(*there, table.keep_until <= before)
        rows = (await self._conn.execute(old.order_by(table.keep_until).limit(limit))).all()
        names = [row.broadcast for row in rows]
        await self._conn.execute(update(recordings).where(table.broadcast.in_(names)).values(gone=True))
        files = {row.sha256 for row in rows}
        needed = await self._conn.scalars(select(table.sha256).where(table.sha256.in_(files), *there))
        return sorted(files - set(needed))


def _columns(recording: Recording) -> dict[str, Any]:
    return asdict(recording) | {"state": recording.state.value}


def _recording(row: Row[Any]) -> Recording:
    known = dict(row._mapping)
    known |= {"broadcast": BroadcastId(row.broadcast), "state": RecordingState(row.state), "gone": bool(row.gone)}
    return Recording(**known)
