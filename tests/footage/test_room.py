"""Room for a request is reckoned and set aside before its recorders replay anything, and what does not fit is refused with the figures."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.clock import SimulatedClock
from gateway.domain.footage import Emergency, FootageRequest, FootageState, Step
from gateway.domain.holds import KeepState
from gateway.errors import Conflict
from gateway.footage.cut_file import Finished
from gateway.footage.securing import EvidenceStore
from gateway.footage.space import Space
from gateway.footage.worker import Job, run_worker
from gateway.storage.store import Store
from tests.footage.desk import WANG, ZHAO, Desk, Street, desk_of, filing, working
from tests.footage.held import Bench, camera_of, order
from tests.waiting import until

MIB = 1 << 20


@dataclass
class Disk:
    """A disk with so much free, and a worker that waits before it fetches anything."""

    free: int
    open: asyncio.Event = field(default_factory=asyncio.Event)
    jobs: list[str] = field(default_factory=list)
    looks: int = 0

    def desk(self, where: Street, store: Store, clock: SimulatedClock, folder: Path, evidence: EvidenceStore | None = None) -> Desk:
        """One whose cameras are expected to record a MiB a second: a minute needs 72 of them."""
        return desk_of(*(where, store, clock, folder), worker=self.work, free_of=self.look, bytes_per_s=MIB, evidence=evidence)

    def look(self, _: Path) -> int:
        self.looks += 1
        return self.free

    async def work(self, job: Job, on_file: Callable[[Finished], Awaitable[None]]) -> None:
        self.jobs.append(job.stretch.folder.name)
        await self.open.wait()
        await run_worker(job, on_file)


async def approved(desk: Desk, **changes: object) -> FootageRequest:
    """A request for a minute of a camera, which the gateway may work on."""
    request = await desk.service.submit(filing(cameras=(camera_of(desk.street),), **changes), by=WANG)
    return request if request.filing.emergency else await desk.service.approve(request.id, by=ZHAO)


def ready(request: FootageRequest) -> bool:
    return request.state is FootageState.READY


async def begun(desk: Desk, request: FootageRequest) -> FootageRequest:
    return await until(lambda: desk.service.request(request.id), wanted=lambda one: one.state is FootageState.EXPORTING)


async def test_what_does_not_fit_is_refused_with_the_figures_before_any_replay_and_fetched_when_there_is_room(
    where: Street, store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    disk = Disk(free=50 * MIB)
    disk.open.set()
    async with working(disk.desk(where, store, clock, tmp_path)) as desk:
        refused = await desk.settled((await approved(desk)).id)
        assert (refused.request.state, disk.jobs, refused.files) == (FootageState.FAILED, [], ())
        reason = refused.request.reason
        assert reason.startswith("no-space: 72.0 MiB are needed and 49.0 MiB are left: 50.0 MiB free, less 0.0 MiB for holds, 0.0 MiB for")
        assert reason.endswith("and 1.0 MiB kept back. Free some space or release a hold, then try again.")
        looks = disk.looks
        await until(lambda: disk.looks > looks + 2, 30, lambda: clock.advance(60))
        disk.free = 100 * MIB
        await until(lambda: desk.service.request(refused.request.id), 30, lambda: clock.advance(10), wanted=ready)
    custody = (await desk.service.dossier(refused.request.id)).custody
    assert [line.by.name for line in custody if line.step is Step.RETRIED] == ["gateway"]


async def test_two_requests_do_not_take_the_same_room(where: Street, store: Store, clock: SimulatedClock, tmp_path: Path) -> None:
    disk = Disk(free=100 * MIB)
    async with working(disk.desk(where, store, clock, tmp_path)) as desk:
        first = await approved(desk)
        await begun(desk, first)
        second = await desk.settled((await approved(desk)).id)
        assert second.request.state is FootageState.FAILED
        assert "27.0 MiB are left" in second.request.reason
        disk.open.set()
        assert (await desk.settled(first.id)).request.state is FootageState.READY
        await desk.service.retry(second.request.id, by=WANG)
        assert (await desk.settled(second.request.id)).request.state is FootageState.READY


async def test_an_emergency_is_fetched_as_far_as_there_is_room_and_says_so(
    where: Street, store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    disk = Disk(free=50 * MIB)
    async with working(disk.desk(where, store, clock, tmp_path)) as desk:
        urgent = await begun(desk, await approved(desk, emergency=Emergency.MISSING_PERSON))
        assert urgent.reason.startswith("no-space: 72.0 MiB are needed and 49.0 MiB are left")
        disk.open.set()
        done = await desk.settled(urgent.id)
        assert (done.request.state, done.request.reason) == (FootageState.READY, "")


async def test_what_holds_have_secured_needs_no_room(bench: Bench, store: Store) -> None:
    placed = await bench.desk.place(order(camera_of(bench.where)), by=WANG)
    await bench.settled(placed.hold.id, KeepState.SECURED)
    disk, evidence = Disk(free=2 * MIB), EvidenceStore(bench.folder)
    async with working(disk.desk(bench.where, store, bench.clock, bench.folder.parent / "footage", evidence)) as desk:
        done = await desk.settled((await approved(desk, window=placed.hold.window)).id)
    assert (done.request.state, disk.jobs) == (FootageState.READY, [])


async def test_what_another_request_has_needs_no_room(where: Street, store: Store, clock: SimulatedClock, tmp_path: Path) -> None:
    disk = Disk(free=100 * MIB)
    disk.open.set()
    async with working(disk.desk(where, store, clock, tmp_path)) as desk:
        await desk.settled((await approved(desk)).id)
        disk.free = MIB
        done = await desk.settled((await approved(desk)).id)
    assert (done.request.state, len(disk.jobs)) == (FootageState.READY, 1)


@dataclass(eq=False)
class Coming:
    """Footage that is being fetched."""

    size: int

    def expected(self) -> int:
        return self.size


def test_a_hold_does_not_take_what_a_request_still_expects(tmp_path: Path) -> None:
    space, coming = Space(tmp_path, floor=MIB), Coming(60 * MIB)
    assert space.reserve([coming], free=100 * MIB, promised=20 * MIB) == ""
    with pytest.raises(Conflict, match=r"30\.0 MiB are needed and 19\.0 MiB are left"):
        space.check(30 * MIB, free=100 * MIB, promised=20 * MIB)
    coming.size = 40 * MIB
    space.check(30 * MIB, free=100 * MIB, promised=20 * MIB)
    coming.size = 80 * MIB
    space.give_back([coming])
    space.check(79 * MIB, free=100 * MIB, promised=20 * MIB)
