"""Q6: an address that logs in wrongly a few times is locked out for half an hour, right logins included."""

import pytest

from gateway.drivers.onvif.access import LOCKOUT_S, PAUSE_S
from gateway.errors import AuthenticationFailed
from simulators.faults import Fault
from tests.quirks.meeting import Meeting, meet

pytestmark = pytest.mark.quirk("Q6")

A_DAY_OF_CHECKS = 2_880


async def refused(camera: Meeting) -> str:
    with pytest.raises(AuthenticationFailed) as caught:
        await camera.serial()
    return caught.value.code


async def test_a_wrong_password_never_locks_us_out_however_long_we_live(camera: Meeting) -> None:
    stranger = meet(camera.street, camera.clock, camera.device, password="wrong")
    stranger.quirk("lock-out")

    for _ in range(A_DAY_OF_CHECKS // 10):
        assert await refused(stranger) == "bad-credentials"
        await camera.clock.advance(300)
    assert stranger.count("locked_out") == 0
    assert 1 <= stranger.count("digest_bad") < 5
    assert stranger.ours.learned()["refused"] == "bad-credentials"


async def test_a_password_that_is_changed_at_the_camera_does_not_lock_us_out(camera: Meeting) -> None:
    camera.quirk("lock-out")
    await camera.serial()
    camera.street.state.faults[camera.device.id] = Fault(password="changed", clock_offset_s=7_200)

    for _ in range(100):
        await refused(camera)
        await camera.clock.advance(PAUSE_S)
    assert camera.count("locked_out") == 0
    assert camera.count("digest_bad") < 5


async def test_a_camera_that_somebody_else_locked_is_left_alone_and_taken_up_when_it_opens(camera: Meeting) -> None:
    camera.quirk("lock-out", attempts=1)
    await camera.serial()
    camera.street.state.faults[camera.device.id] = Fault(password="changed")
    await refused(camera)
    del camera.street.state.faults[camera.device.id]

    await camera.clock.advance(PAUSE_S)
    assert await refused(camera) == "locked-out"
    asked = camera.count("locked_out")
    for _ in range(20):
        assert await refused(camera) == "locked-out"
    assert camera.count("locked_out") == asked
    await camera.clock.advance(LOCKOUT_S)
    assert await camera.serial() == camera.device.serial
