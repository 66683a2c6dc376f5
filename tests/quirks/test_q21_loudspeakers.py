"""Q21: loudspeakers that refuse Require, take one talker, want packets of their own, play late, lose the first moments, or hold talks."""

import array
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from demo import sound
from gateway.broadcast.clips import ClipShelf
from gateway.broadcast.orders import Order
from gateway.broadcast.service import BroadcastService
from gateway.broadcast.sound import SoundDesk
from gateway.broadcast.stage import Manner
from gateway.clock import SystemClock
from gateway.domain.broadcast import BroadcastId, ClipContent, Delivery, DeliveryState, Priority, Programme, Targets
from gateway.domain.city import City
from gateway.domain.devices import Credentials, Device, DeviceId, DeviceKind, Ports
from gateway.domain.health import Board
from gateway.domain.quirks import Quirk, Quirks
from gateway.domain.speaking import SpeakerPath, by_quirks
from gateway.drivers.base import DeviceClip, Loaded, Target
from gateway.drivers.http import Http
from gateway.drivers.onvif.clips import Clips
from gateway.drivers.onvif.device import OnvifDevice
from gateway.drivers.profiles.drafts import SpeakerDraft
from gateway.drivers.speaker import BackchannelPath, Loudspeaker
from gateway.errors import Busy
from gateway.media.clips import ClipPreparer
from simulators import http
from simulators.city import Parameters, SimDevice, plan
from simulators.onvif.site import Site
from simulators.rtsp import methods
from simulators.rtsp import server as rtsp
from simulators.rtsp.message import Response
from simulators.state import State
from tests.broadcast.house import ACTOR
from tests.broadcast.house import running as service_running
from tests.conftest import running as store_running
from tests.simulators.street import free_ports
from tests.waiting import until

pytestmark = pytest.mark.quirk("Q21")
ENCODINGS = ("PCMA", "PCMU")


@dataclass
class Pole:
    """One simulated loudspeaker and the gateway's driver of it."""

    horn: SimDevice
    state: State
    server: rtsp.RtspServer
    target: Target

    def has(self, switch: str, parameters: Parameters | None = None, *, known: bool = False) -> None:
        """Give the loudspeaker a quirk; `known`: the gateway's profile says so, too."""
        self.state.switch_quirk(self.horn, switch, parameters or {})
        if known:
            quirks = Quirks({switch: Quirk("Q21", switch, parameters or {})})
            self.target = replace(self.target, quirks=quirks, speaker=by_quirks(quirks))

    def speaker(self) -> Loudspeaker:
        target, clock = self.target, SystemClock()
        paths = {SpeakerPath.BACKCHANNEL: BackchannelPath(OnvifDevice(target, Http(), clock))}
        return Loudspeaker(lambda: target, paths, clock)

    @property
    def asked(self) -> int:
        return self.state.counters["rtsp.requests.speaker"]

    def snr_db(self, meant: bytes) -> float:
        """How faithfully the horn played what was meant."""
        heard = sound.read_wav(self.state.heard[self.horn.id].wav(0))
        return sound.snr_db(array.array("h", meant), heard, longest_lead_s=3.0)


@pytest.fixture
async def pole() -> AsyncIterator[Pole]:
    port, rtsp_port, _ = free_ports(3)
    city, state = plan(seed=7, groups=4, speakers=1, http_port=port, rtsp_port=rtsp_port), State()
    horn = city.of_kind("speaker")[0]
    for switch in state.quirks_of(horn):
        state.switch_quirk(horn, switch, None)
    target = Target(DeviceId("horn"), horn.address, Ports(onvif=port, rtsp=rtsp_port), Credentials(horn.username, horn.password))
    async with http.listen(Site(city, state).lookup, port=port), rtsp.serve(city, rtsp_port, state) as server:
        yield Pole(horn, state, server, target)


async def broadcast(pole: Pole, url: str, folder: Path) -> tuple[Delivery, bytes]:
    """One clip through the whole broadcast service; what became of it, and the clip as it was prepared."""
    clock, city, speaker = SystemClock(), City(), pole.speaker()
    city.replace(devices=[Device(DeviceId("horn"), DeviceKind.SPEAKER, "horn", pole.horn.address, pole.target.ports)])

    async def verify(_: DeviceId) -> None:
        pass

    async with store_running(url, clock) as store:
        shelf = ClipShelf(store, folder / "clips", ClipPreparer(), clock)
        service = BroadcastService(
            store=store, city=city, board=Board(), clock=clock, sounds=SoundDesk(shelf),
            speaker_of=lambda _: speaker, verify=verify, manner=Manner(lead_in_s=0.0, linger_s=0.1),
        )  # fmt: skip
        async with service_running(service):
            kept = await shelf.add(sound.wav(sound.speech_like(0.7)), name="clip", actor=ACTOR)
            not_after = clock.now() + timedelta(seconds=20)
            order = Order(
                BroadcastId("b"), Programme(ClipContent(kept.id)), Targets(speakers=(DeviceId("horn"),)), Priority.NOTICE, not_after, ACTOR
            )
            await service.submit(order)
            async for event in store.events.follow(after=0):
                if event.type == "broadcast.ended":
                    break
            view = await service.get(BroadcastId("b"))
            return view.deliveries[0], (await shelf.prepared(kept.id)).pcm


async def assert_heard_whole(pole: Pole, url: str, folder: Path) -> None:
    delivery, meant = await broadcast(pole, url, folder)
    assert (delivery.state, delivery.reason) == (DeliveryState.DONE, "")
    assert pole.snr_db(meant) > 30


async def test_a_refused_require_is_left_out_at_once_and_ever_after(pole: Pole) -> None:
    pole.has("refuses-require")
    speaker = pole.speaker()
    first, second = await asked_for_a_word(pole, speaker), await asked_for_a_word(pole, speaker)
    assert second == first - 1
    assert not pole.server.book.by_id


async def asked_for_a_word(pole: Pole, speaker: Loudspeaker) -> int:
    """How many requests it took to say something."""
    before = pole.asked
    session = await speaker.open_audio(prefer=ENCODINGS, timeout_s=5)
    assert session.send(b"\xd5" * 160, timestamp=0, marker=True)
    await session.close()
    return pole.asked - before


async def test_a_known_refusal_of_require_is_not_even_met(pole: Pole) -> None:
    pole.has("refuses-require", known=True)
    session = await pole.speaker().open_audio(prefer=ENCODINGS, timeout_s=5)
    asked = pole.asked
    await session.close()
    assert asked == 4  # DESCRIBE, refused and logged in, SETUP, PLAY


async def test_a_firmware_that_has_learnt_require_is_asked_by_it_again(pole: Pole) -> None:
    pole.has("refuses-require")
    speaker = pole.speaker()
    await asked_for_a_word(pole, speaker)
    pole.state.switch_quirk(pole.horn, "refuses-require", None)
    first, second = await asked_for_a_word(pole, speaker), await asked_for_a_word(pole, speaker)
    assert second == first - 1


async def test_who_wants_require_everywhere_gets_it_everywhere(pole: Pole, sqlite_url: str, tmp_path: Path) -> None:
    pole.has("requires-everywhere")
    await assert_heard_whole(pole, sqlite_url, tmp_path)


@pytest.mark.parametrize("status", [453, 503])
async def test_a_speaker_in_use_is_busy_and_is_left_as_it_was(pole: Pole, status: int, sqlite_url: str, tmp_path: Path) -> None:
    pole.has("single-talker", {"status": status})
    first = await pole.speaker().open_audio(prefer=ENCODINGS, timeout_s=5)
    with pytest.raises(Busy):
        await pole.speaker().open_audio(prefer=ENCODINGS, timeout_s=5)
    delivery, _ = await broadcast(pole, sqlite_url, tmp_path)
    assert (delivery.state, delivery.reason) == (DeliveryState.FAILED, "busy")
    assert len(pole.server.book.by_id) == 1
    await first.close()
    await (await pole.speaker().open_audio(prefer=ENCODINGS, timeout_s=5)).close()


async def test_packets_are_as_large_as_the_model_wants_them(pole: Pole, sqlite_url: str, tmp_path: Path) -> None:
    pole.has("packet-bytes", {"bytes": 1024}, known=True)
    await assert_heard_whole(pole, sqlite_url, tmp_path)
    arrivals = pole.state.heard[pole.horn.id].arrivals()
    assert {(packet["bytes"], packet["timestamp"], packet["marker"]) for packet in arrivals} == {(1024, 0, True)}


async def test_a_late_buffer_is_waited_for(pole: Pole, sqlite_url: str, tmp_path: Path) -> None:
    pole.has("late-buffer", {"seconds": 0.5}, known=True)
    await assert_heard_whole(pole, sqlite_url, tmp_path)


async def test_silence_is_sent_where_the_first_moments_are_lost(pole: Pole, sqlite_url: str, tmp_path: Path) -> None:
    pole.has("loses-first", {"ms": 300}, known=True)
    await assert_heard_whole(pole, sqlite_url, tmp_path)


async def test_a_talk_whose_connection_broke_is_ended_all_the_same(pole: Pole) -> None:
    pole.has("lingering-talk", {"seconds": 60})
    session = await pole.speaker().open_audio(prefer=ENCODINGS, timeout_s=5)
    for connection in tuple(pole.server.connections):
        connection.reset()
    await until(lambda: session.ended)
    await session.close()
    again = await pole.speaker().open_audio(prefer=ENCODINGS, timeout_s=5)
    assert not again.ended
    await again.close()


# -- what a profile says of speaking, without a quirk -----------------------------------------------------------------


def speaks(pole: Pole, **ways: Any) -> None:
    """Let the loudspeaker's profile say this in its section `speaker`."""
    said = SpeakerDraft.model_validate(ways).ways(pole.target.speaker)
    pole.target = replace(pole.target, speaker=said)


@pytest.mark.parametrize(
    ("switch", "parameters", "ways"),
    [
        ("packet-bytes", {"bytes": 1024}, {"backchannel": {"packet_bytes": 1024, "zero_timestamps": True}}),
        ("late-buffer", {"seconds": 0.5}, {"buffer_ms": 500}),
        ("loses-first", {"ms": 300}, {"lead_in_ms": 300}),
        ("refuses-require", {}, {"backchannel": {"require": False}}),
    ],
)
async def test_what_a_profile_says_beside_its_quirks_does_the_same(
    pole: Pole, sqlite_url: str, tmp_path: Path, switch: str, parameters: Parameters, ways: dict[str, Any]
) -> None:
    pole.has(switch, parameters)
    speaks(pole, **ways)
    await assert_heard_whole(pole, sqlite_url, tmp_path)


@pytest.mark.parametrize(("zero", "stamps"), [(True, {0}), (False, set())])
async def test_stamps_of_nothing_but_zero_are_sent_to_whom_they_please(
    pole: Pole, sqlite_url: str, tmp_path: Path, zero: bool, stamps: set[int]
) -> None:
    speaks(pole, backchannel={"zero_timestamps": zero})
    await broadcast(pole, sqlite_url, tmp_path)
    arrivals = pole.state.heard[pole.horn.id].arrivals()
    assert {packet["bytes"] for packet in arrivals} == {160}
    assert ({packet["timestamp"] for packet in arrivals} == stamps, all(packet["marker"] for packet in arrivals)) == (zero, zero)


@pytest.mark.parametrize(("carriers", "taken"), [(["udp"], "udp"), (["tcp", "udp"], "tcp"), (["udp", "tcp"], "udp")])
async def test_the_sound_comes_by_the_carrier_that_the_model_prefers(pole: Pole, carriers: list[str], taken: str) -> None:
    speaks(pole, backchannel={"carriers": carriers})
    await (await pole.speaker().open_audio(prefer=ENCODINGS, timeout_s=5)).close()
    assert [session.transport for session in pole.state.heard[pole.horn.id].sessions] == [taken]


@pytest.mark.parametrize("kind", ["get-parameter", "set-parameter", "options"])
async def test_a_session_is_kept_by_what_the_model_wants_to_be_asked(pole: Pole, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    asked: list[str] = []

    def noting(method: str) -> Callable[[methods.Exchange], Response]:
        answer = methods.METHODS[method]

        def note(exchange: methods.Exchange) -> Response:
            asked.append(method)
            return answer(exchange)

        return note

    monkeypatch.setattr(methods, "TIMEOUT_S", 2)
    for method in ("GET_PARAMETER", "SET_PARAMETER", "OPTIONS"):
        monkeypatch.setitem(methods.METHODS, method, noting(method))
    speaks(pole, backchannel={"keep_alive": kind})
    session = await pole.speaker().open_audio(prefer=ENCODINGS, timeout_s=5)
    await until(lambda: asked, within_s=60)
    await session.close()
    assert set(asked) == {kind.upper().replace("-", "_")}


@pytest.mark.parametrize("single", [True, False])
async def test_where_only_one_may_talk_another_path_is_not_tried_and_where_more_may_it_is(pole: Pole, single: bool) -> None:
    first = await pole.speaker().open_audio(prefer=ENCODINGS, timeout_s=5)
    speaks(pole, paths=["backchannel", "audio-clip"], single_talker=single)
    clip, clock = DeviceClip("a" * 64, bytes(320), bytes(160)), SystemClock()
    onvif = OnvifDevice(pole.target, Http(), clock)
    speaker = Loudspeaker(lambda: pole.target, {SpeakerPath.BACKCHANNEL: BackchannelPath(onvif)}, clock, clips=Clips(onvif, clock))
    if single:
        with pytest.raises(Busy):
            await speaker.open(clip, prefer=ENCODINGS, timeout_s=5)
    else:
        assert isinstance(await speaker.open(clip, prefer=ENCODINGS, timeout_s=5), Loaded)
    await first.close()
