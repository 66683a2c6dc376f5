"""Which footage may go: of requests whose term is over, and what ended requests still have, as far as no active hold covers any of it."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.footage import FootageState, RequestId
from gateway.storage.footage_tables import footage_files, footage_requests
from gateway.storage.holds import covered
from gateway.storage.imports import footage_imports, held_import, kept_import


class DisposalRepository:
    """Requests whose files may be deleted, over one connection. What is under hold is left out before it is counted: it hides no others."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def due(
        self, ready: Iterable[FootageState], fruitless: Iterable[FootageState], moment: datetime, *, limit: int
    ) -> list[RequestId]:
        """Requests in the states `ready` whose files were ready before `moment`, and in `fruitless` since before it; the oldest first."""
        table = footage_requests.c
        over = or_(
            and_(table.state.in_([state.value for state in ready]), table.ready_at < moment),
            and_(table.state.in_([state.value for state in fruitless]), table.changed_at < moment),
        )
        statement = select(table.id).where(over, ~_any_held()).order_by(table.changed_at, table.id).limit(limit)
        return [RequestId(name) for name in await self._conn.scalars(statement)]

    async def freed(self, ended: Iterable[FootageState], *, limit: int) -> list[RequestId]:
        """Requests that have `ended` with files left because holds covered some, and cover none of them any more."""
        table = footage_requests.c
        left = or_(_FETCHED, _BROUGHT)
        statement = select(table.id).where(table.state.in_([state.value for state in ended]), left, ~_any_held()).order_by(table.id)
        return [RequestId(name) for name in await self._conn.scalars(statement.limit(limit))]


_FETCHED: Final = exists().where(footage_files.c.request == footage_requests.c.id, footage_files.c.removed.is_(False))
_BROUGHT: Final = exists().where(footage_imports.c.request == footage_requests.c.id, kept_import())


def _any_held() -> ColumnElement[bool]:
    """That an active hold covers a file of a row of requests, fetched or brought."""
    fetched = exists().where(
        footage_files.c.request == footage_requests.c.id,
        footage_files.c.removed.is_(False),
        covered(footage_files).correlate(footage_files),
    )
    brought = exists().where(footage_imports.c.request == footage_requests.c.id, kept_import(), held_import())
    return or_(fetched.correlate(footage_requests), brought.correlate(footage_requests))
