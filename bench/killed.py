"""`kill -9` of the process that exports footage, a hundred times, at random points: what is lost, what is fetched twice, what comes of it.

The footage desk with its store and its worker live in a process of their own, before a simulated recorder; that process is killed, and
another takes over, until the request is done. Then the same is asked for again and left alone.

    figures.kills                killed while footage was being fetched
    figures.lost                 files whose rows were committed and that were gone, or other bytes, after a kill
    figures.unknown_files_max    files on the disk without a row after a kill, finished or not: fetched again
    figures.refetched_segments   files fetched by a process and lost with it, to be fetched again: the most, and the mean
    figures.hashes_differ        files whose SHA-256 is not that of the export that was left alone

Five to twenty minutes.
"""

import asyncio
import contextlib
import hashlib
import os
import random
import signal
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Container
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from demo.processes import free_port
from gateway.clock import SystemClock
from gateway.domain.city import City
from gateway.domain.devices import Channel, Credentials, Device, DeviceId, DeviceKind, Ports
from gateway.domain.events import Actor, ActorKind, Person
from gateway.domain.footage import Filing, FootageState, Period, RequestId
from gateway.domain.health import Board, Standing
from gateway.drivers.base import Target
from gateway.drivers.http import Http
from gateway.drivers.onvif.device import OnvifDevice
from gateway.errors import NotFound
from gateway.footage.fetching import Fetching
from gateway.footage.register import load_register, shipped_register
from gateway.footage.securing import EvidenceStore
from gateway.footage.service import FootageService, Rules
from gateway.footage.space import Space
from gateway.footage.stretches import Take
from gateway.footage.worker import Job, run_worker
from gateway.storage.store import Store
from simulators import city as simulated
from simulators.serving import running
from simulators.state import State

KILLS = 100
SEGMENT = timedelta(seconds=20)
SEGMENTS = 12
_DONE = {FootageState.READY, FootageState.PARTIAL, FootageState.UNAVAILABLE, FootageState.FAILED}
_ASKER = Person(Actor(ActorKind.API_KEY, "liaison"), "one")
_DECIDER = Person(Actor(ActorKind.API_KEY, "approver"), "another")

_Fetched = tuple[str, int, int]
"""A file, finished or not: the name it has in the end, its bytes, and when they were written."""


@dataclass(slots=True)
class Found:
    """What the kills did."""

    kills: int = 0
    lost: int = 0
    unknown: list[int] = field(default_factory=list)
    counted: set[_Fetched] = field(default_factory=set)
    """What an earlier process fetched without a row, and the latest may not have removed yet."""
    refetched: list[float] = field(default_factory=list)
    differ: int = 0
    states: set[str] = field(default_factory=set)
    usual_s: float = 0.0
    """How long a process works that nobody kills, once it fetches."""
    sizes: dict[str, int] = field(default_factory=dict)
    """How large each file is when nobody is killed."""


def measure(*, kills: int = KILLS) -> dict[str, Any]:
    """Run it."""
    found = asyncio.run(kill(kills, random.Random(4)))
    return {
        "figures": {
            "kills": found.kills,
            "lost": found.lost,
            "unknown_files_max": max(found.unknown, default=0),
            "refetched_segments_max": round(max(found.refetched, default=0.0), 3),
            "refetched_segments_mean": round(statistics.fmean(found.refetched or [0.0]), 3),
            "hashes_differ": found.differ,
            "states": sorted(found.states),
        }
    }


async def kill(kills: int, chance: random.Random, *, segments: int = SEGMENTS) -> Found:
    """Kill so many times, request after request, each for footage of so many files."""
    found = Found()
    with tempfile.TemporaryDirectory(prefix="bench-killed-") as made:
        folder = Path(made)
        async with _recorder() as ports:
            begin = (datetime.now(UTC) - timedelta(hours=2)).replace(second=7, microsecond=0).isoformat()
            whole = await _undisturbed(_Place(folder / "whole", ports, begin, segments), found)
            number = 0
            while found.kills < kills:
                number += 1
                await _disturbed(_Place(folder / f"{number}", ports, begin, segments), whole, kills, chance, found)
    return found


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one request is worked off: the folder of store and footage, the recorder's ports, and the window's begin."""

    folder: Path
    ports: tuple[int, int]
    begin: str
    segments: int

    @property
    def films(self) -> Path:
        """Where the files of the request lie."""
        return self.folder / "footage" / "request"

    def command(self) -> tuple[str, ...]:
        return (sys.executable, "-m", "bench.killed", str(self.folder), *map(str, self.ports), self.begin, str(self.segments))


async def _undisturbed(place: _Place, found: Found) -> dict[str, str]:
    """Name → digest of the files when nobody is killed; notes what is usual."""
    async with _life(place) as process:
        began = time.monotonic()
        await process.wait()
        found.usual_s = time.monotonic() - began
    rows = _rows(place)
    found.sizes = {name: (place.films / name).stat().st_size for name in rows}
    return rows


async def _disturbed(place: _Place, whole: dict[str, str], kills: int, chance: random.Random, found: Found) -> None:
    """One request, its processes killed until it is done all the same; the last is let live once there were enough."""
    while True:
        async with _life(place) as process:
            if found.kills < kills:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), chance.random() * found.usual_s)
            if found.kills < kills and process.returncode is None:
                os.kill(process.pid, signal.SIGKILL)
            await process.wait()
            if process.returncode == 0:
                break
        found.kills += 1
        _look(place, found)
    found.states.update(state for (state,) in _asked(place, "select state from footage_requests"))
    found.differ += len(_rows(place).items() ^ whole.items())


def _look(place: _Place, found: Found) -> None:
    """After a kill: what was acknowledged is there, and what is not stands alone."""
    rows = _rows(place)
    for name, sha in rows.items():
        path = place.films / name
        found.lost += not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != sha
    unknown = _unknown(place, rows)
    found.unknown.append(len(unknown))
    found.refetched.append(sum(size / found.sizes[name] for name, size, _ in unknown - found.counted))
    found.counted = unknown


def _unknown(place: _Place, rows: Container[str]) -> set[_Fetched]:
    """The files that have no row. A worker that outlives its daemon by a moment may still rename or remove one."""
    unknown = set()
    for path in place.films.glob("*.mp4*") if place.films.exists() else ():
        with contextlib.suppress(FileNotFoundError):
            if path.name not in rows:
                unknown.add((path.name.partition(".")[0] + ".mp4", _written(path), path.stat().st_mtime_ns))
    return unknown


def _written(path: Path) -> int:
    """Bytes of film; what is behind them is room that was taken on the disk."""
    return len(path.read_bytes().rstrip(b"\0"))


def _rows(place: _Place) -> dict[str, str]:
    """Name → digest of the files that the store knows, read as anybody could."""
    return {row[0]: row[1] for row in _asked(place, "select name, sha256 from footage_files")}


def _asked(place: _Place, question: str) -> list[tuple[str, ...]]:
    with contextlib.closing(sqlite3.connect(place.folder / "store.db")) as store:
        return store.execute(question).fetchall()


@contextlib.asynccontextmanager
async def _life(place: _Place) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that works at the request, from when it fetches footage on; or one that found nothing more to fetch, and ends."""
    place.folder.mkdir(parents=True, exist_ok=True)
    process = await asyncio.create_subprocess_exec(*place.command(), stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        await process.stdout.readline()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


# -- the recorder ------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _recorder() -> AsyncIterator[tuple[int, int]]:
    """Its ports for ONVIF and RTSP; it lives in this process, which is not killed."""
    ports = free_port(0), free_port(0)
    city = _planned(ports)
    async with running(city, State(), control=("127.0.0.1", 0), only=("http", "rtsp")):
        yield ports


def _planned(ports: tuple[int, int]) -> simulated.City:
    return simulated.plan(seed=3, groups=12, speakers=1, http_port=ports[0], rtsp_port=ports[1], snmp_port=1)


# -- the process that is killed ----------------------------------------------------------------------------------------


async def _work(folder: Path, ports: tuple[int, int], window: Period) -> None:
    planned, clock = _planned(ports), SystemClock()
    recorder, channel = next((one, kept) for one in planned.of_kind("recorder") for kept in one.channels if not kept.gappy)
    city, board, camera = City(), Board(), DeviceId(channel.camera)
    known = Device(
        DeviceId(recorder.id),
        DeviceKind.RECORDER,
        recorder.name,
        recorder.address,
        channels=(Channel(channel.number, camera, channel.token),),
    )
    city.replace(devices=[known, Device(camera, DeviceKind.CAMERA, "camera", "127.0.0.1")])
    board.put(Standing(known.id, offset=timedelta(seconds=recorder.clock_offset_s)))
    target = Target(known.id, recorder.address, Ports(onvif=ports[0], rtsp=ports[1]), Credentials(recorder.username, recorder.password))
    async with Store.open(f"sqlite:///{folder}/store.db", clock=clock, key=bytes(32)) as store, asyncio.TaskGroup() as group:
        desk = FootageService(
            store=store,
            city=city,
            board=board,
            clock=clock,
            register=load_register(shipped_register()),
            search_of=lambda _: OnvifDevice(target, Http(), clock),
            target_of=lambda _: target,
            worker=_worker,
            new_id=lambda: "request",
            fetching=Fetching(folder / "footage", folder / "evidence", Space(folder, floor=1), segment=SEGMENT),
            evidence=EvidenceStore(folder / "holds"),
            rules=Rules(),
        )
        tasks = [group.create_task(store.writer.run(), name="writer")]
        request = await _asked_for(desk, _filing(camera, window))
        tasks.append(group.create_task(desk.run(), name="desk"))
        async for event in store.events.follow(after=0):
            if event.subject == request and event.data["state"] in _DONE and (await desk.dossier(request)).request.state in _DONE:
                break
        for task in tasks:
            task.cancel()


async def _worker(job: Job, take: Take) -> None:
    """The desk's own, which says that it begins."""
    print("fetching", flush=True)
    await run_worker(job, take)


async def _asked_for(desk: FootageService, filing: Filing) -> RequestId:
    """The request of an earlier life, or a new one."""
    request = RequestId("request")
    try:
        await desk.dossier(request)
    except NotFound:
        await desk.submit(filing, by=_ASKER)
        await desk.approve(request, by=_DECIDER)
    return request


def _filing(camera: DeviceId, window: Period) -> Filing:
    return Filing(
        requester="three",
        window=window,
        unit="unit",
        badge="badge",
        second_officer="four",
        case_number="case",
        case_kind="public-order",
        legal_basis="criminal-procedure-evidence",
        authorising_document="letter",
        purpose="purpose",
        destination="destination",
        cameras=(camera,),
    )


if __name__ == "__main__":
    start = datetime.fromisoformat(sys.argv[4])
    asyncio.run(_work(Path(sys.argv[1]), (int(sys.argv[2]), int(sys.argv[3])), Period(start, start + int(sys.argv[5]) * SEGMENT)))
