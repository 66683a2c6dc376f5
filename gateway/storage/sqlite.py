"""SQLite through aiosqlite with one trip to its thread for each statement, where SQLAlchemy's own adapter makes four.

A trip costs about 0.1 ms and as much again of latency; that is most of what a small statement costs.
"""

import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import aiosqlite
from sqlalchemy.dialects.sqlite.aiosqlite import (
    AsyncAdapt_aiosqlite_connection,
    AsyncAdapt_aiosqlite_cursor,
    AsyncAdapt_aiosqlite_dbapi,
)
from sqlalchemy.util.concurrency import await_


class Driver(AsyncAdapt_aiosqlite_dbapi):
    """What `create_async_engine(module=…)` takes for the driver."""

    def __init__(self) -> None:
        super().__init__(aiosqlite, sqlite3)

    def connect(self, *args: Any, **options: Any) -> "Connection":
        plain = super().connect(*args, async_creator_fn=_open, **options)
        return Connection(self, plain._connection)


async def _open(*args: Any, **options: Any) -> aiosqlite.Connection:
    """A connection. The thread of one that fails has ended, where aiosqlite leaves it to answer a loop that may be closed by then."""
    connection = aiosqlite.connect(*args, **options)
    connection._thread.daemon = True
    try:
        return await connection
    except Exception:
        connection._thread.join()  # it was told to end, and has nothing else to do
        raise


class Connection(AsyncAdapt_aiosqlite_connection):
    """`first`: statements, without parameters and results, that the next trip takes along before its own. No trip is made to end what was
    never begun, or has ended."""

    __slots__ = ("first", "spoken")
    _cursor_cls: type["_Cursor"]

    def __init__(self, driver: Driver, connection: Any) -> None:
        super().__init__(driver, connection)
        self.first: tuple[str, ...] = ()
        self.spoken = True  # whether anything was said since the last end: only then there may be a transaction

    def commit(self) -> None:
        self._end(super().commit)

    def rollback(self) -> None:
        self._end(super().rollback)

    def _end(self, end: Callable[[], None]) -> None:
        self.first = ()
        if self.spoken:
            end()
            self.spoken = False


class _Cursor(AsyncAdapt_aiosqlite_cursor):
    """Executes, fetches and closes in one trip, and then holds what came back."""

    __slots__ = ("_outcome",)

    def __init__(self, adapted: Connection) -> None:  # the parent's would already make a trip, to create a cursor
        self._adapt_connection = adapted
        self._connection = adapted._connection
        self._rows: deque[Any] = deque()
        self._outcome = _NOTHING

    @property
    def description(self) -> Any:
        return self._outcome[0]

    @property
    def rowcount(self) -> int:
        return self._outcome[1]

    @property
    def lastrowid(self) -> int:
        return self._outcome[2]  # type: ignore[return-value]  # None before an INSERT, as in the standard library

    def execute(self, operation: Any, parameters: Any = None) -> Any:
        self._trip(lambda cursor: cursor.execute(operation, parameters if parameters is not None else ()))
        return self

    def executemany(self, operation: Any, seq_of_parameters: Iterable[Any]) -> Any:
        self._trip(lambda cursor: cursor.executemany(operation, seq_of_parameters))
        return self

    def close(self) -> None:
        self._rows.clear()

    async def _async_soft_close(self) -> None:
        return

    def _trip(self, statement: Callable[[sqlite3.Cursor], Any]) -> None:
        connection: Any = self._connection
        adapted: Any = self._adapt_connection
        first, adapted.first, adapted.spoken = adapted.first, (), True

        def run() -> tuple[_Outcome, Sequence[Any]]:
            cursor = connection._conn.cursor()
            try:
                for earlier in first:
                    cursor.execute(earlier)
                statement(cursor)
                rows = cursor.fetchall() if cursor.description else ()
                return (cursor.description, cursor.rowcount, cursor.lastrowid), rows
            finally:
                cursor.close()

        try:
            self._outcome, rows = await_(connection._execute(run))
        except Exception as error:
            self._adapt_connection._handle_exception(error)
        self._rows = deque(rows)


Connection._cursor_cls = _Cursor

_Outcome = tuple[Any, int, int | None]
_NOTHING: _Outcome = (None, -1, None)
