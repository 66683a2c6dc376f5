"""The picture check against simulated cameras: every view that a lens can give, over RTSP, decoded and judged."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from gateway.clock import SystemClock
from gateway.domain.devices import DeviceId
from gateway.domain.events import SYSTEM
from gateway.domain.health import CheckResult, Outcome
from gateway.health.checks import picture
from gateway.health.checks.subject import SlowTools, Subject
from gateway.storage.store import Store
from simulators.city import SimDevice
from simulators.views import View
from tests.health import street as streets
from tests.health.street import Street


class Hours(SystemClock):
    """Real time, and hours put on top."""

    ahead = timedelta(0)

    def now(self):
        return super().now() + self.ahead


@pytest.fixture
def clock() -> Hours:
    return Hours()


@pytest.fixture
async def street(clock: Hours) -> AsyncIterator[Street]:
    async with streets.standing(clock, protocols=("http", "rtsp")) as standing:
        standing.adopt(standing.of("camera"))
        yield standing


@pytest.fixture
def tools(street: Street, store: Store, clock: Hours) -> SlowTools:
    return street.slow_tools(clock, store)


@pytest.fixture
def camera(street: Street) -> SimDevice:
    return next(device for device in street.of("camera") if not device.lacks and not device.quirks and "ptz" not in device.id)


async def looked(street: Street, tools: SlowTools, camera: SimDevice, *, view: View | None = None) -> CheckResult:
    """The result two hours later, on the street's clock too."""
    if view is not None:
        street.state.look(camera, view)
    tools.clock.ahead += timedelta(hours=2)
    (result,) = await picture.check(Subject(street.city.devices[DeviceId(camera.id)], tools.clock.monotonic()), tools)
    return result


async def test_a_street_is_learnt_and_well_and_each_illness_has_its_name(street: Street, tools: SlowTools, camera: SimDevice) -> None:
    for _ in range(4):
        result = await looked(street, tools, camera)
        assert (result.outcome, result.reason) == (Outcome.OK, "")
    assert "usual_sharpness" in result.facts
    named = {
        View.BLACK: "picture-black",
        View.COVERED: "picture-covered",
        View.DAZZLED: "picture-white",
        View.BLURRED: "picture-blurred",
        View.MOVED: "picture-moved",
    }
    for view, reason in named.items():
        result = await looked(street, tools, camera, view=view)
        assert (result.outcome, result.reason) == (Outcome.WARN, reason), view
    result = await looked(street, tools, camera, view=View.STREET)
    assert result.outcome is Outcome.OK


async def test_a_frozen_picture_is_found_at_the_second_look(street: Street, tools: SlowTools, camera: SimDevice) -> None:
    await looked(street, tools, camera, view=View.FROZEN)
    result = await looked(street, tools, camera, view=None)
    assert (result.outcome, result.reason) == (Outcome.WARN, "picture-frozen")


async def test_a_restart_forgets_no_reference_and_a_renewal_does(street: Street, tools: SlowTools, store: Store, camera: SimDevice) -> None:
    for _ in range(3):
        await looked(street, tools, camera)
    again = street.slow_tools(tools.clock, store)
    assert (await looked(street, again, camera, view=View.MOVED)).reason == "picture-moved"
    await again.album.renew(DeviceId(camera.id), actor=SYSTEM)
    assert (await looked(street, again, camera)).reason == ""
