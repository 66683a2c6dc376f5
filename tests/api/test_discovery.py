"""Searches and their proposals through the door."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.domain.access import Role
from gateway.domain.devices import DeviceId, DeviceKind
from gateway.domain.discovery import Finding, Kind, Sighting
from gateway.storage.discovery import Proposal
from gateway.storage.writer import Lane
from tests.api.house import House
from tests.inventory.files import CITY

SEEN = Sighting("10.0.0.77", "urn:uuid:7", 80, "门", DeviceKind.CAMERA, "Acme", "M", "1", "S-7", ("02:00:00:00:00:07",), trouble="no-login")
NEW = Finding(Kind.NEW, "new:10.0.0.77", SEEN, None, {"address": "10.0.0.77", "kind": "camera", "vendor": "Acme", "endpoint": "urn:uuid:7"})
MOVED = Finding(Kind.MOVED, "moved:CAM-1", replace(SEEN, address="10.0.0.78"), DeviceId("CAM-1"), {"address": "10.0.0.78"}, ("serial",))


@pytest.fixture
async def filled(house: House) -> House:
    text = CITY.replace("devices:\n", "  - {id: G-2, name: 广场, district: 开发区}\ndevices:\n").encode()
    headers = {"Content-Type": "application/yaml"}
    assert (await house.json("POST", "/v1/inventory/imports?name=a.yaml", data=text, headers=headers))[0] == 200
    at = house.clock.now()
    found = [Proposal("P-1", NEW, at, at, "R-1"), Proposal("P-2", MOVED, at, at, "R-1")]
    await house.services.store.writer.write(lambda tx: tx.discovery.put(found), lane=Lane.HEALTH)
    return house


async def post(house: House, path: str, *, role: Role = Role.ENGINEER, **body: Any) -> tuple[int, Any]:
    async with house.call("POST", path, role=role, json=body) as answer:
        return answer.status, await answer.json() if answer.status != 204 else None


def code(problem: Any) -> str:
    return str(problem["type"].rpartition(":")[2])


async def test_a_search_is_a_run_within_what_the_configuration_allows(house: House):
    status, problem = await post(house, "/v1/discovery/runs", ranges=["127.9.0.0/16"])
    assert (status, code(problem), problem["errors"][0]["pointer"]) == (422, "outside-ranges", "/ranges")
    assert (await post(house, "/v1/discovery/runs", ranges=["here"]))[0] == 422
    status, run = await post(house, "/v1/discovery/runs", ranges=["127.9.9.0/31"])
    assert (status, run["state"]) == (202, "waiting")
    assert code((await post(house, "/v1/discovery/runs"))[1]) == "run-under-way"
    run = await house.ended(f"/v1/discovery/runs/{run['id']}", role=Role.VIEWER)
    assert (run["state"], run["total"], run["asked"], run["answered"]) == ("done", 2, 2, 0)
    assert run["found"] == {"new": 0, "moved": 0, "replaced": 0, "detail": 0, "conflict": 0}
    assert (await house.json("GET", "/v1/uplinks/surveys/" + run["id"]))[0] == 404


async def test_proposals_are_listed_with_what_was_seen(filled: House):
    status, page = await filled.json("GET", "/v1/discovery/proposals", role=Role.VIEWER)
    assert (status, [item["id"] for item in page["items"]]) == (200, ["P-1", "P-2"])
    new, moved = page["items"]
    assert (new["kind"], new["device"], new["seen"]["serial"], new["seen"]["trouble"]) == ("new", None, "S-7", "no-login")
    assert (moved["kind"], moved["device"], moved["changes"], moved["recognised_by"]) == (
        "moved",
        "CAM-1",
        {"address": "10.0.0.78"},
        ["serial"],
    )
    _, page = await filled.json("GET", "/v1/discovery/proposals?kind=moved")
    assert [item["id"] for item in page["items"]] == ["P-2"]


async def test_a_new_device_comes_in_with_what_the_person_fills_in(filled: House):
    path = "/v1/discovery/proposals/P-1/accept"
    status, problem = await post(filled, path)
    assert (status, {fault["detail"] for fault in problem["errors"]}) == (422, {"id is missing", "name is missing"})
    values = {"id": "CAM-7", "name": "东门", "group": "G-2", "horns": 0, "enabled": False}
    status, shown = await post(filled, path, values=values, dry_run=True)
    assert (status, shown["applied"], shown["lines"][-1]) == (200, False, "1 added, 0 changed, 0 removed")
    status, done = await post(filled, path, values=values, comment="new contract")
    assert (status, done["applied"]) == (200, True)
    _, device = await filled.json("GET", "/v1/devices/CAM-7")
    assert (device["address"], device["endpoint"], device["group"], device["enabled"]) == ("10.0.0.77", "urn:uuid:7", "G-2", False)
    assert code((await post(filled, path, values=values))[1]) == "not-open"
    _, page = await filled.json("GET", "/v1/discovery/proposals?state=accepted&settled=true")
    assert [(item["id"], item["decided_by"], item["comment"]) for item in page["items"]] == [
        ("P-1", page["items"][0]["decided_by"], "new contract")
    ]


async def test_a_moved_device_is_moved_and_never_renamed(filled: House):
    path = "/v1/discovery/proposals/P-2/accept"
    assert (await post(filled, path, values={"id": "CAM-8"}))[0] == 422
    status, done = await post(filled, "/v1/discovery/proposals/accept", ids=["P-2"])
    assert (status, done["lines"][0]) == (200, "~ camera CAM-1 枪机  address: 10.0.0.2 → 10.0.0.78")


async def test_what_is_dismissed_is_put_aside_with_who_and_why(filled: House):
    assert (await post(filled, "/v1/discovery/proposals/P-1/dismiss", comment="not ours")) == (204, None)
    assert code((await post(filled, "/v1/discovery/proposals/P-1/dismiss"))[1]) == "not-open"
    _, page = await filled.json("GET", "/v1/discovery/proposals")
    assert [item["id"] for item in page["items"]] == ["P-2"]
    _, page = await filled.json("GET", "/v1/discovery/proposals?state=dismissed")
    assert [(item["id"], item["comment"]) for item in page["items"]] == [("P-1", "not ours")]
    _, audit = await filled.json("GET", "/v1/audit?subject=P-1")
    assert audit["items"][0]["action"] == "discovery.dismissed"
    assert (await post(filled, "/v1/discovery/proposals/P-9/dismiss"))[0] == 404


async def test_what_the_inventory_has_overtaken_is_settled(filled: House):
    headers = {"Content-Type": "text/csv"}
    await filled.json("POST", "/v1/inventory/imports?name=a.csv", data=b"id,address\nCAM-1,10.0.0.78\n", headers=headers)
    _, page = await filled.json("GET", "/v1/discovery/proposals")
    assert [item["id"] for item in page["items"]] == ["P-1"]
    _, page = await filled.json("GET", "/v1/discovery/proposals?settled=true")
    assert [(item["id"], item["settled"]) for item in page["items"]] == [("P-1", False), ("P-2", True)]
    assert code((await post(filled, "/v1/discovery/proposals/P-2/accept"))[1]) == "not-open"


async def test_a_key_with_scopes_takes_only_what_it_reaches(filled: House):
    _, made = await filled.json("POST", "/v1/keys", json={"name": "half", "roles": ["engineer"], "scopes": ["G-2"]})

    async def as_half(path: str, **body: Any) -> int:
        headers = {"Authorization": f"Bearer {made['key']}"}
        return (await filled.json("POST", path, role=None, headers=headers, json=body))[0]

    new = {"id": "CAM-7", "name": "东门"}
    assert await as_half("/v1/discovery/proposals/P-2/accept") == 403
    assert await as_half("/v1/discovery/proposals/P-2/dismiss") == 403
    assert await as_half("/v1/discovery/proposals/P-1/accept", values=new) == 403
    assert await as_half("/v1/discovery/proposals/P-1/accept", values=new | {"group": "G-1"}) == 403
    assert await as_half("/v1/discovery/proposals/P-1/accept", values=new | {"group": "G-2"}) == 200


@pytest.mark.parametrize("path", ["runs", "proposals/accept", "proposals/P-1/accept", "proposals/P-1/dismiss"])
@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.PLATFORM])
async def test_who_may_not_write_the_inventory_decides_nothing(filled: House, path: str, role: Role):
    body = {"ids": ["P-1"]} if path == "proposals/accept" else {}
    assert (await post(filled, f"/v1/discovery/{path}", role=role, **body))[0] == 403
