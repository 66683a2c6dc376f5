"""Q3: daylight saving is applied wrongly, so that the whole clock is an hour off."""

from datetime import timedelta

import pytest

from gateway.domain.health import Outcome
from tests.quirks.meeting import Meeting

pytestmark = pytest.mark.quirk("Q3")


async def test_an_hour_too_much_is_a_wrong_zone_and_no_drift(camera: Meeting) -> None:
    camera.quirk("wrong-dst")

    told = await camera.judged("clock")
    assert (told.outcome, told.reason) == (Outcome.WARN, "wrong-time-zone")
    assert told.facts["offset_s"] == pytest.approx(3600, abs=5)


async def test_its_logins_and_its_footage_go_by_the_hour_that_it_has(camera: Meeting) -> None:
    camera.quirk("wrong-dst")

    assert await camera.serial() == camera.device.serial
    assert camera.count("digest_bad") == 0
    assert camera.ours.offset is not None
    assert abs(camera.ours.offset - timedelta(hours=1)) < timedelta(seconds=5)


async def test_a_clock_that_is_off_by_no_whole_hours_has_drifted(camera: Meeting) -> None:
    camera.quirk("wrong-dst", hours=0.35)

    assert (await camera.judged("clock")).reason == "clock-drift"
