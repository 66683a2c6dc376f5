"""The driver against the simulated city: every kind of device is met, watched, moved and searched over real sockets."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from gateway.clock import SimulatedClock
from gateway.domain.devices import Credentials, DeviceId, Ports
from gateway.drivers.base import ClockSource, IdentitySource, MediaSource, PresetSource, Span, Target
from gateway.drivers.http import Http
from gateway.drivers.onvif.device import OnvifDevice
from gateway.drivers.onvif.onboarding import onboard
from gateway.drivers.onvif.soap import MEDIA2, SEARCH
from gateway.errors import AuthenticationFailed, DeviceFault, NotSupported
from simulators import footage
from simulators.city import SimDevice
from tests.simulators.street import NOW, Street, standing

TIMEOUT_S = 20.0
HOUR = timedelta(hours=1)


@pytest.fixture
async def street() -> AsyncIterator[Street]:
    async with standing() as street:
        yield street


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock(datetime.fromtimestamp(NOW, UTC))


def ours(street: Street, device: SimDevice, clock: SimulatedClock, *, password: str | None = None) -> OnvifDevice:
    credentials = Credentials(device.username, device.password if password is None else password)
    return OnvifDevice(Target(DeviceId(device.id), device.address, Ports(onvif=street.city.http_port), credentials), Http(), clock)


def the_capabilities_of(device: OnvifDevice) -> tuple[ClockSource, IdentitySource, MediaSource, PresetSource]:
    """A device is all of these; the type checker sees to it."""
    return device, device, device, device


async def test_every_device_of_the_street_is_checked_with_its_true_identity_and_clock(street: Street, clock: SimulatedClock) -> None:
    http_devices = [device for device in street.city.devices if device.kind in ("camera", "speaker", "recorder")]
    for device in http_devices:
        told, identity = await ours(street, device, clock).check(timeout_s=TIMEOUT_S)
        assert (identity.manufacturer, identity.model, identity.serial) == (device.vendor, device.model, device.serial)
        assert abs(told.offset.total_seconds() - device.clock_offset_s) <= 1


async def test_a_camera_is_onboarded_with_its_streams_and_presets(street: Street, clock: SimulatedClock) -> None:
    told = await onboard(ours(street, street.camera, clock), timeout_s=TIMEOUT_S)
    assert len(told.streams) >= 2
    assert all(one.stream_path.startswith("/") and one.profile.width for one in told.streams)
    assert told.has_ptz
    assert told.presets
    assert told.troubles == ()


async def test_every_model_of_camera_is_onboarded_without_trouble(street: Street, clock: SimulatedClock) -> None:
    models = {(device.vendor, device.model, device.lacks): device for device in street.city.of_kind("camera")}
    for device in models.values():
        told = await onboard(ours(street, device, clock), timeout_s=TIMEOUT_S)
        assert (told.troubles, told.has_ptz) == ((), device.ptz)
        assert (MEDIA2 in told.services) == ("media2" not in device.lacks)
        assert told.streams


async def test_a_camera_that_encodes_h265_is_onboarded_with_what_only_media2_tells(street: Street, clock: SimulatedClock) -> None:
    told = await onboard(ours(street, street.h265_camera, clock), timeout_s=TIMEOUT_S)
    profiles = [one.profile for one in told.streams]
    assert [(profile.encoding, profile.width > 0, profile.service) for profile in profiles] == [("H265", True, "media")] * 2
    assert told.troubles == ()


async def test_a_snapshot_is_a_picture(street: Street, clock: SimulatedClock) -> None:
    for device in (street.camera, street.digest_camera):
        camera = ours(street, device, clock)
        profile = (await camera.profiles(timeout_s=TIMEOUT_S))[0]
        assert (await camera.snapshot(profile.token, timeout_s=TIMEOUT_S)).startswith(b"\xff\xd8")


async def test_a_dome_moves_and_stops(street: Street, clock: SimulatedClock) -> None:
    dome = ours(street, street.camera, clock)
    profile = next(profile for profile in await dome.profiles(timeout_s=TIMEOUT_S) if profile.ptz)
    presets = await dome.presets(profile.token, timeout_s=TIMEOUT_S)
    await dome.goto_preset(profile.token, presets[0].token, timeout_s=TIMEOUT_S)
    await dome.move(profile.token, pan=0.5, tilt=-0.5, zoom=0.0, run_s=2, timeout_s=TIMEOUT_S)
    await dome.stop(profile.token, timeout_s=TIMEOUT_S)
    with pytest.raises(DeviceFault):
        await dome.goto_preset(profile.token, "no such preset", timeout_s=TIMEOUT_S)


async def test_a_fixed_camera_has_no_presets(street: Street, clock: SimulatedClock) -> None:
    fixed = next(device for device in street.city.of_kind("camera") if not device.ptz)
    with pytest.raises(NotSupported):
        await ours(street, fixed, clock).presets("any", timeout_s=TIMEOUT_S)


async def test_an_unknown_profile_is_a_fault_of_the_device(street: Street, clock: SimulatedClock) -> None:
    with pytest.raises(DeviceFault):
        await ours(street, street.camera, clock).stream_path("no such profile", timeout_s=TIMEOUT_S)


async def test_a_recorder_tells_its_recordings(street: Street, clock: SimulatedClock) -> None:
    told = await onboard(ours(street, street.recorder, clock), timeout_s=TIMEOUT_S)
    assert SEARCH in told.services
    assert {one.token for one in told.recordings} == {channel.token for channel in street.recorder.channels}
    earliest = datetime.fromtimestamp(footage.kept(street.recorder, NOW + street.recorder.clock_offset_s).start, UTC)
    assert all(one.earliest is not None and abs(one.earliest - earliest) < timedelta(seconds=2) for one in told.recordings)


async def test_coverage_is_what_the_recorder_has_gaps_and_all(street: Street, clock: SimulatedClock) -> None:
    recorder = ours(street, street.recorder, clock)
    there = NOW + street.recorder.clock_offset_s
    until = datetime.fromtimestamp(int(there) - 3600, UTC)
    window = Span(until - 24 * HOUR, until)
    gaps = 0
    for channel in street.recorder.channels:
        truth = footage.recorded(street.recorder, channel, footage.Span(window.start.timestamp(), window.end.timestamp()), there)
        found = await recorder.coverage(channel.token, window, timeout_s=TIMEOUT_S)
        assert [(span.start.timestamp(), span.end.timestamp()) for span in found] == [(span.start, span.end) for span in truth]
        gaps += len(found) - 1
    assert gaps > 0


async def test_coverage_ends_with_the_devices_present_and_begins_with_its_memory(street: Street, clock: SimulatedClock) -> None:
    recorder, channel = ours(street, street.recorder, clock), street.recorder.channels[0]
    there = datetime.fromtimestamp(NOW + street.recorder.clock_offset_s, UTC)
    memory = timedelta(days=street.recorder.retention_days)
    found = await recorder.coverage(channel.token, Span(there - memory - HOUR, there + HOUR), timeout_s=TIMEOUT_S)
    assert abs(found[0].start - (there - memory)) < timedelta(hours=1)
    assert abs(found[-1].end - there) < timedelta(seconds=2)
    assert await recorder.coverage(channel.token, Span(there + HOUR, there + 2 * HOUR), timeout_s=TIMEOUT_S) == ()


async def test_searches_are_ended(street: Street, clock: SimulatedClock) -> None:
    recorder, channel = ours(street, street.recorder, clock), street.recorder.channels[0]
    there = datetime.fromtimestamp(NOW + street.recorder.clock_offset_s, UTC)
    for _ in range(12):  # more than a recorder allows at a time
        await recorder.coverage(channel.token, Span(there - HOUR, there), timeout_s=TIMEOUT_S)


async def test_a_recording_has_a_path_to_replay_it(street: Street, clock: SimulatedClock) -> None:
    path = await ours(street, street.recorder, clock).replay_path(street.recorder.channels[0].token, timeout_s=TIMEOUT_S)
    assert path.startswith("/")


async def test_a_wrong_password_is_tried_once_and_the_city_counts_it(street: Street, clock: SimulatedClock) -> None:
    camera = ours(street, street.camera, clock, password="wrong")
    for _ in range(5):
        with pytest.raises(AuthenticationFailed):
            await camera.check(timeout_s=TIMEOUT_S)
    assert street.state.counters["http.digest_bad.camera"] == 1
