"""Bindings through the door: who may decide, what is shown, what comes back."""

from typing import Any

import pytest

from gateway.domain.access import Role
from gateway.domain.events import SYSTEM
from tests.api.house import House
from tests.inventory.test_bindings import STREET

ONE = {"camera": "CAM-1", "speaker": "SPK-1"}


@pytest.fixture
async def street(house: House) -> House:
    return await with_street(house)


async def with_street(house: House) -> House:
    """The house with a street in its store, and what is near proposed."""
    headers = {"Content-Type": "application/yaml"}
    more = STREET.replace("devices:", "  - {id: G-2, name: 广场, district: 开发区}\ndevices:").replace(
        "name: nowhere, address: 10.0.0.5", "name: nowhere, address: 10.0.0.5, group: G-2"
    )
    assert (await house.json("POST", "/v1/inventory/imports?name=a.yaml", data=more.encode(), headers=headers))[0] == 200
    await house.services.bindings.propose(actor=SYSTEM)
    return house


async def decide(house: House, body: Any, *, role: Role = Role.ENGINEER, **options: Any) -> tuple[int, Any]:
    return await house.json("POST", "/v1/bindings/decisions", role=role, json=body, **options)


async def test_what_is_proposed_is_listed_with_how_it_lies(street: House):
    status, page = await street.json("GET", "/v1/bindings?limit=1", role=Role.VIEWER)
    assert status == 200
    assert page["items"] == [
        {
            "camera": "CAM-1",
            "preset": "",
            "speaker": "SPK-1",
            "state": "proposed",
            "reach_m": 100.0,
            "distance_m": 55.6,
            "bearing_deg": 0.0,
            "decided_by": "",
            "decided_at": None,
            "note": "",
        }
    ]
    _, rest = await street.json("GET", f"/v1/bindings?limit=1&cursor={page['next']}")
    assert ([item["speaker"] for item in rest["items"]], rest["next"]) == (["SPK-2"], None)


async def test_a_person_confirms_and_the_lists_of_both_sides_show_it(street: House):
    status, done = await decide(street, {"bindings": [ONE], "decision": "confirm", "reach_m": 80.04, "note": "去现场听过"})
    assert status == 200
    one = done["items"][0]
    assert (one["state"], one["reach_m"], one["note"]) == ("confirmed", 80.0, "去现场听过")
    assert one["decided_by"].startswith("api-key:")
    assert one["decided_at"]
    for query in ("camera=CAM-1&state=confirmed", "speaker=SPK-1", "camera=CAM-1&speaker=SPK-1"):
        assert (await street.json("GET", f"/v1/bindings?{query}"))[1]["items"] == [one]
    assert (await street.json("GET", "/v1/bindings?camera=CAM-2"))[1]["items"] == []


async def test_many_are_rejected_at_once_and_a_reach_is_set(street: House):
    both = [ONE, {"camera": "CAM-1", "speaker": "SPK-2", "preset": ""}]
    status, done = await decide(street, {"bindings": both, "decision": "reject"})
    assert (status, {item["state"] for item in done["items"]}) == (200, {"rejected"})
    status, done = await street.json("POST", "/v1/bindings/reach", role=Role.ENGINEER, json={"bindings": both, "reach_m": 45})
    assert (status, [(item["reach_m"], item["state"]) for item in done["items"]]) == (200, [(45.0, "rejected")] * 2)


async def test_proposing_again_is_shown_first_and_changes_nothing_that_is_decided(street: House):
    await decide(street, {"bindings": [ONE], "decision": "confirm"})
    status, found = await street.json("POST", "/v1/bindings/proposals", role=Role.ENGINEER, json={})
    assert (status, found) == (200, {"added": 0, "removed": 0})


async def test_devices_that_are_none_are_named(street: House):
    status, problem = await decide(street, {"bindings": [ONE, {"camera": "SPK-1", "speaker": "CAM-9"}], "decision": "confirm"})
    assert (status, problem["type"].rpartition(":")[2]) == (422, "unknown-device")
    assert [fault["pointer"] for fault in problem["errors"]] == ["/bindings/1/camera", "/bindings/1/speaker"]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.PLATFORM, Role.LIAISON])
async def test_who_may_not_write_the_inventory_decides_nothing(street: House, role: Role):
    assert (await decide(street, {"bindings": [ONE], "decision": "confirm"}, role=role))[0] == 403
    assert (await street.json("POST", "/v1/bindings/proposals", role=role, json={}))[0] == 403
    assert (await street.json("POST", "/v1/bindings/reach", role=role, json={"bindings": [ONE], "reach_m": 10}))[0] == 403


async def test_a_key_with_scopes_decides_only_where_it_reaches_both_ends(street: House):
    _, made = await street.json("POST", "/v1/keys", json={"name": "half", "roles": ["engineer"], "scopes": ["G-2", "G-1"]})
    wide = {"Authorization": f"Bearer {made['key']}"}
    _, made = await street.json("POST", "/v1/keys", json={"name": "less", "roles": ["engineer"], "scopes": ["G-2"]})
    narrow = {"Authorization": f"Bearer {made['key']}"}
    body = {"bindings": [{"camera": "CAM-1", "speaker": "SPK-4"}], "decision": "confirm"}
    status, problem = await decide(street, body, headers=narrow)
    assert (status, problem["type"].rpartition(":")[2]) == (403, "out-of-scope")
    assert (await decide(street, body, headers=wide))[0] == 200
    assert (await street.json("POST", "/v1/bindings/proposals", json={}, headers=wide))[0] == 403
