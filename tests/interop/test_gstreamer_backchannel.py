"""GStreamer's ONVIF server hears what the gateway broadcasts: another people's implementation of the backchannel."""

import array
import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.domain.broadcast import Delivery, DeliveryState, Speech
from gateway.domain.devices import Credentials, Ports
from gateway.drivers.base import Target
from gateway.drivers.rtsp.backchannel import Backchannel, SpeakerRtsp, open_audio
from gateway.drivers.rtsp.session import Transport
from tests.interop.speaking import HORN, LEAD_IN_S, spoken, talked
from tests.media.g711 import DECODERS
from tests.media.test_clips import mp3, snr_db, tone, wav
from tests.sweeps import clearest_db, sweeps

pytestmark = pytest.mark.interop


LOGIN = ("operator", "secret")


@dataclass
class Peer:
    port: int
    file: Path
    encoding: str

    @property
    def heard(self) -> bytes:
        return self.file.read_bytes() if self.file.exists() else b""


@dataclass
class Horn:
    """The peer as a loudspeaker whose path is known."""

    target: Target
    manner: SpeakerRtsp

    async def open_audio(self, *, prefer: Sequence[str], timeout_s: float) -> Backchannel:
        return await open_audio(self.target, prefer=prefer, timeout_s=timeout_s, manner=self.manner)


@contextlib.asynccontextmanager
async def gstreamer(folder: Path, kind: str, encoding: str, login: tuple[str, ...] = ()) -> AsyncIterator[Peer]:
    program = Path(__file__).with_name("gstreamer_speaker.py")
    check = "import gi; gi.require_version('GstRtspServer', '1.0')"
    if shutil.which("/usr/bin/python3") is None or await _run("/usr/bin/python3", "-c", check):
        pytest.skip("a foreign loudspeaker: gir1.2-gst-rtsp-server-1.0 or python3-gi is not installed")
    pipe = asyncio.subprocess.PIPE
    file = folder / "heard"
    command = ("/usr/bin/python3", str(program), kind, encoding, str(file), *login)
    server = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    try:
        assert server.stdout is not None
        yield Peer(int(await server.stdout.readline()), file, encoding)
    finally:
        assert server.stdin is not None
        server.stdin.close()
        await server.wait()


async def _run(*command: str) -> int:
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    return await process.wait()


async def broadcast(
    content: bytes | Speech, peer: Peer, manner: SpeakerRtsp, credentials: Credentials, url: str, folder: Path
) -> tuple[Delivery, bytes]:
    """One broadcast through the whole service; what became of it, and the sound as it was prepared."""
    target = Target(HORN, "127.0.0.1", Ports(rtsp=peer.port), credentials)
    return await spoken(content, Horn(target, manner), url, folder)


@pytest.mark.parametrize("encoding", ["PCMA", "PCMU"])
@pytest.mark.parametrize("login", [(), LOGIN], ids=["open", "digest"])
@pytest.mark.parametrize("transport", Transport)
async def test_gstreamer_hears_the_whole_clip(transport: Transport, login: tuple[str, ...], encoding: str, sqlite_url, tmp_path) -> None:
    manner = SpeakerRtsp(path="/speaker", transports=(transport,))
    async with gstreamer(tmp_path, "horn", encoding, login) as peer:
        delivery, meant = await broadcast(wav(tone(1)), peer, manner, Credentials(*login), sqlite_url, tmp_path)
    assert (delivery.state, delivery.reason, delivery.figures.encoding) == (DeliveryState.DONE, "", encoding)
    assert delivery.figures.packets == 55
    assert len(peer.heard) == 55 * 160
    heard = DECODERS[encoding](peer.heard)[int(LEAD_IN_S * 8000) * 2 :]
    assert snr_db(heard, meant) > 30


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="speech from text: espeak-ng is not installed")
@pytest.mark.parametrize("encoding", ["PCMA", "PCMU"])
@pytest.mark.parametrize("transport", Transport)
async def test_gstreamer_hears_a_text(transport: Transport, encoding: str, sqlite_url, tmp_path) -> None:
    manner = SpeakerRtsp(path="/speaker", transports=(transport,))
    async with gstreamer(tmp_path, "horn", encoding, LOGIN) as peer:
        delivery, meant = await broadcast(Speech("请离开 Thank you"), peer, manner, Credentials(*LOGIN), sqlite_url, tmp_path)
    assert (delivery.state, delivery.reason, delivery.figures.encoding) == (DeliveryState.DONE, "", encoding)
    heard = DECODERS[encoding](peer.heard)[int(LEAD_IN_S * 8000) * 2 :]
    assert len(meant) > 2 * 8000
    assert snr_db(heard[: len(meant)], meant) > 30


@pytest.mark.parametrize("encoding", ["PCMA", "PCMU"])
@pytest.mark.parametrize("transport", Transport)
async def test_gstreamer_hears_somebody_who_speaks_live(transport: Transport, encoding: str, sqlite_url, tmp_path) -> None:
    async with gstreamer(tmp_path, "horn", encoding, LOGIN) as peer:
        horn = Horn(
            Target(HORN, "127.0.0.1", Ports(rtsp=peer.port), Credentials(*LOGIN)), SpeakerRtsp(path="/speaker", transports=(transport,))
        )
        delivery = await talked(sweeps(6, rate=16_000).tobytes(), horn, sqlite_url, tmp_path)
    assert (delivery.state, delivery.reason, delivery.figures.encoding) == (DeliveryState.DONE, "", encoding)
    assert clearest_db(array.array("h", DECODERS[encoding](peer.heard))) > 30


@pytest.mark.parametrize("transport", Transport)
async def test_a_camera_that_shows_pictures_meanwhile_hears_an_mp3(transport: Transport, sqlite_url, tmp_path) -> None:
    manner = SpeakerRtsp(path="/speaker", transports=(transport,))
    async with gstreamer(tmp_path, "camera", "PCMA", LOGIN) as peer:
        delivery, meant = await broadcast(mp3(tone(1)), peer, manner, Credentials(*LOGIN), sqlite_url, tmp_path)
    assert delivery.state is DeliveryState.DONE
    heard = DECODERS["PCMA"](peer.heard)[int(LEAD_IN_S * 8000) * 2 :]
    assert snr_db(heard[: len(meant)], meant) > 30


async def test_a_wrong_password_is_named_and_nothing_is_heard(sqlite_url, tmp_path) -> None:
    manner = SpeakerRtsp(path="/speaker")
    async with gstreamer(tmp_path, "horn", "PCMA", LOGIN) as peer:
        delivery, _ = await broadcast(wav(tone(0.2)), peer, manner, Credentials("operator", "wrong"), sqlite_url, tmp_path)
    assert (delivery.state, delivery.reason) == (DeliveryState.FAILED, "bad-credentials")
    assert peer.heard == b""


@pytest.mark.parametrize("transport", Transport)
async def test_a_second_talker_is_told_that_the_loudspeaker_is_busy(transport: Transport, sqlite_url, tmp_path) -> None:
    manner = SpeakerRtsp(path="/speaker", transports=(transport,))
    async with gstreamer(tmp_path, "single", "PCMA", LOGIN) as peer:
        horn = Horn(Target(HORN, "127.0.0.1", Ports(rtsp=peer.port), Credentials(*LOGIN)), manner)
        first = await horn.open_audio(prefer=("PCMA",), timeout_s=5)
        refused, _ = await broadcast(wav(tone(0.2)), peer, manner, Credentials(*LOGIN), sqlite_url, tmp_path)
        assert (refused.state, refused.reason) == (DeliveryState.FAILED, "busy")
        await first.close()
        await (await horn.open_audio(prefer=("PCMA",), timeout_s=5)).close()
    assert peer.heard == b""
