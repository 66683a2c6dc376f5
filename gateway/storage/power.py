"""Every time that the power of a device's port was switched off and on: the journal that has it on again whatever happens in between."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Column, Row, Table, Text, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.devices import DeviceId
from gateway.storage.schema import UtcTime, metadata

power_cycles = Table(
    "power_cycles",
    metadata,
    Column("id", Text, primary_key=True),
    Column("device", Text, nullable=False),
    Column("switch", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("port", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("began_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Column("outcome", Text),
)


@dataclass(frozen=True, slots=True)
class PowerCycle:
    """One time. `object`: the port's pethPsePortAdminEnable; `outcome`: done, refused, unknown, None while it is under way."""

    id: str
    device: DeviceId
    switch: DeviceId
    object: str
    port: int
    actor: str
    reason: str
    began_at: datetime
    ended_at: datetime | None = None
    outcome: str | None = None


class PowerRepository:
    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def begin(self, cycle: PowerCycle) -> None:
        """Note that a port is about to be switched off. Conflict by the store's constraint when it is being switched already."""
        columns = {column.name: getattr(cycle, column.name) for column in power_cycles.columns}
        await self._conn.execute(insert(power_cycles).values(columns))

    async def end(self, cycle: str, *, outcome: str, now: datetime) -> None:
        """The port is on again, as far as `outcome` says. One that has ended already stays as it is."""
        here = (power_cycles.c.id == cycle) & power_cycles.c.ended_at.is_(None)
        await self._conn.execute(update(power_cycles).where(here).values(ended_at=now, outcome=outcome))

    async def unfinished(self) -> Sequence[PowerCycle]:
        """Those of which nobody knows that the port is on again, the oldest first."""
        rows = await self._conn.execute(select(power_cycles).where(power_cycles.c.ended_at.is_(None)).order_by(power_cycles.c.began_at))
        return [_cycle(row) for row in rows]

    async def since(self, moment: datetime, *, device: DeviceId | None = None, switch: DeviceId | None = None) -> int:
        """How many began at `moment` or later, for one device or at one switch, without those that the switch refused."""
        query = select(func.count()).select_from(power_cycles).where(power_cycles.c.began_at >= moment)
        query = query.where((power_cycles.c.outcome.is_(None)) | (power_cycles.c.outcome != "refused"))
        if device is not None:
            query = query.where(power_cycles.c.device == device)
        if switch is not None:
            query = query.where(power_cycles.c.switch == switch)
        return int(await self._conn.scalar(query) or 0)

    async def of(self, device: DeviceId, *, limit: int = 20) -> Sequence[PowerCycle]:
        """Those of one device, the newest first."""
        query = select(power_cycles).where(power_cycles.c.device == device).order_by(power_cycles.c.began_at.desc()).limit(limit)
        return [_cycle(row) for row in await self._conn.execute(query)]


def _cycle(row: Row[tuple[object, ...]]) -> PowerCycle:
    values = {column.name: getattr(row, column.name) for column in power_cycles.columns}
    return PowerCycle(**values)
