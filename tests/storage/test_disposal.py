"""Which footage may go: what is under hold stays and hides nobody else, and what came to nothing goes in its time, too; on both stores."""

from datetime import timedelta
from pathlib import Path

import pytest

from gateway.domain.devices import DeviceId
from gateway.domain.footage import FRUITLESS, KEPT, FootageState, Period, RequestId
from gateway.domain.holds import Hold, HoldId, Keep
from gateway.storage.store import Store
from gateway.storage.writer import Lane
from tests.footage.desk import WANG
from tests.footage.shelf import CAMERA, ready
from tests.storage.test_holds import NOW

HOUR = timedelta(hours=1)


async def due(store: Store, *, after: timedelta = HOUR, limit: int = 3) -> list[RequestId]:
    async with store.read() as tx:
        return await tx.disposal.due(KEPT, FRUITLESS, NOW + after, limit=limit)


async def freed(store: Store, *, limit: int = 3) -> list[RequestId]:
    async with store.read() as tx:
        return await tx.disposal.freed([FootageState.EXPIRED], limit=limit)


async def hold(store: Store, window: Period) -> None:
    one = Hold(HoldId("H-1"), WANG, "警情", (CAMERA,), window, NOW, NOW + 24 * HOUR)
    kept = Keep(one.id, CAMERA, DeviceId("NVR-1"), "R1", "S", timedelta(0), needed=(window,), reserved=0)
    await store.writer.write(lambda tx: tx.holds.add(one, [kept]), lane=Lane.FOOTAGE)


@pytest.mark.parametrize("state", sorted(KEPT | FRUITLESS))
async def test_whatever_came_of_a_request_its_term_is_over_once(store: Store, tmp_path: Path, state: FootageState) -> None:
    request = await ready(store, tmp_path, now=NOW, state=state)
    assert await due(store, after=timedelta(0)) == []
    assert await due(store) == [request]


async def test_requests_under_hold_hide_none_that_is_due(store: Store, tmp_path: Path) -> None:
    """However many of them there are, and however few are looked at."""
    early, late = NOW - 10 * HOUR, NOW
    for number in range(4):
        await ready(store, tmp_path, now=early + number * timedelta(seconds=1), request=f"F-{number}")
        await ready(store, tmp_path, now=early + number * timedelta(seconds=1), request=f"G-{number}", state=FootageState.EXPIRED)
    await hold(store, Period(early - HOUR, early - HOUR + timedelta(minutes=2)))
    assert (await due(store), await freed(store)) == ([], [])
    free = await ready(store, tmp_path, now=late, request="F-free")
    ended = await ready(store, tmp_path, now=late, request="G-free", state=FootageState.EXPIRED)
    assert await due(store) == [free]
    assert await freed(store) == [ended]
    await store.writer.write(lambda tx: tx.footage.mark_removed(ended), lane=Lane.FOOTAGE)
    assert await freed(store) == []
