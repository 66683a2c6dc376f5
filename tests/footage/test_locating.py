"""Asking many recorders at once: a silent one holds up nobody, and is not asked again for each of its cameras."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.clock import SimulatedClock
from gateway.domain.devices import DeviceId
from gateway.domain.footage import BEIJING, Dossier, ExportState, FootageState, Step
from gateway.drivers.base import Span
from gateway.errors import AuthenticationFailed, DeviceFault, Unreachable
from gateway.evidence.contents import MANIFEST, SHEET
from gateway.footage.cut_file import Finished
from gateway.footage.locating import RecordingSearch, Round
from gateway.footage.stretches import Worker
from gateway.footage.worker import Job, run_worker
from gateway.storage.store import Store
from simulators.faults import Fault
from tests.footage.desk import NOW, WANG, ZHAO, Desk, Street, desk_of, filing, street, working
from tests.footage.test_papers import words
from tests.waiting import stopped, until

SILENT, LIVE = DeviceId("NVR-1"), DeviceId("NVR-2")
MIB = 1 << 20


async def test_a_recorder_is_asked_while_another_one_keeps_its_silence() -> None:
    asking, asked = Round(), asyncio.Event()

    async def silence() -> None:
        asked.set()
        await asyncio.Event().wait()

    async def an_answer() -> str:
        return "an hour"

    waiting = asyncio.create_task(asking.ask(SILENT, silence))
    await asked.wait()
    assert await asking.ask(LIVE, an_answer) == "an hour"
    assert not waiting.done()
    await stopped(waiting)


@pytest.mark.parametrize(("failure", "questions"), [(Unreachable("no way"), 1), (DeviceFault("no such recording"), 3)])
async def test_a_silent_recorder_is_asked_for_one_of_its_cameras_alone(failure: Exception, questions: int) -> None:
    asked: list[int] = []

    async def question() -> None:
        asked.append(1)
        raise failure

    asking = Round()
    told = await asyncio.gather(*(asking.ask(SILENT, question) for _ in range(3)), return_exceptions=True)
    assert (len(asked), told) == (questions, [failure] * 3)


# -- one of two recorders answers late --------------------------------------------------------------------------------


@dataclass
class Late:
    """A recorder's search that is answered when `open` is set."""

    search: RecordingSearch
    open: asyncio.Event

    async def coverage(self, recording: str, window: Span, *, timeout_s: float) -> Sequence[Span]:
        await self.open.wait()
        return await self.search.coverage(recording, window, timeout_s=timeout_s)

    async def replay_path(self, recording: str, *, timeout_s: float) -> str:
        return await self.search.replay_path(recording, timeout_s=timeout_s)


@dataclass(frozen=True)
class Kept(Street):
    """A street of which one recorder keeps its answers to itself until `open` is set."""

    late: DeviceId = SILENT
    open: asyncio.Event = field(default_factory=asyncio.Event)

    def search_of(self, device: DeviceId) -> RecordingSearch:
        search = super().search_of(device)
        return Late(search, self.open) if device == self.late else search


@dataclass
class Pair:
    """Cameras of two recorders, of which the second is late, and the disk."""

    where: Kept
    soon: DeviceId
    late: DeviceId
    store: Store
    folder: Path
    free: int = 1 << 40
    worker: Worker = run_worker

    def desk(self) -> Desk:
        """One whose cameras are expected to record a MiB a second: a minute needs 72 of them."""
        clock = self.where.clock
        return desk_of(self.where, self.store, clock, self.folder, worker=self.worker, free_of=lambda _: self.free, bytes_per_s=MIB)

    async def begun(self, desk: Desk, state: ExportState) -> Dossier:
        """A request for both, when one of them has come to `state`."""
        request = await desk.service.submit(filing(cameras=(self.soon, self.late)), by=WANG)
        await desk.service.approve(request.id, by=ZHAO)
        return await until(
            lambda: desk.service.dossier(request.id),
            60,
            lambda: desk.clock.advance(1),
            wanted=lambda one: any(export.state is state for export in one.exports),
        )


@pytest.fixture
async def pair(store: Store, tmp_path: Path) -> AsyncIterator[Pair]:
    async with street() as where:
        (_, soon), (late, other) = (
            (recorder, next(channel for channel in recorder.channels if not channel.gappy))
            for recorder in where.simulated.of_kind("recorder")[:2]
        )
        kept = Kept(where.simulated, where.state, where.city, where.board, SimulatedClock(NOW), late=DeviceId(late.id))
        yield Pair(kept, DeviceId(soon.camera), DeviceId(other.camera), store, tmp_path / "footage")


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_camera_is_fetched_though_another_ones_recorder_has_not_answered_yet(pair: Pair, *, restarted: bool) -> None:
    async with working(pair.desk()) as desk:
        begun = await pair.begun(desk, ExportState.DONE)
        states = {export.camera: (export.state, export.awaited) for export in begun.exports}
        assert begun.request.state is FootageState.EXPORTING
        assert states == {pair.soon: (ExportState.DONE, False), pair.late: (ExportState.PENDING, True)}
        if not restarted:
            pair.where.open.set()
            after = await desk.settled(begun.request.id)
    if restarted:
        pair.where.open.set()
        async with working(pair.desk()) as desk:
            after = await desk.settled(begun.request.id)
    assert (after.request.state, {export.state for export in after.exports}) == (FootageState.READY, {ExportState.DONE})
    first, second = (line.detail for line in after.custody if line.step is Step.LOCATED)
    assert (list(first["recorded"]), first["awaited"], list(second["recorded"])) == ([pair.soon], [pair.late], [pair.late])


async def test_a_late_camera_for_which_there_is_no_room_does_not_stop_the_others(pair: Pair) -> None:
    room = asyncio.Event()

    async def worker(job: Job, on_file: Callable[[Finished], Awaitable[None]]) -> None:
        await room.wait()
        await run_worker(job, on_file)

    pair.worker, pair.free = worker, 100 * MIB
    async with working(pair.desk()) as desk:
        begun = await pair.begun(desk, ExportState.EXPORTING)
        pair.where.open.set()
        await until(
            lambda: desk.service.dossier(begun.request.id), 30, wanted=lambda one: ExportState.FAILED in {at.state for at in one.exports}
        )
        room.set()
        after = await desk.settled(begun.request.id)
    assert (after.request.state, {file.camera for file in after.files}) == (FootageState.PARTIAL, {pair.soon})
    assert f"{pair.late}: no-space: 72.0 MiB are needed and 27.0 MiB are left" in after.request.reason


async def test_a_late_recorder_that_fails_in_a_retry_leaves_known_what_it_said_before_as_of_then(pair: Pair) -> None:
    async def refusing(job: Job, _: object) -> None:
        raise AuthenticationFailed(f"{job.target.device} has another password by now")

    pair.worker = refusing
    pair.where.open.set()
    async with working(pair.desk()) as desk:
        begun = await pair.begun(desk, ExportState.FAILED)
        before = await desk.settled(begun.request.id)
    (then,) = (export for export in before.exports if export.camera == pair.late)
    assert before.request.state is FootageState.FAILED
    assert then.recorded
    assert then.told_at is not None
    told = then.told_at.astimezone(BEIJING)
    pair.worker = run_worker
    pair.where.open.clear()
    await pair.where.clock.advance(3600)
    async with working(pair.desk()) as desk:
        await desk.service.retry(before.request.id, by=WANG)
        await until(
            lambda: desk.service.dossier(before.request.id),
            60,
            lambda: desk.clock.advance(1),
            wanted=lambda one: {export.awaited for export in one.exports} == {True, False},
        )
        pair.where.state.faults[pair.where.late] = Fault(password="changed")
        pair.where.open.set()
        after = await desk.settled(before.request.id)
    (now,) = (export for export in after.exports if export.camera == pair.late)
    assert (after.request.state, now.state, now.recorded) == (FootageState.PARTIAL, ExportState.FAILED, then.recorded)
    assert "the recorder does not say what it has" in now.reason
    camera = next(one for one in json.loads(desk.file(after.request.id, MANIFEST).read_text())["cameras"] if one["camera"] == pair.late)
    assert (len(camera["recorded"]), camera["recorded_as_of"]) == (1, told.isoformat())
    sheet = words(desk.file(after.request.id, SHEET))
    assert "设备称有录像（北京时间）" in sheet
    assert f"截至 as of {told:%Y-%m-%d %H:%M:%S}" in sheet, sheet
    assert [line.detail.get("as_of") for line in after.custody if line.step is Step.LOCATED][-1] == {pair.late: then.told_at.isoformat()}
