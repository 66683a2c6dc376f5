import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Inspector, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.types import Boolean, Float, Integer, LargeBinary, Numeric, String

from gateway.errors import StorageFailed
from gateway.storage import store as _all_tables  # noqa: F401 -- importing it declares every table
from gateway.storage.engine import open_engines, parse_url
from gateway.storage.migrations import HERE, ddl, newest
from gateway.storage.schema import UtcTime, metadata
from gateway.storage.store import Store
from tests.conftest import KEY


async def test_the_tables_of_the_code_are_those_of_the_migrations(store: Store, engine: AsyncEngine) -> None:
    async with engine.connect() as conn:
        found = await conn.run_sync(_reflected)
    declared = {table.name: _declared(table, engine.dialect.name) for table in metadata.sorted_tables}
    assert sorted(found) == sorted(declared)
    for table in found:
        assert (table, found[table]["columns"], found[table]["key"]) == (table, declared[table]["columns"], declared[table]["key"])
        assert set(declared[table]["foreign"]) <= set(found[table]["foreign"])  # the code names those that it joins by


def _reflected(conn: Connection) -> dict[str, Any]:
    look = inspect(conn)
    return {name: _found(look, name) for name in look.get_table_names() if name != "alembic_version"}


def _found(look: Inspector, name: str) -> dict[str, Any]:
    key = look.get_pk_constraint(name)["constrained_columns"]
    columns = look.get_columns(name)
    return {
        # SQLite calls its row number nullable, since giving NULL means "the next one"
        "columns": {column["name"]: (_family(column["type"]), column["nullable"] and column["name"] not in key) for column in columns},
        "key": key,
        "foreign": sorted((*foreign["constrained_columns"], foreign["referred_table"]) for foreign in look.get_foreign_keys(name)),
    }


def _declared(table: Any, dialect: str) -> dict[str, Any]:
    return {
        "columns": {column.name: (_family(column.type, dialect), column.nullable) for column in table.columns},
        "key": [column.name for column in table.primary_key.columns],
        "foreign": sorted((key.parent.name, key.column.table.name) for key in table.foreign_keys),
    }


def _family(kind: Any, dialect: str = "") -> str:
    if isinstance(kind, UtcTime):
        return "time" if dialect == "postgresql" else "text"
    kind = getattr(kind, "impl_instance", kind)  # what a decorated type is made of
    if isinstance(kind, Boolean):
        return "integer" if dialect == "sqlite" else "boolean"
    for family, name in ((Integer, "integer"), (LargeBinary, "bytes"), ((Numeric, Float), "real"), (String, "text")):
        if isinstance(kind, family):
            return name
    return "time" if "TIME" in str(kind).upper() else str(kind)


async def test_sqlites_tables_are_strict(sqlite_url: str) -> None:
    engines = open_engines(parse_url(sqlite_url))
    async with engines.reading.connect() as conn:
        loose = await conn.scalars(text("SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE '%STRICT'"))
        assert set(loose) == {"alembic_version"}
    await engines.dispose()


async def test_a_store_that_is_newer_than_the_program_is_refused(store_url: str, clock) -> None:
    engines = open_engines(parse_url(store_url))
    async with engines.writing.begin() as conn:
        await conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await engines.dispose()
    with pytest.raises(StorageFailed, match="9999") as caught:
        async with Store.open(store_url, clock=clock, key=KEY):
            pass
    assert caught.value.code == "store-too-new"


async def test_two_processes_that_start_at_once_migrate_once(tmp_path: Path, clock) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"

    async def start() -> int:
        async with Store.open(url, clock=clock, key=KEY) as store:
            return store.events.latest

    assert await asyncio.gather(start(), start()) == [0, 0]


def test_migrations_are_numbered_without_a_gap() -> None:
    numbers = sorted(path.name[:4] for path in (HERE / "versions").glob("*.py"))
    assert numbers == [f"{number:04d}" for number in range(1, len(numbers) + 1)]
    assert newest() == numbers[-1]


def test_sqlite_gets_its_own_words() -> None:
    sql = "-- a table\nCREATE TABLE t (\n a BIGINT, b BYTEA, at TIMESTAMPTZ, ok BOOLEAN, x DOUBLE PRECISION)\n;\nCREATE INDEX i ON t (a)\n"
    first, second = ddl(sql, dialect="sqlite")
    assert first.endswith("a INTEGER, b BLOB, at TEXT, ok INTEGER, x REAL) STRICT")
    assert second == "CREATE INDEX i ON t (a)"
    assert "BIGINT" in ddl(sql, dialect="postgresql")[0]
