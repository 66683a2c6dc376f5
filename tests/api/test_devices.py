"""Devices as the API shows them: found, filtered, paged, and never stale."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.api.routes.devices import DeviceDetail
from gateway.domain.access import Role
from gateway.domain.devices import DeviceKind
from gateway.domain.health import HealthState, Standing
from tests.api.house import CAMERA, House


async def test_a_device_is_shown_whole_and_as_its_model_says(house: House):
    now = house.clock.now()
    standing = Standing(CAMERA, HealthState.DEGRADED, now, "clock-off", "clock", now, timedelta(seconds=4.5), {"model": "X<script>"})
    house.services.board.put(standing)
    status, body = await house.json("GET", f"/v1/devices/{CAMERA}", role=Role.VIEWER)
    assert status == 200
    shown = DeviceDetail.model_validate(body, extra="forbid")
    assert (shown.name, shown.state, shown.reason, shown.clock_offset_s) == ("东门枪机", "degraded", "clock-off", 4.5)
    assert set(body) == set(DeviceDetail.model_fields)
    assert body["position"] == {"latitude": 36.65, "longitude": 117.12}


async def test_a_changed_standing_and_a_changed_inventory_show_at_once(house: House):
    await house.json("GET", f"/v1/devices/{CAMERA}")
    house.services.board.put(Standing(CAMERA, HealthState.UP))
    city = house.services.city
    renamed = [replace(device, name="新名") if device.id == CAMERA else device for device in city.devices.values()]
    city.replace(devices=renamed, groups=city.groups.values(), zones=city.zones.values())
    _, body = await house.json("GET", f"/v1/devices/{CAMERA}")
    assert (body["name"], body["state"]) == ("新名", "up")


async def test_a_device_that_is_not_there_is_a_problem_with_the_next_thing_to_do(house: House):
    status, problem = await house.json("GET", "/v1/devices/nowhere")
    assert (status, problem["type"], problem["status"]) == (404, "urn:city-gateway:problem:not-found", 404)
    assert "/v1/devices" in problem["hint"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["cam-1", "cam-2", "cam-3", "nvr-1", "spk-1", "spk-2", "sw-1"]),
        ("kind=camera", ["cam-1", "cam-2", "cam-3"]),
        ("group=g-1&kind=camera", ["cam-1", "cam-2"]),
        ("zone=z-1", ["spk-1", "spk-2"]),
        ("zone=none", []),
        ("state=up", ["cam-2"]),
        ("search=%E5%B9%BF%E5%9C%BA", ["cam-3", "spk-2"]),
        ("group=nowhere", []),
    ],
)
async def test_filters_narrow_the_list(house: House, query: str, found: list[str]):
    house.services.board.put(Standing(house.services.city.of_kind(DeviceKind.CAMERA)[1].id, HealthState.UP))
    _, body = await house.json("GET", f"/v1/devices?{query}")
    assert [item["id"] for item in body["items"]] == found
    assert body["next"] is None


async def test_pages_join_to_the_whole_list(house: House):
    seen: list[str] = []
    cursor = ""
    while True:
        _, body = await house.json("GET", "/v1/devices?limit=2" + (f"&cursor={cursor}" if cursor else ""))
        seen += [item["id"] for item in body["items"]]
        assert len(body["items"]) <= 2
        if (cursor := body["next"]) is None:
            break
    assert seen == sorted(house.services.city.devices)


@pytest.mark.parametrize(
    "query", ["cursor=%21%21", "cursor=MTI", "limit=0", "limit=1001", "limit=x", "kind=tree", "colour=red", "limit=1&limit=2"]
)
async def test_a_wrong_query_is_a_problem_that_names_the_parameter(house: House, query: str):
    status, problem = await house.json("GET", f"/v1/devices?{query}")
    assert status == 422
    assert problem["errors"][0]["pointer"] == "?" + query.split("=", maxsplit=1)[0]


async def test_a_route_that_takes_no_query_says_so(house: House):
    status, problem = await house.json("GET", f"/v1/devices/{CAMERA}?verbose=1")
    assert (status, problem["errors"][0]["pointer"]) == (422, "?verbose")


@pytest.mark.parametrize(
    "other", ["/v1/devices?kind=speaker", "/v1/devices?limit=1&search=1", "/v1/camera-groups", "/v1/clips", "/v1/audit"]
)
async def test_a_cursor_is_good_for_its_own_list_only(house: House, other: str):
    _, first = await house.json("GET", "/v1/devices?kind=camera&limit=1")
    status, second = await house.json("GET", f"/v1/devices?kind=camera&limit=2&cursor={first['next']}")
    assert (status, [item["id"] for item in second["items"]]) == (200, ["cam-2", "cam-3"])
    status, problem = await house.json("GET", other + ("&" if "?" in other else "?") + f"cursor={first['next']}")
    assert (status, problem["detail"]) == (422, "This is no cursor of this list.")


async def test_head_answers_as_get_without_a_body(house: House):
    for path in ("/v1/devices", "/v1/devices/cam-1", "/v1/devices/none", "/healthz", "/openapi.json"):
        async with house.call("GET", path) as got, house.call("HEAD", path) as head:
            assert (head.status, head.headers["Content-Length"]) == (got.status, got.headers["Content-Length"]), path
            assert await head.read() == b""
    async with house.call("HEAD", "/v1/devices", role=None) as answer:
        assert answer.status == 401


@pytest.mark.parametrize("path", ["/v1/events", "/v1/footage-requests/x/manifest", "/v1/footage-requests/x/files/a.mp4"])
async def test_what_counts_or_has_no_end_is_not_asked_by_head(house: House, path: str):
    async with house.call("HEAD", path) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "GET")


async def test_a_time_has_one_form_wherever_it_stands(house: House):
    now = house.clock.now()
    house.services.board.put(Standing(CAMERA, HealthState.DOWN, now, last_seen=now))
    _, device = await house.json("GET", f"/v1/devices/{CAMERA}")
    _, keys = await house.json("GET", "/v1/keys")
    assert device["since"] == device["last_seen"] == keys["items"][0]["created_at"]
    assert device["since"].endswith("Z")


async def test_a_device_shows_what_it_is_taken_for(house: House) -> None:
    _, body = await house.json("GET", f"/v1/devices/{CAMERA}")
    assert set(body["matched"]) == {"profile", "lineage", "quirks", "learned"}
