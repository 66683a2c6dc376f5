"""Histories in the store: what was done to a thing, one line after the other, numbered from 1 on and never changed."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Column, Table, Text, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.incidents import Entry
from gateway.storage.schema import Json, UtcTime, metadata


def history_table(name: str, of: str) -> Table:
    """The table of such a history; `of`: the column that says whose line it is."""
    return Table(
        name,
        metadata,
        Column(of, Text, primary_key=True),
        Column("number", BigInteger, primary_key=True, autoincrement=False),
        Column("at", UtcTime, nullable=False),
        Column("what", Text, nullable=False),
        Column("actor", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("comment", Text, nullable=False),
        Column("detail", Json, nullable=False),
    )


async def append(conn: AsyncConnection, whose: Column[Any], thing: str, entry: Entry) -> None:
    """One more line about `thing`, by which `whose` column it is found; the entry's own number does not count."""
    table = whose.table
    number = select(func.coalesce(func.max(table.c.number), 0) + 1).where(whose == thing).scalar_subquery()
    values = {"at": entry.at, "what": entry.what, "actor": entry.actor, "name": entry.name, "comment": entry.comment}
    await conn.execute(insert(table).values({whose: thing, "number": number, "detail": dict(entry.detail), **values}))


async def read(conn: AsyncConnection, whose: Column[Any], thing: str, *, after: int = 0, limit: int) -> Sequence[Entry]:
    """The lines about `thing` in order, from behind number `after` on."""
    table = whose.table.c
    statement = select(whose.table).where(whose == thing, table.number > after).order_by(table.number).limit(limit)
    rows = await conn.execute(statement)
    return [
        Entry(number=row.number, at=row.at, what=row.what, actor=row.actor, comment=row.comment, detail=row.detail, name=row.name)
        for row in rows
    ]
