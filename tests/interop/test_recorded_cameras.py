"""Three real cameras, recorded by others, are met as they would be in the street."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.clock import SystemClock
from gateway.domain.devices import Credentials, DeviceId, Ports
from gateway.drivers.base import Target
from gateway.drivers.http import Http
from gateway.drivers.onvif.device import OnvifDevice
from gateway.drivers.onvif.media import GET_PROFILES2, read_profiles2
from gateway.drivers.onvif.onboarding import DeviceDescription, onboard
from gateway.drivers.onvif.soap import MEDIA, MEDIA2, PTZ
from gateway.errors import NotSupported
from simulators import http
from simulators.http import Behaviour, Request, Response
from simulators.recorded.client import Client
from simulators.recorded.command import city_of
from simulators.recorded.door import RecordedDoor
from simulators.recorded.folder import Recording
from simulators.recorded.recorder import Recorder
from simulators.state import State

RECORDINGS = Path(__file__).parents[3] / "shared" / "recordings" / "onvif"

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(not RECORDINGS.is_dir(), reason="recorded cameras: ../shared/recordings/onvif is not here"),
]


class Camera:
    """A recorded camera on a socket of its own; what it heard is kept."""

    def __init__(self, name: str, address: str) -> None:
        self._city = city_of(RECORDINGS / name, None, address=address, ports=(0, 0))
        self._door = RecordedDoor(self._city.devices[0], self._city, State(), Recording.load(RECORDINGS / name))
        self.address, self.port = address, 0
        self.heard: list[Request] = []

    def welcomes(self) -> bool:
        return self._door.welcomes()

    def behaviour(self, request: Request) -> Behaviour | None:
        return self._door.behaviour(request)

    def answer(self, request: Request) -> Response:
        self.heard.append(request)
        return self._door.answer(request)

    def target(self) -> Target:
        return Target(DeviceId("recorded"), self.address, Ports(onvif=self.port), Credentials("admin", "secret"))


@asynccontextmanager
async def camera(name: str) -> AsyncIterator[tuple[Camera, OnvifDevice]]:
    recorded = Camera(name, "127.77.5.1")
    async with http.listen(lambda _: recorded, host=recorded.address, port=0) as recorded.port:
        yield recorded, OnvifDevice(recorded.target(), Http(), SystemClock())


async def onboarded(name: str) -> DeviceDescription:
    async with camera(name) as (_, ours):
        return await onboard(ours, timeout_s=30)


def resolutions(told: DeviceDescription) -> list[tuple[str, str, int, int]]:
    return [(one.profile.token, one.profile.encoding, one.profile.width, one.profile.height) for one in told.streams]


async def test_the_axis_dome_is_met_with_its_model_profiles_and_21_named_presets() -> None:
    axis = await onboarded("axis-q6045-e")
    assert (axis.identity.manufacturer, axis.identity.model, axis.identity.firmware) == ("AXIS", "AXIS Q6045-E", "5.55.1.2")
    assert (axis.identity.serial, axis.clock.source, axis.clock.timezone) == ("00408CFAB754", "Manual", "MST7MDT,M3.2.0,M11.1.0")
    assert resolutions(axis) == [("profile_1_h264", "H264", 1280, 720), ("profile_1_jpeg", "JPEG", 1280, 720)]
    assert axis.streams[0].snapshot_path == "/onvif-cgi/jpg/image.cgi?resolution=1280x720&compression=20"
    assert len(axis.presets) == 21
    assert [preset.name for preset in axis.presets[:3]] == ["Living Room", "Window", "Kitchen"]
    assert (axis.has_ptz, axis.recordings, axis.troubles) == (True, (), ())


async def test_the_axis_dome_has_its_services_found_although_it_faults_get_services() -> None:
    axis = await onboarded("axis-q6045-e")
    assert (axis.services[MEDIA], axis.services[PTZ]) == ("/onvif/services", "/onvif/services")


async def test_the_hikvision_camera_is_met_without_ptz() -> None:
    hikvision = await onboarded("hikvision-ds-2cd2012-i")
    assert (hikvision.identity.manufacturer, hikvision.identity.model) == ("HIKVISION", "DS-2CD2012-I")
    assert hikvision.identity.serial == "DS-2CD2012-I20150201CCWR501088621"
    assert hikvision.clock.timezone == "CST7:00:00"
    assert resolutions(hikvision) == [("Profile_1", "H264", 1280, 720), ("Profile_2", "H264", 352, 240)]
    assert [one.profile.name for one in hikvision.streams] == ["mainStream", "subStream"]
    assert (hikvision.has_ptz, hikvision.presets, hikvision.recordings, hikvision.troubles) == (False, (), (), ())


async def test_the_hikvision_camera_without_ptz_says_so_when_asked_for_presets() -> None:
    async with camera("hikvision-ds-2cd2012-i") as (_, ours):
        with pytest.raises(NotSupported):
            await ours.presets("Profile_1", timeout_s=10)


async def test_the_enp_dome_is_met_with_300_presets_and_its_recording() -> None:
    enp = await onboarded("enp1a14-ir25x")
    assert (enp.identity.model, enp.identity.serial) == ("ENP1A14-IR/25X", "ENP1A14-IR/25X20190430AAWRD14878498W")
    assert resolutions(enp)[:2] == [("Profile_1", "H265", 2560, 1440), ("Profile_2", "H265", 704, 480)]
    assert [one.profile.name for one in enp.streams] == ["mainStream", "subStream", "thirdStream"]
    assert len(enp.presets) == 300
    assert (enp.presets[0].token, enp.presets[0].name) == ("1", "MIMBER")
    assert [(one.token, one.source_name) for one in enp.recordings] == [("OnvifRecordingToken_1", "IpCamera_1")]
    assert enp.recordings[0].tracks == ("videotracktoken_1",)
    assert MEDIA2 in enp.services
    assert enp.troubles == ()


async def test_media2_alone_tells_the_profiles_of_the_enp_dome_and_a_unicast_stream() -> None:
    async with camera("enp1a14-ir25x") as (_, ours):
        found = read_profiles2(await ours.call(GET_PROFILES2, timeout_s=10))
        assert [(profile.token, profile.name, profile.service) for profile in found] == [
            ("Profile_1", "mainStream", "media2"),
            ("Profile_2", "subStream", "media2"),
            ("Profile_3", "thirdStream", "media2"),
        ]


@pytest.mark.parametrize("name", ["axis-q6045-e", "hikvision-ds-2cd2012-i", "enp1a14-ir25x"])
async def test_every_request_to_a_recorded_camera_goes_to_the_inventorys_address(name: str) -> None:
    async with camera(name) as (fake, ours):
        await onboard(ours, timeout_s=30)
        assert {heard.header("Host") for heard in fake.heard} == {f"{fake.address}:{fake.port}"}
        assert all(heard.target.startswith("/onvif/") for heard in fake.heard)


@pytest.mark.parametrize(("name", "folders"), [
    ("axis-q6045-e", {"device", "media", "ptz", "events"}), ("hikvision-ds-2cd2012-i", {"device", "media", "events"}),
    ("enp1a14-ir25x", {"device", "media", "media2", "ptz", "recording"})])  # fmt: skip
async def test_a_recorded_camera_can_be_recorded_again_by_the_services_that_it_lists(name: str, folders: set[str]) -> None:
    async with camera(name) as (fake, _):
        taken = await asyncio.to_thread(Recorder(Client(fake.address, fake.port), lambda _line: None).take)
    assert {one.folder for one in taken if not one.is_fault} >= folders
    assert not any(heard.header("Authorization") for heard in fake.heard)
