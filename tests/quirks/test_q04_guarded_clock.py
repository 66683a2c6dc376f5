"""Q4: reading the clock needs a login, or ONVIF is served at another path."""

import pytest

from simulators.faults import Fault
from tests.quirks.meeting import Meeting

pytestmark = pytest.mark.quirk("Q4")


async def test_a_guarded_clock_is_read_with_a_login_that_the_date_of_its_refusal_makes_good(camera: Meeting) -> None:
    camera.quirk("clock-needs-login")
    camera.street.state.faults[camera.device.id] = Fault(clock_offset_s=4_000)

    told = await camera.judged("clock")
    assert told.facts["offset_s"] == pytest.approx(4_000, abs=5)
    assert camera.count("digest_bad") == 0
    assert camera.ours.learned()["clock"] == "needs-login"


async def test_a_camera_at_the_other_path_is_found_once_and_kept(camera: Meeting) -> None:
    camera.quirk("other-entry")

    assert await camera.serial() == camera.device.serial
    asked = camera.count("requests")
    assert await camera.serial() == camera.device.serial
    assert camera.count("requests") == asked + 2
    assert camera.ours.learned()["entry"] == "/onvif/services"
