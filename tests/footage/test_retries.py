"""A retry makes nothing worse: what was obtained before it can be had after it, and what comes to nothing is disposed of in its time."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.clock import SimulatedClock
from gateway.domain.footage import Dossier, ExportState, FootageState, Period, Step
from gateway.evidence.verifying import verify
from gateway.footage.cut_file import Finished
from gateway.footage.service import Rules
from gateway.footage.worker import Job, run_worker
from gateway.storage.store import Store
from simulators.faults import Fault
from tests.footage.desk import WANG, Desk, desk_of, filing, street, working
from tests.footage.test_service import camera_of, digest
from tests.waiting import until

DAY = timedelta(days=1)


@dataclass
class Trouble:
    """A disk that may be full, and a worker that may fail in a way nobody foresaw."""

    free: int = 1 << 40
    broken: bool = False
    jobs: list[Job] = field(default_factory=list)
    before: Callable[[Job], None] = lambda _: None

    async def work(self, job: Job, on_file: Callable[[Finished], Awaitable[None]]) -> None:
        self.jobs.append(job)
        self.before(job)
        if self.broken:
            raise RuntimeError("out of order")
        await run_worker(job, on_file)


@pytest.fixture
def trouble() -> Trouble:
    return Trouble()


@pytest.fixture
async def desk(store: Store, clock: SimulatedClock, tmp_path: Path, trouble: Trouble) -> AsyncIterator[Desk]:
    async with street() as where:
        made = desk_of(
            *(where, store, clock, tmp_path / "footage"),
            worker=trouble.work,
            segment=timedelta(seconds=20),
            rules=Rules(keep=DAY),
            free_of=lambda _: trouble.free,
        )
        async with working(made) as found:
            yield found


async def half(desk: Desk, trouble: Trouble, *, earlier: timedelta = timedelta(0)) -> Dossier:
    """A request that is PARTIAL: the disk was full after its first file. `earlier`: than what others ask for."""

    def fill(_: Job) -> None:
        trouble.free = 0

    trouble.before = fill
    window = filing().window
    wanted = Period(window.start - earlier, window.end - earlier)
    dossier = await desk.fulfilled(filing(cameras=(camera_of(desk.street),), window=wanted))
    assert (dossier.request.state, len(dossier.files)) == (FootageState.PARTIAL, 1)
    trouble.before, trouble.free = lambda _: None, 1 << 40
    return dossier


async def by_itself(desk: Desk, before: Dossier) -> list[str]:
    """Who tried the request again."""
    dossier = await desk.service.dossier(before.request.id)
    return [line.by.name for line in dossier.custody if line.step is Step.RETRIED]


async def test_what_is_there_in_part_for_want_of_room_is_completed_once_there_is_some_and_nobody_has_it_in_hand(
    desk: Desk, trouble: Trouble, clock: SimulatedClock
) -> None:
    taken, left = await half(desk, trouble), await half(desk, trouble, earlier=timedelta(minutes=5))
    assert all("no-space: only" in one.request.reason for one in (taken, left))
    await desk.service.download(taken.request.id, taken.files[0].name, by=WANG)

    async def ready(one: Dossier) -> bool:
        return (await desk.service.request(one.request.id)).state is FootageState.READY

    await until(lambda: ready(left), 30, lambda: clock.advance(10))
    assert (await by_itself(desk, left), await by_itself(desk, taken)) == (["gateway"], [])
    await clock.advance(3600)
    await until(lambda: ready(taken), 30, lambda: clock.advance(10))
    assert await by_itself(desk, taken) == ["gateway"]


async def test_a_request_that_runs_out_of_room_again_is_tried_once_an_hour(desk: Desk, trouble: Trouble, clock: SimulatedClock) -> None:
    before = await half(desk, trouble)
    trouble.before = lambda _: setattr(trouble, "free", 0)
    jobs = len(trouble.jobs)
    await until(lambda: by_itself(desk, before), 30, lambda: clock.advance(10))
    await until(lambda: desk.service.request(before.request.id), 30, wanted=lambda one: one.state is FootageState.PARTIAL)
    trouble.free = 1 << 40
    other = await half(desk, trouble, earlier=timedelta(minutes=5))
    await until(lambda: by_itself(desk, other), 30, lambda: clock.advance(10))
    assert (await by_itself(desk, before), len(trouble.jobs) > jobs) == (["gateway"], True)
    await clock.advance(3600)
    await until(lambda: by_itself(desk, before), 30, lambda: clock.advance(10), wanted=lambda tries: len(tries) == 2)


async def retried(desk: Desk, before: Dossier) -> Dossier:
    """The request when the gateway has done with it once more."""
    await desk.service.retry(before.request.id, by=WANG)

    def over(one: Dossier) -> bool:
        return one.custody[-1].step is Step.CONCLUDED and one.custody[-1].number > before.custody[-1].number

    return await until(lambda: desk.service.dossier(before.request.id), 30, wanted=over)


async def check_had(desk: Desk, before: Dossier, after: Dossier) -> None:
    """Every file that could be had before can be had after, and the custody log names the proof beside them."""
    assert after.request.state is FootageState.PARTIAL
    folder = desk.folder / after.request.id
    for file in before.files:
        download = await desk.service.download(after.request.id, file.name, by=WANG)
        assert digest(download.path) == file.sha256
    assert after.custody[-1].detail["manifest_sha256"] == digest(folder / "manifest.json")
    assert (await desk.service.package(after.request.id, by=WANG)).length


async def test_a_recorder_that_is_silent_by_now_takes_away_nothing_that_was_obtained(desk: Desk, trouble: Trouble) -> None:
    before = await half(desk, trouble)
    recorder, _ = desk.street.recorded(gappy=False)
    desk.street.state.faults[recorder.id] = Fault(password="changed")
    after = await retried(desk, before)
    await check_had(desk, before, after)
    (then,), (now,) = before.exports, after.exports
    assert (now.state, now.obtained, now.gaps, now.recorder) == (ExportState.PARTIAL, then.obtained, then.gaps, then.recorder)
    assert "the recorder does not say what it has" in after.request.reason
    assert not verify(desk.folder / after.request.id).altered


async def test_a_retry_that_breaks_off_leaves_what_there_was_and_says_so(desk: Desk, trouble: Trouble) -> None:
    before = await half(desk, trouble)
    trouble.broken = True
    after = await retried(desk, before)
    await check_had(desk, before, after)
    assert (after.exports[0].state, "internal error" in after.request.reason) == (ExportState.PARTIAL, True)
    assert after.exports[0].obtained == before.exports[0].obtained
    trouble.broken = False
    assert (await retried(desk, after)).request.state is FootageState.READY


async def test_a_package_that_cannot_be_made_anew_leaves_the_one_that_there_was(desk: Desk, trouble: Trouble) -> None:
    before = await half(desk, trouble)
    key = desk.folder / "evidence" / "evidence.key"
    kept = key.read_bytes()
    key.write_bytes(b"rubbish")
    after = await retried(desk, before)
    assert len(after.files) > len(before.files)
    assert after.custody[-1].detail["manifest_sha256"] == before.custody[-1].detail["manifest_sha256"]
    await check_had(desk, before, after)
    assert "key" in after.request.reason
    key.write_bytes(kept)
    mended = await retried(desk, after)
    assert mended.request.state is FootageState.READY
    assert not verify(desk.folder / after.request.id).altered


async def test_what_came_to_nothing_is_disposed_of_in_its_time_on_record(desk: Desk, clock: SimulatedClock) -> None:
    key = desk.folder / "evidence" / "evidence.key"
    key.parent.mkdir(parents=True)
    key.write_bytes(b"rubbish")
    failed = await desk.fulfilled(filing(cameras=(camera_of(desk.street),)))
    assert failed.request.state is FootageState.FAILED
    file = desk.file(failed.request.id, failed.files[0].name)
    await clock.advance(DAY.total_seconds() - 120)
    assert file.is_file()
    await until((desk.folder / failed.request.id).exists, 30, lambda: clock.advance(60), wanted=lambda there: not there)
    after = await desk.service.dossier(failed.request.id)
    assert (after.request.state, after.request.outcome) == (FootageState.EXPIRED, FootageState.FAILED)
    disposed = next(line.detail for line in after.custody if line.step is Step.DISPOSED)
    assert disposed["rule"] == "footage.retention_days"
    assert [told["sha256"] for told in disposed["files"]] == [file.sha256 for file in failed.files]
