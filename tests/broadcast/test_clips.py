from pathlib import Path

import pytest

from gateway.broadcast.clips import ClipShelf
from gateway.clock import SimulatedClock
from gateway.domain.broadcast import ClipId
from gateway.errors import InvalidInput, NotFound, StorageFailed
from gateway.media.clips import ClipPreparer
from gateway.storage.store import Store
from tests.broadcast.house import ACTOR
from tests.media.test_clips import tone, wav

CLIP = wav(tone(0.25))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "clips"


@pytest.fixture
def shelf(store: Store, clock: SimulatedClock, folder: Path) -> ClipShelf:
    return ClipShelf(store, folder, ClipPreparer(), clock)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.exists() else []


async def test_a_clip_is_kept_under_its_hash_and_read_back(shelf: ClipShelf, folder: Path, store: Store) -> None:
    clip = await shelf.add(CLIP, name="请离开", actor=ACTOR)
    assert (clip.name, clip.size, clip.duration_ms, clip.created_by) == ("请离开", len(CLIP), 250, ACTOR)
    assert names(folder) == [clip.id]
    assert await shelf.read(clip.id) == CLIP
    assert await shelf.page(limit=5) == [clip]
    async with store.read() as tx:
        assert "clip.add" in {row.entry.action for row in await tx.audit.page(subject=clip.id, limit=5)}


async def test_the_same_sound_is_kept_once(shelf: ClipShelf, folder: Path) -> None:
    first = await shelf.add(CLIP, name="first", actor=ACTOR)
    assert await shelf.add(CLIP, name="second", actor=ACTOR) == first
    assert names(folder) == [first.id]


async def test_a_clip_is_made_ready_from_its_file_after_a_restart(shelf: ClipShelf, store: Store, clock, folder: Path) -> None:
    clip = await shelf.add(CLIP, name="clip", actor=ACTOR)
    ready = await shelf.prepared(clip.id)
    assert await shelf.prepared(clip.id) is ready
    assert await ClipShelf(store, folder, ClipPreparer(), clock).prepared(clip.id) == ready


async def test_a_file_that_was_changed_or_lost_is_never_played(shelf: ClipShelf, store: Store, clock, folder: Path) -> None:
    clip = await shelf.add(CLIP, name="clip", actor=ACTOR)
    fresh = ClipShelf(store, folder, ClipPreparer(), clock)
    (folder / clip.id).write_bytes(CLIP[:-2] + b"xx")
    with pytest.raises(StorageFailed, match="not what was stored"):
        await fresh.prepared(clip.id)
    (folder / clip.id).unlink()
    with pytest.raises(StorageFailed, match="cannot be read"):
        await fresh.prepared(clip.id)


async def test_what_cannot_be_played_leaves_nothing_behind(shelf: ClipShelf, folder: Path) -> None:
    with pytest.raises(InvalidInput):
        await shelf.add(b"not a sound", name="clip", actor=ACTOR)
    assert names(folder) == []
    assert await shelf.page(limit=5) == []


@pytest.mark.parametrize("name", ["", "x" * 201, "a\nb", "a\x00"])
async def test_a_name_that_nobody_can_read_is_refused(shelf: ClipShelf, name: str) -> None:
    with pytest.raises(InvalidInput):
        await shelf.add(CLIP, name=name, actor=ACTOR)


async def test_a_disk_that_does_not_take_the_file_means_no_clip(store: Store, clock) -> None:
    shelf = ClipShelf(store, Path("/dev/null/clips"), ClipPreparer(), clock)
    with pytest.raises(StorageFailed, match="could not be stored"):
        await shelf.add(CLIP, name="clip", actor=ACTOR)
    assert await shelf.page(limit=5) == []


async def test_an_unknown_clip_is_said_to_be_unknown(shelf: ClipShelf) -> None:
    for missing in (ClipId("0" * 64), ClipId("../../etc/passwd")):
        with pytest.raises(NotFound):
            await shelf.read(missing)
