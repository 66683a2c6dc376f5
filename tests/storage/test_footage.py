"""Footage in both stores: what was put in comes out, and the rules of two persons and of custody are the database's own."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from gateway.domain.broadcast import Circle
from gateway.domain.devices import CellCode, DeviceId, GroupId, Position
from gateway.domain.events import Actor, ActorKind, Person
from gateway.domain.footage import (
    REGISTER_FIELDS,
    TRANSITIONS,
    Act,
    CustodyEntry,
    Direction,
    Emergency,
    Export,
    ExportState,
    FootageFile,
    FootageRequest,
    FootageState,
    Origin,
    Period,
    RequesterKind,
    RequestId,
    RequestsBy,
    Route,
    Search,
    Step,
    Urgency,
    advanced,
    counted,
)
from gateway.errors import Conflict, NotFound, StorageFailed
from gateway.storage.footage_tables import footage_transitions
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane
from tests.footage.desk import NOW, WANG, ZHAO, filing
from tests.footage.shelf import FILM, ready

ID = RequestId("fr-1")
CAMERA = DeviceId("CAM-1")
WHOLE = Period(NOW - timedelta(hours=1), NOW)
REQUEST = FootageRequest(
    ID, filing(cameras=(CAMERA,), groups=(GroupId("G"),), cells=(CellCode("C"),), urgency=Urgency.URGENT), (CAMERA,), WANG, NOW
)
URGENT = replace(
    REQUEST, filing=replace(REQUEST.filing, emergency=Emergency.HOT_PURSUIT, legal_basis=""), papers_due_at=NOW + timedelta(hours=1)
)
APPROVED = advanced(REQUEST, Act.APPROVE, by=ZHAO, at=NOW, reason="letter seen")
EXPORT = Export(
    ID, CAMERA, DeviceId("NVR"), "rec-1", "serial", timedelta(seconds=1.5), ExportState.DONE, "", (WHOLE,), (WHOLE,), (),
    Origin(CAMERA, "card-1", "C", timedelta(seconds=-0.5), (WHOLE,)), told_at=NOW, awaited=True,
)  # fmt: skip
FILE = FootageFile(
    ID, CAMERA, 1, "01_CAM-1_001.mp4", "a" * 64, 10, 5, 0, WHOLE, (WHOLE,), NOW, 0, False,
    timedelta(seconds=-2.5), DeviceId("NVR"), "S", "rec-1", "G722",
)  # fmt: skip


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
        lambda tx: tx.footage.put_export(replace(EXPORT, state=ExportState.PENDING, card=None)),
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


async def test_a_place_comes_back_as_it_was_told(store: Store) -> None:
    route = Route((Position(36.0, 115.0), Position(36.1, 115.1)), Direction.BACKWARD, 3.0, 30.0, 50.0)
    told = replace(REQUEST.filing, circle=Circle(Position(36.0, 115.0), 50.0), route=route, address="光岳楼", left_out=(DeviceId("CAM-2"),))
    await write(store, lambda tx: tx.footage.add(replace(REQUEST, filing=told)))
    async with store.read() as tx:
        assert (await tx.footage.get(ID)).filing == told


async def test_requests_are_found_by_state_case_and_page(store: Store) -> None:
    made = [replace(REQUEST, id=RequestId(f"fr-{n}"), submitted_at=NOW + timedelta(minutes=n // 2)) for n in range(6)]
    await write(store, *[lambda tx, one=one: tx.footage.add(one) for one in made])
    async with store.read() as tx:
        first = await tx.footage.find(limit=4)
        rest = await tx.footage.find(before=(first[-1].submitted_at, first[-1].id))
        oldest = await tx.footage.oldest([FootageState.SUBMITTED], limit=2)
        assert await tx.footage.find(Search(states=(FootageState.READY,))) == []
        assert await tx.footage.find(Search(case_number="another")) == []
    assert [one.id for one in (*first, *rest)] == ["fr-5", "fr-4", "fr-3", "fr-2", "fr-1", "fr-0"]
    assert [one.id for one in oldest] == ["fr-0", "fr-1"]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        (Search(text="100%"), ["fr-2"]),
        (Search(text="光岳"), ["fr-1"]),
        (Search(text="_"), []),
        (Search(unit="STATION"), ["fr-2"]),
        (Search(person="赵"), ["fr-1"]),
        (Search(person=REQUEST.filing.second_officer), ["fr-2", "fr-1"]),
        (Search(camera=DeviceId("CAM-9")), ["fr-2"]),
        (Search(within=Period(NOW - timedelta(days=2), NOW - timedelta(days=1, minutes=30))), ["fr-2"]),
        (Search(camera=CAMERA, within=Period(NOW - timedelta(minutes=59, seconds=30), NOW)), ["fr-1"]),
        (Search(kind=RequesterKind.AUTHORITY), ["fr-2"]),
        (Search(owing=True), ["fr-2"]),
        (Search(states=(FootageState.APPROVED,), case_number=REQUEST.filing.case_number), ["fr-1"]),
        (Search(submitted=Period(NOW, NOW + timedelta(seconds=1))), ["fr-1"]),
    ],
)
async def test_a_search_finds_what_it_means_and_takes_signs_as_they_are(store: Store, search: Search, found: list[str]) -> None:
    yesterday = Period(NOW - timedelta(days=1, hours=1), NOW - timedelta(days=1))
    words = replace(URGENT.filing, unit="Police Station 3", purpose="100% sure", kind=RequesterKind.AUTHORITY, window=yesterday)
    other = replace(URGENT, id=RequestId("fr-2"), filing=words, cameras=(DeviceId("CAM-9"),), submitted_at=NOW + timedelta(seconds=5))
    named = replace(REQUEST.filing, address="光岳楼")
    await write(
        store,
        lambda tx: write_through(tx, replace(REQUEST, filing=named), replace(APPROVED, filing=named)),
        lambda tx: write_through(tx, other, replace(other, state=FootageState.GOING_AHEAD)),
    )
    async with store.read() as tx:
        assert [one.id for one in await tx.footage.find(search)] == found
        rows = counted(await tx.footage.counted(), RequestsBy.UNIT)
    assert {row.key: (row.requests, row.emergencies, row.owing, row.cameras) for row in rows} == {
        REQUEST.filing.unit: (1, 0, 0, 1),
        "Police Station 3": (1, 1, 1, 1),
    }


async def test_what_is_not_there_is_not_found(store: Store) -> None:
    async with store.read() as tx:
        with pytest.raises(NotFound):
            await tx.footage.dossier(RequestId("nothing"))


async def test_a_change_on_an_outdated_request_is_refused(store: Store) -> None:
    await write(store, approved)
    with pytest.raises(Conflict, match="meanwhile"):
        await write(store, lambda tx: tx.footage.replace(REQUEST, replace(REQUEST, state=FootageState.CANCELLED)))


BY_ANOTHER = Actor(ActorKind.USER, "x")


async def write_through(tx: Tx, *requests: FootageRequest) -> None:
    """File the first, and put each over the one before."""
    await tx.footage.add(requests[0])
    for before, after in pairwise(requests):
        await tx.footage.replace(before, after)


def way(request: FootageRequest, *states: FootageState, **last: Any) -> tuple[FootageRequest, ...]:
    """The request as it was filed, and as it stands after each of `states`; `last`: what else changes in the last one."""
    filed = replace(request, state=FootageState.SUBMITTED, decided_by=None, decided_at=None, note="")
    after = [replace(request, state=state, reason="why") for state in states]
    return (filed, *after[:-1], replace(after[-1], **last))


READY = (FootageState.APPROVED, FootageState.LOCATING, FootageState.HOLDING, FootageState.EXPORTING, FootageState.READY)
HANDED = (*READY, FootageState.HANDED_OVER)
RUSHED = (FootageState.GOING_AHEAD, *HANDED[1:])


@pytest.mark.parametrize(
    "broken",
    [
        replace(REQUEST, filing=replace(REQUEST.filing, case_number="")),
        replace(REQUEST, filing=replace(REQUEST.filing, second_officer=REQUEST.filing.requester)),
        replace(REQUEST, filing=replace(REQUEST.filing, window=Period(NOW, NOW))),
        replace(REQUEST, filing=replace(REQUEST.filing, emergency=Emergency.HOT_PURSUIT)),
        APPROVED,
        replace(APPROVED, cameras=()),
        replace(REQUEST, state=FootageState.EXPORTING),
    ],
)
async def test_the_store_itself_refuses_to_file_what_breaks_a_rule(store: Store, broken: FootageRequest) -> None:
    with pytest.raises(Conflict) as caught:
        await write(store, lambda tx: tx.footage.add(broken))
    assert caught.value.code == "constraint"


@pytest.mark.parametrize(
    "broken",
    [
        (REQUEST, replace(APPROVED, decided_by=None, decided_at=None)),
        (REQUEST, replace(APPROVED, decided_by=WANG)),
        (REQUEST, replace(APPROVED, decided_by=replace(WANG, name="another name"))),
        (REQUEST, replace(APPROVED, decided_by=Person(BY_ANOTHER, WANG.name))),
        (REQUEST, replace(APPROVED, decided_by=Person(BY_ANOTHER, REQUEST.filing.requester))),
        (REQUEST, replace(APPROVED, decided_by=Person(BY_ANOTHER, REQUEST.filing.second_officer))),
        (REQUEST, replace(REQUEST, state=FootageState.GOING_AHEAD)),
        (REQUEST, replace(APPROVED, state=FootageState.EXPORTING)),
        (REQUEST, replace(APPROVED, state=FootageState.READY)),
        (REQUEST, APPROVED, replace(APPROVED, filing=replace(APPROVED.filing, case_number="another"))),
        (REQUEST, APPROVED, replace(APPROVED, filing=replace(APPROVED.filing, requester="another"))),
        (REQUEST, APPROVED, replace(APPROVED, decided_by=Person(BY_ANOTHER, "another"))),
        (REQUEST, APPROVED, replace(APPROVED, submitted_by=Person(BY_ANOTHER, "another"))),
        way(replace(APPROVED, filing=replace(APPROVED.filing, kind=RequesterKind.CITIZEN)), *HANDED),
        *(way(replace(APPROVED, filing=replace(APPROVED.filing, **{name: ""})), *HANDED) for name in REGISTER_FIELDS[1:4]),
        *(way(replace(APPROVED, filing=replace(APPROVED.filing, **{name: ""})), *HANDED) for name in REGISTER_FIELDS[5:]),
        way(URGENT, *RUSHED),
        way(URGENT, *RUSHED, filing=replace(URGENT.filing, legal_basis="x"), papers_at=NOW),
        way(URGENT, *RUSHED, filing=replace(URGENT.filing, legal_basis="x"), decided_by=ZHAO, decided_at=NOW),
        way(URGENT, *RUSHED, decided_by=ZHAO, decided_at=NOW, papers_at=NOW),
    ],
)
async def test_the_store_itself_refuses_a_way_that_breaks_a_rule(store: Store, broken: tuple[FootageRequest, ...]) -> None:
    if len(broken) > 2:
        await write(store, lambda tx: write_through(tx, *broken[:-1]))
    else:
        await write(store, lambda tx: tx.footage.add(broken[0]))
    with pytest.raises(Conflict) as caught:
        await write(store, lambda tx: tx.footage.replace(broken[-2], broken[-1]))
    assert caught.value.code == "constraint"


async def test_a_request_in_order_is_handed_over_and_so_is_an_emergency_with_its_papers(store: Store) -> None:
    settled = {"filing": replace(URGENT.filing, legal_basis="x"), "decided_by": ZHAO, "decided_at": NOW, "papers_at": NOW}
    await write(
        store,
        lambda tx: write_through(tx, *way(APPROVED, *HANDED)),
        lambda tx: write_through(tx, *(replace(one, id=RequestId("fr-2")) for one in way(URGENT, *RUSHED, **settled))),
    )
    async with store.read() as tx:
        states = [(await tx.footage.get(one)).state for one in (ID, RequestId("fr-2"))]
    assert states == [FootageState.HANDED_OVER] * 2


async def test_the_store_knows_which_state_may_follow_which(store: Store) -> None:
    async with store.read() as tx:
        known = {(row.before, row.after) for row in await tx.conn.execute(select(footage_transitions))}
    assert known == {(before.value, after.value) for (before, _), after in TRANSITIONS.items() if before is not after}


async def test_a_request_reaches_its_own_cameras_alone_each_in_its_window(store: Store) -> None:
    other = Period(NOW - timedelta(minutes=5), NOW)
    filed = replace(REQUEST, cameras=(CAMERA, DeviceId("CAM-0")), windows={DeviceId("CAM-0"): other})
    await write(store, lambda tx: write_through(tx, filed, replace(APPROVED, cameras=filed.cameras, windows=filed.windows)))
    async with store.read() as tx:
        found = await tx.footage.get(ID)
    assert (found.cameras, found.windows, found.window_of(CAMERA)) == (filed.cameras, filed.windows, filed.filing.window)
    with pytest.raises(Conflict):
        await write(store, lambda tx: tx.footage.put_export(replace(EXPORT, camera=DeviceId("CAM-2"))))
    for statement in (
        "INSERT INTO footage_cameras SELECT request, 'CAM-2', 9, start_at, end_at FROM footage_cameras WHERE camera = 'CAM-1'",
        "UPDATE footage_cameras SET camera = 'CAM-2' WHERE camera = 'CAM-1'",
    ):
        with pytest.raises(Conflict):
            await write(store, lambda tx, words=statement: tx.conn.execute(text(words)))


@pytest.mark.parametrize("step", [Step.DOWNLOADED, Step.HANDED_OVER])
async def test_no_copy_is_logged_as_gone_to_a_citizen_or_before_anybody_agreed(store: Store, step: Step) -> None:
    citizens = replace(REQUEST, id=RequestId("fr-2"), filing=replace(REQUEST.filing, kind=RequesterKind.CITIZEN))
    await write(store, lambda tx: tx.footage.add(REQUEST))
    await write(store, lambda tx: write_through(tx, citizens, replace(APPROVED, id=citizens.id, filing=citizens.filing)))
    for request in (REQUEST, citizens):
        with pytest.raises(Conflict):
            await write(store, lambda tx, name=request.id: tx.footage.log(CustodyEntry(name, step, WANG, NOW)))


async def test_the_store_itself_refuses_an_export_without_an_approval(store: Store) -> None:
    await write(store, lambda tx: tx.footage.add(REQUEST))
    with pytest.raises(Conflict):
        await write(store, lambda tx: tx.footage.put_export(EXPORT))


async def test_nobody_clears_a_request_that_no_second_person_decided(store: Store) -> None:
    await write(store, lambda tx: write_through(tx, REQUEST, replace(REQUEST, state=FootageState.CANCELLED)))
    with pytest.raises(Conflict):
        await write(store, lambda tx: tx.conn.execute(text("UPDATE footage_requests SET cleared = TRUE")))


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


async def test_what_other_requests_have_of_a_camera_is_found_by_its_time(store: Store, tmp_path: Path) -> None:
    for number, state in enumerate((FootageState.READY, FootageState.READY, FootageState.CANCELLED)):
        await ready(store, tmp_path, now=NOW, request=f"F-{number}", state=state)
    await ready(store, tmp_path, now=NOW + timedelta(hours=1), request="F-late")
    await store.writer.write(lambda tx: tx.footage.mark_removed(RequestId("F-2")), lane=Lane.FOOTAGE)
    window = Period(NOW - timedelta(hours=2), NOW)

    async def found(request: str, camera: str = "cam-1", window: Period = window) -> list[tuple[str, str]]:
        async with store.read() as tx:
            return [(file.request, file.name) for file in await tx.footage.others_files(RequestId(request), DeviceId(camera), window)]

    assert await found("F-0") == [("F-1", FILM)]
    assert await found("F-late") == [("F-0", FILM), ("F-1", FILM)]
    assert await found("F-late", "cam-2") == []
    async with store.read() as tx:
        (export,) = await tx.footage.exports(RequestId("F-1"))
    await store.writer.write(lambda tx: tx.footage.put_export(replace(export, state=ExportState.EXPORTING)), lane=Lane.FOOTAGE)
    assert await found("F-late") == [("F-0", FILM)]  # what the device shows twice is known only when all has come
    assert await found("F-new", window=Period(NOW - timedelta(hours=3), NOW - timedelta(hours=2))) == []
