"""Audit: who did what, and the proof that nobody has changed the record since."""

import asyncio
from typing import Any

from pydantic import Field

from gateway.api.footage_reach import reach
from gateway.api.models import Instant, Output, Page, PageQuery
from gateway.api.paging import from_cursor, to_cursor, to_number, wrong_cursor
from gateway.api.routing import Call, Routes
from gateway.domain.access import Permission
from gateway.errors import Overloaded
from gateway.storage.audit import AuditRow

routes = Routes("audit", "Who did what; chained by hash.")

_verifying = asyncio.Semaphore(1)  # a walk over all rows; a second one at a time is refused


class AuditOut(Output):
    """A row of the record."""

    chain: str
    seq: int
    at: Instant
    actor: str
    action: str
    subject: str
    data: dict[str, Any]
    hash: str


class AuditPage(Page[AuditOut]):
    """One page of the record, newest first."""


class AuditQuery(PageQuery):
    """Which rows."""

    subject: str | None = Field(default=None, max_length=200, description="The id of what was done something to.")


class BrokenOut(Output):
    """A place where the record does not hold."""

    chain: str
    seq: int
    why: str


class VerdictOut(Output):
    """What a walk over the whole record found. Keep `heads` elsewhere: a later verdict can be held against them."""

    ok: bool
    rows: int
    heads: dict[str, tuple[int, str]]
    broken: list[BrokenOut]


@routes.op("GET", "/v1/audit", needs=Permission.AUDIT_READ)
async def list_audit(call: Call, query: AuditQuery) -> AuditPage:
    """What was done, newest first; of footage requests and holds, to a key with scopes, to those that it sees."""
    async with call.services.store.read() as tx:
        rows = await tx.audit.page(before=_place(query), subject=query.subject, reach=reach(call), limit=query.limit + 1)
    shown = rows[: query.limit]
    following = None
    if len(rows) > query.limit:
        last = shown[-1]
        following = to_cursor([last.entry.at.isoformat(), last.chain, last.seq], query)
    return AuditPage(items=[_shown(row) for row in shown], next=following)


@routes.op("GET", "/v1/audit/verification", needs=Permission.AUDIT_READ, problems=(Overloaded,))
async def verify_audit(call: Call) -> VerdictOut:
    """Walk every chain and say whether each row is the one that was written."""
    if _verifying.locked():
        raise Overloaded("The record is being verified already.", hint="Wait for that answer.")
    async with _verifying, call.services.store.read() as tx:
        verdict = await tx.audit.verify()
    broken = [BrokenOut(chain=one.chain, seq=one.seq, why=one.why) for one in verdict.broken]
    return VerdictOut(ok=verdict.ok, rows=verdict.rows, heads=dict(verdict.heads), broken=broken)


def _place(query: PageQuery) -> tuple[str, str, int] | None:
    match from_cursor(query):
        case None:
            return None
        case [str(at), str(chain), seq]:
            return at, chain, to_number(seq)
    raise wrong_cursor()


def _shown(row: AuditRow) -> AuditOut:
    entry = row.entry
    return AuditOut(
        chain=row.chain,
        seq=row.seq,
        at=entry.at,
        actor=str(entry.actor),
        action=entry.action,
        subject=entry.subject,
        data=dict(entry.data),
        hash=row.hash,
    )
