"""Counting broadcasts where they lie: what the store adds up so that nobody has to read them all."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import TIMESTAMP, ColumnElement, Text, case, distinct, extract, func, literal, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.broadcast import DeliveryState, Priority
from gateway.domain.broadcast_ledger import Wanted
from gateway.domain.broadcast_statistics import CountedBy, DeliveryCount, OutcomeCount
from gateway.storage.broadcasts import broadcasts, conditions, deliveries


class StatisticsRepository:
    """Counts by a key: one that stands in the broadcast, or one that a loudspeaker has."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def deliveries(self, wanted: Wanted, by: CountedBy, places: Mapping[str, str]) -> Sequence[DeliveryCount]:
        """How the deliveries of wanted broadcasts ended. `places`: what each loudspeaker counts for, where that is what is counted by."""
        key, length = _key(by, places).label("key"), func.coalesce(func.sum(self._seconds()), 0.0).label("seconds")
        columns = (key, deliveries.c.state, deliveries.c.reason)
        counted = select(*columns, func.count().label("count"), length).join(broadcasts, broadcasts.c.id == deliveries.c.broadcast)
        rows = await self._conn.execute(counted.where(*conditions(wanted), *_at(wanted)).group_by(*columns))
        return [DeliveryCount(row.key, DeliveryState(row.state), row.reason, row[3], float(row.seconds)) for row in rows]

    async def outcomes(self, wanted: Wanted, by: CountedBy, places: Mapping[str, str]) -> Sequence[OutcomeCount]:
        """What came of wanted broadcasts, as people said last."""
        columns = (_key(by, places).label("key"), broadcasts.c.outcome)
        counted = select(*columns, func.count(distinct(broadcasts.c.id)).label("count"))
        if _of_speaker(by):
            counted = counted.join(deliveries, deliveries.c.broadcast == broadcasts.c.id).where(*_at(wanted))
        rows = await self._conn.execute(counted.where(*conditions(wanted)).group_by(*columns))
        return [OutcomeCount(row.key, row.outcome, row[2]) for row in rows]

    async def operators(self, wanted: Wanted) -> Mapping[str, str]:
        """The name that each operator bore last, by key; those without one are left out."""
        key, last = _key(CountedBy.OPERATOR, {}), func.max(broadcasts.c.created_at)
        named = select(key.label("key"), broadcasts.c.sender).where(*conditions(wanted), broadcasts.c.sender != "")
        rows = await self._conn.execute(named.group_by(broadcasts.c.actor_kind, broadcasts.c.actor_id, broadcasts.c.sender).order_by(last))
        return {row.key: row.sender for row in rows}

    def _seconds(self) -> ColumnElement[Any]:
        """How long a delivery was heard: without the time for which it was interrupted."""
        first, last, paused_s = deliveries.c.first_packet_at, deliveries.c.last_packet_at, deliveries.c.paused_s
        if self._conn.dialect.name == "postgresql":
            moment = TIMESTAMP(timezone=True)
            return extract("epoch", type_coerce(last, moment) - type_coerce(first, moment)) - paused_s
        return (func.julianday(last) - func.julianday(first)) * 86_400.0 - paused_s


def _of_speaker(by: CountedBy) -> bool:
    return by in {CountedBy.SPEAKER, CountedBy.CELL, CountedBy.DISTRICT}


def _at(wanted: Wanted) -> list[ColumnElement[bool]]:
    """Of a broadcast at several loudspeakers, only those that are wanted count."""
    return [] if wanted.speakers is None or wanted.cameras is not None else [deliveries.c.speaker.in_(sorted(wanted.speakers))]


def _key(by: CountedBy, places: Mapping[str, str]) -> ColumnElement[Any]:
    if by is CountedBy.SPEAKER:
        return deliveries.c.speaker
    if _of_speaker(by):
        return case(dict(places), value=deliveries.c.speaker, else_="") if places else literal("", Text)
    if by is CountedBy.OPERATOR:
        return broadcasts.c.actor_kind + ":" + broadcasts.c.actor_id
    if by is CountedBy.PRIORITY:
        return case({priority.value: priority.name.lower() for priority in Priority}, value=broadcasts.c.priority)
    return literal("", Text)
