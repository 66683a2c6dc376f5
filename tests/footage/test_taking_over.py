"""What was fetched for one request serves another: the recorder replays it once, and only what is sound and the same is taken."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.clock import SimulatedClock
from gateway.domain.devices import DeviceId
from gateway.domain.footage import Act, Dossier, Emergency, FootageFile, FootageState, Origin, Period, Reach, RequestId, Step, TimeSource
from gateway.domain.health import Standing
from gateway.errors import NotSupported
from gateway.evidence.verifying import verify
from gateway.footage.stretches import Take
from gateway.footage.taking_over import serving
from gateway.footage.worker import Job, run_worker
from gateway.storage.store import Store
from tests.footage.desk import NOW, WANG, ZHAO, Desk, Street, desk_of, filing, working
from tests.waiting import until

MINUTE = timedelta(minutes=1)
START = NOW - timedelta(hours=1)
FRAMES = 750
"""Of a minute."""


@dataclass
class Watched:
    """The real worker, which begins when it may; keeps what it was told to fetch."""

    jobs: list[Job] = field(default_factory=list)
    may: asyncio.Event = field(default_factory=asyncio.Event)
    refusal: NotSupported | None = None

    async def __call__(self, job: Job, take: Take) -> None:
        self.jobs.append(job)
        await self.may.wait()
        refusal, self.refusal = self.refusal, None
        if refusal is not None:
            raise refusal
        await run_worker(job, take)


@pytest.fixture
def worker() -> Watched:
    worker = Watched()
    worker.may.set()
    return worker


@pytest.fixture
async def desk(where: Street, store: Store, clock: SimulatedClock, tmp_path: Path, worker: Watched) -> AsyncIterator[Desk]:
    async with working(desk_of(where, store, clock, tmp_path / "footage", worker=worker, segment=MINUTE)) as desk:
        yield desk


def camera_of(desk: Desk) -> DeviceId:
    return DeviceId(desk.street.recorded(gappy=False)[1].camera)


async def asked(desk: Desk, first: float, last: float) -> Dossier:
    """A request for these minutes, worked off and whole."""
    window = Period(START + first * MINUTE, START + last * MINUTE)
    dossier = await desk.fulfilled(filing(cameras=(camera_of(desk),), window=window))
    assert (dossier.request.state, dossier.exports[0].gaps) == (FootageState.READY, ())
    return dossier


def inode(desk: Desk, dossier: Dossier, file: FootageFile) -> int:
    return desk.file(dossier.request.id, file.name).stat().st_ino


async def test_a_second_request_for_the_same_camera_and_time_has_nothing_replayed(desk: Desk, worker: Watched) -> None:
    first = await asked(desk, 0, 2)
    before = len(worker.jobs)
    second = await asked(desk, 0, 2)
    assert len(worker.jobs) == before
    assert [file.sha256 for file in second.files] == [file.sha256 for file in first.files]
    assert [inode(desk, second, file) for file in second.files] == [inode(desk, first, file) for file in first.files]
    lines = [line.detail for line in second.custody if line.step is Step.EXPORTED]
    assert [(line["taken_over"], line["fetched_at"]) for line in lines] == [(True, file.created_at.isoformat()) for file in first.files]
    assert not any(first.request.id in str(line) for line in lines)
    async with desk.store.read() as tx:
        rows = [row.entry for row in await tx.audit.page() if row.entry.action == "footage.taken-over"]
        shown = await tx.audit.page(reach=Reach(WANG.actor, frozenset({camera_of(desk)})))
    assert not any("footage.taken-over" in row.entry.action for row in shown), "who sees the one need not see the other"
    assert {(row.data["request"], row.data["from"], row.data["sha256"]) for row in rows} == {
        (second.request.id, first.request.id, file.sha256) for file in first.files
    }
    assert verify(desk.file(second.request.id, "manifest.json").parent).altered == ()


@pytest.mark.parametrize("begin", [1, 1.055], ids=["at a key picture", "between two"])
async def test_what_goes_beyond_is_fetched_and_fits_to_what_was_taken(desk: Desk, worker: Watched, begin: float) -> None:
    first = await asked(desk, begin, 3)
    before = len(worker.jobs)
    second = await asked(desk, 0, 4)
    taken = {file.sha256 for file in first.files} & {file.sha256 for file in second.files}
    assert (len(taken), len(worker.jobs) - before) == (2, 2)
    assert sum(file.frames for file in second.files) == 4 * FRAMES  # none is missing, none comes twice
    assert all(one.period.end == other.period.start for one, other in pairwise(second.files))


async def test_less_is_taken_as_whole_files_within_what_was_asked_for(desk: Desk, worker: Watched) -> None:
    first = await asked(desk, 0, 3)
    second = await asked(desk, 0.5, 2)
    window = second.request.filing.window
    assert len({file.sha256 for file in first.files} & {file.sha256 for file in second.files}) == 1
    assert second.files[-1].period.end <= window.end + timedelta(seconds=1)


async def spoiled(desk: Desk, first: Dossier) -> None:
    path = desk.file(first.request.id, first.files[0].name)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


async def lost(desk: Desk, first: Dossier) -> None:
    desk.file(first.request.id, first.files[0].name).unlink()


async def clock_found_otherwise(desk: Desk, first: Dossier) -> None:
    recorder = first.exports[0].recorder
    before = desk.street.board[recorder].offset or timedelta(0)
    desk.street.board.put(Standing(recorder, offset=before + timedelta(seconds=2)))


@pytest.mark.parametrize("change", [spoiled, lost, clock_found_otherwise])
async def test_what_is_not_what_was_stored_or_of_another_time_is_fetched_anew(desk: Desk, worker: Watched, change: Callable) -> None:
    first = await asked(desk, 0, 1)
    before = len(worker.jobs)
    await change(desk, first)
    second = await asked(desk, 0, 1)
    assert len(worker.jobs) == before + 1
    assert verify(desk.file(second.request.id, "manifest.json").parent).altered == ()


async def test_what_was_removed_is_not_taken_and_its_end_takes_nothing_from_the_other(desk: Desk, worker: Watched) -> None:
    first, second = await asked(desk, 0, 1), await asked(desk, 0, 1)
    before = len(worker.jobs)
    for one in (first, second):
        await desk.service._ledger.act(one.request.id, Act.EXPIRE, reason="kept long enough")
        await desk.service._fulfilment.drop(one.request.id)
        if one is first:
            assert desk.file(second.request.id, second.files[0].name).is_file()
    await asked(desk, 0, 1)
    assert len(worker.jobs) == before + 1


async def begun(desk: Desk, worker: Watched) -> RequestId:
    """A request for two minutes that are just being replayed, by a recorder that is seen to bear two replays at once."""
    await asked(desk, 10, 11)
    worker.jobs.clear()
    worker.may.clear()
    request = await approved(desk, 0, 2)
    await until(lambda: worker.jobs)
    return request


async def approved(desk: Desk, first: float, last: float, **changes: object) -> RequestId:
    """A request for these minutes, which the gateway has begun to work on."""
    window, known = Period(START + first * MINUTE, START + last * MINUTE), len(in_hand(desk))
    request = await desk.service.submit(filing(cameras=(camera_of(desk),), window=window, **changes), by=WANG)
    if not request.filing.emergency:
        await desk.service.approve(request.id, by=ZHAO)
    await until(lambda: len(in_hand(desk)) > known)
    return request.id


def in_hand(desk: Desk) -> dict:
    return desk.service._fulfilment._fetcher._in_hand._ended


def taken(dossier: Dossier) -> list[bool]:
    return [bool(line.detail.get("taken_over")) for line in dossier.custody if line.step is Step.EXPORTED]


@pytest.mark.parametrize("last", [2, 3], ids=["the same", "more"])
async def test_what_another_request_is_just_having_replayed_is_waited_for(desk: Desk, worker: Watched, last: int) -> None:
    first, second = await begun(desk, worker), await approved(desk, 0, last)
    await desk.clock.advance(60)
    assert len(worker.jobs) == 1
    worker.may.set()
    whole, after = await desk.settled(first), await desk.settled(second)
    assert [file.sha256 for file in after.files][:2] == [file.sha256 for file in whole.files]
    assert (taken(whole), taken(after), len(worker.jobs)) == ([False] * 2, [True] * 2 + [False] * (last - 2), last - 1)
    assert verify(desk.file(second, "manifest.json").parent).altered == ()


async def withdrawn(desk: Desk, _: Watched, first: RequestId) -> None:
    await desk.service.cancel(first, by=WANG)


async def too_slow(desk: Desk, _worker: Watched, _first: RequestId) -> None:
    await desk.clock.advance(13 * 60)


async def refused(_desk: Desk, worker: Watched, _first: RequestId) -> None:
    worker.refusal = NotSupported("no replay")
    worker.may.set()


@pytest.mark.parametrize("ends", [withdrawn, refused, too_slow])
async def test_who_waits_in_vain_has_it_replayed(desk: Desk, worker: Watched, ends: Callable) -> None:
    first, second = await begun(desk, worker), await approved(desk, 0, 2)
    await desk.clock.advance(60)
    assert len(worker.jobs) == 1
    await ends(desk, worker, first)
    await until(lambda: len(worker.jobs) == 2)
    worker.may.set()
    dossier = await desk.settled(second)
    assert (dossier.request.state, taken(dossier)) == (FootageState.READY, [False] * 2)


@pytest.mark.parametrize(("last", "changes"), [(2, {"emergency": Emergency.MISSING_PERSON}), (1, {})], ids=["an emergency", "a part of it"])
async def test_waiting_holds_nobody_up_who_is_more_urgent_or_wants_less(desk: Desk, worker: Watched, last: int, changes: dict) -> None:
    await begun(desk, worker)
    second = await approved(desk, 0, last, **changes)
    await until(lambda: len(worker.jobs) == 2)
    worker.may.set()
    assert taken(await desk.settled(second)) == [False] * last


ORIGIN = Origin(DeviceId("nvr-1"), "rec-1", "S-1", timedelta(seconds=3))


def minute(number: int, **changes: object) -> FootageFile:
    """One of a request's files, of so-manieth minute."""
    period = Period(START + number * MINUTE, START + (number + 1) * MINUTE)
    file = FootageFile(RequestId("F-1"), DeviceId("cam-1"), number, f"{number}.mp4", "a" * 64, 1, 1, 0, period, (period,), NOW)
    told = {"device": ORIGIN.device, "recording": ORIGIN.recording, "serial": ORIGIN.serial, "offset": ORIGIN.offset}
    return replace(file, **told | {"time_source": TimeSource.DEVICE} | changes)


UNLIKE: dict[str, dict[str, object]] = {
    "another device": {"device": DeviceId("cam-1")},
    "another recording": {"recording": "rec-2"},
    "another serial number": {"serial": "S-2"},
    "a clock that was otherwise wrong": {"offset": timedelta(seconds=4)},
    "a clock that was not measured": {"offset": None},
    "damaged pictures": {"damaged": 1},
    "sound that was refused": {"sound_refused": "AAC"},
    "times that were reckoned": {"time_source": TimeSource.RECKONED},
}


@pytest.mark.parametrize("unlike", UNLIKE)
def test_only_what_the_same_origin_would_give_alike_serves(unlike: str) -> None:
    window = Period(START, START + 3 * MINUTE)
    files = [minute(0), minute(1, **UNLIKE[unlike]), minute(2, offset=timedelta(seconds=3.2))]
    assert [file.number for file in serving(files, ORIGIN, window, [])] == [0, 2]


def test_of_a_request_in_which_time_went_back_nothing_serves_and_of_two_alike_one() -> None:
    window = Period(START, START + 3 * MINUTE)
    doubled = [minute(0), minute(1, set_backs=1)]
    other = [minute(number, request=RequestId("F-2")) for number in (0, 1, 2)]
    assert list(serving(doubled, ORIGIN, window, [])) == []
    assert [(file.request, file.number) for file in serving([*doubled, *other], ORIGIN, window, [minute(2)])] == [("F-2", 0), ("F-2", 1)]
    assert len(list(serving([*other, *(replace(file, request=RequestId("F-3")) for file in other)], ORIGIN, window, []))) == 3
