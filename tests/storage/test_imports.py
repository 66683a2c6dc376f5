"""Brought files in the store: what an active hold covers of them is not removed, on both stores."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.domain.devices import DeviceId
from gateway.domain.footage import FootageState, Period, RequestId
from gateway.domain.holds import Hold, HoldAct, HoldId, Keep, acted
from gateway.domain.imports import Brought, Import, ImportId, ImportState
from gateway.errors import Conflict
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane
from tests.footage.desk import WANG
from tests.footage.shelf import CAMERA, ready
from tests.storage.test_holds import NOW

HOUR = timedelta(hours=1)
REQUEST = RequestId("F-1")
ASKED = Period(NOW - HOUR, NOW - HOUR + timedelta(minutes=1))
OTHER = DeviceId("cam-9")
LATER = Period(NOW - timedelta(minutes=20), NOW - timedelta(minutes=10))


async def write(store: Store, change: Callable[[Tx], Awaitable[object]]) -> None:
    await store.writer.write(change, lane=Lane.FOOTAGE)


async def kept(store: Store, folder: Path, *, camera: str = "", claimed: Period | None = None) -> Import:
    """A brought file in the package of a request that has ended."""
    await ready(store, folder, now=NOW, state=FootageState.EXPIRED)
    said = Brought("赵工", "1", "DVR", "a client", "a.dav", camera=camera, claimed=claimed)
    made = Import(ImportId("B-1"), REQUEST, 1, said, 5, "", WANG, NOW)
    one = replace(made, state=ImportState.KEPT, received=5, sha256="a" * 64, kept_at=NOW)
    await write(store, lambda tx: tx.imports.add(one))
    return one


async def hold(store: Store, *, window: Period, camera: DeviceId = CAMERA, request: RequestId | None = None) -> Hold:
    one = Hold(HoldId("H-1"), WANG, "警情", (camera,), window, NOW, NOW + 24 * HOUR, request=request)
    kept = Keep(one.id, camera, DeviceId("NVR-1"), "R1", "S", timedelta(0), needed=(window,), reserved=0)
    await write(store, lambda tx: tx.holds.add(one, [kept]))
    return one


async def freed(store: Store) -> list[RequestId]:
    async with store.read() as tx:
        return await tx.disposal.freed([FootageState.EXPIRED], limit=10)


@pytest.mark.parametrize(
    ("said", "held"),
    [
        ({}, {"window": ASKED}),
        ({}, {"window": LATER, "camera": OTHER, "request": REQUEST}),
        ({"camera": OTHER}, {"window": LATER, "camera": OTHER}),
        ({"camera": OTHER, "claimed": LATER}, {"window": LATER, "camera": OTHER}),
    ],
    ids=["the request's camera", "the request by name", "its camera, at an untold time", "its camera at its time"],
)
async def test_a_brought_file_is_removed_only_when_no_active_hold_covers_it(store: Store, tmp_path: Path, said: dict, held: dict) -> None:
    one = await kept(store, tmp_path, **said)
    await write(store, lambda tx: tx.footage.mark_removed(REQUEST))
    assert await freed(store) == [REQUEST]
    holding = await hold(store, **held)
    async with store.read() as tx:
        assert await tx.imports.held_in(REQUEST) == {one.name}
    assert await freed(store) == []
    with pytest.raises(Conflict):
        await write(store, lambda tx: tx.imports.mark_removed(REQUEST))
    await write(store, lambda tx: tx.imports.mark_removed(REQUEST, but={one.name}))
    await write(store, lambda tx: tx.holds.replace(holding, acted(holding, HoldAct.RELEASE, by=WANG, at=NOW)))
    assert await freed(store) == [REQUEST]
    await write(store, lambda tx: tx.imports.mark_removed(REQUEST))
    async with store.read() as tx:
        assert await tx.imports.of(REQUEST) == [replace(one, removed=True)]
        assert await tx.imports.held_in(REQUEST) == frozenset()
    assert await freed(store) == []


@pytest.mark.parametrize(
    ("said", "held"),
    [
        ({}, {"window": LATER}),
        ({}, {"window": ASKED, "camera": OTHER}),
        ({"camera": OTHER, "claimed": ASKED}, {"window": LATER, "camera": OTHER}),
    ],
    ids=["another time", "another camera", "another time of its camera"],
)
async def test_a_hold_of_something_else_keeps_no_brought_file(store: Store, tmp_path: Path, said: dict, held: dict) -> None:
    await kept(store, tmp_path, **said)
    await hold(store, **held)
    async with store.read() as tx:
        assert await tx.imports.held_in(REQUEST) == frozenset()
    assert await freed(store) == [REQUEST]
    await write(store, lambda tx: tx.imports.mark_removed(REQUEST))
