"""What was taken of a camera last stays in memory for a while, within bounds."""

from datetime import timedelta

import pytest

from gateway.clock import SimulatedClock
from gateway.control import captures
from gateway.control.captures import CaptureDesk
from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor, ActorKind
from gateway.drivers.base import MediaProfile
from gateway.storage.store import Store

ACTOR = Actor(ActorKind.USER, "li")
MINUTE = timedelta(minutes=1)


class Camera:
    """A media source whose pictures are as large as is wished."""

    size = 100

    async def profiles(self, *, timeout_s: float) -> list[MediaProfile]:
        return [MediaProfile("main", "main")]

    async def snapshot(self, profile: str, *, timeout_s: float) -> bytes:
        return bytes(self.size)


@pytest.fixture
def camera() -> Camera:
    return Camera()


@pytest.fixture
def desk(store: Store, clock: SimulatedClock, camera: Camera) -> CaptureDesk:
    return CaptureDesk(store=store, clock=clock, camera_of=lambda _: camera, stills=None)  # type: ignore[arg-type]  # no stream is looked into


async def taken(desk: CaptureDesk, name: str) -> captures.Capture:
    return await desk.take(DeviceId(name), profile=None, case="", actor=ACTOR)


async def test_what_was_taken_last_is_there_as_long_as_it_is_young(desk: CaptureDesk, clock: SimulatedClock) -> None:
    assert desk.latest(DeviceId("c1"), within=MINUTE) is None
    await taken(desk, "c1")
    await clock.advance(10)
    second = await taken(desk, "c1")
    assert desk.latest(DeviceId("c1"), within=MINUTE) == second
    await clock.advance(61)
    assert desk.latest(DeviceId("c1"), within=MINUTE) is None


async def test_what_nobody_looked_at_or_another_profile_showed_or_was_seen_before_the_camera_turned_is_not_the_last(
    desk: CaptureDesk,
) -> None:
    await desk.take(DeviceId("c1"), profile=None, case="", actor=ACTOR, looked_at=False)
    await desk.take(DeviceId("c1"), profile="second-lens", case="", actor=ACTOR)
    assert desk.latest(DeviceId("c1"), within=MINUTE) is None
    await taken(desk, "c1")
    desk.forget(DeviceId("c1"))
    assert desk.latest(DeviceId("c1"), within=MINUTE) is None


async def test_a_clock_that_was_set_back_makes_no_picture_young(desk: CaptureDesk, clock: SimulatedClock) -> None:
    await taken(desk, "c1")
    clock.step(timedelta(hours=-1))
    assert desk.latest(DeviceId("c1"), within=MINUTE) is None


async def test_few_and_small_ones_stay_in_memory(desk: CaptureDesk, camera: Camera) -> None:
    for number in range(captures._KEPT_AT_MOST + 1):
        await taken(desk, f"c{number}")
    assert desk.latest(DeviceId("c0"), within=MINUTE) is None
    assert desk.latest(DeviceId("c1"), within=MINUTE) is not None
    camera.size = captures._KEPT_BYTES + 1
    await taken(desk, "c1")
    assert desk.latest(DeviceId("c1"), within=MINUTE) is None
