"""The ledger of broadcasts: people's word on what came of each, added and never changed, and the whole of it as a file."""

import asyncio
import contextlib
import hashlib
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path

from gateway.broadcast.ledger_files import ROWS_MOST, FileKind, LedgerFile, LedgerRows, Names, ledger_file
from gateway.broadcast.service import BroadcastService
from gateway.broadcast.views import View
from gateway.clock import Clock
from gateway.domain.broadcast import BroadcastId, ClipContent, DeliveryState
from gateway.domain.broadcast_ledger import OutcomeEntry, StreetOutcome, Wanted
from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor, AuditEntry, NewEvent, Person
from gateway.errors import Conflict, Fault, InvalidInput, Overloaded
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

OUTCOME_EVENT = "broadcast.outcome"
EXPORT_MOST = 50_000
_PAGE = 200


@dataclass(frozen=True, slots=True)
class Exported:
    """The ledger as a file, there until it has been sent; `sha256` in hexadecimal."""

    path: Path
    size: int
    sha256: str


class LedgerDesk:
    """Looks through all broadcasts and keeps what came of them."""

    def __init__(self, *, store: Store, clock: Clock, city: City, broadcasts: BroadcastService) -> None:
        self._store = store
        self._clock = clock
        self._city = city
        self._broadcasts = broadcasts
        self._exporting = asyncio.Semaphore(1)  # one file is made at a time

    async def say(self, broadcast: BroadcastId, outcome: StreetOutcome, *, note: str, by: Person) -> View:
        """Put on record what came of a broadcast, or correct what was said before; the same word again changes nothing.

        Raises NotFound, InvalidInput where OTHER comes without a note, Conflict (`not-approved-yet`) before a second person decided,
        StorageFailed.
        """
        if outcome is StreetOutcome.OTHER and not note:
            raise InvalidInput("What came of it is neither of these: say what.", faults=[Fault("/note", "must say what came of it")])
        view = await self._broadcasts.get(broadcast)
        if any(delivery.state is DeliveryState.AWAITING_APPROVAL for delivery in view.deliveries):
            hint = "Wait for the second person's decision, or decline it."
            raise Conflict("Nothing of it was heard: it waits for a second person.", code="not-approved-yet", hint=hint)
        await self._store.writer.write(lambda tx: self._say(tx, broadcast, outcome, note, by), lane=Lane.BROADCAST)
        return await self._broadcasts.get(broadcast)

    @contextlib.asynccontextmanager
    async def export(self, wanted: Wanted, kind: FileKind, rows: LedgerRows, zone: tzinfo, *, by: Actor) -> AsyncIterator[Exported]:
        """The wanted broadcasts as a file, the latest first, made a page at a time; that `by` took it, and its digest, is on record.

        Raises Overloaded (`too-many`) beyond `EXPORT_MOST` broadcasts or `ROWS_MOST` deliveries, StorageFailed.
        """
        folder = await asyncio.to_thread(tempfile.TemporaryDirectory, prefix="ledger-")
        try:
            path = Path(folder.name) / f"broadcasts.{kind}"
            async with self._exporting:
                told = await self._fill(path, wanted, kind, rows, zone)
            size, sha256 = await asyncio.to_thread(_measured, path)
            details = {"format": kind.value, "sha256": sha256, **told}
            entry = AuditEntry(by, "broadcast.export", "", self._clock.now(), details)
            await self._store.writer.write(lambda tx: _record(tx, entry), lane=Lane.FOOTAGE)
            yield Exported(path, size, sha256)
        finally:
            await asyncio.to_thread(folder.cleanup)

    async def _fill(self, path: Path, wanted: Wanted, kind: FileKind, rows: LedgerRows, zone: tzinfo) -> dict[str, int]:
        """Write all that is wanted to `path`; how many broadcasts and deliveries those are."""
        counts = {"broadcasts": 0, "deliveries": 0}
        making = ledger_file(path, kind, rows, zone)
        file = await asyncio.to_thread(making.__enter__)
        try:
            async for views in self._pages(wanted):
                counts["broadcasts"] += len(views)
                counts["deliveries"] += sum(len(view.deliveries) for view in views)
                if counts["broadcasts"] > EXPORT_MOST or counts["deliveries"] > ROWS_MOST:
                    hint = "Ask for fewer days, or filter by place, person or kind."
                    raise Overloaded(f"More than {EXPORT_MOST} broadcasts, or {ROWS_MOST} deliveries, fit.", code="too-many", hint=hint)
                await self._add(file, views)
        finally:
            await asyncio.to_thread(making.__exit__, None, None, None)
        return counts

    async def _pages(self, wanted: Wanted) -> AsyncIterator[list[View]]:
        before: tuple[datetime, BroadcastId] | None = None
        while page := await self._broadcasts.page(wanted=wanted, before=before, limit=_PAGE):
            yield page
            before = (page[-1].broadcast.created_at, page[-1].broadcast.id)

    async def _add(self, file: LedgerFile, views: list[View]) -> None:
        clips = {content.clip for view in views if isinstance(content := view.broadcast.programme.content, ClipContent)}
        async with self._store.read() as tx:
            called = await tx.clips.names(clips)
        devices = {device for view in views for device in _devices(view)} & self._city.devices.keys()
        names = Names(called, {device: self._city.devices[device].name for device in devices}, self._places(views))
        await asyncio.to_thread(file.add, views, names)

    def _places(self, views: Sequence[View]) -> Mapping[str, Mapping[str, str]]:
        """What the places that these broadcasts were meant for are called."""
        named, city = [view.broadcast.targets for view in views], self._city
        return {
            "zones": {one: city.zones[one].name for targets in named for one in targets.zones if one in city.zones},
            "cells": {one: city.cells[one].name for targets in named for one in targets.cells if one in city.cells},
            "groups": {one: city.groups[one].name for targets in named for one in targets.groups if one in city.groups},
        }

    async def _say(self, tx: Tx, broadcast: BroadcastId, outcome: StreetOutcome, note: str, by: Person) -> None:
        await tx.broadcasts.get(broadcast)
        before = (await tx.ledger.outcomes([broadcast]))[broadcast]
        if before and before[-1].says_the_same(outcome, note, by.actor):
            return
        entry = OutcomeEntry(
            broadcast=broadcast, number=len(before) + 1, outcome=outcome, note=note, at=self._clock.now(), actor=by.actor, name=by.name
        )
        await tx.ledger.say(entry)
        data = {"outcome": outcome.value, "note": note, "by": by.name, "corrects": before[-1].outcome.value if before else ""}
        tx.emit(NewEvent(OUTCOME_EVENT, broadcast, entry.at, data))
        tx.record(AuditEntry(by.actor, OUTCOME_EVENT, broadcast, entry.at, data))


def _devices(view: View) -> Iterator[DeviceId]:
    """The loudspeakers and cameras that a broadcast names, and the loudspeakers that it went to."""
    targets = view.broadcast.targets
    yield from targets.speakers
    yield from (one.camera for one in targets.views)
    yield from (delivery.speaker for delivery in view.deliveries)


def _measured(path: Path) -> tuple[int, str]:
    """How many bytes, and their SHA-256."""
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


async def _record(tx: Tx, entry: AuditEntry) -> None:
    tx.record(entry)
