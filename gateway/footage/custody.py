"""Writes a line of the custody log with its event and its audit row; what is denied is one, too."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any, Final

from gateway.clock import Clock
from gateway.domain.events import AuditEntry, NewEvent, Person
from gateway.domain.footage import CustodyEntry, RequestId, Step
from gateway.errors import Conflict, Forbidden, NotFound
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

EVENT: Final = "footage.custody"


async def write_down(tx: Tx, request: RequestId, step: Step, *, by: Person, at: datetime, detail: Mapping[str, Any]) -> None:
    """`by` did `step` with what belongs to `request`. Readers of events learn that something happened; the audit row has it all."""
    await tx.footage.log(CustodyEntry(request, step, by, at, detail))
    tx.emit(NewEvent(EVENT, request, at, {"step": step}))
    tx.record(AuditEntry(by.actor, f"footage.{step}", request, at, {**detail, "person": by.name}))


@contextlib.asynccontextmanager
async def denials_on_record(store: Store, clock: Clock, request: RequestId, *, by: Person, **about: str) -> AsyncIterator[None]:
    """What is refused inside is a line of the custody log of `request`, which must exist, before the caller hears of it."""
    try:
        yield
    except (Conflict, Forbidden, NotFound) as refusal:
        why, at = refusal.code, clock.now()

        async def change(tx: Tx) -> None:
            await write_down(tx, request, Step.DENIED, by=by, at=at, detail={"why": why, **about})

        await store.writer.write(change, lane=Lane.FOOTAGE)
        raise
