"""Deletes the documents of requests that have been over for long enough, on record and with their hashes kept."""

import asyncio
import functools
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from gateway.clock import Clock
from gateway.domain.footage import Document, RequestId, Step
from gateway.errors import Conflict
from gateway.footage.custody import write_down
from gateway.footage.ledger import GATEWAY
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

RULE: Final = "footage.documents_days"
_AT_ONCE: Final = 50


class Shredder:
    """Lets documents go whose term is over. The store refuses as long as their request is not over, or an active hold needs it."""

    def __init__(self, *, store: Store, clock: Clock, folder: Path, keep: timedelta, alone: asyncio.Lock) -> None:
        """`folder`: where the bytes lie, by hash. `keep`: how long after their request was over, and after they came.

        `alone`: held by whoever puts bytes there until their row is written.
        """
        self._store = store
        self._clock = clock
        self._folder = folder
        self._keep = keep
        self._alone = alone

    async def tend(self) -> int:
        """Delete what is due, the longest over first; how many documents of how ever many requests there were, of `_AT_ONCE` at most."""
        moment = self._clock.now() - self._keep
        async with self._store.read() as tx:
            due = await tx.documents.due(moment, limit=_AT_ONCE)
        gone = 0
        for request in dict.fromkeys(document.request for document in due):
            gone += await self._dispose(request, moment)
        return gone

    async def sweep(self) -> None:
        """Remove the bytes that a crash left behind after their rows had been marked."""
        async with self._alone:
            async with self._store.read() as tx:
                gone = await tx.documents.gone()
            await asyncio.to_thread(_remove, self._folder, gone)

    async def _dispose(self, request: RequestId, moment: datetime) -> int:
        async with self._alone:
            try:
                change = functools.partial(self._put_gone, request=request, moment=moment)
                done = await self._store.writer.write(change, lane=Lane.FOOTAGE)
            except Conflict:  # somebody has held it, or acted, meanwhile
                return 0
            async with self._store.read() as tx:
                gone = [document.sha256 for document in done if not await tx.documents.there(document.sha256)]
            await asyncio.to_thread(_remove, self._folder, gone)
        return len(done)

    async def _put_gone(self, tx: Tx, *, request: RequestId, moment: datetime) -> list[Document]:
        """The row first: a crash afterwards leaves bytes that the next start removes."""
        due, now = await tx.documents.due(moment, limit=_AT_ONCE, request=request), self._clock.now()
        if due:
            told = [
                {
                    "document": one.id,
                    "kind": one.kind,
                    "name": one.name,
                    "sha256": one.sha256,
                    "size": one.size,
                    "added_at": one.at.isoformat(),
                }
                for one in due
            ]
            await write_down(tx, request, Step.DISPOSED, by=GATEWAY, at=now, detail={"rule": RULE, "files": told, "held": []})
        for document in due:
            await tx.documents.remove(document.id, at=now)
        return due


def _remove(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)
