"""What was refused to whom, in rows that cannot fill the store: the first of a kind at once, what else and how often each 15 minutes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

import structlog

from gateway.clock import Clock
from gateway.domain.events import Actor, AuditEntry, Person
from gateway.domain.footage import FootageState, RequestId, Step
from gateway.domain.holds import HoldId
from gateway.errors import Conflict, Forbidden, GatewayError, NotFound
from gateway.footage.custody import write_down
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

REQUEST_DENIED: Final = f"footage.{Step.DENIED}"
HOLD_DENIED: Final = "hold.denied"
"""The actions of such rows; their subject is the request or the hold."""
TOLD_EVERY: Final = timedelta(minutes=15)
SUBJECTS_MAX: Final = 100
"""So many kinds of refusals of one key in that time have rows of their own; all others together are rows without a subject."""
ASKED_MAX: Final = 20
"""So many different things that were asked for are named of one kind of refusal while it goes on; how often it was others is told."""
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class _Kind:
    action: str
    subject: str
    why: str


@dataclass(slots=True)
class _Series:
    """Refusals of one kind to one key. `told`: what was asked for and is on record. Since the last row about them: `fresh`, what was asked
    for that is not; `times`, how often in all, and of them `others`, how often it was beyond `ASKED_MAX`.
    """

    by: Person
    since: float
    told: set[str]
    times: int = 0
    others: int = 0
    fresh: list[str] = field(default_factory=list)

    def add(self, asked: str) -> None:
        """Once more, for `asked`."""
        self.times += 1
        if asked in self.told or asked in self.fresh:
            return
        if len(self.told) + len(self.fresh) < ASKED_MAX:
            self.fresh.append(asked)
        else:
            self.others += 1

    def detail(self) -> dict[str, Any]:
        """What a row says of it."""
        more = {"asked": self.fresh, "others": self.others}
        return {"times": self.times} | {name: value for name, value in more.items() if value}


class RefusalDesk:
    """The refusals of the last quarter of an hour. `tend` is to be called about once a minute, `end` in the end."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._series: dict[Actor, dict[_Kind, _Series]] = {}
        self._one_by_one = asyncio.Lock()
        self._log = structlog.get_logger()

    async def of_request(self, request: RequestId, refusal: Forbidden, *, by: Person, wish: str) -> None:
        """Put down that `by` was refused `wish`; the first of a series is a line of the request's custody log, too, and so is what else is
        asked for while it goes on, in a line a quarter of an hour. The errors of storage: whoever asked is told nothing then."""
        await self._note(_Kind(REQUEST_DENIED, request, refusal.code), by, wish=wish)

    async def of_call(self, request: RequestId | None, refusal: Forbidden, *, by: Person, wish: str) -> None:
        """As `of_request`, where the key lacks a right; `request` is what the call names, if anything, and need not exist."""
        known = request if request and await self._exists(request) else ""
        await self._note(_Kind(REQUEST_DENIED, known, refusal.code), by, wish=wish)

    async def of_hold(self, hold: HoldId, refusal: Forbidden, *, by: Person, wish: str) -> None:
        """As `of_request`; holds have no custody log."""
        await self._note(_Kind(HOLD_DENIED, hold, refusal.code), by, wish=wish)

    @contextlib.asynccontextmanager
    async def denials(self, request: RequestId, *, by: Person, name: str) -> AsyncIterator[None]:
        """What `by` may not do inside, what cannot be done now or is not there is on record, as `of_request` has it, before the caller
        hears of it. `request` must exist; `name`: what is asked for."""
        try:
            yield
        except (Forbidden, Conflict, NotFound) as refusal:
            await self._note(_Kind(REQUEST_DENIED, request, refusal.code), by, name=name)
            raise

    async def tend(self) -> None:
        """Put down how often what was refused a quarter of an hour ago was refused again; what was not is forgotten."""
        await self._tell(self._clock.monotonic() - TOLD_EVERY.total_seconds())

    async def end(self) -> None:
        """Put down what else was refused until now, at the end of the daemon; what the store does not take is lost."""
        try:
            await self._tell(self._clock.monotonic())
        except GatewayError as error:
            self._log.warning("footage.refusals_lost", why=str(error))

    async def _tell(self, before: float) -> None:
        async with self._one_by_one:
            for actor, kinds in list(self._series.items()):
                for kind in [kind for kind, series in kinds.items() if series.since <= before]:
                    await self._go_on(kinds, kind)
                if not kinds:
                    del self._series[actor]

    async def _exists(self, request: RequestId) -> bool:
        async with self._store.read() as tx:
            return await tx.footage.ended(request, frozenset(FootageState))

    async def _note(self, kind: _Kind, by: Person, **about: str) -> None:
        """`about`: what was asked for, by the name that it has in a row."""
        ((what, asked),) = about.items()
        async with self._one_by_one:
            kinds = self._series.setdefault(by.actor, {})
            own = kind if kind in kinds or len(kinds) < SUBJECTS_MAX else replace(kind, subject="")
            if own in kinds:
                kinds[own].add(asked[:_LONGEST])
                return
            await self._write(own, by, {what: asked[:_LONGEST]})
            kinds[own] = _Series(by, self._clock.monotonic(), {asked[:_LONGEST]})

    async def _go_on(self, kinds: dict[_Kind, _Series], kind: _Kind) -> None:
        series = kinds[kind]
        if series.times:
            await self._write(kind, series.by, series.detail())
            kinds[kind] = _Series(series.by, self._clock.monotonic(), series.told | {*series.fresh})
        else:
            del kinds[kind]

    async def _write(self, kind: _Kind, by: Person, about: dict[str, Any]) -> None:
        detail = {"why": kind.why, **about}
        names = about.keys() - {"times", "others"}

        async def change(tx: Tx) -> None:
            if kind.action == REQUEST_DENIED and kind.subject and names:
                await write_down(tx, RequestId(kind.subject), Step.DENIED, by=by, at=self._clock.now(), detail=detail)
            else:
                tx.record(AuditEntry(by.actor, kind.action, kind.subject, self._clock.now(), {**detail, "person": by.name}))

        await self._store.writer.write(change, lane=Lane.FOOTAGE)
