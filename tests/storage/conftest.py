from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.clock import SimulatedClock
from gateway.storage.engine import open_engines, parse_url
from tests.conftest import running


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest) -> str:
    """Each test of this folder that asks for a store runs on both kinds."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
async def engine(store_url: str) -> AsyncIterator[AsyncEngine]:
    """A second way into the same store, past its writer; closed before the store is."""
    engines = open_engines(parse_url(store_url))
    yield engines.writing
    await engines.dispose()


@pytest.fixture
async def store(store_url: str, clock: SimulatedClock):
    async with running(store_url, clock) as opened:
        yield opened
