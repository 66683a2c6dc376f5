"""How loud loudspeakers were before they were made quieter, kept until they are so again, so that a crash leaves none quiet for good."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Column, Table, Text, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.devices import DeviceId
from gateway.storage.schema import Json, UtcTime, metadata

lowered_volumes = Table(
    "lowered_volumes",
    metadata,
    Column("speaker", Text, primary_key=True),
    Column("levels", Json, nullable=False),
    Column("since", UtcTime, nullable=False),
)


class VolumeRepository:
    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def lowered(self) -> Mapping[DeviceId, Mapping[str, float]]:
        """Every speaker that is not known to be as loud again as it was, with what it was: percent of its range, by output."""
        return {DeviceId(row.speaker): row.levels for row in await self._conn.execute(select(lowered_volumes))}

    async def lower(self, speaker: DeviceId, levels: Mapping[str, float], *, at: datetime) -> None:
        """Note what a speaker was before it is made quieter, in the place of what was noted of it."""
        await self.restore(speaker)
        await self._conn.execute(insert(lowered_volumes).values(speaker=speaker, levels=dict(levels), since=at))

    async def restore(self, speaker: DeviceId) -> None:
        """It is as loud again as it was, or gone."""
        await self._conn.execute(delete(lowered_volumes).where(lowered_volumes.c.speaker == speaker))
