"""The one writer: every change waits in a lane, goes into a group commit, and is acknowledged after that commit."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeVar

import structlog
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.domain.events import AuditEntry, Event
from gateway.errors import Conflict, InvalidInput, Overloaded, StorageFailed
from gateway.storage import audit, events
from gateway.storage.engine import reason
from gateway.storage.savepoint import MovingSavepoint
from gateway.storage.tx import Tx

T = TypeVar("T")
Change = Callable[[Tx], Awaitable[T]]

GROUP = 200  # changes in one commit at most
GROUP_S = 0.010  # how long a commit waits for company; not at all for what a person waits to hear
CHANGE_TIMEOUT_S = 10.0  # one change may hold up the others no longer
DRAIN_S = 10.0  # how long a shutdown waits for what has been accepted


class Lane(IntEnum):
    """Who goes first. A lane is served before all lanes below it; inside one, first come, first served."""

    STOP = 0
    BROADCAST = 1
    FOOTAGE = 2
    HEALTH = 3


# A full lane refuses with Overloaded, at once; the other lanes do not notice.
BOUNDS = {Lane.STOP: 1_000, Lane.BROADCAST: 5_000, Lane.FOOTAGE: 2_000, Lane.HEALTH: 10_000}
_URGENT = (Lane.STOP, Lane.BROADCAST)


@dataclass(slots=True, eq=False)
class _Item:
    change: Change[Any]
    answer: asyncio.Future[Any]


@dataclass(slots=True)
class _Done:
    item: _Item
    result: Any = None
    error: Exception | None = None

    def tell(self) -> None:
        if self.item.answer.done():
            return  # the caller has gone; what it asked for stands all the same
        if self.error is not None:
            self.item.answer.set_exception(self.error)
        else:
            self.item.answer.set_result(self.result)


class Writer:
    """Serialises all changes of this process.

    `run` must be running for a change to get on. A change is an async function of a `Tx`; it does database work and nothing else, since
    others wait for it, and it may be run when its caller has already gone.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        transaction: Callable[[AsyncConnection], Tx],
        publish: Callable[[Sequence[Event]], None],
        chain: str,
    ) -> None:
        self._engine = engine
        self._transaction = transaction
        self._publish = publish
        self._chain = chain
        self._lanes: dict[Lane, deque[_Item]] = {lane: deque() for lane in Lane}  # each bounded by its lane's own size, see `write`
        self._waiting = asyncio.Event()
        self._go = asyncio.Event()
        self._closing = False
        self._log = structlog.get_logger()
        self.commits = 0
        self.failures = 0
        self.trouble = ""  # why the last commit failed; "" once something has been stored again

    async def write(self, change: Change[T], *, lane: Lane) -> T:
        """What `change` returns, once it is on the disk.

        Raises what `change` raises (nothing of it is stored; Conflict for a broken constraint), Overloaded when the lane is full,
        StorageFailed when the commit fails or the writer is closing. A caller that is cancelled while it waits does not know
        whether the change was made: it is dropped if it had not begun, and otherwise stands or falls with its commit.
        """
        if self._closing:
            raise StorageFailed("the store is closing", code="closing")
        queue = self._lanes[lane]
        if len(queue) >= BOUNDS[lane]:
            raise Overloaded(f"{len(queue)} changes wait in the lane {lane.name.lower()}", hint="the disk is too slow or the load too high")
        item = _Item(change, asyncio.get_running_loop().create_future())
        queue.append(item)
        self._waiting.set()
        if lane in _URGENT or self.depth >= GROUP:
            self._go.set()
        answer: T = await item.answer
        return answer

    async def settle(self, lane: Lane) -> None:
        """Wait until all that was given to `lane` before stands or has fallen: a caller that was cancelled meanwhile knows of neither.

        Raises Overloaded and StorageFailed as `write` does.
        """
        await self.write(_nothing, lane=lane)

    @property
    def depth(self) -> int:
        """How many changes wait."""
        return sum(map(len, self._lanes.values()))

    @property
    def waiting(self) -> Mapping[Lane, int]:
        """How many changes wait in each lane."""
        return {lane: len(queue) for lane, queue in self._lanes.items()}

    async def run(self) -> None:
        """Commit changes until cancelled; then accept no more, commit what was accepted, and end."""
        self._closing = False
        work = asyncio.create_task(self._work(), name="writer")  # owned here: shielded, so that a shutdown never cuts a transaction
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            self._closing = True
            self._waiting.set()
            self._go.set()
            await asyncio.wait([work], timeout=DRAIN_S)
            raise
        finally:
            work.cancel()
            self._refuse_rest()

    async def _work(self) -> None:
        while batch := await self._collect():
            await self._commit(batch)

    async def _collect(self) -> list[_Item]:
        """The next group, in the order of lanes; empty when the writer closes and nothing waits."""
        while True:
            if not self.depth:
                if self._closing:
                    return []
                self._waiting.clear()
                await self._waiting.wait()
            await self._gather()
            if batch := self._take():
                return batch

    async def _gather(self) -> None:
        if self._closing or self.depth >= GROUP or any(self._lanes[lane] for lane in _URGENT):
            return
        self._go.clear()
        try:
            async with asyncio.timeout(GROUP_S):
                await self._go.wait()
        except TimeoutError:
            pass  # nobody else came

    def _take(self) -> list[_Item]:
        batch: list[_Item] = []
        for queue in self._lanes.values():
            while queue and len(batch) < GROUP:
                item = queue.popleft()
                if not item.answer.done():
                    batch.append(item)
        return batch

    async def _commit(self, batch: list[_Item]) -> None:
        try:
            outcomes, committed = await self._transact(batch)
        except Exception as error:
            self.failures += 1
            self.trouble = reason(error)
            self._log.error("store.commit_failed", changes=len(batch), reason=reason(error))
            for item in batch:
                _Done(item, error=StorageFailed(f"the store did not take the change: {reason(error)}")).tell()
            return
        self.commits += 1
        if committed:  # a commit without a change succeeds on a full disk, too
            self.trouble = ""
        self._publish(committed)
        for outcome in outcomes:
            outcome.tell()

    async def _transact(self, batch: list[_Item]) -> tuple[list[_Done], list[Event]]:
        outcomes: list[_Done] = []
        emitted: list[dict[str, object]] = []
        recorded: list[AuditEntry] = []
        async with self._engine.begin() as conn:
            savepoint = MovingSavepoint(conn)
            for item in batch:
                tx = self._transaction(conn)
                outcome = await _apply(savepoint, item, tx)
                outcomes.append(outcome)
                if outcome.error is None:
                    emitted += tx.emitted
                    recorded += tx.recorded
            savepoint.end()
            await audit.append(conn, self._chain, recorded)
            committed = await events.append(conn, emitted)
        return outcomes, committed

    def _refuse_rest(self) -> None:
        for queue in self._lanes.values():
            while queue:
                _Done(queue.popleft(), error=StorageFailed("the store is closing", code="closing")).tell()


async def _apply(savepoint: MovingSavepoint, item: _Item, tx: Tx) -> _Done:
    """Make one change, or none of it. Raises only when the transaction itself is lost, and the group with it."""
    await savepoint.mark()
    try:
        async with asyncio.timeout(CHANGE_TIMEOUT_S):
            return _Done(item, await item.change(tx))
    except Exception as error:
        await savepoint.undo()
        return _Done(item, error=_translated(error))


def _translated(error: Exception) -> Exception:
    """The database's refusals in our own terms; everything else as it is."""
    if isinstance(error, IntegrityError):
        return _because(error, Conflict(f"the store refuses it: {reason(error)}", code="constraint"))
    if isinstance(error, DataError | UnicodeEncodeError) or _data_exception(error):
        return _because(error, InvalidInput(f"the store cannot hold it: {reason(error)}", code="not-storable"))
    if isinstance(error, SQLAlchemyError):
        return _because(error, StorageFailed(f"the store failed: {reason(error)}"))
    if isinstance(error, TimeoutError):
        return _because(error, StorageFailed(f"the change took longer than {CHANGE_TIMEOUT_S} s", code="too-slow"))
    return error


def _data_exception(error: Exception) -> bool:
    """True for PostgreSQL's class 22, the driver's own refusals included."""
    return str(getattr(getattr(error, "orig", None), "sqlstate", None)).startswith("22")


def _because(cause: Exception, error: Exception) -> Exception:
    error.__cause__ = cause
    return error


async def _nothing(_tx: Tx) -> None:
    return
