"""Footage in both stores: what was put in comes out, and the rules of two persons and of custody are the database's own."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from gateway.domain.devices import CellCode, DeviceId, GroupId
from gateway.domain.events import Actor, ActorKind
from gateway.domain.footage import (
    Act,
    CustodyEntry,
    Export,
    ExportState,
    FootageFile,
    FootageRequest,
    FootageState,
    Period,
    Person,
    RequestId,
    Step,
    Urgency,
    advanced,
)
from gateway.errors import Conflict, NotFound, StorageFailed
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane
from tests.footage.desk import NOW, WANG, ZHAO, filing

ID = RequestId("fr-1")
CAMERA = DeviceId("CAM-1")
WHOLE = Period(NOW - timedelta(hours=1), NOW)
REQUEST = FootageRequest(
    ID, filing(cameras=(CAMERA,), groups=(GroupId("G"),), cells=(CellCode("C"),), urgency=Urgency.URGENT), (CAMERA,), WANG, NOW
)
APPROVED = advanced(REQUEST, Act.APPROVE, by=ZHAO, at=NOW, reason="letter seen")
EXPORT = Export(
    ID, CAMERA, DeviceId("NVR"), "rec-1", "serial", timedelta(seconds=1.5), ExportState.DONE, "", (WHOLE,), (WHOLE,), ()
)  # fmt: skip
FILE = FootageFile(ID, CAMERA, 1, "01_CAM-1_001.mp4", "a" * 64, 10, 5, 0, WHOLE, (WHOLE,), NOW)


async def write(store: Store, *steps: Any) -> None:
    async def change(tx: Tx) -> None:
        for step in steps:
            await step(tx)

    await store.writer.write(change, lane=Lane.FOOTAGE)


async def approved(tx: Tx) -> None:
    await tx.footage.add(REQUEST)
    await tx.footage.replace(REQUEST, replace(APPROVED, changed_at=NOW))


async def test_a_request_comes_back_with_everything_that_came_of_it(store: Store) -> None:
    entry = CustodyEntry(ID, Step.SUBMITTED, WANG, NOW, {"cameras": ["CAM-1"]})
    await write(
        store,
        approved,
        lambda tx: tx.footage.put_export(replace(EXPORT, state=ExportState.PENDING)),
        lambda tx: tx.footage.put_export(EXPORT),
        lambda tx: tx.footage.add_file(FILE),
        lambda tx: tx.footage.log(entry),
        lambda tx: tx.footage.log(replace(entry, step=Step.APPROVED, by=ZHAO)),
    )
    async with store.read() as tx:
        found = await tx.footage.dossier(ID)
    assert found.request == APPROVED
    assert (found.exports, found.files) == ((EXPORT,), (FILE,))
    assert [(line.number, line.step, line.by) for line in found.custody] == [(1, Step.SUBMITTED, WANG), (2, Step.APPROVED, ZHAO)]


async def test_requests_are_found_by_state_case_and_page(store: Store) -> None:
    made = [replace(REQUEST, id=RequestId(f"fr-{n}"), submitted_at=NOW + timedelta(minutes=n // 2)) for n in range(6)]
    await write(store, *[lambda tx, one=one: tx.footage.add(one) for one in made])
    async with store.read() as tx:
        first = await tx.footage.find(limit=4)
        rest = await tx.footage.find(before=(first[-1].submitted_at, first[-1].id))
        oldest = await tx.footage.oldest([FootageState.SUBMITTED], limit=2)
        assert await tx.footage.find(states=[FootageState.READY]) == []
        assert await tx.footage.find(case_number="another") == []
    assert [one.id for one in (*first, *rest)] == ["fr-5", "fr-4", "fr-3", "fr-2", "fr-1", "fr-0"]
    assert [one.id for one in oldest] == ["fr-0", "fr-1"]


async def test_what_is_not_there_is_not_found(store: Store) -> None:
    async with store.read() as tx:
        with pytest.raises(NotFound):
            await tx.footage.dossier(RequestId("nothing"))


async def test_a_change_on_an_outdated_request_is_refused(store: Store) -> None:
    await write(store, approved)
    with pytest.raises(Conflict, match="meanwhile"):
        await write(store, lambda tx: tx.footage.replace(REQUEST, replace(REQUEST, state=FootageState.CANCELLED)))


@pytest.mark.parametrize(
    "broken",
    [
        replace(APPROVED, decided_by=None, decided_at=None),
        replace(APPROVED, decided_by=WANG),
        replace(APPROVED, decided_by=replace(WANG, name="another name")),
        replace(APPROVED, decided_by=Person(Actor(ActorKind.USER, "x"), WANG.name)),
        replace(APPROVED, decided_by=Person(Actor(ActorKind.USER, "x"), REQUEST.filing.requester)),
        replace(APPROVED, decided_by=Person(Actor(ActorKind.USER, "x"), REQUEST.filing.second_officer)),
        replace(REQUEST, state=FootageState.EXPORTING),
        replace(REQUEST, state=FootageState.READY),
        replace(REQUEST, filing=replace(REQUEST.filing, case_number="")),
        replace(REQUEST, filing=replace(REQUEST.filing, authorising_document="")),
        replace(REQUEST, filing=replace(REQUEST.filing, second_officer=REQUEST.filing.requester)),
        replace(REQUEST, filing=replace(REQUEST.filing, window=Period(NOW, NOW))),
    ],
)
async def test_the_store_itself_refuses_a_request_that_breaks_a_rule(store: Store, broken: FootageRequest) -> None:
    with pytest.raises(Conflict) as caught:
        await write(store, lambda tx: tx.footage.add(broken))
    assert caught.value.code == "constraint"


async def test_the_store_itself_refuses_an_export_without_an_approval(store: Store) -> None:
    await write(store, lambda tx: tx.footage.add(REQUEST))
    with pytest.raises(Conflict):
        await write(store, lambda tx: tx.footage.put_export(EXPORT))


async def test_an_approval_with_exports_is_not_taken_back(store: Store) -> None:
    await write(store, approved, lambda tx: tx.footage.put_export(EXPORT))
    undone = replace(REQUEST, state=FootageState.CANCELLED)
    with pytest.raises(Conflict):
        await write(store, lambda tx: tx.footage.replace(APPROVED, undone))


@pytest.mark.parametrize("statement", ["UPDATE footage_custody SET person = 'x'", "DELETE FROM footage_custody"])
async def test_the_custody_log_only_grows(store: Store, statement: str) -> None:
    await write(store, approved, lambda tx: tx.footage.log(CustodyEntry(ID, Step.SUBMITTED, WANG, NOW)))
    with pytest.raises((Conflict, StorageFailed), match="never"):
        await write(store, lambda tx: tx.conn.execute(text(statement)))


async def test_downloads_are_counted_up_to_their_number(store: Store) -> None:
    await write(store, approved, lambda tx: tx.footage.put_export(EXPORT), lambda tx: tx.footage.add_file(FILE))
    for _ in range(2):
        await write(store, lambda tx: tx.footage.count_download(FILE, most=2))
    with pytest.raises(Conflict) as caught:
        await write(store, lambda tx: tx.footage.count_download(FILE, most=2))
    assert caught.value.code == "downloads-used-up"
    async with store.read() as tx:
        assert [file.downloads for file in await tx.footage.files(ID)] == [2]
