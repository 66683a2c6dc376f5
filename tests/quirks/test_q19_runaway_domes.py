"""Q19: a dome ignores the timeout of a move, refuses it, or refuses to be stopped."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.clock import SimulatedClock
from gateway.control.steering import SteeringDesk, Velocity
from gateway.domain.events import SYSTEM
from gateway.drivers.http import Http
from gateway.drivers.onvif.device import OnvifDevice
from gateway.storage.store import Store
from simulators.faults import Answer, Fault
from tests.drivers.onvif.listening import target
from tests.simulators.street import Street
from tests.simulators.test_ptz import where
from tests.waiting import until

pytestmark = pytest.mark.quirk("Q19")
RIGHT = Velocity(pan=0.5)


class Desk:
    """A steering desk over one simulated dome, with both clocks in hand."""

    def __init__(self, street: Street, store: Store, clock: SimulatedClock) -> None:
        self.street, self.clock, self.store = street, clock, store
        self.dome = OnvifDevice(target(street, street.camera), Http(), clock)
        self.desk = SteeringDesk(store=store, clock=clock, camera_of=lambda _camera: self.dome)

    async def steer(self, velocity: Velocity, seconds: float = 2.0) -> None:
        await self.desk.steer(self.dome.target.device, velocity, for_s=seconds, profile=None, case="", actor=SYSTEM)

    async def passes(self, seconds: float) -> None:
        self.street.clock.now += seconds
        await self.clock.advance(seconds)

    async def stands(self) -> float:
        """Where the dome stands once it does; fails while it goes on moving."""
        return (await until(lambda: where(self.street), within_s=60, wanted=lambda place: place[3][0] == "IDLE"))[0]


@asynccontextmanager
async def desk(street: Street, folder: Path) -> AsyncIterator[Desk]:
    clock = SimulatedClock(datetime.fromtimestamp(street.clock.now, UTC))
    async with Store.open(f"sqlite:///{folder}/gateway.db", clock=clock, key=bytes(32)) as store, asyncio.TaskGroup() as group:
        one = Desk(street, store, clock)
        tasks = [group.create_task(store.writer.run()), group.create_task(one.desk.run())]
        await asyncio.sleep(0)
        yield one
        tasks[1].cancel()
        await asyncio.wait([tasks[1]])
        tasks[0].cancel()


async def test_a_dome_that_ignores_the_timeout_is_stopped_by_us(street: Street, tmp_path: Path) -> None:
    street.state.switch_quirk(street.camera, "ptz-ignores-timeout", {})
    async with desk(street, tmp_path) as one:
        await one.steer(RIGHT)
        await one.passes(2)
        assert await one.stands() == pytest.approx(0.25, abs=1e-4)


async def test_a_caller_who_goes_away_does_not_take_the_stop_along(street: Street, tmp_path: Path) -> None:
    street.state.switch_quirk(street.camera, "ptz-ignores-timeout", {})
    async with desk(street, tmp_path) as one:
        await one.steer(RIGHT, 0.5)
        await one.passes(1)
        await one.stands()
        caller = asyncio.create_task(one.steer(RIGHT, 3.0))
        await until(lambda: where(street), within_s=60, wanted=lambda place: place[3][0] != "IDLE")
        caller.cancel()
        await one.passes(3)
        await one.stands()


async def test_a_stop_that_is_not_heard_is_sent_again_and_the_end_of_the_gateway_stops_everything(street: Street, tmp_path: Path) -> None:
    street.state.switch_quirk(street.camera, "ptz-ignores-timeout", {})
    async with desk(street, tmp_path) as one:
        await one.steer(RIGHT, 2.0)
        street.state.faults[street.camera.id] = Fault(answer=Answer.RESET)
        await one.passes(2)
        street.state.faults.clear()
        await one.passes(1)
        await one.stands()
        await one.steer(Velocity(tilt=0.1), 30.0)
    assert (await where(street))[3] == ["IDLE", "IDLE"]


async def test_a_dome_that_refuses_a_timeout_is_moved_without_one_and_stopped_by_us(street: Street, tmp_path: Path) -> None:
    street.state.switch_quirk(street.camera, "ptz-rejects-timeout", {})
    async with desk(street, tmp_path) as one:
        for _ in range(2):
            await one.steer(RIGHT)
            await one.passes(2)
            await one.stands()
        assert await one.stands() == pytest.approx(0.5, abs=1e-4)
        assert street.state.counters["http.faults.camera"] == 1, "it has learnt that a timeout is refused"


async def test_a_dome_that_refuses_stop_is_stopped_by_a_speed_of_zero(street: Street, tmp_path: Path) -> None:
    street.state.switch_quirk(street.camera, "ptz-rejects-stop", {})
    street.state.switch_quirk(street.camera, "ptz-ignores-timeout", {})
    async with desk(street, tmp_path) as one:
        await one.steer(RIGHT, 30.0)
        await one.passes(1)
        await one.steer(Velocity())
        assert await one.stands() == pytest.approx(0.125, abs=1e-4)
