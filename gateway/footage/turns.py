"""Who may have a recorder replay something, and when: few in all, and of each recorder as many as it is seen to bear.

A recorder begins with one replay at a time. Each that ends well allows one more; one that it refuses for being busy, or lets stall, halves
what is allowed, and so does ill health, for as long as it lasts.

Whoever is more urgent goes first, and of the equally urgent whoever waits for an idle recorder, then whoever is due first. An emergency
may exceed what runs in all by one, and whoever is less urgent makes room at its next finished file. Nobody waits for ever: who was passed
over by more urgent ones so often as `_PASSED_OVER` goes before all others.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Final

from gateway.domain.devices import DeviceId
from gateway.domain.footage import FootageRequest, Urgency

_PASSED_OVER: Final = 4
_EMERGENCIES_MORE: Final = 1
_PRESSING: Final = timedelta(days=1)


class Rank(IntEnum):
    """How urgent a replay is; the lower one goes first."""

    EMERGENCY = 0
    PRESSING = 1  # held footage that is overwritten within a day
    URGENT = 2
    ORDINARY = 3


@dataclass(frozen=True, slots=True, order=True)
class Claim:
    """What gives a right to a turn. `due`: of the equally urgent the earlier one goes first."""

    rank: Rank
    due: datetime


def claim_of(request: FootageRequest) -> Claim:
    """An emergency goes before everything, an urgent request before the others; then in the order in which they were filed."""
    urgent = Rank.URGENT if request.filing.urgency is Urgency.URGENT else Rank.ORDINARY
    return Claim(Rank.EMERGENCY if request.filing.emergency else urgent, request.submitted_at)


def claim_on(lost_at: datetime, *, now: datetime) -> Claim:
    """Of held footage whose first second is overwritten at `lost_at`."""
    return Claim(Rank.PRESSING, lost_at) if lost_at - now < _PRESSING else Claim(Rank.ORDINARY, now)


Wanted = Callable[[], bool]
"""Whether a turn should be given back at the next good moment, because somebody more urgent waits for it."""
Turn = Callable[[DeviceId, Claim], AbstractAsyncContextManager[Wanted]]


class GaveWay(Exception):
    """Its turn was given back to somebody more urgent at a file's end; the rest is for another turn."""


@dataclass(eq=False, slots=True)
class _Waiting:
    recorder: DeviceId
    claim: Claim
    admitted: asyncio.Future[None]
    passed_over: int = 0

    @property
    def rank(self) -> int:
        return -1 if self.passed_over >= _PASSED_OVER else self.claim.rank


class Turns:
    """`in_all`: replays at once of all recorders together. `ailing`: whether a recorder should be spared."""

    def __init__(self, in_all: int, *, ailing: Callable[[DeviceId], bool] = lambda _: False) -> None:
        self._in_all = in_all
        self._ailing = ailing
        self._running: Counter[DeviceId] = Counter()
        self._allowed: dict[DeviceId, int] = {}
        self._waiting: list[_Waiting] = []

    @property
    def busy(self) -> bool:
        """Whether any replay is in hand."""
        return any(self._running.values())

    def allowed(self, recorder: DeviceId) -> int:
        """How many replays at once it may be asked for now."""
        return 1 if self._ailing(recorder) else self._allowed.get(recorder, 1)

    @asynccontextmanager
    async def turn(self, recorder: DeviceId, claim: Claim) -> AsyncIterator[Wanted]:
        """The right to have `recorder` replay something, once it can be given."""
        await self._admission(recorder, claim)
        try:
            yield lambda: self._wanted(recorder, claim)
        finally:
            self._leave(recorder)

    def went_well(self, recorder: DeviceId) -> None:
        """A replay ended well."""
        self._allowed[recorder] = min(self._in_all, self._allowed.get(recorder, 1) + 1)
        self._admit()

    def held_up(self, recorder: DeviceId) -> None:
        """A replay was refused because the recorder is busy, or stalled."""
        self._allowed[recorder] = max(1, self._allowed.get(recorder, 1) // 2)

    async def _admission(self, recorder: DeviceId, claim: Claim) -> None:
        waiting = _Waiting(recorder, claim, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._admit()
        try:
            await waiting.admitted
        except asyncio.CancelledError:
            if waiting.admitted.cancelled():  # while it waited, and not just after it had been let in
                self._waiting.remove(waiting)
            else:
                self._leave(recorder)
            raise

    def _wanted(self, recorder: DeviceId, claim: Claim) -> bool:
        """Whether a replay of `recorder` by `claim` that ended now would let somebody in who is more urgent."""
        return any(one.claim.rank < claim.rank and (one.recorder == recorder or self._bears(one.recorder)) for one in self._waiting)

    def _leave(self, recorder: DeviceId) -> None:
        self._running[recorder] -= 1
        self._admit()

    def _admit(self) -> None:
        while (chosen := self._next()) is not None:
            self._waiting.remove(chosen)
            for other in self._bearable():
                other.passed_over += chosen.claim.rank < other.claim.rank
            self._running[chosen.recorder] += 1
            chosen.admitted.set_result(None)

    def _next(self) -> _Waiting | None:
        """Whoever is let in now; of equals whoever came first."""
        able, free = self._bearable(), self._in_all - self._running.total()
        if free <= 0:
            more = 0 if any(one.passed_over >= _PASSED_OVER for one in able) else _EMERGENCIES_MORE
            able = [one for one in able if one.claim.rank is Rank.EMERGENCY and free + more > 0]
        return min(able, key=lambda one: (one.rank, self._running[one.recorder] > 0, one.claim.due), default=None)

    def _bearable(self) -> list[_Waiting]:
        """Who waits for a recorder that bears more, in the order of coming."""
        return [one for one in self._waiting if self._bears(one.recorder) and not one.admitted.cancelled()]

    def _bears(self, recorder: DeviceId) -> bool:
        return self._running[recorder] < self.allowed(recorder)
