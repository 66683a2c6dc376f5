"""Held before anybody decides: what a filed request wants and its devices would overwrite before there is a decision and an export.

The gateway places these holds by itself, whoever filed the request; to hold is not to look, and nothing of them goes out unapproved.
They end when the request has what it wants or is over, and otherwise run out.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

import structlog

from gateway.clock import Clock
from gateway.domain.devices import DeviceId
from gateway.domain.events import SYSTEM, NewEvent, Person
from gateway.domain.footage import KEPT, OVER, FootageRequest, FootageState, Period
from gateway.domain.holds import Hold
from gateway.errors import Conflict, GatewayError, StorageFailed
from gateway.footage.holds import HoldDesk, HoldOrder
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

log = structlog.get_logger()

UNHELD_EVENT: Final = "footage.unheld"
_GATEWAY: Final = Person(SYSTEM, "gateway")
_REASON: Final = "待审批 awaits its decision"
_LOOK_S: Final = 30.0
_AGAIN: Final = timedelta(hours=1)
"""After so long devices are asked anew about a request of which they kept everything."""
_FETCHED_WITHIN: Final = timedelta(days=1)
_LOOKED_AT: Final = 50
_DONE: Final = (KEPT | OVER) - {FootageState.PARTIAL}
"""States in which a request needs nothing more of its holds. One that lacks something may be tried again: its holds run out."""


class Precautions:
    """Holds for requests that wait. `run` must be running. `decide_for`: how long a request may wait for a decision."""

    def __init__(self, *, store: Store, clock: Clock, holds: HoldDesk, decide_for: timedelta) -> None:
        self._store = store
        self._clock = clock
        self._holds = holds
        self._decide_for = decide_for
        self._next: dict[str, datetime] = {}  # of the requests that wait: when to look again
        self._told: dict[str, str] = {}  # of the same: why they could not be held

    async def run(self) -> None:
        """Hold for who waits and let go for who does not, until cancelled. StorageFailed."""
        while True:
            await self.look()
            await self._clock.sleep(_LOOK_S)

    async def look(self) -> None:
        """Do once what is to be done now."""
        now = self._clock.now()
        async with self._store.read() as tx:
            waiting = await tx.footage.oldest([FootageState.SUBMITTED], limit=_LOOKED_AT)
            needless = await tx.holds.outlived(SYSTEM, _DONE, limit=_LOOKED_AT)
        self._next = {request.id: self._next.get(request.id, now) for request in waiting}
        self._told = {request.id: self._told.get(request.id, "") for request in waiting}
        for request in waiting:
            if self._next[request.id] <= now:
                await self._hold(request)
        for hold in needless:
            await self._let_go(hold)

    async def _hold(self, request: FootageRequest) -> None:
        """Hold what would be lost, window by window; told to the approvers, once for each reason, where it cannot be."""
        self._next[request.id] = self._clock.now() + _AGAIN
        async with self._store.read() as tx:
            placed = await tx.holds.find(request=request.id)
        held = {camera for hold in placed if hold.owner == _GATEWAY for camera in hold.cameras}
        for window, cameras in _by_window(request, held).items():
            until = request.submitted_at + self._decide_for + _FETCHED_WITHIN
            order = HoldOrder(cameras, window, _REASON, until, request.id)
            try:
                await self._holds.place_if_needed(order, by=_GATEWAY)
            except StorageFailed:
                raise
            except GatewayError as failure:
                await self._tell(request, failure)

    async def _tell(self, request: FootageRequest, failure: GatewayError) -> None:
        if self._told[request.id] == failure.code:
            return
        self._told[request.id] = failure.code
        log.warning("footage.unheld", request=request.id, code=failure.code, reason=str(failure))
        data = {"code": failure.code, "reason": str(failure)}

        async def change(tx: Tx) -> None:
            tx.emit(NewEvent(UNHELD_EVENT, request.id, self._clock.now(), data))

        await self._store.writer.write(change, lane=Lane.FOOTAGE)

    async def _let_go(self, hold: Hold) -> None:
        try:
            await self._holds.release(hold.id, by=_GATEWAY, note="the request needs it no more")
        except Conflict:  # it has ended meanwhile
            return


def _by_window(request: FootageRequest, held: Collection[DeviceId]) -> dict[Period, tuple[DeviceId, ...]]:
    """Its cameras that are not held, by what is wanted of them."""
    found: dict[Period, tuple[DeviceId, ...]] = {}
    for camera in request.cameras:
        if camera not in held:
            window = request.window_of(camera)
            found[window] = (*found.get(window, ()), camera)
    return found
