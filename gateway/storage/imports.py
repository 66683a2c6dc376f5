"""Files that somebody brought, in the store: who, from which device and client, and how much of each is safe."""

from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Column, ColumnElement, Row, Table, Text, and_, exists, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.events import Actor, Person
from gateway.domain.footage import Period, RequestId
from gateway.domain.holds import HoldState
from gateway.domain.imports import HOLDING, UNFINISHED, Brought, Import, ImportId, ImportState
from gateway.errors import Conflict, NotFound
from gateway.storage.footage_tables import footage_cameras
from gateway.storage.holds import hold_keeps, holds
from gateway.storage.schema import UtcTime, metadata

footage_imports = Table(
    "footage_imports",
    metadata,
    Column("id", Text, primary_key=True),
    Column("request", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    *(Column(name, Text, nullable=False) for name in ("brought_by", "badge", "device", "client", "original_name", "camera", "note")),
    Column("claimed_start", UtcTime),
    Column("claimed_end", UtcTime),
    Column("size", BigInteger, nullable=False),
    Column("expected", Text, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("maker", Text, nullable=False),
    Column("made_at", UtcTime, nullable=False),
    Column("state", Text, nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("kept_at", UtcTime),
    Column("removed", Boolean, nullable=False),
    Column("downloads", BigInteger, nullable=False),
)

_BROUGHT: Final = ("brought_by", "badge", "device", "client", "original_name", "camera", "note")
_SAME: Final = ("id", "request", "number", "size", "expected", "made_at", "received", "sha256", "kept_at", "removed", "downloads")


class ImportRepository:
    """Brought files over one connection."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def next_number(self, request: RequestId) -> int:
        """The number that the next file of a request has."""
        table = footage_imports.c
        return int(await self._conn.scalar(select(func.max(table.number)).where(table.request == request)) or 0) + 1

    async def add(self, one: Import) -> None:
        """Store a new one."""
        await self._conn.execute(insert(footage_imports).values(_row(one)))

    async def put(self, one: Import) -> None:
        """Write how far it is."""
        row = _row(one)
        changed = {name: row[name] for name in ("state", "received", "sha256", "kept_at")}
        await self._conn.execute(update(footage_imports).where(footage_imports.c.id == one.id).values(changed))

    async def count_download(self, one: Import, *, most: int) -> int:
        """One more download; how many there are now. Conflict (`downloads-used-up`) beyond `most`."""
        table = footage_imports.c
        statement = update(footage_imports).where(table.id == one.id, table.downloads < most, kept_import())
        if (await self._conn.execute(statement.values(downloads=table.downloads + 1))).rowcount != 1:
            raise Conflict(f"the file was downloaded {most} times already", code="downloads-used-up", hint="file another request")
        return int(await self._conn.scalar(select(table.downloads).where(table.id == one.id)) or 0)

    async def mark_removed(self, request: RequestId, *, but: Collection[str] = ()) -> None:
        """What is in the package of `request`, `but` those names, may be taken off the disk. Conflict when a hold covers one."""
        gone = [one.id for one in await self.of(request) if one.state in HOLDING and not one.removed and one.name not in but]
        await self._conn.execute(update(footage_imports).where(footage_imports.c.id.in_(gone)).values(removed=True))

    async def held_in(self, request: RequestId) -> frozenset[str]:
        """The names of what is in the package of `request` and covered by an active hold: it may not be removed."""
        table = footage_imports.c
        statement = select(footage_imports).where(table.request == request, kept_import(), held_import())
        return frozenset(_import(row).name for row in await self._conn.execute(statement))

    async def get(self, one: ImportId) -> Import:
        """NotFound when there is none."""
        row = (await self._conn.execute(select(footage_imports).where(footage_imports.c.id == one))).one_or_none()
        if row is None:
            raise NotFound(f"no brought file {one!r}")
        return _import(row)

    async def of(self, request: RequestId) -> list[Import]:
        """All of a request, by number."""
        table = footage_imports.c
        statement = select(footage_imports).where(table.request == request).order_by(table.number)
        return [_import(row) for row in await self._conn.execute(statement)]

    async def unfinished(self, *, limit: int = 200) -> list[Import]:
        """Those that are on their way, the oldest first."""
        table = footage_imports.c
        wanted = table.state.in_([state.value for state in UNFINISHED])
        return [
            _import(row) for row in await self._conn.execute(select(footage_imports).where(wanted).order_by(table.made_at).limit(limit))
        ]


def kept_import() -> ColumnElement[bool]:
    """That a row's file is in the package of its request."""
    return footage_imports.c.state.in_([state.value for state in HOLDING]) & footage_imports.c.removed.is_(False)


def held_import() -> ColumnElement[bool]:
    """That an active hold covers a row's file: by its request, by its camera and what it is said to show, or by the request's cameras."""
    table, window = footage_imports.c, footage_cameras.c
    shown = or_(table.claimed_start.is_(None), and_(holds.c.start_at < table.claimed_end, holds.c.end_at > table.claimed_start))
    its_camera = (
        exists().where(hold_keeps.c.hold == holds.c.id, hold_keeps.c.camera == table.camera, shown).correlate(footage_imports, holds)
    )
    asked = (window.camera == hold_keeps.c.camera, window.request == table.request)
    over = (holds.c.start_at < window.end_at, holds.c.end_at > window.start_at)
    a_camera = exists().where(hold_keeps.c.hold == holds.c.id, *asked, *over).correlate(footage_imports, holds)
    by = or_(holds.c.request == table.request, its_camera, a_camera)
    return exists().where(holds.c.state == HoldState.ACTIVE.value, by).correlate(footage_imports)


def _row(one: Import) -> dict[str, Any]:
    claimed = one.brought.claimed
    return {name: getattr(one, name) for name in _SAME} | {
        **{name: getattr(one.brought, name) for name in _BROUGHT},
        "claimed_start": claimed.start if claimed else None,
        "claimed_end": claimed.end if claimed else None,
        "made_by": str(one.by.actor),
        "maker": one.by.name,
        "state": one.state.value,
    }


def _import(row: Row[Any]) -> Import:
    claimed = Period(row.claimed_start, row.claimed_end) if row.claimed_start else None
    return Import(
        **{name: row._mapping[name] for name in _SAME},
        brought=Brought(**{name: row._mapping[name] for name in _BROUGHT}, claimed=claimed),
        by=Person(Actor.parse(row.made_by), row.maker),
        state=ImportState(row.state),
    )
