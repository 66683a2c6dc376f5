"""A visit that somebody asks for, through the door."""

from gateway.domain.access import Role
from tests.api.house import House


async def test_a_visit_that_is_asked_for_says_what_it_found_and_is_on_record(house: House) -> None:
    status, found = await house.json("POST", "/v1/devices/cam-1/check", role=Role.ENGINEER, json={"retry_credentials": True})
    assert status == 200, found
    assert (found["device"], found["state"]) == ("cam-1", "unknown")
    assert [(one["check"], one["outcome"], one["reason"]) for one in found["results"]] == [("reach", "fail", "refused")]
    status, page = await house.json("GET", "/v1/audit")
    entry = next(one for one in page["items"] if one["action"] == "device.check")
    assert (entry["subject"], entry["data"]) == ("cam-1", {"retry_credentials": True})


async def test_a_login_is_retried_once_in_five_minutes_and_a_visit_is_made_at_any_time(house: House) -> None:
    retry = {"json": {"retry_credentials": True}}
    assert (await house.json("POST", "/v1/devices/cam-1/check", **retry))[0] == 200
    status, problem = await house.json("POST", "/v1/devices/cam-1/check", **retry)
    assert (status, problem["type"].rpartition(":")[2], problem["hint"][:10]) == (409, "retried-just-now", "Wait 300 s")
    assert (await house.json("POST", "/v1/devices/cam-1/check", json={}))[0] == 200
    assert (await house.json("POST", "/v1/devices/cam-2/check", **retry))[0] == 200
    await house.advance(301)
    assert (await house.json("POST", "/v1/devices/cam-1/check", **retry))[0] == 200


async def test_what_a_camera_s_pictures_are_compared_with_is_renewed_on_record(house: House) -> None:
    status, renewed = await house.json("DELETE", "/v1/devices/cam-1/picture-reference", role=Role.ENGINEER)
    assert (status, renewed["device"]) == (200, "cam-1")
    status, page = await house.json("GET", "/v1/audit")
    assert any(one["action"] == "picture.renew" and one["subject"] == "cam-1" for one in page["items"])
    assert (await house.json("DELETE", "/v1/devices/spk-1/picture-reference"))[0] == 404


async def test_who_may_only_look_asks_for_no_visit_and_there_is_none_of_a_stranger(house: House) -> None:
    assert (await house.json("POST", "/v1/devices/cam-1/check", role=Role.VIEWER, json={}))[0] == 403
    assert (await house.json("POST", "/v1/devices/nobody/check", json={}))[0] == 404
