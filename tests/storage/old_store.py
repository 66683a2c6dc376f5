"""A store as it was at an earlier revision of the schema; the fixtures of the suite give migrated ones only."""

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.storage.engine import parse_url
from gateway.storage.migrations import HERE

STORES = ("sqlite", "postgres")
_UPGRADE = """
import sys
from alembic import command
from alembic.config import Config
config = Config()
config.set_main_option("script_location", sys.argv[1])
config.attributes["url"] = sys.stdin.read()
command.upgrade(config, sys.argv[2])
"""


def at_revision(revision: str, store: str, folder: Path, request: pytest.FixtureRequest) -> str:
    """The address of a new store of that kind, one of `STORES`, at `revision`: in `folder`, or a database until the test ends."""
    url = f"sqlite:///{folder / 'old.db'}" if store == "sqlite" else _database(f"old_{revision}", request)
    address = parse_url(url).render_as_string(hide_password=False)
    subprocess.run([sys.executable, "-c", _UPGRADE, str(HERE), revision], input=address.encode(), check=True)
    return url


def _database(name: str, request: pytest.FixtureRequest) -> str:
    folder = request.getfixturevalue("postgres")
    subprocess.run(["createdb", "-h", folder, "-U", "gateway", "-T", "template0", name], check=True)
    request.addfinalizer(lambda: subprocess.run(["dropdb", "-f", "-h", folder, "-U", "gateway", name], check=True))
    return f"postgresql://gateway@/{name}?host={folder}"
