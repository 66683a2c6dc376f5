"""The running door that most tests of the API call."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.house import House, make_template, open_house


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that has been migrated once for all tests: each takes a copy."""
    path = tmp_path_factory.mktemp("template") / "gateway.db"
    asyncio.run(make_template(path))
    return path


@pytest.fixture
async def house(tmp_path: Path, template: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, template) as opened:
        yield opened
