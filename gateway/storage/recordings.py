"""Recordings of live talks: which file belongs to which broadcast, and until when it is kept."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Table, Text, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.broadcast import BroadcastId
from gateway.errors import NotFound
from gateway.storage.schema import UtcTime, metadata

recordings = Table(
    "recordings",
    metadata,
    Column("broadcast", Text, ForeignKey("broadcasts.id"), primary_key=True),
    Column("sha256", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("duration_ms", BigInteger, nullable=False),
    Column("made_at", UtcTime, nullable=False),
    Column("keep_until", UtcTime, nullable=False),
    Column("gone", Boolean, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Recording:
    """What was said in one broadcast: a file named by its SHA-256 (hexadecimal)."""

    broadcast: BroadcastId
    sha256: str
    size: int
    duration_ms: int
    made_at: datetime
    keep_until: datetime


class RecordingRepository:
    """The row stays when the file has gone: that it was, and what its hash is, belongs to the record."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def add(self, recording: Recording) -> None:
        """A broadcast has one at the most."""
        await self._conn.execute(
            insert(recordings).values(
                broadcast=recording.broadcast,
                sha256=recording.sha256,
                size=recording.size,
                duration_ms=recording.duration_ms,
                made_at=recording.made_at,
                keep_until=recording.keep_until,
                gone=False,
            )
        )

    async def of(self, broadcast: BroadcastId) -> Recording:
        """NotFound (`no-recording`) when there is none, or none any more."""
        found = select(recordings).where(recordings.c.broadcast == broadcast, recordings.c.gone.is_(False))
        row = (await self._conn.execute(found)).one_or_none()
        if row is None:
            raise NotFound(f"there is no recording of {broadcast[:100]!r}", code="no-recording")
        return Recording(BroadcastId(row.broadcast), row.sha256, row.size, row.duration_ms, row.made_at, row.keep_until)

    async def drop(self, *, before: datetime, limit: int) -> list[str]:
        """Note of up to `limit` recordings, kept until `before`, that they are gone; the files that no other recording needs."""
        table = recordings.c
        old = select(table.broadcast, table.sha256).where(table.gone.is_(False), table.keep_until <= before)
        rows = (await self._conn.execute(old.order_by(table.keep_until).limit(limit))).all()
        names = [row.broadcast for row in rows]
        await self._conn.execute(update(recordings).where(table.broadcast.in_(names)).values(gone=True))
        files = {row.sha256 for row in rows}
        needed = await self._conn.scalars(select(table.sha256).where(table.sha256.in_(files), table.gone.is_(False)))
        return sorted(files - set(needed))
