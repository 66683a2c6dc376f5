"""The simulated cameras and recorders as ordinary players see them: FFmpeg's programs and GStreamer, judged by the pictures that came."""

import asyncio
import json
import shutil
import signal
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import pytest

from simulators.city import SimChannel, SimDevice
from tests.simulators.block import CAMERA, NOW, RECORDER, Block, city_of, device, rtsp_block
from tests.simulators.reading import caption_of

pytestmark = pytest.mark.interop
NEWER = device("camera", 8, codec="H265")
CHALLENGING = device("camera", 4)  # offers qop, of which rtspsrc 1.22 knows nothing
STORE = replace(RECORDER, channels=(SimChannel(1, CAMERA.id, "rec-01"), SimChannel(2, NEWER.id, "rec-02")))
PLAYER = Path(__file__).with_name("gstreamer_player.py")
SERVER = Path(__file__).parent.parent / "gstreamer_speaker.py"
PYTHON = "/usr/bin/python3"
SIZES = {"main": (320, 180), "sub": (160, 96)}
NTP_EPOCH_S = 2_208_988_800


@pytest.fixture
async def block() -> AsyncIterator[Block]:
    async with rtsp_block(city_of(CAMERA, NEWER, CHALLENGING, STORE)) as running:
        yield running


def program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name}: ffmpeg is not installed")
    return path


def url(block: Block, target: SimDevice, path: str) -> str:
    return f"rtsp://{target.username}:{target.password}@{target.address}:{block.port}/{path}"


async def run(*command: str, within_s: float = 60) -> tuple[int | None, bytes, str]:
    """Exit code, output, and what it said."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    try:
        async with asyncio.timeout(within_s):
            output, said = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return process.returncode, output, said.decode()


async def ffmpeg(location: str, size: tuple[int, int], *options: str, before: Sequence[str] = ()) -> list[tuple[str, str]]:
    """The captions of the pictures that ffmpeg decodes; asserts that it has nothing to complain of."""
    inward = ("-v", "warning", "-analyzeduration", "300k", *before, "-i", location, "-fps_mode", "passthrough")
    code, output, said = await run(program("ffmpeg"), *inward, *options, "-pix_fmt", "gray", "-f", "rawvideo", "-")
    assert (code, said) == (0, "")
    return captions(output, size)


def captions(grey: bytes, size: tuple[int, int]) -> list[tuple[str, str]]:
    length = size[0] * size[1]
    assert len(grey) % length == 0
    return [caption_of(_frame(grey[at : at + length], size)) for at in range(0, len(grey), length)]


def _frame(grey: bytes, size: tuple[int, int]) -> av.VideoFrame:
    frame = av.VideoFrame(*size, "gray")
    stride = frame.planes[0].line_size
    rows = (grey[at : at + size[0]].ljust(stride, b"\0") for at in range(0, len(grey), size[0]))
    frame.planes[0].update(b"".join(rows))
    return frame


def clock(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"


def clocks(start: float, pictures: int) -> list[str]:
    """What the clock shows in pictures that begin at `start`."""
    return [clock(start + 0.08 * index) for index in range(pictures)]


# -- live -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", ["main", "sub"])
@pytest.mark.parametrize("camera", [CAMERA, NEWER], ids=["h264", "h265"])
@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_ffprobe_knows_the_live_picture(block: Block, transport: str, camera: SimDevice, stream: str) -> None:
    options = ("-v", "error", "-rtsp_transport", transport, "-of", "json", "-show_streams", "-analyzeduration", "500k")
    code, output, _ = await run(program("ffprobe"), *options, url(block, camera, f"live/{stream}"))
    assert code == 0
    (found,) = json.loads(output)["streams"]
    expected = ("h264", "High") if camera is CAMERA else ("hevc", "Main")
    assert (found["codec_name"], found["profile"], found["width"], found["height"]) == (*expected, *SIZES[stream])
    assert found["avg_frame_rate"] == "25/2"


@pytest.mark.parametrize("stream", ["main", "sub"])
@pytest.mark.parametrize("camera", [CAMERA, NEWER], ids=["h264", "h265"])
async def test_ffmpeg_sees_the_camera_and_its_clock_live(block: Block, camera: SimDevice, stream: str) -> None:
    before = ("-rtsp_transport", "tcp")
    seen = await ffmpeg(url(block, camera, f"live/{stream}"), SIZES[stream], "-frames:v", "20", before=before)
    assert seen == [(camera.id, shown) for shown in clocks(NOW, 20)]


@pytest.mark.parametrize("camera", [CAMERA, NEWER, CHALLENGING], ids=["h264", "h265", "qop"])
@pytest.mark.parametrize("protocols", ["tcp", "udp"])
async def test_gstreamer_sees_the_camera_and_its_clock_live(block: Block, tmp_path: Path, protocols: str, camera: SimDevice) -> None:
    await _needs_gstreamer()
    path = tmp_path / "stream"
    code, ended, said = await run(PYTHON, str(PLAYER), url(block, camera, "live/main"), protocols, camera.codec, "20", str(path))
    assert (code, ended.split()[-1:]) == (0, [b"eos"]), said
    seen = decoded(path, camera)
    assert len(seen) >= 18
    assert [shown for shown in seen if shown[0] != camera.id] == []
    assert {shown for _, shown in seen} <= set(clocks(NOW, 30))


def decoded(path: Path, camera: SimDevice) -> list[tuple[str, str]]:
    with av.open(str(path), format="hevc" if camera is NEWER else "h264") as container:
        return [caption_of(frame) for frame in container.decode(video=0)]


async def _needs_gstreamer() -> None:
    asked = "import gi; gi.require_version('Gst', '1.0'); from gi.repository import Gst; Gst.init(None)"
    plugins = "assert all(map(Gst.ElementFactory.find, ('rtspsrc', 'h264parse', 'h265parse')))"
    code, _, _ = await run(PYTHON, "-c", f"{asked}; {plugins}")
    if code:
        pytest.skip("GStreamer: python3-gst-1.0, gstreamer1.0-plugins-good or gstreamer1.0-plugins-bad is not installed")


# -- replay -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("token", "camera"), [("rec-01", CAMERA), ("rec-02", NEWER)], ids=["h264", "h265"])
async def test_ffmpeg_plays_a_range_of_a_recording_without_knowing_onvif(block: Block, token: str, camera: SimDevice) -> None:
    """By play time, which counts from the oldest footage: ten pictures of the second day."""
    before = ("-rtsp_transport", "tcp", "-noaccurate_seek", "-ss", "86400")
    seen = await ffmpeg(url(block, STORE, f"replay/{token}"), SIZES["main"], "-frames:v", "10", before=before)
    assert seen == [(camera.id, shown) for shown in clocks(NOW - 29 * 86_400, 10)]


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_ffmpeg_ends_by_itself_where_the_footage_ends(block: Block, tmp_path: Path, transport: str) -> None:
    """It asks for the last two of 30 days in play time, and leaves at RTCP BYE with a TEARDOWN."""
    path, location = tmp_path / "stream", url(block, STORE, "replay/rec-01")
    inward = ("-v", "error", "-rtsp_transport", transport, "-analyzeduration", "300k", "-ss", str(30 * 86_400 - 2), "-i", location)
    code, _, said = await run(program("ffmpeg"), *inward, "-c", "copy", "-f", "h264", str(path))
    assert (code, said) == (0, "")
    expected = [(CAMERA.id, shown) for shown in clocks(NOW - 2, 25)]
    assert decoded(path, CAMERA) in (expected, expected[:24] if transport == "udp" else expected)  # BYE may overtake the last datagram
    assert not block.server.book.by_id


async def test_a_replay_across_the_edge_of_what_is_kept_begins_with_the_oldest_picture(block: Block) -> None:
    block.clock.advance(timedelta(days=3).total_seconds())
    seen = await ffmpeg(url(block, STORE, "replay/rec-01"), SIZES["main"], "-frames:v", "5", before=("-rtsp_transport", "tcp"))
    assert seen == [(CAMERA.id, shown) for shown in clocks(NOW - 27 * 86_400, 5)]


async def test_gstreamer_in_onvif_mode_plays_a_range_or_breaks_down_before_its_own_server_too(block: Block, tmp_path: Path) -> None:
    """rtspsrc of release 1.22 ends with a segmentation fault in ONVIF mode, whoever it talks to: seen here against GStreamer's server."""
    await _needs_gstreamer()
    path, start = tmp_path / "stream", NOW - 3600
    onvif = ("onvif", str(start + NTP_EPOCH_S), str(start + 10 + NTP_EPOCH_S))
    code, ended, said = await run(PYTHON, str(PLAYER), url(block, STORE, "replay/rec-01"), "tcp", "H264", "20", str(path), *onvif)
    if code == -signal.SIGSEGV:
        assert await _crashes_at_home(tmp_path, onvif)
        return
    assert (code, ended.split()[-1:]) == (0, [b"eos"]), said
    assert {shown for _, shown in decoded(path, CAMERA)} <= set(clocks(start - 2, 150))


async def _crashes_at_home(tmp_path: Path, onvif: Sequence[str]) -> bool:
    pipe = asyncio.subprocess.PIPE
    command = (PYTHON, str(SERVER), "camera", "PCMA", str(tmp_path / "heard"))
    server = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL)
    try:
        assert server.stdout is not None
        port = int(await server.stdout.readline())
        location = f"rtsp://127.0.0.1:{port}/speaker"
        code, _, _ = await run(PYTHON, str(PLAYER), location, "tcp", "H264", "20", str(tmp_path / "own"), *onvif)
        return code == -signal.SIGSEGV
    finally:
        server.kill()
        await server.wait()
