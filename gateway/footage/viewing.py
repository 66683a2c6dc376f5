"""Viewing on site without a copy: a session with viewer, supervisor, start, end and outcome, and films that only it opens, marked."""

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from gateway.clock import Clock
from gateway.domain.devices import DeviceId
from gateway.domain.events import Person
from gateway.domain.footage import BEIJING, Act, FootageState, Period, RequestId, Step, check_viewable
from gateway.domain.imports import Import, ImportState
from gateway.domain.viewing import LASTS, Viewing, ViewingId, ViewingOutcome, check_viewing, ended
from gateway.errors import Conflict, Forbidden, NotFound, ProtocolError
from gateway.footage.custody import write_down
from gateway.footage.ledger import GATEWAY
from gateway.footage.refusals import RefusalDesk
from gateway.media.mp4_head import read_head
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

_CLOSES: Final = {ViewingOutcome.NOTHING_FOUND: Act.CLOSE_NOTHING_SEEN, ViewingOutcome.NO_COPY: Act.CLOSE_NO_COPY}


@dataclass(frozen=True, slots=True)
class Look:
    """Who is going to look: `identity` is a card or badge, `companions` who else is in the room, `place` where the screen stands."""

    viewer: str
    identity: str
    companions: str = ""
    place: str = ""


class WhyNot(StrEnum):
    """Why a brought file cannot be shown."""

    NO_MP4 = "no-mp4"
    ENCODING = "encoding"


ITS_OWN_START: Final = datetime(2000, 1, 1, tzinfo=BEIJING)
"""Where the clock of a brought film begins, which is its own: at 0:00:00."""
_LEAST: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Film:
    """A film that may be shown in `viewing`: of which camera and when, on the true clock, and its unbroken stretches; its file and the
    digest of that.

    `brought`: the gateway did not fetch it, and nothing of its times was measured: `period` then counts from `ITS_OWN_START`. `why_not`
    says why it cannot be shown here, if so.
    """

    viewing: Viewing
    name: str
    camera: DeviceId
    period: Period
    runs: tuple[Period, ...]
    path: Path
    sha256: str
    brought: bool = False
    why_not: WhyNot | None = None


@dataclass(frozen=True, slots=True)
class Showing:
    """A film on its way to the screen: its marked pieces, and whether it has to stop by now."""

    pieces: AsyncIterator[bytes]
    stopped: Callable[[], bool]


class Projector(Protocol):
    """Shows films with a mark burnt in, as `media.marking.Projector` does."""

    def show(
        self, film: Path, lines: Sequence[str], *, begins: datetime, from_s: float = 0.0
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]: ...


class ViewingDesk:
    """Starts, serves and ends viewings; each is a line of the custody log at its start, at each play and at its end."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        refusals: RefusalDesk,
        folder_of: Callable[[RequestId], Path],
        act: Callable[..., Awaitable[object]],
        gone: Callable[[RequestId], bool],
        projector: Projector,
        lasts: timedelta = LASTS,
        new_id: Callable[[], str] = lambda: f"V-{secrets.token_hex(5)}",
    ) -> None:
        """`act` does an `Act` with a request (`Ledger.act`), `gone` is whether one ended in this life (`Ledger.gone`).

        A viewing that nobody ends is over after `lasts`.
        """
        self._store = store
        self._clock = clock
        self._refusals = refusals
        self._folder_of = folder_of
        self._act = act
        self._gone = gone
        self._projector = projector
        self._lasts = lasts
        self._new_id = new_id
        self._over: set[ViewingId] = set()
        self._shown: dict[ViewingId, int] = {}
        self._numbers = itertools.count()

    async def start(self, request: RequestId, look: Look, *, by: Person) -> Viewing:
        """Begin one, supervised by `by`, who filed the request.

        Forbidden (`not-yours`, `own-supervisor`) and what `check_viewable` raises, on record; InvalidInput.
        """
        now = self._clock.now()
        async with self._store.read() as tx:
            known = await tx.footage.get(request)
        viewing = Viewing(
            id=ViewingId(self._new_id()),
            request=request,
            viewer=look.viewer,
            identity=look.identity,
            companions=look.companions,
            place=look.place,
            supervisor=by,
            started_at=now,
            until=now + self._lasts,
        )
        async with self._refusals.denials(request, by=by, name="viewing"):
            if by.actor != known.submitted_by.actor:
                hint = f"{known.submitted_by.name} filed it and may show it"
                raise Forbidden("Footage is shown by the person who filed the request.", code="not-yours", hint=hint)
            check_viewable(known, now=now)
            check_viewing(viewing, known.filing)

        async def change(tx: Tx) -> Viewing:
            await tx.viewings.add(viewing)
            told = {name: getattr(viewing, name) for name in ("viewer", "identity", "companions", "place")}
            await write_down(tx, request, Step.VIEWING_STARTED, by=by, at=now, detail={"viewing": viewing.id, **told})
            return viewing

        return await self._store.writer.write(change, lane=Lane.FOOTAGE)

    async def films(self, viewing: ViewingId, *, by: Person) -> tuple[Viewing, list[Film]]:
        """What there is to see, while the viewing lasts. NotFound; Conflict (`viewing-over`), Forbidden (`not-yours`), on record."""
        known = await self._open(viewing, by)
        async with self._store.read() as tx:
            files = [file for file in await tx.footage.files(known.request) if not file.removed]
            brought = [one for one in await tx.imports.of(known.request) if one.state is ImportState.KEPT and not one.removed]
        folder = self._folder_of(known.request)
        films = [
            Film(
                viewing=known,
                name=file.name,
                camera=file.camera,
                period=file.period,
                runs=file.runs,
                path=folder / file.name,
                sha256=file.sha256,
            )
            for file in files
        ]
        return known, films + await asyncio.to_thread(lambda: [_brought(known, one, folder / one.name) for one in brought])

    async def film(self, viewing: ViewingId, name: str, *, by: Person) -> Film:
        """The film `name`. As `films`; NotFound for no such film, ProtocolError (`no-picture`) for one that cannot be shown."""
        _, films = await self.films(viewing, by=by)
        film = next((film for film in films if film.name == name), None)
        if film is None or not await asyncio.to_thread(film.path.is_file):
            raise NotFound("this viewing shows no such film")
        if film.why_not is not None:
            raise ProtocolError(f"{name} cannot be shown here: {film.why_not}", code="no-picture", hint="use the vendor's own player")
        return film

    @contextlib.asynccontextmanager
    async def show(self, film: Film, *, from_s: float, by: Person) -> AsyncIterator[Showing]:
        """Show `film` from `from_s` seconds on: a play, counted and on record before the first byte.

        A viewing shows one film at a time: what it was showing stops. Raises as the projector does.
        """
        viewing = film.viewing
        number = self._shown[viewing.id] = next(self._numbers)
        lines = (viewing.watermark, f"{viewing.request} {self._clock.now().astimezone(BEIJING):%Y-%m-%d %H:%M}")
        begins = film.period.start.astimezone(BEIJING)
        async with self._projector.show(film.path, lines, begins=begins, from_s=from_s) as pieces:
            await self._put_play(film, from_s, by)
            yield Showing(pieces, lambda: self._shown.get(viewing.id) != number or self.over(viewing))

    async def end(self, viewing: ViewingId, outcome: ViewingOutcome, *, by: Person, note: str = "") -> Viewing:
        """End it with its outcome; "nothing found" and "no copy taken" close the request, unless it is closed or handed over.

        NotFound; Forbidden (`not-yours`), on record, unless `by` supervises it or is the gateway; Conflict (`wrong-state`) when it has
        ended.
        """
        async with self._store.read() as tx:
            known = await tx.viewings.get(viewing)
            state = (await tx.footage.get(known.request)).state
        if by != GATEWAY:
            async with self._refusals.denials(known.request, by=by, name=f"end of viewing {viewing}"):
                _must_supervise(known, by)
        over = ended(known, outcome, now=self._clock.now(), note=note)

        async def change(tx: Tx) -> None:
            over_now = ended(await tx.viewings.get(viewing), outcome, now=self._clock.now(), note=note)
            await tx.viewings.put(over_now)
            detail = {"viewing": viewing, "viewer": known.viewer, "outcome": outcome, "plays": over_now.plays, "note": note}
            await write_down(tx, known.request, Step.VIEWING_ENDED, by=by, at=self._clock.now(), detail=detail)

        act = _CLOSES.get(outcome)
        if act is not None and state in (FootageState.READY, FootageState.PARTIAL):
            await self._act(known.request, act, by=by, reason=note, detail={"viewing": viewing}, also=change)
        else:
            await self._store.writer.write(change, lane=Lane.FOOTAGE)
        self._over.add(viewing)
        self._shown.pop(viewing, None)
        return over

    def over(self, viewing: Viewing) -> bool:
        """Whether what is being shown stops: the viewing was ended, its time is over, or its request ended."""
        return viewing.id in self._over or not viewing.open_at(self._clock.now()) or self._gone(viewing.request)

    async def request_of(self, viewing: ViewingId) -> RequestId:
        """The request that it shows. NotFound."""
        async with self._store.read() as tx:
            return (await tx.viewings.get(viewing)).request

    async def of(self, request: RequestId) -> list[Viewing]:
        """The viewings of a request, the oldest first. NotFound."""
        async with self._store.read() as tx:
            await tx.footage.get(request)
            return await tx.viewings.of(request)

    async def tend(self) -> None:
        """End what nobody ended in its time, as interrupted."""
        async with self._store.read() as tx:
            late = [one for one in await tx.viewings.open() if not one.open_at(self._clock.now())]
        for one in late:
            with contextlib.suppress(Conflict):  # its supervisor has ended it meanwhile
                await self.end(one.id, ViewingOutcome.INTERRUPTED, by=GATEWAY, note="nobody ended it in time")

    async def _put_play(self, film: Film, from_s: float, by: Person) -> None:
        viewing = film.viewing

        async def change(tx: Tx) -> None:
            now = await tx.viewings.get(viewing.id)
            await tx.viewings.put(replace(now, plays=now.plays + 1))
            detail = {"viewing": viewing.id, "viewer": viewing.viewer, "name": film.name, "sha256": film.sha256, "from_s": from_s}
            await write_down(tx, viewing.request, Step.VIEWED, by=by, at=self._clock.now(), detail=detail)

        await self._store.writer.write(change, lane=Lane.FOOTAGE)

    async def _open(self, viewing: ViewingId, by: Person) -> Viewing:
        async with self._store.read() as tx:
            known = await tx.viewings.get(viewing)
            request = await tx.footage.get(known.request)
        async with self._refusals.denials(known.request, by=by, name=f"viewing {viewing}"):
            _must_supervise(known, by)
            now = self._clock.now()
            if not known.open_at(now):
                raise Conflict("the viewing is over", code="viewing-over", hint="start another")
            check_viewable(request, now=now)
        return known


def _brought(viewing: Viewing, one: Import, path: Path) -> Film:
    """The film of a brought file, as far as its own head tells. OSError."""
    try:
        head = read_head(path)
    except FileNotFoundError:
        head = None
    shown = Period(ITS_OWN_START, ITS_OWN_START + max(_LEAST, head.lasts if head else _LEAST))
    why_not = WhyNot.NO_MP4 if head is None else None if head.shown else WhyNot.ENCODING
    camera = DeviceId(one.brought.camera or one.brought.device)
    return Film(
        viewing=viewing,
        name=one.name,
        camera=camera,
        period=shown,
        runs=(shown,),
        path=path,
        sha256=one.sha256,
        brought=True,
        why_not=why_not,
    )


def _must_supervise(viewing: Viewing, by: Person) -> None:
    if by.actor != viewing.supervisor.actor:
        hint = f"{viewing.supervisor.name} supervises it"
        raise Forbidden("a viewing is in the hands of its supervisor", code="not-yours", hint=hint)
