import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select

from gateway.domain.events import NewEvent
from gateway.errors import Conflict, NotFound
from gateway.storage.idempotency import StoredResponse, request_hash
from gateway.storage.inventory import zones
from gateway.storage.retention import Housekeeper, Keep
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane
from tests.conftest import running

AT = datetime(2026, 3, 1, tzinfo=UTC)
REQUEST = request_hash("POST", "/v1/broadcasts", {"speakers": ["spk-1"], "text": "您好"})


async def act(store: Store, name: str, *, key: str = "k", principal: str = "api-key:a", request: str = REQUEST) -> StoredResponse:
    """One effect, a zone and an event, under an idempotency key."""

    async def change(tx: Tx) -> StoredResponse:
        known = await tx.idempotency.claim(principal, key, request=request, now=AT)
        if known is not None:
            return known
        await tx.conn.execute(insert(zones).values(id=name, name=""))
        tx.emit(NewEvent("zone", name, AT))
        answer = StoredResponse(202, {"id": name})
        await tx.idempotency.complete(principal, key, answer)
        return answer

    return await store.writer.write(change, lane=Lane.BROADCAST)


async def effects(store: Store) -> list[str]:
    async with store.read() as tx:
        return list(await tx.conn.scalars(select(zones.c.id).order_by(zones.c.id)))


async def test_a_hundred_at_once_have_one_effect_and_one_answer(store: Store) -> None:
    answers = await asyncio.gather(*(act(store, f"z{number}") for number in range(100)))
    assert len({answer.body["id"] for answer in answers}) == 1
    assert len(await effects(store)) == 1
    assert store.events.latest == 1


async def test_a_hundred_at_once_over_two_gateways_have_one_effect(store_url: str, clock) -> None:
    async with running(store_url, clock) as one, running(store_url, clock, chain="other") as other:
        answers = await asyncio.gather(*(act((one, other)[number % 2], f"z{number}") for number in range(100)))
        assert len({answer.body["id"] for answer in answers}) == 1
        assert len(await effects(one)) == 1


async def test_the_same_key_for_another_request_is_refused(store: Store) -> None:
    await act(store, "first")
    with pytest.raises(Conflict) as caught:
        await act(store, "second", request=request_hash("POST", "/v1/broadcasts", {"speakers": ["spk-2"]}))
    assert caught.value.code == "idempotency-key-reused"
    assert await effects(store) == ["first"]


async def test_the_same_key_of_another_principal_is_another_key(store: Store) -> None:
    await act(store, "first")
    await act(store, "second", principal="api-key:b")
    assert await effects(store) == ["first", "second"]


async def test_a_claim_whose_effect_fails_is_not_kept(store: Store) -> None:
    async def change(tx: Tx) -> None:
        assert await tx.idempotency.claim("api-key:a", "k", request=REQUEST, now=AT) is None
        raise NotFound("no such speaker")

    with pytest.raises(NotFound):
        await store.writer.write(change, lane=Lane.BROADCAST)
    assert (await act(store, "second try")).body == {"id": "second try"}


async def test_a_claim_that_is_not_complete_says_that_it_is_under_way(store: Store) -> None:
    async def change(tx: Tx) -> None:
        await tx.idempotency.claim("api-key:a", "k", request=REQUEST, now=AT)

    await store.writer.write(change, lane=Lane.BROADCAST)
    with pytest.raises(Conflict) as caught:
        await act(store, "again")
    assert caught.value.code == "idempotency-in-progress"


async def test_old_keys_are_forgotten(store: Store, clock) -> None:
    await act(store, "first")
    clock.step(AT - clock.now() + timedelta(hours=49))
    await Housekeeper(store, clock=clock, keep=Keep()).tidy()
    assert (await act(store, "second")).body == {"id": "second"}


def test_a_request_is_the_same_whatever_the_order_of_its_keys() -> None:
    assert request_hash("POST", "/x", {"a": 1, "b": 2}) == request_hash("POST", "/x", {"b": 2, "a": 1})
    assert (
        len({request_hash("POST", "/x", 1), request_hash("PUT", "/x", 1), request_hash("POST", "/y", 1), request_hash("POST", "/x", 2)})
        == 4
    )
