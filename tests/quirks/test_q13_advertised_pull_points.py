"""Q13: a device says that it has no pull points and has them, or promises them and makes none."""

import pytest

from tests.drivers.onvif.listening import listening
from tests.simulators.street import Street

pytestmark = pytest.mark.quirk("Q13")


async def test_a_device_that_denies_its_pull_points_is_subscribed_to(street: Street) -> None:
    street.state.switch_quirk(street.camera, "pull-point-denied", {})
    async with listening(street) as listener:
        await listener.passes(2)
        street.state.happen(street.camera, "motion")
        await listener.passes(2)

        assert listener.begun == ["VideoSource/MotionAlarm"]


async def test_a_device_that_keeps_no_promise_is_known_not_to_and_seldom_asked(street: Street) -> None:
    street.state.switch_quirk(street.camera, "pull-point-promised", {})
    async with listening(street) as listener:
        await listener.passes(600)
        assert listener.subscriber.subscribes is False
        assert listener.asked("CreatePullPointSubscription") <= 8, "four times, each with addressing and without"

        street.state.switch_quirk(street.camera, "pull-point-promised", None)
        await listener.passes(600)
        assert listener.subscriber.subscribes
