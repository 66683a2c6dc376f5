"""Footage from a camera's own card where its recorder has none: one whole timeline, each file with the device that gave it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path

import av
import pytest

from gateway.clock import SimulatedClock
from gateway.domain.devices import DeviceId
from gateway.domain.footage import Dossier, ExportState, FootageFile, FootageState, Period, RequestId, Step, joined
from gateway.domain.health import Standing
from gateway.errors import InvalidInput, Unreachable
from gateway.footage.clocks import KnownClocks
from gateway.footage.coverage import CoverageDesk, Patience
from gateway.footage.cut_file import Finished
from gateway.footage.looks import Looks
from gateway.footage.worker import Job, run_worker
from gateway.storage.store import Store
from simulators.city import SimDevice
from simulators.faults import Answer, Fault
from tests.footage.desk import NOW, WANG, ZHAO, Desk, Street, desk_of, filing, street, working
from tests.footage.test_strips import strips_of

SECOND = timedelta(seconds=1)
FRAME = timedelta(milliseconds=80)
GROUP = 2 * SECOND
FAST = 37 * SECOND
"""How far the camera's clock is ahead; the recorder's is another."""
START = NOW - timedelta(hours=1)
MINUTE = Period(START, START + 60 * SECOND)
OnFile = Callable[[Finished], Awaitable[None]]


@dataclass
class Corner:
    """A camera with a card, the recorder that keeps its footage as well, and a desk that knows both."""

    where: Street
    store: Store
    clock: SimulatedClock
    folder: Path
    segment: timedelta = timedelta(minutes=5)
    jobs: list[Job] = field(default_factory=list)
    before_job: Callable[[Job], None] = lambda _: None
    after_file: Callable[[Finished], None] = lambda _: None

    def __post_init__(self) -> None:
        self.card = next(one for one in self.where.simulated.of_kind("camera") if one.card and not one.channels[0].gappy)
        self.camera = DeviceId(self.card.id)
        self.recorder, self.channel = next(
            (one, channel) for one in self.where.simulated.of_kind("recorder") for channel in one.channels if channel.camera == self.camera
        )
        assert not self.channel.gappy
        self.where.state.set_clock(self.card, self.where.state.now() + FAST.total_seconds())
        self.where.board.put(Standing(self.camera, offset=FAST))
        self.cards = CoverageDesk(
            city=self.where.city,
            clock=self.clock,
            clocks=KnownClocks(self.store, self.where.board),
            looks=Looks(store=self.store, city=self.where.city, board=self.where.board, clock=self.clock),
            keeper_of=cache(self.where.search_of),
            patience=Patience(ask_s=5.0),
        )

    def stop(self, device: SimDevice, gap: Period) -> None:
        """Have the device record nothing for `gap`, on the true clock."""
        offset = self.where.board[DeviceId(device.id)].offset
        for at, act in ((gap.start, lambda: self.where.state.ail(device, Fault(disk_full=True))), (gap.end, self._cured(device))):
            self.where.state.set_clock(device, (at + offset).timestamp())
            act()
        self.where.state.set_clock(device, self.where.state.now() + offset.total_seconds())

    def _cured(self, device: SimDevice) -> Callable[[], None]:
        return lambda: self.where.state.cure(device)

    def desk(self) -> Desk:
        folder = self.folder / "footage"
        return desk_of(self.where, self.store, self.clock, folder, segment=self.segment, cards=self.cards, worker=self._work)

    async def _work(self, job: Job, on_file: OnFile) -> None:
        self.jobs.append(job)
        self.before_job(job)

        async def take(finished: Finished) -> None:
            await on_file(finished)
            self.after_file(finished)

        await run_worker(job, take)

    async def settled(self, desk: Desk, request: RequestId) -> Dossier:
        """The request when it is done, whatever has to be waited for."""
        done = asyncio.create_task(desk.settled(request))
        while not done.done():
            await asyncio.wait([done], timeout=0.05)
            await self.clock.advance(5)
        return done.result()

    async def fulfilled(self, desk: Desk) -> Dossier:
        request = await desk.service.submit(filing(cameras=(self.camera,), window=MINUTE), by=WANG)
        await desk.service.approve(request.id, by=ZHAO)
        return await self.settled(desk, request.id)

    def is_from(self, file: FootageFile, device: SimDevice) -> bool:
        """Whether the file says of itself all that is true of its device."""
        kept = self.channel if device is self.recorder else self.card.channels[0]
        offset = FAST if device is self.card else timedelta(seconds=self.recorder.clock_offset_s)
        source = "card" if device is self.card else "recorder"
        return (file.source, file.device, file.serial, file.recording, file.offset) == (
            *(source, device.id, device.serial, kept.token),
            offset,
        )


@pytest.fixture
async def corner(store: Store, tmp_path: Path) -> AsyncIterator[Corner]:
    async with street() as where:
        yield Corner(where, store, SimulatedClock(NOW), tmp_path)


def decoded(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


async def test_a_card_fills_the_gap_of_its_recorder_to_the_frame(corner: Corner) -> None:
    gap = Period(START + 21 * SECOND, START + 44 * SECOND)
    corner.stop(corner.recorder, gap)
    async with working(corner.desk()) as desk:
        dossier = await corner.fulfilled(desk)
        assert (dossier.request.state, dossier.request.reason) == (FootageState.READY, "")
        (export,), files = dossier.exports, dossier.files
        assert (export.state, export.gaps, export.recorder) == (ExportState.DONE, (), corner.recorder.id)
        first, filling, last = files
        assert corner.is_from(first, corner.recorder)
        assert corner.is_from(filling, corner.card)
        assert corner.is_from(last, corner.recorder)
        assert len(joined((run for file in files for run in file.runs), within=timedelta(milliseconds=1))) == 1
        assert abs(filling.period.end - last.period.start) <= timedelta(milliseconds=1)
        # Of what the recorder gave, the card gives again only what the first of its pictures cannot be decoded without.
        assert timedelta(0) < first.period.end - filling.period.start < GROUP
        for file in files:
            assert decoded(desk.file(dossier.request.id, file.name)) == file.frames
            assert file.frames == round((file.period.end - file.period.start) / FRAME)


async def test_what_comes_from_the_card_is_told_in_custody_manifest_and_on_paper(corner: Corner) -> None:
    corner.stop(corner.recorder, Period(START + 21 * SECOND, START + 44 * SECOND))
    async with working(corner.desk()) as desk:
        dossier = await corner.fulfilled(desk)
        request, card, token = dossier.request.id, corner.card, corner.card.channels[0].token
        told = json.loads(desk.file(request, "manifest.json").read_text())["cameras"][0]
        custody = {line.detail["name"]: line.detail for line in dossier.custody if line.step == Step.EXPORTED}
        located = next(line.detail for line in dossier.custody if line.step == Step.LOCATED)
        papers = [desk.file(request, name).read_text() for name in ("custody-sheet.html", "evidence-list.html")]
    assert [file["source"] for file in told["files"]] == ["recorder", "card", "recorder"]
    filling = told["files"][1]
    own = {"source": "card", "device": card.id, "serial": card.serial, "recording": token, "clock_offset_s": FAST.total_seconds()}
    assert {name: filling[name] for name in own} == own
    assert {name: custody[filling["name"]][name] for name in own} == own
    assert (told["card"]["serial"], told["card"]["recording"], len(told["recorded"])) == (card.serial, token, 2)
    assert len(located["recorded"][card.id]) == 1
    assert len(located["on_cards"][card.id]) == 1
    for paper in papers:
        assert f"{card.id} · {card.serial} · {token} · 快 37 秒 · 37 s fast" in paper
    assert "取自摄像机存储卡" in papers[0]
    assert "camera&#x27;s own card" in papers[1]


async def test_what_neither_has_is_a_gap_to_the_frame(corner: Corner) -> None:
    corner.stop(corner.recorder, Period(START + 10 * SECOND, START + 50 * SECOND))
    corner.stop(corner.card, Period(START + 21 * SECOND, START + 30 * SECOND))
    async with working(corner.desk()) as desk:
        dossier = await corner.fulfilled(desk)
    (export,) = dossier.exports
    assert (dossier.request.state, export.state, export.reason) == (
        FootageState.PARTIAL,
        ExportState.PARTIAL,
        "gaps in the recording",
    )
    (gap,) = export.gaps
    assert abs(gap.start - (START + 21 * SECOND)) <= FRAME
    assert timedelta(0) <= gap.end - (START + 30 * SECOND) <= GROUP  # it goes on with its first key frame
    assert [corner.is_from(file, corner.card) for file in dossier.files] == [False, True, True, False]


async def test_a_recorder_that_has_it_all_leaves_the_card_alone(corner: Corner) -> None:
    async with working(corner.desk()) as desk:
        dossier = await corner.fulfilled(desk)
    assert dossier.request.state is FootageState.READY
    assert dossier.exports[0].card is None
    assert [job.target.device for job in corner.jobs] == [corner.recorder.id]


async def test_a_camera_that_no_recorder_keeps_is_fetched_from_its_card_once_that_was_seen(corner: Corner) -> None:
    city = corner.where.city
    city.replace(devices=[device for device in city.devices.values() if device.id != corner.recorder.id])
    async with working(corner.desk()) as desk:
        with pytest.raises(InvalidInput) as caught:
            await corner.fulfilled(desk)
        assert "nor is a card of its own known" in str(caught.value.faults)
        await corner.cards.of([corner.camera], MINUTE)
        dossier = await corner.fulfilled(desk)
        told = json.loads(desk.file(dossier.request.id, "manifest.json").read_text())["cameras"][0]
        sheet = desk.file(dossier.request.id, "custody-sheet.html").read_text()
        stills = await strips_of(desk).of(dossier.request.id, corner.camera, 2, by=WANG)
    assert [still.reason for still in stills] == ["", ""]
    assert (dossier.request.state, dossier.exports[0].gaps) == (FootageState.READY, ())
    assert all(corner.is_from(file, corner.card) for file in dossier.files)
    assert (told["recorder"], told["serial"], told["clock_offset_s"]) == (corner.camera, corner.card.serial, FAST.total_seconds())
    assert "摄像机存储卡" in sheet


async def test_a_recorder_that_is_silent_is_done_without(corner: Corner) -> None:
    corner.where.state.ail(corner.recorder, Fault(answer=Answer.REFUSE))
    async with working(corner.desk()) as desk:
        dossier = await corner.fulfilled(desk)
    assert (dossier.request.state, dossier.request.reason, dossier.exports[0].gaps) == (FootageState.READY, "", ())
    assert [corner.is_from(file, corner.card) for file in dossier.files] == [True]


async def test_a_recorder_that_breaks_off_after_it_said_to_have_it_all_is_followed_by_the_card(corner: Corner) -> None:
    corner.segment = 20 * SECOND

    def gone(_: Finished) -> None:
        corner.after_file = lambda _: None
        corner.where.state.ail(corner.recorder, Fault(answer=Answer.RESET))

    def breaking(job: Job) -> None:
        if job.target.device == corner.recorder.id and corner.recorder.id in corner.where.state.faults:
            raise Unreachable("gone", code="reset")

    corner.before_job, corner.after_file = breaking, _raising(gone)
    async with working(corner.desk()) as desk:
        dossier = await corner.fulfilled(desk)
    assert (dossier.request.state, dossier.request.reason, dossier.exports[0].gaps) == (FootageState.READY, "", ())
    assert [corner.is_from(file, corner.recorder) for file in dossier.files] == [True, False, False]
    assert all(abs(after.period.start - before.period.end) <= timedelta(milliseconds=1) for before, after in pairwise(dossier.files))


def _raising(act: Callable[[Finished], None]) -> Callable[[Finished], None]:
    """`act`, and then the connection is lost."""

    def then(finished: Finished) -> None:
        act(finished)
        raise Unreachable("gone", code="reset")

    return then


async def test_a_card_that_goes_away_in_the_middle_leaves_what_it_gave_and_a_retry_gets_the_rest(corner: Corner) -> None:
    corner.segment = 20 * SECOND
    state = corner.where.state
    state.ail(corner.recorder, Fault(answer=Answer.REFUSE))

    def gone(_: Finished) -> None:
        corner.after_file = lambda _: None
        state.ail(corner.card, Fault(answer=Answer.RESET))

    corner.after_file = _raising(gone)
    async with working(corner.desk()) as desk:
        dossier = await corner.fulfilled(desk)
        (first,), (export,) = dossier.files, dossier.exports
        assert (dossier.request.state, export.state) == (FootageState.PARTIAL, ExportState.PARTIAL)
        assert export.gaps == (Period(first.period.end, MINUTE.end),)
        assert "the recorder does not say what it has" in export.reason
        assert "the camera's own card: " in export.reason
        state.cure(corner.card)
        await desk.service.retry(dossier.request.id, by=WANG)
        again = await corner.settled(desk, dossier.request.id)
    assert (again.request.state, again.exports[0].gaps) == (FootageState.READY, ())
    assert again.files[0].sha256 == first.sha256
    assert all(corner.is_from(file, corner.card) for file in again.files)
    assert all(abs(after.period.start - before.period.end) <= timedelta(milliseconds=1) for before, after in pairwise(again.files))


async def test_a_known_card_that_does_not_answer_leaves_open_whether_there_is_anything(corner: Corner) -> None:
    corner.stop(corner.recorder, Period(START - 60 * SECOND, START + 120 * SECOND))
    await corner.cards.of([corner.camera], MINUTE)
    corner.where.state.ail(corner.card, Fault(answer=Answer.REFUSE))
    async with working(corner.desk()) as desk:
        dossier = await corner.fulfilled(desk)
        assert dossier.request.state is FootageState.FAILED
        assert "not recorded; the camera's own card does not say what it has" in dossier.request.reason
        corner.where.state.cure(corner.card)
        await desk.service.retry(dossier.request.id, by=WANG)
        again = await corner.settled(desk, dossier.request.id)
    assert again.request.state is FootageState.READY
