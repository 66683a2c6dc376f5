import asyncio

from gateway.broadcast.warmup import AGAIN_S, WarmUp
from gateway.clock import SimulatedClock
from gateway.domain.city import City
from gateway.domain.devices import Device, DeviceId, DeviceKind
from gateway.errors import Unreachable


class Horn:
    def __init__(self, *, failures: int = 0) -> None:
        self.failures = failures
        self.asked = 0

    async def prepare(self, *, timeout_s: float) -> None:
        self.asked += 1
        if self.asked <= self.failures:
            raise Unreachable("nobody there")


async def test_every_speaker_is_prepared_and_a_silent_one_holds_up_nobody_and_is_asked_again() -> None:
    horns = {DeviceId("A"): Horn(), DeviceId("B"): Horn(failures=1), DeviceId("C"): Horn()}
    city, clock = City(), SimulatedClock()
    devices = [Device(name, DeviceKind.SPEAKER, name, f"127.0.0.{n}") for n, name in enumerate(horns, 1)]
    camera = Device(DeviceId("CAM"), DeviceKind.CAMERA, "camera", "127.0.0.9")
    city.replace(devices=[*devices, camera], groups=[], cells=[], zones=[])
    async with asyncio.TaskGroup() as group:
        running = group.create_task(WarmUp(city=city, clock=clock, speaker_of=horns.__getitem__).run())
        await clock.advance(1)
        assert [horn.asked for horn in horns.values()] == [1, 1, 1]
        await clock.advance(AGAIN_S)
        assert horns[DeviceId("B")].asked == 2
        running.cancel()


async def test_what_the_first_talk_needs_is_loaded_before_anybody_is_asked() -> None:
    horn, city, clock, loaded = Horn(), City(), SimulatedClock(), list[int]()
    city.replace(devices=[Device(DeviceId("A"), DeviceKind.SPEAKER, "A", "127.0.0.1")], groups=[], cells=[], zones=[])

    async def load() -> None:
        loaded.append(horn.asked)

    async with asyncio.TaskGroup() as group:
        running = group.create_task(WarmUp(city=city, clock=clock, speaker_of=lambda _: horn, load=load).run())
        await clock.advance(AGAIN_S + 1)
        running.cancel()
    assert loaded == [0]
    assert horn.asked >= 1
