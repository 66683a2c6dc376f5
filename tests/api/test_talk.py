"""Live talk through the door: heard by the right loudspeaker, refused with reasons, ended by whatever ends it."""

import array
import asyncio
import hashlib
import shutil
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from demo.sound import read_wav
from demo.talker import Talker, talking
from gateway.api.gathering import FROM
from gateway.clock import SimulatedClock
from gateway.domain.access import Role
from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor, ActorKind
from gateway.storage.store import Store
from gateway.storage.writer import Lane
from tests.api.house import House, going, open_house, open_street
from tests.ctl.running import gatewayctl
from tests.media.opus import opus_packets
from tests.sweeps import PAUSE_S, SWEEP_S, clearest_db, sweeps
from tests.waiting import until


@pytest.mark.parametrize(("rate", "layout"), [(48_000, "stereo"), (12_000, "mono")])
async def test_a_voice_in_opus_is_heard_by_its_loudspeaker_though_packets_are_lost(tmp_path: Path, template: Path, rate: int, layout: str):
    async with open_street(tmp_path, template) as (house, city, control), aiohttp.ClientSession() as street:
        near, far, *_ = (device.id for device in city.of_kind("speaker"))
        order = {"targets": {"speakers": [near]}, "codec": "opus"}
        async with talking(house.session, house.url, house.keys[Role.OPERATOR], order) as talker:
            await talker.on_air(opus_packets(array.array("h", bytes(640)), rate=16_000, layout="mono")[0])
            packets = opus_packets(sweeps(7, rate=rate), rate=rate, layout=layout)
            assert max(map(len, packets)) < 400
            await talker.send(b"" if number in {3, 4, 90} else packet for number, packet in enumerate(packets))
            assert any(-40 < level["rms_db"] < -10 for level in levels(talker))
            ended = await talker.release()
        assert (ended["reason"], ended["broadcast"]["counts"]) == ("released", {"done": 1})
        assert clearest_db(await heard_at(street, control, near)) > 12  # 34 as a rule, on a busy machine in some of the sweeps
        assert not await heard_at(street, control, far)


@pytest.mark.parametrize("packet", [b"\x01\0", b"\x0a\xff", b"\x0b\x00", b"\x0b\x40\xff", bytes(4_001)])
async def test_what_is_no_opus_packet_ends_the_talk_with_a_problem(house: House, packet: bytes):
    order = {"targets": {"speakers": ["spk-1"]}, "codec": "opus"}
    async with talking(house.session, house.url, house.keys[Role.OPERATOR], order) as talker:
        await talker.socket.send_bytes(packet)
        refused = await talker.word("refused")
        assert refused["problem"]["type"].endswith(":bad-frame")


async def exported(house: House) -> str:
    async with house.call("GET", "/v1/broadcasts/export?format=csv") as answer:
        return await answer.text()


async def heard_at(street: aiohttp.ClientSession, control: str, speaker: str) -> array.array:
    async with street.get(f"{control}/speakers/{speaker}/heard.wav") as answer:
        return read_wav(await answer.read())


async def said_clearly(talker: Talker, heard: Callable[[], Awaitable[array.array]]) -> None:
    """Say sweeps until one of them came through whole: on a busy machine a voice stutters."""

    async def clearest() -> float:
        return await asyncio.to_thread(clearest_db, (await heard())[-round(3 * (SWEEP_S + PAUSE_S) * 8_000) :])

    await until(clearest, meanwhile=lambda: talker.say(sweeps(1, rate=16_000).tobytes()), wanted=lambda found: found > 30)


def levels(talker: Talker) -> list[dict[str, Any]]:
    return [word for word in talker.words if word["type"] == "level"]


async def test_a_talk_is_heard_by_its_loudspeaker_and_no_other(tmp_path: Path, template: Path):
    async with open_street(tmp_path, template) as (house, city, control), aiohttp.ClientSession() as street:
        near, far, *_ = (device.id for device in city.of_kind("speaker"))
        order = {"targets": {"speakers": [near]}, "case": "C-1", "reason": "占道"}
        async with talking(house.session, house.url, house.keys[Role.OPERATOR], order) as talker:
            accepted = talker.words[0]["broadcast"]
            assert (accepted["kind"], accepted["priority"], accepted["case"], accepted["reason"]) == ("talk", "talk", "C-1", "占道")
            await talker.on_air()
            await said_clearly(talker, lambda: heard_at(street, control, near))
            assert any(-40 < level["rms_db"] < -10 for level in levels(talker))
            assert not any(level["clipping"] for level in levels(talker))
            ended = await talker.release()
        assert (ended["reason"], ended["broadcast"]["counts"]) == ("released", {"done": 1})
        recording = ended["broadcast"]["recording"]
        assert (accepted["recording"]["state"], recording["state"], recording["state_zh"]) == ("under-way", "kept", "已存录音")
        async with house.call("GET", f"/v1/broadcasts/{accepted['id']}/recording", role=Role.APPROVER) as answer:
            said = await answer.read()
        assert (recording["sha256"], recording["size"]) == (hashlib.sha256(said).hexdigest(), len(said))
        sheet, told = await exported(house), await gatewayctl(house, "broadcasts", "describe", accepted["id"])
        assert all(recording["sha256"] in text and "已存录音 kept" in text for text in (sheet, told.out)), told.err
        delivery = ended["broadcast"]["deliveries"][0]
        assert delivery["packets"] > 30
        assert not await heard_at(street, control, far)


async def test_many_who_talk_at_once_are_heard_each_by_their_own_loudspeaker(tmp_path: Path, template: Path):
    async with open_street(tmp_path, template) as (house, city, control), aiohttp.ClientSession() as street, AsyncExitStack() as stack:
        speakers = [device.id for device in city.of_kind("speaker")][: FROM + 1]
        sound = sweeps(4, rate=16_000)
        orders = [{"targets": {"speakers": [speaker]}} for speaker in speakers]
        talks = [await stack.enter_async_context(talking(house.session, house.url, house.keys[Role.OPERATOR], order)) for order in orders]
        await asyncio.gather(*(speak(talker, sound) for talker in talks))
        for speaker in speakers:
            assert clearest_db(await heard_at(street, control, speaker)) > 12  # 30 on a quiet machine


async def speak(talker: Talker, sound: array.array) -> None:
    await talker.on_air()
    await talker.say(sound.tobytes())
    assert (await talker.release())["reason"] == "released"


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ({"targets": {"speakers": ["spk-9"]}}, "unknown-target"),
        ({"targets": {}}, "invalid-input"),
        ({"targets": {"speakers": ["spk-1"]}, "codec": "mp3"}, "invalid-input"),
        ({"targets": {"speakers": ["spk-1"]}, "clip": "0" * 64}, "invalid-input"),
    ],
)
async def test_a_talk_that_cannot_be_is_refused_with_a_problem(house: House, order: dict, code: str):
    async with talking(house.session, house.url, house.keys[Role.OPERATOR], order) as talker:
        refused = talker.words[0]
        assert (refused["type"], refused["problem"]["type"]) == ("refused", f"urn:city-gateway:problem:{code}")
        await talker.word("closed")


async def test_a_talk_is_an_emergency_only_by_a_key_that_may(house: House):
    for role, refused in ((Role.PLATFORM, True), (Role.OPERATOR, False)):
        order = {"targets": {"speakers": ["s1"]}, "priority": "emergency"}
        async with talking(house.session, house.url, house.keys[role], order) as talker:
            told = talker.words[0].get("problem", {}).get("type", "")
            assert told.endswith(":emergency-not-allowed") is refused


async def test_after_a_stop_that_a_former_life_obeyed_a_talk_is_taken_at_once(tmp_path: Path, template: Path):
    clock = SimulatedClock()
    shutil.copy(template, tmp_path / "gateway.db")
    former = Actor(ActorKind.SYSTEM, "former life")
    async with Store.open(f"sqlite:///{tmp_path}/gateway.db", clock=clock, key=bytes(32)) as store, going(store.writer.run):
        await store.writer.write(lambda tx: tx.broadcasts.add_stop(clock.now(), former), lane=Lane.STOP)
    await clock.advance(1)
    async with open_house(tmp_path, template, clock=clock) as house:
        for priority in ("talk", "emergency"):
            order = {"targets": {"speakers": ["spk-1"]}, "priority": priority}
            async with talking(house.session, house.url, house.keys[Role.OPERATOR], order) as talker:
                assert talker.words[0]["type"] == "accepted", talker.words


@pytest.mark.parametrize("message", [b"\0" * 10, "speak up", '{"end":"whenever"}', "[]"])
async def test_what_is_neither_a_frame_nor_an_end_ends_the_talk_with_a_problem(house: House, message: bytes | str):
    async with talking(house.session, house.url, house.keys[Role.OPERATOR], {"targets": {"speakers": ["spk-1"]}}) as talker:
        if isinstance(message, bytes):
            await talker.socket.send_bytes(message)
        else:
            await talker.socket.send_str(message)
        refused = await talker.word("refused")
        assert refused["problem"]["type"].endswith((":bad-frame", ":bad-message"))


async def test_a_talker_who_looks_away_is_told_so_and_one_who_is_gone_is_on_record_as_lost(tmp_path: Path, template: Path):
    async with open_street(tmp_path, template) as (house, city, _):
        order = {"targets": {"speakers": [next(iter(city.of_kind("speaker"))).id]}}
        async with talking(house.session, house.url, house.keys[Role.OPERATOR], order) as talker:
            await talker.on_air()
            await talker.socket.send_str('{"end":"lost-focus"}')
            assert (await talker.word("ended"))["reason"] == "lost-focus"
        async with talking(house.session, house.url, house.keys[Role.OPERATOR], order | {"id": "t-2"}) as talker:
            await talker.on_air()
            await talker.socket.close()

        async def reasons() -> list[str]:
            events = await house.services.store.events.read_after(0, limit=1000)
            return [event.data["reason"] for event in events if event.type == "broadcast.talk-ended"]

        await until(reasons, wanted=lambda told: told == ["lost-focus", "talk-lost"])


async def test_what_comes_in_one_piece_with_the_order_is_heard_in_its_order(house: House):
    async with talking(house.session, house.url, house.keys[Role.OPERATOR], {"targets": {"speakers": ["spk-1"]}}) as talker:
        for message in (bytes(640), bytes(640), bytes(10), bytes(640)):
            await talker.socket.send_bytes(message)
        assert (await talker.word("refused"))["problem"]["type"].endswith(":bad-frame")


async def test_a_talk_is_opened_from_the_gateways_own_pages_only(house: House):
    cookie = await signed_in(house)
    own, foreign = {"Cookie": cookie, "Origin": house.url}, {"Cookie": cookie, "Origin": "http://evil.example"}
    async with house.session.ws_connect(f"{house.url}/v1/talk", headers=own) as socket:
        await socket.send_str("{}")
        assert (await socket.receive_json())["problem"]["type"] == "urn:city-gateway:problem:invalid-input"
    bearer = {"Authorization": f"Bearer {house.keys[Role.OPERATOR]}", "Origin": "null"}
    for headers in (foreign, {"Cookie": cookie}, bearer):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await house.session.ws_connect(f"{house.url}/v1/talk", headers=headers)
        assert refused.value.status == 403


async def signed_in(house: House) -> str:
    async with house.call("POST", "/v1/session", role=Role.OPERATOR) as answer:
        return answer.headers["Set-Cookie"].split(";")[0]


@pytest.mark.parametrize(("role", "status"), [(None, 401), (Role.VIEWER, 403), (Role.OPERATOR, 422)])
async def test_a_talk_needs_a_key_that_may_and_a_websocket(house: House, role: Role | None, status: int):
    assert (await house.json("GET", "/v1/talk", role=role))[0] == status
    assert (await house.json("GET", f"/v1/talk?key={house.keys[Role.OPERATOR]}", role=Role.OPERATOR))[0] == 400


async def test_a_key_with_scopes_talks_within_them_only(house: House):
    body = {"name": "east", "roles": ["operator"], "scopes": ["g-2"]}
    _, made = await house.json("POST", "/v1/keys", json=body)
    async with talking(house.session, house.url, made["key"], {"targets": {"speakers": ["spk-1"]}}) as talker:
        assert talker.words[0]["problem"]["type"] == "urn:city-gateway:problem:out-of-scope"


async def test_a_loudspeaker_that_lets_nobody_else_talk_is_busy_at_once(tmp_path: Path, template: Path):
    async with open_street(tmp_path, template) as (house, city, _):
        speaker = DeviceId(next(iter(city.of_kind("speaker"))).id)
        other = await house.drivers.speaker_of(speaker).open_audio(prefer=("PCMA", "PCMU"), timeout_s=5)
        try:
            order = {"targets": {"speakers": [speaker]}}
            async with talking(house.session, house.url, house.keys[Role.OPERATOR], order) as talker:
                ended = await talker.word("ended")
        finally:
            await other.close()
        assert (ended["reason"], ended["broadcast"]["counts"]) == ("busy", {"failed": 1})


async def test_what_was_said_is_had_by_who_may_listen(tmp_path: Path, template: Path):
    async with open_street(tmp_path, template) as (house, city, _):
        order = {"id": "t-1", "targets": {"speakers": [next(iter(city.of_kind("speaker"))).id]}}
        async with talking(house.session, house.url, house.keys[Role.OPERATOR], order) as talker:
            await talker.on_air()
            await talker.say(sweeps(2, rate=16_000).tobytes())
            await talker.release()
        async with house.call("GET", "/v1/broadcasts/t-1/recording", role=Role.APPROVER) as answer:
            assert (answer.status, answer.content_type) == (200, "audio/wav")
            assert clearest_db(read_wav(await answer.read())) > 12  # 30 on a quiet machine
        assert (await house.json("GET", "/v1/broadcasts/t-1/recording", role=Role.OPERATOR))[0] == 403
        assert (await house.json("GET", "/v1/broadcasts/none/recording"))[0] == 404
