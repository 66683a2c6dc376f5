import asyncio
import io
import os
import shutil
import signal
import threading
import wave
from pathlib import Path

import pytest

from gateway.errors import InvalidInput, Overloaded
from gateway.media.speech import EspeakEngine, StandbyEngine, load_engine
from tests.waiting import until

needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="speech from text: espeak-ng is not installed")


def seconds(sound: bytes) -> float:
    with wave.open(io.BytesIO(sound)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        return file.getnframes() / file.getframerate()


def stand_in(folder: Path, script: str) -> str:
    program = folder / "espeak-ng"
    program.write_text("#!/bin/sh\n" + script)
    program.chmod(0o755)
    return str(program)


@needs_espeak
async def test_chinese_is_spoken_by_the_voice_that_can_read_it() -> None:
    engine = EspeakEngine(longest_s=60)
    voices = await engine.voices()
    assert next(voice.id for voice in voices if voice.language == "zh") == "cmn-latn-pinyin"
    assert not {"cmn", "zh"} & {voice.id for voice in voices}
    assert next(voice for voice in voices if voice.language == "en").id == "en-gb"
    short, long = [seconds(await engine.speak(text, "cmn-latn-pinyin")) for text in ("请离开", "请勿占道经营，请立即离开")]
    assert 0.5 < short < long < 6  # the broken voice takes 9 s, since it names each character in English


@needs_espeak
@pytest.mark.parametrize("voice", ["cmn-latn-pinyin", "en-gb"])
async def test_in_a_mixed_text_each_script_has_its_own_voice(voice: str) -> None:
    engine = EspeakEngine(longest_s=60)
    mixed = seconds(await engine.speak("请勿停车 No parking here", voice))
    parts = seconds(await engine.speak("请勿停车 ", "cmn-latn-pinyin")) + seconds(await engine.speak("No parking here", "en-gb"))
    assert mixed == pytest.approx(parts, abs=0.01)


@needs_espeak
@pytest.mark.parametrize("text", ["--version", "-f /etc/passwd", "$(sleep 99); `sleep 99`", "'; sleep 99 #", "%s%n", "a" * 2000])
async def test_no_text_is_an_option_or_a_command(text: str, tmp_path: Path) -> None:
    assert seconds(await asyncio.wait_for(EspeakEngine(longest_s=600).speak(text, "en-gb"), 60)) > 0.3


async def test_texts_reach_the_program_by_standard_input_only(tmp_path: Path) -> None:

    listing = 'if [ "$1" = --voices ]; then echo header; echo " 5 en-gb --/M English gmw/en"; exit; fi\n'
    program = stand_in(tmp_path, listing + f'echo "$@" > {tmp_path}/options\ncat > {tmp_path}/text\n/usr/bin/head -c 1044 /dev/zero\n')
    await EspeakEngine(longest_s=60, program=program).speak("-w /tmp/x $HOME", "en-gb")
    assert (tmp_path / "text").read_text() == "-w /tmp/x $HOME"
    assert "HOME" not in (tmp_path / "options").read_text()


class Diary:
    """A stand-in for espeak-ng that writes down each of its processes, and each text with the process that spoke it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        listing = 'if [ "$1" = --voices ]; then echo header; echo " 5 en-gb --/M English gmw/en"; exit; fi\n'
        diary = f'echo $$ $2 >> {folder}/started\nread -r text || exit 1\necho $$ "$text" >> {folder}/spoken\n'
        self.program = stand_in(folder, listing + diary + "/usr/bin/head -c 1044 /dev/zero\n")

    def started(self) -> list[tuple[int, str]]:
        return self._rows("started")

    def spoken(self) -> list[tuple[int, str]]:
        return self._rows("spoken")

    async def begun(self, *, after: int) -> int:
        """The process that was started after so many, once it was."""
        rows = await until(lambda: self.started()[after:])
        return int(rows[0][0])

    def _rows(self, name: str) -> list[tuple[int, str]]:
        file = self._folder / name
        lines = file.read_text().splitlines() if file.exists() else []
        return [(int(number), words) for number, words in (line.split(" ", 1) for line in lines)]


def alive(number: int) -> bool:
    return Path(f"/proc/{number}").exists()


def children() -> set[str]:
    """Processes of this one that are there."""
    return set(Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split())


async def killed(number: int) -> None:
    os.kill(number, signal.SIGKILL)
    await until(lambda: not alive(number))


async def test_a_process_that_stands_by_speaks_the_next_text_and_no_other(tmp_path: Path) -> None:
    diary = Diary(tmp_path)
    engine = EspeakEngine(longest_s=60, program=diary.program)
    assert isinstance(engine, StandbyEngine)
    await engine.speak("one\n", "en-gb")
    await engine.stand_by()
    await engine.stand_by()
    ready = await diary.begun(after=1)
    await engine.speak("two\n", "en-gb")
    assert diary.spoken()[1:] == [(ready, "two")]
    await engine.speak("three\n", "en-gb")
    assert len({number for number, _ in diary.spoken()}) == len(diary.started()) == 3


async def test_a_process_that_died_while_it_stood_by_is_replaced(tmp_path: Path) -> None:
    diary = Diary(tmp_path)
    engine = EspeakEngine(longest_s=60, program=diary.program)
    await engine.speak("one\n", "en-gb")
    for text in ("two", "three"):
        before = len(diary.started())
        await engine.stand_by()
        await killed(await diary.begun(after=before))
        if text == "three":
            await engine.stand_by()
        await engine.speak(f"{text}\n", "en-gb")
    assert [text for _, text in diary.spoken()] == ["one", "two", "three"]
    await engine.rest()


async def test_the_two_voices_that_spoke_last_stand_by_until_they_may_rest(tmp_path: Path) -> None:
    diary = Diary(tmp_path)
    engine = EspeakEngine(longest_s=60, program=diary.program)
    for voice in ("en-gb", "fr", "en-gb", "de"):
        await engine.speak("one\n", voice)
        await engine.stand_by()
    await until(lambda: sorted(voice for number, voice in diary.started() if alive(number)) == ["de", "en-gb"])
    await engine.rest()
    assert not any(alive(number) for number, _ in diary.started())


@pytest.mark.parametrize("after", range(12))
async def test_no_process_is_left_of_a_text_that_was_given_up_as_the_one_that_stands_by_came(tmp_path: Path, after: int) -> None:
    diary, others = Diary(tmp_path), children()
    engine = EspeakEngine(longest_s=60, program=diary.program)
    await engine.speak("one\n", "en-gb")
    await engine.stand_by()
    speaking = asyncio.create_task(engine.speak("two\n", "en-gb"))
    for _ in range(after):
        await asyncio.sleep(0)
    speaking.cancel()
    await asyncio.wait([speaking])
    await engine.rest()
    assert children() <= others


async def test_what_takes_too_long_to_say_is_refused_before_it_is_all_there(tmp_path: Path) -> None:
    listing = 'if [ "$1" = --voices ]; then echo header; echo " 5 en-gb --/M English gmw/en"; exit; fi\n'
    endless = EspeakEngine(longest_s=1, program=stand_in(tmp_path, listing + "exec /bin/cat /dev/zero\n"))
    with pytest.raises(InvalidInput) as caught:
        await endless.speak("text", "en-gb")
    assert (caught.value.code, caught.value.hint) == ("text-too-long", "Shorten the text.")


async def test_without_the_program_it_is_said_what_to_install() -> None:
    with pytest.raises(Overloaded) as caught:
        await EspeakEngine(longest_s=60, program="espeak-that-is-not-there").voices()
    assert caught.value.code == "no-speech-engine"
    assert "apt-get install espeak-ng" in caught.value.hint


async def test_a_program_that_fails_is_no_sound(tmp_path: Path) -> None:
    with pytest.raises(Overloaded):
        await EspeakEngine(longest_s=60, program=stand_in(tmp_path, "exit 1\n")).voices()


def test_an_engine_that_nobody_offers_is_refused_with_those_that_are() -> None:
    with pytest.raises(InvalidInput) as caught:
        load_engine("piper", longest_s=60)
    assert "espeak-ng" in caught.value.hint


def test_an_engine_of_another_package_plugs_in_by_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "humming.py").write_text("class Humming:\n    name = 'humming/1'\n")
    described = tmp_path / "humming-1.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: humming\nVersion: 1\n")
    (described / "entry_points.txt").write_text("[gateway.speech]\nhumming = humming:Humming\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert load_engine("humming", longest_s=60).name == "humming/1"
