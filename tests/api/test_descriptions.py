"""A device's own description through the door: what an engineer needs to write it into the inventory."""

from pathlib import Path

from gateway.domain.access import Role
from tests.api.house import CAMERA, House, open_street


async def test_a_recorder_tells_the_tokens_that_its_channels_need(tmp_path: Path, template: Path):
    async with open_street(tmp_path, template) as (house, city, _):
        recorder = city.of_kind("recorder")[0]
        status, told = await house.json("GET", f"/v1/devices/{recorder.id}/description", role=Role.ENGINEER)
        assert status == 200
        assert told["serial"] == recorder.serial
        assert {one["token"] for one in told["recordings"]} == {channel.token for channel in recorder.channels}
        camera = city.of_kind("camera")[0]
        status, told = await house.json("GET", f"/v1/devices/{camera.id}/description", role=Role.ENGINEER)
        assert (status, told["model"]) == (200, camera.model)
        assert all(stream["stream_path"].startswith("/live/") for stream in told["streams"])


async def test_a_device_that_cannot_be_asked_says_why(house: House):
    status, problem = await house.json("GET", f"/v1/devices/{CAMERA}/description", role=Role.ENGINEER)
    assert (status, problem["type"]) == (502, "urn:city-gateway:problem:refused")
    status, _ = await house.json("GET", "/v1/devices/nobody/description", role=Role.ENGINEER)
    assert status == 404
    status, _ = await house.json("GET", f"/v1/devices/{CAMERA}/description", role=Role.VIEWER)
    assert status == 403
