"""Writes a line of the custody log with its event and its audit row."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from gateway.domain.events import AuditEntry, NewEvent, Person
from gateway.domain.footage import CustodyEntry, RequestId, Step
from gateway.storage.store import Tx

EVENT: Final = "footage.custody"


async def write_down(tx: Tx, request: RequestId, step: Step, *, by: Person, at: datetime, detail: Mapping[str, Any]) -> None:
    """`by` did `step` with what belongs to `request`. Readers of events learn that something happened; the audit row has it all."""
    await tx.footage.log(CustodyEntry(request, step, by, at, detail))
    tx.emit(NewEvent(EVENT, request, at, {"step": step}))
    tx.record(AuditEntry(by.actor, f"footage.{step}", request, at, {**detail, "person": by.name}))
