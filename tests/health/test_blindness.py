"""What the gateway cannot see it does not judge: nobody answers at all, or its own cable is out."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.clock import SimulatedClock
from gateway.domain.devices import DeviceId, DeviceKind
from gateway.domain.health import HealthState
from gateway.domain.policy import Limits
from gateway.health.links import OwnLinks
from gateway.health.service import HealthService
from gateway.health.sight import ENOUGH, Sight
from gateway.storage.store import Store
from simulators.city import SimDevice
from simulators.faults import Answer
from tests.health import street as streets
from tests.health.street import CALM, Street

UNKNOWN, UP, DOWN = HealthState.UNKNOWN, HealthState.UP, HealthState.DOWN


@pytest.fixture
async def street(clock: SimulatedClock) -> AsyncIterator[Street]:
    async with streets.standing(clock) as standing:
        yield standing


@pytest.fixture
def camera(street: Street) -> SimDevice:
    return next(device for device in street.of("camera") if abs(device.clock_offset_s) < 1 and device.auth == "wsse" and not device.lacks)


async def visited(street: Street, service: HealthService, device: SimDevice, times: int) -> HealthState:
    for _ in range(times):
        await service.check_now(DeviceId(device.id))
    return street.board[DeviceId(device.id)].state


def cable(folder: Path, name: str, *, carries: bool) -> None:
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "carrier").write_text("1\n" if carries else "0\n")


async def test_blindness_lasts_until_somebody_answers_however_long_that_takes() -> None:
    clock = SimulatedClock()
    sight = Sight(clock)
    sight.note(answered=True)
    await clock.advance(11)
    for number in range(ENOUGH):
        assert not sight.blind, number
        sight.note(answered=False)
    assert sight.blind
    await clock.advance(3_600)
    sight.note(answered=False)
    assert sight.blind, "an hour later nobody is left who was not dead already, and that is no sight"
    sight.note(answered=True)
    assert not sight.blind
    sight.note(answered=False)
    assert not sight.blind


async def test_silence_everywhere_never_makes_anybody_down_and_the_first_answer_ends_it(store: Store, clock: SimulatedClock) -> None:
    async with streets.standing(clock) as street:
        cameras = street.of("camera")
        street.adopt(cameras)
        service = street.service(store, clock)
        await service.load()
        for camera in cameras:
            await visited(street, service, camera, 1)
            street.break_(camera, answer=Answer.REFUSE)
        await clock.advance(30)
        for _ in range(8):
            for camera in cameras:
                await visited(street, service, camera, 1)
            await clock.advance(30)
        assert street.board.counts()[DOWN] == 0
        assert {street.board[DeviceId(camera.id)].state for camera in cameras} == {UNKNOWN}
        street.mend(cameras[0])
        assert await visited(street, service, cameras[0], 1) is UP
        assert await visited(street, service, cameras[1], 3) is DOWN, "now silence is its own again"


async def test_while_our_own_cable_is_out_silence_means_nothing(
    street: Street, store: Store, clock: SimulatedClock, camera: SimDevice, tmp_path: Path
) -> None:
    cable(tmp_path, "eth0", carries=True)
    cable(tmp_path, "eth1", carries=True)
    street.adopt([camera])
    service = street.service(store, clock, links=OwnLinks(["eth0", "eth1"], clock, folder=tmp_path))
    await service.load()
    assert await visited(street, service, camera, 1) is UP
    street.break_(camera, answer=Answer.REFUSE)
    cable(tmp_path, "eth1", carries=False)
    await clock.advance(1)
    assert await visited(street, service, camera, 3) is UNKNOWN
    standing = street.board[DeviceId(camera.id)]
    assert (standing.reason, service.figures.blind) == ("gateway-blind", True)
    cable(tmp_path, "eth1", carries=True)
    await clock.advance(1)
    assert not service.figures.blind
    assert await visited(street, service, camera, 3) is DOWN
    (tmp_path / "eth0" / "carrier").unlink()
    await clock.advance(1)
    assert service.figures.blind, "one that is not there carries nothing"


async def test_a_cable_that_was_out_during_a_visit_excuses_it(tmp_path: Path) -> None:
    clock = SimulatedClock()
    links = OwnLinks(["eth0"], clock, folder=tmp_path)
    cable(tmp_path, "eth0", carries=False)
    began = clock.monotonic()
    assert links.look() == ("eth0",)
    cable(tmp_path, "eth0", carries=True)
    await clock.advance(5)
    assert links.lost_since(began)
    assert not links.lost_since(clock.monotonic())


async def test_each_kind_has_thresholds_of_its_own(street: Street, store: Store, clock: SimulatedClock, camera: SimDevice) -> None:
    street.adopt([camera])
    service = street.service(store, clock, limits=CALM, limits_of={DeviceKind.CAMERA: Limits(failure=5, recovery=1)})
    await service.load()
    assert await visited(street, service, camera, 1) is UP
    street.break_(camera, answer=Answer.REFUSE)
    assert await visited(street, service, camera, 4) is UP
    assert await visited(street, service, camera, 1) is DOWN
    street.mend(camera)
    assert await visited(street, service, camera, 1) is UP
