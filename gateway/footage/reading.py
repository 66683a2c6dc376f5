"""Who looked into which request: an audit row before the answer; a page that asks every two seconds makes one a quarter of an hour."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from gateway.clock import Clock
from gateway.domain.events import Actor, AuditEntry, Person
from gateway.domain.footage import RequestId
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

READ: Final = "footage.read"
"""The action of such a row; its subject is the request."""
READ_ONCE_IN: Final = timedelta(minutes=15)
_KNOWN: Final = 10_000
"""Readings in memory. One that is forgotten for another, or by a restart, is written down once more."""


class ReadingDesk:
    """The readings of the last quarter of an hour."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._noted: OrderedDict[tuple[Actor, RequestId], float] = OrderedDict()
        self._one_by_one = asyncio.Lock()

    async def note(self, requests: Iterable[RequestId], *, by: Person) -> None:
        """Write down that `by` reads what is known of `requests`, if that was not done of late. The errors of storage: nothing is to be
        shown then."""
        asked = tuple(requests)
        if not self._fresh(asked, by.actor):
            return
        async with self._one_by_one:  # a page asks for six parts of a request at once
            fresh, at = self._fresh(asked, by.actor), self._clock.now()

            async def change(tx: Tx) -> None:
                for request in fresh:
                    tx.record(AuditEntry(by.actor, READ, request, at, {"person": by.name}))

            if fresh:
                await self._store.writer.write(change, lane=Lane.FOOTAGE)
                self._remember(fresh, by.actor)

    def _fresh(self, requests: Iterable[RequestId], reader: Actor) -> list[RequestId]:
        since = self._clock.monotonic() - READ_ONCE_IN.total_seconds()
        return [request for request in requests if self._noted.get((reader, request), since) <= since]

    def _remember(self, requests: Iterable[RequestId], reader: Actor) -> None:
        for request in requests:
            self._noted[reader, request] = self._clock.monotonic()
            self._noted.move_to_end((reader, request))
        while len(self._noted) > _KNOWN:
            self._noted.popitem(last=False)
