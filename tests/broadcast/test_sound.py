import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from gateway.broadcast.clips import ClipShelf
from gateway.broadcast.kept_sounds import KeptSounds
from gateway.broadcast.sound import SoundDesk
from gateway.broadcast.speech import SpeechDesk
from gateway.clock import SimulatedClock
from gateway.domain.broadcast import ClipContent, ClipId, Programme, Speech
from gateway.errors import InvalidInput, NotFound, Overloaded
from gateway.media.clips import ClipPreparer, Leveller, PreparedClip, wav_of
from gateway.media.speech import Voice
from gateway.storage.store import Store
from tests.broadcast.house import ACTOR
from tests.media.g711 import DECODERS
from tests.media.test_clips import snr_db, tone, wav
from tests.waiting import until

VOICES = (Voice("wang", "zh", "Wang"), Voice("smith", "en", "Smith"))


class Humming:
    """An engine that hums half a second for each text, and counts."""

    name = "humming/1"

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    async def voices(self) -> Sequence[Voice]:
        return VOICES

    async def speak(self, text: str, voice: str) -> bytes:
        self.said.append((text, voice))
        return wav_of(tone(0.5, rate=22_050), rate=22_050)


class Waiting(Humming):
    """One that stands by, and counts that, too."""

    stood_by = 0
    rested = 0

    async def stand_by(self) -> None:
        self.stood_by += 1

    async def rest(self) -> None:
        self.rested += 1


@pytest.fixture
async def leveller() -> AsyncIterator[Leveller]:
    leveller = Leveller()
    yield leveller
    await leveller.close()


@pytest.fixture
def engine() -> Humming:
    return Humming()


@pytest.fixture
def speech(engine: Humming, leveller: Leveller, tmp_path: Path, clock: SimulatedClock) -> SpeechDesk:
    return SpeechDesk(engine, leveller, KeptSounds(tmp_path / "speech"), clock)


@pytest.fixture
def shelf(store: Store, clock: SimulatedClock, tmp_path: Path) -> ClipShelf:
    return ClipShelf(store, tmp_path / "clips", ClipPreparer(), clock)


async def test_a_text_is_spoken_once_and_then_kept(speech: SpeechDesk, engine: Humming) -> None:
    first = await speech.prepared(Speech("请离开"))
    assert first.duration_s == pytest.approx(0.5, abs=0.01)
    assert await speech.prepared(Speech(" 请离开\x07")) is first
    assert engine.said == [("请离开", "wang")]


async def test_the_voice_suits_the_script_unless_one_is_named(speech: SpeechDesk, engine: Humming) -> None:
    await speech.prepared(Speech("Please leave"))
    await speech.prepared(Speech("Please leave", "wang"))
    assert engine.said == [("Please leave", "smith"), ("Please leave", "wang")]
    with pytest.raises(InvalidInput) as caught:
        await speech.prepared(Speech("Please leave", "-w/tmp/x"))
    assert (caught.value.code, [fault.where for fault in caught.value.faults]) == ("unknown-voice", ["/voice"])


@pytest.mark.parametrize(("text", "code"), [("👮 \x00 --", "text-empty"), ("a" * 2001, "text-too-long")])
async def test_a_text_that_cannot_be_said_is_refused_with_what_to_do(speech: SpeechDesk, text: str, code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await speech.prepared(Speech(text))
    assert caught.value.code == code
    assert caught.value.hint


async def test_what_was_spoken_outlives_a_restart_and_damage_is_noticed(
    speech: SpeechDesk, engine: Humming, leveller: Leveller, tmp_path: Path, clock: SimulatedClock
) -> None:
    async with asyncio.TaskGroup() as group:
        running = group.create_task(speech.run())
        first = await speech.prepared(Speech("请离开"))
        await until(lambda: len(list((tmp_path / "speech").glob("[0-9a-f]*"))) == 1)
        running.cancel()
    (kept,) = (tmp_path / "speech").iterdir()
    again = SpeechDesk(engine, leveller, KeptSounds(tmp_path / "speech"), clock)
    assert await again.prepared(Speech("请离开")) == first
    assert len(engine.said) == 1
    kept.write_bytes(kept.read_bytes()[:-1] + b"?")
    fresh = SpeechDesk(engine, leveller, KeptSounds(tmp_path / "speech"), clock)
    assert await fresh.prepared(Speech("请离开")) == first
    assert len(engine.said) == 2


def sound(samples: int) -> PreparedClip:
    return PreparedClip(bytes(2 * samples), {"PCMA": bytes(samples)})


def test_the_folder_stays_within_its_bound_and_the_longest_unused_goes_first(tmp_path: Path) -> None:
    kept = KeptSounds(tmp_path, most_bytes=10_000)
    for key in ("aa", "bb", "cc"):
        kept.keep(key, sound(1_000))
        assert kept.read("aa") == sound(1_000)
    kept.keep("dd", sound(1_000))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aa", "cc", "dd"]
    kept.keep("ee", sound(10_000))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 10_000


async def test_the_levelling_process_goes_when_nothing_was_said_for_a_while(
    speech: SpeechDesk, leveller: Leveller, clock: SimulatedClock
) -> None:
    async with asyncio.TaskGroup() as group:
        running = group.create_task(speech.run())
        await speech.prepared(Speech("请离开"))
        assert leveller.running
        await clock.advance(301)
        await until(lambda: not leveller.running)
        assert (await speech.prepared(Speech("谢谢"))).pcm
        running.cancel()
    assert not leveller.running


async def test_an_engine_stands_by_after_each_text_and_rests_when_nothing_was_said_for_a_while(
    leveller: Leveller, tmp_path: Path, clock: SimulatedClock
) -> None:
    engine = Waiting()
    speech = SpeechDesk(engine, leveller, KeptSounds(tmp_path / "speech"), clock)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(speech.run())
        for count, text in enumerate(("请离开", "谢谢"), 1):
            await speech.prepared(Speech(text))
            await until(lambda: engine.stood_by, wanted=count.__eq__)
        await speech.voices()  # whoever asks is about to speak
        await until(lambda: engine.stood_by == 3)
        assert not engine.rested
        await clock.advance(601)
        await until(lambda: engine.rested == 1)
        running.cancel()
    assert engine.rested == 2


async def test_chime_repeats_and_pauses_are_put_together_in_each_encoding(shelf: ClipShelf, speech: SpeechDesk) -> None:
    desk = SoundDesk(shelf, speech)
    once = await desk.prepared(Programme(Speech("请离开")))
    whole = await desk.prepared(Programme(Speech("请离开"), chime=True, repeats=3, pause_s=0.25))
    assert whole.duration_s == pytest.approx(1.5 + 3 * once.duration_s + 2 * 0.25, abs=0.001)
    assert await desk.prepared(Programme(Speech("请离开"), chime=True, repeats=3, pause_s=0.25)) is whole
    for name, encoded in whole.encodings.items():
        assert len(encoded) == len(whole.pcm) // 2
        assert encoded.endswith(once.encodings[name])
    for name in ("PCMA", "PCMU"):
        heard = DECODERS[name](whole.encodings[name])
        assert snr_db(heard, whole.pcm) > 30
    end = len(once.pcm) + 4000
    assert whole.pcm[-end : -len(once.pcm)] == bytes(4000)
    assert whole.pcm[:24_000].strip(b"\0") != b""


async def test_a_clip_of_the_library_may_be_the_chime(shelf: ClipShelf, speech: SpeechDesk) -> None:
    gong = await shelf.add(wav(tone(0.2)), name="gong", actor=ACTOR)
    clip = await shelf.add(wav(tone(0.3)), name="clip", actor=ACTOR)
    desk = SoundDesk(shelf, speech, chime_clip=gong.id)
    heard = await desk.prepared(Programme(ClipContent(clip.id), chime=True))
    assert heard.pcm == tone(0.2) + tone(0.3)
    with pytest.raises(NotFound):
        await SoundDesk(shelf, speech, chime_clip=ClipId("0" * 64)).prepared(Programme(ClipContent(clip.id), chime=True))


@pytest.mark.parametrize("programme", [Programme(Speech("请"), repeats=100, pause_s=0), Programme(Speech("请"), repeats=2, pause_s=600)])
async def test_a_programme_that_goes_on_and_on_is_refused(shelf: ClipShelf, speech: SpeechDesk, programme: Programme) -> None:
    with pytest.raises(InvalidInput) as caught:
        await SoundDesk(shelf, speech, longest_s=20).prepared(programme)
    assert caught.value.code == "programme-too-long"
    assert caught.value.hint


async def test_without_an_engine_a_text_is_refused_and_a_clip_is_not(shelf: ClipShelf) -> None:
    clip = await shelf.add(wav(tone(0.3)), name="clip", actor=ACTOR)
    desk = SoundDesk(shelf)
    assert (await desk.prepared(Programme(ClipContent(clip.id), repeats=2, pause_s=0))).duration_s == pytest.approx(0.6)
    with pytest.raises(Overloaded) as caught:
        await desk.prepared(Programme(Speech("请离开")))
    assert caught.value.code == "no-speech-engine"
