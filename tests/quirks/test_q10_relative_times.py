"""Q10: a relative time is read as something else, so that a lease ends at once."""

import pytest

from tests.drivers.onvif.listening import listening
from tests.simulators.street import Street

pytestmark = pytest.mark.quirk("Q10")


async def test_seconds_are_asked_for_where_minutes_are_misread(street: Street) -> None:
    street.state.switch_quirk(street.camera, "relative-minutes-as-seconds", {})
    street.state.switch_quirk(street.camera, "pull-does-not-extend", {})
    async with listening(street) as listener:
        await listener.passes(90)

        assert (listener.asked("CreatePullPointSubscription"), listener.asked("Renew")) == (1, 0)


async def test_a_moment_is_asked_for_where_a_relative_time_ends_at_once(street: Street) -> None:
    street.state.switch_quirk(street.camera, "relative-time-refused", {})
    async with listening(street) as listener:
        await listener.passes(200)
        street.state.happen(street.camera, "motion")
        await listener.passes(2)
        assert listener.begun == ["VideoSource/MotionAlarm"]
        assert listener.asked("CreatePullPointSubscription") == 2

        assert listener.subscriber.learned()["ends of leases"] == "absolute"
        street.state.rebooted(street.camera)
        await listener.passes(5)
        assert listener.asked("CreatePullPointSubscription") == 3, "it has learnt which form of time works"
