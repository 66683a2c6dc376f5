"""The alarms that devices have told by traps and have not taken back."""

from collections.abc import Sequence

from sqlalchemy import Boolean, Column, Row, Table, Text, delete, insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.alarms import Alarm, Place
from gateway.domain.devices import DeviceId
from gateway.domain.health import Outcome
from gateway.storage.schema import UtcTime, metadata

trap_alarms = Table(
    "trap_alarms",
    metadata,
    Column("source", Text, primary_key=True),
    Column("trap", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("device", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("since", UtcTime, nullable=False),
    Column("expires", UtcTime, nullable=False),
    Column("text", Text, nullable=False),
    Column("of_link", Boolean, nullable=False),
)
_TEXT_LIMIT = 512


class AlarmRepository:
    """Open alarms; one that is over is gone."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def load(self) -> Sequence[Alarm]:
        """All that are open, the oldest first."""
        rows = await self._conn.execute(select(trap_alarms).order_by(trap_alarms.c.since, trap_alarms.c.source, trap_alarms.c.key))
        return [_alarm(row) for row in rows]

    async def open(self, alarms: Sequence[Alarm]) -> None:
        """Keep these, each of a place of its own; in place of older ones of the same places."""
        if not alarms:
            return
        await self.close([alarm.place for alarm in alarms])
        await self._conn.execute(insert(trap_alarms), [_row(alarm) for alarm in alarms])

    async def close(self, places: Sequence[Place]) -> None:
        """Forget the alarms of these places."""
        if places:
            here = tuple_(trap_alarms.c.source, trap_alarms.c.trap, trap_alarms.c.key).in_(places)
            await self._conn.execute(delete(trap_alarms).where(here))


def _row(alarm: Alarm) -> dict[str, object]:
    columns = {name: getattr(alarm, name) for name in ("source", "trap", "key", "device", "event", "since", "expires", "of_link")}
    return {**columns, "outcome": alarm.outcome.value, "text": alarm.text[:_TEXT_LIMIT]}


def _alarm(row: Row[tuple[object, ...]]) -> Alarm:
    return Alarm(
        device=DeviceId(row.device),
        source=DeviceId(row.source),
        trap=row.trap,
        key=row.key,
        event=row.event,
        outcome=Outcome(row.outcome),
        since=row.since,
        expires=row.expires,
        text=row.text,
        of_link=row.of_link,
    )
