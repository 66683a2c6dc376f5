"""Broadcasts that a loudspeaker plays out of its own memory, over its real protocol: begun once, watched to the end, silenced at once."""

from __future__ import annotations

import array
import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import UTC, time, timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo import sound
from gateway.broadcast import kept, silencing
from gateway.broadcast.clips import ClipShelf, Labels
from gateway.broadcast.journal import CLIP_EVENT
from gateway.broadcast.kept import AHEAD, Keepable, KeptTurn, clips_ahead
from gateway.broadcast.orders import Order
from gateway.broadcast.rulebook import NEVER_QUIET
from gateway.broadcast.service import BroadcastService, Stopped
from gateway.broadcast.sessions import OpenSession
from gateway.broadcast.sound import SoundDesk, joined, stretched
from gateway.broadcast.stage import Manner
from gateway.broadcast.warmup import WarmUp
from gateway.clock import SimulatedClock, SystemClock
from gateway.domain.broadcast import (
    Broadcast,
    BroadcastId,
    ClipContent,
    ClipId,
    ClipTimes,
    Delivery,
    DeliveryState,
    Figures,
    OwedStop,
    Priority,
    Programme,
    Speech,
    Targets,
)
from gateway.domain.broadcast_rules import Loudness as Limit
from gateway.domain.broadcast_rules import SpeakingHours
from gateway.domain.city import City
from gateway.domain.devices import Credentials, Device, DeviceId, DeviceKind, Ports
from gateway.domain.health import Board
from gateway.domain.hours import Hours
from gateway.domain.speaking import SpeakerPath, SpeakerWays
from gateway.drivers.base import Loaded, Target
from gateway.drivers.http import Http
from gateway.drivers.onvif.clips import Clips
from gateway.drivers.onvif.device import OnvifDevice
from gateway.drivers.onvif.volume import Volumes
from gateway.drivers.speaker import BackchannelPath, Loudspeaker
from gateway.errors import AuthenticationFailed, DeviceError, DeviceFault, Unreachable
from gateway.media.clips import ClipPreparer, PreparedClip
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane
from simulators import http
from simulators.city import SimDevice, plan
from simulators.heard import Heard
from simulators.onvif import clips as simulated
from simulators.onvif.clips import SERVICE
from simulators.onvif.site import Site
from simulators.onvif.soap import Call, SoapFault
from simulators.onvif.unit import Unit
from simulators.rtsp import server as rtsp
from simulators.state import State
from tests.broadcast.house import ACTOR
from tests.broadcast.house import running as service_running
from tests.conftest import running as store_running
from tests.simulators.street import free_ports
from tests.waiting import until

HORN = DeviceId("horn")
SPOKEN = sound.speech_like(0.6)
START = SimulatedClock().now()


@dataclass
class Pole:
    """One loudspeaker that keeps clips, and a broadcast service that speaks through it."""

    horn: SimDevice
    state: State
    store: Store
    service: BroadcastService
    next_life: Callable[[], BroadcastService]
    speaker: Loudspeaker
    shelf: ClipShelf
    clip: ClipId
    hours: list[SpeakingHours]
    """The last ones hold."""

    async def say(self, name: str = "b", *, repeats: int = 1, priority: Priority = Priority.NOTICE, resume: bool = False) -> None:
        programme, not_after = Programme(ClipContent(self.clip), repeats=repeats), SystemClock().now() + timedelta(seconds=20)
        await self.service.submit(
            Order(BroadcastId(name), programme, Targets(speakers=(HORN,)), priority, not_after, ACTOR, resume=resume, again=True)
        )

    async def delivery(self, name: str = "b") -> Delivery:
        return (await self.service.get(BroadcastId(name))).deliveries[0]

    async def ended(self, name: str = "b") -> Delivery:
        return await until(lambda: self.delivery(name), wanted=lambda delivery: not delivery.open, within_s=60)

    @property
    def heard(self) -> Heard:
        return self.state.heard_by(self.horn)

    @property
    def volume(self) -> int | None:
        return self.state.cabinet(self.horn).volume

    @property
    def plays(self) -> bool:
        return self.heard.is_playing(int(self.state.now() * 1e9))

    def played(self) -> array.array[int]:
        return sound.read_wav(self.heard.wav(int(self.state.now() * 1e9)))


@pytest.fixture
async def pole(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Pole]:
    port, rtsp_port = free_ports(2)
    street, state, clock = plan(seed=7, groups=4, speakers=8, http_port=port, rtsp_port=rtsp_port), State(), SystemClock()
    horn = next(horn for horn in street.of_kind("speaker") if not horn.lacks and not state.quirks_of(horn))
    login, ladder = Credentials(horn.username, horn.password), [SpeakerPath.AUDIO_CLIP, SpeakerPath.BACKCHANNEL]
    target = Target(HORN, horn.address, Ports(onvif=port, rtsp=rtsp_port), login, speaker=SpeakerWays(paths=tuple(ladder)))
    onvif, city = OnvifDevice(target, Http(), clock), City()
    speaker = Loudspeaker(lambda: target, {SpeakerPath.BACKCHANNEL: BackchannelPath(onvif)}, clock, clips=Clips(onvif, clock))
    city.replace(devices=[Device(HORN, DeviceKind.SPEAKER, "horn", horn.address, target.ports)])

    async def verify(_: DeviceId) -> None:
        pass

    async with (
        http.listen(Site(street, state).lookup, port=port),
        rtsp.serve(street, rtsp_port, state),
        store_running(sqlite_url, clock) as store,
    ):
        shelf, hours = ClipShelf(store, tmp_path / "clips", ClipPreparer(), clock), [NEVER_QUIET]
        life = partial(
            BroadcastService, store=store, city=city, board=Board(), clock=clock, sounds=SoundDesk(shelf),
            speaker_of=lambda _: speaker, verify=verify, manner=Manner(lead_in_s=0.0, linger_s=0.1),
            hours=lambda: hours[-1], volume_of=lambda _: Volumes(onvif),
        )  # fmt: skip
        async with service_running(service := life()):
            clip = await shelf.add(sound.wav(SPOKEN), name="clip", actor=ACTOR)
            yield Pole(horn, state, store, service, life, speaker, shelf, clip.id, hours)


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[Unit, Call], str | Coroutine[Any, Any, str]]], None]:
    """Let loudspeakers answer an operation in another way."""
    assert isinstance(SERVICE.operations, dict)
    operations = SERVICE.operations
    return lambda name, answer: monkeypatch.setitem(operations, name, answer)


async def never() -> str:
    await asyncio.Event().wait()
    return ""


async def test_a_clip_is_played_by_the_device_itself_as_often_as_ordered(pole: Pole) -> None:
    await pole.say(repeats=2)
    delivery = await pole.ended()
    assert (delivery.state, delivery.reason, delivery.figures.path) == (DeliveryState.DONE, "", "audio-clip")
    assert (delivery.figures.packets, delivery.figures.first_packet_at) == (0, None)
    assert [(clip.runs, clip.pause_s) for clip in pole.heard.clips] == [(2, 1.0)]
    once = array.array("h", (await prepared(pole)).pcm)
    assert sound.snr_db(once + array.array("h", bytes(16_000)) + once, pole.played()) > 60


async def timed(pole: Pole, wanted: set[str], name: str = "b") -> ClipTimes:
    """The times of its clip, once those of them are on record that are wanted."""

    async def look() -> ClipTimes:
        return (await pole.delivery(name)).clip

    return await until(look, wanted=lambda times: times.known.keys() == wanted)


async def test_a_clip_that_ends_by_itself_has_the_times_at_which_it_was_asked_for_and_answered_and_no_packets(pole: Pole) -> None:
    before = SystemClock().now()
    await pole.say(repeats=2)
    figures = (await pole.ended()).figures
    times = await timed(pole, {"asked_at", "confirmed_at", "silent_at"})
    assert (figures.packets, figures.first_packet_at, figures.last_packet_at) == (0, None, None)
    assert before < times.known["asked_at"] < times.known["confirmed_at"] < times.known["silent_at"]
    assert times.known["silent_at"] - times.known["asked_at"] > timedelta(seconds=2.2)  # twice 0.6 s and a pause of 1 s
    events = [event for event in await pole.store.events.read_after(0, limit=1000) if event.type == CLIP_EVENT]
    told = {name: at.isoformat() for name, at in times.known.items()}
    assert (events[-1].subject, events[-1].data, events[-1].at) == ("b", {"speaker": HORN, **told}, times.silent_at)


async def test_while_it_plays_it_is_known_when_that_was_asked_and_once_stopped_when_it_was_told_and_answered(pole: Pole) -> None:
    await pole.say(repeats=9)
    begun = await timed(pole, {"asked_at", "confirmed_at"})
    pole.service.stop_all(ACTOR)
    times = await timed(pole, {"asked_at", "confirmed_at", "stop_asked_at", "silent_at"})
    assert (times.asked_at, times.confirmed_at) == (begun.asked_at, begun.confirmed_at)
    assert begun.known["confirmed_at"] < times.known["stop_asked_at"] < times.known["silent_at"]
    assert not pole.plays


async def prepared(pole: Pole) -> PreparedClip:
    return await pole.service._sounds.prepared(Programme(ClipContent(pole.clip)))


async def test_the_second_time_nothing_is_brought(pole: Pole, monkeypatch: pytest.MonkeyPatch) -> None:
    await pole.say("first")
    await pole.ended("first")
    monkeypatch.delattr(simulated, "upload")
    await pole.say("second")
    assert (await pole.ended("second")).state is DeliveryState.DONE
    assert len(pole.heard.clips) == 2


async def test_a_clip_is_on_record_as_playing_before_the_device_is_asked_to_play(pole: Pole, odd: Any) -> None:
    seen: list[DeliveryState] = []

    async def look(unit: Unit, call: Call) -> str:
        async with pole.store.read() as tx:
            (known,) = await tx.broadcasts.deliveries(BroadcastId("b"))
        seen.append(known.state)
        return simulated._play(unit, call)

    odd("PlayAudioClip", look)
    await pole.say()
    await pole.ended()
    assert seen == [DeliveryState.PLAYING]


async def test_stop_all_silences_the_device_in_the_middle(pole: Pole) -> None:
    await pole.say(repeats=9)
    await until(lambda: pole.plays)
    pole.service.stop_all(ACTOR)
    await until(lambda: not pole.plays)
    assert (await pole.ended()).reason == "stop-all"
    assert pole.heard.clips[0].stopped_ns is not None


async def test_what_is_more_important_silences_the_device_and_the_rest_goes_on_as_a_stream(pole: Pole) -> None:
    await pole.say("first", repeats=3, resume=True)
    await until(lambda: pole.plays)
    await pole.say("second", priority=Priority.EMERGENCY)
    assert (await pole.ended("second")).state is DeliveryState.DONE
    first = await pole.ended("first")
    assert (first.state, first.figures.path) == (DeliveryState.DONE, "backchannel")
    assert len(pole.heard.clips) == 2
    assert first.figures.packets > 0


async def test_stop_all_does_not_end_a_stop_that_a_slow_device_has_not_answered(pole: Pole, odd: Any) -> None:
    asked, door = 0, asyncio.Event()

    async def slow(unit: Unit, call: Call) -> str:
        nonlocal asked
        if call.text("Play") == "false":
            asked += 1
            if asked == 1:
                await door.wait()
                raise SoapFault("not now", "ter:Action")
        return simulated._play(unit, call)

    odd("PlayAudioClip", slow)
    await pole.say("first", repeats=9, resume=True)
    await until(lambda: pole.plays)
    await pole.say("second", priority=Priority.EMERGENCY)
    await until(lambda: asked == 1)
    pole.service.stop_all(ACTOR)
    assert (await pole.ended("first")).reason == "stop-all"
    door.set()
    await until(lambda: pole.heard.clips[0].stopped_ns is not None)


async def test_an_emergency_does_not_wait_for_a_device_that_does_not_answer_the_stop(pole: Pole, odd: Any) -> None:
    asked: list[str] = []

    def silent(unit: Unit, call: Call) -> str | Coroutine[Any, Any, str]:
        asked.append(call.text("Play"))
        return never() if asked == ["true", "false"] else simulated._play(unit, call)

    odd("PlayAudioClip", silent)
    await pole.say("first", repeats=9)
    await until(lambda: pole.plays)
    pole.clip = (await pole.shelf.add(sound.wav(sound.speech_like(0.5)), name="other", actor=ACTOR)).id
    await pole.say("second", priority=Priority.EMERGENCY)
    await until(lambda: len(asked) > 2)
    assert asked == ["true", "false", "true"]
    assert (await pole.ended("second")).state is DeliveryState.DONE
    await until(lambda: asked == ["true", "false", "true", "false"])


async def test_a_device_is_asked_to_play_when_the_session_before_has_ended_even_in_an_emergency(pole: Pole, odd: Any) -> None:
    class Hung:
        closed = asyncio.Event()

        async def close(self) -> None:
            asyncio.get_running_loop().call_later(0.5, self.closed.set)
            await self.closed.wait()

    session, ended = Hung(), []

    def look(unit: Unit, call: Call) -> str:
        ended.append(session.closed.is_set())
        return simulated._play(unit, call)

    odd("PlayAudioClip", look)
    pole.service._farewells.begin(HORN, cast(OpenSession, session))
    await pole.say(priority=Priority.EMERGENCY)
    assert (await pole.ended()).state is DeliveryState.DONE
    assert ended == [True]


async def test_a_device_that_answers_nothing_once_it_was_asked_to_play_is_called_unknown(pole: Pole, odd: Any) -> None:
    def lost(_unit: Unit, _call: Call) -> str:
        raise SoapFault("gone", "ter:Action")

    odd("GetPlayingAudioClips", lost)
    await pole.say()
    delivery = await pole.ended()
    assert (delivery.state, delivery.reason) == (DeliveryState.UNKNOWN, "clip-unanswered")


async def test_a_wish_to_play_that_nobody_answers_is_not_repeated_and_called_unknown(
    pole: Pole, odd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "PLAY_S", 0.3)
    asked: list[str] = []

    def swallow(_unit: Unit, call: Call) -> str | Coroutine[Any, Any, str]:
        asked.append(call.text("Play"))
        return never() if call.text("Play") == "true" else ""

    odd("PlayAudioClip", swallow)
    await pole.say()
    delivery = await pole.ended()
    assert (delivery.state, delivery.reason) == (DeliveryState.UNKNOWN, "clip-unanswered")
    await until(lambda: asked == ["true", "false"])  # so that it does not come late


async def test_where_the_answer_is_lost_and_the_device_says_that_it_plays_it_is_believed(
    pole: Pole, odd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "PLAY_S", 0.2)

    def play_in_silence(unit: Unit, call: Call) -> str | Coroutine[Any, Any, str]:
        simulated._play(unit, call)
        return never()

    odd("PlayAudioClip", play_in_silence)
    await pole.say(repeats=2)
    assert (await pole.ended()).state is DeliveryState.DONE
    assert len(pole.heard.clips) == 1


async def test_a_device_that_will_not_play_is_told_as_failed_and_not_asked_again(pole: Pole, odd: Any) -> None:
    asked = 0

    def refuse(_unit: Unit, _call: Call) -> str:
        nonlocal asked
        asked += 1
        raise SoapFault("not now", "ter:Action")

    odd("PlayAudioClip", refuse)
    await pole.say()
    delivery = await pole.ended()
    assert (delivery.state, delivery.reason, asked) == (DeliveryState.FAILED, "fault", 1)
    assert (await timed(pole, {"asked_at"})).confirmed_at is None


@pytest.mark.parametrize(
    ("lost", "asked"),
    [
        (Unreachable("no way", code="no-route"), False),
        (AuthenticationFailed("not with this password"), False),
        (DeviceFault("not now"), True),
        (Unreachable("broken off", code="reset"), True),
    ],
)
async def test_a_device_was_asked_only_where_it_can_have_heard_it(lost: DeviceError, asked: bool, clock: SimulatedClock) -> None:
    class Lost:
        async def play(self, token: str, *, repeats: int, timeout_s: float) -> None:
            raise lost

        async def stop(self, token: str, *, timeout_s: float) -> None:
            raise lost

        async def playing(self, *, timeout_s: float) -> list[str]:
            return []

    turn = KeptTurn(Loaded(Lost(), "t", cast(Any, clip_of(1))), 0, clock)
    with pytest.raises((DeviceError, kept.Unanswered)):
        await turn.begin()
    turn.over = False
    stopping = asyncio.create_task(turn.silence())
    await clock.advance(10)
    await stopping
    assert turn.times == (ClipTimes(asked_at=START, stop_asked_at=START) if asked else ClipTimes())


async def test_a_clip_that_somebody_else_ends_is_told_as_cut_short(pole: Pole, odd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "LOOK_S", 0.1)
    monkeypatch.setattr(kept.KeptTurn, "_look_s", 0.1)
    await pole.say(repeats=9)
    await until(lambda: pole.plays)
    pole.heard.clips[0].stopped_ns = int(pole.state.now() * 1e9)
    assert (await pole.ended()).reason == "clip-cut-short"


async def test_a_device_that_does_not_tell_what_it_plays_is_trusted_for_the_time_of_the_clip(pole: Pole, odd: Any) -> None:
    def unknown(_unit: Unit, _call: Call) -> str:
        raise SoapFault("no such operation", "ter:ActionNotSupported", code="Receiver")

    odd("GetPlayingAudioClips", unknown)
    await pole.say()
    assert (await pole.ended()).state is DeliveryState.DONE
    await until(lambda: len(pole.played()) >= len(SPOKEN))  # its clock and ours tell the end to a millisecond or so


async def test_a_device_that_refuses_the_clip_is_streamed_to(pole: Pole, odd: Any) -> None:
    def full(_unit: Unit, _call: Call) -> str:
        raise SoapFault("no room for another clip", "ter:Action", "ter:MaxAudioClips", code="Receiver")

    odd("AddAudioClip", full)
    await pole.say()
    delivery = await pole.ended()
    assert (delivery.state, delivery.figures.path) == (DeliveryState.DONE, "backchannel")


async def test_clips_with_the_tag_are_at_the_device_before_they_are_wanted(pole: Pole, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = pole.shelf
    await shelf.change(pole.clip, Labels("clip", tags=("road", AHEAD)), level=False, actor=ACTOR)
    other = await shelf.add(sound.wav(sound.speech_like(0.3)), name="other", actor=ACTOR)
    warm_up = WarmUp(city=pole.service._city, clock=SystemClock(), speaker_of=lambda _: pole.speaker, ahead=partial(clips_ahead, shelf))
    assert await warm_up.round() == 0
    assert pole.speaker.learned()["audio clips"].startswith("1 of ours")
    monkeypatch.delattr(simulated, "upload")
    await pole.say()
    assert (await pole.ended()).figures.path == "audio-clip"
    assert other.tags == ()


# -- what is owed -----------------------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stops that fail are tried again at once."""
    monkeypatch.setattr(kept, "_STOPS", (0.0, 0.0, 0.0))
    for name in ("_FIRST_PAUSE_S", "_LONGEST_PAUSE_S", "_LOOK_S"):
        monkeypatch.setattr(silencing, name, 0.05)


@pytest.fixture
def deaf(odd: Any, quick: None, pole: Pole) -> list[str]:
    """Loudspeakers that refuse to be silent while there is a word in the list, to which each refusal adds one."""
    words = ["refuse"]

    def answer(unit: Unit, call: Call) -> str:
        if call.text("Play") == "false" and words:
            rightly = any(one.state is DeliveryState.PLAYING for one in pole.service.follow(BroadcastId("second"))())
            words.append("wrong" if rightly else "no")
            raise SoapFault("not now", "ter:Action")
        return simulated._play(unit, call)

    odd("PlayAudioClip", answer)
    return words


async def owed(pole: Pole) -> int:
    async with pole.store.read() as tx:
        return len(await tx.owed_stops.all())


async def may_sound(pole: Pole, name: str = "b") -> bool:
    return HORN in (await pole.service.get(BroadcastId(name))).may_sound


async def told(pole: Pole) -> list[str]:
    await pole.service.written()
    kinds = [event.type for event in await pole.store.events.read_after(0, limit=1000)]
    return [kind for kind in kinds if kind in (silencing.MAY_STILL_SOUND_EVENT, silencing.FELL_SILENT_EVENT)]


async def test_a_life_that_ends_between_the_end_of_a_delivery_and_its_stop_leaves_the_stop_to_the_next(
    pole: Pole, monkeypatch: pytest.MonkeyPatch
) -> None:
    grave = asyncio.Event()

    async def die(_turn: kept.KeptTurn) -> None:
        await grave.wait()

    monkeypatch.setattr(kept.KeptTurn, "silence", die)
    await pole.say(repeats=9)
    await until(lambda: pole.plays)
    await pole.service.cancel(BroadcastId("b"), ACTOR)
    async with pole.store.read() as tx:
        assert [one.state for one in await tx.broadcasts.deliveries(BroadcastId("b"))] == [DeliveryState.CANCELLED]
    assert (await owed(pole), pole.plays) == (1, True)
    try:
        async with service_running(pole.next_life()):
            await until(lambda: not pole.plays)
            await until(lambda: owed(pole), wanted=lambda left: left == 0)
    finally:
        grave.set()


async def test_what_played_when_a_life_ended_is_silenced_by_the_next(pole: Pole) -> None:
    loaded = await pole.speaker.open(Keepable(Programme(ClipContent(pole.clip)), await prepared(pole)).clip, prefer=(), timeout_s=5)
    assert isinstance(loaded, Loaded)
    await loaded.player.play(loaded.token, repeats=9, timeout_s=5)
    now = SystemClock().now()
    wanted = Broadcast(
        BroadcastId("old"), Programme(ClipContent(pole.clip)), Targets(speakers=(HORN,)), Priority.NOTICE, now + timedelta(60), now, ACTOR
    )
    playing = Delivery(wanted.id, HORN, DeliveryState.PLAYING, now, figures=Figures(path="audio-clip"))

    async def before(tx: Tx) -> None:
        await tx.broadcasts.add(wanted, [playing])
        await tx.owed_stops.owe(OwedStop(wanted.id, HORN, loaded.token, now, now + timedelta(seconds=60)))

    await pole.store.writer.write(before, lane=Lane.BROADCAST)
    assert pole.plays
    async with service_running(pole.next_life()):
        await until(lambda: not pole.plays)
        await until(lambda: owed(pole), wanted=lambda left: left == 0)
    assert (await pole.ended("old")).state is DeliveryState.UNKNOWN


async def test_a_device_that_refuses_to_be_silent_is_asked_until_it_is(pole: Pole, deaf: list[str]) -> None:
    await pole.say(repeats=9)
    await until(lambda: pole.plays)
    await pole.service.cancel(BroadcastId("b"), ACTOR)
    await until(lambda: len(deaf) > 5)
    assert (pole.plays, await may_sound(pole), await owed(pole)) == (True, True, 1)
    asked = await timed(pole, {"asked_at", "confirmed_at", "stop_asked_at"})
    assert await told(pole) == [silencing.MAY_STILL_SOUND_EVENT]
    deaf.clear()
    await until(lambda: may_sound(pole), wanted=lambda sounds: not sounds)
    assert (pole.plays, await told(pole), await owed(pole)) == (
        False, [silencing.MAY_STILL_SOUND_EVENT, silencing.FELL_SILENT_EVENT], 0,
    )  # fmt: skip
    silent = await timed(pole, {"asked_at", "confirmed_at", "stop_asked_at", "silent_at"})
    assert silent == replace(asked, silent_at=silent.silent_at)


async def test_a_device_that_plays_on_stays_as_quiet_as_it_was_made_until_its_clip_is_silent_also_after_a_restart(
    pole: Pole, deaf: list[str]
) -> None:
    pole.state.cabinets[pole.horn.id] = pole.state.cabinet(pole.horn).changed({"volume": 80})
    pole.hours.append(SpeakingHours(UTC, quiet=(), volume=(Limit(Hours(time(0), time(0)), 40),)))
    await pole.say(repeats=9)
    await until(lambda: pole.plays)
    assert pole.volume == 40
    await pole.service.cancel(BroadcastId("b"), ACTOR)
    await until(lambda: len(deaf) > 5)
    assert (pole.plays, await may_sound(pole), pole.volume) == (True, True, 40)
    asked = len(deaf)
    async with service_running(pole.next_life()):
        await until(lambda: len(deaf) > asked + 2)
        assert (pole.plays, pole.volume) == (True, 40)
        before = await timed(pole, {"asked_at", "confirmed_at", "stop_asked_at"})
        deaf.clear()
        await until(lambda: pole.volume == 80)
        assert not pole.plays
        times = await timed(pole, {"asked_at", "confirmed_at", "stop_asked_at", "silent_at"})
        assert times == replace(before, silent_at=times.silent_at)


async def test_stop_all_asks_at_once_and_names_whom_it_could_not_silence_also_of_what_ended_before(
    pole: Pole, deaf: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silencing, "_FIRST_PAUSE_S", 600.0)
    monkeypatch.setattr(silencing, "_LONGEST_PAUSE_S", 600.0)
    await pole.say(repeats=9)
    await until(lambda: pole.plays)
    await pole.service.cancel(BroadcastId("b"), ACTOR)
    assert pole.service.stop_all(ACTOR) == Stopped(0, 0, (HORN,))
    assert await pole.service.silent(within_s=0.2) == [HORN]
    deaf.clear()
    pole.service.stop_all(ACTOR)
    assert await pole.service.silent(within_s=30) == []
    assert (pole.plays, pole.service.stop_all(ACTOR)) == (False, Stopped(0, 0))


async def test_a_device_that_never_answers_is_believed_silent_once_the_clip_is_over_by_its_length(
    pole: Pole, deaf: list[str], odd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(_unit: Unit, _call: Call) -> str:
        raise SoapFault("gone", "ter:Action")

    monkeypatch.setattr(silencing, "MARGIN_S", 0.3)
    odd("GetPlayingAudioClips", lost)
    await pole.say()
    await until(lambda: pole.plays)
    pole.service.stop_all(ACTOR)
    assert await pole.service.silent(within_s=30) == []
    assert len(deaf) > 1


async def test_an_old_stop_does_not_silence_the_very_same_clip_when_it_is_rightly_played_again(pole: Pole, deaf: list[str]) -> None:
    await pole.say("first", repeats=9)
    await until(lambda: pole.plays)
    await pole.service.cancel(BroadcastId("first"), ACTOR)
    await until(lambda: len(deaf) > 3)
    await pole.say("second")
    second = await pole.ended("second")
    assert (second.state, second.reason, "wrong" in deaf) == (DeliveryState.DONE, "", False)
    deaf.clear()
    assert await until(lambda: owed(pole), wanted=lambda left: left == 0) == 0


# -- what is given to keep --------------------------------------------------------------------------------------------


def clip_of(samples: int) -> PreparedClip:
    pcm = array.array("h", (1 + index % 1000 for index in range(samples))).tobytes()
    return PreparedClip(pcm, {"PCMU": bytes(1 + index % 200 for index in range(samples))})


@given(st.integers(1, 400), st.integers(1, 5), st.sampled_from([0.0, 0.5, 1.0, 2.0]), st.booleans())
def test_content_is_kept_once_where_the_device_can_repeat_it_and_whole_where_it_cannot(
    samples: int, repeats: int, pause_s: float, chime: bool
) -> None:
    content, programme = clip_of(samples), Programme(ClipContent(ClipId("c")), chime=chime, repeats=repeats, pause_s=pause_s)
    pause = stretched(PreparedClip(bytes(200), {"PCMU": b"\xff" * 100}), pause_s)
    whole = joined([*([clip_of(77)] if chime else []), content, *[pause, content] * (repeats - 1)])
    given_ = Keepable(programme, whole)
    if repeats > 1 and not chime and pause_s != 0.5:
        assert (given_.clip.pcm, given_.clip.mulaw, given_.repeats) == (content.pcm, content.encodings["PCMU"], repeats - 1)
        assert given_.clip.interval_s == pause_s
    else:
        assert (given_.clip.pcm, given_.repeats, given_.clip.interval_s) == (whole.pcm, 0, 0)


def test_what_is_spoken_from_text_is_not_kept_for_long() -> None:
    assert not Keepable(Programme(Speech("早上好")), clip_of(10)).clip.lasting
    assert Keepable(Programme(ClipContent(ClipId("c"))), clip_of(10)).clip.lasting
