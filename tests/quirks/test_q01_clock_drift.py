"""Q1: signatures are refused when the clock drifts, and a reboot sets a camera's clock years back."""

from datetime import timedelta

import pytest

from simulators.faults import Fault
from tests.quirks.meeting import Meeting

pytestmark = pytest.mark.quirk("Q1")


@pytest.mark.parametrize("off", [timedelta(seconds=25), timedelta(hours=-3), timedelta(days=-183)])
async def test_a_strict_camera_is_signed_for_by_its_own_clock(camera: Meeting, off: timedelta) -> None:
    camera.quirk("strict-created")
    camera.street.state.faults[camera.device.id] = Fault(clock_offset_s=off.total_seconds())

    assert await camera.serial() == camera.device.serial
    del camera.street.state.faults[camera.device.id]
    assert await camera.serial() == camera.device.serial
    assert camera.count("digest_bad") == 0


async def test_a_camera_whose_clock_a_reboot_set_years_back_is_let_in_at_the_next_check(camera: Meeting) -> None:
    camera.quirk("reboot-resets-clock")
    camera.quirk("strict-created")
    await camera.serial()
    camera.street.state.rebooted(camera.device)

    told = await camera.judged("clock")
    assert told.reason == "clock-drift"
    assert told.facts["offset_s"] < -365 * 86_400
    assert await camera.serial() == camera.device.serial
    assert camera.count("digest_bad") == 0


async def test_a_call_between_two_checks_meets_the_new_clock_too(camera: Meeting) -> None:
    """Its first signature is of the old time: then the clock is read again, and the call is made."""
    camera.quirk("reboot-resets-clock")
    assert len(await camera.ours.profiles(timeout_s=20)) == 2
    camera.street.state.rebooted(camera.device)

    assert len(await camera.ours.profiles(timeout_s=20)) == 2
    assert camera.count("digest_bad") == 1
