"""Holds through the door: placed and ended by those who may, within their scopes, once however often it is sent."""

from datetime import datetime, timedelta
from pathlib import Path

from gateway.domain.access import Role
from gateway.domain.footage import Period
from gateway.domain.holds import HeldFile, HoldId
from gateway.domain.scrubbing import Finding, Piece, Stored
from gateway.storage.store import Tx
from gateway.storage.writer import Lane
from tests.api.house import CAMERA, RECORDER, House, open_street


def order(house: House, *cameras: str, **changes: object) -> dict:
    now = house.clock.now().replace(microsecond=0)
    known = {"start": (now - timedelta(hours=2)).isoformat(), "end": (now - timedelta(hours=1)).isoformat()}
    return {**known, "cameras": list(cameras), "reason": "警情 0417", "expires_at": (now + timedelta(days=7)).isoformat(), **changes}


async def placed(house: House, **changes: object) -> dict:
    status, hold = await house.json("POST", "/v1/footage/holds", json=order(house, CAMERA, **changes), role=Role.LIAISON)
    assert status == 201, hold
    return hold


async def test_a_hold_is_placed_shown_extended_and_released_by_its_owner(house: House):
    hold = await placed(house)
    assert (hold["state"], hold["owner"]["name"], [keep["state"] for keep in hold["keeps"]]) == ("active", "liaison key", ["waiting"])
    path = f"/v1/footage/holds/{hold['id']}"
    later = (house.clock.now() + timedelta(days=9)).isoformat()
    status, longer = await house.json("POST", f"{path}/extend", json={"expires_at": later}, role=Role.LIAISON)
    assert (status, longer["expires_at"] > hold["expires_at"]) == (200, True)
    status, ended = await house.json("POST", f"{path}/release", json={"note": "结案"}, role=Role.LIAISON)
    assert (status, ended["state"], ended["note"], ended["ended_by"]["name"]) == (200, "released", "结案", "liaison key")
    assert (await house.json("POST", f"{path}/release", json={"note": "x"}, role=Role.LIAISON))[0] == 409
    _, shown = await house.json("GET", path, role=Role.APPROVER)
    assert shown["state"] == "released"
    _, audit = await house.json("GET", "/v1/audit?limit=10", role=Role.APPROVER)
    assert {"hold.place", "hold.extend", "hold.release"} <= {row["action"] for row in audit["items"]}


async def checked(house: House, hold: dict, found: dict[str, str]) -> None:
    """Files of a hold that were read again just now, with what was found; the last of them is removed."""
    name, now = HoldId(hold["id"]), house.clock.now()
    window = Period(now - timedelta(hours=2), now - timedelta(hours=1))

    async def change(tx: Tx) -> None:
        for number, (called, why) in enumerate(found.items(), 1):
            gone = number == len(found)
            await tx.holds.add_file(
                HeldFile(name, CAMERA, RECORDER, number, called, "a" * 64, 7, 25, 0, window, (window,), now, removed=gone)
            )
            await tx.scrubs.put(Piece(Stored.HELD, name, called, called, "a" * 64, now), Finding(now, why))

    await house.services.store.writer.write(change, lane=Lane.FOOTAGE)


async def test_a_hold_says_when_its_files_were_read_again_and_what_was_found(house: House):
    hold = await placed(house)
    assert hold["checks"] == []
    await checked(house, hold, {"a_001.mp4": "", "a_002.mp4": "is missing", "gone.mp4": "is missing"})
    _, shown = await house.json("GET", f"/v1/footage/holds/{hold['id']}", role=Role.LIAISON)
    assert [(one["name"], one["found"]) for one in shown["checks"]] == [("a_001.mp4", ""), ("a_002.mp4", "is missing")]
    assert {datetime.fromisoformat(one["checked_at"]) for one in shown["checks"]} == {house.clock.now()}


async def test_a_hold_is_ended_by_its_owner_or_an_approver_and_nobody_else(house: House):
    hold = await placed(house)
    _, key = await house.json("POST", "/v1/keys", json={"name": "colleague", "roles": ["liaison"]})
    path = f"/v1/footage/holds/{hold['id']}/release"
    status, problem = await house.json("POST", path, json={"note": "x"}, headers={"Authorization": f"Bearer {key['key']}"})
    assert (status, problem["type"]) == (403, "urn:city-gateway:problem:not-yours")
    assert (await house.json("POST", path, json={"note": "x"}, role=Role.APPROVER))[0] == 200


async def test_whoever_may_not_hold_does_not(house: House):
    for role in (Role.VIEWER, Role.OPERATOR, Role.ENGINEER, Role.ADMIN):
        assert (await house.json("POST", "/v1/footage/holds", json=order(house, CAMERA), role=role))[0] == 403
    _, key = await house.json("POST", "/v1/keys", json={"name": "x", "roles": ["liaison"], "scopes": ["g-2"]})
    headers = {"Authorization": f"Bearer {key['key']}"}
    status, problem = await house.json("POST", "/v1/footage/holds", json=order(house, CAMERA), headers=headers)
    assert (status, problem["type"]) == (403, "urn:city-gateway:problem:out-of-scope")


async def test_holds_page_newest_first_and_narrow_by_state(house: House):
    names = []
    for _ in range(3):
        names.append((await placed(house))["id"])
        await house.advance(1)
    await house.json("POST", f"/v1/footage/holds/{names[0]}/release", json={"note": "x"}, role=Role.APPROVER)
    _, page = await house.json("GET", "/v1/footage/holds?limit=2", role=Role.LIAISON)
    assert [item["id"] for item in page["items"]] == [names[2], names[1]]
    _, rest = await house.json("GET", f"/v1/footage/holds?limit=2&cursor={page['next']}", role=Role.LIAISON)
    assert ([item["id"] for item in rest["items"]], rest["next"]) == ([names[0]], None)
    _, active = await house.json("GET", "/v1/footage/holds?state=active", role=Role.LIAISON)
    assert [item["id"] for item in active["items"]] == [names[2], names[1]]


async def test_each_fault_of_a_hold_is_named_at_its_place(house: House):
    future = (house.clock.now() + timedelta(days=1)).isoformat()
    for wrong, place in (
        (order(house, "nowhere"), "/cameras/0"),
        (order(house, CAMERA, end=future), "/end"),
        (order(house, CAMERA, expires_at="2020-01-01T00:00:00Z"), "/expires_at"),
    ):
        status, problem = await house.json("POST", "/v1/footage/holds", json=wrong, role=Role.LIAISON)
        assert (status, problem["errors"][0]["pointer"]) == (422, place)


async def test_a_hold_sent_twice_is_one(house: House):
    headers = {"Idempotency-Key": "once"}
    body = order(house, CAMERA)
    first = await house.json("POST", "/v1/footage/holds", json=body, role=Role.LIAISON, headers=headers)
    assert first == await house.json("POST", "/v1/footage/holds", json=body, role=Role.LIAISON, headers=headers)
    _, page = await house.json("GET", "/v1/footage/holds", role=Role.LIAISON)
    assert len(page["items"]) == 1


async def test_what_the_recorder_keeps_anyway_is_safe_and_takes_no_room(tmp_path: Path, template: Path):
    async with open_street(tmp_path, template) as (house, city, _):
        camera = next(channel.camera for recorder in city.of_kind("recorder") for channel in recorder.channels if not channel.gappy)
        status, hold = await house.json("POST", "/v1/footage/holds", json=order(house, camera), role=Role.LIAISON)
        assert status == 201, hold
        assert [(keep["reserved_bytes"], keep["overwrite_at"] is not None) for keep in hold["keeps"]] == [(0, True)]
