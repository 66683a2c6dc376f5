"""One effect for each idempotency key, however often and however concurrently a request is sent."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Table, Text, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import Conflict
from gateway.storage.schema import Json, UtcTime, canonical, metadata

idempotency = Table(
    "idempotency",
    metadata,
    Column("principal", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_hash", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("status", BigInteger),
    Column("response", Json),
)


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """What was answered the first time: an HTTP status and a JSON body."""

    status: int
    body: Any


def request_hash(method: str, path: str, body: Any) -> str:
    """SHA-256 (hex) of what was asked: the same key with another request is an error, not a repetition."""
    return hashlib.sha256(canonical([method, path, body]).encode()).hexdigest()


class IdempotencyRepository:
    """`claim`, do the effect, `complete`: best all in one change, so that no claim without an effect can remain."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def claim(self, principal: str, key: str, *, request: str, now: datetime) -> StoredResponse | None:
        """None: the key is new and now the caller's, who does the effect. Otherwise the answer that was given the first time.

        `request`: see `request_hash`. Conflict with code `idempotency-key-reused` for another request under the same key, and
        `idempotency-in-progress` while the first one, claimed in an earlier transaction, is not complete.
        """
        dialect = postgresql if self._conn.dialect.name == "postgresql" else sqlite
        claim = dialect.insert(idempotency).values(principal=principal, key=key, request_hash=request, created_at=now)
        if (await self._conn.execute(claim.on_conflict_do_nothing())).rowcount == 1:
            return None
        row = (await self._conn.execute(select(idempotency).where(_is(principal, key)))).one()
        if row.request_hash != request:
            raise Conflict("this idempotency key was used for another request", code="idempotency-key-reused", hint="use a new key")
        if row.status is None:
            raise Conflict("the first request with this key is not done yet", code="idempotency-in-progress", hint="ask again later")
        return StoredResponse(row.status, row.response)

    async def complete(self, principal: str, key: str, response: StoredResponse) -> None:
        """Keep the answer for those who ask again."""
        await self._conn.execute(update(idempotency).where(_is(principal, key)).values(status=response.status, response=response.body))

    async def release(self, principal: str, key: str) -> None:
        """Give up a claim whose request was refused before it had any effect: the key may be used again."""
        await self._conn.execute(delete(idempotency).where(_is(principal, key) & idempotency.c.status.is_(None)))

    async def forget(self, *, before: datetime) -> int:
        """Drop what was claimed before `before`; how many."""
        return (await self._conn.execute(delete(idempotency).where(idempotency.c.created_at < before))).rowcount


def _is(principal: str, key: str) -> Any:
    return (idempotency.c.principal == principal) & (idempotency.c.key == key)
