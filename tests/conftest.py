"""What tests of several parts share: a private PostgreSQL cluster, and a fresh store of either kind."""

import asyncio
import contextlib
import gc
import itertools
import os
import pwd
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

from gateway.clock import SimulatedClock
from gateway.storage.store import Store

hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")  # a busy machine is no fault

KEY = bytes(range(32))
_TESTS = Path(__file__).parent
# Files that take more than half a minute, the longest first: two workers end at the same time when short ones are left for the end.
_LONG = (
    *("system/test_scenarios.py", "system/test_failing_apart.py", "system/test_console.py", "system/test_lives.py"),
    *("system/test_demo_check.py", "system/test_altered_packages.py", "system/test_crash.py", "system/test_own_pauses.py", "system"),
    *("ctl", "mqtt/test_commands.py", "media/test_hostile_sound.py", "interop", "footage/test_killed.py"),
    *("footage/test_kept_by_holds.py", "storage/test_crash.py", "storage/test_disposal.py", "storage/test_footage.py"),
    *("simulators/test_scenarios.py", "reports/test_ledger.py", "inventory/test_command.py", "api"),
)
_numbers = itertools.count(1)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported stays: to look for garbage among it, again and again, takes as long as to import it."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first, those of the whole system together, since they share a demo."""
    items.sort(key=lambda item: next((at for at, name in enumerate(_LONG) if item.path.is_relative_to(_TESTS / name)), len(_LONG)))


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(_sqlite_template: Path, tmp_path: Path) -> str:
    """The URL of an empty, migrated SQLite store."""
    copy = tmp_path / f"store{next(_numbers)}.db"
    with contextlib.closing(sqlite3.connect(_sqlite_template)) as source, contextlib.closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return f"sqlite:///{copy}"


@pytest.fixture
async def store(sqlite_url: str, clock: SimulatedClock) -> AsyncIterator[Store]:
    """An empty SQLite store with its writer running."""
    async with running(sqlite_url, clock) as opened:
        yield opened


@contextlib.asynccontextmanager
async def running(url: str, clock: SimulatedClock, *, chain: str = "gateway") -> AsyncIterator[Store]:
    """The store at `url`, its writer running until the end of the block."""
    async with Store.open(url, clock=clock, key=KEY, chain=chain) as opened:
        writer = asyncio.create_task(opened.writer.run())
        try:
            yield opened
        finally:
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer


# -- PostgreSQL -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The socket folder of a private PostgreSQL cluster in a temporary folder, with a migrated database `template`."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        pytest.skip("postgresql is not installed")
    shared_memory = Path("/dev/shm")  # fsync stays on, as the store insists, and costs nothing there
    folder = Path(tempfile.mkdtemp(prefix="gwpg-", dir=shared_memory if os.access(shared_memory, os.W_OK) else None))
    try:
        yield from _cluster(programs[-1].parent, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _cluster(programs: Path, folder: Path) -> Iterator[str]:
    user = _own(folder)
    data = folder / "data"
    options = f"-c listen_addresses= -c unix_socket_directories={folder} -c max_connections=60"
    _run(user, programs / "initdb", "-D", data, "-U", "gateway", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
    _run(user, programs / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
    try:
        _run(user, programs / "createdb", "-h", folder, "-U", "gateway", "template")
        _migrate(f"postgresql://gateway@/template?host={folder}")
        yield str(folder)
    finally:
        _run(user, programs / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")


def _own(folder: Path) -> str | None:
    """PostgreSQL refuses to run as root: give `folder` to the user postgres then, and say who shall run it."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("postgres")
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    return "postgres"


def _run(user: str | None, *command: object) -> None:
    subprocess.run([str(part) for part in command], user=user, group=user, extra_groups=[] if user else None, check=True, cwd="/",
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip


@pytest.fixture
def postgres_url(postgres: str) -> str:
    """The URL of an empty, migrated PostgreSQL store."""
    name = f"store{next(_numbers)}"
    _psql(postgres, f"CREATE DATABASE {name} TEMPLATE template")
    return f"postgresql://gateway@/{name}?host={postgres}"


def _psql(folder: str, statement: str) -> None:
    subprocess.run(["psql", "-q", "-h", folder, "-U", "gateway", "-d", "postgres", "-c", statement], check=True)


def _migrate(url: str) -> None:
    async def main() -> None:
        async with Store.open(url, clock=SimulatedClock(), key=KEY):
            pass

    asyncio.run(main())


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--break-quirk", default="", metavar="Qn", help="take away what the gateway does about a quirk (tests/quirks)")
