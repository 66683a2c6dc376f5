"""Broadcasts that a loudspeaker plays out of its own memory, over its real protocol: begun once, watched to the end, silenced at once."""

from __future__ import annotations

import array
import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from functools import partial
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo import sound
from gateway.broadcast import kept
from gateway.broadcast.clips import Labels
from gateway.broadcast.journal import CLIP_EVENT
from gateway.broadcast.kept import AHEAD, Keepable, KeptTurn, clips_ahead
from gateway.broadcast.sessions import OpenSession
from gateway.broadcast.sound import joined, stretched
from gateway.broadcast.warmup import WarmUp
from gateway.clock import SimulatedClock, SystemClock
from gateway.domain.broadcast import BroadcastId, ClipContent, ClipId, ClipTimes, DeliveryState, Priority, Programme, Speech
from gateway.drivers.base import Loaded
from gateway.errors import AuthenticationFailed, DeviceError, DeviceFault, Unreachable
from gateway.media.clips import PreparedClip
from simulators.onvif import clips as simulated
from simulators.onvif.soap import Call, SoapFault
from simulators.onvif.unit import Unit
from tests.broadcast.house import ACTOR
from tests.broadcast.pole import HORN, SPOKEN, Pole, never
from tests.waiting import until

START = SimulatedClock().now()


async def test_a_clip_is_played_by_the_device_itself_as_often_as_ordered(pole: Pole) -> None:
    await pole.say(repeats=2)
    delivery = await pole.ended()
    assert (delivery.state, delivery.reason, delivery.figures.path) == (DeliveryState.DONE, "", "audio-clip")
    assert (delivery.figures.packets, delivery.figures.first_packet_at) == (0, None)
    assert [(clip.runs, clip.pause_s) for clip in pole.heard.clips] == [(2, 1.0)]
    once = array.array("h", (await pole.prepared()).pcm)
    assert sound.snr_db(once + array.array("h", bytes(16_000)) + once, pole.played()) > 60


async def test_a_clip_that_ends_by_itself_has_the_times_at_which_it_was_asked_for_and_answered_and_no_packets(pole: Pole) -> None:
    before = SystemClock().now()
    await pole.say(repeats=2)
    figures = (await pole.ended()).figures
    times = await pole.timed({"asked_at", "confirmed_at", "silent_at"})
    assert (figures.packets, figures.first_packet_at, figures.last_packet_at) == (0, None, None)
    assert before < times.known["asked_at"] < times.known["confirmed_at"] < times.known["silent_at"]
    assert times.known["silent_at"] - times.known["asked_at"] > timedelta(seconds=2.2)  # twice 0.6 s and a pause of 1 s
    events = [event for event in await pole.store.events.read_after(0, limit=1000) if event.type == CLIP_EVENT]
    told = {name: at.isoformat() for name, at in times.known.items()}
    assert (events[-1].subject, events[-1].data, events[-1].at) == ("b", {"speaker": HORN, **told}, times.silent_at)


async def test_while_it_plays_it_is_known_when_that_was_asked_and_once_stopped_when_it_was_told_and_answered(pole: Pole) -> None:
    await pole.say(repeats=9)
    begun = await pole.timed({"asked_at", "confirmed_at"})
    pole.service.stop_all(ACTOR)
    times = await pole.timed({"asked_at", "confirmed_at", "stop_asked_at", "silent_at"})
    assert (times.asked_at, times.confirmed_at) == (begun.asked_at, begun.confirmed_at)
    assert begun.known["confirmed_at"] < times.known["stop_asked_at"] < times.known["silent_at"]
    assert not pole.plays


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
    assert (await pole.timed({"asked_at"})).confirmed_at is None


async def test_a_device_that_keeps_clips_and_knows_no_way_to_play_them_is_streamed_to_and_not_asked_again(pole: Pole, odd: Any) -> None:
    asked = 0

    def unknown(_unit: Unit, _call: Call) -> str:
        nonlocal asked
        asked += 1
        raise SoapFault("no such operation", "ter:ActionNotSupported", code="Receiver")

    odd("PlayAudioClip", unknown)
    for name in ("first", "second"):
        await pole.say(name)
        delivery = await pole.ended(name)
        assert (delivery.state, delivery.reason, delivery.figures.path, asked) == (DeliveryState.DONE, "", "backchannel", 1)
    assert pole.speaker.learned()["path audio-clip"].startswith("no-audio-clips")
    whole = array.array("h", (await pole.prepared()).pcm)
    assert sound.snr_db(whole + whole, pole.played()) > 30


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
