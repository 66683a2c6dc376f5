"""Numbered, hand-written migrations, and the way to the newest: Alembic is loaded, in a process of its own, only when the store lags.

A migration is `versions/NNNN_noun.py` with `revision = "NNNN"`; its SQL is written in PostgreSQL's words (see `ddl`).
"""

import asyncio
import sys
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.errors import StorageFailed

HERE = Path(__file__).parent
_SQLITE_WORDS = {"BIGINT": "INTEGER", "TIMESTAMPTZ": "TEXT", "BYTEA": "BLOB", "BOOLEAN": "INTEGER", "DOUBLE PRECISION": "REAL"}


def newest() -> str:
    """The revision that this program needs: the highest number among the migration files."""
    return max(path.name[:4] for path in (HERE / "versions").glob("[0-9][0-9][0-9][0-9]_*.py"))


async def current(engine: AsyncEngine) -> str | None:
    """The revision of the store; None for an empty one."""
    async with engine.connect() as connection:
        try:
            found: str | None = await connection.scalar(text("SELECT version_num FROM alembic_version"))
        except DBAPIError:
            return None
    return found


async def migrate(engine: AsyncEngine) -> None:
    """Bring the store to `newest()` in one transaction, or leave it as it was and raise StorageFailed."""
    found = await current(engine)
    if found == newest():
        return
    if found is not None and found > newest():
        raise StorageFailed(
            f"the store is at revision {found}, this program knows {newest()}", code="store-too-new", hint="run the newer program"
        )
    await _upgrade(engine.url.render_as_string(hide_password=False))


async def _upgrade(url: str) -> None:
    # A process of its own keeps Alembic out of the daemon's memory; the address goes in by standard input, since it may hold a password.
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.storage.migrations", stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    _, complaint = await process.communicate(url.encode())
    if process.returncode != 0:
        last = complaint.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
        raise StorageFailed(f"the store could not be migrated: {last[0]}", code="migration-failed")


def ddl(sql: str, *, dialect: str) -> list[str]:
    """The statements of `sql`, which are parted by a line `;`, in the words of `dialect`; SQLite's tables are made STRICT."""
    statements = [statement.strip() for statement in sql.split("\n;")]
    return [_for_sqlite(statement) if dialect == "sqlite" else statement for statement in statements if statement]


def _for_sqlite(statement: str) -> str:
    for theirs, ours in _SQLITE_WORDS.items():
        statement = statement.replace(theirs, ours)
    return f"{statement} STRICT" if statement.lstrip().startswith(("CREATE TABLE", "--")) and "CREATE TABLE" in statement else statement
