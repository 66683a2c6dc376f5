"""Clips and broadcasts through the door: accepted once, refused with reasons, silenced whatever happens."""

import asyncio
import io
import json
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from gateway.api.orders import read_order, read_talk
from gateway.api.services import Caller
from gateway.domain.access import Permission, Role
from gateway.domain.city import City
from gateway.domain.devices import CameraGroup, Device, DeviceId, DeviceKind, GroupId, Ports
from gateway.domain.events import Actor, ActorKind
from gateway.errors import InvalidInput
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


async def test_a_clip_is_kept_once_and_can_be_heard_as_loudspeakers_get_it(house: House):
    clip = await clip_of(house)
    assert await clip_of(house) == clip
    _, page = await house.json("GET", "/v1/clips", role=Role.OPERATOR)
    assert [(item["id"], item["name"], item["duration_ms"]) for item in page["items"]] == [(clip, "请离开", 500)]
    async with house.call("GET", f"/v1/clips/{clip}/sound") as answer:
        assert answer.content_type == "audio/wav"
        with wave.open(io.BytesIO(await answer.read())) as file:
            assert (file.getframerate(), file.getnframes()) == (8000, 4000)
    assert (await house.json("GET", f"/v1/clips/{'0' * 64}"))[0] == 404


async def test_a_clip_is_labelled_found_renamed_and_deleted(house: House):
    options = {"data": sound(), "headers": {"Content-Type": "audio/ogg"}}
    query = "name=%E8%AF%B7%E7%A6%BB%E5%BC%80&name_en=Please+leave&tags=stall&tags=night&level=false"
    status, clip = await house.json("POST", f"/v1/clips?{query}", role=Role.OPERATOR, **options)
    assert (status, clip["name_en"], clip["tags"], clip["level"]) == (201, "Please leave", ["stall", "night"], False)
    assert clip["lufs_before"] == clip["lufs_after"]
    for search, found in (("search=LEAVE", 1), ("tag=stall", 1), ("tag=sta", 0), ("search=nothing", 0)):
        assert len((await house.json("GET", f"/v1/clips?{search}"))[1]["items"]) == found
    body = {"name": "走开", "name_en": "Go", "tags": ["day"], "level": True}
    status, changed = await house.json("PUT", f"/v1/clips/{clip['id']}", json=body)
    assert (status, changed["name"], changed["tags"], changed["level"]) == (200, "走开", ["day"], True)
    assert (await house.json("PUT", f"/v1/clips/{clip['id']}", role=Role.VIEWER, json=body))[0] == 403
    assert (await house.json("DELETE", f"/v1/clips/{clip['id']}", role=Role.VIEWER))[0] == 403
    async with house.call("DELETE", f"/v1/clips/{clip['id']}", role=Role.OPERATOR) as answer:
        assert answer.status == 204
    assert (await house.json("GET", f"/v1/clips/{clip['id']}", role=Role.OPERATOR))[0] == 404


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
    status, waiting = await house.json("POST", "/v1/broadcasts", json=everywhere, headers=await key(max_speakers=1))
    assert (status, waiting["counts"]) == (202, {"awaiting-approval": 2})
    near = order(house, clip, id="b-2")
    assert (await house.json("POST", "/v1/broadcasts", json=near, headers=await key(scopes=["历下"])))[0] == 202


async def test_nobody_takes_an_id_that_a_schedule_may_need(house: House):
    body = order(house, await clip_of(house), id="S-0123456789ab-20260601T080000Z")
    status, problem = await house.json("POST", "/v1/broadcasts", json=body, role=Role.PLATFORM)
    assert (status, problem["errors"][0]["pointer"]) == (422, "/id")
    assert problem["errors"][0]["detail"] == "begins with S-, as only the gateway's own broadcasts do"
    caller = Caller(Actor(ActorKind.API_KEY, "platform"), "platform", frozenset(Permission))
    with pytest.raises(InvalidInput) as by_mqtt:
        read_order(body, caller=caller, city=house.services.city)
    talk = json.dumps({"targets": {"speakers": ["spk-1"]}, "id": body["id"]})
    with pytest.raises(InvalidInput) as talking:
        read_talk(talk, caller=caller, city=house.services.city, now=house.clock.now(), new_id=str)
    assert [fault.where for error in (by_mqtt, talking) for fault in error.value.faults] == ["/id", "/id"]


async def waiting(house: House) -> dict:
    """A broadcast that reaches further than its key may; the headers of that key."""
    _, made = await house.json("POST", "/v1/keys", json={"name": "post", "roles": ["operator", "approver"], "max_speakers": 1})
    headers = {"Authorization": f"Bearer {made['key']}"}
    body = order(house, await clip_of(house), targets={"zones": ["z-1"]}, id="b-1")
    assert (await house.json("POST", "/v1/broadcasts", json=body, headers=headers))[0] == 202
    return headers


async def test_what_reaches_further_than_a_key_may_is_decided_by_somebody_else(house: House):
    headers = await waiting(house)
    for act in ("approve", "decline"):
        status, problem = await house.json("POST", f"/v1/broadcasts/b-1/{act}", headers=headers)
        assert (status, problem["type"]) == (403, "urn:city-gateway:problem:second-person")
        assert (await house.json("POST", f"/v1/broadcasts/b-1/{act}", role=Role.OPERATOR))[0] == 403  # speaks, and approves nothing
    status, approved = await house.json("POST", "/v1/broadcasts/b-1/approve", role=Role.APPROVER)
    assert (status, approved["counts"].get("awaiting-approval", 0)) == (200, 0)
    assert approved["approved_by"].startswith("api-key:")
    status, problem = await house.json("POST", "/v1/broadcasts/b-1/decline", role=Role.APPROVER)
    assert (status, problem["type"]) == (409, "urn:city-gateway:problem:not-awaiting")
    assert (await house.json("POST", "/v1/broadcasts/b-9/approve", role=Role.APPROVER))[0] == 404


async def test_what_is_declined_is_cancelled_and_says_so_in_words(house: House):
    await waiting(house)
    _, declined = await house.json("POST", "/v1/broadcasts/b-1/decline", role=Role.APPROVER)
    said = {(one["state"], one["reason"], one["reason_zh"], one["reason_en"]) for one in declined["deliveries"]}
    assert said == {("cancelled", "declined", "第二人不同意", "a second person declined it")}
    assert (declined["open"], declined["approved_by"]) == (False, None)


async def test_nobody_decides_on_loudspeakers_that_their_key_does_not_reach(house: House):
    await waiting(house)
    _, made = await house.json("POST", "/v1/keys", json={"name": "east", "roles": ["approver"], "scopes": ["g-1"]})
    status, problem = await house.json("POST", "/v1/broadcasts/b-1/approve", headers={"Authorization": f"Bearer {made['key']}"})
    assert (status, problem["type"]) == (403, "urn:city-gateway:problem:out-of-scope")


EXAM = {
    "name": "高考",
    "first": "2026-01-01",
    "last": "2026-01-01",
    "start": "07:00",
    "end": "19:00",
    "effect": "quiet",
    "reason": "notice 12",
}


async def test_in_quiet_hours_an_order_is_refused_with_what_to_do_and_who_may_names_a_reason(house: House):
    await house.json("POST", "/v1/quiet-hours/exceptions", role=Role.ADMIN, json=EXAM)
    body = order(house, await clip_of(house), id="b-1", priority="enforcement")
    status, problem = await house.json("POST", "/v1/broadcasts", json=body, role=Role.OPERATOR)
    assert (status, problem["type"]) == (403, "urn:city-gateway:problem:quiet-hours")
    assert (problem["values"]["zone"], problem["values"]["because"]) == ("", EXAM["name"])
    assert problem["values"]["until"] in problem["detail"]
    assert "高考" in problem["detail"] and "19:00" in problem["detail"] and "override" in problem["hint"]
    body["override"] = "fight at gate 3"
    status, problem = await house.json("POST", "/v1/broadcasts", json=body, role=Role.PLATFORM)
    assert (status, problem["type"]) == (403, "urn:city-gateway:problem:override-not-allowed")
    status, taken = await house.json("POST", "/v1/broadcasts", json=body, role=Role.OPERATOR)
    assert (status, taken["override"]) == (202, "fight at gate 3")
    emergency = {**body, "id": "b-2", "priority": "emergency"}
    status, problem = await house.json("POST", "/v1/broadcasts", json=emergency, role=Role.PLATFORM)
    assert (status, problem["type"]) == (403, "urn:city-gateway:problem:emergency-not-allowed")
    assert (await house.json("POST", "/v1/broadcasts", json=emergency, role=Role.OPERATOR))[0] == 202


async def test_stop_all_works_while_the_store_fails(tmp_path: Path, template: Path):
    async with open_house(tmp_path, template) as house:
        await house.json("POST", "/v1/broadcasts", json=order(house, await clip_of(house), id="b-1"))
        take_away(tmp_path)
        await house.services.store._engines.dispose()
        assert (await house.json("GET", "/v1/broadcasts/b-1"))[0] == 503
        status, stopped = await house.json("POST", "/v1/broadcasts/stop-all", role=Role.ENGINEER)
        assert (status, set(stopped)) == (200, {"broadcasts", "speakers", "may_still_sound"})
        bring_back(tmp_path)


async def test_a_broadcast_is_heard_in_the_street_and_its_record_says_so(tmp_path: Path, template: Path):
    async with open_street(tmp_path, template) as (house, city, control), aiohttp.ClientSession() as street:
        speakers = [device.id for device in city.of_kind("speaker")]
        clip = await clip_of(house)
        body = order(house, clip, id="b-1", targets={"speakers": speakers}, case="C-1")
        status, accepted = await house.json("POST", "/v1/broadcasts", json=body, role=Role.OPERATOR)
        assert (status, accepted["open"], accepted["case"]) == (202, True, "C-1")
        async with asyncio.timeout(60):
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


async def talks(street: aiohttp.ClientSession, control: str, speaker: str) -> list[dict]:
    """What one loudspeaker heard, talk by talk, with the kernel's arrival times."""
    async with street.get(f"{control}/speakers/{speaker}/heard") as answer:
        return (await answer.json())["sessions"]


async def told(house: House, broadcast: str, state: str) -> None:
    """Return once a delivery of the broadcast is said to be so."""
    async with asyncio.timeout(60):
        async for event in house.services.store.events.follow(after=0):
            if event.type == "broadcast.delivery" and event.subject == broadcast and event.data["state"] == state:
                return


async def test_an_emergency_is_heard_in_the_midst_of_what_it_interrupts_which_then_goes_on(tmp_path: Path, template: Path):
    async with open_street(tmp_path, template) as (house, city, control), aiohttp.ClientSession() as street:
        there, headers = {"targets": {"speakers": [city.of_kind("speaker")[0].id]}}, {"Content-Type": "audio/wav"}
        short = await clip_of(house)
        _, long = await house.json("POST", "/v1/clips?name=long", role=Role.OPERATOR, data=sound(3.0), headers=headers)
        await house.json("POST", "/v1/broadcasts", json=order(house, long["id"], id="b-1", resume=True, **there), role=Role.OPERATOR)
        await told(house, "b-1", "playing")
        await house.json("POST", "/v1/broadcasts", json=order(house, short, id="b-2", priority="emergency", **there), role=Role.OPERATOR)
        await told(house, "b-1", "interrupted")
        await told(house, "b-1", "done")
        (talk,) = await talks(street, control, city.of_kind("speaker")[0].id)
        interrupted, emergency = [(await house.json("GET", f"/v1/broadcasts/{id}"))[1]["deliveries"][0] for id in ("b-1", "b-2")]
        assert interrupted["packets"] + emergency["packets"] == talk["packets"]
        assert interrupted["first_packet_at"] < emergency["first_packet_at"] < emergency["last_packet_at"] < interrupted["last_packet_at"]


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


async def test_a_broadcast_is_silenced_only_by_who_reaches_it_and_an_emergency_by_who_may_order_one(tmp_path: Path, template: Path):
    async with silent_device() as port, open_house(tmp_path, template, city=one_speaker(port)) as house:
        body = order(house, await clip_of(house), id="b-1", priority="emergency")
        assert (await house.json("POST", "/v1/broadcasts", json=body, role=Role.OPERATOR))[0] == 202
        _, made = await house.json("POST", "/v1/keys", json={"name": "east", "roles": ["operator"], "scopes": ["g-2"]})
        scoped = {"headers": {"Authorization": f"Bearer {made['key']}"}}
        refused = {"out-of-scope": scoped, "emergency-not-allowed": {"role": Role.PLATFORM}}
        for code, caller in refused.items():
            status, problem = await house.json("POST", "/v1/broadcasts/b-1/cancel", **caller)
            assert (status, problem["type"]) == (403, f"urn:city-gateway:problem:{code}")
        status, cancelled = await house.json("POST", "/v1/broadcasts/b-1/cancel", role=Role.OPERATOR)
        assert (status, cancelled["counts"]) == (200, {"cancelled": 1})


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
    horn = Device(DeviceId("spk-1"), DeviceKind.SPEAKER, "音柱", "127.0.0.1", ports=Ports(onvif=port, rtsp=port))
    city.replace(devices=[horn], groups=[CameraGroup(GroupId("g-2"), "elsewhere")])
    return city
