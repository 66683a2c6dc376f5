"""Clips and broadcasts through the door: accepted once, refused with reasons, silenced whatever happens."""

import asyncio
import io
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from gateway.domain.access import Role
from gateway.domain.city import City
from gateway.domain.devices import Device, DeviceId, DeviceKind, Ports
from tests.api.house import House, open_house, open_street


def sound(seconds: float = 0.5) -> bytes:
    """A WAV of a plain tone."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        samples = (8000 if n // 10 % 2 else -8000 for n in range(int(8000 * seconds)))
        out.writeframes(b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples))
    return file.getvalue()


def take_away(folder: Path) -> None:
    """The store's files are gone, as with a disk that has failed."""
    for file in folder.glob("gateway.db*"):
        file.rename(folder / f"gone-{file.name}")


def bring_back(folder: Path) -> None:
    for file in folder.glob("gone-*"):
        file.rename(folder / file.name.removeprefix("gone-"))


async def clip_of(house: House) -> str:
    options = {"data": sound(), "headers": {"Content-Type": "audio/wav"}}
    status, clip = await house.json("POST", "/v1/clips?name=%E8%AF%B7%E7%A6%BB%E5%BC%80", role=Role.OPERATOR, **options)
    assert status == 201
    return clip["id"]


def order(house: House, sound_id: str, **changes) -> dict:
    soon = (house.clock.now() + timedelta(seconds=30)).isoformat()
    return {"clip": sound_id, "targets": {"speakers": ["spk-1"]}, "priority": "notice", "not_after": soon, **changes}


async def test_a_clip_is_kept_once_and_comes_back_as_it_went_in(house: House):
    clip = await clip_of(house)
    assert await clip_of(house) == clip
    _, page = await house.json("GET", "/v1/clips", role=Role.OPERATOR)
    assert [(item["id"], item["name"], item["duration_ms"]) for item in page["items"]] == [(clip, "请离开", 500)]
    async with house.call("GET", f"/v1/clips/{clip}/sound") as answer:
        assert await answer.read() == sound()
        assert answer.content_type == "audio/wav"
    assert (await house.json("GET", f"/v1/clips/{'0' * 64}"))[0] == 404


async def test_a_clip_that_is_no_sound_or_too_large_is_refused(house: House):
    headers = {"Content-Type": "audio/wav"}
    status, problem = await house.json("POST", "/v1/clips?name=x", data=b"no sound", headers=headers)
    assert (status, problem["type"]) == (422, "urn:city-gateway:problem:clip-format")
    assert problem["hint"]
    status, _ = await house.json("POST", "/v1/clips?name=x", data=bytes((1 << 20) + 1), headers=headers)
    assert status == 413


async def test_a_broadcast_needs_a_name_of_the_callers(house: House):
    status, problem = await house.json("POST", "/v1/broadcasts", json=order(house, await clip_of(house)))
    assert (status, problem["errors"][0]["pointer"]) == (422, "Idempotency-Key")


async def test_a_hundred_sendings_of_one_broadcast_are_one(house: House):
    body = order(house, await clip_of(house))
    headers = {"Idempotency-Key": "shout-1"}
    answers = await asyncio.gather(*(house.json("POST", "/v1/broadcasts", json=body, headers=headers) for _ in range(100)))
    assert {status for status, _ in answers} == {202}
    assert len({answer["id"] for _, answer in answers}) == 1
    _, page = await house.json("GET", "/v1/broadcasts")
    assert len(page["items"]) == 1
    status, problem = await house.json("POST", "/v1/broadcasts", json={**body, "case": "other"}, headers=headers)
    assert (status, problem["type"]) == (422, "urn:city-gateway:problem:id-reused")
    status, other = await house.json("POST", "/v1/broadcasts", json=body, headers=headers, role=Role.PLATFORM)
    assert (status, other["id"] != answers[0][1]["id"]) == (202, True)


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"targets": {"speakers": ["nobody"]}}, 422, "unknown-target"),
        ({"targets": {"speakers": ["cam-1"]}}, 422, "unknown-target"),
        ({"targets": {}}, 422, "invalid-input"),
        ({"clip": "0" * 64}, 404, "no-clip"),
        ({"clip": "../../etc/passwd"}, 422, "invalid-input"),
        ({"not_after": "2025-01-01T00:00:00Z"}, 422, "expired"),
        ({"not_after": "2027-01-01T00:00:00Z"}, 422, "not-after-too-far"),
        ({"not_after": "2026-01-01T00:00:10"}, 422, "invalid-input"),
        ({"priority": "loud"}, 422, "invalid-input"),
        ({"priority": 4}, 422, "invalid-input"),
        ({"volume": 11}, 422, "invalid-input"),
    ],
)
async def test_a_wrong_order_is_refused_with_its_reason(house: House, changes: dict, status: int, code: str):
    body = order(house, await clip_of(house), id="b-1", **changes)
    got, problem = await house.json("POST", "/v1/broadcasts", json=body)
    assert (got, problem["type"].rsplit(":", 1)[1]) == (status, code)


async def test_a_key_with_scopes_and_a_cap_reaches_no_further(house: House):
    clip = await clip_of(house)

    async def key(**limits) -> dict:
        _, made = await house.json("POST", "/v1/keys", json={"name": "post", "roles": ["operator"], **limits})
        return {"Authorization": f"Bearer {made['key']}"}

    everywhere = order(house, clip, targets={"zones": ["z-1"]}, id="b-1")
    status, problem = await house.json("POST", "/v1/broadcasts", json=everywhere, headers=await key(scopes=["g-1"]))
    assert (status, problem["type"], "spk-2" in problem["detail"]) == (403, "urn:city-gateway:problem:out-of-scope", True)
    status, problem = await house.json("POST", "/v1/broadcasts", json=everywhere, headers=await key(max_speakers=1))
    assert (status, problem["type"]) == (403, "urn:city-gateway:problem:too-many-speakers")
    near = order(house, clip, id="b-2")
    assert (await house.json("POST", "/v1/broadcasts", json=near, headers=await key(scopes=["历下"])))[0] == 202


async def test_stop_all_works_while_the_store_fails(tmp_path: Path, template: Path):
    async with open_house(tmp_path, template) as house:
        await house.json("POST", "/v1/broadcasts", json=order(house, await clip_of(house), id="b-1"))
        take_away(tmp_path)
        await house.services.store._engines.dispose()
        assert (await house.json("GET", "/v1/broadcasts/b-1"))[0] == 503
        status, stopped = await house.json("POST", "/v1/broadcasts/stop-all", role=Role.ENGINEER)
        assert (status, set(stopped)) == (200, {"broadcasts", "speakers"})
        bring_back(tmp_path)


async def test_a_broadcast_is_heard_in_the_street_and_its_record_says_so(tmp_path: Path, template: Path):
    async with open_street(tmp_path, template) as (house, city, control), aiohttp.ClientSession() as street:
        speakers = [device.id for device in city.of_kind("speaker")]
        clip = await clip_of(house)
        body = order(house, clip, id="b-1", targets={"speakers": speakers}, case="C-1")
        status, accepted = await house.json("POST", "/v1/broadcasts", json=body, role=Role.OPERATOR)
        assert (status, accepted["open"], accepted["case"]) == (202, True, "C-1")
        async with asyncio.timeout(20):
            async for event in house.services.store.events.follow(after=0):
                if event.type == "broadcast.ended":
                    break
        _, ended = await house.json("GET", "/v1/broadcasts/b-1")
        assert (ended["open"], ended["counts"]) == (False, {"done": len(speakers)})
        for delivery in ended["deliveries"]:
            async with street.get(f"{control}/speakers/{delivery['speaker']}/heard") as answer:
                heard = await answer.json()
            assert heard["packets"] == delivery["packets"] > 0
        status, problem = await house.json("POST", "/v1/broadcasts/b-1/cancel")
        assert (status, problem["type"]) == (409, "urn:city-gateway:problem:has-ended")


async def test_a_clip_that_is_sent_again_is_answered_as_before(house: House):
    options = {"data": sound(), "headers": {"Content-Type": "audio/wav", "Idempotency-Key": "clip-1"}, "role": Role.OPERATOR}
    status, clip = await house.json("POST", "/v1/clips?name=a", **options)
    async with house.call("POST", "/v1/clips?name=a", **options) as again:
        assert (again.status, again.headers["Idempotent-Replayed"], await again.json()) == (status, "true", clip)
    status, problem = await house.json("POST", "/v1/clips?name=b", **options)
    assert (status, problem["type"]) == (422, "urn:city-gateway:problem:idempotency-key-reused")


async def test_a_cancellation_that_is_sent_again_is_answered_as_before(tmp_path: Path, template: Path):
    async with silent_device() as port, open_house(tmp_path, template, city=one_speaker(port)) as house:
        body = order(house, await clip_of(house), id="b-1")
        assert (await house.json("POST", "/v1/broadcasts", json=body, role=Role.OPERATOR))[0] == 202
        cancel = {"headers": {"Idempotency-Key": "cancel-1"}, "role": Role.OPERATOR}
        status, cancelled = await house.json("POST", "/v1/broadcasts/b-1/cancel", **cancel)
        assert (status, cancelled["open"]) == (200, False)
        assert [delivery["state"] for delivery in cancelled["deliveries"]] == ["cancelled"]
        async with house.call("POST", "/v1/broadcasts/b-1/cancel", **cancel) as again:
            assert (again.status, again.headers["Idempotent-Replayed"], await again.json()) == (200, "true", cancelled)


@asynccontextmanager
async def silent_device() -> AsyncIterator[int]:
    """The port of something that takes connections and never says a word: with a clock that stands, no order to it ends by itself."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(4096):
            pass
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


def one_speaker(port: int) -> City:
    city = City()
    city.replace(devices=[Device(DeviceId("spk-1"), DeviceKind.SPEAKER, "音柱", "127.0.0.1", ports=Ports(onvif=port, rtsp=port))])
    return city
