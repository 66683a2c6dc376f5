"""Q2: the field UTC carries local time, eight hours ahead in China, and signatures are checked against the true time."""

from datetime import timedelta

import pytest

from gateway.domain.health import Outcome
from tests.quirks.meeting import Meeting, meet
from tests.simulators.street import Street

pytestmark = pytest.mark.quirk("Q2")


async def test_a_camera_that_tells_local_time_as_utc_is_signed_for_by_the_true_time_and_remembered(camera: Meeting) -> None:
    camera.quirk("utc-is-local")

    assert await camera.serial() == camera.device.serial
    refused = camera.count("digest_bad")
    assert 0 < refused <= 2
    for _ in range(3):
        assert await camera.serial() == camera.device.serial
    assert camera.count("digest_bad") == refused


async def test_the_lie_of_a_clock_is_told_from_its_drift(camera: Meeting) -> None:
    camera.quirk("utc-is-local")

    told = await camera.judged("clock")
    assert (told.outcome, told.reason, told.facts["zone_lie_s"]) == (Outcome.OK, "clock-zone-lie", 8 * 3600)
    assert abs(told.facts["offset_s"]) < 5
    assert camera.ours.learned()["zone-lie"] == "+8 h"


async def test_footage_is_found_by_the_clock_that_the_device_records_with(street: Street, camera: Meeting) -> None:
    camera.quirk("utc-is-local")
    await camera.serial()

    assert camera.ours.offset is not None
    assert abs(camera.ours.offset) < timedelta(seconds=5)
    assert abs(camera.ours.now().timestamp() - street.state.device_time(camera.device)) < 5


async def test_a_camera_whose_digests_tell_nothing_of_time_is_seen_through_by_its_profile(street: Street, camera: Meeting) -> None:
    lying = meet(street, camera.clock, street.digest_camera)
    lying.quirk("utc-is-local")
    lying.know("utc-is-local")

    told = await lying.judged("clock")
    assert (told.outcome, told.reason) == (Outcome.OK, "clock-zone-lie")
