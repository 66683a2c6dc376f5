"""Q16: WS-Addressing headers are required by some devices and fatal to others."""

import pytest

from tests.drivers.onvif.listening import listening
from tests.simulators.street import Street

pytestmark = pytest.mark.quirk("Q16")


@pytest.mark.parametrize(("switch", "tries"), [("needs-addressing", 1), ("refuses-addressing", 2)])
async def test_events_are_heard_with_the_headers_that_a_device_takes(street: Street, switch: str, tries: int) -> None:
    street.state.switch_quirk(street.camera, switch, {})
    async with listening(street) as listener:
        await listener.passes(2)
        street.state.happen(street.camera, "motion")
        await listener.passes(2)
        assert listener.begun == ["VideoSource/MotionAlarm"]
        assert listener.asked("CreatePullPointSubscription") == tries

        assert listener.subscriber.learned()["addressing"] == ("taken" if switch == "needs-addressing" else "refused")
        street.state.rebooted(street.camera)
        await listener.passes(2)
        assert listener.asked("CreatePullPointSubscription") == tries + 1, "it has learnt whether addressing is taken"
