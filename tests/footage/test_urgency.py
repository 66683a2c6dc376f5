"""What goes first at the footage desk: an emergency has a place at once, and whoever replays for less makes room at its next file."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.clock import SimulatedClock
from gateway.domain.devices import DeviceId
from gateway.domain.footage import Emergency, FootageRequest, FootageState
from gateway.footage.cut_file import Finished
from gateway.footage.worker import Job, run_worker
from gateway.storage.store import Store
from tests.footage.desk import WANG, ZHAO, Desk, desk_of, filing, street, working
from tests.waiting import until


@dataclass
class Watch:
    """A worker that tells of each file before the desk hears of it."""

    files: list[str] = field(default_factory=list)
    told: Callable[[], Awaitable[object]] | None = None
    shut: bool = False
    set_back: int = 0
    """The number of the file that shows times again that the one before shows."""

    async def work(self, job: Job, on_file: Callable[[Finished], Awaitable[None]]) -> None:
        if self.shut:
            await asyncio.Event().wait()

        async def on(finished: Finished) -> None:
            self.files.append(job.stretch.folder.name)
            if self.told is not None:
                told, self.told = self.told, None
                await told()
            if finished.number == self.set_back:
                again = tuple((start - 1.2 * job.stretch.segment, end - 1.2 * job.stretch.segment) for start, end in finished.runs)
                finished = replace(finished, runs=again, set_backs=1)
            await on_file(finished)

        await run_worker(job, on)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
async def desk(store: Store, clock: SimulatedClock, tmp_path: Path, watch: Watch) -> AsyncIterator[Desk]:
    async with street() as where:
        made = desk_of(where, store, clock, tmp_path / "footage", worker=watch.work, segment=timedelta(seconds=20))
        async with working(made) as found:
            yield found


def camera_of(desk: Desk) -> DeviceId:
    return DeviceId(desk.street.recorded(gappy=False)[1].camera)


async def approved(desk: Desk) -> FootageRequest:
    request = await desk.service.submit(filing(cameras=(camera_of(desk),)), by=WANG)
    return await desk.service.approve(request.id, by=ZHAO)


async def emergency(desk: Desk) -> FootageRequest:
    return await desk.service.submit(filing(cameras=(camera_of(desk),), emergency=Emergency.MISSING_PERSON), by=WANG)


async def test_an_export_makes_room_for_an_emergency_at_its_next_file(desk: Desk, watch: Watch) -> None:
    urgent: list[FootageRequest] = []

    async def come() -> None:
        urgent.append(await emergency(desk))
        await until(lambda: desk.service._fulfilment._turns._waiting)

    watch.told = come
    request = await approved(desk)
    ends = [await desk.settled(request.id)]
    (first,) = urgent
    ends.append(await desk.settled(first.id))
    assert [end.request.state for end in ends] == [FootageState.READY] * 2
    assert watch.files == [request.id] + [first.id] * 3  # the rest it takes over from the emergency


async def test_an_export_makes_no_room_amid_what_a_device_shows_twice(desk: Desk, watch: Watch) -> None:
    """By its times the rest of that is there already, and nobody would ask for it again."""
    urgent: list[FootageRequest] = []

    async def come() -> None:
        urgent.append(await emergency(desk))
        await until(lambda: desk.service._fulfilment._turns._waiting)

    async def at_the_second() -> None:
        watch.told = come

    watch.told, watch.set_back = at_the_second, 2
    request = await approved(desk)
    assert (await desk.settled(request.id)).request.state is FootageState.READY
    assert watch.files[:4] == [request.id] * 3 + [urgent[0].id]


async def test_an_emergency_has_a_place_however_many_requests_are_being_worked_on(desk: Desk, watch: Watch) -> None:
    watch.shut = True
    ordinary = [await approved(desk) for _ in range(9)]
    urgent = await emergency(desk)
    await until(lambda: desk.service.request(urgent.id), wanted=lambda one: one.state is FootageState.EXPORTING)
    states = [(await desk.service.request(one.id)).state for one in ordinary]
    assert states == [FootageState.EXPORTING] * 8 + [FootageState.APPROVED], "no other place is free"
