"""A whole gateway for the commands of gatewayctl."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.conftest import template
from tests.api.house import House, open_house

__all__ = ["template"]


@pytest.fixture
async def house(tmp_path: Path, template: Path) -> AsyncIterator[House]:
    folder = tmp_path / "house"
    folder.mkdir()
    async with open_house(folder, template) as opened:
        yield opened
