"""Power by the API: who may, with a reason, and only where somebody is at work who switches it on again."""

from gateway.domain.access import Role
from tests.api.house import House

PATH = "/v1/devices/cam-1/power-cycle"


async def test_engineers_may_and_viewers_and_operators_may_not(house: House) -> None:
    for role in (Role.VIEWER, Role.OPERATOR, Role.PLATFORM):
        status, _ = await house.json("POST", PATH, role=role, json={"reason": "hangs"})
        assert status == 403
    status, problem = await house.json("POST", PATH, role=Role.ENGINEER, json={"reason": "hangs"})
    assert (status, problem["type"]) == (409, "urn:city-gateway:problem:power-not-ready")


async def test_a_reason_is_asked_for(house: House) -> None:
    for body in ({}, {"reason": ""}, {"reason": "   "}, {"reason": "a\nb"}):
        status, problem = await house.json("POST", PATH, role=Role.ENGINEER, json=body)
        assert (status, problem["type"]) == (422, "urn:city-gateway:problem:invalid-input")


async def test_a_device_that_does_not_exist_has_no_power(house: House) -> None:
    status, _ = await house.json("POST", "/v1/devices/nobody/power-cycle", role=Role.ENGINEER, json={"reason": "hangs"})
    assert status == 404


async def test_without_traps_their_page_says_so(house: House) -> None:
    status, told = await house.json("GET", "/v1/traps", role=Role.VIEWER)
    assert (status, told["listening"], told["alarms"]) == (200, False, [])
