"""The liaison desk: filing a request, deciding on it by a second person, and handing its footage over with every step on record."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from gateway.clock import Clock
from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.domain.footage import DELIVERABLE, Act, Dossier, Filing, FootageRequest, FootageState, Person, RequestId
from gateway.domain.health import Board
from gateway.drivers.base import Target
from gateway.errors import Conflict, Fault, InvalidInput, NotFound
from gateway.footage.filing import accepted
from gateway.footage.fulfilment import MANIFEST, Fetching, Fulfilment, RecordingSearch, Worker
from gateway.footage.ledger import Ledger
from gateway.footage.register import Register
from gateway.footage.worker import run_worker
from gateway.storage.store import Store

_EXPIRY_EVERY_S: Final = 60.0
_EXPIRED_AT_ONCE: Final = 50


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator sets: the longest window of a request, how long and how often files may be downloaded, how long they are kept."""

    window_max: timedelta = timedelta(hours=2)
    download_for: timedelta = timedelta(hours=72)
    downloads: int = 3
    keep: timedelta = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Download:
    """A file that may go out now: where it is, what it is called outside, and its digest ("" for the manifest)."""

    path: Path
    name: str
    sha256: str = ""


class FootageService:
    """Everything that a person does with footage requests. Each act names the `Person` who does it: the key on record and the human.

    All acts raise NotFound for an unknown request, Conflict (`wrong-state`) when it is not the time for them, and what the store raises;
    what they return is on the disk.
    """

    def __init__(
        self,
        *,
        store: Store,
        city: City,
        board: Board,
        clock: Clock,
        register: Register,
        search_of: Callable[[DeviceId], RecordingSearch],
        target_of: Callable[[DeviceId], Target],
        new_id: Callable[[], str],
        fetching: Fetching,
        rules: Rules = Rules(),
        worker: Worker = run_worker,
    ) -> None:
        self.register = register
        self._store = store
        self._city = city
        self._clock = clock
        self._new_id = new_id
        self._rules = rules
        self._ledger = Ledger(store, clock)
        self._fulfilment = Fulfilment(
            store=store,
            ledger=self._ledger,
            city=city,
            board=board,
            clock=clock,
            search_of=search_of,
            target_of=target_of,
            fetching=fetching,
            worker=worker,
        )

    async def run(self) -> None:
        """Work off approved requests and let old ones expire, until cancelled. Unfinished work of an earlier run goes on."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._fulfilment.run(), name="footage fulfilment")
            group.create_task(self._expire(), name="footage expiry")

    # -- asking and deciding ------------------------------------------------------------------------------------------

    async def submit(self, filing: Filing, *, by: Person) -> FootageRequest:
        """File a request. InvalidInput with everything that is wrong with it."""
        now = self._clock.now()
        tidy, cameras = accepted(filing, city=self._city, register=self.register, now=now, window_max=self._rules.window_max)
        return await self._ledger.file(FootageRequest(RequestId(self._new_id()), tidy, cameras, by, now))

    async def approve(self, request: RequestId, *, by: Person, note: str = "") -> FootageRequest:
        """Let the footage be fetched. Forbidden (`second-person`) to those who ask for it."""
        done = await self._ledger.act(request, Act.APPROVE, by=by, reason=_note(note))
        self._fulfilment.stir()
        return done

    async def reject(self, request: RequestId, *, by: Person, note: str) -> FootageRequest:
        """Refuse it, saying why. Forbidden (`second-person`) to those who ask for it."""
        if not note.strip():
            raise InvalidInput("a refusal needs its reason", faults=[Fault("/note", "is missing")], code="bad-request")
        return await self._ledger.act(request, Act.REJECT, by=by, reason=_note(note))

    async def cancel(self, request: RequestId, *, by: Person, note: str = "") -> FootageRequest:
        """Withdraw it; what was fetched for it is removed."""
        done = await self._ledger.act(request, Act.CANCEL, by=by, reason=_note(note))
        await self._fulfilment.drop(request)
        return done

    async def retry(self, request: RequestId, *, by: Person) -> FootageRequest:
        """Fetch again what a failed or partial one still lacks."""
        done = await self._ledger.act(request, Act.RETRY, by=by)
        self._fulfilment.stir()
        return done

    # -- looking ------------------------------------------------------------------------------------------------------

    async def dossier(self, request: RequestId) -> Dossier:
        """The request with its exports, files and custody log."""
        return await self._ledger.dossier(request)

    async def find(
        self,
        *,
        state: FootageState | None = None,
        case_number: str = "",
        before: tuple[datetime, RequestId] | None = None,
        limit: int = 100,
    ) -> list[FootageRequest]:
        """Requests, the newest first; `before` is (submitted_at, id) of the last one of the page before."""
        async with self._store.read() as tx:
            return await tx.footage.find(states=[state] if state else (), case_number=case_number, before=before, limit=limit)

    # -- handing over -------------------------------------------------------------------------------------------------

    async def download(self, request: RequestId, name: str, *, by: Person) -> Download:
        """Let the file `name` go out to `by`: counted, on record before the first byte.

        NotFound when there is no such file, Conflict when it is too early or too late (`download-expired`), or was taken too often.
        """
        dossier = await self._ledger.dossier(request)
        self._check_deliverable(dossier.request)
        file = next((file for file in dossier.files if file.name == name), None)
        path = self._fulfilment.folder_of(request) / (file.name if file else MANIFEST)
        if (file is None and name != MANIFEST) or not await asyncio.to_thread(path.is_file):
            raise NotFound(f"no file {name[:100]!r} in footage request {request}")
        await self._ledger.download(dossier.request, name, file, by=by, most=self._rules.downloads)
        return Download(path, name, file.sha256 if file else "")

    async def hand_over(self, request: RequestId, *, by: Person, receiver: str) -> FootageRequest:
        """Record that the footage was handed to `receiver`."""
        if not receiver.strip():
            raise InvalidInput("a hand-over needs its receiver", faults=[Fault("/receiver", "is missing")], code="bad-request")
        return await self._ledger.act(request, Act.HAND_OVER, by=by, detail={"receiver": _note(receiver)})

    def _check_deliverable(self, request: FootageRequest) -> None:
        if request.state not in DELIVERABLE or request.ready_at is None:
            raise Conflict(f"a request that is {request.state} has nothing to download", code="wrong-state")
        if self._clock.now() - request.ready_at > self._rules.download_for:
            raise Conflict("the time for downloads is over", code="download-expired", hint="file another request")

    # -- expiring -----------------------------------------------------------------------------------------------------

    async def _expire(self) -> None:
        while True:
            async with self._store.read() as tx:
                due = await tx.footage.ready_before(DELIVERABLE, self._clock.now() - self._rules.keep, limit=_EXPIRED_AT_ONCE)
            for request in due:  # files first: after a crash in between the same is simply done again
                await self._fulfilment.drop(request.id)
                await self._ledger.act(request.id, Act.EXPIRE, reason="kept long enough")
            await self._clock.sleep(_EXPIRY_EVERY_S)


def _note(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()[:1_000]
