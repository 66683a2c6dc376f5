"""A savepoint that moves along a transaction, from change to change, almost for free."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import StorageFailed
from gateway.storage import sqlite

_MARK = "SAVEPOINT change"
_MOVE = ("RELEASE SAVEPOINT change", _MARK)
_UNDO = "ROLLBACK TO SAVEPOINT change"


class MovingSavepoint:
    """Protects the changes of one transaction from each other: `mark` before each one, `undo` after a failed one.

    Spoken past SQLAlchemy, whose own savepoints cost two statements a change. On SQLite the mark travels with the first statement of the
    change, on PostgreSQL it is one message. The two raise when the transaction itself is lost.
    """

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn
        self._raw: Any = None

    async def mark(self) -> None:
        """Keep what was done so far; `undo` comes back to here."""
        if self._raw is None:
            await self._begin()
            return
        self._check()
        if not isinstance(self._raw, sqlite.Connection):
            await self._raw.execute("; ".join(_MOVE))
        elif not self._raw.first:  # otherwise the last change said nothing to the database, and the mark still stands before it
            self._raw.first = _MOVE

    async def _begin(self) -> None:
        pooled = await self._conn.get_raw_connection()
        if self._conn.dialect.name == "sqlite":
            self._raw = pooled.dbapi_connection
            self._raw.first = (_MARK,)
        else:
            await self._conn.exec_driver_sql(_MARK)  # by way of SQLAlchemy, which begins the transaction first
            self._raw = pooled.driver_connection

    async def undo(self) -> None:
        """Take back everything since `mark`."""
        self._check()
        if not isinstance(self._raw, sqlite.Connection):
            await self._raw.execute(_UNDO)
        elif not self._raw.first:  # otherwise the change said nothing to the database yet
            await self._conn.exec_driver_sql(_UNDO)

    def end(self) -> None:
        """Leave the last change as it is; what follows belongs to the whole transaction."""
        if isinstance(self._raw, sqlite.Connection):
            self._raw.first = ()

    def _check(self) -> None:
        if self._conn.invalidated:
            raise StorageFailed("the connection was lost")
