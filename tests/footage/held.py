"""A desk of holds with its evidence store over real recorders, for the tests of them."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path

from gateway.clock import SimulatedClock
from gateway.domain.devices import DeviceId
from gateway.domain.footage import Period
from gateway.domain.holds import HeldFile, HoldId, KeepState
from gateway.drivers.base import Span
from gateway.footage.clocks import KnownClocks
from gateway.footage.coverage import CoverageDesk, Patience
from gateway.footage.cut_file import Finished
from gateway.footage.holds import HoldDesk, HoldFolder, HoldOrder, HoldRules
from gateway.footage.looks import Looks
from gateway.footage.securing import EvidenceStore, Securing
from gateway.footage.space import Space
from gateway.footage.turns import Claim, Wanted
from gateway.footage.worker import Job, run_worker
from gateway.storage.store import Store
from tests.footage.desk import NOW, Street
from tests.waiting import until

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
_ids = itertools.count(1)


@dataclass
class Lock:
    """A device that can lock what it keeps."""

    locked: list[tuple[str, Span]] = field(default_factory=list)
    unlocked: list[tuple[str, Span]] = field(default_factory=list)
    unlocking: Callable[[], Awaitable[object]] | None = None

    async def lock(self, recording: str, window: Span, *, timeout_s: float) -> None:
        self.locked.append((recording, window))

    async def unlock(self, recording: str, window: Span, *, timeout_s: float) -> None:
        if self.unlocking is not None:
            await self.unlocking()
        self.unlocked.append((recording, window))


@dataclass
class Bench:
    """Desk and worker of holds over a street, with a disk that a test may fill."""

    where: Street
    store: Store
    clock: SimulatedClock
    folder: Path
    free: int = 1 << 40
    lock: Lock | None = None
    jobs: list[Job] = field(default_factory=list)
    rules: HoldRules = field(default_factory=HoldRules)
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    wanted: list[bool] = field(default_factory=list)
    before_job: Callable[[Job], None] = lambda _: None
    before_file: Callable[[Finished], Awaitable[object]] | None = None
    reading: Callable[[], int] | None = None

    def __post_init__(self) -> None:
        looks = Looks(store=self.store, city=self.where.city, board=self.where.board, clock=self.clock)
        self.coverage = CoverageDesk(
            city=self.where.city,
            clock=self.clock,
            clocks=KnownClocks(self.store, self.where.board),
            looks=looks,
            keeper_of=cache(self.where.search_of),
            patience=Patience(ask_s=15.0),
        )
        space = Space(self.folder, floor=1 << 20, free_of=lambda _: self.reading() if self.reading else self.free)
        self.securing = Securing(
            store=self.store,
            city=self.where.city,
            clock=self.clock,
            coverage=self.coverage,
            space=space,
            evidence=EvidenceStore(self.folder, segment=MINUTE),
            turn=self._turn,
            source_of=cache(self.where.search_of),
            target_of=self.where.target_of,
            lock_of=lambda _: self.lock,
            worker=self._work,
        )
        self.desk = HoldDesk(
            store=self.store,
            clock=self.clock,
            coverage=self.coverage,
            space=space,
            new_id=lambda: f"H-{next(_ids)}",
            stir=self.securing.stir,
            rules=self.rules,
        )

    @contextlib.asynccontextmanager
    async def _turn(self, _device: DeviceId, _claim: Claim) -> AsyncIterator[Wanted]:
        async with self.turns:
            yield lambda: self.wanted.pop() if self.wanted else False

    async def _work(self, job: Job, on_file) -> None:
        self.jobs.append(job)
        self.before_job(job)

        async def take(finished: Finished) -> None:
            if self.before_file is not None:
                await self.before_file(finished)
            await on_file(finished)

        await run_worker(job, take)

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator["Bench"]:
        task = asyncio.create_task(self.securing.run(self.desk))
        try:
            yield self
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def settled(self, hold: HoldId, *states: KeepState) -> HoldFolder:
        wanted = states or (KeepState.SECURED, KeepState.PARTIAL, KeepState.NOTHING, KeepState.LOST, KeepState.SAFE)
        return await until(
            lambda: self.desk.get(hold),
            60,
            lambda: self.clock.advance(1),
            wanted=lambda folder: all(keep.state in wanted for keep in folder.keeps),
        )

    def path(self, file: HeldFile) -> Path:
        return self.folder / file.hold / file.name


def camera_of(where: Street, *, gappy: bool = False) -> DeviceId:
    return DeviceId(where.recorded(gappy=gappy)[1].camera)


def order(*cameras: DeviceId, ago: timedelta = timedelta(hours=1), length: timedelta = MINUTE, **changes: object) -> HoldOrder:
    start = NOW - ago
    known = {"reason": "警情 0417", "expires_at": NOW + 7 * DAY, "everything": True, **changes}
    return HoldOrder(cameras, Period(start, start + length), **known)
