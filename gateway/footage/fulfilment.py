"""Working off approved requests: where the footage is, what there is of it, fetching it, and the manifest. Interrupted work goes on."""

import asyncio
import hashlib
import json
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol, TypeVar

import structlog

from gateway import __version__
from gateway.clock import Clock
from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.domain.footage import (
    LEAST_GAP,
    WORKING,
    Act,
    Dossier,
    Export,
    ExportState,
    FootageFile,
    FootageRequest,
    FootageState,
    Period,
    RequestId,
    Urgency,
    clipped,
    gaps,
    joined,
    judged,
    manifest,
    verdict,
)
from gateway.domain.health import Board
from gateway.drivers.base import Span, Target
from gateway.errors import (
    AuthenticationFailed,
    Busy,
    DeviceError,
    DeviceFault,
    GatewayError,
    NotFound,
    NotSupported,
    Overloaded,
    StorageFailed,
)
from gateway.footage.exporting import PART, DiskFull, Finished, Stretch, sync_folder
from gateway.footage.ledger import Ledger
from gateway.footage.worker import Job, run_worker
from gateway.storage.store import Store

T = TypeVar("T")
MANIFEST: Final = "manifest.json"
_REQUESTS_AT_ONCE: Final = 8
_ASK_TIMEOUT_S: Final = 30.0
_ATTEMPTS: Final = 3
_PAUSE_S: Final = 5.0
_BUSY_WAITS: Final = 60
_BUSY_PAUSE_S: Final = 30.0
_NOTHING_THERE: Final = "rtsp-457"
"""Invalid Range: nothing of this stretch is recorded, whatever the search said; what is missing is judged by what came."""
_OVERLAP: Final = timedelta(milliseconds=20)
"""Less than one picture lasts: after a file that ends at E, pictures up to E - _OVERLAP are there already."""


class RecordingSearch(Protocol):
    """What is asked of a recorder before its footage is replayed (ONVIF Recording Search and Replay services)."""

    async def coverage(self, recording: str, window: Span, *, timeout_s: float) -> Sequence[Span]:
        """The parts of `window` (device time) that are recorded."""
        ...

    async def replay_path(self, recording: str, *, timeout_s: float) -> str:
        """Path and query of the recording's replay URI."""
        ...


Worker = Callable[[Job, Callable[[Finished], Awaitable[None]]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Fetching:
    """How footage is fetched. `exports`: how many at once in all, one a recorder; `free_bytes`: what stays free on the disk."""

    folder: Path
    segment: timedelta = timedelta(minutes=5)
    exports: int = 2
    free_bytes: int = 256 << 20


class Fulfilment:
    """Takes approved requests to their end. `stir` tells it that there may be work, `drop` that a request was cancelled."""

    def __init__(
        self,
        *,
        store: Store,
        ledger: Ledger,
        city: City,
        board: Board,
        clock: Clock,
        search_of: Callable[[DeviceId], RecordingSearch],
        target_of: Callable[[DeviceId], Target],
        fetching: Fetching,
        worker: Worker = run_worker,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._city = city
        self._board = board
        self._clock = clock
        self._search_of = search_of
        self._target_of = target_of
        self._fetching = fetching
        self._worker = worker
        self._stirred = asyncio.Event()
        self._tasks: dict[RequestId, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(fetching.exports)
        self._recorders: defaultdict[DeviceId, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._log = structlog.get_logger()

    def folder_of(self, request: RequestId) -> Path:
        return self._fetching.folder / request

    def stir(self) -> None:
        """There may be something to do."""
        self._stirred.set()

    async def drop(self, request: RequestId) -> None:
        """Stop working on `request`, if that is going on, and remove what was fetched for it."""
        if task := self._tasks.get(request):
            task.cancel()
            await asyncio.wait([task])
        await asyncio.to_thread(shutil.rmtree, self.folder_of(request), ignore_errors=True)

    async def run(self) -> None:
        """Work until cancelled; begins with what an earlier run left unfinished. Raises StorageFailed when the store does."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._stirred.clear()
                for request in await self._waiting():
                    if len(self._tasks) < _REQUESTS_AT_ONCE and request.id not in self._tasks:
                        self._tasks[request.id] = group.create_task(self._work_on(request), name=f"footage {request.id}")
                await self._stirred.wait()

    async def _waiting(self) -> list[FootageRequest]:
        """Unfinished requests: urgent ones first, then by age."""
        async with self._store.read() as tx:
            found = await tx.footage.oldest(WORKING, limit=500)
        return sorted(found, key=lambda request: request.filing.urgency is not Urgency.URGENT)

    async def _work_on(self, request: FootageRequest) -> None:
        """One request to its end. What goes wrong in it is its own outcome; only the store's failure is ours."""
        try:
            await self._fulfil(request)
        except Exception as error:
            causes = _causes(error)
            if any(isinstance(cause, StorageFailed) for cause in causes):
                raise
            if not all(isinstance(cause, GatewayError) for cause in causes):
                self._log.exception("footage.failed", request=request.id)
            await self._give_up(
                request.id, "; ".join(str(cause) if isinstance(cause, GatewayError) else "internal error" for cause in causes)
            )
        finally:
            del self._tasks[request.id]
            self.stir()

    async def _give_up(self, request: RequestId, reason: str) -> None:
        try:
            await self._ledger.act(request, Act.FAIL, reason=reason)
        except GatewayError as error:
            self._log.warning("footage.not_failed", request=request, reason=str(error))

    async def _fulfil(self, request: FootageRequest) -> None:
        if request.state is FootageState.APPROVED:
            request = await self._ledger.act(request.id, Act.LOCATE)
        if request.state is FootageState.LOCATING:
            request = await self._locate(request)
        if request.state is FootageState.EXPORTING:
            await self._export_all(request)
            await self._conclude(request.id)

    # -- where it is --------------------------------------------------------------------------------------------------

    async def _locate(self, request: FootageRequest) -> FootageRequest:
        """Ask the recorders what they have. The request is then EXPORTING, or at its end when there is nothing to fetch."""
        known = {export.camera: export for export in (await self._ledger.dossier(request.id)).exports}
        exports = [
            done if (done := known.get(camera)) and done.state is ExportState.DONE else await self._located(request, camera)
            for camera in request.cameras
        ]
        await self._ledger.put_exports(*exports)
        if any(export.state is ExportState.PENDING for export in exports):
            found = {export.camera: _told(export.coverage) for export in exports}
            return await self._ledger.act(request.id, Act.EXPORT, detail={"recorded": found})
        act, reason = verdict(exports)
        if act in (Act.FIND_NOTHING, Act.FAIL):
            return await self._ledger.act(request.id, act, reason=reason)
        return await self._ledger.act(request.id, Act.EXPORT)  # all was there already: only the manifest is missing

    async def _located(self, request: FootageRequest, camera: DeviceId) -> Export:
        """What the recorder of one camera has of the window: PENDING with its coverage, NOTHING or FAILED with the reason."""
        place = self._city.recorder_of(camera)
        if place is None:
            return Export(request.id, camera, DeviceId(""), "", state=ExportState.FAILED, reason="no recorder keeps its footage")
        recorder, channel = place
        if not channel.recording_token:
            reason = f"the inventory names no recording for channel {channel.number} of {recorder.id}"
            return Export(request.id, camera, recorder.id, "", state=ExportState.FAILED, reason=reason)
        export = Export(
            request=request.id,
            camera=camera,
            recorder=recorder.id,
            recording=channel.recording_token,
            serial=recorder.serial,
            offset=self._board[recorder.id].offset,
        )
        window = request.filing.window
        asked = export.device_period(window)
        span = Span(asked.start, asked.end)

        async def ask() -> Sequence[Span]:
            return await self._search_of(recorder.id).coverage(export.recording, span, timeout_s=_ASK_TIMEOUT_S)

        try:
            spans = await self._patiently(ask, request=request.id, camera=camera)
        except (DeviceError, NotFound, Overloaded) as error:
            return replace(export, state=ExportState.FAILED, reason=f"the recorder does not say what it has: {error}")
        coverage = clipped((export.true_period(Period(span.start, span.end)) for span in spans), window)
        if not coverage:
            return replace(export, state=ExportState.NOTHING, reason="not recorded", gaps=(window,))
        return replace(export, coverage=coverage, gaps=gaps(coverage, window, least=LEAST_GAP))

    # -- fetching it --------------------------------------------------------------------------------------------------

    async def _export_all(self, request: FootageRequest) -> None:
        dossier = await self._ledger.dossier(request.id)
        folder = self.folder_of(request.id)
        await asyncio.to_thread(_prepare, folder, {file.name for file in dossier.files})
        async with asyncio.TaskGroup() as group:
            for number, export in enumerate(dossier.exports, start=1):
                if export.state in (ExportState.PENDING, ExportState.EXPORTING):
                    files = [file for file in dossier.files if file.camera == export.camera]
                    fetch = _CameraFetch(export, request.filing.window, files, f"{number:02d}_{_safe(export.camera)}_")
                    group.create_task(self._export(fetch), name=f"export {export.camera}")

    async def _export(self, fetch: "_CameraFetch") -> None:
        """Fetch the footage of one camera; its export ends DONE, PARTIAL, NOTHING or FAILED."""
        async with self._recorders[fetch.export.recorder], self._slots:
            await self._ledger.put_exports(replace(fetch.export, state=ExportState.EXPORTING, reason=""))
            error = ""
            try:
                await self._patiently(lambda: self._fetch_rest(fetch), request=fetch.export.request, camera=fetch.export.camera)
            except (DeviceError, NotFound, Overloaded, DiskFull) as failure:
                error = str(failure)
            await self._ledger.put_exports(judged(fetch.export, fetch.files, fetch.window, error=error))

    async def _patiently(self, act: Callable[[], Awaitable[T]], **about: object) -> T:
        """Do `act`, some more times when the recorder fails it. It must be safe to repeat: asking is, and fetching the rest is.

        A recorder that plays to others already is waited for: their replays end (quirk Q23).
        """
        failures = waits = 0
        while True:
            try:
                return await act()
            except (AuthenticationFailed, NotSupported):
                raise
            except (DeviceError, Overloaded) as failure:
                busy = isinstance(failure, Busy)
                waits, failures = waits + busy, failures + (not busy)
                if waits > _BUSY_WAITS or failures >= _ATTEMPTS:
                    raise
                self._log.info("footage.recorder_busy" if busy else "footage.attempt_failed", reason=str(failure), **about)
                await self._clock.sleep(_BUSY_PAUSE_S if busy else _PAUSE_S)

    async def _fetch_rest(self, fetch: "_CameraFetch") -> None:
        """Replay what is recorded and not yet in a file, stretch by stretch."""
        export = fetch.export
        folder = self.folder_of(export.request)
        path = await self._search_of(export.recorder).replay_path(export.recording, timeout_s=_ASK_TIMEOUT_S)

        async def keep(finished: Finished) -> None:
            file = fetch.file(finished, at=self._clock.now())
            await self._ledger.add_file(file)
            fetch.files.append(file)

        for hole, after in tuple(fetch.missing()):
            self._check_space()
            period = export.device_period(hole)
            stretch = Stretch(
                start=period.start,
                end=period.end,
                segment=self._fetching.segment,
                folder=folder,
                prefix=fetch.prefix,
                first=1 + max((file.number for file in fetch.files), default=0),
                after=after,
            )
            try:
                await self._worker(Job(self._target_of(export.recorder), path, stretch), keep)
            except DeviceFault as fault:
                if fault.code != _NOTHING_THERE:
                    raise

    def _check_space(self) -> None:
        free = shutil.disk_usage(self._fetching.folder).free
        if free < self._fetching.free_bytes:
            raise DiskFull(f"only {free >> 20} MiB are free for footage", hint="free some space, then retry")

    # -- concluding ---------------------------------------------------------------------------------------------------

    async def _conclude(self, request: RequestId) -> None:
        dossier = await self._ledger.dossier(request)
        act, reason = verdict(dossier.exports)
        digest = await asyncio.to_thread(self._write_manifest, dossier)
        await self._ledger.act(request, act, reason=reason, detail={"manifest_sha256": digest})

    def _write_manifest(self, dossier: Dossier) -> str:
        """Write the manifest beside the files, durably; its SHA-256."""
        content = manifest(dossier, version=__version__, made_at=self._clock.now())
        data = json.dumps(content, ensure_ascii=False, indent=2).encode() + b"\n"
        folder = self.folder_of(dossier.request.id)
        part = folder / f"{MANIFEST}{PART}"
        with part.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        part.rename(folder / MANIFEST)
        sync_folder(folder)
        return hashlib.sha256(data).hexdigest()


class _CameraFetch:
    """What is known of one camera's footage while it is fetched."""

    def __init__(self, export: Export, window: Period, files: list[FootageFile], prefix: str) -> None:
        self.export = export
        self.window = window
        self.files = files
        self.prefix = prefix

    def missing(self) -> Iterator[tuple[Period, datetime | None]]:
        """What is recorded and in no file (true time), each with the recorder's time of the last picture that is there before it."""
        there = joined((run for file in self.files for run in file.runs), within=LEAST_GAP)
        ends = {run.end for run in there}
        for covered in self.export.coverage:
            for hole in gaps(there, covered, least=LEAST_GAP):
                after = self.export.device_period(hole).start - _OVERLAP if hole.start in ends else None
                yield hole, after

    def file(self, finished: Finished, *, at: datetime) -> FootageFile:
        """The row of a finished file, its times brought to the true clock."""
        runs = tuple(self.export.true_period(Period(start, end)) for start, end in finished.runs)
        return FootageFile(
            request=self.export.request,
            camera=self.export.camera,
            number=finished.number,
            name=finished.name,
            sha256=finished.sha256,
            size=finished.size,
            frames=finished.frames,
            damaged=finished.damaged,
            period=Period(runs[0].start, runs[-1].end),
            runs=runs,
            created_at=at,
        )


def _causes(error: BaseException) -> list[BaseException]:
    """The errors that a group of tasks failed with, or the one error itself."""
    return [cause for child in error.exceptions for cause in _causes(child)] if isinstance(error, BaseExceptionGroup) else [error]


def _prepare(folder: Path, known: set[str]) -> None:
    """Make the folder, and remove from it what no row knows: files that were not finished or not acknowledged."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.name not in known:
            path.unlink()
    sync_folder(folder.parent)


def _safe(name: str) -> str:
    """An id as part of a file name: letters and digits of ASCII, the rest as underscores."""
    return re.sub(r"[^A-Za-z0-9-]+", "_", name)[:64]


def _told(periods: Sequence[Period]) -> list[list[str]]:
    return [[period.start.isoformat(), period.end.isoformat()] for period in periods]
