"""Stored evidence is read again in its time: what the disk altered, lost or does not give is told once, and a crash begins nothing anew."""

import asyncio
import contextlib
import itertools
import json
import os
import random
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.clock import SimulatedClock
from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.domain.events import SYSTEM, Event, Person
from gateway.domain.footage import Document, DocumentKind, FootageState, Period, RequestId
from gateway.domain.health import Board
from gateway.domain.holds import HeldFile, Hold, HoldId, Keep, KeepState
from gateway.domain.imports import Brought, Import, ImportId, ImportState
from gateway.evidence.contents import CERTIFICATE, MANIFEST, SHEET, SUMS, SUMS_SIGNATURE, Altered
from gateway.footage.damage import DamageDesk, listed_in
from gateway.footage.scrub_worker import Digester, Pace, digester
from gateway.footage.scrubbing import Scrubber, ScrubRules
from gateway.footage.securing import EvidenceStore
from gateway.footage.service import DOCUMENTS
from gateway.storage.store import Store
from gateway.storage.writer import Lane
from tests.footage.desk import NOW, WANG, Desk, Street, desk_of
from tests.footage.shelf import CAMERA, CONTENT, DIGEST, FILM, ready
from tests.waiting import stopped, until

CHINESE = json.loads((Path(__file__).parents[2] / "console/src/locales/zh.json").read_text(encoding="utf-8"))
DAY = timedelta(days=1)
REQUEST = RequestId("F-1")
SCAN = b"%PDF-1.7\n" + bytes(range(256))


class Watched(Digester):
    """Keeps which files were read to their end."""

    def __init__(self, process: asyncio.subprocess.Process, read: list[str]) -> None:
        super().__init__(process)
        self._read = read

    async def sha256(self, path: Path, pace: Pace) -> str:
        digest = await super().sha256(path, pace)
        self._read.append(path.parent.name)
        return digest


class Keeper:
    """A desk's folder and store, and scrubbers over them: one a life of the daemon."""

    def __init__(self, desk: Desk, evidence: Path) -> None:
        self.desk = desk
        self.evidence = EvidenceStore(evidence)
        self.processes: list[int] = []
        self.read: list[str] = []
        self.ended = 0
        self.busy = False

    def scrubber(self, **rules: object) -> Scrubber:
        """As it is after a start."""
        fulfilment = self.desk.service._fulfilment
        told = {"store": self.desk.store, "clock": self.desk.clock, "alone": fulfilment.alone}
        damage = DamageDesk(**told, folder_of=self.desk.service._prover.folder_of)
        return Scrubber(
            **told,
            damage=damage,
            folder_of=self.desk.service._prover.folder_of,
            documents=self.desk.folder / DOCUMENTS,
            evidence=self.evidence,
            busy=lambda: self.busy,
            rules=ScrubRules(**rules),
            reader=self._reader,
        )

    @contextlib.asynccontextmanager
    async def _reader(self) -> AsyncIterator[Digester]:
        async with digester() as reader:
            self.processes.append(reader._process.pid)
            yield Watched(reader._process, self.read)
        self.ended += 1

    async def checked(self, pieces: int, **rules: object) -> Scrubber:
        """A life in which so many pieces are checked and nothing is due after."""
        scrubber = self.scrubber(**rules)
        async with life(scrubber):
            await self.until(lambda: scrubber.figures.pieces >= pieces)
        return scrubber

    async def until(self, holds: Callable[[], object], step_s: float = 0.1) -> None:
        await until(holds, meanwhile=lambda: self.desk.clock.advance(step_s))

    async def told(self, kind: str = "footage.damaged") -> list[Event]:
        return [event for event in await self.desk.store.events.read_after(0, limit=1000) if event.type == kind]

    async def damages(self) -> list[dict]:
        custody = (await self.desk.service.dossier(REQUEST)).custody
        return [entry.detail for entry in custody if entry.step == "damaged"]

    def document(self, one: Document) -> Path:
        return self.desk.folder / DOCUMENTS / one.sha256

    def path(self, name: str) -> Path:
        return self.desk.file(REQUEST, name)


@contextlib.asynccontextmanager
async def life(scrubber: Scrubber) -> AsyncIterator[None]:
    task = asyncio.create_task(scrubber.run())
    try:
        yield
    finally:
        await stopped(task)


@pytest.fixture
async def keeper(store: Store, clock: SimulatedClock, tmp_path: Path) -> Keeper:
    """One request that is ready, with its film and a real proof, written just now."""
    nowhere = Street(None, None, City(), Board(), clock)  # type: ignore[arg-type] # nothing is fetched
    await ready(store, tmp_path / "footage", now=NOW)
    desk = desk_of(nowhere, store, clock, tmp_path / "footage")
    await desk.service._seals.follow(REQUEST)
    return Keeper(desk, tmp_path / "holds")


async def later(keeper: Keeper, by: timedelta = 31 * DAY) -> None:
    await keeper.desk.clock.advance(by.total_seconds())


async def test_what_is_whole_is_read_in_its_time_and_not_before(keeper: Keeper) -> None:
    scrubber = keeper.scrubber()
    async with life(scrubber):
        await until(lambda: scrubber.figures.standing)
        assert (scrubber.figures.pieces, scrubber.oldest_s()) == (0, 0)
        await keeper.until(lambda: scrubber.figures.pieces == 2, step_s=3600)
        assert timedelta(seconds=keeper.desk.clock.monotonic()) > 26 * DAY
        await keeper.until(lambda: scrubber.oldest_s() is not None and scrubber.oldest_s() < 86_400, step_s=600)
    assert (scrubber.figures.bytes, scrubber.figures.standing.damaged) == (len(CONTENT), 0)
    assert await keeper.told() == []


def altered(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[10] ^= 1
    path.write_bytes(data)


def lost(path: Path) -> None:
    path.unlink()


def unread(path: Path) -> None:
    """In its place something of which the system says EIO when it is read."""
    path.unlink()
    path.symlink_to("/proc/self/mem")


WAYS = {altered: "another SHA-256", lost: "is missing", unread: "cannot be read: Input/output error"}


@pytest.mark.parametrize("way", WAYS)
async def test_what_the_disk_altered_lost_or_does_not_give_is_told_once_over_restarts(keeper: Keeper, way: Callable[[Path], None]) -> None:
    way(keeper.path(FILM))
    await later(keeper)
    await keeper.checked(2)
    (line,) = await keeper.damages()
    assert (line["name"], line["camera"], line["sha256"], WAYS[way] in line["why"]) == (FILM, CAMERA, DIGEST, True)
    assert "sent_to" not in line
    assert f"footage.found.{line['why'].partition(': ')[0]}" in CHINESE  # the words of the console for it
    await later(keeper)
    scrubber = await keeper.checked(2)
    assert scrubber.figures.standing.damaged == 1
    assert [(event.subject, event.data) for event in await keeper.told()] == [(REQUEST, {"state": "ready", "file": FILM, "camera": CAMERA})]


async def test_a_file_that_was_brought_back_is_found_whole_a_day_later(keeper: Keeper) -> None:
    altered(keeper.path(FILM))
    await later(keeper)
    await keeper.checked(2)
    keeper.path(FILM).write_bytes(CONTENT)
    await later(keeper, 1.1 * DAY)
    scrubber = await keeper.checked(1)
    async with life(scrubber):
        await keeper.until(lambda: scrubber.figures.standing.damaged == 0, step_s=700)
    assert len(await keeper.told()) == 1


async def a_held_file(keeper: Keeper, request: RequestId | None) -> Path:
    """The one file of the hold H-1, which may belong to `request`."""
    window = Period(NOW - timedelta(hours=1), NOW)
    hold = Hold(HoldId("H-1"), Person(SYSTEM, "gateway"), "why", (CAMERA,), window, NOW, NOW + 90 * DAY, request)
    nvr = DeviceId("nvr-1")
    file = HeldFile(hold.id, CAMERA, nvr, 1, "a_001.mp4", DIGEST, len(CONTENT), 1500, 0, window, (window,), NOW)
    keep = Keep(hold.id, CAMERA, nvr, "rec-1", state=KeepState.WAITING)

    async def change(tx) -> None:
        await tx.holds.add(hold, [keep])
        await tx.holds.add_file(file)

    await keeper.desk.store.writer.write(change, lane=Lane.FOOTAGE)
    path = keeper.evidence.path_of(file)
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    return path


@pytest.mark.parametrize("seed", range(3))
async def test_each_damage_is_told_once_and_that_it_is_over_whatever_happens_to_stored_files(keeper: Keeper, seed: int) -> None:
    chance = random.Random(seed)
    scan = await keeper.desk.service.amending.add(REQUEST, SCAN, kind=DocumentKind.LETTER, name="介绍信.pdf", by=WANG)
    held = await a_held_file(keeper, REQUEST)
    places = {FILM: keeper.path(FILM), SHEET: keeper.path(SHEET), f"{scan.id}/介绍信.pdf": keeper.document(scan), "H-1/a_001.mp4": held}
    whole = {name: path.read_bytes() for name, path in places.items()}
    ways: dict[str, Callable[[Path], None] | None] = dict.fromkeys(places)
    expected = []
    for _ in range(8):
        for name, path in places.items():
            way = chance.choice([None, None, altered, lost])
            if way != ways[name]:
                path.write_bytes(whole[name])
                if way is not None:
                    way(path)
                expected.append((name, "damaged" if way else "found-whole"))
            ways[name] = way
        await later(keeper)
        await keeper.checked(4)
    custody = (await keeper.desk.service.dossier(REQUEST)).custody
    said = [(entry.detail["name"], str(entry.step)) for entry in custody if entry.step in ("damaged", "found-whole")]
    assert sorted(said) == sorted(expected)
    told = [(event.data["file"], "damaged") for event in await keeper.told()]
    told += [(event.data["file"], "found-whole") for event in await keeper.told("footage.found-whole")]
    assert sorted(told) == sorted(expected)
    acts = [("H-1/a_001.mp4", event.data["act"]) for event in await keeper.told("footage.hold")]
    assert acts == [one for one in expected if one[0] == "H-1/a_001.mp4"]


@pytest.mark.parametrize("name", [FILM, SHEET])
async def test_what_a_download_meets_is_read_again_the_next_day_as_what_is_found_here(keeper: Keeper, name: str) -> None:
    whole, sealed = keeper.path(name).read_bytes(), listed_in(keeper.path(name).parent)
    altered(keeper.path(name))
    await keeper.scrubber()._damage.found(REQUEST, Altered(name, "has another SHA-256 than was sealed"), sealed=sealed, to=WANG)
    keeper.path(name).write_bytes(whole)
    await later(keeper, 1.1 * DAY)
    await keeper.checked(1)
    assert [event.data["file"] for event in await keeper.told("footage.found-whole")] == [name]


async def test_a_reading_that_began_before_the_damage_was_told_does_not_say_that_it_is_over(keeper: Keeper) -> None:
    damage = keeper.scrubber()._damage
    began = keeper.desk.clock.now()
    await later(keeper, timedelta(seconds=1))
    lost(keeper.path(FILM))
    await damage.found(REQUEST, Altered(FILM, "is missing"), sealed={FILM: DIGEST})
    await damage.found_whole(REQUEST, {FILM}, sealed={FILM: DIGEST}, began=began)
    assert await keeper.told("footage.found-whole") == []
    await damage.found_whole(REQUEST, {FILM}, sealed={FILM: DIGEST}, began=keeper.desk.clock.now())
    assert [event.data for event in await keeper.told("footage.found-whole")] == [{"state": "ready", "file": FILM, "camera": CAMERA}]


@pytest.mark.parametrize("way", [altered, lost])
@pytest.mark.parametrize("name", [MANIFEST, SUMS, SUMS_SIGNATURE, CERTIFICATE, SHEET])
async def test_a_damaged_proof_is_told(keeper: Keeper, name: str, way: Callable[[Path], None]) -> None:
    way(keeper.path(name))
    await later(keeper)
    await keeper.checked(2)
    (told,) = [event.data for event in await keeper.told()]
    assert (told["file"] in (name, SUMS), "camera" in told) == (True, False)  # a list that is signed and another may be at fault


async def test_a_proof_of_another_manifest_than_the_one_on_record_is_told(keeper: Keeper, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in keeper.path(FILM).parent.iterdir()}
    await later(keeper)
    await keeper.desk.service._seals.follow(REQUEST)
    for name, data in before.items():
        keeper.path(name).write_bytes(data)
    await keeper.checked(2)
    assert [(line["name"], line["why"]) for line in await keeper.damages()] == [(MANIFEST, "is not the one that was sealed")]


async def test_a_brought_file_is_read_by_the_name_that_it_has_in_the_package(keeper: Keeper) -> None:
    brought = Brought("李敏", "1", "DVR", "client", "出口 1.avi")
    one = Import(ImportId("B-1"), REQUEST, 1, brought, len(CONTENT), "", WANG, NOW, ImportState.KEPT, len(CONTENT), DIGEST, NOW)
    await keeper.desk.store.writer.write(lambda tx: tx.imports.add(one), lane=Lane.FOOTAGE)
    keeper.path(one.name).write_bytes(CONTENT)
    await keeper.desk.service._seals.follow(REQUEST)
    await later(keeper)
    assert (await keeper.checked(3)).figures.bytes == 2 * len(CONTENT)
    assert await keeper.told() == []
    altered(keeper.path(one.name))
    await later(keeper)
    await keeper.checked(3)
    assert [event.data["file"] for event in await keeper.told()] == [one.name]


@pytest.mark.parametrize("kind", [DocumentKind.AUTHORISATION, DocumentKind.SIGNED_SHEET])
@pytest.mark.parametrize("way", WAYS)
async def test_a_document_is_read_again_and_its_damage_told_once(keeper: Keeper, way: Callable[[Path], None], kind: DocumentKind) -> None:
    one = await keeper.desk.service.amending.add(REQUEST, SCAN, kind=kind, name="通知书.pdf", by=WANG)
    await later(keeper)
    assert (await keeper.checked(3)).figures.bytes == len(CONTENT) + len(SCAN)
    assert await keeper.told() == []
    way(keeper.document(one))
    for _ in range(2):
        await later(keeper)
        await keeper.checked(3)
    (line,) = await keeper.damages()
    assert (line["name"], line["sha256"], WAYS[way] in line["why"]) == (f"{one.id}/通知书.pdf", one.sha256, True)


async def test_a_document_that_was_uploaded_again_and_altered_anew_is_told_anew(keeper: Keeper) -> None:
    for times in (1, 2):
        one = await keeper.desk.service.amending.add(REQUEST, SCAN, kind=DocumentKind.LETTER, name="介绍信.pdf", by=WANG)
        assert keeper.document(one).read_bytes() == SCAN
        altered(keeper.document(one))
        await later(keeper)
        await keeper.checked(3)
        assert [event.data["file"] for event in await keeper.told()] == [f"{one.id}/介绍信.pdf"] * times


@pytest.mark.parametrize("request_id", [None, REQUEST])
async def test_a_held_file_is_told_by_its_hold_and_to_the_desk_of_its_request(keeper: Keeper, request_id: RequestId | None) -> None:
    path = await a_held_file(keeper, request_id)
    await later(keeper)
    await keeper.checked(3)
    assert await keeper.told("footage.hold") == []
    altered(path)
    for _ in range(2):
        await later(keeper)
        await keeper.checked(3)
    told = {"state": "active", "act": "damaged", "request": request_id, "file": "a_001.mp4", "camera": CAMERA}
    assert [(event.subject, event.data) for event in await keeper.told("footage.hold")] == [("H-1", told)]
    files = [(event.data["file"], event.data["camera"]) for event in await keeper.told()]
    assert files == ([("H-1/a_001.mp4", CAMERA)] if request_id else [])
    async with keeper.desk.store.read() as tx:
        rows = [row.entry for row in await tx.audit.page() if row.entry.action == "hold.damaged"]
    assert [(row.subject, row.data["name"], row.data["sha256"]) for row in rows] == [("H-1", "a_001.mp4", DIGEST)]


async def test_what_was_removed_on_record_while_it_was_read_is_no_damage(keeper: Keeper) -> None:
    await later(keeper, 29 * DAY)
    keeper.busy = True
    scrubber = keeper.scrubber()
    async with life(scrubber):
        await until(lambda: keeper.processes)  # it is due, and waits
        await keeper.desk.store.writer.write(lambda tx: tx.footage.mark_removed(REQUEST), lane=Lane.FOOTAGE)
        lost(keeper.path(FILM))
        keeper.busy = False
        await keeper.until(lambda: scrubber.figures.standing.pieces == 0, step_s=700)
    assert await keeper.told() == []


async def several(keeper: Keeper, count: int) -> list[str]:
    """As many requests with a film each, the first written first, none of them with a whole proof's right to be read."""
    store, folder = keeper.desk.store, keeper.desk.folder
    names = [f"F-{number}" for number in range(2, 2 + count)]
    for number, name in enumerate(names):
        now = NOW + timedelta(minutes=number)
        await ready(store, folder, now=now, request=name, state=FootageState.FAILED, content=name.encode() * 1000)
    return [REQUEST, *names]


@pytest.mark.parametrize("settled", [False, True])
async def test_whoever_dies_wherever_goes_on_where_it_was(keeper: Keeper, settled: bool) -> None:
    """A life ends when a film was read, before or after that is put down: only in the first case is that one read again."""
    names = await several(keeper, 6)
    await later(keeper)
    while keeper.read[-1:] != names[-1:]:
        scrubber, before = keeper.scrubber(), len(set(keeper.read))
        async with life(scrubber):
            await keeper.until(lambda before=before: len(set(keeper.read)) > before)
            if settled:
                checked = scrubber.figures.pieces
                await keeper.until(lambda scrubber=scrubber, checked=checked: scrubber.figures.pieces > checked, step_s=0)
    assert [name for name, _ in itertools.groupby(keeper.read)] == names
    assert len(keeper.read) == len(names) if settled else len(keeper.read) <= 2 * len(names)


async def test_a_reading_process_that_dies_is_no_damage_and_the_rest_comes_at_the_next_look(keeper: Keeper) -> None:
    await later(keeper)
    scrubber = keeper.scrubber(bytes_per_s=1024)
    async with life(scrubber):
        await until(lambda: scrubber.figures.bytes)
        os.kill(keeper.processes[0], signal.SIGKILL)
        await keeper.until(lambda: scrubber.figures.pieces == 2, step_s=100)
    assert (await keeper.told(), len(keeper.processes)) == ([], 2)


async def test_it_goes_no_faster_than_it_may(keeper: Keeper) -> None:
    await later(keeper)
    before = keeper.desk.clock.monotonic()
    scrubber = keeper.scrubber(bytes_per_s=len(CONTENT) / 100)
    async with life(scrubber):
        await keeper.until(lambda: keeper.read)
    assert keeper.desk.clock.monotonic() - before >= 100


async def test_exports_in_hand_go_first_until_a_piece_has_had_its_time(keeper: Keeper) -> None:
    keeper.busy = True
    await later(keeper, 29 * DAY)
    scrubber = keeper.scrubber()
    async with life(scrubber):
        for _ in range(50):
            await keeper.desk.clock.advance(100)
        assert scrubber.figures.bytes == 0
        await keeper.until(lambda: scrubber.figures.pieces == 2, step_s=7200)
    assert timedelta(seconds=keeper.desk.clock.monotonic()) >= 30 * DAY


async def test_a_disk_that_is_not_there_is_not_told_file_by_file(keeper: Keeper) -> None:
    names: Sequence[str] = await several(keeper, 24)
    for name in names[1:]:
        keeper.desk.file(RequestId(name), FILM).unlink()
    await later(keeper)
    scrubber = keeper.scrubber()
    async with life(scrubber):
        await keeper.until(lambda: keeper.ended)
        assert len(await keeper.told()) == 10
        await keeper.until(lambda: scrubber.figures.pieces == 26, step_s=100)
    assert len(await keeper.told()) == 24


async def test_the_process_takes_what_nobody_else_wants() -> None:
    async with digester() as reader:
        pid = reader._process.pid
        await reader.sha256(Path(__file__), lambda _: asyncio.sleep(0))
        assert (os.sched_getscheduler(pid), os.getpriority(os.PRIO_PROCESS, pid)) == (os.SCHED_IDLE, 19)
