"""Clips that loudspeakers play by themselves, kept until they are known to be silent, so that a crash leaves none sounding unseen."""

from collections.abc import Sequence

from sqlalchemy import Column, ForeignKey, Table, Text, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.broadcast import BroadcastId, OwedStop
from gateway.domain.devices import DeviceId
from gateway.storage.schema import UtcTime, metadata

owed_stops = Table(
    "owed_stops",
    metadata,
    Column("broadcast", Text, ForeignKey("broadcasts.id"), primary_key=True),
    Column("speaker", Text, primary_key=True),
    Column("token", Text, nullable=False),
    Column("since", UtcTime, nullable=False),
    Column("until", UtcTime, nullable=False),
)


class OwedStopRepository:
    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def all(self) -> Sequence[OwedStop]:
        """Every clip that is not known to be silent, the one that was begun first at the beginning."""
        rows = await self._conn.execute(select(owed_stops).order_by(owed_stops.c.since))
        return [OwedStop(BroadcastId(row.broadcast), DeviceId(row.speaker), row.token, row.since, row.until) for row in rows]

    async def owe(self, stop: OwedStop) -> None:
        """A clip is about to be begun, in the place of what that delivery owed before."""
        await self.settle(stop.broadcast, stop.speaker)
        values = {"broadcast": stop.broadcast, "speaker": stop.speaker, "token": stop.token, "since": stop.since, "until": stop.until}
        await self._conn.execute(insert(owed_stops).values(values))

    async def settle(self, broadcast: BroadcastId, speaker: DeviceId) -> None:
        """What this delivery had played is silent."""
        table = owed_stops.c
        await self._conn.execute(delete(owed_stops).where(table.broadcast == broadcast, table.speaker == speaker))
