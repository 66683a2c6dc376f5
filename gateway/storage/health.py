"""The state of each device and every change of it, as they are stored."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Column, Row, Table, Text, delete, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.devices import DeviceId
from gateway.domain.health import HealthState, Standing, Transition
from gateway.storage.schema import Json, UtcTime, metadata

device_health = Table(
    "device_health",
    metadata,
    Column("device", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("since", UtcTime, nullable=False),
    Column("reason", Text, nullable=False),
    Column("check_name", Text, nullable=False),
    Column("facts", Json, nullable=False),
)
transitions = Table(
    "transitions",
    metadata,
    Column("device", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("before_state", Text, nullable=False),
    Column("after_state", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("reason", Text, nullable=False),
    Column("check_name", Text, nullable=False),
    Column("facts", Json, nullable=False),
)
_CODE_LIMIT = 64


@dataclass(frozen=True, slots=True)
class NumberedTransition:
    """A transition with its place in the device's history, from 1 on."""

    number: int
    transition: Transition


class HealthRepository:
    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def record(self, transition: Transition) -> None:
        """Append `transition` and make its `after` the device's state."""
        why = {
            "reason": transition.reason[:_CODE_LIMIT],
            "check_name": transition.check[:_CODE_LIMIT],
            "facts": dict(transition.facts),
        }
        number = select(func.coalesce(func.max(transitions.c.number), 0) + 1).where(transitions.c.device == transition.device)
        await self._conn.execute(
            insert(transitions).values(
                device=transition.device,
                number=number.scalar_subquery(),
                before_state=transition.before.value,
                after_state=transition.after.value,
                at=transition.at,
                **why,
            )
        )
        state = {"state": transition.after.value, "since": transition.at, **why}
        dialect = postgresql if self._conn.dialect.name == "postgresql" else sqlite
        upsert = dialect.insert(device_health).values(device=transition.device, **state)
        await self._conn.execute(upsert.on_conflict_do_update(index_elements=["device"], set_=state))

    async def standings(self) -> Sequence[Standing]:
        """The state of every device that ever had one, as of its last change."""
        rows = await self._conn.execute(select(device_health))
        return [
            Standing(DeviceId(row.device), HealthState(row.state), row.since, row.reason, row.check_name, facts=row.facts) for row in rows
        ]

    async def history(self, device: DeviceId, *, before: int | None = None, limit: int = 100) -> Sequence[NumberedTransition]:
        """A device's transitions, newest first; with `before`, those of a lower number."""
        query = select(transitions).where(transitions.c.device == device)
        if before is not None:
            query = query.where(transitions.c.number < before)
        rows = await self._conn.execute(query.order_by(transitions.c.number.desc()).limit(limit))
        return [NumberedTransition(row.number, _transition(row)) for row in rows]

    async def between(self, start: datetime, end: datetime, *, limit: int = 100_000) -> Sequence[Transition]:
        """All devices' transitions from `start` until before `end`, in the order of time."""
        within = (transitions.c.at >= start) & (transitions.c.at < end)
        order = (transitions.c.at, transitions.c.device, transitions.c.number)
        return [_transition(row) for row in await self._conn.execute(select(transitions).where(within).order_by(*order).limit(limit))]

    async def forget(self, devices: Iterable[DeviceId]) -> None:
        """Drop the state of devices that are no more; their transitions stay."""
        for device in devices:
            await self._conn.execute(delete(device_health).where(device_health.c.device == device))


def _transition(row: Row[tuple[object, ...]]) -> Transition:
    return Transition(
        device=DeviceId(row.device),
        before=HealthState(row.before_state),
        after=HealthState(row.after_state),
        at=row.at,
        reason=row.reason,
        check=row.check_name,
        facts=row.facts,
    )
