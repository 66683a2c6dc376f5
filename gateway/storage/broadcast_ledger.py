"""What came of broadcasts by people's word, and the pictures that belong to them, as they are stored."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Row, Table, Text, exists, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.broadcast import BroadcastId
from gateway.domain.broadcast_ledger import MissingPicture, Moment, OutcomeEntry, StreetOutcome, StreetPicture
from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor, ActorKind
from gateway.errors import NotFound
from gateway.storage.broadcasts import broadcast_views, broadcasts
from gateway.storage.schema import UtcTime, metadata

broadcast_outcomes = Table(
    "broadcast_outcomes",
    metadata,
    Column("broadcast", Text, ForeignKey("broadcasts.id"), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("outcome", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("actor_id", Text, nullable=False),
    Column("name", Text, nullable=False),
)

broadcast_pictures = Table(
    "broadcast_pictures",
    metadata,
    Column("broadcast", Text, ForeignKey("broadcasts.id"), primary_key=True),
    Column("camera", Text, primary_key=True),
    Column("moment", Text, primary_key=True),
    Column("sha256", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("keep_until", UtcTime, nullable=False),
    Column("gone", Boolean, nullable=False),
)

broadcast_pictures_missing = Table(
    "broadcast_pictures_missing",
    metadata,
    Column("broadcast", Text, ForeignKey("broadcasts.id"), primary_key=True),
    Column("camera", Text, primary_key=True),
    Column("moment", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
)


class LedgerRepository:
    """Outcomes are only ever added; of a picture the row stays when its file has gone."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    # -- outcomes -----------------------------------------------------------------------------------------------------

    async def say(self, entry: OutcomeEntry) -> None:
        """Add a word on what came of a broadcast; from now on it is the one that counts."""
        table = broadcast_outcomes
        row = {"number": entry.number, "outcome": entry.outcome.value, "note": entry.note, "at": entry.at, "name": entry.name}
        who = {"actor_kind": entry.actor.kind.value, "actor_id": entry.actor.id}
        await self._conn.execute(insert(table).values(broadcast=entry.broadcast, **row, **who))
        latest = update(broadcasts).where(broadcasts.c.id == entry.broadcast).values(outcome=entry.outcome.value)
        await self._conn.execute(latest)

    async def outcomes(self, of: Sequence[BroadcastId]) -> Mapping[BroadcastId, Sequence[OutcomeEntry]]:
        """What was said of several broadcasts, each in order."""
        found: dict[BroadcastId, list[OutcomeEntry]] = {broadcast: [] for broadcast in of}
        table = broadcast_outcomes
        statement = select(table).where(table.c.broadcast.in_(of)).order_by(table.c.broadcast, table.c.number)
        for row in await self._conn.execute(statement):
            found[BroadcastId(row.broadcast)].append(_entry(row))
        return found

    # -- pictures -----------------------------------------------------------------------------------------------------

    async def add_picture(self, picture: StreetPicture) -> None:
        """A camera has one of each moment of a broadcast."""
        await self._conn.execute(
            insert(broadcast_pictures).values(
                broadcast=picture.broadcast,
                camera=picture.camera,
                moment=picture.moment.value,
                sha256=picture.sha256,
                media_type=picture.media_type,
                size=picture.size,
                at=picture.at,
                keep_until=picture.keep_until,
                gone=picture.gone,
            )
        )

    async def miss_picture(self, missing: MissingPicture) -> None:
        """Say why there is none of this camera and moment."""
        told = {"reason": missing.reason, "detail": missing.detail, "at": missing.at}
        key = {"broadcast": missing.broadcast, "camera": missing.camera, "moment": missing.moment.value}
        await self._conn.execute(insert(broadcast_pictures_missing).values(**key, **told))

    async def pictures(
        self, of: Sequence[BroadcastId]
    ) -> tuple[Mapping[BroadcastId, Sequence[StreetPicture]], Mapping[BroadcastId, Sequence[MissingPicture]]]:
        """The pictures of several broadcasts, each by camera, the earlier first, and those that are missing."""
        return await self._taken(of), await self._missing(of)

    async def with_views(self, *, since: datetime, before: datetime) -> list[BroadcastId]:
        """The broadcasts to what cameras see that were ordered in that time."""
        ordered = (broadcasts.c.created_at >= since, broadcasts.c.created_at < before)
        meant = exists().where(broadcast_views.c.broadcast == broadcasts.c.id)
        return [BroadcastId(row) for row in await self._conn.scalars(select(broadcasts.c.id).where(*ordered, meant))]

    async def _missing(self, of: Sequence[BroadcastId]) -> Mapping[BroadcastId, Sequence[MissingPicture]]:
        found: dict[BroadcastId, list[MissingPicture]] = {broadcast: [] for broadcast in of}
        table = broadcast_pictures_missing
        order = (table.c.broadcast, table.c.camera, table.c.at, table.c.moment.desc())
        statement = select(table).where(table.c.broadcast.in_(of)).order_by(*order)
        for row in await self._conn.execute(statement):
            id_, moment = BroadcastId(row.broadcast), Moment(row.moment)
            found[id_].append(MissingPicture(id_, DeviceId(row.camera), moment, row.reason, row.at, row.detail))
        return found

    async def _taken(self, of: Sequence[BroadcastId]) -> Mapping[BroadcastId, Sequence[StreetPicture]]:
        found: dict[BroadcastId, list[StreetPicture]] = {broadcast: [] for broadcast in of}
        table = broadcast_pictures
        statement = select(table).where(table.c.broadcast.in_(of)).order_by(table.c.broadcast, table.c.camera, table.c.at, table.c.moment)
        for row in await self._conn.execute(statement):
            found[BroadcastId(row.broadcast)].append(_picture(row))
        return found

    async def picture(self, broadcast: BroadcastId, sha256: str) -> StreetPicture:
        """NotFound (`no-picture-on-record`) when the broadcast has none of this hash, or not any more."""
        table = broadcast_pictures
        statement = select(table).where(table.c.broadcast == broadcast, table.c.sha256 == sha256, table.c.gone.is_(False))
        row = (await self._conn.execute(statement.limit(1))).one_or_none()
        if row is None:
            raise NotFound("There is no such picture.", code="no-picture-on-record")
        return _picture(row)

    async def drop_pictures(self, *, before: datetime, limit: int) -> tuple[list[str], int]:
        """Note of up to `limit` pictures, kept until `before`, that they are gone; the files that no other picture needs, and how many
        pictures that were."""
        table = broadcast_pictures
        old = select(table).where(table.c.gone.is_(False), table.c.keep_until <= before).order_by(table.c.keep_until).limit(limit)
        rows = (await self._conn.execute(old)).all()
        files = {row.sha256 for row in rows}
        for row in rows:
            key = (table.c.broadcast == row.broadcast, table.c.camera == row.camera, table.c.moment == row.moment)
            await self._conn.execute(update(table).where(*key).values(gone=True))
        needed = await self._conn.scalars(select(table.c.sha256).where(table.c.sha256.in_(files), table.c.gone.is_(False)))
        return sorted(files - set(needed)), len(rows)


def _entry(row: Row[Any]) -> OutcomeEntry:
    actor = Actor(ActorKind(row.actor_kind), row.actor_id)
    return OutcomeEntry(
        broadcast=BroadcastId(row.broadcast),
        number=row.number,
        outcome=StreetOutcome(row.outcome),
        note=row.note,
        at=row.at,
        actor=actor,
        name=row.name,
    )


def _picture(row: Row[Any]) -> StreetPicture:
    return StreetPicture(
        broadcast=BroadcastId(row.broadcast),
        camera=DeviceId(row.camera),
        moment=Moment(row.moment),
        sha256=row.sha256,
        media_type=row.media_type,
        size=row.size,
        at=row.at,
        keep_until=row.keep_until,
        gone=bool(row.gone),
    )
