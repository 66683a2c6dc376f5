"""Alembic's environment: all pending migrations in one transaction, one migrating process at a time on both stores."""

import asyncio

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url

from gateway.storage.engine import open_engines

_LOCK = 0x67_77_6D_69_67  # any number that only our migrations use: "gwmig"


def _run(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    context.configure(connection=connection, transactional_ddl=True)
    context.run_migrations()


async def _main() -> None:
    engines = open_engines(make_url(context.config.attributes["url"]))
    async with engines.writing.begin() as connection:
        await connection.run_sync(_run)
    await engines.dispose()


asyncio.run(_main())
