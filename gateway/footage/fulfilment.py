"""Working off approved requests, each to its end: located, fetched, sealed. Interrupted work goes on."""

import asyncio
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

import structlog

from gateway.clock import Clock
from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.domain.footage import WORKING, Act, Dossier, ExportState, FootageRequest, FootageState, RequestId, judged, verdict
from gateway.domain.health import Board, HealthState
from gateway.domain.imports import Import
from gateway.drivers.base import Target
from gateway.errors import GatewayError, StorageFailed
from gateway.footage.adopting import Adoption
from gateway.footage.camera_fetch import UNJUDGED, CameraFetch
from gateway.footage.clocks import KnownClocks
from gateway.footage.fetching import Fetcher, Fetching
from gateway.footage.filework import to_the_end
from gateway.footage.ledger import Ledger
from gateway.footage.locating import Cards, Locator, RecordingSearch, Round, told_of
from gateway.footage.planning import Planner
from gateway.footage.progress import Progress
from gateway.footage.proving import Prover
from gateway.footage.resealing import CHANGES, SEALS
from gateway.footage.sealing import BESIDE
from gateway.footage.securing import EvidenceStore
from gateway.footage.short_of_room import ShortOfRoom
from gateway.footage.space import DiskFull
from gateway.footage.stretches import Worker, prepare
from gateway.footage.taking_over import TakeOver
from gateway.footage.turns import Claim, Turns, Wanted, claim_of
from gateway.footage.worker import run_worker
from gateway.storage.store import Store
from gateway.storage.writer import Lane

_REQUESTS_AT_ONCE: Final = 8
"""And so many emergencies beside them: neither waits for a place of the other."""
_ILL: Final = frozenset({HealthState.DEGRADED, HealthState.DOWN})


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
        evidence: EvidenceStore,
        slowed: Callable[[DeviceId], bool] = lambda _: False,
        cards: Cards | None = None,
        worker: Worker = run_worker,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._prover = prover
        self._clock = clock
        self._turns = Turns(fetching.exports, ailing=lambda recorder: board[recorder].state in _ILL or slowed(recorder))
        adoption = Adoption(store=store, ledger=ledger, evidence=evidence, folder_of=prover.folder_of)
        take_over = TakeOver(store=store, ledger=ledger, folder_of=prover.folder_of)
        clocks = KnownClocks(store, board)
        self._locator = Locator(city=city, clocks=clocks, clock=clock, search_of=search_of, cards=cards, adoption=adoption)
        self._planner = Planner(store=store, adoption=adoption, take_over=take_over, space=fetching.space, bytes_per_s=fetching.bytes_per_s)
        self._fetcher = Fetcher(
            ledger=ledger,
            clock=clock,
            turns=self._turns,
            locator=self._locator,
            planner=self._planner,
            adoption=adoption,
            take_over=take_over,
            search_of=search_of,
            target_of=target_of,
            folder_of=prover.folder_of,
            segment=fetching.segment,
            worker=worker,
        )
        self._short_of_room = ShortOfRoom(store=store, ledger=ledger, planner=self._planner, clock=clock, stir=self.stir)
        self._stirred = asyncio.Event()
        self._alone: WeakValueDictionary[RequestId, asyncio.Lock] = WeakValueDictionary()
        self._tasks: dict[RequestId, asyncio.Task[None]] = {}
        self._emergencies: set[RequestId] = set()  # of those
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
        return self._fetcher.progress(request)

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
            group.create_task(self._short_of_room.run(), name="footage room")
            while True:
                self._stirred.clear()
                for request in await self._waiting():
                    if self._has_place(request):
                        self._emergencies.update([request.id] if request.filing.emergency else [])
                        self._tasks[request.id] = group.create_task(self._work_on(request), name=f"footage {request.id}")
                await self._stirred.wait()

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
        unjudged = [export for export in dossier.exports if export.state in UNJUDGED]
        ended = [judged(one, dossier.files_of(one.camera), request.window_of(one.camera), error=reason) for one in unjudged]
        await self._ledger.put_exports(*ended)
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
        exports = await self._locator.of_all(await self._ledger.dossier(request.id))
        await self._ledger.put_exports(*exports)
        if any(export.state is ExportState.PENDING for export in exports):
            return await self._ledger.act(request.id, Act.HOLD, detail=told_of(exports))
        act, reason = _with_brought(verdict(exports), await self._prover.brought(request.id))
        if act in (Act.FIND_NOTHING, Act.FAIL):
            return await self._ledger.act(request.id, act, reason=reason)
        return await self._ledger.act(request.id, Act.EXPORT)  # all was there already: only the manifest is missing

    # -- fetching it --------------------------------------------------------------------------------------------------

    async def _fetch_all(self, request: FootageRequest) -> None:
        await self._store.writer.settle(Lane.FOOTAGE)  # the row of a file, given by a run before this one that was cut off
        dossier = await self._ledger.dossier(request.id)
        fetches = await self._planner.fetches(dossier)
        async with self._planner.room(request, fetches) as short:
            if request.state is FootageState.HOLDING:
                await self._ledger.act(request.id, Act.EXPORT, reason=short)
            brought = await self._prover.brought_names(request.id)
            known = {file.name for file in dossier.files} | brought | BESIDE  # an earlier proof holds until there is another
            await to_the_end(prepare, self._prover.folder_of(request.id), known)
            asking = Round()
            async with asyncio.TaskGroup() as group:
                for fetch in fetches:
                    export = self._fetch_late(fetch, dossier, asking) if fetch.export.awaited else self._fetcher.fetch(fetch)
                    group.create_task(export, name=f"export {fetch.export.camera}")

    async def _fetch_late(self, fetch: CameraFetch, dossier: Dossier, asking: Round) -> None:
        """Fetch it once the camera's recorder has said what it has: the others are not kept waiting for that."""
        fetch.export = await self._locator.of(dossier, fetch.export.camera, asking)
        await self._ledger.put_located(fetch.export, detail=told_of([fetch.export]))
        if fetch.export.state is not ExportState.PENDING:
            return
        try:
            async with self._planner.room(dossier.request, [fetch]):
                await self._fetcher.fetch(fetch)
        except DiskFull as failure:
            fetch.export = judged(fetch.export, fetch.files, fetch.window, error=str(failure))
            await self._ledger.put_exports(fetch.export)

    # -- concluding ---------------------------------------------------------------------------------------------------

    async def _conclude(self, request: RequestId, *, why: str = "") -> None:
        """Seal what there is and end the request with that. `why`: what broke the fetching off, when something did."""
        async with self.alone(request):
            dossier = await self._ledger.dossier(request)
            act, told = _with_brought(verdict(dossier.exports), await self._prover.brought(request))
            reason = told if act is Act.COMPLETE or why in told else "; ".join(filter(None, (told, why)))
            await self._ledger.act(request, act, reason=reason, detail=await self._prover.seal(request))


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
