"""From a filed request to a handed-over file, against simulated recorders on real sockets."""

import asyncio
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import av
import pytest

from gateway.clock import SimulatedClock
from gateway.domain.devices import DeviceId
from gateway.domain.footage import Dossier, ExportState, FootageState, Period, RequestId, Step, joined
from gateway.domain.health import Standing
from gateway.domain.holds import Hold, HoldId, Keep
from gateway.domain.imports import Brought, ImportState
from gateway.errors import Conflict, Forbidden, InvalidInput, NotFound
from gateway.evidence import archive
from gateway.evidence.contents import PROOF
from gateway.evidence.verifying import verify
from gateway.footage.cut_file import Finished
from gateway.footage.service import Rules
from gateway.footage.worker import Job, run_worker
from gateway.storage.store import Store
from gateway.storage.writer import Lane
from simulators import footage as truth
from simulators.faults import Answer, Fault
from tests.footage.desk import NOW, WANG, ZHAO, Desk, Street, desk_of, filing, street, working
from tests.simulators.reading import caption_of
from tests.waiting import until

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
OnFile = Callable[[Finished], Awaitable[None]]


def camera_of(where: Street, *, gappy: bool = False) -> DeviceId:
    return DeviceId(where.recorded(gappy=gappy)[1].camera)


def a_gap(where: Street) -> tuple[DeviceId, Period]:
    """A gappy camera, and the last of its gaps before now, on the true clock."""
    recorder, channel = where.recorded(gappy=True)
    week = truth.Span((NOW - timedelta(days=5)).timestamp(), (NOW - timedelta(hours=2)).timestamp())
    gap = truth.gaps(recorder, channel, week)[-1]
    start, end = (datetime.fromtimestamp(moment - recorder.clock_offset_s, UTC) for moment in (gap.start, gap.end))
    return DeviceId(channel.camera), Period(start, end)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# -- fetching ---------------------------------------------------------------------------------------------------------


async def test_footage_is_fetched_whole_and_its_digest_is_that_of_the_file(desk: Desk) -> None:
    recorder, channel = desk.street.recorded(gappy=False)
    dossier = await desk.fulfilled(filing(cameras=(DeviceId(channel.camera),)))
    assert (dossier.request.state, dossier.request.reason) == (FootageState.READY, "")
    (export,), (file,) = dossier.exports, dossier.files
    assert (export.state, export.recorder, export.gaps) == (ExportState.DONE, recorder.id, ())
    path = desk.file(dossier.request.id, file.name)
    assert (digest(path), path.stat().st_size, path.read_bytes()[4:8]) == (file.sha256, file.size, b"ftyp")
    window = dossier.request.filing.window
    assert window.start - 5 * SECOND < file.period.start <= window.start
    assert abs(file.period.end - window.end) < SECOND
    assert [found.name for found in sorted(path.parent.iterdir())] == sorted([file.name, *PROOF])
    assert verify(path.parent, trusted=dossier.custody[-1].detail["certificate_sha256"]).altered == ()


async def test_the_manifest_tells_what_the_files_are(desk: Desk) -> None:
    dossier = await desk.fulfilled(filing(cameras=(camera_of(desk.street),)))
    path = desk.file(dossier.request.id, "manifest.json")
    told = json.loads(path.read_text())
    assert told["case"]["case_number"] == dossier.request.filing.case_number
    assert (told["people"]["second_officer"], told["people"]["approved_by"]["name"]) == ("李敏", "赵敏")
    (camera,), (file,) = told["cameras"], dossier.files
    assert (camera["serial"], camera["gaps"]) == (dossier.exports[0].serial, [])
    recorder, channel = desk.street.recorded(gappy=False)
    assert (camera["recorder_name"], camera["channel"]) == (recorder.name, channel.number)
    assert (told["case"]["case_kind_wording"], told["people"]["exported_by"]["id"]) == ("治安案件", "system:gateway")
    asked = {end: datetime.fromisoformat(moment) for end, moment in camera["requested_device_time"].items()}
    assert asked["start"] - dossier.request.filing.window.start == timedelta(seconds=camera["clock_offset_s"])
    assert all(moment.endswith("+08:00") for moment in re.findall(r"\d{4}-\d\d-\d\dT[^\"]*", path.read_text()))
    assert [found["sha256"] for found in camera["files"]] == [file.sha256]
    assert dossier.custody[-1].detail["manifest_sha256"] == digest(path)
    documented = set(re.findall(r"[a-z_0-9]+", (Path(__file__).parents[2] / "docs" / "evidence.md").read_text()))
    assert set(re.findall(r'"([a-z_0-9]+)":', path.read_text())) <= documented


async def test_custody_has_a_line_for_every_step_in_order(desk: Desk) -> None:
    dossier = await desk.fulfilled(filing(cameras=(camera_of(desk.street),)))
    request = dossier.request.id
    await desk.service.download(request, dossier.files[0].name, by=WANG)
    await desk.service.hand_over(request, by=WANG, receiver="王建国 371502-0417")
    custody = (await desk.service.dossier(request)).custody
    assert [(line.step, line.by.name) for line in custody] == [
        (Step.SUBMITTED, WANG.name),
        (Step.APPROVED, ZHAO.name),
        (Step.LOCATED, "gateway"),
        (Step.EXPORTED, "gateway"),
        (Step.CONCLUDED, "gateway"),
        (Step.DOWNLOADED, WANG.name),
        (Step.HANDED_OVER, WANG.name),
    ]
    assert custody[5].detail == {"name": dossier.files[0].name, "sha256": dossier.files[0].sha256, "download": 1}


async def test_events_say_what_happened_and_not_about_whom(desk: Desk, store: Store) -> None:
    dossier = await desk.fulfilled(filing(cameras=(camera_of(desk.street),)))
    events = await store.events.read_after(0, limit=100)
    assert [event.data["state"] for event in events] == ["submitted", "approved", "locating", "holding", "exporting", "ready"]
    assert not any(word in str(events) for word in (dossier.request.filing.case_number, "王建国", "李敏"))


async def test_a_gap_is_found_recorded_and_makes_the_request_partial(desk: Desk) -> None:
    camera, gap = a_gap(desk.street)
    window = Period(gap.start - 20 * SECOND, gap.end + 20 * SECOND)
    dossier = await desk.fulfilled(filing(cameras=(camera,), window=window))
    assert dossier.request.state is FootageState.PARTIAL
    (export,) = dossier.exports
    assert (export.state, len(export.gaps)) == (ExportState.PARTIAL, 1)
    assert abs(export.gaps[0].start - gap.start) < SECOND
    assert timedelta(0) <= export.gaps[0].end - gap.end < 5 * SECOND  # footage begins again with its first key frame
    assert len(dossier.files) == 2
    assert json.loads(desk.file(dossier.request.id, "manifest.json").read_text())["cameras"][0]["gaps"]


async def test_what_was_not_recorded_is_said_not_to_be(desk: Desk) -> None:
    camera, gap = a_gap(desk.street)
    dossier = await desk.fulfilled(filing(cameras=(camera,), window=Period(gap.start + 5 * SECOND, gap.end - 5 * SECOND)))
    assert dossier.request.state is FootageState.UNAVAILABLE
    assert "not recorded" in dossier.request.reason
    assert dossier.files == ()
    long_ago = NOW - timedelta(days=400)
    dossier = await desk.fulfilled(filing(cameras=(camera,), window=Period(long_ago, long_ago + MINUTE)))
    assert dossier.request.state is FootageState.UNAVAILABLE


async def test_two_cameras_of_which_one_has_nothing_make_a_partial_request(desk: Desk) -> None:
    camera, gap = a_gap(desk.street)
    whole = camera_of(desk.street)
    window = Period(gap.start + 2 * SECOND, gap.start + 12 * SECOND)
    dossier = await desk.fulfilled(filing(cameras=(camera, whole), window=window))
    assert dossier.request.state is FootageState.PARTIAL
    assert {export.camera: export.state for export in dossier.exports} == {camera: ExportState.NOTHING, whole: ExportState.DONE}


async def test_a_recorder_whose_clock_is_wrong_is_asked_for_its_own_time(
    where: Street, store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    recorder, channel = where.recorded(gappy=False)
    where.state.faults[recorder.id] = Fault(clock_offset_s=-90.0)
    offset = timedelta(seconds=recorder.clock_offset_s - 90.0)
    where.board.put(Standing(DeviceId(recorder.id), offset=offset))
    jobs: list[Job] = []

    async def noting(job: Job, on_file: OnFile) -> None:
        jobs.append(job)
        await run_worker(job, on_file)

    async with working(desk_of(where, store, clock, tmp_path, worker=noting)) as desk:
        dossier = await desk.fulfilled(filing(cameras=(DeviceId(channel.camera),)))
    window = dossier.request.filing.window
    assert dossier.request.state is FootageState.READY
    assert [job.stretch.start for job in jobs] == [window.start + offset]
    assert abs(dossier.files[0].period.end - window.end) < SECOND
    assert json.loads(desk.file(dossier.request.id, "manifest.json").read_text())["cameras"][0]["clock_offset_s"] == offset.total_seconds()


async def test_long_footage_is_cut_into_files_that_follow_each_other(
    where: Street, store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    async with working(desk_of(where, store, clock, tmp_path, segment=20 * SECOND)) as desk:
        dossier = await desk.fulfilled(filing(cameras=(camera_of(where),)))
    assert dossier.request.state is FootageState.READY
    assert [file.number for file in dossier.files] == [1, 2, 3]
    for before, after in pairwise(dossier.files):
        assert abs(after.period.start - before.period.end) < timedelta(milliseconds=5)
    assert all(digest(desk.file(file.request, file.name)) == file.sha256 for file in dossier.files)


@pytest.mark.interop
async def test_a_foreign_decoder_finds_every_picture_that_was_counted(desk: Desk) -> None:
    if shutil.which("ffprobe") is None:
        pytest.skip("ffprobe: ffmpeg is not installed")
    dossier = await desk.fulfilled(filing(cameras=(camera_of(desk.street),)))
    path = desk.file(dossier.request.id, dossier.files[0].name)
    command = [
        "ffprobe",
        "-v",
        "error",
        "-select_streams",
        "v",
        "-count_frames",
        "-show_entries",
        "stream=nb_read_frames",
        "-of",
        "csv=p=0",
        str(path),
    ]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    assert (done.stdout.strip().rstrip(","), done.stderr) == (str(dossier.files[0].frames), "")


# -- two persons ------------------------------------------------------------------------------------------------------


async def test_nothing_is_asked_of_a_recorder_before_somebody_else_approves(desk: Desk) -> None:
    request = await desk.service.submit(filing(cameras=(camera_of(desk.street),)), by=WANG)
    for person in (WANG, replace(ZHAO, name="李敏"), replace(ZHAO, name=WANG.name), replace(WANG, name="somebody")):
        with pytest.raises(Forbidden):
            await desk.service.approve(request.id, by=person)
    dossier = await desk.service.dossier(request.id)
    assert (dossier.request.state, len(dossier.custody)) == (FootageState.SUBMITTED, 1)
    assert not desk.street.state.counters
    assert not desk.folder.exists()


async def test_a_refused_request_stays_refused(desk: Desk) -> None:
    request = await desk.service.submit(filing(cameras=(camera_of(desk.street),)), by=WANG)
    with pytest.raises(InvalidInput):
        await desk.service.reject(request.id, by=ZHAO, note=" ")
    done = await desk.service.reject(request.id, by=ZHAO, note="the letter is for another case")
    assert (done.state, done.note) == (FootageState.REJECTED, "the letter is for another case")
    with pytest.raises(Conflict):
        await desk.service.approve(request.id, by=ZHAO)


async def test_a_request_with_faults_is_not_filed(desk: Desk, store: Store) -> None:
    with pytest.raises(InvalidInput):
        await desk.service.submit(filing(case_number=""), by=WANG)
    assert store.events.latest == 0


# -- when things go wrong ---------------------------------------------------------------------------------------------


async def test_a_recorder_that_refuses_us_fails_the_request_and_a_retry_mends_it(desk: Desk) -> None:
    recorder, channel = desk.street.recorded(gappy=False)
    desk.street.state.faults[recorder.id] = Fault(password="changed")
    dossier = await desk.fulfilled(filing(cameras=(DeviceId(channel.camera),)))
    assert dossier.request.state is FootageState.FAILED
    assert "the recorder does not say what it has" in dossier.request.reason
    del desk.street.state.faults[recorder.id]
    await desk.service.retry(dossier.request.id, by=WANG)
    again = await desk.settled(dossier.request.id)
    assert (again.request.state, again.request.reason) == (FootageState.READY, "")


async def test_a_retry_spares_a_brought_file_that_moved_before_a_crash_could_write_its_row(desk: Desk, store: Store) -> None:
    recorder, channel = desk.street.recorded(gappy=False)
    desk.street.state.faults[recorder.id] = Fault(password="changed")
    request = (await desk.fulfilled(filing(cameras=(DeviceId(channel.camera),)))).request.id
    said = Brought(brought_by="赵工", badge="1", device="DVR", client="a client", original_name="a.dav")
    one = await desk.service.imports.announce(request, said, size=5, by=WANG)
    await store.writer.write(lambda tx: tx.imports.put(replace(one, received=5)), lane=Lane.FOOTAGE)
    moved = desk.file(request, one.name)
    moved.parent.mkdir(parents=True, exist_ok=True)
    moved.write_bytes(b"bytes")
    del desk.street.state.faults[recorder.id]
    await desk.service.retry(request, by=WANG)
    await desk.settled(request)
    assert moved.read_bytes() == b"bytes"
    await desk.service.imports.tend()
    assert (await desk.service.imports.get(one.id)).state is ImportState.KEPT
    assert not verify(moved.parent).altered


async def test_a_replay_that_breaks_is_tried_again_and_then_fails_with_its_reason(desk: Desk, clock: SimulatedClock) -> None:
    recorder, channel = desk.street.recorded(gappy=False)
    desk.street.state.faults[recorder.id] = Fault(answer=Answer.RESET, protocols=("rtsp",))
    settled = asyncio.create_task(desk.fulfilled(filing(cameras=(DeviceId(channel.camera),))))
    dossier = await _passing(clock, 1, settled)
    assert (dossier.request.state, dossier.exports[0].state) == (FootageState.FAILED, ExportState.FAILED)
    assert clock.monotonic() >= 10
    assert dossier.files == ()


async def test_an_interrupted_export_goes_on_and_asks_only_for_the_rest(
    where: Street, store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    reached = asyncio.Event()
    stretches: list[datetime] = []

    async def stuck_after_one(job: Job, on_file: OnFile) -> None:
        async def keep(finished: Finished) -> None:
            await on_file(finished)
            reached.set()
            await asyncio.Event().wait()

        await run_worker(job, keep)

    async def noting(job: Job, on_file: OnFile) -> None:
        stretches.append(job.stretch.start)
        await run_worker(job, on_file)

    async with working(desk_of(where, store, clock, tmp_path, segment=20 * SECOND, worker=stuck_after_one)) as desk:
        request = await desk.service.submit(filing(cameras=(camera_of(where),)), by=WANG)
        await desk.service.approve(request.id, by=ZHAO)
        await reached.wait()
    (first,) = (await desk.service.dossier(request.id)).files
    desk.file(request.id, "01_half.mp4.77.part").write_bytes(b"half")
    desk.file(request.id, "01_unacknowledged.mp4").write_bytes(b"whole, but nobody knows")

    async with working(desk_of(where, store, clock, tmp_path, segment=20 * SECOND, worker=noting)) as second:
        dossier = await second.settled(request.id)
    assert dossier.request.state is FootageState.READY
    assert (dossier.files[0], [file.number for file in dossier.files]) == (first, [1, 2, 3])
    (export,) = dossier.exports
    assert stretches == [export.device_period(first.period).end]
    assert joined((run for file in dossier.files for run in file.runs), within=timedelta(milliseconds=5)) == (
        Period(first.period.start, dossier.files[-1].period.end),
    )
    assert sorted(path.name for path in (tmp_path / request.id).iterdir()) == sorted([*(file.name for file in dossier.files), *PROOF])


async def test_a_cancelled_request_stops_and_leaves_nothing_behind(
    where: Street, store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    reached = asyncio.Event()

    async def stuck(job: Job, _on_file: OnFile) -> None:
        (job.stretch.folder / "half.part").write_bytes(b"half")
        reached.set()
        await asyncio.Event().wait()

    async with working(desk_of(where, store, clock, tmp_path, worker=stuck)) as desk:
        request = await desk.service.submit(filing(cameras=(camera_of(where),)), by=WANG)
        await desk.service.approve(request.id, by=ZHAO)
        await reached.wait()
        done = await desk.service.cancel(request.id, by=WANG, note="found otherwise")
    assert done.state is FootageState.CANCELLED
    assert not (tmp_path / request.id).exists()


async def test_exports_are_bounded_in_all_and_a_recorder_begins_with_one(store: Store, clock: SimulatedClock, tmp_path: Path) -> None:
    running: list[str] = []
    seen: list[list[str]] = []
    unproven: set[str] = set()  # asked for two at once before one replay of it had ended
    ended: set[str] = set()
    two = asyncio.Event()

    async def counting(job: Job, _on_file: OnFile) -> None:
        running.append(job.target.device)
        seen.append(list(running))
        if running.count(job.target.device) > 1:
            unproven.update({job.target.device} - ended)
        if len(running) == 2:
            two.set()
        await two.wait()
        for _ in range(10):  # whoever else could begin would begin now
            await asyncio.sleep(0)
        running.remove(job.target.device)
        ended.add(job.target.device)

    async with street(groups=30) as where:
        recorders = where.simulated.of_kind("recorder")
        cameras = [DeviceId(channel.camera) for recorder in recorders for channel in recorder.channels[:3]]
        async with working(desk_of(where, store, clock, tmp_path, worker=counting)) as desk:
            await desk.fulfilled(filing(cameras=tuple(cameras)))
    assert len(recorders) > 2
    assert len(seen) == 3 * len(recorders)
    assert max(map(len, seen)) == 2
    assert not unproven


async def test_a_full_disk_fails_the_request_and_says_so(where: Street, store: Store, clock: SimulatedClock, tmp_path: Path) -> None:
    async with working(desk_of(where, store, clock, tmp_path, keep_free=1 << 60)) as desk:
        dossier = await desk.fulfilled(filing(cameras=(camera_of(where),)))
    assert dossier.request.state is FootageState.FAILED
    assert "kept back. Free some space or release a hold, then try again." in dossier.request.reason


async def test_what_is_promised_to_a_hold_is_not_taken_by_an_export(
    where: Street, store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    camera, wanted = camera_of(where), filing(cameras=(camera_of(where),))
    hold = Hold(HoldId("H-1"), WANG, "why", (camera,), wanted.window, NOW, NOW + timedelta(days=7))
    keep = Keep(hold.id, camera, DeviceId("a-recorder"), needed=(wanted.window,), reserved=1 << 60)
    await store.writer.write(lambda tx: tx.holds.add(hold, [keep]), lane=Lane.FOOTAGE)
    async with working(desk_of(where, store, clock, tmp_path)) as desk:
        dossier = await desk.fulfilled(wanted)
    assert dossier.request.state is FootageState.FAILED
    assert "less 1,099,511,627,776.0 MiB for holds" in dossier.request.reason


async def test_a_disk_that_fills_up_meanwhile_ends_an_export_after_the_file_in_hand(
    where: Street, store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    left = iter((1 << 40, 1 << 40))
    async with working(desk_of(where, store, clock, tmp_path, segment=timedelta(seconds=10), free_of=lambda _: next(left, 0))) as desk:
        dossier = await desk.fulfilled(filing(cameras=(camera_of(where),)))
    assert (dossier.request.state, len(dossier.files)) == (FootageState.PARTIAL, 1)
    assert "0 MiB are free for footage" in dossier.request.reason


# -- handing over -----------------------------------------------------------------------------------------------------


async def test_downloads_are_counted_end_and_are_not_for_everything(
    where: Street, store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    rules = Rules(downloads=2, download_for=timedelta(hours=1))
    async with working(desk_of(where, store, clock, tmp_path / "footage", rules=rules)) as desk:
        dossier = await desk.fulfilled(filing(cameras=(camera_of(where),)))
        request, name = dossier.request.id, dossier.files[0].name
        for wrong in ("../../store1.db", "/etc/passwd", "other.mp4", ""):
            with pytest.raises(NotFound):
                await desk.service.download(request, wrong, by=WANG)
        for _ in range(2):
            found = await desk.service.download(request, name, by=WANG)
            assert (digest(found.path), found.sha256) == (dossier.files[0].sha256, dossier.files[0].sha256)
        told = [event for event in await store.events.read_after(0, limit=100) if event.type == "footage.custody"]
        assert [event.subject for event in told if event.data == {"step": "downloaded"}] == [request] * 2
        with pytest.raises(Conflict) as used_up:
            await desk.service.download(request, name, by=WANG)
        assert (await desk.service.download(request, "manifest.json", by=WANG)).path.exists()
        await clock.advance(3601)
        with pytest.raises(Conflict) as late:
            await desk.service.download(request, "manifest.json", by=WANG)
    assert (used_up.value.code, late.value.code) == ("downloads-used-up", "download-expired")


async def test_a_whole_package_goes_out_as_one_and_counts_for_each_of_its_files(
    where: Street, store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    async with working(desk_of(where, store, clock, tmp_path / "footage", rules=Rules(downloads=2), segment=20 * SECOND)) as desk:
        dossier = await desk.fulfilled(filing(cameras=(camera_of(where),)))
        request, names = dossier.request.id, [file.name for file in dossier.files]
        digests = [file.sha256 for file in dossier.files]
        package = await desk.service.package(request, by=WANG)
        whole = tmp_path / package.name
        whole.write_bytes(b"".join(archive.pieces(package.paths)))
        assert (whole.stat().st_size, package.name) == (package.length, f"{request}.zip")
        assert verify(whole, trusted=dossier.custody[-1].detail["certificate_sha256"]).altered == ()
        line = (await desk.service.dossier(request)).custody[-1]
        counted = [{"name": name, "sha256": digest, "download": 1} for name, digest in zip(names, digests, strict=True)]
        assert (line.step, line.by, line.detail) == (Step.DOWNLOADED, WANG, {"name": package.name, "files": counted})
        await desk.service.download(request, names[1], by=WANG)
        with pytest.raises(Conflict) as used_up:
            await desk.service.package(request, by=WANG)
        after = await desk.service.dossier(request)
        assert used_up.value.code == "downloads-used-up"
        assert [file.downloads for file in after.files] == [1, 2, 1]  # all are counted, or none


async def test_nothing_is_downloaded_from_a_request_that_is_not_ready(desk: Desk) -> None:
    request = await desk.service.submit(filing(cameras=(camera_of(desk.street),)), by=WANG)
    with pytest.raises(Conflict):
        await desk.service.download(request.id, "manifest.json", by=WANG)
    with pytest.raises(Conflict):
        await desk.service.package(request.id, by=WANG)
    with pytest.raises(NotFound):
        await desk.service.download(RequestId("no-such"), "manifest.json", by=WANG)


async def test_files_are_removed_when_their_time_is_over(where: Street, store: Store, clock: SimulatedClock, tmp_path: Path) -> None:
    async with working(desk_of(where, store, clock, tmp_path, rules=Rules(keep=timedelta(days=1)))) as desk:
        dossier = await desk.fulfilled(filing(cameras=(camera_of(where),)))
        await clock.advance(86_400 - 120)
        assert desk.file(dossier.request.id, dossier.files[0].name).exists()
        expired = asyncio.create_task(_until(desk, dossier.request.id, FootageState.EXPIRED))
        after = await _passing(clock, 60, expired)
        assert after.files[0].removed
        assert after.custody[-1].step is Step.EXPIRED
        await until((tmp_path / dossier.request.id).exists, wanted=lambda there: not there)


async def _passing(clock: SimulatedClock, seconds: float, awaited: asyncio.Task[Dossier]) -> Dossier:
    """What `awaited` returns, while time goes by in steps that leave the disk and the network a moment of their own."""
    while not awaited.done():
        await asyncio.wait([awaited], timeout=0.05)
        await clock.advance(seconds)
    return awaited.result()


async def _until(desk: Desk, request: RequestId, state: FootageState) -> Dossier:
    async with asyncio.timeout(60):
        async for event in desk.store.events.follow(after=0):
            if event.subject == request and event.data.get("state") == state:
                return await desk.service.dossier(request)
    raise AssertionError("the events ended")


async def test_a_hand_over_has_a_receiver_and_comes_once(desk: Desk) -> None:
    dossier = await desk.fulfilled(filing(cameras=(camera_of(desk.street),)))
    with pytest.raises(InvalidInput):
        await desk.service.hand_over(dossier.request.id, by=WANG, receiver="")
    done = await desk.service.hand_over(dossier.request.id, by=WANG, receiver="王建国")
    assert done.state is FootageState.HANDED_OVER
    with pytest.raises(Conflict):
        await desk.service.hand_over(dossier.request.id, by=WANG, receiver="王建国")


async def test_the_footage_of_an_h265_camera_is_fetched_as_it_was_recorded(desk: Desk) -> None:
    newer = {camera.id for camera in desk.street.simulated.of_kind("camera") if camera.codec == "H265"}
    recorder, channel = next(
        (recorder, channel)
        for recorder in desk.street.simulated.of_kind("recorder")
        for channel in recorder.channels
        if channel.camera in newer and not channel.gappy
    )
    dossier = await desk.fulfilled(filing(cameras=(DeviceId(channel.camera),)))
    assert (dossier.request.state, dossier.exports[0].recorder) == (FootageState.READY, recorder.id)
    (file,) = dossier.files
    with av.open(str(desk.file(dossier.request.id, file.name))) as container:
        assert (container.streams.video[0].codec_context.name, container.streams.video[0].codec_context.codec_tag) == ("hevc", "hev1")
        shown = [caption_of(frame) for frame in container.decode(video=0)]
    assert len(shown) == file.frames
    assert {camera for camera, _ in shown} == {channel.camera}
    started = dossier.request.filing.window.start
    assert f"{started:%Y-%m-%d %H:%M}" in {clock[:16] for _, clock in shown}


async def test_what_was_refused_since_the_last_line_is_on_record_when_the_daemon_has_stopped(
    where: Street, store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    desk = desk_of(where, store, clock, tmp_path / "footage")
    request = await desk.service.submit(filing(cameras=(camera_of(where),)), by=WANG)
    async with working(desk):
        for name in ("a.mp4", "b.mp4", "c.mp4", "b.mp4"):
            with pytest.raises(Conflict):
                await desk.service.download(request.id, name, by=WANG)
    lines = [line.detail for line in (await desk.service.dossier(request.id)).custody if line.step is Step.DENIED]
    told = [(line.get("name"), line.get("asked"), line.get("times")) for line in lines]
    assert told == [("a.mp4", None, None), (None, ["b.mp4", "c.mp4"], 3)]
