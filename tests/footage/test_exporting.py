"""The export itself: what is cut where, what a broken replay leaves behind, and a worker that does not outlive its daemon."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import av
import pytest

from gateway.domain.devices import Credentials, DeviceId, Ports
from gateway.domain.footage import TimeSource
from gateway.drivers.base import MediaPacket, ReplaySession, Span, Target, TrackDescription
from gateway.drivers.rtsp.replay import ReplayManner, replay
from gateway.errors import DeadlineExceeded, NotSupported, Unreachable
from gateway.footage import worker
from gateway.footage.cut_file import Finished
from gateway.footage.cutting import Stretch
from gateway.footage.exporting import fetch
from gateway.footage.worker import Job, run_worker
from simulators.faults import Answer, Fault
from tests.drivers.rtsp.peer import REPLAY_SDP, Asked, Peer, Reply, frame, listening, rtp
from tests.drivers.rtsp.test_replay import GOODBYE
from tests.footage.desk import NOW, Street, keeping
from tests.media.video import packets, pictures

SECOND = timedelta(seconds=1)
START = NOW - timedelta(hours=1)


def job(where: Street, folder: Path, **changes: object) -> Job:
    recorder, channel = where.recorded(gappy=False)
    known: dict[str, object] = {"start": START, "end": START + 30 * SECOND, "segment": 10 * SECOND, "folder": folder, "prefix": "f_"}
    return Job(where.target_of(DeviceId(recorder.id)), f"/replay/{channel.token}", Stretch(**known | changes))


async def fetched(wanted: Job, *, breaking_after: int | None = None) -> list[Finished]:
    """What `wanted` reports, fetched in this process; with `breaking_after` the connection breaks after so many packets."""
    reported: list[Finished] = []
    window = Span(wanted.stretch.start, wanted.stretch.end)
    session: ReplaySession = await replay(wanted.target, wanted.path, window, timeout_s=10, kinds=("video", "audio"))
    await fetch(session if breaking_after is None else Breaking(session, breaking_after), wanted.stretch, keeping(reported))
    return reported


class Breaking:
    """A replay that is cut off in the middle."""

    def __init__(self, session: ReplaySession, after: int) -> None:
        self._session = session
        self._after = after

    @property
    def tracks(self) -> Sequence[TrackDescription]:
        return self._session.tracks

    @property
    def refused(self) -> Sequence[TrackDescription]:
        return self._session.refused

    async def arrivals(self) -> AsyncIterator[Iterator[tuple[int, MediaPacket]]]:
        async for there in self._session.arrivals():
            yield self._unbroken(there)

    def _unbroken(self, there: Iterator[tuple[int, MediaPacket]]) -> Iterator[tuple[int, MediaPacket]]:
        for found in there:
            self._after -= 1
            if self._after < 0:
                raise Unreachable("cut off", code="reset")
            yield found

    async def close(self) -> None:
        await self._session.close()


async def test_files_are_cut_at_key_frames_and_miss_no_picture(where: Street, tmp_path: Path) -> None:
    whole = await fetched(job(where, tmp_path, segment=timedelta(minutes=5), prefix="whole_"))
    parts = await fetched(job(where, tmp_path))
    assert [file.name for file in parts] == ["f_001.mp4", "f_002.mp4", "f_003.mp4"]
    assert sum(file.frames for file in parts) == whole[0].frames
    assert all(after.runs[0][0] == before.runs[-1][1] for before, after in pairwise(parts))


async def test_pictures_that_are_there_already_are_dropped(where: Street, tmp_path: Path) -> None:
    first, second, third = await fetched(job(where, tmp_path))
    resume = first.runs[-1][1] - timedelta(milliseconds=5)  # the recorder then begins a whole group of pictures earlier
    rest = await fetched(job(where, tmp_path, start=resume, after=resume - timedelta(milliseconds=20), first=2, prefix="again_"))
    assert [(file.sha256, file.number) for file in rest][-1] == (third.sha256, 3)
    assert [file.runs for file in rest] == [second.runs, third.runs]


async def test_a_replay_that_breaks_keeps_the_finished_files_only(where: Street, tmp_path: Path) -> None:
    reported: list[Finished] = []
    wanted = job(where, tmp_path)
    window = Span(wanted.stretch.start, wanted.stretch.end)
    packets = 0
    session = await replay(wanted.target, wanted.path, window, timeout_s=10)
    async for there in session.arrivals():
        packets += sum(1 for _ in there)
    await session.close()
    session = await replay(wanted.target, wanted.path, window, timeout_s=10)
    with pytest.raises(Unreachable):
        await fetch(Breaking(session, packets // 2), wanted.stretch, keeping(reported))
    assert [file.name for file in reported] == ["f_001.mp4"]
    assert names(tmp_path) == ["f_001.mp4"]


async def test_a_recording_without_video_is_refused(where: Street, tmp_path: Path) -> None:
    class Silent(Breaking):
        @property
        def tracks(self) -> Sequence[TrackDescription]:
            return (TrackDescription("audio", "PCMA", 8000, 8),)

    wanted = job(where, tmp_path)
    session = await replay(wanted.target, wanted.path, Span(START, START + SECOND), timeout_s=10)
    with pytest.raises(NotSupported):
        await fetch(Silent(session, 0), wanted.stretch, keeping([]))


async def test_the_worker_reports_what_the_export_does(where: Street, tmp_path: Path) -> None:
    reported: list[Finished] = []

    async def keep(finished: Finished) -> None:
        assert (tmp_path / finished.name).stat().st_size == finished.size
        reported.append(finished)

    await run_worker(job(where, tmp_path), keep)
    assert [(file.name, file.sha256) for file in reported] == [
        (f"f_00{number}.mp4", file.sha256) for number, file in enumerate(await fetched(job(where, tmp_path, prefix="x_")), start=1)
    ]


async def _ignore(_: Finished) -> None:
    pass


async def test_the_worker_hands_on_why_a_device_failed(where: Street, tmp_path: Path) -> None:
    recorder, _ = where.recorded(gappy=False)
    where.state.faults[recorder.id] = Fault(answer=Answer.REFUSE, protocols=("rtsp",))
    with pytest.raises(Unreachable):
        await run_worker(job(where, tmp_path), _ignore)


async def test_a_worker_that_is_too_slow_is_ended(where: Street, tmp_path: Path) -> None:
    recorder, _ = where.recorded(gappy=False)
    where.state.faults[recorder.id] = Fault(answer=Answer.SILENT, protocols=("rtsp",))
    impatient = job(where, tmp_path, end=START - timedelta(seconds=59))  # two minutes of grace, less twice 59 seconds
    assert impatient.deadline_s == 2
    with pytest.raises(DeadlineExceeded):
        await run_worker(impatient, _ignore)


async def test_a_worker_ends_with_its_daemon(where: Street, tmp_path: Path) -> None:
    recorder, _ = where.recorded(gappy=False)
    where.state.faults[recorder.id] = Fault(answer=Answer.SILENT, protocols=("rtsp",))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.footage.worker"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(worker._job_line(job(where, tmp_path)))
    await process.stdin.drain()
    process.stdin.close()  # what the kernel does when the daemon is killed
    async with asyncio.timeout(60):
        assert await process.wait() == 0


async def test_a_worker_whose_daemon_is_gone_before_it_said_a_word_ends_without_one() -> None:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "gateway.footage.worker", stdin=pipe, stdout=pipe, stderr=pipe)
    assert await process.communicate(b'{"target"') == (b"", b"")
    assert process.returncode == 0


async def test_a_recorder_that_tells_no_times_and_plays_on_is_stopped_at_the_end_and_every_file_kept(tmp_path: Path) -> None:
    ten_seconds = [nals for _ in range(5) for nals in pictures("H264", 50)]
    sent = packets("H264", ten_seconds, mtu=60_000)
    frames = [frame(0, rtp(one.sequence, one.timestamp, one.payload, marker=one.marker)) for one in sent]

    async def play_on(peer: Peer) -> None:
        assert peer.writer is not None
        peer.writer.write(b"".join(frames))

    reported: list[Finished] = []
    async with listening(Peer(sdp=REPLAY_SDP, after_play=play_on)) as peer:
        stretch = Stretch(START, START + 6 * SECOND, 3 * SECOND, tmp_path, "f_")
        session = await replay(peer.target, "/recording", Span(START, stretch.end), timeout_s=10, manner=ReplayManner(stall_s=1.0))
        await fetch(session, stretch, keeping(reported))
        assert peer.methods()[-1] == "TEARDOWN"
    assert [(file.name, file.time_source) for file in reported] == [
        ("f_001.mp4", TimeSource.RECKONED),
        ("f_002.mp4", TimeSource.RECKONED),
    ]
    assert [file.runs[0][1] for file in reported] == [START + 3 * SECOND, START + 6 * SECOND]


SEVERAL = """m=audio 0 RTP/AVP 97
a=rtpmap:97 G726-32/8000
a=control:trackID=3
m=audio 0 RTP/AVP 98
a=rtpmap:98 MPEG4-GENERIC/16000
a=fmtp:98 mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1408
a=control:trackID=4
"""


async def test_of_several_kinds_of_sound_one_that_a_file_can_hold_is_kept_and_the_others_are_said(tmp_path: Path) -> None:
    """The recorder refuses its first, of G.711."""

    def answer(peer: Peer, asked: Asked) -> Reply:
        taken = {"Session": peer.session, "Transport": asked.headers["transport"]}
        return Reply("403 Forbidden") if asked.url.endswith("trackID=2") else Reply(headers=taken)

    async def play(peer: Peer) -> None:
        assert peer.writer is not None
        sent = packets("H264", pictures("H264", 50))
        shown = [frame(0, rtp(one.sequence, one.timestamp, one.payload, marker=one.marker)) for one in sent]
        heard = [frame(4, rtp(0, 0, b"g726")), frame(6, rtp(0, 0, b"\x00\x10\x00\x18aac"))]
        peer.writer.write(b"".join([*shown[:25], *heard, *shown[25:], *(frame(one, GOODBYE) for one in (1, 5, 7))]))

    reported: list[Finished] = []
    async with listening(Peer(sdp=REPLAY_SDP + SEVERAL, script={"SETUP": answer}, after_play=play)) as peer:
        stretch = Stretch(START, START + 10 * SECOND, 10 * SECOND, tmp_path, "f_")
        session = await replay(peer.target, "/recording", Span(START, stretch.end), timeout_s=10, kinds=("video", "audio"))
        await fetch(session, stretch, keeping(reported))
    (file,) = reported
    assert (file.frames, file.sound_left_out, file.sound_refused) == (50, "G726-32", "PCMA")
    with av.open(str(tmp_path / file.name)) as container:
        assert [bytes(packet) for packet in container.demux(audio=0) if packet.size] == [b"aac"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_job_survives_its_way_into_the_worker(tmp_path: Path) -> None:
    target = Target(DeviceId("NVR"), "127.0.0.1", Ports(1, 2, 3), Credentials("user", "pass wörd"), "profile")
    stretch = Stretch(START, START + SECOND, SECOND, tmp_path, "p_", 7, START, START)
    wanted = Job(target, "/replay?x=1", stretch)
    assert worker._job(worker._job_line(wanted)) == wanted
