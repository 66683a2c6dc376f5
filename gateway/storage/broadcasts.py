"""Broadcasts and deliveries in the store."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Double,
    Executable,
    ForeignKey,
    Row,
    Table,
    Text,
    and_,
    bindparam,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.broadcast import (
    OPEN,
    Broadcast,
    BroadcastId,
    Circle,
    ClipContent,
    ClipId,
    ClipTimes,
    Content,
    Delivery,
    DeliveryState,
    Figures,
    Priority,
    Programme,
    Speech,
    Talk,
    Targets,
    View,
)
from gateway.domain.broadcast_ledger import EVERYTHING, Wanted
from gateway.domain.devices import CellCode, DeviceId, GroupId, Position, ZoneId
from gateway.domain.events import Actor, ActorKind, Person
from gateway.domain.remarks import Remark, RemarkKind
from gateway.errors import NotFound
from gateway.storage.schema import Json, UtcTime, metadata

broadcasts = Table(
    "broadcasts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("clip", Text, ForeignKey("clips.id")),
    Column("text", Text, nullable=False),
    Column("voice", Text, nullable=False),
    Column("chime", Boolean, nullable=False),
    Column("repeats", BigInteger, nullable=False),
    Column("pause_s", Double, nullable=False),
    Column("targets", Json, nullable=False),
    Column("priority", BigInteger, nullable=False),
    Column("not_after", UtcTime, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("actor_id", Text, nullable=False),
    Column("case_ref", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("resume", Boolean, nullable=False),
    Column("override", Text, nullable=False),
    Column("again", Boolean, nullable=False),
    Column("approved_by_kind", Text),
    Column("approved_by_id", Text),
    Column("sender", Text, nullable=False),
    Column("approver", Text, nullable=False),
    Column("outcome", Text, nullable=False),
)

broadcast_views = Table(
    "broadcast_views",
    metadata,
    Column("broadcast", Text, ForeignKey("broadcasts.id"), primary_key=True),
    Column("camera", Text, primary_key=True),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("broadcast", Text, ForeignKey("broadcasts.id"), primary_key=True),
    Column("speaker", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("since", UtcTime, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("encoding", Text, nullable=False),
    Column("packets", BigInteger, nullable=False),
    Column("dropped", BigInteger, nullable=False),
    Column("first_packet_at", UtcTime),
    Column("last_packet_at", UtcTime),
    Column("path", Text, nullable=False),
    Column("lost", BigInteger),
    Column("paused_s", Double, nullable=False),
    Column("remarks", Json, nullable=False),
    Column("clip_asked_at", UtcTime),
    Column("clip_confirmed_at", UtcTime),
    Column("clip_stop_asked_at", UtcTime),
    Column("clip_silent_at", UtcTime),
)

stops = Table(
    "broadcast_stops",
    metadata,
    Column("at", UtcTime, primary_key=True),
    Column("actor_kind", Text, primary_key=True),
    Column("actor_id", Text, primary_key=True),
)

_OPEN = sorted(OPEN)
_CLIP_TIMES: Final = {field.name: deliveries.c[f"clip_{field.name}"] for field in fields(ClipTimes)}


def _save(dialect: Any) -> Executable:
    statement = dialect.insert(deliveries)
    kept = {*deliveries.primary_key.columns, *_CLIP_TIMES.values()}
    values = {column.name: statement.excluded[column.name] for column in deliveries.columns if column not in kept}
    still_open = or_(*(deliveries.c.state == state for state in _OPEN))  # many rows at once take no IN
    same_end = and_(deliveries.c.state == statement.excluded.state, deliveries.c.since == statement.excluded.since)
    written: Executable = statement.on_conflict_do_update(
        index_elements=["broadcast", "speaker"], set_=values, where=or_(still_open, same_end)
    )
    return written


# What stands between an order and its first packet is put together once: that takes longer than to carry it out.
_DIALECTS: Final = {"postgresql": postgresql, "sqlite": sqlite}
_ADD: Final = {name: dialect.insert(broadcasts).on_conflict_do_nothing(index_elements=["id"]) for name, dialect in _DIALECTS.items()}
_ADD_DELIVERIES: Final = insert(deliveries)
_TIME: Final = (
    update(deliveries)
    .where(deliveries.c.broadcast == bindparam("of"), deliveries.c.speaker == bindparam("at"))
    .values({column.name: func.coalesce(column, bindparam(name, type_=UtcTime)) for name, column in _CLIP_TIMES.items()})
)
_SAVE: Final = {name: _save(dialect) for name, dialect in _DIALECTS.items()}


class BroadcastRepository:
    """Broadcasts are written once; deliveries change until they have ended."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    # -- broadcasts ---------------------------------------------------------------------------------------------------

    async def add(self, broadcast: Broadcast, first: Iterable[Delivery]) -> bool:
        """Accept a broadcast with its deliveries. False where there is one of its id: then nothing is written."""
        added = await self._conn.execute(_ADD[self._conn.dialect.name], _broadcast_columns(broadcast) | {"outcome": ""})
        if not added.rowcount:
            return False
        cameras = sorted({view.camera for view in broadcast.targets.views})
        if cameras:
            await self._conn.execute(insert(broadcast_views), [{"broadcast": broadcast.id, "camera": camera} for camera in cameras])
        rows = [_delivery_columns(delivery) for delivery in first]
        if rows:
            await self._conn.execute(_ADD_DELIVERIES, rows)
        return True

    async def find(self, broadcast: BroadcastId) -> Broadcast | None:
        row = (await self._conn.execute(select(broadcasts).where(broadcasts.c.id == broadcast))).one_or_none()
        return _broadcast(row) if row is not None else None

    async def get(self, broadcast: BroadcastId) -> Broadcast:
        """Raises NotFound."""
        found = await self.find(broadcast)
        if found is None:
            raise NotFound(f"no broadcast {broadcast[:100]}", code="no-broadcast", hint="GET /v1/broadcasts lists what there is.")
        return found

    async def page(self, *, wanted: Wanted = EVERYTHING, before: tuple[datetime, BroadcastId] | None = None, limit: int) -> list[Broadcast]:
        """Up to `limit` of the wanted broadcasts, the latest first; `before`: those that come after this time and id in that order."""
        order = (broadcasts.c.created_at, broadcasts.c.id)
        statement = select(broadcasts).where(*conditions(wanted)).order_by(*(column.desc() for column in order)).limit(limit)
        if before is not None:
            statement = statement.where(tuple_(*order) < tuple_(literal(before[0], UtcTime), literal(before[1], Text)))
        return [_broadcast(row) for row in await self._conn.execute(statement)]

    async def approve(self, broadcast: BroadcastId, by: Person) -> None:
        """Note the second person. Conflict where that is the one who ordered it."""
        statement = update(broadcasts).where(broadcasts.c.id == broadcast, broadcasts.c.approved_by_id.is_(None))
        await self._conn.execute(statement.values(_approval_columns(by.actor) | {"approver": by.name}))

    # -- stops --------------------------------------------------------------------------------------------------------

    async def add_stop(self, at: datetime, by: Actor) -> None:
        """Everything was silenced."""
        dialect = postgresql if self._conn.dialect.name == "postgresql" else sqlite
        await self._conn.execute(dialect.insert(stops).values(at=at, **_actor_columns(by)).on_conflict_do_nothing())

    async def last_stop(self) -> datetime | None:
        """When everything was silenced the last time."""
        found = (await self._conn.execute(select(stops.c.at).order_by(stops.c.at.desc()).limit(1))).one_or_none()
        return None if found is None else found.at

    # -- deliveries ---------------------------------------------------------------------------------------------------

    async def save(self, changed: Sequence[Delivery]) -> None:
        """Write the state of deliveries; one that was not added before is. What has ended in the store stays as it is, but for its
        figures and remarks: the last word on what was sent, and on the end of its session, comes after the end."""
        if changed:
            await self._conn.execute(_SAVE[self._conn.dialect.name], [_delivery_columns(delivery) for delivery in changed])

    async def time(self, clips: Mapping[tuple[BroadcastId, DeviceId], ClipTimes]) -> None:
        """Note the times of what devices play by themselves, beside deliveries that were saved before. The first word of each stays."""
        if clips:
            await self._conn.execute(_TIME, [{"of": of, "at": at, **_times(clip)} for (of, at), clip in clips.items()])

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

    async def recent(self, since: datetime) -> list[tuple[Broadcast, Delivery]]:
        """Every delivery that has ended after `since`, with its broadcast, in the order of their ends."""
        statement = (
            select(broadcasts, deliveries)
            .join(deliveries, deliveries.c.broadcast == broadcasts.c.id)
            .where(deliveries.c.since > since, deliveries.c.state.not_in(_OPEN))
            .order_by(deliveries.c.since, broadcasts.c.id, deliveries.c.speaker)
        )
        return [(_broadcast(row), _delivery(row)) for row in await self._conn.execute(statement)]

    async def open(self) -> list[tuple[Broadcast, Delivery]]:
        """Every delivery that has not ended, with its broadcast."""
        statement = (
            select(broadcasts, deliveries)
            .join(deliveries, deliveries.c.broadcast == broadcasts.c.id)
            .where(deliveries.c.state.in_(_OPEN))
            .order_by(broadcasts.c.created_at, broadcasts.c.id, deliveries.c.speaker)
        )
        return [(_broadcast(row), _delivery(row)) for row in await self._conn.execute(statement)]


def conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    """What rows of `broadcasts` must fulfil to be `wanted`."""
    table = broadcasts.c
    exact = {
        table.kind: wanted.kind and wanted.kind.value,
        table.priority: None if wanted.priority is None else int(wanted.priority),
        table.outcome: None if wanted.outcome is None else str(wanted.outcome),
        table.case_ref: wanted.case,
        table.actor_kind: wanted.actor and wanted.actor.kind.value,
        table.actor_id: wanted.actor and wanted.actor.id,
    }
    found: list[ColumnElement[bool]] = [column == value for column, value in exact.items() if value is not None]
    if wanted.case:
        found.append(table.case_ref != "")  # lets SQLite take the index, which has no others
    if wanted.start is not None:
        found.append(table.created_at >= literal(wanted.start, UtcTime))
    if wanted.end is not None:
        found.append(table.created_at < literal(wanted.end, UtcTime))
    return [*found, *_at_places(wanted)]


def _at_places(wanted: Wanted) -> list[ColumnElement[bool]]:
    at = []
    if wanted.speakers is not None:
        at.append(exists().where(deliveries.c.broadcast == broadcasts.c.id, deliveries.c.speaker.in_(sorted(wanted.speakers))))
    if wanted.cameras is not None:
        views = broadcast_views.c
        at.append(exists().where(views.broadcast == broadcasts.c.id, views.camera.in_(sorted(wanted.cameras))))
    return [or_(*at)] if at else []


def _actor_columns(actor: Actor) -> dict[str, str]:
    return {"actor_kind": actor.kind, "actor_id": actor.id}


def _actor(row: Row[Any]) -> Actor:
    return Actor(ActorKind(row.actor_kind), row.actor_id)


def _broadcast_columns(broadcast: Broadcast) -> dict[str, Any]:
    return {
        "id": broadcast.id,
        **programme_columns(broadcast.programme),
        "targets": targets_to_json(broadcast.targets),
        "priority": int(broadcast.priority),
        "not_after": broadcast.not_after,
        "created_at": broadcast.created_at,
        "case_ref": broadcast.case,
        "reason": broadcast.reason,
        "resume": broadcast.resume,
        "override": broadcast.override,
        "again": broadcast.again,
        **_actor_columns(broadcast.actor),
        **_approval_columns(broadcast.approved_by),
        "sender": broadcast.sender,
        "approver": broadcast.approver,
    }


def _broadcast(row: Row[Any]) -> Broadcast:
    return Broadcast(
        id=BroadcastId(row.id),
        programme=programme_of(row),
        targets=targets_from_json(row.targets),
        priority=Priority(row.priority),
        not_after=row.not_after,
        created_at=row.created_at,
        actor=_actor(row),
        case=row.case_ref,
        reason=row._mapping[broadcasts.c.reason],  # both tables have a column of this name
        resume=row.resume,
        override=row.override,
        again=row.again,
        approved_by=None if row.approved_by_id is None else Actor(ActorKind(row.approved_by_kind), row.approved_by_id),
        sender=row.sender,
        approver=row.approver,
    )


def _approval_columns(approved_by: Actor | None) -> dict[str, str | None]:
    return {
        "approved_by_kind": approved_by.kind.value if approved_by else None,
        "approved_by_id": approved_by.id if approved_by else None,
    }


def _content(row: Row[Any]) -> Content:
    match row.kind:
        case "clip":
            return ClipContent(ClipId(row.clip))
        case "speech":
            return Speech(row.text, row.voice)
        case _:
            return Talk()


def programme_columns(programme: Programme) -> dict[str, Any]:
    """The columns of a programme: `kind`, `clip`, `text`, `voice`, `chime`, `repeats`, `pause_s`."""
    common = {"chime": programme.chime, "repeats": programme.repeats, "pause_s": programme.pause_s}
    match programme.content:
        case ClipContent(clip):
            return common | {"kind": "clip", "clip": clip, "text": "", "voice": ""}
        case Speech(text, voice):
            return common | {"kind": "speech", "clip": None, "text": text, "voice": voice}
        case Talk():
            return common | {"kind": "talk", "clip": None, "text": "", "voice": ""}


def programme_of(row: Row[Any]) -> Programme:
    """The programme in a row that has its columns."""
    return Programme(_content(row), chime=row.chime, repeats=row.repeats, pause_s=row.pause_s)


def targets_to_json(targets: Targets) -> dict[str, Any]:
    """Targets as JSON, without what is not named; positions as [longitude, latitude] (RFC 7946, 3.1.1)."""
    named = {
        "speakers": list(targets.speakers),
        "zones": list(targets.zones),
        "cells": list(targets.cells),
        "groups": list(targets.groups),
        "districts": list(targets.districts),
        "polygon": [_point(corner) for corner in targets.polygon],
        "circle": {"centre": _point(targets.circle.centre), "radius_m": targets.circle.radius_m} if targets.circle else {},
        "views": [{"camera": view.camera, "preset": view.preset} for view in targets.views],
    }
    return {name: value for name, value in named.items() if value}


def targets_from_json(found: Mapping[str, Any]) -> Targets:
    """The inverse of `targets_to_json`."""
    circle = found.get("circle")
    return Targets(
        speakers=tuple(map(DeviceId, found.get("speakers", ()))),
        zones=tuple(map(ZoneId, found.get("zones", ()))),
        cells=tuple(map(CellCode, found.get("cells", ()))),
        groups=tuple(map(GroupId, found.get("groups", ()))),
        districts=tuple(found.get("districts", ())),
        polygon=tuple(map(_position, found.get("polygon", ()))),
        circle=Circle(_position(circle["centre"]), circle["radius_m"]) if circle else None,
        views=tuple(View(DeviceId(view["camera"]), view["preset"]) for view in found.get("views", ())),
    )


def _point(position: Position) -> list[float]:
    return [position.longitude, position.latitude]


def _position(point: Sequence[float]) -> Position:
    return Position(latitude=point[1], longitude=point[0])


def _delivery_columns(delivery: Delivery) -> dict[str, Any]:
    figures = delivery.figures
    return {
        "broadcast": delivery.broadcast,
        "speaker": delivery.speaker,
        "state": delivery.state.value,
        "since": delivery.since,
        "reason": delivery.reason,
        "detail": delivery.detail,
        "encoding": figures.encoding,
        "packets": figures.packets,
        "dropped": figures.dropped,
        "first_packet_at": figures.first_packet_at,
        "last_packet_at": figures.last_packet_at,
        "path": figures.path,
        "lost": figures.lost,
        "paused_s": figures.paused_s,
        "remarks": [_remark_columns(remark) for remark in delivery.remarks],
    }


def _times(clip: ClipTimes) -> dict[str, datetime | None]:
    return {name: getattr(clip, name) for name in _CLIP_TIMES}


def _remark_columns(remark: Remark) -> dict[str, Any]:
    return {"kind": remark.kind.value, "values": dict(remark.values), "reason": remark.reason, "said": remark.said}


def _delivery(row: Row[Any]) -> Delivery:
    figures = Figures(row.encoding, row.packets, row.dropped, row.first_packet_at, row.last_packet_at, row.path, row.lost, row.paused_s)
    reason = row._mapping[deliveries.c.reason]
    remarks = tuple(Remark(RemarkKind(one["kind"]), one["values"], one["reason"], one["said"]) for one in row.remarks)
    broadcast, speaker = BroadcastId(row.broadcast), DeviceId(row.speaker)
    clip = ClipTimes(**{name: getattr(row, column.name) for name, column in _CLIP_TIMES.items()})
    return Delivery(broadcast, speaker, DeliveryState(row.state), row.since, reason, figures, row.detail, remarks, clip)
