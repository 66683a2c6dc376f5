"""The checks of recorders against simulated ones: what they still record, what they keep, how much of yesterday they have."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from gateway.clock import SimulatedClock
from gateway.domain.devices import Channel, DeviceId
from gateway.domain.health import CheckResult, HealthState, Outcome, Standing
from gateway.health.checks import coverage, disk, recording
from gateway.health.checks.subject import SlowTools, Subject
from gateway.storage.store import Store
from simulators import footage
from simulators.city import SimDevice
from simulators.faults import Answer, Fault
from simulators.footage import Span
from tests.health import street as streets
from tests.health.street import Street

SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.fixture
async def street(clock: SimulatedClock) -> AsyncIterator[Street]:
    async with streets.standing(clock) as standing:
        recorders = [
            replace(
                standing.entry(device),
                channels=tuple(Channel(one.number, DeviceId(one.camera), one.token) for one in device.channels),
            )
            for device in standing.of("recorder")
        ]
        standing.city.replace(devices=[*recorders, *(standing.entry(camera) for camera in standing.of("camera"))])
        yield standing


@pytest.fixture
def tools(street: Street, store: Store, clock: SimulatedClock) -> SlowTools:
    return replace(street.slow_tools(clock, store, timeout_s=20.0), zone=SHANGHAI)


@pytest.fixture
def recorder(street: Street) -> SimDevice:
    return next(device for device in street.of("recorder") if not device.lacks and abs(device.clock_offset_s) < 5)


async def looked(street: Street, tools: SlowTools, recorder: SimDevice) -> CheckResult:
    """The result, which is shown on the board, too."""
    device = DeviceId(recorder.id)
    (result,) = await recording.check(Subject(street.city.devices[device], tools.clock.monotonic()), tools)
    street.board.put(Standing(device, HealthState.UP, facts={result.check: result.facts}))
    return result


async def test_a_recorder_that_records_everything_up_to_now_is_well(street: Street, tools: SlowTools, recorder: SimDevice) -> None:
    result = await looked(street, tools, recorder)
    assert (result.outcome, result.reason) == (Outcome.OK, "")
    channels = result.facts["channels"]
    assert len(channels) == len(recorder.channels)
    assert all(one["listed"] and one["lag_s"] < 10 and one["days"] == pytest.approx(30, abs=0.1) for one in channels.values())


async def test_a_full_disk_stops_the_recording_and_the_limit_says_when_that_is_an_illness(
    street: Street, tools: SlowTools, recorder: SimDevice, clock: SimulatedClock
) -> None:
    street.state.ail(recorder, Fault(disk_full=True))
    await clock.advance(3_000)
    assert (await looked(street, tools, recorder)).outcome is Outcome.OK
    await clock.advance(1_000)
    result = await looked(street, tools, recorder)
    assert (result.outcome, result.reason) == (Outcome.FAIL, "recording-stopped")
    assert set(result.facts["cameras"]) <= {channel.camera for channel in recorder.channels}
    street.state.cure(recorder)
    assert (await looked(street, tools, recorder)).outcome is Outcome.OK


async def test_a_camera_that_is_down_is_not_its_recorders_fault(
    street: Street, tools: SlowTools, recorder: SimDevice, clock: SimulatedClock
) -> None:
    street.state.ail(recorder, Fault(disk_full=True))
    await clock.advance(4_000)
    for channel in recorder.channels:
        street.board.put(Standing(DeviceId(channel.camera), HealthState.DOWN))
    assert (await looked(street, tools, recorder)).outcome is Outcome.OK


async def test_a_recorder_that_overwrites_too_early_is_told_from_one_that_still_fills_its_disk(
    street: Street, tools: SlowTools, recorder: SimDevice, clock: SimulatedClock
) -> None:
    strict = replace(tools, retention_days=90.0)
    assert (await looked(street, strict, recorder)).outcome is Outcome.OK, "its first moment was seen once: it may still be filling"
    await clock.advance(1_800)
    result = await looked(street, strict, recorder)
    assert (result.outcome, result.reason) == (Outcome.WARN, "retention-short")
    assert (await looked(street, tools, recorder)).outcome is Outcome.OK


async def test_a_channel_whose_recording_is_not_listed_is_missing(street: Street, tools: SlowTools, recorder: SimDevice) -> None:
    device = street.city.devices[DeviceId(recorder.id)]
    wrong = replace(device, channels=(replace(device.channels[0], recording_token="rec-99"), *device.channels[1:]))
    street.city.replace(devices=[wrong])
    result = await looked(street, tools, recorder)
    assert (result.outcome, result.reason, result.facts["cameras"]) == (Outcome.WARN, "recording-missing", [device.channels[0].camera])


async def test_a_recorder_that_does_not_tell_has_the_reason(street: Street, tools: SlowTools, recorder: SimDevice) -> None:
    street.break_(recorder, answer=Answer.GARBAGE)
    result = await looked(street, tools, recorder)
    assert result.outcome is Outcome.FAIL
    assert result.reason not in {"", "timeout"}


# -- yesterday --------------------------------------------------------------------------------------------------------


async def covered(street: Street, tools: SlowTools, recorder: SimDevice) -> list[CheckResult]:
    device = street.city.devices[DeviceId(recorder.id)]
    return list(await coverage.check(Subject(device, tools.clock.monotonic()), tools))


async def rows(store: Store, day: date) -> dict[str, tuple[int, int]]:
    async with store.read() as tx:
        return dict(await tx.availability.recorded(day, day + timedelta(days=1)))


async def test_each_camera_s_days_are_written_down_once_by_the_sites_calendar(
    street: Street, tools: SlowTools, store: Store, recorder: SimDevice, clock: SimulatedClock
) -> None:
    (result,) = await covered(street, tools, recorder)
    yesterday = clock.now().astimezone(SHANGHAI).date() - timedelta(days=1)
    assert (result.outcome, result.facts["day"]) == (Outcome.OK, yesterday.isoformat())
    for day in (yesterday, yesterday - timedelta(days=1), yesterday - timedelta(days=2)):
        await covered(street, tools, recorder)
        found = await rows(store, day)
        assert found.keys() == {channel.camera for channel in recorder.channels}
        start = datetime(day.year, day.month, day.day, tzinfo=SHANGHAI).astimezone(UTC).timestamp() + recorder.clock_offset_s
        for channel in recorder.channels:
            window = Span(start, start + 86_400)
            true_s = sum(one.end - one.start for one in footage.recorded(recorder, channel, window, clock.now().timestamp()))
            expected_s, recorded_s = found[DeviceId(channel.camera)]
            assert expected_s == 86_400
            assert recorded_s == pytest.approx(true_s, abs=10)
    commits = store.writer.commits
    assert await covered(street, tools, recorder) == []
    assert store.writer.commits == commits


async def test_a_recorder_that_could_not_be_asked_is_asked_again(
    street: Street, tools: SlowTools, store: Store, recorder: SimDevice, clock: SimulatedClock
) -> None:
    yesterday = clock.now().astimezone(SHANGHAI).date() - timedelta(days=1)
    street.break_(recorder, answer=Answer.REFUSE)
    assert await covered(street, tools, recorder) == []
    assert await rows(store, yesterday) == {}
    street.mend(recorder)
    assert len(await covered(street, tools, recorder)) == 1


async def test_a_recorder_s_disks_are_read_by_its_profile_and_without_credentials_not_at_all(
    street: Street, tools: SlowTools, recorder: SimDevice
) -> None:
    told = [device for device in street.of("recorder") if device.snmp is not None and device.snmp.version != "v3"]
    if told:
        (result,) = await disk.check(Subject(street.city.devices[DeviceId(told[0].id)], 0.0), tools)
        assert (result.check, result.outcome) == ("disk", Outcome.OK)
    bare = replace(
        tools, target_of=lambda device: replace(street.target(device), credentials=replace(street.target(device).credentials, snmp=None))
    )
    assert await disk.check(Subject(street.city.devices[DeviceId(recorder.id)], 0.0), bare) == []
