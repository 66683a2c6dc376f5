"""Deliveries in both stores: what was saved comes back, and a state that may not follow is refused by the schema itself."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.domain.deliveries import FOLLOWS, Delivery, DeliveryId, DeliveryState, Receipt, Way, arrived, begun, broken_off
from gateway.domain.footage import RequestId
from gateway.errors import Conflict
from gateway.storage.store import Store
from gateway.storage.writer import Lane
from tests.footage.desk import WANG
from tests.footage.shelf import ready

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)
S = DeliveryState


def delivery(name: str = "D-1", **changes: object) -> Delivery:
    made = Delivery(
        id=DeliveryId(name),
        request=RequestId("F-1"),
        way=Way.OBJECT_STORE,
        receipt=Receipt("王建国", "东昌府分局", "371502-0417", "李敏"),
        manifest_sha256="a" * 64,
        by=WANG,
        at=NOW,
        state=S.PENDING,
        target="https://store.example/evidence/F-1.zip",
        destination="platform",
        size=1000,
    )
    return replace(made, **changes)


def in_state(state: DeliveryState, name: str = "D-1") -> list[Delivery]:
    """The steps by which a delivery comes to `state`."""
    first = delivery(name)
    sending = begun(first, at=NOW)
    last = {S.DONE: arrived(sending, "b" * 64, at=NOW), S.FAILED: broken_off(sending, "why", at=NOW, again=False, outside_sha256="c" * 64)}
    return [first] if state is S.PENDING else [first, sending, *([last[state]] if state in last else [])]


@pytest.fixture
async def request_(store: Store, tmp_path: Path) -> None:
    await ready(store, tmp_path / "footage", now=NOW)


async def save(store: Store, *steps: Delivery) -> None:
    await store.writer.write(lambda tx: tx.deliveries.add(steps[0]), lane=Lane.FOOTAGE)
    for step in steps[1:]:
        await put(store, step)


async def put(store: Store, step: Delivery) -> None:
    await store.writer.write(lambda tx: tx.deliveries.put(step), lane=Lane.FOOTAGE)


@pytest.mark.usefixtures("request_")
@pytest.mark.parametrize("state", S)
async def test_a_delivery_comes_back_as_it_was(store: Store, state: DeliveryState) -> None:
    steps = in_state(state)
    await save(store, *steps)
    async with store.read() as tx:
        assert await tx.deliveries.get(steps[0].id) == steps[-1]
        assert await tx.deliveries.open("platform") == ([steps[-1]] if steps[-1].open else [])
        assert await tx.deliveries.same(RequestId("F-1"), "platform", "a" * 64) == (None if state is S.FAILED else steps[-1])


@pytest.mark.usefixtures("request_")
async def test_the_schema_lets_follow_what_the_domain_does_and_nothing_else(store: Store) -> None:
    for number, (before, after) in enumerate(itertools.permutations(S, 2)):
        name = f"D-{number}"
        steps = [replace(one, manifest_sha256=f"{number:064d}") for one in in_state(before, name)]
        await save(store, *steps)
        changes = {"state": after, "attempts": 1, "sha256": "b" * 64 if after is S.DONE else "", "sent": 1000, "reason": "why"}
        step = replace(steps[-1], **changes)
        if after in FOLLOWS[before]:
            await put(store, step)
        else:
            with pytest.raises(Conflict):
                await put(store, step)


@pytest.mark.usefixtures("request_")
async def test_one_package_goes_to_one_destination_once_unless_it_failed(store: Store) -> None:
    await save(store, *in_state(S.FAILED))
    await save(store, delivery("D-2"))
    with pytest.raises(Conflict):
        await save(store, delivery("D-3"))
    await save(store, delivery("D-4", destination="share"))


@pytest.mark.usefixtures("request_")
async def test_what_begins_otherwise_than_waiting_or_changes_its_place_is_refused(store: Store) -> None:
    with pytest.raises(Conflict):
        await save(store, begun(delivery(), at=NOW))
    with pytest.raises(Conflict):
        await save(store, delivery(target=""))
    with pytest.raises(Conflict):
        await save(store, delivery(destination=""))


@pytest.mark.usefixtures("request_")
async def test_a_copy_that_lies_outside_is_of_one_that_failed_and_never_forgotten(store: Store) -> None:
    await save(store, delivery("D-2", destination="share"))
    with pytest.raises(Conflict):
        await put(store, delivery("D-2", destination="share", outside_sha256="c" * 64))
    failed = in_state(S.FAILED)
    await save(store, *failed)
    with pytest.raises(Conflict):
        await put(store, replace(failed[-1], outside_sha256=""))
