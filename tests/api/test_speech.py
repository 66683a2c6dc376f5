"""Texts through the door: voices, a preview, and a broadcast that speaks."""

import asyncio
import io
import shutil
import wave
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from demo import sound
from gateway.domain.access import Role
from tests.api.house import House, open_street

pytestmark = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="speech from text: espeak-ng is not installed")


def order(house: House, **changes) -> dict:
    soon = (house.clock.now() + timedelta(seconds=30)).isoformat()
    return {"targets": {"speakers": ["spk-1"]}, "priority": "notice", "not_after": soon, "id": "b-1", **changes}


async def test_the_best_voice_of_each_language_comes_first(house: House):
    _, voices = await house.json("GET", "/v1/speech/voices", role=Role.OPERATOR)
    assert next(voice for voice in voices["items"] if voice["language"] == "zh")["id"] == "cmn-latn-pinyin"
    assert {"en", "yue"} <= {voice["language"] for voice in voices["items"]}


async def test_a_text_can_be_heard_before_the_street_hears_it(house: House):
    once, more = {"text": "请勿占道经营，违者罚款200元"}, {"text": "请勿占道经营，违者罚款200元", "chime": True, "repeats": 2}
    lasts = []
    for body in (once, more):
        async with house.call("POST", "/v1/speech/preview", role=Role.OPERATOR, json=body) as answer:
            assert (answer.status, answer.content_type) == (200, "audio/wav")
            with wave.open(io.BytesIO(await answer.read())) as file:
                assert file.getparams()[:3] == (1, 2, 8000)
                lasts.append(file.getnframes() / 8000)
    assert lasts[1] == pytest.approx(1.5 + 2 * lasts[0] + 1, abs=0.01)
    assert (await house.json("POST", "/v1/speech/preview", role=Role.VIEWER, json=once))[0] == 403


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"text": "👮"}, 422, "text-empty"),
        ({"text": "a" * 2001}, 422, "invalid-input"),
        ({"text": "好", "voice": "--help"}, 422, "unknown-voice"),
        ({"text": "好", "repeats": 100, "pause_s": 600}, 422, "programme-too-long"),
    ],
)
async def test_what_cannot_be_said_is_refused_with_what_to_do(house: House, body: dict, status: int, code: str):
    for path, whole in (("/v1/speech/preview", body), ("/v1/broadcasts", order(house, **body))):
        got, problem = await house.json("POST", path, role=Role.OPERATOR, json=whole)
        assert (got, problem["type"].rpartition(":")[2]) == (status, code)
        assert problem.get("hint") or problem["errors"]


async def test_a_text_is_a_broadcast_like_a_clip(house: House):
    status, accepted = await house.json("POST", "/v1/broadcasts", role=Role.OPERATOR, json=order(house, text="请离开", chime=True))
    assert (status, accepted["open"]) == (202, True)
    again = await house.json("POST", "/v1/broadcasts", role=Role.OPERATOR, json=order(house, text="请离开", chime=True))
    assert (again[0], again[1]["id"]) == (202, "b-1")
    _, shown = await house.json("GET", "/v1/broadcasts/b-1", role=Role.OPERATOR)
    assert shown["deliveries"][0]["speaker"] == "spk-1"


async def test_a_text_with_chime_and_repeats_is_heard_in_the_street_as_in_its_preview(tmp_path: Path, template: Path):
    said = {"text": "请勿停车 No parking", "chime": True, "repeats": 2, "pause_s": 0.3}
    async with open_street(tmp_path, template) as (house, city, control), aiohttp.ClientSession() as street:
        speaker = city.of_kind("speaker")[0].id
        async with house.call("POST", "/v1/speech/preview", role=Role.OPERATOR, json=said) as answer:
            meant = sound.read_wav(await answer.read())
        body = order(house, targets={"speakers": [speaker]}, **said)
        assert (await house.json("POST", "/v1/broadcasts", role=Role.OPERATOR, json=body))[0] == 202
        async with asyncio.timeout(60):
            async for event in house.services.store.events.follow(after=0):
                if event.type == "broadcast.ended":
                    assert event.data == {"done": 1}
                    break
        async with street.get(f"{control}/speakers/{speaker}/heard.wav") as answer:
            heard = sound.read_wav(await answer.read())
    assert len(meant) > 5 * 8000
    assert sound.snr_db(meant, heard) > 30
