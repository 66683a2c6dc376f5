"""Q9: renewing is refused, pulling extends nothing, and after a reboot an old subscription is silent for ever."""

import pytest

from gateway.drivers.onvif import leases
from tests.drivers.onvif.listening import listening
from tests.simulators.street import Street

pytestmark = pytest.mark.quirk("Q9")


async def test_where_renewing_is_refused_it_subscribes_anew_and_does_not_ask_again(street: Street) -> None:
    street.state.switch_quirk(street.camera, "renew-refused", {})
    street.state.switch_quirk(street.camera, "pull-does-not-extend", {})
    async with listening(street) as listener:
        await listener.passes(300)
        street.state.happen(street.camera, "motion")
        await listener.passes(2)

        assert listener.begun == ["VideoSource/MotionAlarm"]
        assert listener.asked("Renew") == 1
        assert listener.subscriber.learned()["renewing"] == "refused"
        assert listener.asked("CreatePullPointSubscription") == 4


async def test_a_lease_that_pulling_does_not_extend_is_renewed_in_time(street: Street) -> None:
    street.state.switch_quirk(street.camera, "pull-does-not-extend", {})
    async with listening(street) as listener:
        await listener.passes(300)

        assert listener.asked("CreatePullPointSubscription") == 1
        assert listener.asked("Renew") == 3


async def test_a_subscription_that_a_reboot_ended_is_made_anew(street: Street) -> None:
    async with listening(street) as listener:
        await listener.passes(2)
        street.state.rebooted(street.camera)
        await listener.passes(2)
        street.state.happen(street.camera, "tamper")
        await listener.passes(2)

        assert listener.begun == ["RuleEngine/TamperDetector/Tamper"]


async def test_a_subscription_that_is_silent_since_a_reboot_is_found_dead(street: Street) -> None:
    street.state.switch_quirk(street.camera, "silent-after-reboot", {})
    async with listening(street) as listener:
        await listener.passes(2)
        street.state.rebooted(street.camera)
        street.state.happen(street.camera, "tamper")
        await listener.passes(int(leases.QUIET_S) + 5)

        assert listener.of("Tamper")[-1].on, "its state, as the new subscription told it"
        street.state.happen(street.camera, "motion")
        await listener.passes(2)
        assert listener.begun == ["VideoSource/MotionAlarm"]
