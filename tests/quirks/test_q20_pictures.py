"""Q20: cameras whose picture has no address, one that is none, or one on somebody else's host."""

import io
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import av
import pytest

from demo.processes import free_port
from gateway.clock import SimulatedClock, SystemClock
from gateway.control.captures import CaptureDesk
from gateway.control.stills import StreamStills
from gateway.domain.devices import Credentials, DeviceId, Ports
from gateway.domain.events import Actor, ActorKind
from gateway.drivers.base import Target
from gateway.drivers.http import Http
from gateway.drivers.onvif.device import OnvifDevice
from gateway.drivers.refusals import Refusals
from gateway.storage.store import Store
from simulators import city as simulated
from simulators.city import City, SimDevice
from simulators.serving import running
from simulators.state import State
from tests.simulators.reading import caption_of

pytestmark = pytest.mark.quirk("Q20")
WANG = Actor(ActorKind.API_KEY, "operator")


@dataclass(frozen=True)
class Pole:
    """Cameras of either codec that answer over ONVIF and RTSP, and a desk that takes pictures of them."""

    city: City
    state: State
    desk: CaptureDesk
    drivers: dict[str, OnvifDevice]

    def camera(self, codec: str) -> SimDevice:
        return next(one for one in self.city.of_kind("camera") if one.codec == codec)

    async def captured(self, camera: SimDevice) -> tuple[str, str]:
        """What is written in the picture that the desk takes."""
        capture = await self.desk.take(DeviceId(camera.id), profile=None, case="", actor=WANG)
        with av.open(io.BytesIO(capture.picture), format="mjpeg") as container:
            return caption_of(next(container.decode(video=0)))


@pytest.fixture
async def pole(store: Store) -> AsyncIterator[Pole]:
    planned = simulated.plan(seed=3, groups=6, speakers=0, http_port=free_port(0), rtsp_port=free_port(0), snmp_port=1)
    planned = replace(planned, devices=tuple(replace(one, quirks={}) for one in planned.devices))
    state, drivers = State(), dict[str, OnvifDevice]()

    def target_of(camera: DeviceId) -> Target:
        known = planned.by_id(camera)
        assert known is not None
        ports = Ports(onvif=planned.http_port, rtsp=planned.rtsp_port)
        return Target(camera, known.address, ports, Credentials(known.username, known.password))

    def camera_of(camera: DeviceId) -> OnvifDevice:
        return drivers.setdefault(camera, OnvifDevice(target_of(camera), Http(), SystemClock()))

    refusals = defaultdict[DeviceId, Refusals](Refusals)
    stills = StreamStills(target_of=target_of, refusals_of=refusals.__getitem__)
    desk = CaptureDesk(store=store, clock=SimulatedClock(), camera_of=camera_of, stills=stills)
    async with running(planned, state, control=("127.0.0.1", 0), only=("http", "rtsp")):
        yield Pole(planned, state, desk, drivers)


@pytest.mark.parametrize("switch", ["no-snapshot-uri", "snapshot-uri-rtsp"])
@pytest.mark.parametrize("codec", ["H264", "H265"])
async def test_a_camera_without_pictures_gives_a_key_picture_of_its_stream(pole: Pole, codec: str, switch: str) -> None:
    camera = pole.camera(codec)
    pole.state.switch_quirk(camera, switch, {})
    assert (await pole.captured(camera))[0] == camera.id
    asked = pole.state.counters["http.requests.camera"]
    assert (await pole.captured(camera))[0] == camera.id
    assert pole.drivers[camera.id].learned()["pictures"] == "from the stream"
    assert pole.state.counters["http.requests.camera"] - asked <= 6  # profiles and the stream's address; no picture was asked for again


async def test_a_picture_on_another_host_is_taken_from_the_camera_itself(pole: Pole) -> None:
    camera = pole.camera("H264")
    pole.state.switch_quirk(camera, "snapshot-uri-foreign", {})
    assert (await pole.captured(camera))[0] == camera.id
    assert pole.state.counters["rtsp.requests.camera"] == 0


async def test_a_camera_with_pictures_gives_its_own(pole: Pole) -> None:
    camera = pole.camera("H265")
    assert (await pole.captured(camera))[0] == camera.id
    assert pole.state.counters["rtsp.requests.camera"] == 0
