"""Work orders in both stores: what was saved comes back, and what must never be is refused."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.devices import DeviceId
from gateway.domain.incidents import Entry
from gateway.domain.severity import Severity
from gateway.domain.work_orders import Deed, Picture, Target, WorkAct, WorkOrder, WorkOrderId, WorkState, acted
from gateway.errors import Conflict, NotFound
from gateway.storage.store import Store
from gateway.storage.work_orders import WantedOrders
from gateway.storage.writer import Lane

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)


def order(number: int = 1) -> WorkOrder:
    at = NOW + number * HOUR
    return WorkOrder(
        id=WorkOrderId(f"W-{number}"),
        state=WorkState.OPEN,
        severity=Severity.MAJOR,
        devices=(DeviceId("cam-1"), DeviceId(f"cam-{number + 1}")),
        incident="I-1" if number % 2 else "",
        maintainer="水城智安",
        what="换镜头",
        target=Target(HOUR, 8 * HOUR, around_the_clock=False),
        opened_at=at,
        opened_by="user:a",
        changed_at=at,
    )


async def save(store: Store, *orders: WorkOrder) -> None:
    async def change(tx) -> None:
        for one in orders:
            await tx.work_orders.save(one)

    await store.writer.write(change, lane=Lane.HEALTH)


async def test_whatever_was_done_to_an_order_comes_back_as_it_was(store: Store) -> None:
    one = order()
    acts = [WorkAct.PAUSE, WorkAct.ACCEPT, WorkAct.ARRIVE, WorkAct.REPAIR, WorkAct.SEND_BACK, WorkAct.PAUSE, WorkAct.RESUME, WorkAct.REPAIR]
    for number, act in enumerate([*acts, WorkAct.CLOSE]):
        await save(store, one)
        async with store.read() as tx:
            assert await tx.work_orders.get(one.id) == one
        one = acted(one, Deed(act, "note", "tech"), by="user:b", at=NOW + (2 + number) * HOUR)
    one = replace(one, pictures=(Picture("a" * 64, "image/png", 3, NOW, "user:b", "upload"),), told_overdue=frozenset({"repair"}))
    await save(store, one)
    async with store.read() as tx:
        assert await tx.work_orders.get(one.id) == one
        assert await tx.work_orders.live() == []
        with pytest.raises(NotFound):
            await tx.work_orders.get(WorkOrderId("W-none"))


async def test_pages_go_from_the_latest_back_and_filters_narrow_them(store: Store) -> None:
    orders = [order(number) for number in range(1, 8)]
    await save(store, *orders)
    async with store.read() as tx:
        first = await tx.work_orders.page(WantedOrders(), limit=4)
        rest = await tx.work_orders.page(WantedOrders(), before=(first[-1].opened_at, first[-1].id), limit=4)
        assert [*first, *rest] == orders[::-1]
        assert await tx.work_orders.page(WantedOrders(device=DeviceId("cam-3")), limit=9) == [orders[1]]
        assert len(await tx.work_orders.page(WantedOrders(incident="I-1", severities=[Severity.MAJOR]), limit=9)) == 4
        assert await tx.work_orders.page(WantedOrders(states=[WorkState.CLOSED]), limit=9) == []
        assert await tx.work_orders.page(WantedOrders(ids=[]), limit=9) == []
        assert len(await tx.work_orders.live()) == 7


async def test_history_is_numbered_in_its_order(store: Store) -> None:
    await save(store, order())

    async def change(tx) -> None:
        for what in ("opened", "accepted"):
            await tx.work_orders.note(WorkOrderId("W-1"), Entry(0, NOW, what, "user:a", "早", {"a": 1}))

    await store.writer.write(change, lane=Lane.HEALTH)
    async with store.read() as tx:
        found = await tx.work_orders.history(WorkOrderId("W-1"))
    assert [(one.number, one.what, one.comment, one.detail) for one in found] == [
        (1, "opened", "早", {"a": 1}),
        (2, "accepted", "早", {"a": 1}),
    ]


@pytest.mark.parametrize(
    "wrong",
    [{"state": WorkState.CLOSED}, {"state": WorkState.ACCEPTED}, {"ended_at": NOW}, {"maintainer": ""}, {"what": ""}, {"devices": ()}],
)
async def test_what_must_never_be_is_refused_by_the_store(store: Store, wrong: dict) -> None:
    with pytest.raises(Conflict):
        await save(store, replace(order(), **wrong))
