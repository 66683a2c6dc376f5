"""What a liaison officer meets in the street: gaps, wrong clocks, recorders that go on for ever, restart or change their password."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import av
import pytest

from gateway.clock import SimulatedClock
from gateway.domain.devices import DeviceId
from gateway.domain.footage import Dossier, ExportState, FootageState, Period
from gateway.domain.health import Standing
from gateway.footage.cut_file import Finished
from gateway.footage.progress import Progress
from gateway.footage.worker import Job, run_worker
from gateway.storage.store import Store
from simulators.city import SimChannel, SimDevice
from simulators.faults import Fault
from simulators.microphones import microphone_of
from simulators.reboot import reboot
from simulators.rtsp import playback
from simulators.rtsp.plays import Pace
from tests.footage.desk import NOW, WANG, ZHAO, Desk, Street, desk_of, filing, working
from tests.system import chromium

SECOND = timedelta(seconds=1)
FRAME = timedelta(milliseconds=80)
GROUP = timedelta(seconds=2)
OnFile = Callable[[Finished], Awaitable[None]]


def seen_and_heard(where: Street, codec: str) -> tuple[SimDevice, SimChannel]:
    """A recorder and its channel of a camera with this codec and a microphone."""
    cameras = {camera.id for camera in where.simulated.of_kind("camera") if camera.codec == codec and microphone_of(camera.id)}
    return next(
        (recorder, channel)
        for recorder in where.simulated.of_kind("recorder")
        for channel in recorder.channels
        if channel.camera in cameras and not channel.gappy
    )


def times(path: Path) -> list[float]:
    """When each picture of a file is shown, in seconds."""
    with av.open(str(path)) as container:
        return sorted(float(packet.pts * packet.time_base) for packet in container.demux(video=0) if packet.size)


# -- gaps and clocks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["H264", "H265"])
async def test_two_gaps_a_clock_seven_minutes_wrong_and_an_end_that_is_ignored_are_exported_right(
    where: Street, store: Store, clock: SimulatedClock, tmp_path: Path, codec: str
) -> None:
    """The recorder's search tells of no gap; the times of its pictures do, to the frame."""
    recorder, channel = seen_and_heard(where, codec)
    where.state.faults[recorder.id] = Fault(clock_offset_s=420.0)
    offset = timedelta(seconds=recorder.clock_offset_s + 420)
    where.board.put(Standing(DeviceId(recorder.id), offset=offset))
    where.state.switch_quirk(recorder, "ignores-range-end", {})
    where.state.switch_quirk(recorder, "segment-gaps", {"seconds": 20, "every_minutes": 2})
    start = NOW - timedelta(hours=1) - offset - 30 * SECOND
    window = Period(start, start + timedelta(seconds=200))
    async with working(desk_of(where, store, clock, tmp_path)) as desk:
        dossier = await desk.fulfilled(filing(cameras=(DeviceId(channel.camera),), window=window))
    (export,), (file,) = dossier.exports, dossier.files
    assert (dossier.request.state, export.state, export.offset) == (FootageState.PARTIAL, ExportState.PARTIAL, offset)
    holes = [datetime(2026, 9, 21, 13, minute, tzinfo=UTC) - offset for minute in (0, 2)]
    assert len(export.gaps) == 2
    for gap, hole in zip(export.gaps, holes, strict=True):
        assert abs(gap.start - hole) <= FRAME
        assert abs(gap.end - key_after(hole + 20 * SECOND)) <= FRAME
    assert window.end - FRAME <= file.period.end <= window.end + FRAME
    jumps = [after - before for before, after in pairwise(times(tmp_path / dossier.request.id / file.name)) if after - before > 1]
    assert jumps == [pytest.approx((gap.length + FRAME) / SECOND, abs=0.08) for gap in export.gaps]


def key_after(moment: datetime) -> datetime:
    """The first key picture at or after a moment: they stand at even seconds."""
    past = (moment - datetime(2026, 1, 1, tzinfo=UTC)) % GROUP
    return moment if not past else moment + GROUP - past


# -- trouble in the middle --------------------------------------------------------------------------------------------


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recorders that send thirty times real time, so that there is a middle, and not all has been sent by then."""
    monkeypatch.setattr(playback, "_pace", lambda *_, **__: Pace(speed=30.0, recorded_times=True))


@contextlib.asynccontextmanager
async def troubled(
    where: Street, store: Store, clock: SimulatedClock, folder: Path, trouble: Callable[[], None], starts: list[datetime] | None = None
) -> AsyncIterator[Desk]:
    """A desk to which `trouble` comes when the first file of an export is safe. `starts`: from when each attempt asked for footage."""
    came = False

    async def worker(job: Job, on_file: OnFile) -> None:
        async def keep(finished: Finished) -> None:
            nonlocal came
            await on_file(finished)
            if not came:
                came = True
                trouble()

        if starts is not None:
            starts.append(job.stretch.start)
        await run_worker(job, keep)

    async with working(desk_of(where, store, clock, folder, segment=10 * SECOND, worker=worker)) as desk:
        yield desk


async def passing(clock: SimulatedClock, awaited: Awaitable[Dossier]) -> Dossier:
    """What `awaited` gives, while the gateway's pauses go by."""
    task = asyncio.ensure_future(awaited)
    while not task.done():
        await asyncio.wait([task], timeout=0.1)
        await clock.advance(1)
    return task.result()


@pytest.mark.usefixtures("unhurried")
async def test_a_recorder_that_restarts_in_the_middle_is_asked_for_the_rest(
    where: Street, store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    recorder, channel = where.recorded(gappy=False)
    starts: list[datetime] = []
    wanted = filing(cameras=(DeviceId(channel.camera),))
    async with troubled(where, store, clock, tmp_path / "a", lambda: reboot(where.state, [recorder], dark_s=0.5), starts) as desk:
        dossier = await passing(clock, desk.fulfilled(wanted))
    async with working(desk_of(where, store, clock, tmp_path / "b", segment=10 * SECOND)) as desk:
        quiet = await desk.fulfilled(wanted)
    assert (dossier.request.state, dossier.request.reason) == (FootageState.READY, "")
    assert [file.sha256 for file in dossier.files] == [file.sha256 for file in quiet.files]
    assert len(starts) > 1


@pytest.mark.usefixtures("unhurried")
async def test_a_password_that_changes_in_the_middle_is_said_and_what_is_there_stays(
    where: Street, store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    recorder, channel = where.recorded(gappy=False)

    def changed() -> None:
        where.state.faults[recorder.id] = Fault(password="another")
        reboot(where.state, [recorder], dark_s=0.2)

    async with troubled(where, store, clock, tmp_path, changed) as desk:
        dossier = await passing(clock, desk.fulfilled(filing(cameras=(DeviceId(channel.camera),))))
        (export,) = dossier.exports
        assert (dossier.request.state, export.state) == (FootageState.PARTIAL, ExportState.PARTIAL)
        assert "refuses us: bad-credentials" in export.reason
        kept = dossier.files
        del where.state.faults[recorder.id]
        await desk.service.retry(dossier.request.id, by=WANG)
        after = await passing(clock, desk.settled(dossier.request.id))
    assert after.request.state is FootageState.READY
    assert after.files[: len(kept)] == kept


async def test_a_disk_that_fills_up_is_said_and_room_makes_the_rest_come(
    where: Street, store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if await _run("mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", str(small)):
        pytest.skip("a small disk: mount is not allowed here")
    try:
        _, channel = where.recorded(gappy=False)
        async with working(desk_of(where, store, clock, small, segment=10 * SECOND, keep_free=0, bytes_per_s=1_000)) as desk:
            start = NOW - timedelta(hours=1)
            wanted = filing(cameras=(DeviceId(channel.camera),), window=Period(start, start + 5 * 60 * SECOND))
            dossier = await passing(clock, desk.fulfilled(wanted))
            (export,) = dossier.exports
            assert dossier.request.state in (FootageState.PARTIAL, FootageState.FAILED)
            assert "No space left on device" in dossier.request.reason + export.reason
            assert not list((small / dossier.request.id).glob("*.part"))
            assert await _run("mount", "-o", "remount,size=64m", str(small)) == 0
            await desk.service.retry(dossier.request.id, by=WANG)
            after = await passing(clock, desk.settled(dossier.request.id))
        assert (after.request.state, after.request.reason) == (FootageState.READY, "")
        assert after.files[: len(dossier.files)] == dossier.files
    finally:
        assert await _run("umount", str(small)) == 0


async def _run(*command: str) -> int:
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    return await process.wait()


@pytest.mark.usefixtures("unhurried")
async def test_progress_is_told_while_footage_is_fetched_and_only_then(
    where: Street, store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    _, channel = where.recorded(gappy=False)
    camera, start = DeviceId(channel.camera), NOW - timedelta(hours=1)
    seen: list[Progress] = []
    async with working(desk_of(where, store, clock, tmp_path)) as desk:
        asked = await desk.service.submit(filing(cameras=(camera,), window=Period(start, start + 150 * SECOND)), by=WANG)
        await desk.service.approve(asked.id, by=ZHAO)
        task = asyncio.create_task(desk.settled(asked.id))
        while not task.done():
            await asyncio.wait([task], timeout=0.1)
            await clock.advance(0.5)  # as fast as any machine would look: what is measured over two seconds has to come
            seen += desk.service.progress(asked.id).values()
    assert [found.done for found in seen] == sorted(found.done for found in seen)
    assert all(timedelta(0) <= found.done <= found.whole for found in seen)
    assert any(found.left_s is not None and found.left_s > 0 for found in seen)
    assert desk.service.progress(asked.id) == {}


# -- played elsewhere -------------------------------------------------------------------------------------------------

PAGE = "<!doctype html><title>film</title><video id=film muted src='{name}'></video>"
PLAYED = """new Promise((done) => {
    const film = document.getElementById('film');
    film.onerror = () => done({error: film.error.message});
    film.onended = () => done({seconds: film.currentTime, wide: film.videoWidth, sound: film.webkitAudioDecodedByteCount,
                               pictures: film.getVideoPlaybackQuality().totalVideoFrames});
    film.playbackRate = 8;
    film.play().catch((error) => done({error: String(error)}));
})"""


@pytest.mark.interop
async def test_a_browser_plays_the_film_with_its_sound_to_the_end(
    where: Street, store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    if chromium.program() is None:
        pytest.skip("a browser that plays footage: Chromium is not installed")
    _, channel = seen_and_heard(where, "H264")
    async with working(desk_of(where, store, clock, tmp_path)) as desk:
        start = NOW - timedelta(hours=1)
        dossier = await desk.fulfilled(filing(cameras=(DeviceId(channel.camera),), window=Period(start, start + 20 * SECOND)))
    (file,) = dossier.files
    folder = tmp_path / dossier.request.id
    (folder / "page.html").write_text(PAGE.format(name=file.name))
    async with chromium.browser(tmp_path / "browser") as page:
        await page.open((folder / "page.html").as_uri())
        await page.until("document.getElementById('film') && document.title === 'film'")
        told = await page.run(PLAYED)
        assert "error" not in told, told
        assert (told["wide"], told["sound"] > 0) == (320, True)
        assert abs(told["seconds"] - file.period.length / SECOND) < 0.2
        await page.screenshot(tmp_path / "film.png")
