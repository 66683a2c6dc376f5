"""GStreamer speaks to a simulated loudspeaker: another people's client of the ONVIF backchannel."""

import asyncio
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from demo import sound
from tests.simulators.block import SPEAKER, Block, city_of, rtsp_block
from tests.waiting import until

pytestmark = pytest.mark.interop
PROGRAM = Path(__file__).with_name("gstreamer_talker.py")
PYTHON = "/usr/bin/python3"
CHECK = (
    "import gi; gi.require_version('Gst', '1.0'); from gi.repository import Gst; Gst.init(None); assert Gst.ElementFactory.find('rtspsrc')"
)


async def speak(block: Block, file: Path, *, transport: str, encoding: str, password: str = SPEAKER.password) -> tuple[int, str]:
    """Let GStreamer speak a WAV file; how it ended and what it said."""
    if shutil.which(PYTHON) is None or (await _run(PYTHON, "-c", CHECK))[0]:
        pytest.skip("a foreign talker: gstreamer1.0-plugins-good or python3-gi is not installed")
    url = f"rtsp://{SPEAKER.address}:{block.port}/audio"
    return await _run(PYTHON, str(PROGRAM), url, SPEAKER.username, password, transport, encoding, str(file))


async def _run(*command: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    async with asyncio.timeout(60):
        _, said = await process.communicate()
    return process.returncode or 0, said.decode(errors="replace")


@pytest.mark.parametrize("encoding", ["PCMA", "PCMU"])
@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_the_horn_plays_what_gstreamer_says(transport: str, encoding: str, tmp_path: Path) -> None:
    spoken = sound.speech_like(1.0)
    file = tmp_path / "speech.wav"
    file.write_bytes(sound.wav(spoken))
    async with rtsp_block() as block:
        ended, said = await speak(block, file, transport=transport, encoding=encoding)
        assert ended == 0, said
        await until(lambda: not block.server.book.by_id)
        heard = block.state.heard[SPEAKER.id]
    (session,) = heard.sessions
    assert (session.transport, session.encoding, session.refused, session.missing_samples) == (transport, encoding, 0, 0)
    assert session.ended_ns is not None
    assert sound.snr_db(spoken, sound.read_wav(heard.wav(0))) > 30
    arrivals = [arrival["arrival_ns"] for arrival in heard.arrivals()]
    assert all(before <= after for before, after in pairwise(arrivals))
    assert 0.7e9 < arrivals[-1] - arrivals[0] < 2e9  # a second of speech, spoken at its own pace


async def test_gstreamer_tells_its_password_to_a_speaker_that_knows_only_basic(tmp_path: Path) -> None:
    file = tmp_path / "speech.wav"
    file.write_bytes(sound.wav(sound.speech_like(0.2)))
    async with rtsp_block(city_of(replace(SPEAKER, rtsp_algorithm="Basic"))) as block:
        ended, said = await speak(block, file, transport="tcp", encoding="PCMA")
    assert ended == 0, said
    assert block.state.heard[SPEAKER.id].packets == 10


async def test_gstreamer_is_refused_with_a_wrong_password(tmp_path: Path) -> None:
    file = tmp_path / "speech.wav"
    file.write_bytes(sound.wav(sound.speech_like(0.2)))
    async with rtsp_block() as block:
        ended, said = await speak(block, file, transport="tcp", encoding="PCMA", password="wrong")
    assert ended == 1
    assert "Unauthorized" in said
    assert SPEAKER.id not in block.state.heard
