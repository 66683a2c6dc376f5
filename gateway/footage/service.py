"""The liaison desk: filing a request, deciding on it by a second person, and handing its footage over with every step on record."""

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from gateway.clock import Clock
from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.domain.events import Person
from gateway.domain.footage import (
    EVERYTHING,
    FRUITLESS,
    KEPT,
    Act,
    CustodyEntry,
    Dossier,
    Figures,
    Filing,
    FootageRequest,
    FootageState,
    RequestId,
    RequestsBy,
    Search,
    check_release,
    counted,
)
from gateway.domain.handover import Span
from gateway.domain.health import Board
from gateway.domain.imports import HOLDING, Footage
from gateway.drivers.base import Target
from gateway.errors import Conflict, Fault, Forbidden, InvalidInput, NotFound
from gateway.evidence import archive
from gateway.evidence.contents import BESIDE, SUMS, digests_in, names_in
from gateway.footage.amending import AmendingDesk
from gateway.footage.carrying import USUAL_RETRIES, Carrier, Retries
from gateway.footage.comparing import Comparer
from gateway.footage.damage import DamageDesk
from gateway.footage.destinations import Destination
from gateway.footage.fetching import Fetching
from gateway.footage.filing import Sought, accepted, looked_for
from gateway.footage.fulfilment import Fulfilment
from gateway.footage.handover import HandOverDesk
from gateway.footage.imports import ImportDesk
from gateway.footage.ledger import Ledger
from gateway.footage.links import LinkDesk
from gateway.footage.locating import Cards, RecordingSearch
from gateway.footage.progress import Progress
from gateway.footage.proving import Prover
from gateway.footage.reading import ReadingDesk
from gateway.footage.refusals import RefusalDesk
from gateway.footage.register import Register
from gateway.footage.resealing import Resealing
from gateway.footage.scrubbing import Scrubber, ScrubRules
from gateway.footage.securing import EvidenceStore
from gateway.footage.sending import SendingDesk
from gateway.footage.shredding import Shredder
from gateway.footage.space import Space
from gateway.footage.stretches import Worker
from gateway.footage.turns import Claim, Wanted
from gateway.footage.viewing import ViewingDesk
from gateway.footage.worker import run_worker
from gateway.media.marking import Projector
from gateway.storage.store import Store

ENDED: Final = frozenset({FootageState.CANCELLED, FootageState.REVOKED, FootageState.EXPIRED})
"""Of a request in one of these nothing is kept, unless a hold covers it."""
_EXPIRY_EVERY_S: Final = 60.0
_EXPIRED_AT_ONCE: Final = 50
CUSTODY_SHOWN: Final = 200
"""Lines of the custody log that come with a request; the others by page."""
DOCUMENTS: Final = "documents"
"""The folder beside those of the requests in which their documents lie, by hash."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator sets: the longest window of a request, how long and how often files may be downloaded, how long they are kept;
    how long documents are kept once their request is over; how long a request may wait for a decision, and an emergency's papers may
    follow; how large a file that somebody brings may be."""

    window_max: timedelta = timedelta(hours=2)
    download_for: timedelta = timedelta(hours=72)
    downloads: int = 3
    keep: timedelta = timedelta(days=30)
    keep_documents: timedelta = timedelta(days=730)
    decide_for: timedelta = timedelta(days=7)
    papers_for: timedelta = timedelta(hours=24)
    brought_bytes: int = 100 << 30


@dataclass(frozen=True, slots=True)
class Download:
    """A file that may go out now: where it is, what it is called outside, and its SHA-256 as it was sealed."""

    path: Path
    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Package:
    """A whole package that may go out now as one archive of `length` bytes: its files, their SHA-256s, and what it is called outside."""

    name: str
    paths: tuple[Path, ...]
    length: int
    digests: Mapping[str, str]


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
        evidence: EvidenceStore,
        rules: Rules = Rules(),
        slowed: Callable[[DeviceId], bool] = lambda _: False,
        cards: Cards | None = None,
        worker: Worker = run_worker,
        destinations: Sequence[Destination] = (),
        retries: Retries = USUAL_RETRIES,
    ) -> None:
        self.register = register
        self._store = store
        self._city = city
        self._clock = clock
        self._new_id = new_id
        self._rules = rules
        self._folder = fetching.folder
        self._evidence = evidence
        self._has_card = cards.has_card if cards else lambda _: False
        self._ledger = Ledger(store, clock)
        self._prover = Prover(
            store=store, ledger=self._ledger, city=city, clock=clock, register=register, folder=fetching.folder, keys=fetching.keys
        )
        self._fulfilment = Fulfilment(
            store=store,
            ledger=self._ledger,
            prover=self._prover,
            city=city,
            board=board,
            clock=clock,
            search_of=search_of,
            target_of=target_of,
            fetching=fetching,
            evidence=evidence,
            slowed=slowed,
            cards=cards,
            worker=worker,
        )
        self.readings = ReadingDesk(store=store, clock=clock)
        self.refusals = RefusalDesk(store=store, clock=clock)
        self._seals = self._make_seals()
        self.amending, self._shredder = self._make_shelf()
        self._comparer = Comparer(clock)
        self.damage = DamageDesk(store=store, clock=clock, folder_of=self._prover.folder_of, alone=self._fulfilment.alone)
        self.links = self._make_links()
        self.viewings = self._make_viewings()
        self.deliveries = self._make_deliveries()
        self._carrier = self._make_carrier(destinations, retries)
        self.sendings = self._make_sendings()
        self.imports = self._make_imports(fetching.space)

    def _make_seals(self) -> Resealing:
        prover = self._prover
        return Resealing(
            store=self._store, clock=self._clock, alone=self._fulfilment.alone, reseal=prover.reseal, is_sealed=prover.is_sealed
        )

    def _make_shelf(self) -> tuple[AmendingDesk, Shredder]:
        """Who puts documents on the shelf, and who takes them off it: one at a time."""
        shelving, folder = asyncio.Lock(), self._folder / DOCUMENTS
        amending = AmendingDesk(
            store=self._store, clock=self._clock, register=self.register, folder=folder, seals=self._seals, alone=shelving
        )
        return amending, Shredder(store=self._store, clock=self._clock, folder=folder, keep=self._rules.keep_documents, alone=shelving)

    def _make_links(self) -> LinkDesk:
        return LinkDesk(
            store=self._store,
            clock=self._clock,
            refusals=self.refusals,
            folder_of=self._prover.folder_of,
            gone=self._ledger.gone,
            comparer=self._comparer,
            downloads=self._rules.downloads,
            lasts=self._rules.download_for,
        )

    def _make_viewings(self) -> ViewingDesk:
        return ViewingDesk(
            store=self._store,
            clock=self._clock,
            refusals=self.refusals,
            folder_of=self._prover.folder_of,
            act=self._ledger.act,
            gone=self._ledger.gone,
            projector=Projector(),
        )

    def _make_deliveries(self) -> HandOverDesk:
        return HandOverDesk(
            store=self._store,
            clock=self._clock,
            refusals=self.refusals,
            folder_of=self._prover.folder_of,
            act=self._ledger.act,
            keep_document=self.amending.add,
            alone=self._fulfilment.alone,
        )

    def _make_carrier(self, destinations: Sequence[Destination], retries: Retries) -> Carrier:
        return Carrier(
            store=self._store,
            clock=self._clock,
            destinations=destinations,
            folder_of=self._prover.folder_of,
            act=self._ledger.act,
            gone=self._ledger.gone,
            alone=self._fulfilment.alone,
            retries=retries,
        )

    def _make_sendings(self) -> SendingDesk:
        return SendingDesk(
            store=self._store,
            clock=self._clock,
            refusals=self.refusals,
            carrier=self._carrier,
            folder_of=self._prover.folder_of,
            is_sealed=self._prover.is_sealed,
            alone=self._fulfilment.alone,
        )

    def _make_imports(self, space: Space) -> ImportDesk:
        return ImportDesk(
            store=self._store,
            clock=self._clock,
            folder=self._folder.with_name(f"{self._folder.name}-brought"),
            folder_of=self._prover.folder_of,
            seal=self._prover.seal,
            alone=self._fulfilment.alone,
            act=self._ledger.act,
            largest=self._rules.brought_bytes,
            space=space,
        )

    def scrubber(self, rules: ScrubRules) -> Scrubber:
        """Who reads again what is stored for requests and holds."""
        return Scrubber(
            store=self._store,
            clock=self._clock,
            damage=self.damage,
            folder_of=self._prover.folder_of,
            documents=self._folder / DOCUMENTS,
            evidence=self._evidence,
            alone=self._fulfilment.alone,
            busy=lambda: self._fulfilment.busy,
            rules=rules,
        )

    def progress(self, request: RequestId) -> Mapping[DeviceId, Progress]:
        """How far the cameras are whose footage is being fetched for `request` now."""
        return self._fulfilment.progress(request)

    def turn(self, recorder: DeviceId, claim: Claim) -> AbstractAsyncContextManager[Wanted]:
        """The right to have `recorder` replay something, for whoever else fetches footage."""
        return self._fulfilment.turn(recorder, claim)

    async def run(self) -> None:
        """Work off approved requests, send packages and let old ones expire, until cancelled. Unfinished work of an earlier run goes on."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._fulfilment.run(), name="footage fulfilment")
                group.create_task(self._expire(), name="footage expiry")
                group.create_task(self._carrier.run(), name="footage carrier")
        except asyncio.CancelledError:
            await self.refusals.end()
            raise

    # -- asking and deciding ------------------------------------------------------------------------------------------

    def preview(self, filing: Filing, *, longest: timedelta | None = None) -> Sought:
        """Which cameras the place and time of `filing` mean and what is wanted of each, before anybody files it; and what is wrong."""
        return looked_for(filing, city=self._city, now=self._clock.now(), window_max=self._longest(longest), has_card=self._has_card)

    def _longest(self, own: timedelta | None) -> timedelta:
        return self._rules.window_max if own is None else min(own, self._rules.window_max)

    async def submit(self, filing: Filing, *, by: Person, longest: timedelta | None = None) -> FootageRequest:
        """File a request. InvalidInput with everything that is wrong with it. An emergency goes ahead at once.

        `longest`: the longest stretch of a camera that `by` may ask for, where that is less than the rules allow.
        """
        now = self._clock.now()
        tidy, windows = accepted(
            filing,
            city=self._city,
            register=self.register,
            now=now,
            window_max=self._longest(longest),
            has_card=self._has_card,
        )
        name = RequestId(self._new_id())
        if not tidy.case_number:
            tidy = replace(tidy, case_number=name)  # a citizen comes without one: the desk's own stands for it
        made = FootageRequest(name, tidy, tuple(windows), by, now, windows=windows)
        if tidy.emergency is None:
            return await self._ledger.file(made)
        filed = await self._ledger.file(replace(made, papers_due_at=now + self._rules.papers_for))
        self._fulfilment.stir()
        return filed

    async def approve(self, request: RequestId, *, by: Person, note: str = "") -> FootageRequest:
        """Let the footage be fetched. Forbidden (`second-person`) to those who ask for it."""
        done = await self._ledger.act(request, Act.APPROVE, by=by, reason=_note(note))
        self._fulfilment.stir()
        return done

    async def reject(self, request: RequestId, *, by: Person, note: str) -> FootageRequest:
        """Refuse it, saying why. Forbidden (`second-person`) to those who ask for it."""
        return await self._ledger.act(request, Act.REJECT, by=by, reason=_note(note))

    async def confirm(self, request: RequestId, *, by: Person, note: str = "") -> FootageRequest:
        """A second person's word for an emergency that went ahead without one. Forbidden (`second-person`) to those who ask for it."""
        await self._ledger.act(request, Act.CONFIRM, by=by, reason=_note(note))
        return await self._seals.follow(request)

    async def revoke(self, request: RequestId, *, by: Person, note: str) -> FootageRequest:
        """Take an emergency back, saying why: what was fetched for it is removed. Forbidden (`second-person`) to those who ask for it."""
        done = await self._ledger.act(request, Act.REVOKE, by=by, reason=_note(note))
        await self._fulfilment.drop(request)
        return done

    async def give_up(self, request: RequestId, *, by: Person, note: str) -> FootageRequest:
        """Say that a failed one is not to be had, and why."""
        return await self._ledger.act(request, Act.GIVE_UP, by=by, reason=_note(note))

    async def close(self, request: RequestId, *, by: Person, found_something: bool, note: str = "") -> FootageRequest:
        """It was viewed here and no copy is taken: because nothing was found in it, or although something was."""
        act = Act.CLOSE_NO_COPY if found_something else Act.CLOSE_NOTHING_SEEN
        return await self._ledger.act(request, act, by=by, reason=_note(note))

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

    async def request(self, request: RequestId) -> FootageRequest:
        """The request alone."""
        async with self._store.read() as tx:
            return await tx.footage.get(request)

    async def dossier(self, request: RequestId) -> Dossier:
        """The request with its exports, files and the newest `CUSTODY_SHOWN` lines of its custody log."""
        async with self._store.read() as tx:
            return await tx.footage.dossier(request, newest=CUSTODY_SHOWN)

    async def custody(self, request: RequestId, *, after: int, limit: int) -> tuple[CustodyEntry, ...]:
        """The custody log from after the line of this number on, in order."""
        async with self._store.read() as tx:
            await tx.footage.get(request)
            return await tx.footage.custody(request, after=after, limit=limit)

    async def find(
        self, search: Search = EVERYTHING, *, before: tuple[datetime, RequestId] | None = None, limit: int = 100
    ) -> list[FootageRequest]:
        """Requests, the newest first; `before` is (submitted_at, id) of the last one of the page before."""
        async with self._store.read() as tx:
            return await tx.footage.find(search, before=before, limit=limit)

    async def statistics(self, by: RequestsBy, search: Search = EVERYTHING) -> list[Figures]:
        """Requests counted into rows."""
        async with self._store.read() as tx:
            found = await tx.footage.counted(search)
        return await asyncio.to_thread(counted, found, by)

    # -- handing over -------------------------------------------------------------------------------------------------

    async def must_be_filer(self, request: RequestId, *, by: Person, wish: str) -> None:
        """Forbidden (`not-yours`), on record, unless `by` filed the request: footage goes to that person, who disposes of it."""
        owner = (await self.request(request)).submitted_by
        async with self._denials(request, by=by, name=wish):
            if owner.actor != by.actor:
                hint = f"{owner.name} filed it and may do this."
                raise Forbidden("Footage is in the hands of the person who filed the request.", code="not-yours", hint=hint)

    async def download(self, request: RequestId, name: str, *, by: Person) -> Download:
        """Let the file `name` go out to `by`: counted, on record before the first byte.

        NotFound when there is no such file, Conflict when it is too early or too late (`download-expired`), or was taken too often.
        """
        known = await self.request(request)
        async with self._denials(request, by=by, name=name):
            self._check_deliverable(known)
            path = self._prover.folder_of(request) / name
            film = (await self._films(request)).get(name)
            if (film is None and name not in BESIDE) or name not in await asyncio.to_thread(_sizes, path.parent):
                raise NotFound(f"no file {name[:100]!r} in footage request {request}")
            sealed = film.sha256 if film else await asyncio.to_thread(_sealed, path)
            await self._ledger.download(known, name, film, by=by, most=self._rules.downloads)
        return Download(path, name, sealed)

    def pieces(self, file: Download, span: Span) -> Iterator[bytes]:
        """The bytes of `span` of `file`, compared as `Comparer.pieces` has it."""
        return self._comparer.pieces(file.path, span, file.sha256)

    async def package(self, request: RequestId, *, by: Person) -> Package:
        """Let everything go out to `by` in one: counted for each file of footage, on record before the first byte.

        Conflict as `download` raises it; NotFound when files are missing on the disk.
        """
        known = await self.request(request)
        folder = self._prover.folder_of(request)
        async with self._denials(request, by=by, name="package"):
            self._check_deliverable(known)
            sizes = await asyncio.to_thread(_sizes, folder)
            digests = digests_in(await asyncio.to_thread((folder / SUMS).read_bytes))
            found = Package(f"{request}.zip", tuple(folder / name for name in sizes), archive.length(sizes), digests)
            films = [film for name, film in (await self._films(request)).items() if name in sizes]
            await self._ledger.download_all(known, found.name, films, by=by, most=self._rules.downloads)
        return found

    async def _films(self, request: RequestId) -> dict[str, Footage]:
        """The footage of a request by name, what was brought behind what was fetched."""
        async with self._store.read() as tx:
            fetched, brought = await tx.footage.files(request), await tx.imports.of(request)
        films: list[Footage] = [*fetched, *(one for one in brought if one.state in HOLDING)]
        return {film.name: film for film in films}

    def gone(self, request: RequestId) -> bool:
        """Whether it ended in this life: what of it is on its way out stops."""
        return self._ledger.gone(request)

    async def hand_over(self, request: RequestId, *, by: Person, receiver: str) -> FootageRequest:
        """Record that the footage was handed to `receiver`; what a guard refuses is on record, too."""
        if not receiver.strip():
            raise InvalidInput("a hand-over needs its receiver", faults=[Fault("/receiver", "is missing", "missing")], code="bad-request")
        await self.request(request)
        async with self._fulfilment.alone(request), self._denials(request, by=by, name="hand-over"):
            return await self._ledger.act(request, Act.HAND_OVER, by=by, detail={"receiver": _note(receiver)})

    def _denials(self, request: RequestId, *, by: Person, name: str) -> AbstractAsyncContextManager[None]:
        return self.refusals.denials(request, by=by, name=name)

    def _check_deliverable(self, request: FootageRequest) -> None:
        now = self._clock.now()
        check_release(request, now=now)
        if request.ready_at is None or now - request.ready_at > self._rules.download_for:
            raise Conflict("the time for downloads is over", code="download-expired", hint="file another request")

    # -- expiring -----------------------------------------------------------------------------------------------------

    async def _expire(self) -> None:
        await self._sweep()
        await self._shredder.sweep()
        await self._seals.mend(await asyncio.to_thread(self._prover.folders))
        while True:
            await self.imports.tend()
            await self.viewings.tend()
            await self.refusals.tend()
            now = self._clock.now()
            async with self._store.read() as tx:
                due = await tx.disposal.due(KEPT, FRUITLESS, now - self._rules.keep, limit=_EXPIRED_AT_ONCE)
                freed = await tx.disposal.freed(ENDED, limit=_EXPIRED_AT_ONCE)
                waiting = await tx.footage.oldest([FootageState.SUBMITTED], limit=_EXPIRED_AT_ONCE)
            for name in due:  # the row first: the store refuses as long as a hold covers a file
                with contextlib.suppress(Conflict):  # somebody has acted meanwhile
                    await self._ledger.act(name, Act.EXPIRE, reason="kept long enough")
                    await self._fulfilment.drop(name)
            for name in freed:
                with contextlib.suppress(Conflict):  # somebody holds it again
                    await self._ledger.let_go(name)
                    await self._fulfilment.drop(name)
            for request in waiting:
                if now - request.submitted_at > self._rules.decide_for:
                    with contextlib.suppress(Conflict):
                        await self._ledger.act(request.id, Act.EXPIRE, reason="nobody decided on it")
            await self.amending.remind()
            await self._shredder.tend()
            await self._clock.sleep(_EXPIRY_EVERY_S)

    async def _sweep(self) -> None:
        """Remove what a crash between row and file has left of ended requests."""
        for name in await asyncio.to_thread(self._prover.folders):
            async with self._store.read() as tx:
                ended = await tx.footage.ended(RequestId(name), ENDED)
            if ended:
                await self._fulfilment.drop(RequestId(name))


def _sizes(folder: Path) -> dict[str, int]:
    """Every file of the package in `folder`, as its own list names them, and how many bytes it has. NotFound when one is missing."""
    try:
        return {name: (folder / name).stat().st_size for name in names_in((folder / SUMS).read_bytes())}
    except FileNotFoundError as error:
        raise NotFound(f"footage request {folder.name} has no whole package") from error


def _sealed(path: Path) -> str:
    """The SHA-256 that the package's list has of a file of it; of the list and its signature, which nothing lists, that of their bytes."""
    listed = digests_in((path.parent / SUMS).read_bytes())
    return listed.get(path.name) or hashlib.sha256(path.read_bytes()).hexdigest()


def _note(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()[:1_000]
