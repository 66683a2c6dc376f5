import pytest

from gateway.clock import SimulatedClock
from tests.conftest import running


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest) -> str:
    """Each test of this folder that asks for a store runs on both kinds."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
async def store(store_url: str, clock: SimulatedClock):
    async with running(store_url, clock) as opened:
        yield opened
