"""Working off approved requests: where the footage is, what there is of it, fetching it, and the manifest. Interrupted work goes on."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Final
from weakref import WeakValueDictionary

import structlog

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
    FootageRequest,
    FootageState,
    Origin,
    Period,
    RequestId,
    Step,
    clipped,
    clocks_told,
    gaps,
    joined,
    judged,
    left_out,
    overlapping,
    total,
    verdict,
)
from gateway.domain.health import Board, HealthState
from gateway.domain.imports import Import
from gateway.drivers.base import Target
from gateway.errors import (
    Busy,
    Conflict,
    DeadlineExceeded,
    DeviceError,
    GatewayError,
    NotFound,
    NotSupported,
    Overloaded,
    StorageFailed,
)
from gateway.footage.adopting import Adoption
from gateway.footage.camera_fetch import UNJUDGED, CameraFetch
from gateway.footage.clocks import KnownClocks
from gateway.footage.cut_file import Finished
from gateway.footage.filework import to_the_end
from gateway.footage.ledger import Ledger
from gateway.footage.locating import ASK_TIMEOUT_S, Cards, Locator, RecordingSearch, Round
from gateway.footage.patience import patiently
from gateway.footage.progress import Gauge, Progress
from gateway.footage.proving import Prover
from gateway.footage.resealing import CHANGES, SEALS
from gateway.footage.sealing import BESIDE
from gateway.footage.space import NO_SPACE, DiskFull, Space
from gateway.footage.stretches import Replay, Worker, fetch_stretch, may_give_way, next_number, prepare
from gateway.footage.taking_over import TakeOver
from gateway.footage.turns import Claim, GaveWay, Turns, Wanted, claim_of
from gateway.footage.worker import Reached, run_worker
from gateway.storage.store import Store
from gateway.storage.writer import Lane

_REQUESTS_AT_ONCE: Final = 8
"""And so many emergencies beside them: neither waits for a place of the other."""
_ANSWER_S: Final = 10.0
"""So long the fetching waits for recorders that have not said yet what they have: one may be busy for half an hour."""
_ROOM_EVERY_S: Final = 60.0
_LOOKED_AT: Final = 500
"""So many requests are looked at for whether there is room for them by now, those that were filed first."""
_AGAIN_AFTER: Final = timedelta(hours=1)
"""So long one is not tried again by itself for which there was room, and then there was not."""
_IN_HAND: Final = (Step.LINKED, Step.LOOKED, Step.DOWNLOADED, Step.VIEWING_STARTED, Step.VIEWED, Step.SEND_ASKED, Step.SEND_BEGUN)
_IN_HAND_FOR: Final = timedelta(hours=1)
"""So long after one of these steps one is not tried again by itself: a part that is on its way out would break off."""
_ILL: Final = frozenset({HealthState.DEGRADED, HealthState.DOWN})


@dataclass(frozen=True, slots=True)
class _Broken:
    """Why the fetching from one device broke off; "" when it did not. `refused`: the device cannot do this at all."""

    told: str = ""
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Fetching:
    """How footage is fetched. `exports`: how many at once in all, of each recorder as `Turns` has it.

    `space`: the disk, and what stays free on it. `keys`: where the evidence key lives; made at the first package. `bytes_per_s`: what a
    second of footage takes of a camera of which nothing was fetched yet.
    """

    folder: Path
    keys: Path
    space: Space
    segment: timedelta = timedelta(minutes=5)
    exports: int = 2
    bytes_per_s: float = 4_000_000 / 8


class Fulfilment:
    """Takes approved requests to their end. `stir` tells it that there may be work, `drop` that a request was cancelled.

    `slowed`: whether a recorder answers the health checks more slowly than it uses to, as one does that replays too much.
    """

    def __init__(
        self,
        *,
        store: Store,
        ledger: Ledger,
        prover: Prover,
        city: City,
        board: Board,
        clock: Clock,
        search_of: Callable[[DeviceId], RecordingSearch],
        target_of: Callable[[DeviceId], Target],
        fetching: Fetching,
        slowed: Callable[[DeviceId], bool] = lambda _: False,
        cards: Cards | None = None,
        adoption: Adoption | None = None,
        worker: Worker = run_worker,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._prover = prover
        self._clock = clock
        self._search_of = search_of
        self._target_of = target_of
        self._fetching = fetching
        self._adoption = adoption
        self._take_over = TakeOver(store=store, ledger=ledger, folder_of=prover.folder_of)
        clocks = KnownClocks(store, board)
        self._locator = Locator(city=city, clocks=clocks, clock=clock, search_of=search_of, cards=cards, adoption=adoption)
        self._worker = worker
        self._stirred = asyncio.Event()
        self._alone: WeakValueDictionary[RequestId, asyncio.Lock] = WeakValueDictionary()
        self._tasks: dict[RequestId, asyncio.Task[None]] = {}
        self._emergencies: set[RequestId] = set()  # of those
        self._turns = Turns(fetching.exports, ailing=lambda recorder: board[recorder].state in _ILL or slowed(recorder))
        self._tried_again: dict[RequestId, datetime] = {}  # by itself, of late
        self._gauges: dict[tuple[RequestId, DeviceId], Gauge] = {}
        self._log = structlog.get_logger()

    def alone(self, request: RequestId) -> asyncio.Lock:
        """Whoever reads what a seal of `request` has to say, seals it and puts that on record holds this meanwhile."""
        return self._alone.setdefault(request, asyncio.Lock())

    def turn(self, recorder: DeviceId, claim: Claim) -> AbstractAsyncContextManager[Wanted]:
        """The right to have `recorder` replay something, as `Turns` has it."""
        return self._turns.turn(recorder, claim)

    @property
    def busy(self) -> bool:
        """Whether any footage is being fetched, for whomever."""
        return self._turns.busy

    def progress(self, request: RequestId) -> Mapping[DeviceId, Progress]:
        """How far the cameras are whose footage is being fetched for `request` now."""
        return {camera: gauge.read() for (wanted, camera), gauge in self._gauges.items() if wanted == request}

    def stir(self) -> None:
        """There may be something to do."""
        self._stirred.set()

    async def drop(self, request: RequestId) -> None:
        """Stop working on `request`, if that is going on, and remove what was fetched for it, but for what a hold covers."""
        if task := self._tasks.get(request):
            task.cancel()
            await asyncio.wait([task])
            await self._store.writer.settle(Lane.FOOTAGE)  # what it was just putting on record
        async with self.alone(request):
            await to_the_end(shutil.rmtree, self._prover.proofs_of(request), ignore_errors=True)
            await to_the_end(_clear, self._prover.folder_of(request), await self._ledger.held(request))

    async def run(self) -> None:
        """Work until cancelled; begins with what an earlier run left unfinished. Raises StorageFailed when the store does."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_for_room(), name="footage room")
            while True:
                self._stirred.clear()
                for request in await self._waiting():
                    if self._has_place(request):
                        self._emergencies.update([request.id] if request.filing.emergency else [])
                        self._tasks[request.id] = group.create_task(self._work_on(request), name=f"footage {request.id}")
                await self._stirred.wait()

    async def _look_for_room(self) -> None:
        """What lacks something for want of room is tried again once there is enough."""
        while True:
            await self._clock.sleep(_ROOM_EVERY_S)
            since = self._clock.now() - _AGAIN_AFTER
            self._tried_again = {request: at for request, at in self._tried_again.items() if at > since}
            taken = 0
            for request in await self._short_of_room():
                needs, left = await self._needs(request)
                if needs <= left - taken:
                    taken += needs
                    await self._try_again(request)

    async def _short_of_room(self) -> list[RequestId]:
        """Those that lack something for want of room, were not tried again of late, and that nobody has in hand."""
        since = self._clock.now() - _IN_HAND_FOR
        async with self._store.read() as tx:
            return await tx.footage.lacking_by(NO_SPACE, but_for=self._tried_again, unless=_IN_HAND, since=since, limit=_LOOKED_AT)

    async def _try_again(self, request: RequestId) -> None:
        self._tried_again[request] = self._clock.now()
        with suppress(Conflict):  # somebody has acted meanwhile
            await self._ledger.act(request, Act.RETRY)
            self.stir()

    async def _needs(self, request: RequestId) -> tuple[int, int]:
        """How many bytes a request needs that is tried again, by what there is of it now, and how many it could have."""
        dossier = await self._ledger.dossier(request)
        anew = [export if export.state is ExportState.DONE else replace(export, state=ExportState.PENDING) for export in dossier.exports]
        fetches = await self._fetches(replace(dossier, exports=tuple(anew)))
        async with self._store.read() as tx:
            promised = await tx.holds.outstanding_bytes(but_for=request)
        left = self._fetching.space.left(free=await self._fetching.space.free(), promised=promised)
        return sum(fetch.expected() for fetch in fetches), left

    def _has_place(self, request: FootageRequest) -> bool:
        """Emergencies have places of their own."""
        emergencies = len(self._emergencies)
        taken = emergencies if request.filing.emergency else len(self._tasks) - emergencies
        return request.id not in self._tasks and taken < _REQUESTS_AT_ONCE

    async def _waiting(self) -> list[FootageRequest]:
        """Unfinished requests: emergencies first, then urgent ones, each by age."""
        async with self._store.read() as tx:
            found = await tx.footage.unfinished(WORKING, limit=500)
        return sorted(found, key=claim_of)

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
            self._emergencies.discard(request.id)
            self.stir()

    async def _give_up(self, request: RequestId, reason: str) -> None:
        """It cannot go on. What there is of it can be had all the same: PARTIAL, and FAILED only when there is nothing."""
        try:
            dossier = await self._ledger.dossier(request)
            if not await self._salvaged(dossier, reason):
                await self._ledger.act(request, Act.FAIL, reason=reason)
        except GatewayError as error:
            self._log.warning("footage.not_failed", request=request, reason=str(error))

    async def _salvaged(self, dossier: Dossier, reason: str) -> bool:
        """Whether the request ended with what there is of it: sealed, or in the package that was made before this attempt."""
        request = dossier.request
        await self._ledger.put_exports(*(_broken_off(export, dossier, reason) for export in dossier.exports if export.state in UNJUDGED))
        if request.state not in WORKING or not (dossier.files or await self._prover.brought(request.id)):
            return False
        if request.state is not FootageState.EXPORTING:
            await self._ledger.act(request.id, Act.EXPORT)
        try:
            await self._conclude(request.id, why=reason)
        except Exception as error:
            self._log.warning("footage.not_sealed", request=request.id, reason=str(error))
            return await self._left_as_it_was(request, reason)
        return True

    async def _left_as_it_was(self, request: FootageRequest, reason: str) -> bool:
        """Whether the package that could be had before still lies there whole: the request is PARTIAL with that, then."""
        async with self.alone(request.id):
            async with self._store.read() as tx:
                sealed, changed = await tx.footage.newest(request.id, SEALS), await tx.footage.newest(request.id, CHANGES)
            digest = sealed.detail.get("manifest_sha256", "") if sealed else ""
            if sealed is None or request.ready_at is None or not await self._prover.is_sealed(request.id, digest):
                return False
            follows = changed is None or changed.number < sealed.number
            detail = {name: told for name, told in sealed.detail.items() if name.endswith("_sha256")} if follows else {}
            await self._ledger.act(request.id, Act.COMPLETE_IN_PART, reason=reason, detail=detail)
        return True

    async def _fulfil(self, request: FootageRequest) -> None:
        if request.state in (FootageState.APPROVED, FootageState.GOING_AHEAD):
            request = await self._ledger.act(request.id, Act.LOCATE)
        if request.state is FootageState.LOCATING:
            request = await self._locate(request)
        if request.state in (FootageState.HOLDING, FootageState.EXPORTING):
            await self._fetch_all(request)
            await self._conclude(request.id)

    # -- where it is ---------------------------------------------------------------------------------------------------

    async def _locate(self, request: FootageRequest) -> FootageRequest:
        """Ask the recorders what they have. The request is then HOLDING, or at its end when there is nothing to fetch."""
        exports = await self._answers(await self._ledger.dossier(request.id))
        await self._ledger.put_exports(*exports)
        if any(export.state is ExportState.PENDING for export in exports):
            return await self._ledger.act(request.id, Act.HOLD, detail=_located(exports))
        act, reason = _with_brought(verdict(exports), await self._prover.brought(request.id))
        if act in (Act.FIND_NOTHING, Act.FAIL):
            return await self._ledger.act(request.id, act, reason=reason)
        return await self._ledger.act(request.id, Act.EXPORT)  # all was there already: only the manifest is missing

    async def _answers(self, dossier: Dossier) -> list[Export]:
        """What there is, camera by camera. Once there is something to fetch, whoever has not answered in `_ANSWER_S` is `awaited`."""
        cameras, asking = dossier.request.cameras, Round()
        found: dict[DeviceId, Export] = {}

        async def ask(camera: DeviceId) -> None:
            found[camera] = await self._located_again(dossier, camera, asking)

        async with asyncio.TaskGroup() as group:
            patience = group.create_task(self._clock.sleep(_ANSWER_S), name="locate patience")
            waiting = {patience, *(group.create_task(ask(camera), name=f"locate {camera}") for camera in cameras)}
            while waiting - {patience} and (patience in waiting or all(one.state is not ExportState.PENDING for one in found.values())):
                _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
        return [found[camera] if camera in found else self._awaited(dossier, camera) for camera in cameras]

    def _awaited(self, dossier: Dossier, camera: DeviceId) -> Export:
        """The export of a camera whose recorder has not answered yet; what an earlier attempt heard and obtained of it stays."""
        before = next((export for export in dossier.exports if export.camera == camera), None)
        if before is None:
            return self._locator.awaited(dossier.request, camera)
        return replace(before, state=ExportState.PENDING, reason="", awaited=True)

    async def _located_again(self, dossier: Dossier, camera: DeviceId, asking: Round) -> Export:
        """What there is of a camera now; what an earlier attempt obtained stays obtained, whatever the recorder says by now, and what it
        said then stays known, as of then, when it says nothing."""
        before = next((export for export in dossier.exports if export.camera == camera), None)
        if before is not None and before.state is ExportState.DONE:
            return before
        found = await self._locator.of(dossier.request, camera, asking)
        if before is None or found.state is ExportState.PENDING:
            return found
        obtained = any(file.camera == camera for file in dossier.files)
        stays = obtained or (found.state is ExportState.FAILED and before.recorded)
        return _broken_off(before, dossier, found.reason) if stays else found

    # -- fetching it --------------------------------------------------------------------------------------------------

    async def _fetch_all(self, request: FootageRequest) -> None:
        await self._store.writer.settle(Lane.FOOTAGE)  # the row of a file, given by a run before this one that was cut off
        dossier = await self._ledger.dossier(request.id)
        fetches = await self._fetches(dossier)
        async with self._room(request, fetches) as short:
            if request.state is FootageState.HOLDING:
                await self._ledger.act(request.id, Act.EXPORT, reason=short)
            brought = await self._prover.brought_names(request.id)
            known = {file.name for file in dossier.files} | brought | BESIDE  # an earlier proof holds until there is another
            await to_the_end(prepare, self._prover.folder_of(request.id), known)
            asking = Round()
            async with asyncio.TaskGroup() as group:
                for fetch in fetches:
                    export = self._export_late(fetch, dossier, asking) if fetch.export.awaited else self._export(fetch)
                    group.create_task(export, name=f"export {fetch.export.camera}")

    async def _fetches(self, dossier: Dossier) -> list[CameraFetch]:
        """What is to be fetched, camera by camera."""
        async with self._store.read() as tx:
            rates = await tx.holds.bytes_per_s(dossier.request.cameras)
        fetches = []
        for number, export in enumerate(dossier.exports, start=1):
            if export.state in UNJUDGED:
                window = dossier.request.window_of(export.camera)
                files = [file for file in dossier.files if file.camera == export.camera]
                held = await self._adoption.of(export.camera, export.recorder, window, (window,)) if self._adoption else []
                others = await self._take_over.offered(export, export.first, window, files)
                at_hand = [file.runs for file in held] + [file.runs for file in others]
                fetch = CameraFetch(
                    export,
                    window,
                    files,
                    prefix=f"{number:02d}_{_safe(export.camera)}_",
                    claim=claim_of(dossier.request),
                    at_hand=tuple(chain.from_iterable(at_hand)),
                    bytes_per_s=rates.get(export.camera, self._fetching.bytes_per_s),
                )
                fetches.append(fetch)
        return fetches

    @asynccontextmanager
    async def _room(self, request: FootageRequest, fetches: Sequence[CameraFetch]) -> AsyncIterator[str]:
        """Room set aside for what is to come. DiskFull (`no-space`) when it does not fit.

        An emergency gets as much as fits, with what is told of that: a part may be what saves somebody.
        """
        space = self._fetching.space
        free = await space.free()
        try:
            async with self._store.read() as tx:
                short = space.reserve(fetches, free=free, promised=await tx.holds.outstanding_bytes())
            if short:
                self._log.warning("footage.no_space", request=request.id, reason=short)
            if short and not request.filing.emergency:
                raise DiskFull(f"{NO_SPACE}: {short} Free some space or release a hold, then try again.", code=NO_SPACE)
            yield f"{NO_SPACE}: {short} It is fetched as far as there is room: free some space or release a hold." if short else ""
        finally:
            space.give_back(fetches)

    async def _export_late(self, fetch: CameraFetch, dossier: Dossier, asking: Round) -> None:
        """As `_export`, once the camera's recorder has said what it has: the others are not kept waiting for that."""
        fetch.export = await self._located_again(dossier, fetch.export.camera, asking)
        await self._ledger.put_located(fetch.export, detail=_located([fetch.export]))
        if fetch.export.state is not ExportState.PENDING:
            return
        try:
            async with self._room(dossier.request, [fetch]):
                await self._export(fetch)
        except DiskFull as failure:
            fetch.export = judged(fetch.export, fetch.files, fetch.window, error=str(failure))
            await self._ledger.put_exports(fetch.export)

    async def _export(self, fetch: "CameraFetch") -> None:
        """Fetch the footage of one camera, from its card what its recorder leaves out; its export ends DONE, PARTIAL, NOTHING or FAILED."""
        broken = await self._tried(fetch, fetch.export.first)
        told, refused = broken.told or fetch.export.reason, broken.refused
        try:
            adopted = await self._adopt(fetch, recorded=[run for file in fetch.files for run in file.runs])
        except DiskFull as failure:
            adopted, told = 0, told or str(failure)
        if adopted and not tuple(fetch.missing(fetch.export.first)):
            told, refused = fetch.export.reason, False
        card = await self._card(fetch)
        if card is not None:
            broken = await self._tried(fetch, card)
            told = "; ".join(dict.fromkeys(filter(None, (told, broken.told))))
            refused = refused and (broken.refused or not broken.told)
        if (adopted or card is not None) and not fetch.lacking():
            told = ""
        fetch.export = judged(fetch.export, fetch.files, fetch.window, error=told, refused=refused)
        await self._ledger.put_exports(fetch.export)

    async def _card(self, fetch: "CameraFetch") -> Origin | None:
        """The camera's own card, where it has something of what is still missing.

        One that was not asked before, because the recorder said to have it all, is asked now.
        """
        export = fetch.export
        unforeseen = export.recorder != export.camera and any(left_out(export.gaps, fetch.lacking(), least=LEAST_GAP))
        if export.card is None and unforeseen and (card := await self._locator.card(export.camera, fetch.window)) is not None:
            fetch.export = export.beside(card, fetch.window)
        found = fetch.export.card
        return found if found is not None and any(fetch.missing(found)) else None

    async def _tried(self, fetch: "CameraFetch", origin: Origin) -> "_Broken":
        """Fetch what `origin` has and is not there, again and again where that helps; why it broke off, if it did."""
        try:
            about = {"request": fetch.export.request, "camera": fetch.export.camera}
            await patiently(lambda: self._attempt(fetch, origin), self._clock, done=lambda: len(fetch.files), **about)
        except NotSupported as refusal:
            named = "the device" if origin.device == fetch.export.recorder else "the camera's own card"
            return _Broken(f"{named} refuses replay: {refusal}", refused=True)
        except (DeviceError, NotFound, Overloaded) as failure:
            return _Broken(str(failure) if origin.device == fetch.export.recorder else f"the camera's own card: {failure}")
        except DiskFull as failure:
            return _Broken(str(failure))
        return _Broken()

    async def _attempt(self, fetch: "CameraFetch", origin: Origin) -> None:
        """Fetch what is missing, in as many turns of its device as are needed to let more urgent ones go first."""
        gave_way = bool(origin.recording)  # without, nobody replays it: what is held is all that there is
        while gave_way:
            try:
                await self._in_turn(fetch, origin)
                gave_way = False
            except GaveWay:
                continue

    async def _in_turn(self, fetch: "CameraFetch", origin: Origin) -> None:
        """Whoever has to wait for a busy device waits outside."""
        device, key = origin.device, (fetch.export.request, fetch.export.camera)
        async with self.turn(device, fetch.claim) as wanted:
            await self._ledger.put_exports(replace(fetch.export, state=ExportState.EXPORTING, reason=""))
            self._gauges[key] = gauge = Gauge(total(fetch.export.recorded), fetch.done(), fetch.size())
            try:
                await self._adopt(fetch, recorded=(fetch.window,))
                await self._take_over.into(fetch, origin)
                for part in origin.parts:
                    await self._fetch_rest(fetch, part, gauge, wanted)
            except (Busy, DeadlineExceeded):
                self._turns.held_up(device)
                raise
            finally:
                del self._gauges[key]
            self._turns.went_well(device)

    async def _adopt(self, fetch: "CameraFetch", *, recorded: Sequence[Period]) -> int:
        """Take what was secured under holds and is not there yet, of which the device has `recorded`; how many files. DiskFull."""
        if self._adoption is None:
            return 0
        before = len(fetch.files)
        there = joined(run for file in fetch.files for run in file.runs)
        for held in await self._adoption.of(fetch.export.camera, fetch.export.recorder, fetch.window, recorded):
            (part,) = clipped([held.period], fetch.window)
            if not gaps(overlapping(there, part), part, least=LEAST_GAP):
                continue
            number = next_number(file.number for file in fetch.files)
            name = f"{fetch.prefix}{number:03d}.mp4"
            try:
                await self._adoption.link(held, self._prover.folder_of(fetch.export.request) / name)
            except OSError as error:
                raise DiskFull(f"what is held could not be linked: {error.strerror}") from error
            told = (held.sound_left_out, held.time_source, held.sound_refused, held.set_backs)
            finished = Finished(name, number, held.sha256, held.size, held.frames, held.damaged, (), *told)
            origin = Origin(held.device, held.recording, held.serial, held.offset)
            file = fetch.row(finished, origin, held.runs, at=held.created_at)
            await self._ledger.add_file(file, detail={"hold": held.hold, "secured_at": held.created_at.isoformat()})
            fetch.files.append(file)
            there = joined([*there, *held.runs])
        return len(fetch.files) - before

    async def _fetch_rest(self, fetch: "CameraFetch", origin: Origin, gauge: Gauge, wanted: Wanted) -> None:
        """Replay what `origin` has and is not yet in a file, stretch by stretch. GaveWay after a file when the turn is wanted."""
        holes = tuple(fetch.missing(origin))
        if not holes:
            return
        folder = self._prover.folder_of(fetch.export.request)
        path = await self._search_of(origin.device).replay_path(origin.recording, timeout_s=ASK_TIMEOUT_S)

        async def keep(finished: Finished) -> None:
            file = fetch.file(finished, origin, at=self._clock.now())
            await self._ledger.add_file(file)
            fetch.files.append(file)
            if any(fetch.missing(origin)):
                await self._check_space()
                if wanted() and may_give_way(file, fetch.files):
                    raise GaveWay

        grid = origin.device_period(fetch.window).start
        replay = Replay(self._target_of(origin.device), path, folder, fetch.prefix, self._fetching.segment, grid)
        for hole, goes_on in holes:
            await self._check_space()
            gauge.begin(fetch.done(), fetch.size())
            first, period = next_number(file.number for file in fetch.files), origin.device_period(hole)
            heed = partial(self._heed, gauge, period)
            await fetch_stretch(self._worker, replay, period, first=first, goes_on=goes_on, take=keep, heed=heed)

    def _heed(self, gauge: Gauge, period: Period, reached: Reached) -> None:
        gauge.heed(period, reached.at, reached.size, self._clock.monotonic())

    async def _check_space(self) -> None:
        """DiskFull (`no-space`) when less would stay free than has to, beside what was promised to holds."""
        async with self._store.read() as tx:
            promised = await tx.holds.outstanding_bytes()
        try:
            await asyncio.to_thread(self._fetching.space.keep_floor, promised=promised)
        except DiskFull as full:
            raise DiskFull(f"{NO_SPACE}: {full}", code=NO_SPACE, hint=full.hint) from None

    # -- concluding ---------------------------------------------------------------------------------------------------

    async def _conclude(self, request: RequestId, *, why: str = "") -> None:
        """Seal what there is and end the request with that. `why`: what broke the fetching off, when something did."""
        async with self.alone(request):
            dossier = await self._ledger.dossier(request)
            act, told = _with_brought(verdict(dossier.exports), await self._prover.brought(request))
            reason = told if act is Act.COMPLETE or why in told else "; ".join(filter(None, (told, why)))
            await self._ledger.act(request, act, reason=reason, detail=await self._prover.seal(request))


def _broken_off(export: Export, dossier: Dossier, why: str) -> Export:
    """`export` with what is there of it, when there will be no more because of `why`."""
    files = [file for file in dossier.files if file.camera == export.camera]
    return judged(export, files, dossier.request.window_of(export.camera), error=why)


def _causes(error: BaseException) -> list[BaseException]:
    """The errors that a group of tasks failed with, or the one error itself."""
    return [cause for child in error.exceptions for cause in _causes(child)] if isinstance(error, BaseExceptionGroup) else [error]


def _with_brought(found: tuple[Act, str], brought: Sequence[Import]) -> tuple[Act, str]:
    """A request is not empty-handed when somebody brought a file for it."""
    act, reason = found
    return (Act.COMPLETE_IN_PART, reason) if brought and act in (Act.FIND_NOTHING, Act.FAIL) else found


def _clear(folder: Path, held: frozenset[str]) -> None:
    """Remove the folder, or all but `held` in it."""
    if not held:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name not in held:
            path.unlink(missing_ok=True)


def _safe(name: str) -> str:
    """An id as part of a file name: letters and digits of ASCII, the rest as underscores."""
    return re.sub(r"[^A-Za-z0-9-]+", "_", name)[:64]


def _located(exports: Sequence[Export]) -> dict[str, Any]:
    """What the custody log says of what there is, and of which cameras that is not known yet."""
    answered = [export for export in exports if not export.awaited]
    cards = {export.camera: _told(export.card.recorded) for export in answered if export.card}
    awaited = [export.camera for export in exports if export.awaited]
    told = {"recorded": {export.camera: _told(export.recorded) for export in answered}, "clocks": clocks_told(answered)}
    before = {one.camera: one.told_at.isoformat() for one in answered if one.told_at and one.state is not ExportState.PENDING}
    return told | ({"as_of": before} if before else {}) | ({"on_cards": cards} if cards else {}) | ({"awaited": awaited} if awaited else {})


def _told(periods: Sequence[Period]) -> list[list[str]]:
    return [[period.start.isoformat(), period.end.isoformat()] for period in periods]
