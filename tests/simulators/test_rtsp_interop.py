"""The simulated cameras and recorders as ordinary players see them: FFmpeg and GStreamer of the system."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator

import pytest

from simulators.city import SimDevice
from tests.simulators.block import CAMERA, RECORDER, Block, rtsp_block

pytestmark = pytest.mark.interop


@pytest.fixture
async def block() -> AsyncIterator[Block]:
    async with rtsp_block() as running:
        yield running


def program(name: str, package: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name}: {package} is not installed")
    return path


def url(block: Block, target: SimDevice, path: str) -> str:
    return f"rtsp://{target.username}:{target.password}@{target.address}:{block.port}/{path}"


async def run(*command: str, within_s: float = 30) -> str:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    try:
        async with asyncio.timeout(within_s):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode == 0, output.decode()
    return output.decode()


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_ffprobe_knows_the_live_picture(block: Block, transport: str) -> None:
    command = (
        program("ffprobe", "ffmpeg"),
        "-v",
        "error",
        "-rtsp_transport",
        transport,
        "-of",
        "json",
        "-show_streams",
        "-analyzeduration",
        "500k",
    )
    (stream,) = json.loads(await run(*command, url(block, CAMERA, "live/main")))["streams"]
    assert (stream["codec_name"], stream["profile"], stream["width"], stream["height"]) == ("h264", "High", 320, 180)
    assert stream["avg_frame_rate"] == "25/2"


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_ffmpeg_plays_live_without_a_complaint(block: Block, transport: str) -> None:
    options = ("-v", "warning", "-rtsp_transport", transport, "-analyzeduration", "300k", "-i", url(block, CAMERA, "live/sub"))
    assert await run(program("ffmpeg", "ffmpeg"), *options, "-frames:v", "10", "-f", "null", "-") == ""


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_ffmpeg_plays_a_recording_without_knowing_onvif(block: Block, transport: str) -> None:
    options = ("-v", "warning", "-rtsp_transport", transport, "-analyzeduration", "300k", "-i", url(block, RECORDER, "replay/rec-01"))
    assert await run(program("ffmpeg", "ffmpeg"), *options, "-frames:v", "10", "-f", "null", "-") == ""


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_ffmpeg_ends_by_itself_where_the_footage_ends(block: Block, transport: str) -> None:
    """It asks for the last two of 30 days in play time, and leaves at RTCP BYE with a TEARDOWN."""
    location = url(block, RECORDER, "replay/rec-01")
    options = ("-v", "error", "-rtsp_transport", transport, "-analyzeduration", "300k", "-ss", str(30 * 86_400 - 2), "-i", location)
    await run(program("ffmpeg", "ffmpeg"), *options, "-c", "copy", "-f", "null", "-", within_s=20)
    assert not block.server.book.by_id


GSTREAMER = """
import sys, gi
gi.require_version("Gst", "1.0")
from gi.repository import Gst
Gst.init(None)
line = Gst.parse_launch(f"rtspsrc location={sys.argv[1]} protocols={sys.argv[2]} latency=0 ! rtph264depay ! h264parse ! "
                        "identity eos-after=10 ! fakesink sync=false")
line.set_state(Gst.State.PLAYING)
message = line.get_bus().timed_pop_filtered(20 * Gst.SECOND, Gst.MessageType.ERROR | Gst.MessageType.EOS)
line.set_state(Gst.State.NULL)
print("nothing came" if message is None else message.type.first_value_nick)
"""


@pytest.mark.parametrize("protocols", ["tcp", "udp"])
async def test_gstreamer_plays_live(block: Block, protocols: str) -> None:
    python = "/usr/bin/python3"
    probe = await asyncio.create_subprocess_exec(python, "-c", "from gi.repository import Gst", stderr=asyncio.subprocess.DEVNULL)
    if await probe.wait():
        pytest.skip("GStreamer: python3-gst-1.0 or gir1.2-gstreamer-1.0 is not installed")
    assert (await run(python, "-c", GSTREAMER, url(block, CAMERA, "live/main"), protocols)).split()[-1] == "eos"
