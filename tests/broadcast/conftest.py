from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.clock import SimulatedClock
from gateway.storage.store import Store
from tests.broadcast.house import House, furnished, running
from tests.broadcast.pole import odd, pole
from tests.broadcast.ruled import make

__all__ = ["make", "odd", "pole"]


@pytest.fixture
async def house(store: Store, clock: SimulatedClock, tmp_path: Path) -> AsyncIterator[House]:
    """A house whose broadcast service is running."""
    made = await furnished(store, clock, tmp_path / "clips")
    async with running(made.service):
        yield made
    assert not [complaint for speaker in made.speakers.values() for complaint in speaker.complaints]
