"""Q17: an operation that never answers, a device that is frozen until it is rebooted, connections that are dropped."""

import pytest

from gateway.domain.health import Outcome
from gateway.errors import DeadlineExceeded
from tests.quirks.meeting import Meeting

pytestmark = pytest.mark.quirk("Q17")


async def test_an_operation_that_never_answers_ends_with_its_deadline_and_holds_up_no_other(camera: Meeting) -> None:
    camera.quirk("never-answers", operation="GetProfiles")
    await camera.serial()

    with pytest.raises(DeadlineExceeded):
        await camera.ours.profiles(timeout_s=1)
    assert await camera.serial() == camera.device.serial


async def test_a_frozen_camera_hangs_and_is_well_again_after_a_reboot(camera: Meeting) -> None:
    camera.quirk("frozen")

    (told,) = await camera.visited(timeout_s=0.3)
    assert (told.check, told.outcome, told.reason) == ("reach", Outcome.FAIL, "service-silent")
    camera.street.state.rebooted(camera.device)
    assert await camera.serial() == camera.device.serial


async def test_a_request_on_a_connection_that_the_camera_dropped_is_asked_anew(camera: Meeting) -> None:
    camera.quirk("drops-idle")

    for _ in range(5):
        assert await camera.serial() == camera.device.serial
    assert len(await camera.ours.profiles(timeout_s=20)) == 2
    assert {result.outcome for result in await camera.visited()} == {Outcome.OK}
