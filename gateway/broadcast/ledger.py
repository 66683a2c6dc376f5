"""The ledger of broadcasts: people's word on what came of each, added and never changed, and the whole of it as a file."""

import asyncio
from datetime import datetime, tzinfo

from gateway.broadcast.ledger_files import FileKind, ledger_file
from gateway.broadcast.service import BroadcastService
from gateway.broadcast.views import View
from gateway.clock import Clock
from gateway.domain.broadcast import BroadcastId
from gateway.domain.broadcast_ledger import OutcomeEntry, StreetOutcome, Wanted
from gateway.domain.events import Actor, AuditEntry, NewEvent, Person
from gateway.errors import Fault, InvalidInput, Overloaded
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

OUTCOME_EVENT = "broadcast.outcome"
EXPORT_MOST = 20_000
_PAGE = 200


class LedgerDesk:
    """Looks through all broadcasts and keeps what came of them."""

    def __init__(self, *, store: Store, clock: Clock, broadcasts: BroadcastService) -> None:
        self._store = store
        self._clock = clock
        self._broadcasts = broadcasts
        self._exporting = asyncio.Semaphore(1)  # one file at a time: it is whole in memory

    async def say(self, broadcast: BroadcastId, outcome: StreetOutcome, *, note: str, by: Person) -> View:
        """Put on record what came of a broadcast, or correct what was said before; the same word again changes nothing.

        Raises NotFound, InvalidInput where OTHER comes without a note, StorageFailed.
        """
        if outcome is StreetOutcome.OTHER and not note:
            raise InvalidInput("What came of it is neither of these: say what.", faults=[Fault("/note", "must say what came of it")])
        await self._store.writer.write(lambda tx: self._say(tx, broadcast, outcome, note, by), lane=Lane.BROADCAST)
        return await self._broadcasts.get(broadcast)

    async def export(self, wanted: Wanted, kind: FileKind, zone: tzinfo, *, by: Actor) -> bytes:
        """The wanted broadcasts as a file, the latest first; that `by` took them is on record.

        Raises Overloaded (`too-many`) beyond `EXPORT_MOST`, StorageFailed.
        """
        async with self._exporting:
            views = await self._all(wanted)
            data = await asyncio.to_thread(ledger_file, views, kind, zone)

        async def change(tx: Tx) -> None:
            told = {"format": kind.value, "broadcasts": len(views)}
            tx.record(AuditEntry(by, "broadcast.export", "", self._clock.now(), told))

        await self._store.writer.write(change, lane=Lane.FOOTAGE)
        return data

    async def _all(self, wanted: Wanted) -> list[View]:
        found: list[View] = []
        before: tuple[datetime, BroadcastId] | None = None
        while page := await self._broadcasts.page(wanted=wanted, before=before, limit=_PAGE):
            found += page
            before = (page[-1].broadcast.created_at, page[-1].broadcast.id)
            if len(found) > EXPORT_MOST:
                hint = "Ask for fewer days, or filter by place, person or kind."
                raise Overloaded(f"More than {EXPORT_MOST} broadcasts fit.", code="too-many", hint=hint)
            await asyncio.sleep(0)
        return found

    async def _say(self, tx: Tx, broadcast: BroadcastId, outcome: StreetOutcome, note: str, by: Person) -> None:
        await tx.broadcasts.get(broadcast)
        before = (await tx.ledger.outcomes([broadcast]))[broadcast]
        if before and before[-1].says_the_same(outcome, note, by.actor):
            return
        entry = OutcomeEntry(broadcast, len(before) + 1, outcome, note, self._clock.now(), by.actor, by.name)
        await tx.ledger.say(entry)
        data = {"outcome": outcome.value, "note": note, "by": by.name, "corrects": before[-1].outcome.value if before else ""}
        tx.emit(NewEvent(OUTCOME_EVENT, broadcast, entry.at, data))
        tx.record(AuditEntry(by.actor, OUTCOME_EVENT, broadcast, entry.at, data))
