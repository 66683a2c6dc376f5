"""A stop that a loudspeaker owes: kept until it is silent, over deaths of the daemon, and told to people meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, time, timedelta
from typing import Any

import pytest

from gateway.broadcast import kept, silencing
from gateway.broadcast.kept import Keepable
from gateway.broadcast.service import Stopped
from gateway.clock import SystemClock
from gateway.domain.broadcast import (
    Broadcast,
    BroadcastId,
    ClipContent,
    Delivery,
    DeliveryState,
    Figures,
    OwedStop,
    Priority,
    Programme,
    Targets,
)
from gateway.domain.broadcast_rules import Loudness as Limit
from gateway.domain.broadcast_rules import SpeakingHours
from gateway.domain.hours import Hours
from gateway.drivers.base import Loaded
from gateway.storage.store import Tx
from gateway.storage.writer import Lane
from simulators.onvif import clips as simulated
from simulators.onvif.soap import Call, SoapFault
from simulators.onvif.unit import Unit
from tests.broadcast.house import ACTOR
from tests.broadcast.house import running as service_running
from tests.broadcast.pole import HORN, Pole
from tests.waiting import until


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
    loaded = await pole.speaker.open(Keepable(Programme(ClipContent(pole.clip)), await pole.prepared()).clip, prefer=(), timeout_s=5)
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
    asked = await pole.timed({"asked_at", "confirmed_at", "stop_asked_at"})
    assert await told(pole) == [silencing.MAY_STILL_SOUND_EVENT]
    deaf.clear()
    await until(lambda: may_sound(pole), wanted=lambda sounds: not sounds)
    assert (pole.plays, await told(pole), await owed(pole)) == (
        False, [silencing.MAY_STILL_SOUND_EVENT, silencing.FELL_SILENT_EVENT], 0,
    )  # fmt: skip
    silent = await pole.timed({"asked_at", "confirmed_at", "stop_asked_at", "silent_at"})
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
        before = await pole.timed({"asked_at", "confirmed_at", "stop_asked_at"})
        deaf.clear()
        await until(lambda: pole.volume == 80)
        assert not pole.plays
        times = await pole.timed({"asked_at", "confirmed_at", "stop_asked_at", "silent_at"})
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
