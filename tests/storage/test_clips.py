from dataclasses import replace

import pytest

from gateway.domain.broadcast import BroadcastId, ClipId, Delivery, DeliveryState
from gateway.domain.devices import DeviceId
from gateway.errors import NotFound
from gateway.storage.store import Store
from gateway.storage.writer import Lane
from tests.storage.test_broadcasts import CLIP, START, accept, clip, order, queued, save

FULL = replace(
    clip("请勿占道经营"), name_en="Do not block the Road", tags=("占道", "night_1"), level=True, lufs_before=-25.3, lufs_after=-16.0
)
OTHER = replace(clip("100% off"), id=ClipId("d" * 64), size=500)


@pytest.fixture
async def library(store: Store) -> Store:
    async def change(tx) -> None:
        await tx.clips.add(FULL)
        await tx.clips.add(OTHER)

    await store.writer.write(change, lane=Lane.BROADCAST)
    return store


async def test_all_of_a_clip_is_read_back_and_changed(library: Store) -> None:
    changed = replace(FULL, name="x", name_en="", tags=(), level=False, lufs_before=None, lufs_after=None)
    async with library.read() as tx:
        assert await tx.clips.get(CLIP) == FULL
        assert await tx.clips.bytes_kept() == 1500
    await library.writer.write(lambda tx: tx.clips.change(changed), lane=Lane.BROADCAST)
    async with library.read() as tx:
        assert await tx.clips.get(CLIP) == changed


async def test_a_search_takes_signs_literally_and_letters_of_either_case(library: Store) -> None:
    async with library.read() as tx:
        for search, found in (("占道", 1), ("ROAD", 1), ("%", 1), ("_", 1), ("T_1", 1), ("o", 2), ("zzz", 0)):
            assert len(await tx.clips.page(limit=5, search=search)) == found
        assert [one.id for one in await tx.clips.page(limit=5, tag="night_1")] == [CLIP]
        assert await tx.clips.page(limit=5, tag="nightx1") == []


async def test_what_was_removed_is_shown_to_nobody_and_comes_back_as_new(library: Store) -> None:
    await library.writer.write(lambda tx: tx.clips.remove(CLIP, at=START), lane=Lane.BROADCAST)
    async with library.read() as tx:
        with pytest.raises(NotFound):
            await tx.clips.get(CLIP)
        assert [one.id for one in await tx.clips.page(limit=5)] == [OTHER.id]
        assert (await tx.clips.bytes_kept(), list(await tx.clips.removed())) == (500, [CLIP])
    await library.writer.write(lambda tx: tx.clips.add(clip("again")), lane=Lane.BROADCAST)
    async with library.read() as tx:
        assert await tx.clips.get(CLIP) == clip("again")
        assert list(await tx.clips.removed()) == []


async def test_only_broadcasts_that_have_not_ended_are_open(store: Store) -> None:
    await accept(store, order(), queued(speaker="s2"), queued(speaker="s1"))
    async with store.read() as tx:
        assert await tx.clips.open_broadcasts(CLIP) == ["b1"]
        assert await tx.clips.open_broadcasts(OTHER.id) == []
    for speaker in ("s1", "s2"):
        failed = Delivery(BroadcastId("b1"), DeviceId(speaker), DeliveryState.FAILED, START, "no-reason")
        await save(store, failed)
    async with store.read() as tx:
        assert await tx.clips.open_broadcasts(CLIP) == []
