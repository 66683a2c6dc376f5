"""Quiet hours through the door: shown to who speaks, changed by who may, with a record of it."""

import pytest

from gateway.domain.access import Role
from tests.api.house import House

EXAM = {
    "name": "高考",
    "first": "2026-06-07",
    "last": "2026-06-09",
    "start": "07:00",
    "end": "19:00",
    "effect": "quiet",
    "reason": "notice 12",
}
DURING = "/v1/quiet-hours?at=2026-06-08T09:00:00%2B08:00"


async def test_whoever_speaks_sees_when_it_is_quiet(house: House) -> None:
    status, hours = await house.json("GET", "/v1/quiet-hours?at=2026-06-08T23:00:00%2B08:00", role=Role.OPERATOR)
    city = hours["zones"][0]
    assert (status, hours["timezone"], city["zone"], city["quiet_until"]) == (200, "Asia/Shanghai", "", "2026-06-08T22:00:00Z")
    assert city["quiet"] == [{"start": "22:00", "end": "06:00", "days": [0, 1, 2, 3, 4, 5, 6]}]
    assert (await house.json("GET", "/v1/quiet-hours", role=Role.VIEWER))[0] == 403


async def test_an_administrator_adds_days_and_takes_them_back(house: House) -> None:
    status, days = await house.json("POST", "/v1/quiet-hours/exceptions", role=Role.ADMIN, json=EXAM)
    assert (status, days["reason"], days["zones"]) == (201, "notice 12", [])
    _, hours = await house.json("GET", DURING, role=Role.OPERATOR)
    assert (hours["zones"][0]["quiet_until"], hours["zones"][0]["because"]) == ("2026-06-08T11:00:00Z", "高考")
    assert [one["id"] for one in hours["exceptions"]] == [days["id"]]
    assert (await house.json("DELETE", f"/v1/quiet-hours/exceptions/{days['id']}", role=Role.ADMIN))[0] == 200
    _, hours = await house.json("GET", DURING, role=Role.OPERATOR)
    assert (hours["zones"][0]["quiet_until"], hours["exceptions"]) == (None, [])
    status, problem = await house.json("DELETE", f"/v1/quiet-hours/exceptions/{days['id']}", role=Role.ADMIN)
    assert (status, problem["type"]) == (404, "urn:city-gateway:problem:no-quiet-days")
    _, audit = await house.json("GET", "/v1/audit", role=Role.ADMIN)
    assert {row["action"] for row in audit["items"]} >= {"broadcast.hours-changed"}


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.PLATFORM, Role.ENGINEER, Role.APPROVER])
async def test_nobody_else_does(house: House, role: Role) -> None:
    assert (await house.json("POST", "/v1/quiet-hours/exceptions", role=role, json=EXAM))[0] == 403
    assert (await house.json("POST", "/v1/quiet-hours/reload", role=role))[0] == 403


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"start": "25:00"}, "invalid-input"),
        ({"end": "7:00"}, "invalid-input"),
        ({"effect": "loud"}, "invalid-input"),
        ({"reason": ""}, "invalid-input"),
        ({"last": "2026-06-01"}, "bad-quiet-days"),
        ({"zones": ["nowhere"]}, "bad-quiet-days"),
    ],
)
async def test_days_that_cannot_be_are_refused(house: House, changes: dict[str, object], code: str) -> None:
    status, problem = await house.json("POST", "/v1/quiet-hours/exceptions", role=Role.ADMIN, json={**EXAM, **changes})
    assert (status, problem["type"]) == (422, f"urn:city-gateway:problem:{code}")


async def test_without_a_file_a_reload_says_so(house: House) -> None:
    status, problem = await house.json("POST", "/v1/quiet-hours/reload", role=Role.ADMIN)
    assert (status, problem["type"]) == (409, "urn:city-gateway:problem:no-hours-file")


async def test_a_key_of_one_zone_changes_that_zone_alone(house: House) -> None:
    _, made = await house.json("POST", "/v1/keys", json={"name": "zone", "roles": ["admin"], "scopes": ["z-1"]})
    headers = {"Authorization": f"Bearer {made['key']}"}
    status, problem = await house.json("POST", "/v1/quiet-hours/exceptions", json=EXAM, headers=headers)
    assert (status, problem["type"]) == (403, "urn:city-gateway:problem:out-of-scope")
    _, city = await house.json("POST", "/v1/quiet-hours/exceptions", json=EXAM)
    status, mine = await house.json("POST", "/v1/quiet-hours/exceptions", json={**EXAM, "zones": ["z-1"]}, headers=headers)
    assert (status, mine["zones"]) == (201, ["z-1"])
    assert (await house.json("DELETE", f"/v1/quiet-hours/exceptions/{city['id']}", headers=headers))[0] == 403
    assert (await house.json("DELETE", f"/v1/quiet-hours/exceptions/{mine['id']}", headers=headers))[0] == 200
