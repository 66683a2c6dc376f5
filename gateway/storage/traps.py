"""The alarms that devices have told by traps and have not taken back."""

from collections.abc import Iterable, Sequence

from sqlalchemy import Boolean, Column, Row, Table, Text, delete, select
from sqlalchemy.dialects import postgresql, sqlite
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

    async def open(self, alarm: Alarm) -> None:
        """Keep `alarm`; in place of an older one of the same place."""
        columns = {name: getattr(alarm, name) for name in ("source", "trap", "key", "device", "event", "since", "expires", "of_link")}
        values = {**columns, "outcome": alarm.outcome.value, "text": alarm.text[:_TEXT_LIMIT]}
        dialect = postgresql if self._conn.dialect.name == "postgresql" else sqlite
        statement = dialect.insert(trap_alarms).values(values)
        await self._conn.execute(statement.on_conflict_do_update(index_elements=["source", "trap", "key"], set_=values))

    async def close(self, places: Iterable[Place]) -> None:
        """Forget the alarms of these places."""
        for source, trap, key in places:
            here = (trap_alarms.c.source == source) & (trap_alarms.c.trap == trap) & (trap_alarms.c.key == key)
            await self._conn.execute(delete(trap_alarms).where(here))


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
