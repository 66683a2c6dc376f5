"""The log of what changed: a cursor in the order of commits, a bounded ring for those who follow, the store for those who lag."""

import asyncio
import itertools
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager

from sqlalchemy import BigInteger, Column, Table, Text, bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.domain.events import Event, NewEvent
from gateway.errors import GatewayError, InvalidInput
from gateway.storage.schema import UtcTime, canonical, metadata, utc

RING = 4_096  # events kept in memory; a follower further behind reads the store
PAGE = 500  # events a follower takes at a time
POLL_S = 1.0  # how often followers look for what other processes wrote

event_head = Table("event_head", metadata, Column("id", BigInteger, primary_key=True), Column("latest", BigInteger, nullable=False),
                   Column("floor", BigInteger, nullable=False))  # fmt: skip

events = Table(
    "events",
    metadata,
    Column("cursor", BigInteger, primary_key=True, autoincrement=False),
    Column("type", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("data", Text, nullable=False),
)

_MOVE_HEAD = update(event_head).values(latest=event_head.c.latest + bindparam("count")).returning(event_head.c.latest)
_APPEND = insert(events)


class CursorTooOld(GatewayError):
    """Retention has dropped what came after the cursor; reading can go on from `oldest`, after taking the current state anew."""

    code = "cursor-too-old"

    def __init__(self, oldest: int) -> None:
        super().__init__(f"the events after this cursor are gone; what is kept begins after {oldest}", hint="read the state, then go on")
        self.oldest = oldest


class CursorAhead(InvalidInput):
    """The cursor is of a later log than this one, as after a restored backup."""

    code = "cursor-ahead"


def prepare(event: NewEvent) -> dict[str, object]:
    """The row of `event`, without its cursor. InvalidInput for what the table would refuse, so that a batch never fails for one event."""
    if not (1 <= len(event.type) <= 100 and len(event.subject) <= 200):  # the CHECKs of migration 0001
        raise InvalidInput(f"an event needs a type of 1-100 characters and a subject of at most 200: {event.type!r}", code="bad-event")
    return {"type": storable(event.type), "subject": storable(event.subject), "at": utc(event.at), "data": canonical(dict(event.data))}


def storable(text: str) -> str:
    """`text` as both stores take it. InvalidInput for NUL and for half a surrogate pair."""
    if "\0" in text or (not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text)):
        raise InvalidInput("text with NUL or half a surrogate pair cannot be stored", code="bad-text")
    return text


async def append(conn: AsyncConnection, rows: Sequence[dict[str, object]]) -> list[Event]:
    """Give `rows` their cursors and insert them; they are `Event`s once the transaction has been committed.

    The head's row lock, held until the commit, makes the cursors of concurrent transactions follow the order of their commits.
    """
    if not rows:
        return []
    latest = (await conn.execute(_MOVE_HEAD, {"count": len(rows)})).scalar_one()
    numbered = [row | {"cursor": cursor} for cursor, row in enumerate(rows, latest - len(rows) + 1)]
    await conn.execute(_APPEND, numbered)
    return [_event(row) for row in numbered]


async def fetch(conn: AsyncConnection, cursor: int, *, limit: int) -> list[Event]:
    """Up to `limit` events after `cursor`, in order. Raises CursorTooOld or CursorAhead."""
    latest, floor = (await conn.execute(select(event_head.c.latest, event_head.c.floor))).one()
    if cursor < floor:
        raise CursorTooOld(floor)
    if cursor > latest:
        raise CursorAhead(f"cursor {cursor} is ahead of the log, which ends at {latest}", hint="read the state, then go on")
    rows = await conn.execute(select(events).where(events.c.cursor > cursor).order_by(events.c.cursor).limit(limit))
    return [_event(row) for row in rows.mappings()]


class EventLog:
    """The events of this store, old and live, for any number of readers.

    What the writer of this process commits is seen at once. What other processes commit (another gateway, an import) is found by
    polling once a second while somebody follows; the ring stays free of gaps because it starts anew behind any that it meets.
    """

    def __init__(self, connect: Callable[[], AbstractAsyncContextManager[AsyncConnection]]) -> None:
        self._connect = connect
        self._ring: deque[Event] = deque(maxlen=RING)
        self._news = asyncio.Event()
        self._polling = asyncio.Lock()
        self.latest = 0

    async def start(self) -> None:
        """Take `latest` from the store."""
        async with self._connect() as conn:
            self.latest = (await conn.execute(select(event_head.c.latest))).scalar_one()

    def publish(self, committed: Sequence[Event]) -> None:
        """Show followers what has just been committed. Called in the order of cursors; what is known already is passed over."""
        fresh = [event for event in committed if event.cursor > self.latest]
        if not fresh:
            return
        if fresh[0].cursor != self.latest + 1:
            self._ring.clear()
        self._ring.extend(fresh)
        self.latest = fresh[-1].cursor
        self._news.set()
        self._news = asyncio.Event()

    async def read_after(self, cursor: int, *, limit: int) -> list[Event]:
        """Up to `limit` events after `cursor`, in order, from the store. Raises CursorTooOld (go on from its `oldest`) or CursorAhead."""
        async with self._connect() as conn:
            return await fetch(conn, cursor, limit=limit)

    async def follow(self, *, after: int | None = None) -> AsyncIterator[Event]:
        """Every event after `after`, then the live ones, without end (None: from now on).

        A reader that falls behind the ring is fed from the store, a page at a time: its pace costs memory to nobody.
        Raises CursorTooOld when even the store has dropped what it would need next.
        """
        cursor = await self._now() if after is None else after
        if cursor > self.latest:
            await self.read_after(cursor, limit=1)
        while True:
            news = self._news
            page = self._remembered(cursor)
            if page is None:
                page = await self.read_after(cursor, limit=PAGE)
            for event in page:
                yield event
                cursor = event.cursor
            if not page:
                await self._wait(news)

    def _remembered(self, cursor: int) -> list[Event] | None:
        """The next page after `cursor`; None when the ring does not reach back that far."""
        if cursor >= self.latest:
            return []
        if not self._ring or self._ring[0].cursor > cursor + 1:
            return None
        first = cursor + 1 - self._ring[0].cursor
        return list(itertools.islice(self._ring, first, first + PAGE))

    async def _wait(self, news: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(POLL_S):
                await news.wait()
        except TimeoutError:
            await self._poll()

    async def _poll(self) -> None:
        if self._polling.locked():
            return  # another follower is looking already
        async with self._polling:
            before = self.latest
            async with self._connect() as conn:
                statement = select(events).where(events.c.cursor > before).order_by(events.c.cursor.desc()).limit(RING)
                found = [_event(row) for row in (await conn.execute(statement)).mappings()]
            self.publish(found[::-1])

    async def _now(self) -> int:
        await self._poll()
        return self.latest


def _event(row: object) -> Event:
    fields = dict(row)  # type: ignore[call-overload]  # a mapping of the table's columns
    return Event(fields["cursor"], fields["type"], fields["subject"], fields["at"], json.loads(fields["data"]))
