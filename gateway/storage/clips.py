"""The library of clips in the store: what is known of each sound; the sounds themselves are files."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Double, Row, Table, Text, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.broadcast import OPEN, Clip, ClipId
from gateway.domain.events import Actor, ActorKind
from gateway.errors import NotFound
from gateway.storage.broadcasts import broadcasts, deliveries
from gateway.storage.schema import UtcTime, metadata

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
    Column("name_en", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Column("level", Boolean, nullable=False),
    Column("lufs_before", Double),
    Column("lufs_after", Double),
    Column("removed_at", UtcTime),
)

_HERE = clips.c.removed_at.is_(None)


class ClipRepository:
    """Clips that were removed stay in the table, since broadcasts speak of them; no method but `removed` shows them."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def add(self, clip: Clip) -> Clip:
        """Keep `clip`, and return what is kept: the same sound keeps the name and the person that it came with first, unless removed."""
        row = (await self._conn.execute(select(clips).where(clips.c.id == clip.id))).one_or_none()
        if row is None:
            await self._conn.execute(insert(clips).values(id=clip.id, **_columns(clip), removed_at=None))
        elif row.removed_at is not None:
            await self._conn.execute(update(clips).where(clips.c.id == clip.id).values(**_columns(clip), removed_at=None))
        return await self.get(clip.id)

    async def get(self, clip: ClipId) -> Clip:
        """Raises NotFound."""
        row = (await self._conn.execute(select(clips).where(clips.c.id == clip, _HERE))).one_or_none()
        if row is None:
            raise NotFound(f"no clip {clip[:80]}", code="no-clip", hint="Upload the clip first.")
        return _clip(row)

    async def page(self, *, after: ClipId | None = None, limit: int, search: str = "", tag: str = "") -> list[Clip]:
        """Up to `limit` clips in the order of their ids, after that one. `search`: in a name or a tag, letters of either case."""
        statement = select(clips).where(_HERE, clips.c.id > (after or "")).order_by(clips.c.id).limit(limit)
        if search:
            wanted = search.lower()
            statement = statement.where(
                or_(*(func.lower(column).contains(wanted, autoescape=True) for column in (clips.c.name, clips.c.name_en, clips.c.tags)))
            )
        if tag:
            statement = statement.where(clips.c.tags.contains(f"\n{tag}\n", autoescape=True))
        return [_clip(row) for row in await self._conn.execute(statement)]

    async def names(self, of: Collection[ClipId]) -> Mapping[ClipId, str]:
        """What several clips are called, also those that were removed."""
        rows = await self._conn.execute(select(clips.c.id, clips.c.name).where(clips.c.id.in_(of))) if of else ()
        return {ClipId(row.id): row.name for row in rows}

    async def change(self, clip: Clip) -> None:
        """Write what a person may change of a clip, and its loudness."""
        values = _columns(clip)
        kept = {name: values[name] for name in ("name", "name_en", "tags", "level", "lufs_before", "lufs_after", "duration_ms")}
        await self._conn.execute(update(clips).where(clips.c.id == clip.id).values(**kept))

    async def remove(self, clip: ClipId, *, at: datetime) -> None:
        await self._conn.execute(update(clips).where(clips.c.id == clip, _HERE).values(removed_at=at))

    async def removed(self) -> Sequence[ClipId]:
        """All that were removed and have not come back."""
        return [ClipId(row.id) for row in await self._conn.execute(select(clips.c.id).where(~_HERE))]

    async def bytes_kept(self) -> int:
        """The sizes of all clips together."""
        return int((await self._conn.execute(select(func.coalesce(func.sum(clips.c.size), 0)).where(_HERE))).scalar_one())

    async def open_broadcasts(self, clip: ClipId, *, limit: int = 3) -> list[str]:
        """Broadcasts of `clip` that have not ended."""
        statement = (
            select(broadcasts.c.id)
            .join(deliveries, deliveries.c.broadcast == broadcasts.c.id)
            .where(broadcasts.c.clip == clip, deliveries.c.state.in_(sorted(OPEN)))
            .distinct()
            .limit(limit)
        )
        return [row.id for row in await self._conn.execute(statement)]


def _columns(clip: Clip) -> dict[str, Any]:
    return {
        "name": clip.name,
        "size": clip.size,
        "duration_ms": clip.duration_ms,
        "created_at": clip.created_at,
        "actor_kind": clip.created_by.kind.value,
        "actor_id": clip.created_by.id,
        "name_en": clip.name_en,
        "tags": "".join(f"\n{tag}" for tag in clip.tags) + "\n" if clip.tags else "",
        "level": clip.level,
        "lufs_before": clip.lufs_before,
        "lufs_after": clip.lufs_after,
    }


def _clip(row: Row[Any]) -> Clip:
    plain = Clip(ClipId(row.id), row.name, row.size, row.duration_ms, row.created_at, Actor(ActorKind(row.actor_kind), row.actor_id))
    tags = tuple(row.tags.strip("\n").split("\n")) if row.tags else ()
    return replace(plain, name_en=row.name_en, tags=tags, level=row.level, lufs_before=row.lufs_before, lufs_after=row.lufs_after)
