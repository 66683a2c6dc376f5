"""Footage on its way out, in the store: personal links and what was taken by them."""

from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Column, Row, Table, Text, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.events import Actor, Person
from gateway.domain.footage import RequestId
from gateway.domain.handover import Link, LinkId, Take
from gateway.errors import NotFound
from gateway.storage.schema import Json, UtcTime, metadata

footage_links = Table(
    "footage_links",
    metadata,
    Column("id", Text, primary_key=True),
    Column("request", Text, nullable=False),
    Column("approved", Boolean, nullable=False),
    Column("receiver", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("badge", Text, nullable=False),
    Column("names", Json, nullable=False),
    Column("downloads", BigInteger, nullable=False),
    Column("code_hash", Text, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("maker", Text, nullable=False),
    Column("made_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("wrong", BigInteger, nullable=False),
    Column("denials", BigInteger, nullable=False),
    Column("revoked_by", Text),
    Column("revoker", Text),
    Column("revoked_at", UtcTime),
)

footage_takes = Table(
    "footage_takes",
    metadata,
    Column("link", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("begun_at", UtcTime, nullable=False),
    Column("last_at", UtcTime, nullable=False),
    Column("calls", BigInteger, nullable=False),
    Column("sent", BigInteger, nullable=False),
)

_LINK_SAME: Final = ("id", "request", "receiver", "unit", "badge", "downloads", "code_hash", "made_at", "expires_at", "wrong", "denials")
_TAKE: Final = ("link", "name", "number", "size", "begun_at", "last_at", "calls", "sent")


class HandOverRepository:
    """Links and takes over one connection."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    # -- links --------------------------------------------------------------------------------------------------------

    async def add_link(self, link: Link) -> None:
        """Conflict for a request that was never approved."""
        await self._conn.execute(insert(footage_links).values(_link_row(link)))

    async def put_link(self, link: Link) -> None:
        """Write what changes of it: its counts and its end."""
        row = _link_row(link)
        changed = {name: row[name] for name in ("wrong", "denials", "revoked_by", "revoker", "revoked_at")}
        await self._conn.execute(update(footage_links).where(footage_links.c.id == link.id).values(changed))

    async def link(self, link: LinkId) -> Link:
        """NotFound when there is none."""
        row = (await self._conn.execute(select(footage_links).where(footage_links.c.id == link))).one_or_none()
        if row is None:
            raise NotFound(f"no link {link!r}")
        return _link(row)

    async def links(self, request: RequestId) -> list[Link]:
        """All of a request, the newest first."""
        table = footage_links.c
        statement = select(footage_links).where(table.request == request).order_by(table.made_at.desc(), table.id)
        return [_link(row) for row in await self._conn.execute(statement)]

    # -- takes --------------------------------------------------------------------------------------------------------

    async def put_take(self, take: Take) -> None:
        """Add or change one."""
        row = {name: getattr(take, name) for name in _TAKE}
        table = footage_takes.c
        key = (table.link == take.link, table.name == take.name, table.number == take.number)
        if (await self._conn.execute(update(footage_takes).where(*key).values(row))).rowcount == 0:
            await self._conn.execute(insert(footage_takes).values(row))

    async def last_take(self, link: LinkId, name: str) -> Take | None:
        """The newest of a file by a link."""
        table = footage_takes.c
        statement = select(footage_takes).where(table.link == link, table.name == name).order_by(table.number.desc()).limit(1)
        row = (await self._conn.execute(statement)).one_or_none()
        return None if row is None else _take(row)

    async def times_taken(self, request: RequestId) -> dict[str, int]:
        """How often each file of a request was taken, by all its links."""
        joined = footage_takes.join(footage_links, footage_takes.c.link == footage_links.c.id)
        times = select(footage_takes.c.name, func.count()).select_from(joined)
        statement = times.where(footage_links.c.request == request).group_by(footage_takes.c.name)
        return {row[0]: row[1] for row in await self._conn.execute(statement)}

    async def correct(self, take: Take, *, unsent: int) -> None:
        """Take back `unsent` booked bytes of a take that did not go out."""
        table = footage_takes.c
        key = (table.link == take.link, table.name == take.name, table.number == take.number)
        await self._conn.execute(update(footage_takes).where(*key).values(sent=table.sent - unsent))

    async def takes(self, link: LinkId) -> list[Take]:
        """By file and number."""
        table = footage_takes.c
        statement = select(footage_takes).where(table.link == link).order_by(table.name, table.number)
        return [_take(row) for row in await self._conn.execute(statement)]


# -- rows and values --------------------------------------------------------------------------------------------------


def _link_row(link: Link) -> dict[str, Any]:
    revoked = link.revoked_by
    return {name: getattr(link, name) for name in _LINK_SAME} | {
        "approved": True,
        "names": list(link.names),
        "made_by": str(link.made_by.actor),
        "maker": link.made_by.name,
        "revoked_by": str(revoked.actor) if revoked else None,
        "revoker": revoked.name if revoked else None,
        "revoked_at": link.revoked_at,
    }


def _link(row: Row[Any]) -> Link:
    return Link(
        **{name: row._mapping[name] for name in _LINK_SAME},
        names=tuple(row.names),
        made_by=Person(Actor.parse(row.made_by), row.maker),
        revoked_by=Person(Actor.parse(row.revoked_by), row.revoker) if row.revoked_by else None,
        revoked_at=row.revoked_at,
    )


def _take(row: Row[Any]) -> Take:
    return Take(**{name: row._mapping[name] for name in _TAKE})
