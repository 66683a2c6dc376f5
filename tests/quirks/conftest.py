"""What the quirks' tests share: a city to switch quirks on in, and the option that takes a behaviour of the gateway away."""

from collections.abc import AsyncIterator

import pytest

from gateway.clock import SimulatedClock
from tests.quirks import broken
from tests.quirks.meeting import Meeting, meet
from tests.simulators.street import Street, standing

BREAK = "--break-quirk"


@pytest.fixture(autouse=True)
def _break(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what the gateway does about the quirk that the option names."""
    if quirk := request.config.getoption(BREAK):
        broken.BROKEN[quirk](monkeypatch)


@pytest.fixture
async def street() -> AsyncIterator[Street]:
    """A small city whose HTTP side answers."""
    async with standing() as street:
        yield street


@pytest.fixture
def camera(street: Street, clock: SimulatedClock) -> Meeting:
    """A camera that takes tokens, and the gateway's side of it."""
    return meet(street, clock, street.camera)
