"""Clips, broadcasts and deliveries in the store."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, ForeignKey, Row, Table, Text, bindparam, insert, literal, or_, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.broadcast import OPEN, Broadcast, BroadcastId, Clip, ClipId, Delivery, DeliveryState, Figures, Priority, Targets
from gateway.domain.devices import CellCode, DeviceId, GroupId, ZoneId
from gateway.domain.events import Actor, ActorKind
from gateway.errors import NotFound
from gateway.storage.schema import Json, UtcTime, metadata

clips = Table(
    "clips",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("duration_ms", BigInteger, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("actor_id", Text, nullable=False),
)

broadcasts = Table(
    "broadcasts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("clip", Text, ForeignKey("clips.id"), nullable=False),
    Column("targets", Json, nullable=False),
    Column("priority", BigInteger, nullable=False),
    Column("not_after", UtcTime, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("actor_id", Text, nullable=False),
    Column("case_ref", Text, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("broadcast", Text, ForeignKey("broadcasts.id"), primary_key=True),
    Column("speaker", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("since", UtcTime, nullable=False),
    Column("reason", Text, nullable=False),
    Column("encoding", Text, nullable=False),
    Column("packets", BigInteger, nullable=False),
    Column("dropped", BigInteger, nullable=False),
    Column("first_packet_at", UtcTime),
    Column("last_packet_at", UtcTime),
)

_OPEN = sorted(OPEN)


class BroadcastRepository:
    """Clips and broadcasts are written once; deliveries change until they have ended."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    # -- clips --------------------------------------------------------------------------------------------------------

    async def add_clip(self, clip: Clip) -> Clip:
        """Keep `clip`, and return what is kept: the same sound keeps the name and the person that it came with first."""
        dialect = postgresql if self._conn.dialect.name == "postgresql" else sqlite
        row = {"id": clip.id, "name": clip.name, "size": clip.size, "duration_ms": clip.duration_ms, "created_at": clip.created_at}
        await self._conn.execute(dialect.insert(clips).values(**row, **_actor_columns(clip.created_by)).on_conflict_do_nothing())
        return await self.clip(clip.id)

    async def clip(self, clip: ClipId) -> Clip:
        """Raises NotFound."""
        row = (await self._conn.execute(select(clips).where(clips.c.id == clip))).one_or_none()
        if row is None:
            raise NotFound(f"no clip {clip[:80]}", code="no-clip", hint="Upload the clip first.")
        return _clip(row)

    async def clips(self, *, after: ClipId | None = None, limit: int) -> list[Clip]:
        """Up to `limit` clips in the order of their ids, after that one."""
        statement = select(clips).where(clips.c.id > (after or "")).order_by(clips.c.id).limit(limit)
        return [_clip(row) for row in await self._conn.execute(statement)]

    # -- broadcasts ---------------------------------------------------------------------------------------------------

    async def add(self, broadcast: Broadcast, first: Iterable[Delivery]) -> None:
        """Accept a broadcast with its deliveries. Its id must be new (see `find`)."""
        await self._conn.execute(insert(broadcasts).values(**_broadcast_columns(broadcast)))
        rows = [_delivery_columns(delivery) for delivery in first]
        if rows:
            await self._conn.execute(insert(deliveries), rows)

    async def find(self, broadcast: BroadcastId) -> Broadcast | None:
        row = (await self._conn.execute(select(broadcasts).where(broadcasts.c.id == broadcast))).one_or_none()
        return _broadcast(row) if row is not None else None

    async def get(self, broadcast: BroadcastId) -> Broadcast:
        """Raises NotFound."""
        found = await self.find(broadcast)
        if found is None:
            raise NotFound(f"no broadcast {broadcast[:100]}", code="no-broadcast")
        return found

    async def page(self, *, before: tuple[datetime, BroadcastId] | None = None, limit: int) -> list[Broadcast]:
        """Up to `limit` broadcasts, the latest first; `before`: those that come after this time and id in that order."""
        order = (broadcasts.c.created_at, broadcasts.c.id)
        statement = select(broadcasts).order_by(*(column.desc() for column in order)).limit(limit)
        if before is not None:
            statement = statement.where(tuple_(*order) < tuple_(literal(before[0], UtcTime), literal(before[1], Text)))
        return [_broadcast(row) for row in await self._conn.execute(statement)]

    # -- deliveries ---------------------------------------------------------------------------------------------------

    async def save(self, changed: Sequence[Delivery]) -> None:
        """Write the state of deliveries that were added before. What has ended in the store stays as it is."""
        if not changed:
            return
        key = (deliveries.c.broadcast == bindparam("of_broadcast")) & (deliveries.c.speaker == bindparam("of_speaker"))
        rows = []
        for delivery in changed:
            row = _delivery_columns(delivery)
            rows.append({"of_broadcast": row.pop("broadcast"), "of_speaker": row.pop("speaker"), **row})
        still_open = or_(*(deliveries.c.state == state for state in _OPEN))  # many rows at once take no IN
        await self._conn.execute(update(deliveries).where(key, still_open), rows)

    async def deliveries(self, broadcast: BroadcastId) -> list[Delivery]:
        """All deliveries of a broadcast, by speaker."""
        statement = select(deliveries).where(deliveries.c.broadcast == broadcast).order_by(deliveries.c.speaker)
        return [_delivery(row) for row in await self._conn.execute(statement)]

    async def deliveries_of(self, of: Sequence[BroadcastId]) -> Mapping[BroadcastId, Sequence[Delivery]]:
        """The deliveries of several broadcasts at once, by speaker."""
        found: dict[BroadcastId, list[Delivery]] = {broadcast: [] for broadcast in of}
        statement = select(deliveries).where(deliveries.c.broadcast.in_(of)).order_by(deliveries.c.speaker)
        for row in await self._conn.execute(statement):
            found[BroadcastId(row.broadcast)].append(_delivery(row))
        return found

    async def open(self) -> list[tuple[Broadcast, Delivery]]:
        """Every delivery that has not ended, with its broadcast."""
        statement = (
            select(broadcasts, deliveries)
            .join(deliveries, deliveries.c.broadcast == broadcasts.c.id)
            .where(deliveries.c.state.in_(_OPEN))
            .order_by(broadcasts.c.created_at, broadcasts.c.id, deliveries.c.speaker)
        )
        return [(_broadcast(row), _delivery(row)) for row in await self._conn.execute(statement)]


def _actor_columns(actor: Actor) -> dict[str, str]:
    return {"actor_kind": actor.kind, "actor_id": actor.id}


def _actor(row: Row[Any]) -> Actor:
    return Actor(ActorKind(row.actor_kind), row.actor_id)


def _clip(row: Row[Any]) -> Clip:
    return Clip(ClipId(row.id), row.name, row.size, row.duration_ms, row.created_at, _actor(row))


def _broadcast_columns(broadcast: Broadcast) -> dict[str, Any]:
    targets = broadcast.targets
    return {
        "id": broadcast.id,
        "clip": broadcast.clip,
        "targets": {"speakers": targets.speakers, "zones": targets.zones, "cells": targets.cells, "groups": targets.groups},
        "priority": int(broadcast.priority),
        "not_after": broadcast.not_after,
        "created_at": broadcast.created_at,
        "case_ref": broadcast.case,
        **_actor_columns(broadcast.actor),
    }


def _broadcast(row: Row[Any]) -> Broadcast:
    targets = Targets(
        speakers=tuple(map(DeviceId, row.targets["speakers"])),
        zones=tuple(map(ZoneId, row.targets["zones"])),
        cells=tuple(map(CellCode, row.targets["cells"])),
        groups=tuple(map(GroupId, row.targets["groups"])),
    )
    return Broadcast(
        id=BroadcastId(row.id),
        clip=ClipId(row.clip),
        targets=targets,
        priority=Priority(row.priority),
        not_after=row.not_after,
        created_at=row.created_at,
        actor=_actor(row),
        case=row.case_ref,
    )


def _delivery_columns(delivery: Delivery) -> dict[str, Any]:
    figures = delivery.figures
    return {
        "broadcast": delivery.broadcast,
        "speaker": delivery.speaker,
        "state": delivery.state.value,
        "since": delivery.since,
        "reason": delivery.reason,
        "encoding": figures.encoding,
        "packets": figures.packets,
        "dropped": figures.dropped,
        "first_packet_at": figures.first_packet_at,
        "last_packet_at": figures.last_packet_at,
    }


def _delivery(row: Row[Any]) -> Delivery:
    figures = Figures(row.encoding, row.packets, row.dropped, row.first_packet_at, row.last_packet_at)
    return Delivery(BroadcastId(row.broadcast), DeviceId(row.speaker), DeliveryState(row.state), row.since, row.reason, figures)
