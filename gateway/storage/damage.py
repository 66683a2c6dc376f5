"""Files of packages that were found altered and not whole since, as they lay on the disk when somebody was told."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Column, ForeignKey, Table, Text, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.footage import RequestId
from gateway.storage.schema import Json, UtcTime, metadata

footage_damage = Table(
    "footage_damage",
    metadata,
    Column("request", Text, ForeignKey("footage_requests.id"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("lay", Json, nullable=False),
    Column("told_at", UtcTime, nullable=False),
)


class DamageRepository:
    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def told(self, request: RequestId, name: str) -> tuple[str | int, ...] | None:
        """How the file lay when somebody was told last that it is altered; None when nobody was."""
        table = footage_damage.c
        lay = await self._conn.scalar(select(table.lay).where(table.request == request, table.name == name))
        return None if lay is None else tuple(lay)

    async def names(self, request: RequestId, *, until: datetime) -> list[str]:
        """Of which files somebody was told that they are altered, the last time by `until`."""
        table = footage_damage.c
        told = select(table.name).where(table.request == request, table.told_at <= until).order_by(table.name)
        return [str(name) for name in await self._conn.scalars(told)]

    async def clear(self, request: RequestId, name: str) -> None:
        """The file was found whole: of the next damage somebody is told anew."""
        table = footage_damage.c
        await self._conn.execute(delete(footage_damage).where(table.request == request, table.name == name))

    async def put(self, request: RequestId, name: str, lay: Sequence[str | int], *, at: datetime) -> None:
        """Somebody is told now, of the file as it lies."""
        await self.clear(request, name)
        await self._conn.execute(insert(footage_damage).values(request=request, name=name, lay=list(lay), told_at=at))
