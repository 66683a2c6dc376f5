"""Holds in the store: what they cover is not removed, what has ended is not changed, on both stores."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.devices import DeviceId
from gateway.domain.events import SYSTEM, Person
from gateway.domain.footage import Period, TimeSource
from gateway.domain.holds import HeldFile, Hold, HoldAct, HoldId, Keep, KeepState, acted
from gateway.errors import Conflict, GatewayError, NotFound
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

NOW = datetime(2026, 9, 21, 14, 0, 0, 123_456, tzinfo=UTC)
ME = Person(SYSTEM, "王建国")
CAMERA = DeviceId("CAM-1")
WINDOW = Period(NOW - timedelta(hours=2), NOW - timedelta(hours=1))


def hold(name: str = "H-1", *, window: Period = WINDOW) -> Hold:
    return Hold(HoldId(name), ME, "警情", (CAMERA,), window, NOW, NOW + timedelta(days=7))


def keep(one: Hold, **changes: object) -> Keep:
    known = Keep(one.id, CAMERA, DeviceId("NVR-1"), "R1", "S", timedelta(seconds=1.5), needed=(one.window,), reserved=1_000)
    return replace(known, **changes)


def held(one: Hold, number: int = 1) -> HeldFile:
    return HeldFile(
        *(one.id, CAMERA, DeviceId("NVR-1"), number, f"a_{number:03d}.mp4", "a" * 64, 600, 1500, 0),
        period=one.window,
        runs=(one.window,),
        created_at=NOW,
        offset=timedelta(seconds=1.5),
        serial="S",
        recording="R1",
        sound_left_out="G722",
        time_source=TimeSource.RECKONED,
        sound_refused="PCMA",
        set_backs=2,
    )


async def write(store: Store, change: Callable[[Tx], Awaitable[object]]) -> None:
    await store.writer.write(change, lane=Lane.FOOTAGE)


async def add(store: Store, one: Hold, *files: HeldFile, **changes: object) -> None:
    async def change(tx: Tx) -> None:
        await tx.holds.add(one, [keep(one, **changes)])
        for file in files:
            await tx.holds.add_file(file)

    await write(store, change)


async def test_a_hold_comes_back_as_it_went_in(store: Store) -> None:
    one = hold()
    file = held(one)
    await add(store, one, file, overwrite_at=NOW, obtained=(WINDOW,), locked=True)
    async with store.read() as tx:
        assert await tx.holds.get(one.id) == one
        assert await tx.holds.keeps(one.id) == (keep(one, overwrite_at=NOW, obtained=(WINDOW,), locked=True),)
        assert await tx.holds.files(one.id) == await tx.holds.files_of(CAMERA, WINDOW) == (file,)
        assert await tx.holds.files_of(CAMERA, Period(NOW, NOW + timedelta(hours=1))) == ()
        assert await tx.holds.outstanding_bytes() == 400
        with pytest.raises(NotFound):
            await tx.holds.get(HoldId("no-such"))


async def test_a_held_file_is_removed_only_when_no_active_hold_covers_it(store: Store) -> None:
    one, two = hold("H-1"), hold("H-2", window=Period(WINDOW.end - timedelta(seconds=1), NOW))
    file = held(one)
    await add(store, one, file)
    await add(store, two)
    for ended in (one, two):
        with pytest.raises(Conflict):
            await write(store, lambda tx: tx.holds.mark_removed(file))
        async with store.read() as tx:
            assert await tx.holds.removable(limit=10) == []
        after = acted(ended, HoldAct.RELEASE, by=ME, at=NOW)
        await write(store, lambda tx, ended=ended, after=after: tx.holds.replace(ended, after))
    async with store.read() as tx:
        assert await tx.holds.removable(limit=10) == [file]
    await write(store, lambda tx: tx.holds.mark_removed(file))
    async with store.read() as tx:
        assert [one.removed for one in await tx.holds.files(one.id)] == [True]


async def test_what_has_ended_is_never_changed_and_nothing_is_deleted(store: Store) -> None:
    one = hold()
    await add(store, one, held(one))
    for words in ("DELETE FROM holds", "DELETE FROM hold_files"):
        with pytest.raises(GatewayError):
            await write(store, lambda tx, words=words: tx.conn.exec_driver_sql(words))
    ended = acted(one, HoldAct.RELEASE, by=ME, at=NOW)
    await write(store, lambda tx: tx.holds.replace(one, ended))
    with pytest.raises(Conflict):
        await write(store, lambda tx: tx.holds.replace(one, replace(one, reason="other")))
    with pytest.raises(GatewayError):
        await write(store, lambda tx: tx.conn.exec_driver_sql("UPDATE holds SET state = 'active', ended_at = NULL"))


async def test_what_is_to_be_done_is_told_when_its_time_has_come(store: Store) -> None:
    one = hold()
    await add(store, one, next_at=NOW + timedelta(minutes=1))
    async with store.read() as tx:
        assert await tx.holds.unsettled(NOW, limit=10) == []
        ((found, kept),) = await tx.holds.unsettled(NOW + timedelta(minutes=1), limit=10)
        assert (found, kept.state) == (one, KeepState.WAITING)
        assert await tx.holds.due(NOW + timedelta(days=7), limit=10) == [one]
        assert await tx.holds.due(NOW + timedelta(days=6), limit=10) == []
    await write(store, lambda tx: tx.holds.put_keep(keep(one, state=KeepState.SAFE, next_at=NOW + timedelta(days=1))))
    await write(store, lambda tx: tx.holds.look_again(one.id))
    async with store.read() as tx:
        assert len(await tx.holds.unsettled(NOW, limit=10)) == 1
    await write(store, lambda tx: tx.holds.put_keep(keep(one, state=KeepState.SECURED)))
    async with store.read() as tx:
        assert await tx.holds.unsettled(NOW + timedelta(days=1), limit=10) == []
        assert await tx.holds.outstanding_bytes() == 0


async def test_a_lock_is_not_to_be_taken_off_while_another_hold_covers_some_of_it(store: Store) -> None:
    over = hold()
    ended = acted(over, HoldAct.RELEASE, by=ME, at=NOW)
    beside = Period(WINDOW.end, WINDOW.end + timedelta(hours=1))
    await add(store, over, locked=True)
    await add(store, hold("H-beside", window=beside))
    await write(store, lambda tx: tx.holds.replace(over, ended))

    async def told() -> tuple[list[HoldId], bool]:
        async with store.read() as tx:
            locked = await tx.holds.still_locked(limit=10)
            return [one.id for one, _ in locked], await tx.holds.relied_on(keep(over))

    assert await told() == ([over.id], False)
    across = hold("H-across", window=Period(WINDOW.end - timedelta(seconds=1), beside.end))
    await add(store, across)
    assert await told() == ([], True)
    await write(store, lambda tx: tx.holds.replace(across, acted(across, HoldAct.RELEASE, by=ME, at=NOW)))
    assert await told() == ([over.id], False)
