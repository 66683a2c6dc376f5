"""Requests that lack something for want of room on the disk are tried again by themselves, once there is enough."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from gateway.clock import Clock
from gateway.domain.footage import Act, RequestId, Step
from gateway.errors import Conflict
from gateway.footage.ledger import Ledger
from gateway.footage.planning import Planner
from gateway.footage.space import NO_SPACE
from gateway.storage.store import Store

_LOOK_S: Final = 60.0
_LOOKED_AT: Final = 500
"""So many requests are looked at for whether there is room for them by now, those that were filed first."""
_AGAIN_AFTER: Final = timedelta(hours=1)
"""So long one is not tried again by itself for which there was room, and then there was not."""
_IN_HAND: Final = (Step.LINKED, Step.LOOKED, Step.DOWNLOADED, Step.VIEWING_STARTED, Step.VIEWED, Step.SEND_ASKED, Step.SEND_BEGUN)
_IN_HAND_FOR: Final = timedelta(hours=1)
"""So long after one of these steps one is not tried again by itself: a part that is on its way out would break off."""


class ShortOfRoom:
    """Looks for room every minute. `stir`: told when there is something to fetch again."""

    def __init__(self, *, store: Store, ledger: Ledger, planner: Planner, clock: Clock, stir: Callable[[], None]) -> None:
        self._store = store
        self._ledger = ledger
        self._planner = planner
        self._clock = clock
        self._stir = stir
        self._tried_again: dict[RequestId, datetime] = {}  # of late

    async def run(self) -> None:
        """Look until cancelled. StorageFailed when the store does."""
        while True:
            await self._clock.sleep(_LOOK_S)
            since = self._clock.now() - _AGAIN_AFTER
            self._tried_again = {request: at for request, at in self._tried_again.items() if at > since}
            taken = 0
            for request in await self._lacking():
                needs = await self._planner.needs_anew(await self._ledger.dossier(request))
                if needs <= await self._planner.left(request) - taken:
                    taken += needs
                    await self._try_again(request)

    async def _lacking(self) -> list[RequestId]:
        """Those that lack something for want of room, were not tried again of late, and that nobody has in hand."""
        since = self._clock.now() - _IN_HAND_FOR
        async with self._store.read() as tx:
            return await tx.footage.lacking_by(NO_SPACE, but_for=self._tried_again, unless=_IN_HAND, since=since, limit=_LOOKED_AT)

    async def _try_again(self, request: RequestId) -> None:
        self._tried_again[request] = self._clock.now()
        with suppress(Conflict):  # somebody has acted meanwhile
            await self._ledger.act(request, Act.RETRY)
            self._stir()
