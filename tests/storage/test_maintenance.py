"""Maintenance windows in both stores: what was put in comes out, and those that count at a time are found."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.maintenance import Places, Span, Window, WindowId
from gateway.errors import Conflict, NotFound
from gateway.storage.store import Store
from gateway.storage.writer import Lane

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ONCE = Window(WindowId("M-1"), Places(devices=frozenset({"c-2", "c-1"})), NOON, "换保险丝", "user:li", NOON, end=NOON + HOUR)
WEEKLY = Window(
    id=WindowId("M-2"),
    places=Places(everything=True),
    start=NOON,
    reason="",
    created_by="api-key:1",
    created_at=NOON + HOUR,
    rule="FREQ=WEEKLY",
    duration=HOUR,
    timezone="Asia/Shanghai",
    extra=(Span(NOON - HOUR, NOON),),
    cuts=(Span(NOON, NOON + HOUR / 2),),
    creator="王工",
    in_force=True,
)


async def save(store: Store, *windows: Window) -> None:
    for window in windows:
        await store.writer.write(lambda tx, window=window: tx.maintenance.save(window), lane=Lane.HEALTH)


async def test_a_window_comes_out_as_it_was_put_in_and_changes(store: Store) -> None:
    await save(store, ONCE, WEEKLY)
    async with store.read() as tx:
        found = await tx.maintenance.get(WEEKLY.id)
        assert (found, found.in_force) == (WEEKLY, True)
        assert await tx.maintenance.get(ONCE.id) == ONCE
        with pytest.raises(NotFound):
            await tx.maintenance.get(WindowId("M-none"))
    later = replace(ONCE, cancelled_at=NOON + HOUR / 2)
    await save(store, later)
    async with store.read() as tx:
        assert await tx.maintenance.get(ONCE.id) == later


async def test_those_that_count_at_a_time_are_found(store: Store) -> None:
    over = replace(ONCE, id=WindowId("M-3"), end=NOON + HOUR / 2)
    cancelled = replace(WEEKLY, id=WindowId("M-4"), in_force=False, cancelled_at=NOON + HOUR / 2)
    still_told = replace(over, id=WindowId("M-5"), in_force=True)
    await save(store, ONCE, WEEKLY, over, cancelled, still_told)
    async with store.read() as tx:
        assert {one.id for one in await tx.maintenance.ahead(NOON + 0.75 * HOUR)} == {"M-1", "M-2", "M-5"}
        assert {one.id for one in await tx.maintenance.page(limit=9, ahead_of=NOON + 0.75 * HOUR)} == {"M-1", "M-2", "M-5"}
        assert {one.id for one in await tx.maintenance.between(NOON, NOON + 0.25 * HOUR)} == {"M-1", "M-3", "M-5"}
        assert {one.id for one in await tx.maintenance.between(NOON + 2 * HOUR, NOON + 3 * HOUR)} == {"M-2"}


async def test_windows_are_listed_latest_made_first_by_pages(store: Store) -> None:
    await save(store, ONCE, WEEKLY, replace(ONCE, id=WindowId("M-0")))
    async with store.read() as tx:
        first = await tx.maintenance.page(limit=2)
        rest = await tx.maintenance.page(limit=2, before=(first[-1].created_at, first[-1].id))
    assert [one.id for one in (*first, *rest)] == ["M-2", "M-1", "M-0"]


@pytest.mark.parametrize("broken", [{"end": None}, {"end": NOON}, {"rule": "FREQ=DAILY"}, {"end": None, "rule": "FREQ=DAILY"}])
async def test_the_store_refuses_what_must_never_be(store: Store, broken: dict[str, object]) -> None:
    with pytest.raises(Conflict):
        await save(store, replace(ONCE, **broken))
