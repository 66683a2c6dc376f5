"""Q28: a device that is off when the gateway starts is asked for ever, ever more rarely, and taken up soon after it comes back."""

import asyncio
import contextlib
from collections import Counter

import pytest

from gateway.clock import SimulatedClock
from gateway.errors import DeviceError
from gateway.health.wheel import Pace, Wheel
from tests.quirks.meeting import Meeting

pytestmark = pytest.mark.quirk("Q28")

DAYS_S = 2 * 86_400
SOON_S = 300
PACE = Pace(tick_s=10.0)


async def test_a_device_that_is_off_for_days_costs_little_and_is_back_within_minutes() -> None:
    clock, asked, on = SimulatedClock(), Counter[str](), {"on"}

    async def visit(device: str) -> bool:
        asked[device] += 1
        return device in on

    wheel = Wheel(visit, clock=clock, pace=PACE)
    wheel.replace({"on": None, "off": None})
    turning = asyncio.create_task(wheel.run())
    await clock.advance(DAYS_S)
    assert asked["off"] <= DAYS_S / PACE.dead_max_s + 10
    assert asked["on"] >= DAYS_S / PACE.interval_s - 2
    on.add("off")
    await clock.advance(SOON_S)
    assert wheel.misses("off") == 0
    before = asked["off"]
    await clock.advance(SOON_S)
    assert asked["off"] - before >= SOON_S / PACE.interval_s - 1, "it has its place on the ring again"
    turning.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await turning


async def test_a_camera_without_power_at_the_start_is_known_minutes_after_it_gets_some(camera: Meeting) -> None:
    """Over the wire: as long as it is off, nothing is remembered against it."""
    serials, ended = list[str](), asyncio.Event()

    async def visit(_: str) -> bool:
        try:
            serials.append((await camera.ours.check(timeout_s=0.2))[1].serial)
        except DeviceError:
            return False
        finally:
            ended.set()
        return True

    camera.street.state.darken([camera.device])
    clock = SimulatedClock()
    wheel = Wheel(visit, clock=clock, pace=PACE)
    wheel.replace({camera.device.id: None})
    await _turned(wheel, clock, ended, 20 * 60)
    assert not serials
    assert "refused" not in camera.ours.learned()
    camera.street.state.light([camera.device])
    await _turned(wheel, clock, ended, SOON_S)
    assert serials
    assert set(serials) == {camera.device.serial}


async def _turned(wheel: Wheel[str], clock: SimulatedClock, ended: asyncio.Event, seconds: int) -> None:
    """Turn the wheel for some simulated seconds, and wait for each visit to end: those take real ones."""
    turning = asyncio.create_task(wheel.run())
    for _ in range(seconds // 10):
        await clock.advance(10)
        if wheel.under_way:
            await ended.wait()
        ended.clear()
    turning.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await turning
