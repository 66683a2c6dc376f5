"""Q12: something begins and never ends, states are told again as if they were news, and true means false."""

import pytest

from tests.drivers.onvif.listening import listening, quirks
from tests.simulators.street import Street

pytestmark = pytest.mark.quirk("Q12")


async def test_an_alarm_that_is_never_cleared_ends_after_the_profiles_time(street: Street) -> None:
    street.state.switch_quirk(street.camera, "never-clears", {"after_s": 30})
    async with listening(street, known=quirks(never_clears={"after_s": 30})) as listener:
        await listener.passes(2)
        street.state.happen(street.camera, "motion")
        await listener.passes(2)
        street.state.happen(street.camera, "motion", on=False)
        await listener.passes(20)
        assert listener.of("MotionAlarm")[-1].on
        await listener.passes(15)

        ended = listener.of("MotionAlarm")[-1]
        assert (ended.on, ended.assumed, ended.begins) == (False, True, False)
        street.state.happen(street.camera, "motion")
        await listener.passes(2)
        assert len(listener.begun) == 2


async def test_states_that_are_told_again_are_no_alarms(street: Street) -> None:
    street.state.switch_quirk(street.camera, "initialized-again", {})
    street.state.happen(street.camera, "motion")
    async with listening(street) as listener:
        await listener.passes(30)

        assert listener.begun == []
        assert [event.on for event in listener.of("MotionAlarm")] == [True]
        street.state.happen(street.camera, "tamper")
        await listener.passes(2)
        assert listener.begun == ["RuleEngine/TamperDetector/Tamper"]


async def test_states_that_are_turned_round_are_turned_back(street: Street) -> None:
    street.state.switch_quirk(street.camera, "inverted-state", {})
    async with listening(street, known=quirks(inverted_state={})) as listener:
        await listener.passes(2)
        street.state.happen(street.camera, "digital-input")
        await listener.passes(2)
        street.state.happen(street.camera, "digital-input", on=False)
        await listener.passes(2)

        assert [event.on for event in listener.of("DigitalInput")] == [False, True, False]
        assert listener.begun == ["Device/Trigger/DigitalInput"]
