"""How loud a device is set: read in percent of its own range, set no louder than asked, put back exactly."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import SimulatedClock
from gateway.domain.devices import Credentials, DeviceId, Ports
from gateway.drivers.base import Target, Volume
from gateway.drivers.http import Http
from gateway.drivers.onvif.device import OnvifDevice
from gateway.drivers.onvif.soap import parse
from gateway.drivers.onvif.volume import Output, Volumes, read_outputs, read_range
from gateway.errors import DeviceFault, NotSupported
from simulators.city import SimDevice
from simulators.onvif import fragments, media, media2
from simulators.onvif.unit import Service
from tests.simulators.street import NOW, Street, standing

TIMEOUT_S = 5.0


@dataclass
class Pole:
    street: Street
    horn: SimDevice

    def ours(self, device: SimDevice | None = None) -> Volumes:
        wanted = device or self.horn
        target = Target(
            DeviceId(wanted.id), wanted.address, Ports(onvif=self.street.city.http_port), Credentials(wanted.username, wanted.password)
        )
        return Volumes(OnvifDevice(target, Http(), SimulatedClock(datetime.fromtimestamp(NOW, UTC))))

    @property
    def level(self) -> int:
        return self.street.state.volume(self.horn)


@pytest.fixture
async def pole() -> AsyncIterator[Pole]:
    async with standing() as street:
        yield Pole(street, street.speaker)


@contextmanager
def without(service: Service, *names: str) -> Iterator[None]:
    """Devices whose service lacks these operations."""
    operations = dict(service.operations)
    kept = {name: operation for name, operation in operations.items() if name not in names}
    assert isinstance(service.operations, dict)
    service.operations.clear()
    service.operations.update(kept)
    try:
        yield
    finally:
        service.operations.clear()
        service.operations.update(operations)


@pytest.mark.parametrize("service", [media.SERVICE, media2.SERVICE], ids=["media2 alone", "media alone"])
async def test_a_device_is_made_quieter_and_put_back_by_either_service(pole: Pole, service: Service) -> None:
    with without(service, "GetAudioOutputConfigurations", "SetAudioOutputConfiguration"):
        ours = pole.ours()
        before = await ours.volume(timeout_s=TIMEOUT_S)
        assert list(before.percent.values()) == [80]
        await ours.set_volume(before.at_most(35), timeout_s=TIMEOUT_S)
        assert pole.level == 35
        await ours.set_volume(before, timeout_s=TIMEOUT_S)
        assert pole.level == 80


async def test_what_is_quiet_enough_is_left_alone(pole: Pole) -> None:
    ours = pole.ours()
    asked = pole.street.state.counters
    before = await ours.volume(timeout_s=TIMEOUT_S)
    requests = asked["http.requests.speaker"]
    assert before.at_most(80) == Volume({})
    await ours.set_volume(before.at_most(80), timeout_s=TIMEOUT_S)
    await ours.set_volume(before, timeout_s=TIMEOUT_S)
    assert asked["http.requests.speaker"] == requests


async def test_a_range_of_the_devices_own_is_gone_by(pole: Pole, monkeypatch: pytest.MonkeyPatch) -> None:
    told = fragments.audio_output_options
    monkeypatch.setattr(
        fragments, "audio_output_options", lambda tag: told(tag).replace("<tt:Min>0<", "<tt:Min>40<").replace("<tt:Max>100<", "<tt:Max>90<")
    )
    ours = pole.ours()
    before = await ours.volume(timeout_s=TIMEOUT_S)
    assert list(before.percent.values()) == [80]
    await ours.set_volume(before.at_most(50), timeout_s=TIMEOUT_S)
    assert pole.level == 65


async def test_a_camera_sets_the_loudspeaker_that_hangs_on_it(pole: Pole) -> None:
    horn = next(horn for horn in pole.street.city.of_kind("speaker") if horn.audio_output_of)
    ours = pole.ours(pole.street.talking_camera)
    await ours.set_volume((await ours.volume(timeout_s=TIMEOUT_S)).at_most(10), timeout_s=TIMEOUT_S)
    assert pole.street.state.volume(horn) == 10


async def test_a_device_without_an_audio_output_says_so(pole: Pole) -> None:
    with pytest.raises(NotSupported) as refused:
        await pole.ours(pole.street.camera).volume(timeout_s=TIMEOUT_S)
    assert refused.value.code == "no-volume"


async def test_a_refusal_to_set_is_told(pole: Pole) -> None:
    ours = pole.ours()
    before = await ours.volume(timeout_s=TIMEOUT_S)
    with without(media.SERVICE, "SetAudioOutputConfiguration"), pytest.raises(DeviceFault):
        await ours.set_volume(before.at_most(5), timeout_s=TIMEOUT_S)
    await ours.set_volume(before.at_most(5), timeout_s=TIMEOUT_S)
    assert pole.level == 5


@given(st.integers(-1000, 1000), st.integers(1, 5000), st.data())
def test_every_level_is_found_again_by_its_percentage_and_none_is_louder_than_asked(low: int, span: int, data: st.DataObject) -> None:
    level = data.draw(st.integers(low, low + span))
    output = Output("t", "", 1, "o", "", level, low, low + span)
    assert output.level_at(output.percent) == level
    percent = data.draw(st.floats(0, 100))
    assert replace(output, level=output.level_at(percent)).percent <= percent + 1e-3


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ("", []),
        ("<a:Configurations token='x'><tt:OutputLevel>loud</tt:OutputLevel></a:Configurations>", []),
        ("<a:Configurations><tt:OutputLevel>5</tt:OutputLevel></a:Configurations>", []),
        ("<a:Configurations token='x'><tt:OutputLevel>5</tt:OutputLevel></a:Configurations>", [("x", 5)]),
        ("<a:Configurations token='x'><tt:OutputLevel>99999999999</tt:OutputLevel></a:Configurations>", []),
    ],
)
def test_what_a_device_tells_of_its_outputs_is_read_with_care(told: str, found: list[tuple[str, int]]) -> None:
    payload = parse(f"<a:r xmlns:a='urn:a' xmlns:tt='http://www.onvif.org/ver10/schema'>{told}</a:r>".encode())
    assert [(output.token, output.level) for output in read_outputs(payload)] == found
    assert read_range(payload) == (0, 100)
