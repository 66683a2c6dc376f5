"""Holding footage against real recorders: secured by urgency, never deleted while held, refused honestly, ended on record."""

import asyncio
import contextlib
import hashlib
import itertools
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import pytest

from gateway.clock import SimulatedClock
from gateway.domain.devices import DeviceId
from gateway.domain.events import Person
from gateway.domain.footage import Act, Emergency, FootageState, Period, Step
from gateway.domain.health import Standing
from gateway.domain.holds import HeldFile, Hold, HoldId, HoldState, Keep, KeepState
from gateway.domain.imports import Brought
from gateway.drivers.base import Span
from gateway.errors import Conflict, Forbidden, InvalidInput, NotFound
from gateway.footage.adopting import Adoption
from gateway.footage.coverage import CoverageDesk, Patience
from gateway.footage.cutting import Finished
from gateway.footage.holds import HoldDesk, HoldFolder, HoldOrder, HoldRules
from gateway.footage.looks import Looks
from gateway.footage.securing import EvidenceStore, Securing
from gateway.footage.service import Rules
from gateway.footage.space import Space
from gateway.footage.worker import Job, run_worker
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane
from simulators.faults import Answer, Fault
from tests.footage.desk import NOW, WANG, ZHAO, Street, desk_of, filing, street, working
from tests.waiting import until

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
_ids = itertools.count(1)


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock(NOW)


@pytest.fixture
async def where() -> AsyncIterator[Street]:
    async with street() as found:
        yield found


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
    before_job: Callable[[Job], None] = lambda _: None
    before_file: Callable[[Finished], Awaitable[object]] | None = None
    reading: Callable[[], int] | None = None

    def __post_init__(self) -> None:
        looks = Looks(store=self.store, city=self.where.city, board=self.where.board, clock=self.clock)
        self.coverage = CoverageDesk(
            city=self.where.city,
            board=self.where.board,
            clock=self.clock,
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
    async def _turn(self, _device: DeviceId) -> AsyncIterator[None]:
        async with self.turns:
            yield

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


@pytest.fixture
async def bench(where: Street, store: Store, clock: SimulatedClock, tmp_path: Path) -> AsyncIterator[Bench]:
    async with Bench(where, store, clock, tmp_path / "holds").working() as found:
        yield found


def camera_of(where: Street, *, gappy: bool = False) -> DeviceId:
    return DeviceId(where.recorded(gappy=gappy)[1].camera)


def order(*cameras: DeviceId, ago: timedelta = timedelta(hours=1), length: timedelta = MINUTE, **changes: object) -> HoldOrder:
    start = NOW - ago
    known = {"reason": "警情 0417", "expires_at": NOW + 7 * DAY, "everything": True, **changes}
    return HoldOrder(cameras, Period(start, start + length), **known)


async def test_what_is_held_is_secured_whole_and_its_digest_is_that_of_the_file(bench: Bench) -> None:
    placed = await bench.desk.place(order(camera_of(bench.where), length=3 * MINUTE), by=WANG)
    assert [keep.state for keep in placed.keeps] == [KeepState.WAITING]
    folder = await bench.settled(placed.hold.id)
    (keep,) = folder.keeps
    assert (keep.state, keep.reason, keep.missing) == (KeepState.SECURED, "", ())
    assert len(folder.files) == 3
    for file in folder.files:
        assert hashlib.sha256(bench.path(file).read_bytes()).hexdigest() == file.sha256


async def test_what_stays_on_its_device_until_after_the_hold_is_watched_and_not_copied(bench: Bench, clock: SimulatedClock) -> None:
    placed = await bench.desk.place(order(camera_of(bench.where), everything=False), by=WANG)
    folder = await bench.settled(placed.hold.id)
    assert [(keep.state, keep.reserved) for keep in folder.keeps] == [(KeepState.SAFE, 0)]
    assert bench.jobs == []
    await bench.desk.extend(placed.hold.id, until=NOW + 90 * DAY, by=WANG)
    folder = await bench.settled(placed.hold.id, KeepState.SECURED)
    assert folder.files


async def test_what_is_lost_first_is_fetched_first(where: Street, store: Store, clock: SimulatedClock, tmp_path: Path) -> None:
    made = Bench(where, store, clock, tmp_path / "holds")
    cards = {camera.id for camera in where.simulated.of_kind("camera") if camera.card}
    found = [
        (recorder, channel)
        for recorder in where.simulated.of_kind("recorder")
        for channel in recorder.channels
        if channel.camera not in cards
    ]
    (first, channel) = found[0]
    (second, another) = next(one for one in found if one[0].id != first.id)
    late = await made.desk.place(order(DeviceId(channel.camera), ago=timedelta(hours=2)), by=WANG)
    soon = await made.desk.place(order(DeviceId(another.camera), ago=timedelta(days=second.retention_days - 1)), by=WANG)
    async with store.read() as tx:
        waiting = await tx.holds.unsettled(clock.now(), limit=10)
    assert len(waiting) == 2
    ordered = await made.securing._waiting()
    assert [hold.id for hold, _ in ordered] == [soon.hold.id, late.hold.id]


async def test_nothing_under_hold_is_deleted_whoever_tries(bench: Bench, store: Store) -> None:
    """By cancelling, by the end of a request's time, by another hold's end, by the row."""
    where, camera = bench.where, camera_of(bench.where)
    async with working(desk_of(where, store, bench.clock, bench.folder.parent / "footage", rules=Rules(keep=DAY))) as requests:
        dossier = await requests.fulfilled(filing(cameras=(camera,)))
        request, file = dossier.request.id, requests.file(dossier.request.id, dossier.files[0].name)
        held = await bench.desk.place(order(camera, request=request), by=ZHAO)
        with pytest.raises(Conflict):
            await store.writer.write(lambda tx: tx.footage.mark_removed(request), lane=Lane.FOOTAGE)
        await requests.service._fulfilment.drop(request)
        assert file.is_file()
        assert not file.with_name("manifest.json").exists()
        await bench.clock.advance(4 * 86_400)
        for _ in range(4):  # the request's time is over long before the hold's
            await bench.clock.advance(60)
        assert file.is_file()
        await bench.clock.advance(4 * 86_400)
        await until(lambda: bench.desk.get(held.hold.id), wanted=lambda found: found.hold.state is HoldState.EXPIRED)
        await bench.clock.advance(120)
        await until(file.exists, wanted=lambda there: not there, meanwhile=lambda: bench.clock.advance(60))


async def test_a_request_that_is_taken_back_leaves_what_is_held_until_the_hold_ends(bench: Bench, store: Store) -> None:
    where, camera = bench.where, camera_of(bench.where)
    async with working(desk_of(where, store, bench.clock, bench.folder.parent / "footage")) as requests:
        request = await requests.service.submit(filing(cameras=(camera,), emergency=Emergency.DANGER_TO_LIFE), by=WANG)
        dossier = await requests.settled(request.id)
        file = requests.file(request.id, dossier.files[0].name)
        held = await bench.desk.place(order(camera), by=ZHAO)
        await requests.service.revoke(request.id, by=ZHAO, note="误报")
        assert file.is_file()
        custody = (await requests.service.dossier(request.id)).custody
        assert custody[-1].detail["held"] == [file.name]
        await bench.desk.release(held.hold.id, by=ZHAO, note="结案")
        await bench.clock.advance(60)
        await until(file.exists, wanted=lambda there: not there, meanwhile=lambda: bench.clock.advance(60))
        assert [found.removed for found in (await requests.service.dossier(request.id)).files] == [True]


@pytest.mark.parametrize("act", [Act.REVOKE, Act.EXPIRE])
async def test_a_brought_file_stays_as_long_as_a_hold_covers_its_request(bench: Bench, store: Store, act: Act) -> None:
    """The vendor's export is all that there is of a recorder without replay."""
    where, camera = bench.where, camera_of(bench.where)
    async with working(desk_of(where, store, bench.clock, bench.folder.parent / "footage", rules=Rules(keep=DAY))) as requests:
        request = await requests.service.submit(filing(cameras=(camera,), emergency=Emergency.DANGER_TO_LIFE), by=WANG)
        dossier = await requests.settled(request.id)
        said = Brought(brought_by="赵工", badge="1", device="DVR", client="a client", original_name="a.dav")
        announced = await requests.service.imports.announce(request.id, said, size=5, by=WANG)
        one = await requests.service.imports.receive(announced.id, _pieces(b"bytes"), start=0, by=WANG)
        file = requests.file(request.id, one.name)
        held = await bench.desk.place(order(camera), by=ZHAO)
        if act is Act.REVOKE:
            await requests.service.revoke(request.id, by=ZHAO, note="误报")
            assert set((await requests.service.dossier(request.id)).custody[-1].detail["held"]) == {one.name, dossier.files[0].name}
        else:
            await bench.clock.advance(2 * 86_400)
        await requests.service.imports.tend()
        await bench.clock.advance(60)
        assert file.read_bytes() == b"bytes"
        await bench.desk.release(held.hold.id, by=ZHAO, note="结案")
        await bench.clock.advance(60)
        await until(file.exists, wanted=lambda there: not there, meanwhile=lambda: bench.clock.advance(60))
        disposed = [line.detail for line in await requests.service.custody(request.id, after=0, limit=200) if line.step is Step.DISPOSED]
        assert [named["name"] for told in disposed for named in told["files"]].count(one.name) == 1
        assert (await requests.service.imports.get(one.id)).removed


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data


@pytest.mark.parametrize("ago_s", [0, 20], ids=["the same window", "a part of what one file holds"])
async def test_a_request_gets_what_was_secured_when_its_recorder_has_lost_it(bench: Bench, store: Store, ago_s: int) -> None:
    recorder, channel = bench.where.recorded(gappy=False)
    camera = DeviceId(channel.camera)
    placed = await bench.desk.place(order(camera), by=WANG)
    folder = await bench.settled(placed.hold.id, KeepState.SECURED)
    bench.where.state.ail(recorder, Fault(answer=Answer.REFUSE))
    then = folder.keeps[0].offset
    bench.where.board.put(Standing(DeviceId(recorder.id), offset=then + timedelta(seconds=90)))
    adoption = Adoption(store, EvidenceStore(bench.folder))
    window = placed.hold.window
    wanted = filing(cameras=(camera,), window=Period(window.start + timedelta(seconds=ago_s), window.end))
    async with working(desk_of(bench.where, store, bench.clock, bench.folder.parent / "footage", adoption=adoption)) as requests:
        request = await requests.service.submit(wanted, by=WANG)
        await requests.service.approve(request.id, by=ZHAO)
        done = asyncio.create_task(requests.settled(request.id))
        while not done.done():
            await asyncio.wait([done], timeout=0.05)
            await bench.clock.advance(5)
        dossier = done.result()
        (file,) = dossier.files
        assert (file.sha256, dossier.exports[0].gaps) == (folder.files[0].sha256, ())
        assert hashlib.sha256(requests.file(request.id, file.name).read_bytes()).hexdigest() == file.sha256
        exported = next(line for line in dossier.custody if line.step == "exported")
        assert exported.detail["hold"] == placed.hold.id
        assert (file.offset, file.device, file.serial) == (then, recorder.id, recorder.serial)
        told = json.loads(requests.file(request.id, "manifest.json").read_text())["cameras"][0]["files"][0]
        assert datetime.fromisoformat(told["device_time"]["start"]) - file.period.start == then
        assert dossier.request.state is FootageState.READY


@pytest.mark.parametrize("known", [True, False], ids=["its recorder is silent", "its recorder was taken down"])
async def test_a_request_gets_what_was_secured_from_the_cameras_own_card(bench: Bench, store: Store, known: bool) -> None:
    """Whatever device gave it: the manifest names the camera and its clock."""
    card = next(camera for camera in bench.where.simulated.of_kind("camera") if camera.card and not camera.channels[0].gappy)
    camera, city = DeviceId(card.id), bench.where.city
    recorder, _ = city.recorder_of(camera)
    bench.where.state.ail(next(one for one in bench.where.simulated.devices if one.id == recorder.id), Fault(answer=Answer.REFUSE))
    placed = await bench.desk.place(order(camera), by=WANG)
    secured = await until(
        lambda: bench.desk.get(placed.hold.id),
        60,
        lambda: bench.clock.advance(1),
        wanted=lambda folder: any((keep.device, keep.state) == (camera, KeepState.SECURED) for keep in folder.keeps),
    )
    adoption = Adoption(store, EvidenceStore(bench.folder))
    async with working(desk_of(bench.where, store, bench.clock, bench.folder.parent / "footage", adoption=adoption)) as requests:
        request = await requests.service.submit(filing(cameras=(camera,), window=placed.hold.window), by=WANG)
        if not known:
            city.replace(devices=[device for device in city.devices.values() if device.id != recorder.id])
        await requests.service.approve(request.id, by=ZHAO)
        done = asyncio.create_task(requests.settled(request.id))
        while not done.done():
            await asyncio.wait([done], timeout=0.05)
            await bench.clock.advance(5)
        dossier = done.result()
        assert (dossier.request.state, dossier.exports[0].gaps) == (FootageState.READY, ())
        assert [file.sha256 for file in dossier.files] == [file.sha256 for file in secured.files]
        offset = timedelta(seconds=card.clock_offset_s)
        assert {(file.device, file.serial, file.offset) for file in dossier.files} == {(camera, card.serial, offset)}
        assert dossier.exports[0].recorder == (recorder.id if known else camera)


async def test_a_hold_that_ends_leaves_what_another_one_covers(bench: Bench, store: Store) -> None:
    camera = camera_of(bench.where)
    one = await bench.desk.place(order(camera), by=WANG)
    two = await bench.desk.place(order(camera, reason="another"), by=ZHAO)
    first, second = await bench.settled(one.hold.id), await bench.settled(two.hold.id)
    await bench.desk.release(one.hold.id, by=WANG, note="结案")
    with pytest.raises(Conflict):
        await store.writer.write(lambda tx: tx.holds.mark_removed(first.files[0]), lane=Lane.FOOTAGE)
    await bench.clock.advance(60)
    assert bench.path(first.files[0]).is_file()
    await bench.desk.release(two.hold.id, by=ZHAO, note="结案")
    for file in (*first.files, *second.files):
        await until(bench.path(file).exists, wanted=lambda there: not there, meanwhile=lambda: bench.clock.advance(60))
    assert [file.removed for file in (await bench.desk.get(one.hold.id)).files] == [True]


class Overtaken(HoldDesk):
    """A desk at which a person is always a moment faster than the worker."""

    overtaken = 0

    async def expire(self, hold: HoldId, *, by: Person) -> Hold:
        self.overtaken += 1
        await self.extend(hold, until=self._clock.now() + 7 * DAY, by=WANG)
        return await super().expire(hold, by=by)


async def test_a_person_who_extends_a_hold_as_it_runs_out_does_not_end_the_worker(
    where: Street, store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    made = Bench(where, store, clock, tmp_path / "holds")
    made.desk.__class__ = Overtaken
    async with made.working():
        one = await made.desk.place(order(camera_of(where), expires_at=NOW + DAY), by=WANG)
        await made.settled(one.hold.id)
        await clock.advance(86_400)
        await until(lambda: made.desk.overtaken, 20, lambda: clock.advance(30))
        two = await made.desk.place(order(camera_of(where), reason="another", expires_at=clock.now() + 3 * DAY), by=WANG)
        assert (await made.settled(two.hold.id)).keeps[0].state is KeepState.SECURED
        assert (await made.desk.get(one.hold.id)).hold.state is HoldState.ACTIVE


async def test_a_file_that_is_held_anew_as_it_is_about_to_be_removed_stays(bench: Bench) -> None:
    camera = camera_of(bench.where)
    placed = await bench.desk.place(order(camera), by=WANG)
    (file,) = (await bench.settled(placed.hold.id)).files
    await bench.desk.place(order(camera, reason="another"), by=ZHAO)
    await bench.desk.release(placed.hold.id, by=WANG, note="结案")
    await bench.securing._remove_one(file)
    assert bench.path(file).is_file()
    assert [one.removed for one in (await bench.desk.get(placed.hold.id)).files] == [False]


async def test_a_disk_that_is_too_small_refuses_with_the_figures_and_keeps_what_is_promised(bench: Bench) -> None:
    camera, hour = camera_of(bench.where), timedelta(hours=1)
    bench.free = 3 << 30
    await bench.desk.place(order(camera, ago=2 * hour, length=hour), by=WANG)
    with pytest.raises(Conflict) as caught:
        await bench.desk.place(order(camera, ago=2 * hour, length=hour, reason="again"), by=WANG)
    assert caught.value.code == "no-space"
    assert "2,059.9 MiB are needed" in str(caught.value)
    assert "3,072.0 MiB free" in str(caught.value)


async def test_a_disk_that_fills_up_meanwhile_is_noticed_at_the_next_file(bench: Bench) -> None:
    def fill(_: Job) -> None:
        bench.free = 0

    bench.before_job = fill
    placed = await bench.desk.place(order(camera_of(bench.where), length=3 * MINUTE), by=WANG)
    waiting = await until(lambda: bench.desk.get(placed.hold.id), 30, wanted=lambda folder: folder.keeps[0].attempts)
    assert (waiting.keeps[0].state, waiting.keeps[0].reason, len(waiting.files)) == (KeepState.WAITING, "disk", 1)
    bench.free, bench.before_job = 1 << 40, lambda _: None
    assert (await bench.settled(placed.hold.id, KeepState.SECURED)).keeps[0].missing == ()


async def test_a_recorder_that_is_silent_is_tried_again_until_it_answers(bench: Bench, clock: SimulatedClock) -> None:
    recorder, channel = bench.where.recorded(gappy=False)
    bench.where.state.ail(recorder, Fault(answer=Answer.REFUSE))
    placed = await bench.desk.place(order(DeviceId(channel.camera)), by=WANG)

    def its(folder: HoldFolder) -> Keep:
        return next(keep for keep in folder.keeps if keep.device == recorder.id)

    waiting = await until(lambda: bench.desk.get(placed.hold.id), wanted=lambda folder: its(folder).attempts)
    assert (its(waiting).state, its(waiting).reason != "", its(waiting).reserved > 0) == (KeepState.WAITING, True, True)
    bench.where.state.cure(recorder)
    await clock.advance(120)
    done = await until(lambda: bench.desk.get(placed.hold.id), within_s=60, wanted=lambda folder: its(folder).state is KeepState.SECURED)
    assert its(done).reason == ""


async def test_a_crash_in_the_midst_costs_one_file_and_nothing_that_was_acknowledged(
    where: Street, store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    made = Bench(where, store, clock, tmp_path / "holds")
    placed = await made.desk.place(order(camera_of(where), length=3 * MINUTE), by=WANG)
    async with made.working():
        await until(lambda: made.desk.get(placed.hold.id), within_s=60, wanted=lambda folder: len(folder.files) >= 1)
    there = (await made.desk.get(placed.hold.id)).files
    (tmp_path / "holds" / placed.hold.id / "left-behind.mp4.1.part").write_bytes(b"half")
    again = Bench(where, store, clock, tmp_path / "holds")
    async with again.working():
        folder = await again.settled(placed.hold.id)
    assert folder.keeps[0].state is KeepState.SECURED
    assert folder.files[: len(there)] == there
    assert {path.name for path in (tmp_path / "holds" / placed.hold.id).iterdir()} == {file.name for file in folder.files}


class Gate:
    """A change that the writer does not get past."""

    def __init__(self, store: Store) -> None:
        self.begun, self._opened = asyncio.Event(), asyncio.Event()
        self._waiting = asyncio.ensure_future(store.writer.write(self._wait, lane=Lane.FOOTAGE))

    async def _wait(self, _tx: Tx) -> None:
        self.begun.set()
        await self._opened.wait()

    async def open(self) -> None:
        self._opened.set()
        await self._waiting


async def test_a_file_whose_row_is_just_being_committed_when_the_worker_ends_is_not_swept_away(
    where: Street, store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    """The row stands although who gave it has gone: the sweep of the next run waits for it."""
    made = Bench(where, store, clock, tmp_path / "holds")
    placed = await made.desk.place(order(camera_of(where), length=2 * MINUTE), by=WANG)
    gates: list[Gate] = []

    async def shut(_: Finished) -> None:
        gates.append(Gate(store))
        await gates[0].begun.wait()

    made.before_file = shut
    async with made.working():
        await until(lambda: gates and gates[0].begun.is_set() and store.writer.waiting[Lane.FOOTAGE], 30)  # the row waits behind it
        behind = Gate(store)
        await gates[0].open()
        await behind.begun.wait()  # and is in one commit with what cannot end yet
    again = Bench(where, store, clock, tmp_path / "holds")
    async with again.working():
        await until(lambda: store.writer.waiting[Lane.FOOTAGE])
        await behind.open()
        folder = await again.settled(placed.hold.id)
    assert len(folder.files) == 2
    assert {path.name for path in (tmp_path / "holds" / placed.hold.id).iterdir()} == {file.name for file in folder.files}


async def test_a_disk_that_is_slow_to_answer_holds_up_nobody_elses_changes(bench: Bench, store: Store) -> None:
    asked, answer = threading.Event(), threading.Event()

    def slowly() -> int:
        asked.set()
        answer.wait(20)
        return 1 << 40

    bench.reading = slowly
    placing = asyncio.create_task(bench.desk.place(order(camera_of(bench.where)), by=WANG))
    await until(asked.is_set)
    async with asyncio.timeout(10):
        await store.writer.settle(Lane.FOOTAGE)
    answer.set()
    assert (await placing).hold.state is HoldState.ACTIVE


async def test_a_devices_own_lock_is_used_where_it_has_one_and_taken_off_at_the_end(bench: Bench) -> None:
    bench.lock = Lock()
    placed = await bench.desk.place(order(camera_of(bench.where), everything=False, expires_at=NOW + 60 * DAY), by=WANG)
    folder = await bench.settled(placed.hold.id)
    assert [(keep.state, keep.locked) for keep in folder.keeps] == [(KeepState.SAFE, True)]
    await bench.desk.release(placed.hold.id, by=WANG, note="结案")
    await until(lambda: bench.lock.unlocked, wanted=lambda done: done == bench.lock.locked)


async def test_a_devices_lock_stays_while_another_hold_covers_some_of_what_it_locks(bench: Bench) -> None:
    bench.lock, camera = Lock(), camera_of(bench.where)
    wanted = {"everything": False, "expires_at": NOW + 60 * DAY}
    one = await bench.desk.place(order(camera, length=2 * MINUTE, **wanted), by=WANG)
    two = await bench.desk.place(order(camera, ago=timedelta(minutes=59), length=2 * MINUTE, **wanted), by=WANG)
    far = await bench.desk.place(order(camera, ago=timedelta(hours=9), **wanted), by=WANG)
    spans = {}
    for placed in (one, two, far):
        (keep,) = (await bench.settled(placed.hold.id)).keeps
        assert keep.locked
        period = keep.device_period(placed.hold.window)
        spans[placed.hold.id] = (keep.recording, Span(period.start, period.end))
    await bench.desk.release(one.hold.id, by=WANG, note="结案")
    await bench.desk.release(far.hold.id, by=WANG, note="结案")
    await until(lambda: bench.lock.unlocked)
    assert bench.lock.unlocked == [spans[far.hold.id]]
    await bench.desk.release(two.hold.id, by=WANG, note="结案")
    await until(lambda: len(bench.lock.unlocked) >= 3)
    assert {span.start for _, span in bench.lock.unlocked} == {span.start for _, span in spans.values()}


async def test_a_hold_that_is_placed_while_a_lock_is_taken_off_locks_after_that(bench: Bench) -> None:
    bench.lock, camera = Lock(), camera_of(bench.where)
    wanted = {"everything": False, "expires_at": NOW + 60 * DAY}
    one = await bench.desk.place(order(camera, **wanted), by=WANG)
    await bench.settled(one.hold.id)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> None:
        begun.set()
        await go_on.wait()

    bench.lock.unlocking = slowly
    await bench.desk.release(one.hold.id, by=WANG, note="结案")
    await begun.wait()
    two = await bench.desk.place(order(camera, **wanted), by=ZHAO)
    securing = asyncio.create_task(bench.securing._secure(two.hold, two.keeps[0]))
    await until(lambda: bench.securing._locking[two.keeps[0].device]._waiters)
    assert len(bench.lock.locked) == 1
    go_on.set()
    await securing
    assert len(bench.lock.locked) >= 2
    assert (await bench.settled(two.hold.id)).keeps[0].locked


async def test_what_is_not_right_is_refused_with_what_is_wrong(bench: Bench) -> None:
    camera = camera_of(bench.where)
    for wrong in (
        order(camera, reason=" "),
        order(camera, expires_at=NOW),
        order(camera, expires_at=NOW + 1_000 * DAY),
        order(camera, ago=3 * DAY, length=2 * DAY),
        order(DeviceId("nowhere")),
    ):
        with pytest.raises(InvalidInput):
            await bench.desk.place(wrong, by=WANG)
    with pytest.raises(NotFound):
        await bench.desk.place(order(camera, request="F-nothing"), by=WANG)


async def test_where_nothing_is_secured_before_an_approval_a_hold_needs_one(
    where: Street, store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    made = Bench(where, store, clock, tmp_path / "holds", rules=HoldRules(unapproved=False))
    camera = camera_of(where)
    requests = desk_of(where, store, clock, tmp_path / "footage")
    request = await requests.service.submit(filing(cameras=(camera,)), by=WANG)
    for wanted in (order(camera), order(camera, request=request.id)):
        with pytest.raises(Forbidden) as caught:
            await made.desk.place(wanted, by=WANG)
        assert caught.value.code == "hold-needs-approval"
    await requests.service.approve(request.id, by=ZHAO)
    await made.desk.place(order(camera, request=request.id), by=WANG)


async def test_every_act_is_an_event_and_an_audit_row(bench: Bench, store: Store) -> None:
    placed = await bench.desk.place(order(camera_of(bench.where)), by=WANG)
    await bench.desk.extend(placed.hold.id, until=NOW + 9 * DAY, by=WANG)
    await bench.desk.release(placed.hold.id, by=ZHAO, note="结案")
    with pytest.raises(Conflict):
        await bench.desk.release(placed.hold.id, by=ZHAO, note="again")
    events = [event for event in await store.events.read_after(0, limit=100) if event.type == "footage.hold"]
    assert [event.data["act"] for event in events] == ["place", "extend", "release"]
    assert not any(word in str(events) for word in ("警情", WANG.name))
    hold = (await bench.desk.get(placed.hold.id)).hold
    assert (hold.state, hold.ended_by, hold.note) == (HoldState.RELEASED, ZHAO, "结案")
    assert isinstance(placed.keeps[0], Keep)
