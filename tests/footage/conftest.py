"""What most tests of footage begin with: a clock, a street of simulated recorders, and a desk, or a bench of holds, at work over both."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.clock import SimulatedClock
from gateway.storage.store import Store
from tests.footage.desk import NOW, Desk, Street, desk_of, street, working
from tests.footage.held import Bench


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock(NOW)


@pytest.fixture
async def where() -> AsyncIterator[Street]:
    async with street() as found:
        yield found


@pytest.fixture
async def desk(where: Street, store: Store, clock: SimulatedClock, tmp_path: Path) -> AsyncIterator[Desk]:
    async with working(desk_of(where, store, clock, tmp_path / "footage")) as found:
        yield found


@pytest.fixture
async def bench(where: Street, store: Store, clock: SimulatedClock, tmp_path: Path) -> AsyncIterator[Bench]:
    async with Bench(where, store, clock, tmp_path / "holds").working() as found:
        yield found
