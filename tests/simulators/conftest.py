"""What the simulators' tests share."""

from collections.abc import AsyncIterator

import pytest

from tests.simulators.street import Street, standing


@pytest.fixture
async def street() -> AsyncIterator[Street]:
    """A small city whose HTTP side answers."""
    async with standing() as street:
        yield street
