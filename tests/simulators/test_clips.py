"""Audio clips that a loudspeaker keeps and plays by itself (ONVIF Media2, release 25.06)."""

from __future__ import annotations

import array
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo import sound
from simulators import wave_file
from simulators.city import SimDevice
from simulators.onvif.clip_shelf import MAX_CLIPS, MAX_KIB, UPLOAD_S
from tests.simulators.questions import CLIP, ask, wave
from tests.simulators.street import Answer, Street

LINEAR = CLIP.replace("codec=7", "codec=1")
SPOKEN = sound.speech_like(1.0)
FILE = sound.wav(SPOKEN)


async def announced(street: Street, settings: str = LINEAR) -> tuple[str, str]:
    """Token and upload target of a clip that the loudspeaker waits for."""
    answer = await street.call(street.speaker, "tr2", "AddAudioClip", settings)
    return answer.texts("Token")[0], "/" + answer.texts("UploadUri")[0].split("/", 3)[3]


async def uploaded(street: Street, data: bytes = FILE, settings: str = LINEAR) -> str:
    token, target = await announced(street, settings)
    assert (await put(street, target, data)).status == 200
    return token


async def put(street: Street, target: str, data: bytes, kind: str = "audio/vnd.wave") -> Answer:
    return await street.http(street.speaker, "POST", target, body=data, headers=f"Content-Type: {kind}\r\n")


async def play(street: Street, token: str, *, cycles: int = 0, on: str = "true") -> Answer:
    inner = f"<tr2:Token>{token}</tr2:Token><tr2:Play>{on}</tr2:Play><tr2:RepeatCycles>{cycles}</tr2:RepeatCycles>"
    return await street.call(street.speaker, "tr2", "PlayAudioClip", inner)


def horn(street: Street) -> array.array[int]:
    return sound.read_wav(street.state.heard[street.speaker.id].wav(int(street.clock.now * 1e9)))


async def test_a_clip_is_listed_once_it_was_uploaded(street: Street) -> None:
    token, target = await announced(street)
    assert (await ask(street, street.speaker, "tr2", "GetAudioClips")).texts("Token") == []
    await put(street, target, FILE)
    answer = await ask(street, street.speaker, "tr2", "GetAudioClips")
    assert (answer.texts("Token"), answer.texts("Name"), answer.texts("Type")) == ([token], ["a <clip>"], ["audio/vnd.wave;codec=1"])


async def test_a_played_clip_is_what_the_horn_played(street: Street) -> None:
    token = await uploaded(street)
    assert (await play(street, token)).status == 200
    street.clock.now += 0.5
    assert len(horn(street)) == 4000
    street.clock.now += 5
    assert sound.snr_db(SPOKEN, horn(street)) > 30


async def test_a_clip_repeats_with_its_pause_and_ends_when_it_is_stopped(street: Street) -> None:
    token = await uploaded(street)
    await play(street, token, cycles=-1)
    street.clock.now += 3.5  # a second of sound, a second of pause
    playing = await ask(street, street.speaker, "tr2", "GetPlayingAudioClips")
    assert (playing.texts("Token"), playing.texts("RepeatsLeft"), playing.texts("AudioOutputLevel")) == ([token], ["-1"], ["70"])
    await play(street, token, on="false")
    street.clock.now += 10
    assert (await ask(street, street.speaker, "tr2", "GetPlayingAudioClips")).texts("Token") == []
    assert list(horn(street)) == list(SPOKEN) + [0] * 8000 + list(SPOKEN) + [0] * 4000


@pytest.mark.parametrize(
    ("data", "kind", "status"),
    [
        (FILE, "audio/mpeg", 415),
        (b"ID3" + bytes(100), "audio/vnd.wave", 415),
        (wave(b"\xff" * 800, codec=7), "audio/vnd.wave", 415),
        (wave(bytes(300), bits=24), "audio/vnd.wave", 415),
        (wave(bytes(MAX_KIB * 1024)), "audio/vnd.wave", 413),
        (wave(bytes(800)), "audio/wav", 200),
    ],
)
async def test_only_what_was_announced_is_taken(street: Street, data: bytes, kind: str, status: int) -> None:
    _, target = await announced(street)
    assert (await put(street, target, data, kind)).status == status


async def test_an_upload_has_its_time_and_its_address(street: Street) -> None:
    token, target = await announced(street)
    assert (await put(street, f"/clips/{token}/guessed", FILE)).status == 404
    assert (await street.http(street.speaker, "GET", target)).status == 405
    street.clock.now += UPLOAD_S
    assert (await put(street, target, FILE)).status == 410
    again, target = await announced(street)
    assert again != token
    assert [(await put(street, target, FILE)).status for _ in range(2)] == [200, 404]


async def test_the_shelf_has_an_end_and_what_was_never_uploaded_makes_room(street: Street) -> None:
    for _ in range(MAX_CLIPS):
        await announced(street)
    full = await street.call(street.speaker, "tr2", "AddAudioClip", LINEAR)
    assert full.subcodes[-1] == "ter:MaxAudioClips"
    street.clock.now += UPLOAD_S
    await announced(street)


@pytest.mark.parametrize(
    ("broken", "subcode"),
    [
        (CLIP.replace("audio/vnd.wave;codec=7", "audio/mpeg"), "ter:InvalidFormat"),
        (CLIP.replace("AudioOutput_1", "AudioOutput_9"), "ter:NoAudioOutput"),
        (CLIP.replace(">2<", ">twice<"), "ter:InvalidArgVal"),
        (CLIP.replace(">70<", ">101<"), "ter:InvalidArgVal"),
        ("", "ter:TagMismatch"),
    ],
)
async def test_a_configuration_that_cannot_be_is_refused(street: Street, broken: str, subcode: str) -> None:
    assert (await street.call(street.speaker, "tr2", "AddAudioClip", broken)).subcodes[-1] == subcode


async def test_a_changed_clip_keeps_its_sound_and_a_disabled_one_is_not_played(street: Street) -> None:
    token = await uploaded(street)
    changed = LINEAR.replace("<tr2:Enabled>true", "<tr2:Enabled>false")
    await street.call(street.speaker, "tr2", "SetAudioClip", f"<tr2:Token>{token}</tr2:Token>{changed}")
    assert (await play(street, token)).subcodes[-1] == "ter:ConfigurationConflict"
    other = await street.call(street.speaker, "tr2", "SetAudioClip", f"<tr2:Token>{token}</tr2:Token>{CLIP}")
    assert other.subcodes[-1] == "ter:ConfigModify"


async def test_a_deleted_clip_falls_silent_and_is_gone(street: Street) -> None:
    token = await uploaded(street)
    await play(street, token, cycles=-1)
    street.clock.now += 0.25
    assert (await street.call(street.speaker, "tr2", "DeleteAudioClip", f"<tr2:Token>{token}</tr2:Token>")).status == 200
    street.clock.now += 9
    assert len(horn(street)) == 2000
    assert (await play(street, token)).subcodes[-1] == "ter:NoConfig"


async def test_an_older_loudspeaker_knows_no_clips(street: Street) -> None:
    older: SimDevice = next(device for device in street.city.of_kind("speaker") if "audio-clips" in device.lacks)
    assert (await street.call(older, "tr2", "GetAudioClips")).subcodes[-1] == "ter:ActionNotSupported"
    assert b"AudioClipCapabilities" not in (await street.call(older, "tr2", "GetServiceCapabilities")).body
    assert (await street.http(older, "POST", "/clips/AudioClip_1/x")).status == 404


# -- files ------------------------------------------------------------------------------------------------------------


def test_mu_law_is_played_as_it_came() -> None:
    decoded = wave_file.decode(wave(b"\x80\x00" * 400, codec=7))
    assert (decoded.encoding, decoded.audio, decoded.seconds) == ("PCMU", b"\x80\x00" * 400, 0.1)


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (8_000, 2), (44_100, 2)])
def test_other_rates_and_channels_become_ours(rate: int, channels: int) -> None:
    frames = struct.pack("<hh"[: 1 + channels], *([1000, 3000][:channels])) * rate
    decoded = wave_file.decode(wave(frames, rate=rate, bits=16, channels=channels))
    assert abs(decoded.seconds - 1) < 0.001
    assert set(array.array("h", decoded.audio)) == {1000 if channels == 1 else 2000}


@given(st.binary(max_size=200), st.integers(0, 60))
def test_any_bytes_are_decoded_or_refused(junk: bytes, keep: int) -> None:
    for data in (junk, FILE[:keep] + junk):
        try:
            wave_file.decode(data)
        except ValueError:
            pass
