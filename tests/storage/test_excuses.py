"""Excuses on both stores: two people, evidence, and what is approved in a time."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor, ActorKind, Person
from gateway.domain.excuses import Decision, Excuse, ExcuseId, ExcusePlaces, ExcuseState, check, decide
from gateway.errors import Conflict, Forbidden, InvalidInput, NotFound
from gateway.storage.excuses import excuses
from gateway.storage.store import Store
from gateway.storage.tx import Tx
from gateway.storage.writer import Lane

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def person(name: str) -> Person:
    return Person(Actor(ActorKind.API_KEY, name), name)


def excuse(number: int = 1, **changed: object) -> Excuse:
    usual: dict[str, object] = {
        "id": ExcuseId(f"X-{number}"),
        "kind": "power-cut",
        "places": ExcusePlaces(devices=frozenset({DeviceId("cam-1")}), districts=frozenset({"历下"})),
        "start": NOON,
        "end": NOON + HOUR,
        "reason": "区域停电",
        "evidence": "供电局通知",
        "incident": "",
        "proposed_by": person("li"),
        "proposed_at": NOON + number * HOUR,
    }
    return Excuse(**(usual | changed))


async def add(store: Store, *proposed: Excuse) -> None:
    async def change(tx: Tx) -> None:
        for one in proposed:
            await tx.excuses.add(one)

    await store.writer.write(change, lane=Lane.HEALTH)


async def test_an_excuse_is_kept_as_it_was_proposed_and_decided(store: Store) -> None:
    await add(store, excuse())
    approved = decide(excuse(), Decision.APPROVE, person("wang"), note="核实", at=NOON + 5 * HOUR)
    await store.writer.write(lambda tx: tx.excuses.replace(excuse(), approved), lane=Lane.HEALTH)
    async with store.read() as tx:
        assert await tx.excuses.get(ExcuseId("X-1")) == approved
        assert await tx.excuses.approved(NOON + HOUR / 2, NOON + 9 * HOUR) == [approved]
        assert await tx.excuses.approved(NOON + HOUR, NOON + 9 * HOUR) == []
        with pytest.raises(NotFound):
            await tx.excuses.get(ExcuseId("X-2"))


async def test_excuses_are_listed_the_newest_first_and_by_state(store: Store) -> None:
    await add(store, *(excuse(number) for number in (1, 2, 3)))
    async with store.read() as tx:
        assert [one.id for one in await tx.excuses.find(limit=2)] == ["X-3", "X-2"]
        assert [one.id for one in await tx.excuses.find(before=(NOON + 2 * HOUR, ExcuseId("X-2")))] == ["X-1"]
        assert await tx.excuses.find(state=ExcuseState.APPROVED) == []


async def test_the_store_refuses_a_decision_by_who_proposed_whatever_the_code_says(store: Store) -> None:
    await add(store, excuse())

    async def change(tx: Tx) -> None:
        decided = {"state": "approved", "decided_by": "api-key:li", "decider": "li", "decided_at": NOON}
        await tx.conn.execute(excuses.update().values(decided))

    with pytest.raises(Conflict, match="refuses"):
        await store.writer.write(change, lane=Lane.HEALTH)


async def test_the_store_refuses_an_excuse_without_evidence(store: Store) -> None:
    with pytest.raises(Conflict, match="refuses"):
        await add(store, excuse(evidence=""))
    await add(store, excuse(evidence="", incident="I-1"))


async def test_of_two_who_decide_at_once_one_is_told(store: Store) -> None:
    await add(store, excuse())
    rejected = decide(excuse(), Decision.REJECT, person("wang"), note="", at=NOON)
    await store.writer.write(lambda tx: tx.excuses.replace(excuse(), rejected), lane=Lane.HEALTH)
    with pytest.raises(Conflict):
        await store.writer.write(lambda tx: tx.excuses.replace(excuse(), rejected), lane=Lane.HEALTH)


def test_the_table_of_decisions_and_who_may_make_them() -> None:
    with pytest.raises(Forbidden):
        decide(excuse(), Decision.APPROVE, person("li"), note="", at=NOON)
    with pytest.raises(Forbidden):  # another key of the same person
        decide(excuse(), Decision.APPROVE, Person(Actor(ActorKind.API_KEY, "other"), "li"), note="", at=NOON)
    approved = decide(excuse(), Decision.APPROVE, person("wang"), note="", at=NOON)
    with pytest.raises(Conflict):
        decide(approved, Decision.APPROVE, person("zhao"), note="", at=NOON)
    rejected = decide(approved, Decision.REJECT, person("zhao"), note="", at=NOON)
    for decision in Decision:
        with pytest.raises(Conflict):
            decide(rejected, decision, person("wang"), note="", at=NOON)


def test_all_that_is_wrong_of_an_excuse_is_said_at_once() -> None:
    wrong = excuse(kind="laziness", places=ExcusePlaces(), end=NOON, evidence="")
    with pytest.raises(InvalidInput) as refused:
        check(wrong, {"power-cut": ""})
    assert [fault.where for fault in refused.value.faults] == ["/kind", "/", "/end", "/evidence"]
    assert check(excuse(), {"power-cut": ""}) == excuse()
