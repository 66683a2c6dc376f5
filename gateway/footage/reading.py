"""Who looked into which request, and who searched for what: an audit row before the answer; a page that asks every two seconds makes one
a quarter of an hour."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final

from gateway.clock import Clock
from gateway.domain.events import Actor, AuditEntry, Person
from gateway.domain.footage import RequestId
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

READ: Final = "footage.read"
"""The action of a row about a request; its subject is the request."""
SEARCHED: Final = "footage.search"
"""The action of a row about a search of requests, evidence or holds; it has no subject."""
READ_ONCE_IN: Final = timedelta(minutes=15)
SEARCHES_MAX: Final = 100
"""So many questions of one key in that time have rows of their own; all others together have one, without the question."""
_KNOWN: Final = 10_000
"""Readings in memory. One that is forgotten for another, or by a restart, is written down once more."""


class ReadingDesk:
    """The readings and searches of the last quarter of an hour."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._noted: OrderedDict[tuple[Actor, RequestId], float] = OrderedDict()
        self._searched: dict[Actor, dict[str, float]] = {}
        self._one_by_one = asyncio.Lock()

    async def note(self, requests: Iterable[RequestId], *, by: Person) -> None:
        """Write down that `by` reads what is known of `requests`, if that was not done of late. The errors of storage: nothing is to be
        shown then."""
        asked = tuple(requests)
        if not self._fresh(asked, by.actor):
            return
        async with self._one_by_one:  # a page asks for six parts of a request at once
            fresh, at = self._fresh(asked, by.actor), self._clock.now()
            if fresh:
                await self._write(AuditEntry(by.actor, READ, request, at, {"person": by.name}) for request in fresh)
                self._remember(fresh, by.actor)

    async def note_search(self, listed: str, asked: Mapping[str, Any], *, found: int, by: Person) -> None:
        """Write down that `by` asked the list `listed` for what is `asked` (filters, plain JSON) and was shown `found` rows, if that was
        not done of late. The errors of storage: nothing is to be shown then."""
        question = json.dumps([listed, asked], sort_keys=True)
        if question in self._recent(by.actor):
            return
        async with self._one_by_one:
            recent = self._recent(by.actor)
            own = question if len(recent) < SEARCHES_MAX else ""
            if question not in recent and own not in recent:
                told = {"list": listed, "asked": dict(asked), "found": found} if own else {"others": True}
                await self._write([AuditEntry(by.actor, SEARCHED, "", self._clock.now(), {**told, "person": by.name})])
                self._searched[by.actor] = {**recent, own: self._clock.monotonic()}

    async def _write(self, entries: Iterable[AuditEntry]) -> None:
        rows = tuple(entries)

        async def change(tx: Tx) -> None:
            for row in rows:
                tx.record(row)

        await self._store.writer.write(change, lane=Lane.FOOTAGE)

    def _recent(self, reader: Actor) -> dict[str, float]:
        since = self._clock.monotonic() - READ_ONCE_IN.total_seconds()
        return {question: at for question, at in self._searched.get(reader, {}).items() if at > since}

    def _fresh(self, requests: Iterable[RequestId], reader: Actor) -> list[RequestId]:
        since = self._clock.monotonic() - READ_ONCE_IN.total_seconds()
        return [request for request in requests if self._noted.get((reader, request), since) <= since]

    def _remember(self, requests: Iterable[RequestId], reader: Actor) -> None:
        for request in requests:
            self._noted[reader, request] = self._clock.monotonic()
            self._noted.move_to_end((reader, request))
        while len(self._noted) > _KNOWN:
            self._noted.popitem(last=False)
