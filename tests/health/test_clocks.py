"""Clocks are written down when they are set and once a day, and taken up again after a restart."""

from datetime import timedelta

from gateway.clock import SimulatedClock
from gateway.domain.devices import DeviceId
from gateway.domain.footage import ClockRun, Period
from gateway.health.service import HealthService
from gateway.storage.store import Store
from tests.health import street as streets

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


async def stored(store: Store, device: DeviceId) -> ClockRun:
    async with store.read() as tx:
        return (await tx.clocks.newest())[device]


async def test_a_clock_is_written_down_when_it_is_set_and_once_a_day(clock: SimulatedClock, store: Store) -> None:
    async with streets.standing(clock) as street:
        camera = next(one for one in street.of("camera") if abs(one.clock_offset_s) < 1 and one.auth == "wsse" and not one.lacks)
        device, began = DeviceId(camera.id), clock.now()
        street.adopt([camera])

        async def looked(service: HealthService, after: timedelta) -> ClockRun:
            clock.step(after)
            await service.check_now(device)
            return await stored(store, device)

        service = street.service(store, clock)
        await service.load()
        right = await looked(service, timedelta(0))
        assert (right.first, right.last) == (began, began)
        assert await looked(service, MINUTE) == right  # nothing new
        assert (await looked(service, DAY)).last == began + MINUTE + DAY
        again = street.service(store, clock)
        await again.load()
        street.state.set_clock(camera, street.state.device_time(camera) + 420)
        fast = await looked(again, MINUTE)
        assert fast.first == fast.last == began + 2 * MINUTE + DAY
        assert abs(fast.offset - timedelta(minutes=7)) <= timedelta(seconds=2)
        async with store.read() as tx:
            assert len(await tx.clocks.around(device, Period(began, clock.now() + DAY))) == 2
