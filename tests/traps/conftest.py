from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.clock import SimulatedClock
from gateway.storage.store import Store
from tests.traps import house as houses
from tests.traps.house import House


@pytest.fixture
async def house(store: Store, clock: SimulatedClock, tmp_path: Path) -> AsyncIterator[House]:
    async with houses.standing(store, clock, tmp_path) as standing:
        yield standing
