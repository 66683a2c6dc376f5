"""Schedules by the API: made, looked at, decided on, within what a key reaches."""

from datetime import timedelta
from typing import Any

import pytest

from gateway.clock import SimulatedClock
from gateway.domain.access import Role
from tests.api.house import House
from tests.media.test_clips import tone, wav
from tests.waiting import until

AT = "2026-01-02T16:30:00+08:00"


async def a_clip(house: House) -> str:
    status, made = await house.json("POST", "/v1/clips?name=move", data=wav(tone(0.2)), headers={"Content-Type": "audio/wav"})
    assert status == 201, made
    return str(made["id"])


async def body(house: House, **changes: Any) -> dict[str, Any]:
    order = {"name": "放学", "clip": await a_clip(house), "targets": {"speakers": ["spk-1"]}, "start": AT, "rrule": "FREQ=DAILY"}
    return order | changes


async def test_a_schedule_is_made_and_told_with_when_it_speaks(house: House) -> None:
    status, made = await house.json("POST", "/v1/schedules", json=await body(house, days="not-holidays"), role=Role.OPERATOR)
    assert (status, made["state"], made["next"]) == (201, "active", "2026-01-02T08:30:00Z")
    assert (made["actor"][:8], made["sender"]) == ("api-key:", "operator key")
    status, listed = await house.json("GET", "/v1/schedules", role=Role.OPERATOR)
    assert ([one["id"] for one in listed["items"]], listed["holidays_known_until"]) == ([made["id"]], "2026-12-31")
    status, told = await house.json("GET", f"/v1/schedules/{made['id']}/occurrences")
    assert [one["due"] for one in told["ahead"]][:2] == ["2026-01-02T08:30:00Z", "2026-01-03T08:30:00Z"]
    assert told["runs"] == []


async def test_an_occurrence_becomes_a_broadcast_that_the_schedule_names(house: House) -> None:
    start = (house.clock.now() + timedelta(hours=8, seconds=5)).isoformat()  # in the morning, when nobody sleeps
    _, made = await house.json("POST", "/v1/schedules", json=await body(house, start=start, rrule=""))
    assert isinstance(house.clock, SimulatedClock)
    house.clock.step(timedelta(hours=8))

    async def last() -> Any:
        return (await house.json("GET", f"/v1/schedules/{made['id']}"))[1]["last"]

    run = await until(last, meanwhile=lambda: house.advance(1))
    assert (run["state"], run["code"]) == ("ordered", "")
    status, told = await house.json("GET", f"/v1/broadcasts/{run['broadcast']}")
    assert (status, told["priority"], told["reason"]) == (200, "schedule", "放学")


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        ({"rrule": "FREQ=SOMETIMES"}, "/rrule"),
        ({"timezone": "Mars/Phobos"}, "/timezone"),
        ({"text": "both"}, "/"),
        ({"within_s": 3_000}, "/within_s"),
        ({"start": "2026-01-02T16:30:00"}, "/start"),
    ],
)
async def test_what_is_wrong_is_named(house: House, changes: dict[str, Any], at: str) -> None:
    status, told = await house.json("POST", "/v1/schedules", json=await body(house, **changes))
    assert status in {400, 422}, told
    assert at in [one["pointer"] for one in told["errors"]]


async def test_a_target_that_does_not_exist_is_refused(house: House) -> None:
    status, told = await house.json("POST", "/v1/schedules", json=await body(house, targets={"speakers": ["nobody"]}))
    assert (status, told["type"]) == (422, "urn:city-gateway:problem:unknown-target")


async def test_it_is_paused_resumed_and_withdrawn(house: House) -> None:
    _, made = await house.json("POST", "/v1/schedules", json=await body(house))
    path = f"/v1/schedules/{made['id']}"
    assert (await house.json("POST", f"{path}/pause"))[1]["next"] is None
    assert (await house.json("POST", f"{path}/pause"))[0] == 409
    assert (await house.json("POST", f"{path}/resume"))[1]["state"] == "active"
    assert (await house.json("DELETE", path))[1]["state"] == "withdrawn"
    assert (await house.json("GET", path))[1]["state"] == "withdrawn"
    assert (await house.json("GET", "/v1/schedules"))[1]["items"] == []
    assert (await house.json("GET", "/v1/schedules/S-none"))[0] == 404


async def test_who_only_looks_makes_none(house: House) -> None:
    assert (await house.json("POST", "/v1/schedules", json=await body(house), role=Role.ENGINEER))[0] == 403


async def key(house: House, **limits: Any) -> dict[str, str]:
    _, made = await house.json("POST", "/v1/keys", json={"name": "post", "roles": ["operator"], **limits})
    return {"Authorization": f"Bearer {made['key']}"}


async def test_a_key_with_scopes_makes_and_pauses_none_beyond_them(house: House) -> None:
    everywhere = await body(house, targets={"zones": ["z-1"]})
    scoped = await key(house, scopes=["g-1"])
    status, told = await house.json("POST", "/v1/schedules", json=everywhere, headers=scoped)
    assert (status, told["type"]) == (403, "urn:city-gateway:problem:out-of-scope")
    _, made = await house.json("POST", "/v1/schedules", json=everywhere)
    for act in ("pause", "resume"):
        assert (await house.json("POST", f"/v1/schedules/{made['id']}/{act}", headers=scoped))[0] == 403
    assert (await house.json("DELETE", f"/v1/schedules/{made['id']}", headers=scoped))[0] == 403
    assert (await house.json("GET", f"/v1/schedules/{made['id']}"))[1]["state"] == "active"


async def test_what_reaches_further_than_a_key_may_is_approved_once_by_another(house: House) -> None:
    owner = await key(house, max_speakers=1, roles=["operator", "approver"])
    _, made = await house.json("POST", "/v1/schedules", json=await body(house, targets={"zones": ["z-1"]}), headers=owner)
    assert (made["state"], made["next"]) == ("awaiting-approval", None)
    path = f"/v1/schedules/{made['id']}/approve"
    status, told = await house.json("POST", path, headers=owner)
    assert (status, told["type"]) == (403, "urn:city-gateway:problem:second-person")
    assert (await house.json("POST", path, role=Role.OPERATOR))[0] == 403
    status, told = await house.json("POST", path)
    assert (status, told["state"], told["next"]) == (200, "active", "2026-01-02T08:30:00Z")
    assert told["approved_by"] not in {None, told["actor"]}
    assert (await house.json("POST", path))[0] == 409
