"""Cameras through the door: streams, presets and a picture, and what a silent camera becomes."""

import hashlib
from pathlib import Path

from gateway.domain.access import Role
from tests.api.house import CAMERA, House, open_street


async def test_a_camera_shows_its_streams_presets_and_a_picture_on_record(tmp_path: Path, template: Path):
    async with open_street(tmp_path, template) as (house, city, _):
        camera = city.of_kind("camera")[0]
        status, streams = await house.json("GET", f"/v1/cameras/{camera.id}/stream", role=Role.OPERATOR)
        assert status == 200
        assert streams["items"][0]["url"].startswith(f"rtsp://{camera.address}:{city.rtsp_port}/")
        assert camera.password not in str(streams)
        async with house.call("POST", f"/v1/cameras/{camera.id}/captures", json={"case": "C-7"}, role=Role.OPERATOR) as answer:
            assert answer.status == 200, await answer.text()
            picture = await answer.read()
            digest = answer.headers["X-Capture-Sha256"]
        assert picture[:2] == b"\xff\xd8"
        assert digest == hashlib.sha256(picture).hexdigest()
        once = {"json": {"case": "C-8"}, "role": Role.OPERATOR, "headers": {"Idempotency-Key": "one"}}
        async with house.call("POST", f"/v1/cameras/{camera.id}/captures", **once) as answer:
            assert (answer.status, answer.content_type) == (200, "image/jpeg")
        async with house.call("POST", f"/v1/cameras/{camera.id}/captures", **once) as answer:
            assert (answer.status, answer.content_type) == (409, "application/problem+json")
            assert (await answer.json())["type"] == "urn:city-gateway:problem:answer-not-kept"
        _, record = await house.json("GET", f"/v1/audit?subject={camera.id}")
        assert record["items"].pop(0)["data"]["case"] == "C-8"
        assert [(row["action"], row["data"]["case"], row["data"]["sha256"]) for row in record["items"]] == [
            ("camera.capture", "C-7", digest)
        ]
        found = []
        for one in city.of_kind("camera")[:12]:
            status, presets = await house.json("GET", f"/v1/cameras/{one.id}/presets", role=Role.OPERATOR)
            assert status in {200, 409}, presets
            found += presets.get("items", [])
        assert found
        assert set(found[0]) == {"token", "name"}


async def test_a_camera_that_does_not_answer_is_a_problem_of_the_street_not_of_the_gateway(house: House):
    status, problem = await house.json("POST", f"/v1/cameras/{CAMERA}/captures", json={})
    assert (status, problem["type"]) == (502, "urn:city-gateway:problem:refused")
    status, problem = await house.json("GET", "/v1/cameras/spk-1/stream")
    assert (status, problem["type"]) == (404, "urn:city-gateway:problem:not-found")


async def test_a_capture_that_failed_may_be_asked_for_again_with_its_key(house: House):
    for _ in range(2):
        status, problem = await house.json("POST", f"/v1/cameras/{CAMERA}/captures", json={}, headers={"Idempotency-Key": "one"})
        assert (status, problem["type"]) == (502, "urn:city-gateway:problem:refused")


async def test_a_dome_is_moved_and_stopped_on_record(tmp_path: Path, template: Path):
    async with open_street(tmp_path, template) as (house, city, _):
        dome = next(camera for camera in city.of_kind("camera") if camera.ptz)
        order = {"json": {"pan": 0.5, "seconds": 0.1, "case": "C-9"}, "role": Role.OPERATOR, "headers": {"Idempotency-Key": "one"}}
        for _ in range(2):
            status, moved = await house.json("POST", f"/v1/cameras/{dome.id}/ptz", **order)
            assert (status, moved) == (200, {"camera": dome.id, "seconds": 0.1})
        status, stopped = await house.json("POST", f"/v1/cameras/{dome.id}/ptz", json={}, role=Role.OPERATOR)
        assert (status, stopped["seconds"]) == (200, 0.0)
        _, record = await house.json("GET", f"/v1/audit?subject={dome.id}")
        assert [(row["action"], row["data"]["pan"], row["data"]["case"]) for row in record["items"]] == [
            ("camera.steer", 0.0, ""),
            ("camera.steer", 0.5, "C-9"),
        ]
        status, problem = await house.json("POST", f"/v1/cameras/{dome.id}/ptz", json={"pan": 2}, role=Role.OPERATOR)
        assert (status, problem["type"]) == (422, "urn:city-gateway:problem:invalid-input")
        status, problem = await house.json("POST", f"/v1/cameras/{dome.id}/ptz", json={"pan": 1}, role=Role.VIEWER)
        assert status == 403
