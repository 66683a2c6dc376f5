"""Which footage may go: what is under hold stays and hides nobody else, and what came to nothing goes in its time, too; on both stores."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from gateway.domain.devices import DeviceId
from gateway.domain.footage import FRUITLESS, KEPT, OVER, Document, DocumentId, DocumentKind, FootageState, Period, RequestId
from gateway.domain.holds import Hold, HoldAct, HoldId, Keep, acted
from gateway.errors import Conflict
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


async def hold(store: Store, window: Period, *, request: RequestId | None = None) -> None:
    one = Hold(HoldId("H-1"), WANG, "警情", (CAMERA,), window, NOW, NOW + 24 * HOUR, request=request)
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


async def papers(store: Store, request: RequestId, *, at: datetime = NOW) -> DocumentId:
    one = Document(DocumentId(f"D-{request}"), request, DocumentKind.LETTER, "a.pdf", "application/pdf", "0" * 64, 7, WANG, at)
    await store.writer.write(lambda tx: tx.documents.add(one), lane=Lane.FOOTAGE)
    return one.id


async def due_papers(store: Store, *, after: timedelta = HOUR) -> list[DocumentId]:
    async with store.read() as tx:
        return [one.id for one in await tx.documents.due(NOW + after, limit=9)]


async def test_documents_are_due_when_their_request_has_been_over_and_they_have_been_there_for_long_enough(
    store: Store, tmp_path: Path
) -> None:
    early = await papers(store, await ready(store, tmp_path, now=NOW, request="F-1", state=FootageState.EXPIRED))
    await papers(store, await ready(store, tmp_path, now=NOW, request="F-2", state=FootageState.EXPIRED), at=NOW + HOUR)
    assert await due_papers(store, after=timedelta(0)) == []
    assert await due_papers(store) == [early]


@pytest.mark.parametrize("state", sorted(set(FootageState) - OVER - {FootageState.SUBMITTED, FootageState.GOING_AHEAD}))
async def test_no_document_goes_while_its_request_is_not_over(store: Store, tmp_path: Path, state: FootageState) -> None:
    document = await papers(store, await ready(store, tmp_path, now=NOW, state=state))
    assert await due_papers(store) == []
    with pytest.raises(Conflict):
        await store.writer.write(lambda tx: tx.documents.remove(document, at=NOW), lane=Lane.FOOTAGE)


@pytest.mark.parametrize("named", [True, False])
async def test_no_document_goes_while_a_hold_needs_it(store: Store, tmp_path: Path, named: bool) -> None:
    request = await ready(store, tmp_path, now=NOW, state=FootageState.EXPIRED)
    document = await papers(store, request)
    await hold(store, Period(NOW - 9 * HOUR, NOW - 8 * HOUR) if named else Period(NOW - 2 * HOUR, NOW), request=request if named else None)
    assert await due_papers(store) == []
    with pytest.raises(Conflict):
        await store.writer.write(lambda tx: tx.documents.remove(document, at=NOW), lane=Lane.FOOTAGE)
    async with store.read() as tx:
        before = await tx.holds.get(HoldId("H-1"))
    ended = acted(before, HoldAct.RELEASE, by=WANG, at=NOW, note="done")
    await store.writer.write(lambda tx: tx.holds.replace(before, ended), lane=Lane.FOOTAGE)
    assert await due_papers(store) == [document]
    await store.writer.write(lambda tx: tx.documents.remove(document, at=NOW), lane=Lane.FOOTAGE)
    async with store.read() as tx:
        assert (await due_papers(store), await tx.documents.gone(), await tx.documents.there("0" * 64)) == ([], ["0" * 64], False)
