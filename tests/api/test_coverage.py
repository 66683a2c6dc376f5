"""Coverage through the door: asked without a request, by those who may, for the cameras that their key reaches."""

import base64
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest

from gateway.domain.access import Role
from tests.api.house import CAMERA, House, open_street
from tests.api.test_footage import filing


def question(house: House, *cameras: str, hours: float = 1, **changes: str) -> str:
    now = house.clock.now()
    told = {"start": (now - timedelta(hours=hours)).isoformat(), "end": now.isoformat(), **changes}
    return f"/v1/footage/coverage?{urlencode([('camera', camera) for camera in cameras] + list(told.items()))}"


async def test_a_city_whose_recorder_is_silent_knows_nothing_and_says_so(house: House):
    status, told = await house.json("GET", question(house, CAMERA), role=Role.LIAISON)
    assert status == 200, told
    (item,) = told["items"]
    assert (item["camera"], item["recorded"], item["gaps"], item["recorded_s"], item["unknown_s"]) == (CAMERA, [], [], 0, 3600)
    (holding,) = item["holdings"]
    assert (holding["device"], holding["told"], holding["clock_offset_s"], item["overwrite"]) == ("nvr-1", "nothing", None, None)
    assert holding["reason"] in ("refused", "timeout", "unreachable", "no-route")
    assert holding["detail"]


async def test_whoever_may_not_read_footage_may_not_ask_for_its_coverage(house: House):
    for role in (Role.VIEWER, Role.OPERATOR, Role.ENGINEER):
        assert (await house.json("GET", question(house, CAMERA), role=role))[0] == 403
    assert (await house.json("GET", question(house, CAMERA), role=None))[0] == 401


async def test_a_key_asks_for_no_camera_beyond_its_scopes(house: House):
    _, key = await house.json("POST", "/v1/keys", json={"name": "x", "roles": ["liaison"], "scopes": ["g-2"]})
    headers = {"Authorization": f"Bearer {key['key']}"}
    status, problem = await house.json("GET", question(house, CAMERA), headers=headers)
    assert (status, problem["type"]) == (403, "urn:city-gateway:problem:out-of-scope")


async def test_a_question_that_is_not_right_is_refused_with_each_fault(house: House):
    for path in (
        question(house),
        question(house, "nowhere"),
        question(house, CAMERA, start="2026-01-01T00:00:00"),
        question(house, CAMERA, hours=-1),
        question(house, CAMERA, hours=24 * 100),
    ):
        assert (await house.json("GET", path))[0] == 422, path


async def test_three_weeks_of_a_real_recorder_is_told_with_its_gaps(tmp_path: Path, template: Path):
    async with open_street(tmp_path, template) as (house, city, _):
        camera = next(channel.camera for recorder in city.of_kind("recorder") for channel in recorder.channels)
        status, told = await house.json("GET", question(house, camera, hours=24 * 20), role=Role.APPROVER)
        assert status == 200, told
        (item,) = told["items"]
        assert item["holdings"][0]["told"] == "history"
        assert item["recorded_s"] + item["gaps_s"] + item["unknown_s"] == pytest.approx(20 * 86_400, abs=2)
        assert item["overwrite"]["basis"] == "retention"
        assert datetime.fromisoformat(item["overwrite"]["at"]) > house.clock.now()


async def test_a_strip_goes_to_whoever_filed_the_request_once_it_is_approved(tmp_path: Path, template: Path):
    async with open_street(tmp_path, template) as (house, city, _):
        camera = next(channel.camera for recorder in city.of_kind("recorder") for channel in recorder.channels if not channel.gappy)
        status, request = await house.json("POST", "/v1/footage-requests", json=filing(house, camera=camera), role=Role.LIAISON)
        assert status == 201, request
        path = f"/v1/footage-requests/{request['id']}/strip?{urlencode({'camera': camera, 'pictures': 3})}"
        assert (await house.json("GET", path, role=Role.LIAISON))[0] == 409
        await house.json("POST", f"/v1/footage-requests/{request['id']}/approve", json={}, role=Role.APPROVER)
        status, strip = await house.json("GET", path, role=Role.LIAISON)
        assert status == 200, strip
        assert [base64.b64decode(still["jpeg"])[:3] for still in strip["items"]] == [b"\xff\xd8\xff"] * 3
        for role in (Role.APPROVER, Role.OPERATOR, Role.ADMIN):
            assert (await house.json("GET", path, role=role))[0] == 403
