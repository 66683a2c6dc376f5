"""When each piece of stored evidence was read again last, and what was found: rows of what is still stored alone are looked at."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Row,
    Select,
    String,
    Table,
    Text,
    and_,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.footage import KEPT
from gateway.domain.imports import name_in_package
from gateway.domain.scrubbing import Finding, Piece, Standing, Stored
from gateway.evidence.contents import SUMS
from gateway.storage.footage_documents import footage_documents
from gateway.storage.footage_tables import footage_files, footage_requests
from gateway.storage.holds import hold_files
from gateway.storage.imports import footage_imports, kept_import
from gateway.storage.schema import UtcTime, metadata

footage_scrubs = Table(
    "footage_scrubs",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("checked_at", UtcTime, nullable=False),
    Column("found", Text, nullable=False),
)

_NONE: Final = literal("", String)
DAMAGED_AGAIN_AFTER: Final = timedelta(days=1)
"""What was damaged is looked at so soon again: it may have been brought back from a backup."""


class ScrubRepository:
    """What is stored and when it was checked, over one connection."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def due(self, now: datetime, *, every: timedelta, limit: int) -> list[Piece]:
        """What was neither written nor checked within `every`, and what was damaged a day ago; the longest unchecked first."""
        since = _SINCE
        late = or_(since < now - every, and_(since < now - DAMAGED_AGAIN_AFTER, _FOUND != ""))
        statement = _PIECES.where(late).order_by(since, _STORED.c.owner, _STORED.c.key).limit(limit)
        return [_piece(row) for row in await self._conn.execute(statement)]

    async def stored(self, owners: Collection[str]) -> list[Piece]:
        """What is stored for these requests and holds."""
        return [_piece(row) for row in await self._conn.execute(_PIECES.where(_STORED.c.owner.in_(list(owners))))]

    async def is_stored(self, piece: Piece) -> bool:
        """Whether it still is to be on the disk."""
        here = (_STORED.c.owner == piece.owner, _STORED.c.key == piece.key, _STORED.c.kind == piece.kind.value)
        return (await self._conn.scalar(select(_STORED.c.owner).where(*here))) is not None

    async def standing(self) -> Standing:
        damaged = func.count().filter(_FOUND != "")
        row = (await self._conn.execute(select(func.count(), damaged, func.min(_SINCE)).select_from(_JOINED))).one()
        return Standing(int(row[0]), int(row[1]), row[2])

    async def of(self, owner: str) -> dict[str, Finding]:
        """What was found of a request or hold, by the key of each piece."""
        rows = await self._conn.execute(select(footage_scrubs).where(footage_scrubs.c.owner == owner).order_by(footage_scrubs.c.key))
        return {row.key: Finding(row.checked_at, row.found) for row in rows}

    async def put(self, piece: Piece, finding: Finding) -> None:
        """It was checked."""
        table = footage_scrubs.c
        await self._conn.execute(delete(footage_scrubs).where(table.owner == piece.owner, table.key == piece.key))
        row = {"owner": piece.owner, "key": piece.key, "checked_at": finding.checked_at, "found": finding.found}
        await self._conn.execute(insert(footage_scrubs).values(row))


def _of(kind: Stored, columns: Mapping[str, Any]) -> Select[Any]:
    return select(literal(kind.value, String).label("kind"), *(column.label(name) for name, column in columns.items()))


def _fetched() -> Select[Any]:
    table = footage_files.c
    told = {"owner": table.request, "key": table.name, "number": table.number, "called": table.name, "camera": table.camera}
    return _of(Stored.FETCHED, told | {"sha256": table.sha256, "written": table.created_at}).where(table.removed.is_(False))


def _held() -> Select[Any]:
    table = hold_files.c
    told = {"owner": table.hold, "key": table.name, "number": table.number, "called": table.name, "camera": table.camera}
    return _of(Stored.HELD, told | {"sha256": table.sha256, "written": table.created_at}).where(table.removed.is_(False))


def _brought() -> Select[Any]:
    table = footage_imports.c
    told = {"owner": table.request, "key": table.id, "number": table.number, "called": table.original_name, "camera": table.camera}
    written = func.coalesce(table.kept_at, table.made_at)
    return _of(Stored.BROUGHT, told | {"sha256": table.sha256, "written": written}).where(kept_import())


def _documents() -> Select[Any]:
    table = footage_documents.c
    told = {"owner": table.request, "key": table.id, "number": literal(0, BigInteger), "called": table.name, "camera": _NONE}
    return _of(Stored.DOCUMENT, told | {"sha256": table.sha256, "written": table.at}).where(table.removed_at.is_(None))


def _proofs() -> Select[Any]:
    table = footage_requests.c
    name = literal(SUMS, String)
    told = {"owner": table.id, "key": name, "number": literal(0, BigInteger), "called": name, "camera": _NONE}
    written = func.coalesce(table.ready_at, table.changed_at)
    fetched = exists().where(footage_files.c.request == table.id, footage_files.c.removed.is_(False))
    brought = exists().where(footage_imports.c.request == table.id, kept_import())
    sealed = (table.state.in_([state.value for state in KEPT]), or_(fetched, brought))
    return _of(Stored.PROOF, told | {"sha256": _NONE, "written": written}).where(*sealed)


_STORED: Final = union_all(_fetched(), _held(), _brought(), _documents(), _proofs()).subquery("stored")
_JOINED: Final = _STORED.outerjoin(footage_scrubs, and_(footage_scrubs.c.owner == _STORED.c.owner, footage_scrubs.c.key == _STORED.c.key))
_SINCE: Final = func.coalesce(footage_scrubs.c.checked_at, _STORED.c.written)
_FOUND: Final = func.coalesce(footage_scrubs.c.found, "")
_PIECES: Final = select(_STORED, _SINCE.label("since"), _FOUND.label("found")).select_from(_JOINED)


def _piece(row: Row[Any]) -> Piece:
    return Piece(Stored(row.kind), row.owner, row.key, _name(row), row.sha256, row.since, row.found, row.camera)


def _name(row: Row[Any]) -> str:
    match Stored(row.kind):
        case Stored.BROUGHT:
            return name_in_package(row.number, row.called)
        case Stored.DOCUMENT:
            return f"{row.key}/{row.called}"
        case _:
            return str(row.called)
