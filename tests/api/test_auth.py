"""The gate: deny by default, keys from memory, sessions for browsers, nothing secret in a URL."""

import pytest
from aiohttp import web

from gateway.api.app import build_api, must_have_policies
from gateway.api.auth import RELOAD_S, SESSION_LIFE, SESSIONS_MAX, Sessions
from gateway.api.routes import TABLES
from gateway.api.routing import Open, Operation
from gateway.clock import SimulatedClock
from gateway.domain.access import GRANTS, KeyId, Permission, Role
from gateway.storage.writer import Lane
from tests.api.house import House

OPERATIONS = [operation for table in TABLES for operation in table]


def _path(operation: Operation) -> str:
    return operation.path.replace("{", "").replace("}", "")


async def test_every_route_refuses_a_caller_without_a_key(house: House):
    for operation in OPERATIONS:
        if operation.policy is not Open.ANYBODY:
            status, problem = await house.json(operation.method, _path(operation), role=None)
            assert (operation.name, status, problem["type"]) == (operation.name, 401, "urn:city-gateway:problem:unauthenticated")


async def test_every_route_refuses_each_role_that_lacks_its_permission(house: House):
    for operation in OPERATIONS:
        for role in Role:
            if isinstance(operation.policy, Permission) and operation.policy not in GRANTS[role]:
                status, problem = await house.json(operation.method, _path(operation), role=role)
                told = (operation.name, role, status, problem["type"])
                assert told == (operation.name, role, 403, "urn:city-gateway:problem:forbidden")


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Bearer nonsense", "Bearer gwk_abcd_" + "A" * 43, "Bearer gwk_" + "é" * 60],
)
async def test_what_is_no_known_key_is_refused_alike(house: House, header: str):
    async with house.call("GET", "/v1/devices", role=None, headers={"Authorization": header}) as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_right_id_with_a_wrong_secret_is_refused(house: House):
    right = house.keys[Role.ADMIN]
    wrong = right[:-1] + ("A" if right[-1] != "A" else "B")
    status, _ = await house.json("GET", "/v1/devices", role=None, headers={"Authorization": f"Bearer {wrong}"})
    assert status == 401


@pytest.mark.parametrize("name", ["access_token", "key", "api_key", "TOKEN", "password"])
async def test_a_key_in_the_url_is_refused_even_beside_a_right_one(house: House, name: str):
    status, problem = await house.json("GET", f"/v1/devices?{name}={house.keys[Role.ADMIN]}")
    assert (status, problem["type"]) == (400, "urn:city-gateway:problem:key-in-url")
    assert house.keys[Role.ADMIN] not in str(problem)


async def test_a_revoked_key_ends_at_the_next_refresh(house: House):
    key = KeyId(house.keys[Role.VIEWER].split("_")[1])
    await house.services.store.writer.write(lambda tx: tx.keys.revoke(key, now=house.clock.now()), lane=Lane.STOP)
    await house.advance(RELOAD_S)
    for _ in range(200):
        status, _ = await house.json("GET", "/v1/devices", role=Role.VIEWER)
        if status == 401:
            break
    assert status == 401


async def test_a_session_cookie_stands_for_its_key_but_changes_nothing_without_the_header(house: House):
    async with house.call("POST", "/v1/session", role=Role.VIEWER) as answer:
        assert answer.status == 201
        cookie = answer.cookies["gateway_session"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Strict"
    held = {"Cookie": f"gateway_session={cookie.value}"}
    status, me = await house.json("GET", "/v1/session", role=None, headers=held)
    assert (status, me["roles"]) == (200, ["viewer"])
    status, problem = await house.json("DELETE", "/v1/session", role=None, headers=held)
    assert (status, problem["type"]) == (403, "urn:city-gateway:problem:cross-site")
    async with house.call("DELETE", "/v1/session", role=None, headers={**held, "X-Requested-With": "console"}) as answer:
        assert answer.status == 204
    status, _ = await house.json("GET", "/v1/session", role=None, headers=held)
    assert status == 401


async def test_a_session_is_not_made_from_a_session(house: House):
    async with house.call("POST", "/v1/session", role=Role.VIEWER) as answer:
        cookie = answer.cookies["gateway_session"].value
    headers = {"Cookie": f"gateway_session={cookie}", "X-Requested-With": "console"}
    status, _ = await house.json("POST", "/v1/session", role=None, headers=headers)
    assert status == 422


async def test_sessions_expire_and_the_oldest_makes_room():
    clock = SimulatedClock()
    sessions = Sessions(clock)
    first = sessions.open(KeyId("aaaa"))
    others = [sessions.open(KeyId("bbbb")) for _ in range(SESSIONS_MAX)]
    with pytest.raises(Exception, match="session has ended"):
        sessions.key_of(first)
    assert sessions.key_of(others[0]) == "bbbb"
    await clock.advance(SESSION_LIFE.total_seconds())
    with pytest.raises(Exception, match="session has ended"):
        sessions.key_of(others[-1])


async def test_a_route_without_a_declared_policy_stops_the_start(house: House):
    async def stray(_request: web.Request) -> web.Response:
        return web.Response()

    app = build_api(house.services)
    must_have_policies(app, TABLES)
    app.router.add_get("/v1/stray", stray)
    with pytest.raises(RuntimeError, match="no declared policy"):
        must_have_policies(app, TABLES)
