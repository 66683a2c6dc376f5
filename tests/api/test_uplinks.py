"""Uplinks through the door: who may ask, what is shown, what is taken."""

import pytest

from gateway.domain.access import Role
from tests.api.house import House


async def test_before_the_first_survey_all_uplinks_are_unknown_and_nothing_can_be_taken(house: House):
    status, page = await house.json("GET", "/v1/uplinks?limit=2", role=Role.VIEWER)
    assert (status, page["surveyed_at"]) == (200, None)
    assert page["items"][0] == {
        "device": "cam-1",
        "kind": "camera",
        "name": "东门枪机",
        "group": "g-1",
        "uplink": "sw-1",
        "uplink_port": None,
        "proposed": None,
        "status": "unknown",
        "reason": "no-hardware-address",
    }
    _, rest = await house.json("GET", f"/v1/uplinks?limit=1000&cursor={page['next']}")
    assert len(rest["items"]) == 5
    _, none = await house.json("GET", "/v1/uplinks?status=proposed")
    assert none["items"] == []
    status, problem = await house.json("POST", "/v1/uplinks/proposals/accept", json={})
    assert (status, problem["type"].rpartition(":")[2]) == (422, "no-proposal")


async def test_a_survey_is_a_run_that_can_be_looked_at(house: House):
    status, run = await house.json("POST", "/v1/uplinks/surveys", role=Role.ENGINEER)
    assert (status, run["state"]) == (202, "waiting")
    status, problem = await house.json("POST", "/v1/uplinks/surveys")
    assert (status, problem["type"].rpartition(":")[2]) == (409, "run-under-way")
    run = await house.ended(f"/v1/uplinks/surveys/{run['id']}")
    assert (run["state"], run["asked"], run["answered"]) == ("done", 7, 0)
    assert "sw-1: no-snmp-credentials" in run["troubles"]
    assert run["found"] == {"agreed": 0, "proposed": 0, "contradicts": 0, "unknown": 7}
    _, page = await house.json("GET", "/v1/uplinks")
    assert page["surveyed_at"] is not None
    assert (await house.json("GET", "/v1/uplinks/surveys/R-0"))[0] == 404


@pytest.mark.parametrize("path", ["/v1/uplinks/surveys", "/v1/uplinks/proposals/accept"])
@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.PLATFORM])
async def test_who_may_not_write_the_inventory_starts_and_takes_nothing(house: House, path: str, role: Role):
    body = {"json": {}} if path.endswith("accept") else {}
    assert (await house.json("POST", path, role=role, **body))[0] == 403
