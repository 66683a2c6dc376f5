"""Held before anybody decides: what a filed request wants and its devices would overwrite before there is a decision and an export.

The gateway places these holds by itself, whoever filed the request; to hold is not to look, and nothing of them goes out unapproved.
They end when the request has what it wants or is over, and otherwise run out.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog

from gateway.clock import Clock
from gateway.domain.devices import DeviceId
from gateway.domain.events import SYSTEM, NewEvent
from gateway.domain.footage import KEPT, OVER, FootageRequest, FootageState, Period, RequestId, left_out
from gateway.domain.holds import Hold, HoldState
from gateway.errors import Conflict, GatewayError, InvalidInput, StorageFailed
from gateway.footage.holds import WINDOW_MAX, HoldDesk, HoldOrder
from gateway.footage.ledger import GATEWAY
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

log = structlog.get_logger()

UNHELD_EVENT: Final = "footage.unheld"
_REASON: Final = "待审批 awaits its decision"
_LOOK_S: Final = 30.0
_AGAIN: Final = timedelta(hours=1)
"""After so long devices are asked anew about a request of which they kept everything."""
_FETCHED_WITHIN: Final = timedelta(days=1)
_SOON: Final = timedelta(minutes=5)
"""After so long it is tried again to hold what could not be held."""
_LOOKED_AT: Final = 500
"""So many requests are looked at in a turn, and so many holds let go; whoever filed later has the next turns, and then the first again."""
_AT_ONCE: Final = 8
_DONE: Final = (KEPT | OVER) - {FootageState.PARTIAL}
"""States in which a request needs nothing more of its holds. One that lacks something may be tried again: its holds run out."""


class Precautions:
    """Holds for requests that wait. `run` must be running.

    `decide_for`: how long a request may wait for a decision; `longest`: how long a hold may last; `page`: how many a turn looks at.
    """

    def __init__(
        self, *, store: Store, clock: Clock, holds: HoldDesk, decide_for: timedelta, longest: timedelta, page: int = _LOOKED_AT
    ) -> None:
        self._store = store
        self._clock = clock
        self._holds = holds
        self._lasts = min(decide_for + _FETCHED_WITHIN, longest)
        self._next: dict[str, datetime] = {}  # of the requests that wait: when to look again
        self._told: dict[str, set[str]] = {}  # of the same: why they could not be held
        self._met: set[str] = set()  # of the same: those that were looked at since the first turn of this round
        self._after: tuple[datetime, RequestId] | None = None
        self._page = page
        self._at_once = asyncio.Semaphore(_AT_ONCE)

    async def run(self) -> None:
        """Hold for who waits and let go for who does not, until cancelled. StorageFailed."""
        while True:
            await self.look()
            await self._clock.sleep(_LOOK_S)

    async def look(self) -> None:
        """Do a turn of what is to be done now."""
        now = self._clock.now()
        async with self._store.read() as tx:
            waiting = await tx.footage.oldest([FootageState.SUBMITTED], after=self._after, limit=self._page)
            needless = await tx.holds.outlived(SYSTEM, _DONE, limit=self._page)
        self._meet(waiting, now)
        for hold in needless:
            await self._let_go(hold)
        async with asyncio.TaskGroup() as group:
            for request in waiting:
                if self._next[request.id] <= now:
                    group.create_task(self._hold(request), name=f"precaution {request.id}")

    def _meet(self, waiting: Sequence[FootageRequest], now: datetime) -> None:
        """Keep `waiting` in mind, and at the end of a round forget those who wait no more."""
        for request in waiting:
            self._met.add(request.id)
            self._next.setdefault(request.id, now)
            self._told.setdefault(request.id, set())
        self._after = (waiting[-1].submitted_at, waiting[-1].id) if len(waiting) == self._page else None
        if self._after is None:
            self._next = {name: at for name, at in self._next.items() if name in self._met}
            self._told = {name: told for name, told in self._told.items() if name in self._met}
            self._met = set()

    async def _hold(self, request: FootageRequest) -> None:
        """Hold what would be lost, window by window; told to the approvers, once for each reason, where it cannot be."""
        self._next[request.id] = self._clock.now() + _AGAIN
        until = request.submitted_at + self._lasts
        async with self._at_once:
            async with self._store.read() as tx:
                placed = await tx.holds.find(request=request.id)
            for window, cameras in _unheld(request, placed, until).items():
                try:
                    await self._holds.place_if_needed(HoldOrder(cameras, window, _REASON, until, request.id), by=GATEWAY)
                except StorageFailed:
                    raise
                except GatewayError as failure:
                    self._next[request.id] = self._clock.now() + _SOON
                    await self._tell(request, failure)

    async def _tell(self, request: FootageRequest, failure: GatewayError) -> None:
        if failure.code in self._told[request.id]:
            return
        self._told[request.id].add(failure.code)
        log.warning("footage.unheld", request=request.id, code=failure.code, reason=str(failure))
        wrong = failure.faults if isinstance(failure, InvalidInput) else ()
        data = {"state": request.state, "code": failure.code, "reason": " ".join([str(failure), *(fault.why for fault in wrong)])}

        async def change(tx: Tx) -> None:
            tx.emit(NewEvent(UNHELD_EVENT, request.id, self._clock.now(), data))

        await self._store.writer.write(change, lane=Lane.FOOTAGE)

    async def _let_go(self, hold: Hold) -> None:
        try:
            await self._holds.release(hold.id, by=GATEWAY, note="the request needs it no more")
        except Conflict:  # it has ended meanwhile
            return


def _unheld(request: FootageRequest, placed: Iterable[Hold], until: datetime) -> dict[Period, tuple[DeviceId, ...]]:
    """What is wanted of its cameras and neither the gateway has held, once, nor a person holds for it as long."""
    holding = [one for one in placed if one.owner == GATEWAY or (one.state is HoldState.ACTIVE and one.expires_at >= until)]
    found: dict[Period, tuple[DeviceId, ...]] = {}
    for camera in request.cameras:
        for part in _parts(request.window_of(camera)):
            if not any(camera in hold.cameras and not any(left_out((hold.window,), (part,))) for hold in holding):
                found[part] = (*found.get(part, ()), camera)
    return found


def _parts(window: Period) -> Iterator[Period]:
    """`window` in pieces that one hold may cover."""
    start = window.start
    while start < window.end:
        end = min(window.end, start + WINDOW_MAX)
        yield Period(start, end)
        start = end
