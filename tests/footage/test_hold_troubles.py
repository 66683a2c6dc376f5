"""Securing held footage where disks fill up, recorders are silent and the gateway dies."""

import asyncio
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.clock import SimulatedClock
from gateway.domain.devices import DeviceId
from gateway.domain.holds import HoldState, Keep, KeepState
from gateway.errors import Conflict
from gateway.footage.cut_file import Finished
from gateway.footage.holds import HoldFolder
from gateway.footage.worker import Job
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane
from simulators.faults import Answer, Fault
from tests.footage.desk import WANG, Street
from tests.footage.held import MINUTE, Bench, camera_of, order
from tests.waiting import until


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
