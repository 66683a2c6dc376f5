"""Places, health, keys, audit, inventory and operations, through the door."""

import pytest
import yaml

from gateway.domain.access import Role
from gateway.domain.health import HealthState, Standing, Transition
from gateway.storage.writer import Lane
from tests.api.house import CAMERA, House


async def test_a_group_shows_its_devices_and_how_they_are(house: House):
    house.services.board.put(Standing(CAMERA, HealthState.UP))
    _, page = await house.json("GET", "/v1/camera-groups", role=Role.VIEWER)
    first = page["items"][0]
    assert (first["id"], first["devices"]) == ("g-1", ["cam-1", "cam-2", "spk-1", "sw-1"])
    assert first["states"] == {"unknown": 3, "up": 1, "degraded": 0, "down": 0}
    _, one = await house.json("GET", "/v1/camera-groups/g-1")
    assert one == first
    assert (await house.json("GET", "/v1/camera-groups/none"))[0] == 404


async def test_zones_and_cells_are_shown(house: House):
    _, zone = await house.json("GET", "/v1/zones/z-1")
    assert zone == {"id": "z-1", "name": "全部", "speakers": ["spk-1", "spk-2"], "multicast": ""}
    _, zones = await house.json("GET", "/v1/zones?limit=1")
    assert zones == {"items": [zone], "next": None}
    cells = {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {"code": "C1", "name": "一格", "level": "cell"},
                "geometry": {
                    "type": "Polygon",
                    "coordinates": [[[117.1, 36.6], [117.2, 36.6], [117.2, 36.7], [117.1, 36.7], [117.1, 36.6]]],
                },
            }
        ],
    }
    status, done = await house.json("POST", "/v1/inventory/imports?name=c.geojson", json=cells)
    assert (status, done["applied"]) == (200, True)
    _, cell = await house.json("GET", "/v1/grid-cells/C1")
    assert cell["geometry"]["coordinates"][0][0] == [117.1, 36.6]
    _, page = await house.json("GET", "/v1/grid-cells")
    assert [item["code"] for item in page["items"]] == ["C1"]


async def test_the_summary_counts_every_device_and_says_why(house: House):
    house.services.board.put(Standing(CAMERA, HealthState.DOWN, house.clock.now(), "refused"))
    _, summary = await house.json("GET", "/v1/health/summary", role=Role.VIEWER)
    assert (summary["devices"], summary["groups"]) == (7, 2)
    assert summary["states"] == {"unknown": 6, "up": 0, "degraded": 0, "down": 1}
    assert summary["kinds"]["camera"]["down"] == 1
    assert summary["reasons"] == {"refused": 1}


async def test_a_devices_history_pages_from_the_newest_back(house: House):
    states = [HealthState.UP, HealthState.DOWN] * 3

    async def change(tx):
        before = HealthState.UNKNOWN
        for after in states:
            await tx.health.record(Transition(CAMERA, before, after, house.clock.now(), "refused", "reachable"))
            before = after

    await house.services.store.writer.write(change, lane=Lane.HEALTH)
    path = f"/v1/devices/{CAMERA}/transitions?limit=4"
    _, first = await house.json("GET", path)
    assert [item["number"] for item in first["items"]] == [6, 5, 4, 3]
    _, second = await house.json("GET", f"{path}&cursor={first['next']}")
    assert [item["number"] for item in second["items"]] == [2, 1]
    assert second["next"] is None
    assert (await house.json("GET", f"{path}&cursor=InRleHQi"))[0] == 422


async def test_a_new_key_opens_at_once_and_a_revoked_one_no_more(house: House):
    status, made = await house.json("POST", "/v1/keys", json={"name": "platform", "roles": ["viewer"], "username": "王"})
    assert status == 201
    mine = {"Authorization": f"Bearer {made['key']}"}
    status, me = await house.json("GET", "/v1/session", role=None, headers=mine)
    assert (status, me["name"]) == (200, "王")
    _, listed = await house.json("GET", "/v1/keys")
    assert "key" not in listed["items"][-1]
    status, gone = await house.json("DELETE", f"/v1/keys/{made['id']}")
    assert (status, gone["revoked_at"] is not None) == (200, True)
    assert (await house.json("GET", "/v1/session", role=None, headers=mine))[0] == 401
    _, record = await house.json("GET", f"/v1/audit?subject={made['id']}", role=Role.APPROVER)
    assert [row["action"] for row in record["items"]] == ["key.revoked", "key.created"]


async def test_one_key_never_both_asks_for_footage_and_approves_it(house: House):
    status, problem = await house.json("POST", "/v1/keys", json={"name": "both", "roles": ["liaison", "approver"]})
    assert status == 422
    assert "may not both" in problem["errors"][0]["detail"]


async def test_a_key_that_is_dead_at_birth_is_refused(house: House):
    body = {"name": "x", "roles": ["viewer"], "expires_at": house.clock.now().isoformat()}
    assert (await house.json("POST", "/v1/keys", json=body))[0] == 422
    assert (await house.json("DELETE", "/v1/keys/unknown"))[0] == 404


async def test_a_key_for_a_place_that_there_is_not_is_refused(house: House):
    body = {"name": "x", "roles": ["viewer"], "scopes": ["历下", "z-1", "g-1"]}
    assert (await house.json("POST", "/v1/keys", json=body))[0] == 201
    status, problem = await house.json("POST", "/v1/keys", json={**body, "scopes": ["历下", "nowhere"]})
    assert (status, problem["errors"]) == (422, [{"pointer": "/scopes", "detail": "'nowhere' is no district, zone, group or camera"}])


async def test_the_record_pages_and_verifies(house: House):
    for n in range(5):
        await house.json("POST", "/v1/keys", json={"name": f"key {n}", "roles": ["viewer"]})
    seen: list[int] = []
    cursor = ""
    while cursor is not None:
        _, page = await house.json("GET", "/v1/audit?limit=2" + (f"&cursor={cursor}" if cursor else ""))
        seen += [row["seq"] for row in page["items"]]
        cursor = page["next"]
    assert seen == [6, 5, 4, 3, 2, 1]
    status, verdict = await house.json("GET", "/v1/audit/verification")
    assert (status, verdict["ok"], verdict["rows"]) == (200, True, 6)


async def test_an_import_is_shown_first_and_then_taken(house: House):
    rows = [{"id": "n-1", "kind": "camera", "name": "新", "address": "127.8.9.9", "username": "u", "password": "hunter2"}]
    body = yaml.safe_dump({"version": 1, "coordinates": "WGS-84", "devices": rows}, allow_unicode=True).encode()
    path = "/v1/inventory/imports?name=city.yaml"
    headers = {"Content-Type": "application/yaml"}
    status, shown = await house.json("POST", f"{path}&dry_run=true", data=body, headers=headers)
    assert (status, shown["applied"], shown["counts"]["added"]) == (200, False, 1)
    assert (await house.json("GET", "/v1/devices/n-1"))[0] == 404
    _, done = await house.json("POST", path, data=body, headers=headers)
    assert done["applied"]
    assert "hunter2" not in str(done)
    assert (await house.json("GET", "/v1/devices/n-1"))[0] == 200
    async with house.call("GET", "/v1/inventory/export?format=csv") as answer:
        text = await answer.text()
        assert answer.headers["Content-Disposition"] == 'attachment; filename="inventory.csv"'
    assert "n-1" in text
    assert "hunter2" not in text


async def test_a_file_with_faults_names_each_line(house: House):
    body = b"id,kind,name,address\na,tree,A,127.0.0.1\nb,camera,B,nowhere at all\n"
    status, problem = await house.json("POST", "/v1/inventory/imports?name=a.csv", data=body, headers={"Content-Type": "text/csv"})
    assert status == 422
    assert {fault["pointer"].split(",")[0] for fault in problem["errors"]} >= {"line 2", "line 3"}


async def test_liveness_readiness_and_figures(house: House):
    assert await house.json("GET", "/healthz", role=None) == (200, {"version": "0.0.0"})
    assert await house.json("GET", "/readyz", role=None) == (200, {"ready": True, "parts": []})
    await house.json("GET", "/v1/devices/none")
    async with house.call("GET", "/metrics", role=Role.VIEWER) as answer:
        text = await answer.text()
    assert 'gateway_devices{kind="camera",state="unknown"} 3.0' in text
    assert 'gateway_http_requests_total{operation="read_device",status="404"} 1.0' in text
    assert "none" not in text


@pytest.mark.parametrize("path", ["/v1/devices/" + "x" * 5000, "/v1/devices/%00", "/v1/devices/..%2f..", "/v1/devices/%F0%9F%98%80"])
async def test_strange_ids_are_simply_not_found(house: House, path: str):
    assert (await house.json("GET", path))[0] == 404
