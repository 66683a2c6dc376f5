"""Q15: times that cannot be: 00:61:16, an hour with a sign, 0000-00-00."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.health import Outcome
from gateway.drivers.base import Span
from tests.drivers.onvif.listening import listening
from tests.quirks.meeting import Meeting, meet
from tests.simulators.street import Street

pytestmark = pytest.mark.quirk("Q15")


async def test_a_clock_whose_minutes_nobody_carried_is_read(camera: Meeting) -> None:
    camera.quirk("impossible-times")
    await camera.clock.advance(2 * 3600 + 61 + 15)

    told = await camera.judged("clock")
    assert told.outcome is Outcome.OK
    assert abs(told.facts["offset_s"]) < 5


async def test_a_clock_that_tells_nothing_possible_costs_neither_the_check_nor_the_login(camera: Meeting) -> None:
    camera.quirk("impossible-times", no_clock=True)

    results = {result.check: (result.outcome, result.reason) for result in await camera.visited()}
    assert results == {"reach": (Outcome.OK, ""), "clock": (Outcome.WARN, "impossible-time"), "identity": (Outcome.OK, "")}
    assert camera.ours.offset is None, "nothing is believed of footage whose clock is not known"


async def test_recordings_keep_the_times_that_can_be_read(camera: Meeting) -> None:
    recorder = meet(camera.street, camera.clock, camera.street.recorder)
    await camera.clock.advance(9 * 3600 + 61 + 15)
    true = await recorder.ours.recordings(timeout_s=20)
    recorder.quirk("impossible-times")

    told = await recorder.ours.recordings(timeout_s=20)
    assert [(one.token, one.earliest, one.latest) for one in told] == [(one.token, one.earliest, one.latest) for one in true]


async def test_events_are_heard_whatever_time_they_tell(street: Street) -> None:
    street.state.switch_quirk(street.camera, "impossible-times", {"no_clock": False})
    async with listening(street) as listener:
        await listener.passes(2)
        street.state.happen(street.camera, "motion")
        await listener.passes(2)
        street.state.happen(street.camera, "motion", on=False)
        await listener.passes(2)

        assert [event.on for event in listener.of("MotionAlarm")] == [False, True, False]


async def test_coverage_is_the_same_in_impossible_times(camera: Meeting) -> None:
    recorder = meet(camera.street, camera.clock, camera.street.recorder)
    channel = next(channel for channel in recorder.device.channels if channel.gappy)
    end = camera.clock.now().astimezone(UTC)
    window = Span(end - timedelta(days=1), end)
    true = await recorder.ours.coverage(channel.token, window, timeout_s=20)
    recorder.quirk("impossible-times")

    assert await recorder.ours.coverage(channel.token, window, timeout_s=20) == true
    assert len(true) > 1
    assert all(isinstance(span.start, datetime) for span in true)
