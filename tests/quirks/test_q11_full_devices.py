"""Q11: subscriptions fill a device up, renewing often breaks it, and ending one ends everybody's."""

import pytest

from tests.drivers.onvif.listening import listening, quirks
from tests.simulators.street import Street
from tests.simulators.test_events import subscribe

pytestmark = pytest.mark.quirk("Q11")


async def test_a_full_device_is_waited_out(street: Street) -> None:
    street.state.switch_quirk(street.camera, "few-subscriptions", {"slots": 2})
    for _ in range(2):
        await subscribe(street)
    async with listening(street) as listener:
        before = listener.asked("CreatePullPointSubscription")
        await listener.passes(55)
        assert listener.asked("CreatePullPointSubscription") - before < 10
        await listener.passes(120)

        assert listener.subscriber.subscribes
        assert listener.of("MotionAlarm")


async def test_its_own_place_is_free_again_when_it_stops(street: Street) -> None:
    street.state.switch_quirk(street.camera, "few-subscriptions", {"slots": 1})
    for _ in range(3):
        async with listening(street) as listener:
            await listener.passes(2)
            assert listener.of("MotionAlarm")


@pytest.mark.parametrize("known", [quirks(), quirks(renewing_crashes={"within_s": 30})])
async def test_renewing_never_comes_so_often_that_the_device_breaks(street: Street, known) -> None:
    street.state.switch_quirk(street.camera, "renewing-crashes", {"within_s": 30})
    street.state.switch_quirk(street.camera, "pull-does-not-extend", {})
    async with listening(street, known=known) as listener:
        await listener.passes(400)

        assert listener.asked("Renew") == 4
        assert not [entry for entry in street.state.journal.since(0) if entry.what == "reboot"]


async def test_nobody_elses_subscription_is_ended_with_ours(street: Street) -> None:
    street.state.switch_quirk(street.camera, "unsubscribe-ends-all", {})
    theirs = await subscribe(street)
    async with listening(street, known=quirks(unsubscribe_ends_all={})) as listener:
        await listener.passes(2)

    assert listener.asked("Unsubscribe") == 0
    assert (await theirs.pull()).status == 200
