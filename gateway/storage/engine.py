"""Connections that keep the promise of rule 2: acknowledged after commit, and committed means on the disk.

SQLite: WAL, `synchronous=FULL`, foreign keys on, a busy timeout; one writing connection, a few that can only read.
PostgreSQL: `fsync` and `synchronous_commit` on, UTF-8. What a server or file does not honour makes the start fail.
"""

import re
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from gateway.datadir import why_unwritable
from gateway.errors import InvalidInput, StorageFailed
from gateway.storage.sqlite import Driver

BUSY_TIMEOUT_MS = 5_000
LOCKED_TRIES, LOCKED_PAUSE_S = 100, 0.02
READERS = 4

_SQLITE_MUST_BE = {"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": str(BUSY_TIMEOUT_MS)}
_POSTGRES_MUST_BE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "server_encoding": "UTF8"}


@dataclass(frozen=True, slots=True)
class Engines:
    """One store, two ways in: `writing` holds the one connection of the writer, `reading` cannot change anything."""

    writing: AsyncEngine
    reading: AsyncEngine

    async def dispose(self) -> None:
        await self.reading.dispose()
        await self.writing.dispose()


def parse_url(url: str) -> URL:
    """The store's address for the asynchronous drivers: `sqlite:///relative`, `sqlite:////absolute` or `postgresql://…`.

    InvalidInput for anything else; the message never repeats the address, which may hold a password.
    """
    hint = "write sqlite:////path/to/file.db or postgresql://user@host/database"
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise InvalidInput("the store's address is not a URL", code="bad-store-url", hint=hint) from error
    if parsed.drivername == "sqlite":
        if parsed.database in (None, "", ":memory:"):
            raise InvalidInput("the SQLite store needs a file: nothing in memory survives", code="bad-store-url", hint=hint)
        return parsed.set(drivername="sqlite+aiosqlite")
    if parsed.drivername in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+asyncpg")
    raise InvalidInput(f"no store of the kind {parsed.drivername!r}", code="bad-store-url", hint=hint)


def check_store(url: str) -> None:
    """InvalidInput when `url` is no address of a store, or of a file that could not be made or written; nothing is made or connected."""
    parsed = parse_url(url)
    if parsed.get_backend_name() != "sqlite":
        return
    path = Path(str(parsed.database))
    if why := why_unwritable(path):
        hint = "see store in the configuration, and whose file it is: it must be that of the user that the gateway runs as"
        raise InvalidInput(f"no store can be in {path}: {why}", code="bad-store-url", hint=hint)


def open_engines(url: URL) -> Engines:
    """Engines for `url`; nothing is connected yet. StorageFailed when there is no place for an SQLite file."""
    if url.get_backend_name() == "sqlite":
        _make(Path(str(url.database)))
        return Engines(_sqlite(url, begin="BEGIN IMMEDIATE", size=1), _sqlite(url, begin="BEGIN", size=READERS))
    writing = create_async_engine(url, pool_size=1, max_overflow=0, pool_pre_ping=True, connect_args=_POSTGRES_CONNECT)
    snapshot = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    reading = create_async_engine(
        url, pool_size=READERS, max_overflow=0, pool_pre_ping=True, connect_args=_POSTGRES_CONNECT, execution_options=snapshot
    )
    return Engines(writing, reading)


async def assert_durable(engines: Engines) -> None:
    """StorageFailed, naming what is wrong, unless every connection has the settings that rule 2 needs."""
    try:
        for engine in (engines.writing, engines.reading):
            await _assert(engine)
    except (SQLAlchemyError, OSError) as error:
        raise StorageFailed(f"the store cannot be opened: {reason(error)}", hint="is the path writable, the server running?") from error


def reason(error: BaseException) -> str:
    """What the database said, without the statement and the values in it, which may be secrets."""
    original = getattr(error, "orig", None) or error
    said = str(original).partition("\n")[0]
    return f"{type(original).__name__}: {_VALUE.sub('', said)}"


_VALUE = re.compile(r"(?<=query argument) .*|(?<=codec can't encode) .*")

_POSTGRES_CONNECT: dict[str, Any] = {
    "server_settings": {"synchronous_commit": "on", "timezone": "UTC", "application_name": "city-gateway"},
    "timeout": 10,
}


def _make(path: Path) -> None:
    """An empty file for its owner only, if there is none: SQLite gives its log files the same mode."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError as error:
        raise StorageFailed(f"the store cannot be opened: {error.strerror}: {path}", hint="is the path writable?") from error


def _sqlite(url: URL, *, begin: str, size: int) -> AsyncEngine:
    engine = create_async_engine(url, module=Driver(), pool_size=size, max_overflow=0, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself: savepoints need our own BEGIN
        pragmas = [f"busy_timeout={BUSY_TIMEOUT_MS}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF"]
        if begin == "BEGIN":
            pragmas.append("query_only=ON")
        cursor = connection.cursor()
        for pragma in pragmas:
            _execute(cursor, f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def start(connection: Any) -> None:
        if begin == "BEGIN":
            connection.connection.dbapi_connection.first = (begin,)  # sees what there is at the first question either way
        else:
            connection.exec_driver_sql(begin)  # at once: nothing may be changed before it has been granted

    return engine


def _execute(cursor: Any, statement: str) -> None:
    """Run a statement of a new connection; again for a while when the file is locked.

    SQLite does not wait by itself, whatever its busy timeout says, while another process turns the journal of a new file into WAL.
    """
    for tries_left in reversed(range(LOCKED_TRIES)):
        try:
            cursor.execute(statement)
        except sqlite3.OperationalError as error:
            if not tries_left or "locked" not in str(error):
                raise
            time.sleep(LOCKED_PAUSE_S)
        else:
            return


async def _assert(engine: AsyncEngine) -> None:
    sqlite = engine.dialect.name == "sqlite"
    wanted: Mapping[str, str] = _SQLITE_MUST_BE if sqlite else _POSTGRES_MUST_BE
    async with engine.connect() as connection:
        for name, value in wanted.items():
            found = str(await connection.scalar(text(f"{'PRAGMA' if sqlite else 'SHOW'} {name}")))
            if found.lower() != value.lower():
                raise StorageFailed(
                    f"the store does not keep what it acknowledges: {name} is {found}, must be {value}",
                    code="not-durable",
                    hint="put the file on a local disk" if sqlite else f"set {name} = {value} on the server",
                )
