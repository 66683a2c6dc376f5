"""Footage fetched from GStreamer's ONVIF replay, another people's recorder: its range, its clean points, and its way to refuse."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import pytest

from gateway.clock import SimulatedClock
from gateway.domain.devices import DeviceId, Ports
from gateway.domain.footage import NOT_REPLAYED, Dossier, ExportState, FootageState, Period
from gateway.drivers.base import Target
from gateway.storage.store import Store
from tests.footage.desk import NOW, Street, desk_of, filing, street, working

pytestmark = pytest.mark.interop
SECOND = timedelta(seconds=1)
BEGIN = (NOW - timedelta(hours=1)).replace(microsecond=0)
NTP = round((BEGIN - datetime(1900, 1, 1, tzinfo=UTC)).total_seconds())
PICTURES = ("-f", "lavfi", "-i", "testsrc=size=320x180:rate=25:duration=120")
SOUND = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=8000:duration=120")
CODECS = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-keyint_min", "50", "-sc_threshold", "0", "-bf", "0", "-c:a", "pcm_alaw")


@dataclass(frozen=True)
class Elsewhere(Street):
    """The simulated street, whose footage is replayed by somebody else at `port`."""

    port: int = 0

    def target_of(self, device: DeviceId) -> Target:
        target = super().target_of(device)
        return replace(target, ports=Ports(onvif=target.ports.onvif, rtsp=self.port))


async def _run(*command: str) -> int:
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    return await process.wait()


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("ffmpeg") is None:
        pytest.skip("a tape for a foreign recorder: ffmpeg is not installed")
    path = tmp_path_factory.mktemp("tape") / "tape.mkv"
    assert asyncio.run(_run("ffmpeg", "-v", "error", *PICTURES, *SOUND, *CODECS, str(path))) == 0
    return path


@contextlib.asynccontextmanager
async def gstreamer(kind: str, tape: Path, address: str, path: str) -> AsyncIterator[int]:
    """The port of a server that replays the tape."""
    check = "import gi; gi.require_version('GstRtspServer', '1.0')"
    if shutil.which("/usr/bin/python3") is None or await _run("/usr/bin/python3", "-c", check):
        pytest.skip("a foreign recorder: gir1.2-gst-rtsp-server-1.0 or python3-gi is not installed")
    program, pipe = Path(__file__).with_name("gstreamer_recorder.py"), asyncio.subprocess.PIPE
    command = ("/usr/bin/python3", str(program), kind, str(tape), address, path, str(NTP))
    server = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    try:
        assert server.stdout is not None
        yield int(await server.stdout.readline())
    finally:
        assert server.stdin is not None
        server.stdin.close()
        await server.wait()


async def fulfilled(kind: str, tape: Path, window: Period, store: Store, folder: Path) -> Dossier:
    async with street() as known:
        recorder, channel = known.recorded(gappy=False)
        known.board.put(replace(known.board[DeviceId(recorder.id)], offset=timedelta(0)))
        async with gstreamer(kind, tape, recorder.address, f"/replay/{channel.token}") as port:
            where = Elsewhere(known.simulated, known.state, known.city, known.board, known.clock, port)
            clock = SimulatedClock(NOW)
            async with working(desk_of(where, store, clock, folder, segment=10 * SECOND)) as desk:
                wanted = asyncio.create_task(desk.fulfilled(filing(cameras=(DeviceId(channel.camera),), window=window)))
                while not wanted.done():  # on a busy machine GStreamer now and then gets stuck at DESCRIBE, and is asked again
                    await asyncio.wait([wanted], timeout=0.5)
                    await clock.advance(5)
                return wanted.result()


def recorded(tape: Path, start: float, end: float) -> Iterator[bytes]:
    """The pictures of the tape, in seconds from its beginning."""
    with av.open(str(tape)) as container:
        for packet in container.demux(video=0):
            if packet.size and start <= float(packet.pts * packet.time_base) < end:
                yield bytes(packet)


def slices(sample: bytes) -> list[bytes]:
    """The coded slices of an MP4 or Matroska sample: NAL units, each after its length."""
    found, at = [], 0
    while at < len(sample):
        size = int.from_bytes(sample[at : at + 4])
        found.append(sample[at + 4 : at + 4 + size])
        at += 4 + size
    return [nal for nal in found if 1 <= nal[0] & 0x1F <= 5]


async def test_the_range_begins_at_its_key_frame_and_is_recorded_as_such(tape: Path, store: Store, tmp_path: Path) -> None:
    window = Period(BEGIN + 33.3 * SECOND, BEGIN + 61 * SECOND)
    dossier = await fulfilled("onvif", tape, window, store, tmp_path)
    assert (dossier.request.state, dossier.request.reason) == (FootageState.READY, "")
    assert [(file.period.start - BEGIN) / SECOND for file in dossier.files] == [32.0, 44.0, 54.0]
    assert dossier.files[-1].period.end == window.end
    fetched: list[bytes] = []
    heard = 0
    for file in dossier.files:
        with av.open(str(tmp_path / dossier.request.id / file.name)) as container:
            fetched += [bytes(packet) for packet in container.demux(video=0) if packet.size]
        with av.open(str(tmp_path / dossier.request.id / file.name)) as container:
            heard += sum(packet.size for packet in container.demux(audio=0))
    assert [slices(sample) for sample in fetched] == [slices(sample) for sample in recorded(tape, 32.0, 61.0)]
    assert abs(heard / 8_000 - 29.0) <= 0.5  # however far the sound comes behind the pictures


async def test_a_recording_that_ends_before_the_window_is_partial(tape: Path, store: Store, tmp_path: Path) -> None:
    dossier = await fulfilled("silent", tape, Period(BEGIN + 100 * SECOND, BEGIN + 140 * SECOND), store, tmp_path)
    (export,) = dossier.exports
    assert (dossier.request.state, export.state) == (FootageState.PARTIAL, ExportState.PARTIAL)
    assert export.gaps == (Period(BEGIN + 120 * SECOND, BEGIN + 140 * SECOND),)
    assert export.reason == NOT_REPLAYED


async def test_a_server_that_knows_no_replay_makes_the_footage_unavailable_and_not_the_device_offline(
    tape: Path, store: Store, tmp_path: Path
) -> None:
    dossier = await fulfilled("plain", tape, Period(BEGIN, BEGIN + 30 * SECOND), store, tmp_path)
    assert dossier.request.state is FootageState.UNAVAILABLE
    assert "the device refuses replay" in dossier.request.reason
    assert "551" in dossier.request.reason
