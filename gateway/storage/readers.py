"""How far each reader of the events has come, so that it goes on there after a break."""

from sqlalchemy import BigInteger, Column, Table, Text, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.storage.schema import metadata

event_readers = Table("event_readers", metadata, Column("reader", Text, primary_key=True), Column("cursor", BigInteger, nullable=False))


class ReaderRepository:
    """Cursors by the reader's name."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def cursor(self, reader: str) -> int | None:
        """The cursor of the last event that has reached `reader`'s other side; None for a reader that is new."""
        found: int | None = await self._conn.scalar(select(event_readers.c.cursor).where(event_readers.c.reader == reader))
        return found

    async def advance(self, reader: str, cursor: int) -> None:
        """Everything up to `cursor` has reached the other side."""
        dialect = postgresql if self._conn.dialect.name == "postgresql" else sqlite
        statement = dialect.insert(event_readers).values(reader=reader, cursor=cursor)
        await self._conn.execute(statement.on_conflict_do_update(index_elements=["reader"], set_={"cursor": cursor}))
