"""An Idempotency-Key: one effect, however often and however many at a time."""

import asyncio
from datetime import UTC, datetime

import pytest
from aiohttp import web

from gateway.api.auth import Pace
from gateway.api.once import Once
from gateway.api.services import NOBODY
from gateway.clock import SimulatedClock
from gateway.domain.access import KeyId, Role
from gateway.errors import Conflict, InvalidInput, Overloaded
from gateway.storage.writer import Lane
from tests.api.house import House

CSV = b"id,kind,name,address\nnew-1,camera,New,127.8.9.1\n"
HEADERS = {"Content-Type": "text/csv", "Idempotency-Key": "import-1"}
PATH = "/v1/inventory/imports?name=a.csv"


async def test_the_same_call_again_has_one_effect_and_the_same_answer(house: House):
    status, first = await house.json("POST", PATH, data=CSV, headers=HEADERS)
    assert (status, first["applied"], first["counts"]["added"]) == (200, True, 1)
    async with house.call("POST", PATH, data=CSV, headers=HEADERS) as again:
        assert again.headers["Idempotent-Replayed"] == "true"
        assert await again.json() == first


async def test_another_request_under_the_same_key_is_refused(house: House):
    await house.json("POST", PATH, data=CSV, headers=HEADERS)
    status, problem = await house.json("POST", PATH, data=CSV + b"x", headers=HEADERS)
    assert (status, problem["type"]) == (422, "urn:city-gateway:problem:idempotency-key-reused")


async def test_two_callers_may_use_the_same_key(house: House):
    await house.json("POST", PATH, data=CSV, headers=HEADERS, role=Role.ADMIN)
    status, second = await house.json("POST", PATH, data=CSV, headers=HEADERS, role=Role.ENGINEER)
    assert (status, second["applied"]) == (200, False)


@pytest.mark.parametrize("key", ["", "x" * 256, "clé"])
async def test_a_key_that_is_none_is_refused(house: House, key: str):
    status, problem = await house.json("POST", PATH, data=CSV, headers={**HEADERS, "Idempotency-Key": key})
    assert (status, problem["errors"][0]["pointer"]) == (422, "Idempotency-Key")


async def test_a_hundred_at_once_have_one_effect(house: House):
    once = Once(house.services.store, house.clock)
    done: list[int] = []

    async def act() -> web.Response:
        done.append(1)
        await asyncio.sleep(0)
        return web.json_response({"n": len(done)})

    answers = await asyncio.gather(*(once.do(NOBODY, "k", "a" * 64, act) for _ in range(100)))
    assert len(done) == 1
    assert {answer.body for answer in answers} == {b'{"n": 1}'}


async def test_a_refused_request_leaves_the_key_free(house: House):
    once = Once(house.services.store, house.clock)

    async def refuse() -> web.Response:
        raise InvalidInput("no")

    async def act() -> web.Response:
        return web.json_response({})

    with pytest.raises(InvalidInput):
        await once.do(NOBODY, "k", "a" * 64, refuse)
    assert (await once.do(NOBODY, "k", "b" * 64, act)).status == 200


async def test_what_a_crash_left_behind_is_unknown_and_not_done_again(house: House):
    store = house.services.store
    now = datetime(2026, 1, 1, tzinfo=UTC)
    await store.writer.write(lambda tx: tx.idempotency.claim(str(NOBODY.actor), "k", request="a" * 64, now=now), lane=Lane.STOP)

    async def act() -> web.Response:
        raise AssertionError("done twice")

    with pytest.raises(Conflict) as refused:
        await Once(store, house.clock).do(NOBODY, "k", "a" * 64, act)
    assert refused.value.code == "outcome-unknown"


async def test_a_key_that_calls_too_often_has_to_wait():
    clock = SimulatedClock()
    pace = Pace(clock, per_second=10)
    for _ in range(10):
        pace.spend(KeyId("aaaa"))
    with pytest.raises(Overloaded) as refused:
        pace.spend(KeyId("aaaa"))
    assert refused.value.code == "too-many-requests"
    pace.spend(KeyId("bbbb"))
    await clock.advance(0.2)
    pace.spend(KeyId("aaaa"))
    pace.spend(KeyId("aaaa"))
    with pytest.raises(Overloaded):
        pace.spend(KeyId("aaaa"))
