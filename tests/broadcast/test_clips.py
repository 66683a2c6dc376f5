from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.broadcast.clips import ClipShelf, Labels
from gateway.clock import SimulatedClock
from gateway.domain.broadcast import ClipId
from gateway.errors import Conflict, InvalidInput, NotFound, StorageFailed
from gateway.media.clips import ClipPreparer
from gateway.storage.store import Store, Tx
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


@pytest.mark.parametrize(("sound", "code"), [(b"not a sound", "clip-format"), (wav(bytes(16_000)), "clip-empty")], ids=["none", "silence"])
async def test_what_nobody_would_hear_leaves_nothing_behind(shelf: ClipShelf, folder: Path, sound: bytes, code: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await shelf.add(sound, name="clip", actor=ACTOR, level=True)
    assert refused.value.code == code
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


# -- the library ------------------------------------------------------------------------------------------------------


async def test_a_clip_is_found_by_a_part_of_its_names_or_tags(shelf: ClipShelf) -> None:
    stall = await shelf.add(CLIP, name="请勿占道经营", name_en="Do not block the Road", tags=["占道", "night_1", "占道"], actor=ACTOR)
    other = await shelf.add(wav(tone(0.3)), name="100% off_road", actor=ACTOR)
    assert stall.tags == ("占道", "night_1")
    for search, found in (
        ("占道", [stall]),
        ("ROAD", [stall, other]),
        ("%", [other]),
        ("_", [stall, other]),
        ("t_1", [stall]),
        ("xyz", []),
    ):
        assert sorted(await shelf.page(limit=5, search=search), key=lambda clip: clip.name) == sorted(found, key=lambda clip: clip.name)
    assert await shelf.page(limit=5, tag="night_1") == [stall]
    assert await shelf.page(limit=5, tag="night") == []


async def test_a_clip_is_renamed_and_levelled_later(shelf: ClipShelf, store: Store) -> None:
    quiet = await shelf.add(wav(tone(2, level=900)), name="plain", actor=ACTOR)
    before = await shelf.prepared(quiet.id)
    louder = await shelf.change(quiet.id, Labels("响", "Loud", ("a",)), level=True, actor=ACTOR)
    assert await shelf.get(quiet.id) == louder
    assert (louder.name, louder.name_en, louder.tags, louder.level, louder.id) == ("响", "Loud", ("a",), True, quiet.id)
    assert louder.lufs_before == quiet.lufs_before == quiet.lufs_after
    assert louder.lufs_after is not None
    assert louder.lufs_before is not None
    assert louder.lufs_after > louder.lufs_before + 10
    assert (await shelf.prepared(quiet.id)).pcm != before.pcm
    async with store.read() as tx:
        assert "clip.change" in {row.entry.action for row in await tx.audit.page(subject=quiet.id, limit=5)}
    with pytest.raises(InvalidInput) as caught:
        await shelf.change(quiet.id, Labels("", "x" * 201, ("a\nb",)), level=True, actor=ACTOR)
    assert [fault.where for fault in caught.value.faults] == ["name", "name_en", "tags"]


async def test_a_clip_that_was_removed_is_gone_with_its_file_until_it_is_sent_again(shelf: ClipShelf, folder: Path, store: Store) -> None:
    clip = await shelf.add(CLIP, name="first", tags=["a"], actor=ACTOR)
    await shelf.remove(clip.id, ACTOR)
    assert names(folder) == []
    for call in (shelf.get, shelf.read, shelf.prepared):
        with pytest.raises(NotFound):
            await call(clip.id)
    with pytest.raises(NotFound):
        await shelf.remove(clip.id, ACTOR)
    with pytest.raises(NotFound):
        await shelf.change(clip.id, Labels("x"), level=False, actor=ACTOR)
    again = await shelf.add(CLIP, name="second", actor=ACTOR)
    assert (again.id, again.name, again.tags) == (clip.id, "second", ())
    assert await shelf.read(clip.id) == CLIP
    async with store.read() as tx:
        assert "clip.remove" in {row.entry.action for row in await tx.audit.page(subject=clip.id, limit=5)}


async def test_a_file_that_a_crash_left_behind_goes_at_the_next_start(shelf: ClipShelf, folder: Path) -> None:
    kept = await shelf.add(wav(tone(0.3)), name="kept", actor=ACTOR)
    clip = await shelf.add(CLIP, name="first", actor=ACTOR)
    await shelf.remove(clip.id, ACTOR)
    (folder / clip.id).write_bytes(CLIP)
    await shelf.load()
    assert names(folder) == [kept.id]


async def test_what_something_else_needs_is_not_removed(store: Store, clock: SimulatedClock, folder: Path) -> None:
    async def uses(_tx: Tx, clip: ClipId) -> Sequence[str]:
        return ["schedule S-1"]

    shelf = ClipShelf(store, folder, ClipPreparer(), clock, uses=uses)
    clip = await shelf.add(CLIP, name="clip", actor=ACTOR)
    with pytest.raises(Conflict, match="schedule S-1") as caught:
        await shelf.remove(clip.id, ACTOR)
    assert (caught.value.code, bool(caught.value.hint)) == ("clip-in-use", True)
    assert await shelf.read(clip.id) == CLIP


async def test_the_library_takes_no_more_than_its_share_of_the_disk(store: Store, clock: SimulatedClock, folder: Path) -> None:
    shelf = ClipShelf(store, folder, ClipPreparer(), clock, most_bytes=len(CLIP) + 100)
    clip = await shelf.add(CLIP, name="clip", actor=ACTOR)
    with pytest.raises(Conflict) as caught:
        await shelf.add(wav(tone(0.2)), name="one too many", actor=ACTOR)
    assert (caught.value.code, names(folder)) == ("clips-full", [clip.id])
    await shelf.remove(clip.id, ACTOR)
    await shelf.add(wav(tone(0.2)), name="now there is room", actor=ACTOR)
