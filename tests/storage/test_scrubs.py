"""What is due to be read again, of everything that is stored and of nothing that is not."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.domain.footage import Document, DocumentId, DocumentKind, FootageState, RequestId
from gateway.domain.imports import Brought, Import, ImportId, ImportState
from gateway.domain.scrubbing import Finding, Piece, Stored
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane
from tests.footage.desk import WANG
from tests.footage.shelf import CAMERA, DIGEST, FILM, ready
from tests.storage.test_holds import add, held, hold

NOW = datetime(2026, 9, 21, 14, 0, tzinfo=UTC)
DAY = timedelta(days=1)
F_1 = RequestId("F-1")
TOLD = Brought("李敏", "1", "DVR", "client", "出口.avi")


async def filled(store: Store, tmp_path: Path) -> None:
    """A request that is ready, one that failed, one whose film is removed, a hold, two brought files of which one is on its way, and two
    documents of which one is removed."""
    await ready(store, tmp_path, now=NOW - 40 * DAY)
    await ready(store, tmp_path, now=NOW - 50 * DAY, request="F-2", state=FootageState.FAILED)
    await ready(store, tmp_path, now=NOW - 60 * DAY, request="F-3", state=FootageState.CANCELLED)
    one = hold()
    await add(store, one, held(one))

    async def change(tx: Tx) -> None:
        await tx.footage.mark_removed("F-3")
        await tx.imports.add(Import(ImportId("B-kept"), F_1, 1, TOLD, 9, "", WANG, NOW, ImportState.KEPT, 9, "b" * 64, NOW))
        await tx.imports.add(Import(ImportId("B-late"), F_1, 2, TOLD, 9, "", WANG, NOW))
        await tx.documents.add(document("D-kept", F_1))
        gone = document("D-gone", RequestId("F-3"))
        await tx.documents.add(gone)
        await tx.documents.remove(gone.id, at=NOW)

    await store.writer.write(change, lane=Lane.FOOTAGE)


def document(name: str, request: RequestId) -> Document:
    told = (DocumentId(name), request, DocumentKind.AUTHORISATION, "通知书.pdf", "application/pdf", "c" * 64, 9, WANG, NOW)
    return Document(*told)


async def due(store: Store, now: datetime) -> list[Piece]:
    async with store.read() as tx:
        return await tx.scrubs.due(now, every=30 * DAY, limit=100)


async def test_of_all_that_is_stored_the_longest_unchecked_comes_first(store: Store, tmp_path: Path):
    await filled(store, tmp_path)
    found = await due(store, NOW + 400 * DAY)
    assert [(one.kind, one.owner, one.key, one.name) for one in found if one.kind is not Stored.HELD] == [
        (Stored.FETCHED, "F-2", FILM, FILM),
        (Stored.FETCHED, "F-1", FILM, FILM),
        (Stored.PROOF, "F-1", "SHA256SUMS", "SHA256SUMS"),
        (Stored.BROUGHT, "F-1", "B-kept", "brought_01.avi"),
        (Stored.DOCUMENT, "F-1", "D-kept", "D-kept/通知书.pdf"),
    ]
    assert [one.name for one in found if one.kind is Stored.HELD] == ["a_001.mp4"]
    assert [(one.sha256, one.since) for one in found if one.owner == "F-2"] == [(DIGEST, NOW - 50 * DAY)]


async def test_what_was_checked_is_due_after_its_time_and_what_was_damaged_after_a_day(store: Store, tmp_path: Path):
    await filled(store, tmp_path)
    first, *_ = found = [one for one in await due(store, NOW) if one.kind is not Stored.HELD]
    for one in found:
        finding = Finding(NOW, "is missing" if one is first else "")
        await store.writer.write(lambda tx, one=one, finding=finding: tx.scrubs.put(one, finding), lane=Lane.FOOTAGE)

    async def names(now: datetime) -> list[str]:
        return [f"{one.owner} {one.found}".strip() for one in await due(store, now) if one.kind is Stored.FETCHED]

    assert await names(NOW + DAY) == []
    assert await names(NOW + 1.1 * DAY) == ["F-2 is missing"]
    assert await names(NOW + 30.1 * DAY) == ["F-1", "F-2 is missing"]
    async with store.read() as tx:
        standing = await tx.scrubs.standing()
        assert (standing.pieces, standing.damaged) == (6, 1)
        assert await tx.scrubs.of("F-2") == {FILM: Finding(NOW, "is missing")}
        assert await tx.scrubs.is_stored(first)
    await store.writer.write(lambda tx: tx.footage.mark_removed("F-2"), lane=Lane.FOOTAGE)
    async with store.read() as tx:
        standing = await tx.scrubs.standing()
        assert (standing.pieces, standing.damaged, await tx.scrubs.is_stored(first)) == (5, 0, False)


async def test_what_is_stored_for_a_request_and_a_hold_says_whose_footage_it_is_and_what_it_is_called(store: Store, tmp_path: Path):
    await filled(store, tmp_path)
    async with store.read() as tx:
        (held_one,) = [one for one in await due(store, NOW + 400 * DAY) if one.kind is Stored.HELD]
        found = await tx.scrubs.stored([F_1, held_one.owner])
    assert {(one.called, one.camera) for one in found} == {
        (FILM, CAMERA),
        ("SHA256SUMS", ""),
        ("brought_01.avi", ""),
        ("D-kept/通知书.pdf", ""),
        (f"{held_one.owner}/a_001.mp4", held_one.camera),
    }
    assert held_one.camera
