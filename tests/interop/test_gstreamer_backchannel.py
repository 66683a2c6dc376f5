"""GStreamer's ONVIF server hears what the gateway broadcasts: another people's implementation of the backchannel."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.broadcast.clips import ClipShelf
from gateway.broadcast.performance import Manner
from gateway.broadcast.service import BroadcastService, Order
from gateway.clock import SystemClock
from gateway.domain.broadcast import BroadcastId, Delivery, DeliveryState, Priority, Targets
from gateway.domain.city import City
from gateway.domain.devices import Credentials, Device, DeviceId, DeviceKind, Ports
from gateway.domain.health import Board
from gateway.drivers.base import Target
from gateway.drivers.rtsp.backchannel import Backchannel, SpeakerRtsp, open_audio
from gateway.drivers.rtsp.session import Transport
from gateway.media.clips import ClipPreparer
from tests.broadcast.house import ACTOR
from tests.broadcast.house import running as service_running
from tests.conftest import running as store_running
from tests.media.g711 import DECODERS
from tests.media.test_clips import mp3, snr_db, tone, wav

pytestmark = pytest.mark.interop
HORN = DeviceId("horn")
LEAD_IN_S = 0.1


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
    clip: bytes, peer: Peer, manner: SpeakerRtsp, credentials: Credentials, url: str, folder: Path
) -> tuple[Delivery, bytes]:
    """One broadcast of `clip` through the whole service; what became of it, and the clip as it was prepared."""
    clock, city = SystemClock(), City()
    city.replace(devices=[Device(HORN, DeviceKind.SPEAKER, "horn", "127.0.0.1", Ports(rtsp=peer.port))])
    target = Target(HORN, "127.0.0.1", Ports(rtsp=peer.port), credentials)

    async def verify(_: DeviceId) -> None:
        return None

    async with store_running(url, clock) as store:
        shelf = ClipShelf(store, folder / "clips", ClipPreparer(), clock)
        service = BroadcastService(
            store=store, city=city, board=Board(), clock=clock, shelf=shelf,
            speaker_of=lambda _: Horn(target, manner), verify=verify, manner=Manner(lead_in_s=LEAD_IN_S, linger_s=1.0),
        )  # fmt: skip
        async with service_running(service):
            kept = await shelf.add(clip, name="clip", actor=ACTOR)
            not_after = clock.now() + timedelta(seconds=20)
            order = Order(BroadcastId("b"), kept.id, Targets(speakers=(HORN,)), Priority.NOTICE, not_after, ACTOR)
            await service.submit(order)
            async for event in store.events.follow(after=0):
                if event.type == "broadcast.ended":
                    break
            view = await service.get(BroadcastId("b"))
            return view.deliveries[0], (await shelf.prepared(kept.id)).pcm


@pytest.mark.parametrize("encoding", ["PCMA", "PCMU"])
@pytest.mark.parametrize("login", [(), ("operator", "secret")], ids=["open", "digest"])
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


@pytest.mark.parametrize("transport", Transport)
async def test_a_camera_that_shows_pictures_meanwhile_hears_an_mp3(transport: Transport, sqlite_url, tmp_path) -> None:
    manner = SpeakerRtsp(path="/speaker", transports=(transport,))
    async with gstreamer(tmp_path, "camera", "PCMA", ("operator", "secret")) as peer:
        delivery, meant = await broadcast(mp3(tone(1)), peer, manner, Credentials("operator", "secret"), sqlite_url, tmp_path)
    assert delivery.state is DeliveryState.DONE
    heard = DECODERS["PCMA"](peer.heard)[int(LEAD_IN_S * 8000) * 2 :]
    assert snr_db(heard[: len(meant)], meant) > 30


async def test_a_wrong_password_is_named_and_nothing_is_heard(sqlite_url, tmp_path) -> None:
    manner = SpeakerRtsp(path="/speaker")
    async with gstreamer(tmp_path, "horn", "PCMA", ("operator", "secret")) as peer:
        delivery, _ = await broadcast(wav(tone(0.2)), peer, manner, Credentials("operator", "wrong"), sqlite_url, tmp_path)
    assert (delivery.state, delivery.reason) == (DeliveryState.FAILED, "bad-credentials")
    assert peer.heard == b""
