"""What was refused to whom, in rows that cannot fill the store: the first of a kind at once, then each 15 minutes how often more."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from gateway.clock import Clock
from gateway.domain.events import Actor, AuditEntry, Person
from gateway.domain.footage import FootageState, RequestId, Step
from gateway.domain.holds import HoldId
from gateway.errors import Conflict, Forbidden, NotFound
from gateway.footage.custody import write_down
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

REQUEST_DENIED: Final = f"footage.{Step.DENIED}"
HOLD_DENIED: Final = "hold.denied"
"""The actions of such rows; their subject is the request or the hold."""
TOLD_EVERY: Final = timedelta(minutes=15)
SUBJECTS_MAX: Final = 100
"""So many kinds of refusals of one key in that time have rows of their own; all others together are rows without a subject."""


@dataclass(frozen=True, slots=True)
class _Kind:
    action: str
    subject: str
    why: str


@dataclass(slots=True)
class _Series:
    """Refusals of one kind to one key, since the last row about them."""

    by: Person
    since: float
    untold: int = 0


class RefusalDesk:
    """The refusals of the last quarter of an hour. `tend` is to be called about once a minute."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._series: dict[Actor, dict[_Kind, _Series]] = {}
        self._one_by_one = asyncio.Lock()

    async def of_request(self, request: RequestId, refusal: Forbidden, *, by: Person, wish: str) -> None:
        """Put down that `by` was refused `wish`; the first of a series is a line of the request's custody log, too. The errors of storage:
        whoever asked is told nothing then."""
        await self._note(_Kind(REQUEST_DENIED, request, refusal.code), by, {"wish": wish[:200]})

    async def of_call(self, request: RequestId | None, refusal: Forbidden, *, by: Person, wish: str) -> None:
        """As `of_request`, where the key lacks a right; `request` is what the call names, if anything, and need not exist."""
        known = request if request and await self._exists(request) else ""
        await self._note(_Kind(REQUEST_DENIED, known, refusal.code), by, {"wish": wish[:200]})

    async def of_hold(self, hold: HoldId, refusal: Forbidden, *, by: Person, wish: str) -> None:
        """As `of_request`; holds have no custody log."""
        await self._note(_Kind(HOLD_DENIED, hold, refusal.code), by, {"wish": wish[:200]})

    @contextlib.asynccontextmanager
    async def denials(self, request: RequestId, *, by: Person, **about: str) -> AsyncIterator[None]:
        """What is refused inside is in the custody log of `request`, which must exist, before the caller hears of it.

        What `by` may not do, as `of_request` has it; what cannot be done now, or is not there, as a line each time.
        """
        try:
            yield
        except Forbidden as refusal:
            await self._note(_Kind(REQUEST_DENIED, request, refusal.code), by, about)
            raise
        except (Conflict, NotFound) as refusal:
            await self._write(_Kind(REQUEST_DENIED, request, refusal.code), by, {"why": refusal.code, **about})
            raise

    async def tend(self) -> None:
        """Put down how often what was refused a quarter of an hour ago was refused again; what was not is forgotten."""
        async with self._one_by_one:
            before = self._clock.monotonic() - TOLD_EVERY.total_seconds()
            for actor, kinds in list(self._series.items()):
                for kind in [kind for kind, series in kinds.items() if series.since <= before]:
                    await self._go_on(kinds, kind)
                if not kinds:
                    del self._series[actor]

    async def _exists(self, request: RequestId) -> bool:
        async with self._store.read() as tx:
            return await tx.footage.ended(request, frozenset(FootageState))

    async def _note(self, kind: _Kind, by: Person, about: Mapping[str, str]) -> None:
        async with self._one_by_one:
            kinds = self._series.setdefault(by.actor, {})
            own = kind if kind in kinds or len(kinds) < SUBJECTS_MAX else replace(kind, subject="")
            if own in kinds:
                kinds[own].untold += 1
                return
            await self._write(own, by, {"why": own.why, **about})
            kinds[own] = _Series(by, self._clock.monotonic())

    async def _go_on(self, kinds: dict[_Kind, _Series], kind: _Kind) -> None:
        series = kinds[kind]
        if series.untold:
            await self._write(kind, series.by, {"why": kind.why, "times": series.untold})
            kinds[kind] = _Series(series.by, self._clock.monotonic())
        else:
            del kinds[kind]

    async def _write(self, kind: _Kind, by: Person, detail: dict[str, Any]) -> None:
        async def change(tx: Tx) -> None:
            if kind.action == REQUEST_DENIED and kind.subject and "times" not in detail:
                await write_down(tx, RequestId(kind.subject), Step.DENIED, by=by, at=self._clock.now(), detail=detail)
            else:
                tx.record(AuditEntry(by.actor, kind.action, kind.subject, self._clock.now(), {**detail, "person": by.name}))

        await self._store.writer.write(change, lane=Lane.FOOTAGE)
