"""Live talks over the real service, store and pacer, on the tests' own clock."""

import asyncio
import contextlib
import math
from array import array
from collections.abc import AsyncIterator, Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gateway.broadcast.orders import Rules
from gateway.broadcast.recordings import RecordingShelf
from gateway.broadcast.talk import DeliveryWord, EndWord, LevelWord, LiveTalk, TalkDesk, Word
from gateway.clock import SimulatedClock
from gateway.domain.broadcast import DeliveryState, Priority, Programme, Talk
from gateway.domain.broadcast_ledger import Recording, RecordingState
from gateway.domain.broadcast_rules import SpeakingHours
from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor, ActorKind, Person
from gateway.domain.talk import TalkBounds, TalkEnd
from gateway.errors import Busy, Conflict, Forbidden, InvalidInput, NotFound
from gateway.storage.store import Store
from tests.broadcast.house import ACTOR, House, broken, events_of, furnished, running
from tests.media.g711 import DECODERS
from tests.sweeps import clearest_db, sweeps
from tests.waiting import until

BOUNDS = TalkBounds(silent_s=5, lost_s=1, longest_s=20)
FRAME = 640
VOICE = array("h", (round(9_000 * math.sin(2 * math.pi * 700 * n / 16_000)) for n in range(320))).tobytes()
SHANGHAI = ZoneInfo("Asia/Shanghai")


class Hall:
    """A house in which people talk, with what each was told."""

    def __init__(self, house: House, desk: TalkDesk, recordings: RecordingShelf) -> None:
        self.house, self.desk, self.recordings = house, desk, recordings
        self.words: dict[LiveTalk, list[Word]] = {}
        self._listeners: list[asyncio.Task[None]] = []

    async def begin(self, name: str = "t1", *speakers: str, **changes: object) -> LiveTalk:
        order = self.house.order(name, *speakers, **{"programme": Programme(Talk()), "priority": Priority.TALK, **changes})
        talk = await self.desk.begin(order)
        self.words[talk] = []
        self._listeners.append(asyncio.create_task(self._listen(talk)))
        return talk

    async def _listen(self, talk: LiveTalk) -> None:
        async for word in talk.words():
            self.words[talk].append(word)

    async def say(self, talk: LiveTalk, pcm: bytes) -> None:
        """Speak, a frame every 20 ms of the house's time."""
        for at in range(0, len(pcm), FRAME):
            talk.hear(pcm[at : at + FRAME].ljust(FRAME, b"\0"))
            await self.house.clock.advance(0.02)

    async def on_air(self, talk: LiveTalk, frame: bytes = bytes(FRAME)) -> None:
        await until(lambda: talk.times.on_air is not None, meanwhile=lambda: self.say(talk, frame))

    async def end(self, talk: LiveTalk) -> EndWord:
        """The last word, time passing until it comes."""
        await until(talk.finished.is_set, meanwhile=lambda: self.house.clock.advance(0.02))
        return await until(lambda: next((word for word in self.words[talk] if isinstance(word, EndWord)), None))

    def states(self, talk: LiveTalk) -> list[str]:
        return [word.delivery.state.value for word in self.words[talk] if isinstance(word, DeliveryWord)]


@contextlib.asynccontextmanager
async def going(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Have it done meanwhile."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def talking_in(house: House, folder: Path, *, record: bool = True) -> AsyncIterator[Hall]:
    recordings = RecordingShelf(house.store, folder / "recordings", house.clock, keep_for=timedelta(days=90))
    desk = TalkDesk(broadcasts=house.service, clock=house.clock, bounds=BOUNDS, recordings=recordings if record else None)
    working = asyncio.create_task(desk.run())
    try:
        await asyncio.sleep(0)
        yield Hall(house, desk, recordings)
    finally:
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working


@pytest.fixture
async def hall(house: House, tmp_path: Path) -> AsyncIterator[Hall]:
    async with talking_in(house, tmp_path) as opened:
        yield opened


# -- what is heard ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["PCMA", "PCMU"])
async def test_a_voice_is_heard_as_it_was_said(hall: Hall, encoding: str) -> None:
    loudspeaker = hall.house.speakers[DeviceId("s1")]
    loudspeaker.encoding = encoding
    talk = await hall.begin()
    await hall.on_air(talk)
    await hall.say(talk, sweeps(2, rate=16_000).tobytes())
    talk.end(TalkEnd.RELEASED)
    end = await hall.end(talk)
    assert (end.reason, [delivery.state for delivery in end.view.deliveries]) == ("released", [DeliveryState.DONE])
    assert clearest_db(array("h", DECODERS[encoding](loudspeaker.sound))) > 30
    assert hall.states(talk)[-2:] == ["playing", "done"]


async def test_all_loudspeakers_of_a_talk_hear_the_same(hall: Hall) -> None:
    hall.house.speakers[DeviceId("s2")].encoding = "PCMU"
    talk = await hall.begin("t1", "s1", "s2")
    await hall.on_air(talk)
    await hall.say(talk, VOICE * 50)
    talk.end(TalkEnd.RELEASED)
    await hall.end(talk)
    heard = [DECODERS[encoding](hall.house.speakers[DeviceId(name)].sound) for name, encoding in (("s1", "PCMA"), ("s2", "PCMU"))]
    assert len(heard[0]) == len(heard[1])


async def test_a_key_that_is_let_go_at_once_leaves_nothing_open(hall: Hall) -> None:
    talk = await hall.begin()
    look = hall.house.service.follow(talk.id)
    await until(lambda: look()[0].state is DeliveryState.PLAYING)
    talk.end(TalkEnd.RELEASED)
    (delivery,) = (await hall.end(talk)).view.deliveries
    assert (delivery.state, delivery.reason, delivery.figures.packets) == (DeliveryState.FAILED, "nothing-sent", 0)
    await hall.house.service.written()
    assert (await hall.house.view("t1")).recording.state is RecordingState.EMPTY
    async with hall.house.store.read() as tx:
        assert not await tx.broadcasts.open()
    after = await hall.begin("t2")
    await hall.on_air(after)


async def test_that_it_is_heard_is_on_the_disk_before_the_first_packet(hall: Hall) -> None:
    talk = await hall.begin()
    await hall.on_air(talk)
    async with hall.house.store.read() as tx:
        assert [delivery.state for _, delivery in await tx.broadcasts.open()] == [DeliveryState.PLAYING]


async def test_the_talker_sees_how_loud_the_voice_is(hall: Hall) -> None:
    talk = await hall.begin()
    await hall.on_air(talk)
    await hall.say(talk, VOICE * 50)
    levels = [word for word in hall.words[talk] if isinstance(word, LevelWord)]
    assert levels[-1].level.rms_db == pytest.approx(-14.2, abs=0.2)
    assert levels[-1].on_air_s == pytest.approx(1.0, abs=0.3)


# -- how it ends ------------------------------------------------------------------------------------------------------


async def test_a_talk_in_which_nothing_is_said_ends(hall: Hall) -> None:
    talk = await hall.begin()
    await hall.on_air(talk)
    await hall.say(talk, VOICE * 10 + bytes(FRAME) * 245)
    assert talk.ended == ""
    await hall.say(talk, bytes(FRAME) * 20)
    assert (await hall.end(talk)).reason == "talk-silent"


async def test_a_talk_whose_frames_stay_away_ends(hall: Hall) -> None:
    talk = await hall.begin()
    await hall.on_air(talk, VOICE)
    await hall.house.clock.advance(0.9)
    assert talk.ended == ""
    await hall.house.clock.advance(0.2)
    assert (await hall.end(talk)).reason == "talk-lost"


async def test_a_talk_ends_when_it_takes_too_long(hall: Hall) -> None:
    talk = await hall.begin()
    await hall.on_air(talk, VOICE)
    await hall.say(talk, VOICE * (20 * 50 + 10))
    assert (await hall.end(talk)).reason == "talk-too-long"


async def test_frames_that_come_faster_than_anybody_speaks_end_it(hall: Hall) -> None:
    talk = await hall.begin()
    await hall.on_air(talk, VOICE)
    for _ in range(300):
        talk.hear(VOICE)
    assert (await hall.end(talk)).reason == "talk-flooded"


async def test_stop_all_ends_it_at_once_and_says_so(hall: Hall) -> None:
    talk = await hall.begin()
    await hall.on_air(talk, VOICE)
    packets = len(hall.house.speakers[DeviceId("s1")].sessions[0].packets)
    hall.house.service.stop_all(ACTOR)
    await hall.say(talk, VOICE * 5)
    assert len(hall.house.speakers[DeviceId("s1")].sessions[0].packets) == packets
    assert (await hall.end(talk)).reason == "stop-all"


async def test_an_emergency_takes_the_loudspeaker_from_a_talker_who_is_told(hall: Hall) -> None:
    talk = await hall.begin()
    await hall.on_air(talk, VOICE)
    await hall.house.service.submit(hall.house.order("b1", priority=Priority.EMERGENCY))
    assert (await hall.end(talk)).reason == "preempted"
    view = await hall.house.ended("b1")
    assert [delivery.state for delivery in view.deliveries] == [DeliveryState.DONE]


async def test_a_talk_takes_the_loudspeaker_from_a_notice(hall: Hall) -> None:
    await hall.house.service.submit(hall.house.order("b1", resume=False))
    await hall.house.heard()
    talk = await hall.begin()
    await hall.on_air(talk, VOICE)
    assert (await hall.house.delivery("b1")).state is DeliveryState.PREEMPTED


async def test_one_who_lets_go_before_anybody_hears_it_is_never_heard(hall: Hall) -> None:
    loudspeaker = hall.house.speakers[DeviceId("s1")]
    loudspeaker.opens.clear()
    talk = await hall.begin()
    await loudspeaker.asked.wait()
    talk.end(TalkEnd.RELEASED)
    end = await hall.end(talk)
    loudspeaker.opens.set()
    await hall.house.clock.advance(1)
    assert [(one.state, one.reason) for one in end.view.deliveries] == [(DeliveryState.CANCELLED, "released")]
    assert not loudspeaker.sound


async def test_a_talk_ends_where_quiet_hours_begin(store: Store, clock: SimulatedClock, tmp_path: Path) -> None:
    clock.step(datetime(2026, 6, 1, 21, 59, 55, tzinfo=SHANGHAI).astimezone(UTC) - clock.now())
    house = await furnished(store, clock, tmp_path / "clips")
    house.hours = SpeakingHours(SHANGHAI)
    async with running(house.service), talking_in(house, tmp_path) as hall:
        talk = await hall.begin()
        await hall.on_air(talk, VOICE)
        await hall.say(talk, VOICE * 300)
        end = await hall.end(talk)
        assert (end.reason, end.view.deliveries[0].state) == ("quiet-hours", DeliveryState.DONE)
        with pytest.raises(Forbidden) as refused:
            await hall.begin("t2")
        assert refused.value.code == "quiet-hours"
        allowed = await hall.begin("t3", override="a burst main", may_override=True)
        await hall.on_air(allowed, VOICE)


async def test_talks_end_with_the_gateway_and_what_was_said_is_kept(house: House, tmp_path: Path) -> None:
    async with talking_in(house, tmp_path) as hall:
        talk = await hall.begin()
        await hall.on_air(talk, VOICE)
        await hall.say(talk, VOICE * 10)
    assert talk.ended == "gateway-stopped"
    assert (await hall.recordings.read(talk.id, ACTOR))[0].duration_ms > 150


# -- who may ----------------------------------------------------------------------------------------------------------


async def test_one_person_speaks_at_a_loudspeaker_and_the_second_is_told_at_once(hall: Hall) -> None:
    first = await hall.begin("t1")
    await hall.on_air(first, VOICE)
    second = await hall.begin("t2")
    end = await hall.end(second)
    assert [(one.state, one.reason) for one in end.view.deliveries] == [(DeliveryState.FAILED, "speaker-busy")]
    assert end.reason == "speaker-busy"
    assert first.ended in {"", "talk-lost"}


async def test_a_device_that_lets_nobody_else_talk_is_reported_as_busy(hall: Hall) -> None:
    hall.house.speakers[DeviceId("s1")].failure = Busy("453")
    end = await hall.end(await hall.begin())
    assert (end.reason, end.view.deliveries[0].state) == ("busy", DeliveryState.FAILED)


async def test_a_talk_cannot_be_begun_twice(hall: Hall) -> None:
    talk = await hall.begin()
    with pytest.raises(Conflict) as refused:
        await hall.begin()
    assert refused.value.code == "talk-again"
    await hall.on_air(talk, VOICE)


async def test_what_reaches_further_than_one_person_may_waits_for_a_second(store: Store, clock: SimulatedClock, tmp_path: Path) -> None:
    house = await furnished(store, clock, tmp_path / "clips")
    house.rules = replace(Rules(max_speakers=1), max_speakers_approved=3)
    house.service = house.make_service()
    async with running(house.service), talking_in(house, tmp_path) as hall:
        talk = await hall.begin("t1", "s1", "s2")
        await hall.say(talk, VOICE * 20)
        assert talk.times.on_air is None
        await house.service.approve(talk.id, Person(Actor(ActorKind.API_KEY, "key-2"), "Wang"))
        await hall.on_air(talk, VOICE)


# -- the record -------------------------------------------------------------------------------------------------------


async def test_what_was_said_is_kept_and_who_listens_is_on_record(hall: Hall) -> None:
    talk = await hall.begin()
    await hall.on_air(talk)
    await hall.say(talk, VOICE * 50)
    talk.end(TalkEnd.RELEASED)
    await hall.end(talk)
    await hall.house.service.written()
    recording, data = await hall.recordings.read(talk.id, ACTOR)
    assert recording.duration_ms == pytest.approx(1_000, abs=100)
    assert data[:4] == b"RIFF"
    async with hall.house.store.read() as tx:
        rows = await tx.audit.page()
    assert [row.entry.subject for row in rows if row.entry.action == "broadcast.listen"] == [talk.id]
    ended = (await events_of(hall.house, "broadcast.talk-ended"))[0]
    assert (ended.subject, ended.data["reason"], ended.data["recording"]) == (talk.id, "released", recording.sha256)
    assert (await hall.house.view("t1")).recording == recording


async def test_a_recording_begins_with_the_first_piece_that_is_sent(hall: Hall) -> None:
    loudspeaker = hall.house.speakers[DeviceId("s1")]
    loudspeaker.opens.clear()
    talk = await hall.begin()
    await hall.say(talk, VOICE * 10)
    assert (await hall.house.view("t1")).recording == Recording(talk.id, RecordingState.UNDER_WAY)
    loudspeaker.opens.set()
    look = hall.house.service.follow(talk.id)
    await until(lambda: look()[0].state is DeliveryState.PLAYING)
    talk.hear(VOICE)  # before anybody has looked whether it is on air
    assert talk.times.on_air is None
    assert (len(talk.tape.pcm), talk.tape.began_at) == (FRAME // 2, hall.house.clock.now())


async def test_a_recording_that_the_disk_does_not_take_is_on_record_as_failed(hall: Hall, tmp_path: Path) -> None:
    (tmp_path / "recordings").write_text("in the way")
    talk = await hall.begin()
    await hall.on_air(talk)
    await hall.say(talk, VOICE * 10)
    talk.end(TalkEnd.RELEASED)
    recording = (await hall.end(talk)).view.recording
    assert (recording.state, recording.reason, recording.sha256) == (RecordingState.FAILED, "storage-failed", "")
    assert recording.duration_ms >= 200
    await hall.house.service.written()
    assert [event.data["reason"] for event in await events_of(hall.house, "broadcast.recording-failed")] == ["storage-failed"]


async def test_what_became_of_a_recording_is_told_once_the_store_takes_it(hall: Hall) -> None:
    talk = await hall.begin()
    await hall.on_air(talk)
    async with broken(hall.house.store, "recordings"):
        talk.end(TalkEnd.RELEASED)
        await hall.end(talk)
    async with going(hall.recordings.run()):
        await until(lambda: told(hall), meanwhile=lambda: hall.house.clock.advance(1))


async def told(hall: Hall) -> bool:
    return (await hall.house.view("t1")).recording.state is RecordingState.KEPT


async def test_a_recording_that_a_former_life_of_the_gateway_left_is_on_record_as_lost(hall: Hall, tmp_path: Path) -> None:
    talk = await hall.begin()
    hall.house.clock.step(timedelta(seconds=1))
    later = RecordingShelf(hall.house.store, tmp_path / "recordings", hall.house.clock, keep_for=timedelta(days=90))
    async with going(later.run()):
        await until(lambda: lost(hall))
    talk.end(TalkEnd.RELEASED)


async def lost(hall: Hall) -> bool:
    recording = (await hall.house.view("t1")).recording
    return (recording.state, recording.reason) == (RecordingState.FAILED, "recording-lost")


async def test_a_recording_goes_when_its_time_is_over(hall: Hall, tmp_path: Path) -> None:
    kept = await hall_with_recording(hall)
    hall.house.clock.step(timedelta(days=89))
    assert await hall.recordings.sweep() == 0
    hall.house.clock.step(timedelta(days=2))
    assert await hall.recordings.sweep() == 1
    assert not (tmp_path / "recordings" / kept.sha256).exists()
    with pytest.raises(NotFound) as missing:
        await hall.recordings.read(kept.broadcast, ACTOR)
    assert missing.value.code == "no-recording"


async def hall_with_recording(hall: Hall):
    talk = await hall.begin()
    await hall.on_air(talk)
    await hall.say(talk, VOICE * 10)
    talk.end(TalkEnd.RELEASED)
    await hall.end(talk)
    return (await hall.recordings.read(talk.id, ACTOR))[0]


async def test_nothing_is_kept_where_nobody_wants_recordings(house: House, tmp_path: Path) -> None:
    async with talking_in(house, tmp_path, record=False) as hall:
        talk = await hall.begin()
        await hall.on_air(talk, VOICE)
        talk.end(TalkEnd.RELEASED)
        assert (await hall.end(talk)).view.recording is None
    assert not (tmp_path / "recordings").exists()


async def test_a_frame_of_the_wrong_size_is_refused(hall: Hall) -> None:
    talk = await hall.begin()
    with pytest.raises(InvalidInput) as refused:
        talk.hear(b"\0" * 10)
    assert refused.value.code == "bad-frame"
