import asyncio
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from gateway.errors import InvalidInput, StorageFailed
from gateway.storage.engine import BUSY_TIMEOUT_MS, READERS, Engines, assert_durable, open_engines, parse_url, reason
from gateway.storage.store import Store
from tests.conftest import KEY


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://db/gateway", "sqlite://", "sqlite:///:memory:"])
def test_an_address_that_is_no_store_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_url(url)
    assert "sqlite:////" in caught.value.hint


def test_a_refusal_does_not_repeat_a_password() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_url("mysql://gateway:hunter2@db/gateway")
    assert "hunter2" not in str(caught.value)


async def test_every_sqlite_connection_keeps_the_rule(sqlite_url: str) -> None:
    engines = open_engines(parse_url(sqlite_url))
    for engine in (engines.writing, engines.reading):
        async with engine.connect() as conn:
            found = [await conn.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")]
            assert found == ["wal", 2, 1, BUSY_TIMEOUT_MS]
    await engines.dispose()


async def test_a_reading_connection_cannot_write(store_url: str) -> None:
    engines = open_engines(parse_url(store_url))
    async with engines.reading.connect() as conn:
        with pytest.raises(DBAPIError, match=r"readonly|read-only"):
            await conn.execute(text("UPDATE event_head SET latest = 7"))
    await engines.dispose()


async def test_a_reader_sees_one_moment_however_long_it_looks(store: Store, engine: AsyncEngine) -> None:
    async with store.read() as tx:
        assert await tx.conn.scalar(text("SELECT latest FROM event_head")) == 0
        async with engine.begin() as conn:
            await conn.execute(text("UPDATE event_head SET latest = 7"))
        assert await tx.conn.scalar(text("SELECT latest FROM event_head")) == 0


async def test_a_read_says_no_more_to_a_file_than_it_must(sqlite_url: str) -> None:
    engines, said = open_engines(parse_url(sqlite_url)), list[str]()
    async with engines.reading.connect() as conn:
        driver = (await conn.get_raw_connection()).driver_connection
        assert driver is not None
        await driver.set_trace_callback(said.append)
        async with conn.begin():
            pass
        assert said == []
        async with conn.begin():
            await conn.scalar(text("SELECT 1"))
        assert said == ["BEGIN", "SELECT 1", "COMMIT"]
    await engines.dispose()


async def test_a_reader_that_gave_up_leaves_no_transaction_behind(store: Store) -> None:
    async def look(statement: str) -> None:
        async with store.read() as tx:
            await tx.conn.scalar(text(statement))

    for _ in range(2 * READERS):
        with pytest.raises(StorageFailed):
            await look("SELECT nonsense")
        looking = asyncio.ensure_future(look("SELECT 1"))
        await asyncio.sleep(0)
        looking.cancel()
        await asyncio.wait([looking])
    for _ in range(2 * READERS):
        await look("SELECT latest FROM event_head")


async def test_a_new_sqlite_file_is_its_owners_only(tmp_path: Path, clock) -> None:
    path = tmp_path / "new" / "gateway.db"
    async with Store.open(f"sqlite:///{path}", clock=clock, key=KEY):
        assert path.stat().st_mode & 0o077 == 0


async def test_a_folder_for_a_file_is_refused_with_a_reason(tmp_path: Path, clock) -> None:
    with pytest.raises(StorageFailed, match="unable to open"):
        async with Store.open(f"sqlite:///{tmp_path}", clock=clock, key=KEY):
            pass


async def test_a_file_that_cannot_be_opened_leaves_no_thread_that_would_answer_a_closed_loop(sqlite_url: str, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    for _ in range(20):  # a thread that is not waited for may have ended all the same
        engines = open_engines(parse_url(sqlite_url).set(database=str(tmp_path)))
        with pytest.raises(OperationalError, match="unable to open"):
            await engines.reading.connect()
        assert set(threading.enumerate()) <= before
        await engines.dispose()


async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, clock) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear city,\n" * 500)
    with pytest.raises(StorageFailed, match="not a database"):
        async with Store.open(f"sqlite:///{path}", clock=clock, key=KEY):
            pass
    assert path.read_text() == "Dear city,\n" * 500


async def test_a_server_that_does_not_answer_is_refused_with_a_reason(tmp_path: Path, clock) -> None:
    with pytest.raises(StorageFailed, match="cannot be opened"):
        async with Store.open(f"postgresql://gateway@/none?host={tmp_path}", clock=clock, key=KEY):
            pass


async def test_connections_that_would_not_keep_what_they_acknowledge_make_the_start_fail(store_url: str) -> None:
    sqlite = store_url.startswith("sqlite")
    url = parse_url(store_url)
    careless = (
        create_async_engine(url) if sqlite else create_async_engine(url, connect_args={"server_settings": {"synchronous_commit": "off"}})
    )
    with pytest.raises(StorageFailed, match=r"(foreign_keys|synchronous_commit) is (0|off)") as caught:
        await assert_durable(Engines(careless, careless))
    assert caught.value.code == "not-durable"
    await careless.dispose()


async def test_another_key_than_the_stores_own_is_refused(store_url: str, clock) -> None:
    with pytest.raises(StorageFailed) as caught:
        async with Store.open(store_url, clock=clock, key=bytes(32)):
            pass
    assert caught.value.code == "wrong-key"


def test_a_reason_names_no_value() -> None:
    said = ValueError("invalid input for query argument $3: 'hunter2'")
    assert reason(said) == "ValueError: invalid input for query argument"


def test_a_daemon_on_sqlite_loads_neither_alembic_nor_the_other_driver(sqlite_url: str) -> None:
    program = f"""
import asyncio, sys
from gateway.clock import SystemClock
from gateway.storage.store import Store
async def main():
    async with Store.open({sqlite_url!r}, clock=SystemClock(), key=bytes(range(32))) as store:
        async with store.read() as tx:
            await tx.inventory.load()
asyncio.run(main())
print(sorted({{name.split('.')[0] for name in sys.modules}} & {{'alembic', 'mako', 'asyncpg'}}))
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


async def test_a_store_left_by_a_crash_in_another_journal_mode_is_brought_back(sqlite_url: str, clock) -> None:
    path = sqlite_url.removeprefix("sqlite:///")
    with sqlite3.connect(path) as plain:
        plain.execute("PRAGMA journal_mode = DELETE")
    plain.close()
    async with Store.open(sqlite_url, clock=clock, key=KEY) as store, store.read() as tx:
        assert await tx.conn.scalar(text("PRAGMA journal_mode")) == "wal"
