"""The broadcast service: takes orders, makes them durable, has them carried out, and can silence everything at once."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from gateway.broadcast.clips import ClipShelf
from gateway.broadcast.journal import Journal, delivery_event
from gateway.broadcast.leases import Leases
from gateway.broadcast.pacer import Pacer
from gateway.broadcast.performance import USUAL, Manner, Part, Stage, perform
from gateway.broadcast.routing import Route, route
from gateway.clock import Clock
from gateway.domain.broadcast import (
    Broadcast,
    BroadcastId,
    ClipId,
    Delivery,
    DeliveryState,
    Priority,
    Step,
    Targets,
    advance,
    outcome,
)
from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor, AuditEntry, NewEvent
from gateway.domain.health import Board
from gateway.drivers.base import AudioSink
from gateway.errors import Conflict, Fault, GatewayError, InvalidInput, Overloaded
from gateway.media.clips import PreparedClip
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

log = structlog.get_logger()

ACTIVE_LIMIT = 500  # broadcasts under way; the next is refused with Overloaded
_SETTLE_S = 3.0  # how long a shutdown waits for the last outcomes to be written


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be ordered. `max_speakers`: for whoever has no cap of their own; `not_after_max_s`: how far ahead a deadline may lie."""

    max_speakers: int = 20
    not_after_max_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Order:
    """A command to broadcast. `id` is the sender's: the same order sent again is answered, not repeated.

    `speaker_cap`: how many speakers the sender may reach, when the sender has a cap of its own.
    """

    id: BroadcastId
    clip: ClipId
    targets: Targets
    priority: Priority
    not_after: datetime
    actor: Actor
    case: str = ""
    speaker_cap: int | None = None


@dataclass(frozen=True, slots=True)
class View:
    """A broadcast and where it stands at each speaker."""

    broadcast: Broadcast
    deliveries: tuple[Delivery, ...]

    @property
    def open(self) -> bool:
        return any(delivery.open for delivery in self.deliveries)


@dataclass(frozen=True, slots=True)
class Stopped:
    """What stop-all ended."""

    broadcasts: int
    speakers: int


class BroadcastService:
    """All broadcasts. `run` must be running for orders to be taken; `stop_all` works always.

    `speaker_of` gives the way to a speaker; `verify` raises WrongDevice when another device answers at its address.
    """

    def __init__(
        self,
        *,
        store: Store,
        city: City,
        board: Board,
        clock: Clock,
        shelf: ClipShelf,
        speaker_of: Callable[[DeviceId], AudioSink],
        verify: Callable[[DeviceId], Awaitable[None]],
        rules: Rules = Rules(),
        manner: Manner = USUAL,
    ) -> None:
        self._store = store
        self._city = city
        self._board = board
        self._clock = clock
        self._shelf = shelf
        self._rules = rules
        self._journal = Journal(store, clock)
        self._pacer = Pacer(clock)
        setups = asyncio.Semaphore(manner.setups_at_once)
        self._stage = Stage(clock, Leases(), self._pacer, self._journal, speaker_of, verify, setups, manner)
        self._active: dict[BroadcastId, list[Part]] = {}  # bounded by ACTIVE_LIMIT
        self._accepting = 0
        self._epoch = 0
        self._group: asyncio.TaskGroup | None = None

    @property
    def taking_orders(self) -> bool:
        """Whether `run` has come so far that orders are carried out."""
        return self._group is not None

    # -- orders -------------------------------------------------------------------------------------------------------

    async def submit(self, order: Order) -> View:
        """Take an order; when this returns, it is on the disk and under way. An order that is known is answered as it stands.

        Raises InvalidInput (unknown-target, no-speaker, expired, not-after-too-far), Forbidden (too-many-speakers), NotFound (no-clip),
        Conflict (id-reused, no-healthy-speaker), Overloaded, StorageFailed.
        """
        epoch = self._epoch
        wanted = self._broadcast(order)
        known = await self._known(wanted)
        if known is not None:
            return known
        self._check_time(wanted)
        chosen = route(order.targets, self._city, self._board, cap=self._cap(order))
        clip = await self._shelf.prepared(order.clip)
        group = self._room()
        # In a task of its own: a caller that goes away must not leave an order that is durable and never carried out.
        answer: asyncio.Future[View] = asyncio.get_running_loop().create_future()
        group.create_task(self._accept(_Acceptance(group, wanted, chosen, clip, epoch, answer)), name=f"accept {order.id}")
        self._accepting += 1
        return await answer

    async def cancel(self, broadcast: BroadcastId, actor: Actor) -> View:
        """Silence one broadcast now; when this returns, that is on the disk. Raises NotFound, Conflict (has-ended), StorageFailed."""
        parts = self._active.get(broadcast)
        if parts is None:
            view = await self.get(broadcast)
            raise Conflict(f"broadcast {view.broadcast.id} has ended", code="has-ended")
        silenced = _stop(parts, "cancelled")
        self._journal.note(AuditEntry(actor, "broadcast.cancel", broadcast, self._clock.now(), {"speakers": silenced}))
        await self._journal.commit(list)
        return await self.get(broadcast)

    def stop_all(self, actor: Actor) -> Stopped:
        """Silence everything, at once and in memory; what was ordered before never plays. It is written down as soon as the store can."""
        self._epoch += 1
        self._pacer.stop_all()  # silence first, then the accounts
        stopped = [silenced for parts in self._active.values() if (silenced := _stop(parts, "stop-all"))]
        result = Stopped(len(stopped), sum(stopped))
        now = self._clock.now()
        data = {"broadcasts": result.broadcasts, "speakers": result.speakers}
        self._journal.note(AuditEntry(actor, "broadcast.stop-all", "", now, data), NewEvent("broadcast.stop-all", "", now, data))
        return result

    async def get(self, broadcast: BroadcastId) -> View:
        """Raises NotFound."""
        before = self._live()  # what leaves it while we read was in the store before we read
        async with self._store.read() as tx:
            found = await tx.broadcasts.get(broadcast)
            stored = await tx.broadcasts.deliveries(broadcast)
        return _view(found, stored, {**before, **self._live()})

    async def page(self, *, before: tuple[datetime, BroadcastId] | None = None, limit: int) -> list[View]:
        """Up to `limit` broadcasts, the latest first; `before`: go on after the one of this `created_at` and id."""
        live = self._live()
        async with self._store.read() as tx:
            found = await tx.broadcasts.page(before=before, limit=limit)
            deliveries = await tx.broadcasts.deliveries_of([broadcast.id for broadcast in found])
        live = {**live, **self._live()}
        return [_view(broadcast, deliveries[broadcast.id], live) for broadcast in found]

    async def written(self) -> None:
        """Return once everything that happened so far is in the store."""
        await self._journal.drained()

    # -- running ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Carry orders out until cancelled; what is playing then is silenced, and written down as failed."""
        await self._recover()
        async with asyncio.TaskGroup() as journal:
            writing = journal.create_task(self._journal.run(), name="broadcast journal")
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pacer.run(), name="pacer")
                    self._group = group
            finally:
                self._group = None
                await self._settle()
                writing.cancel()

    async def _settle(self) -> None:
        try:
            async with asyncio.timeout(_SETTLE_S):
                await self._journal.drained()
        except TimeoutError:
            log.warning("broadcast.outcomes_not_written")  # the next start finds these deliveries open, and calls them unknown

    async def _recover(self) -> None:
        """End what a former life of the gateway left open: it is not known to have been heard, and not tried again."""
        async with self._store.read() as tx:
            left = await tx.broadcasts.open()
        now = self._clock.now()
        for broadcast, delivery in left:
            if broadcast.id not in self._active and (broadcast.id, delivery.speaker) not in self._journal.waiting:
                lost = advance(delivery, Step.LOSE, at=now, not_after=broadcast.not_after, reason="gateway-restarted")
                self._journal.put(lost)
        if left:
            log.warning("broadcast.recovered", deliveries=len(left))

    # -- acceptance ---------------------------------------------------------------------------------------------------

    def _broadcast(self, order: Order) -> Broadcast:
        faults = [
            *(
                [Fault("/id", "must be 1 to 100 printable characters")]
                if not 1 <= len(order.id) <= 100 or not order.id.isprintable()
                else []
            ),
            *(
                [Fault("/case", "must be at most 200 printable characters")]
                if len(order.case) > 200 or not order.case.isprintable()
                else []
            ),
            *([Fault("/not_after", "must have an offset from UTC")] if order.not_after.tzinfo is None else []),
        ]
        if faults:
            raise InvalidInput("this broadcast cannot be taken", faults=faults)
        return Broadcast(order.id, order.clip, order.targets, order.priority, order.not_after, self._clock.now(), order.actor, order.case)

    async def _known(self, wanted: Broadcast) -> View | None:
        """The broadcast of this id, when it was ordered before. Raises Conflict when that was another order."""
        async with self._store.read() as tx:
            known = await tx.broadcasts.find(wanted.id)
        if known is None:
            return None
        _refuse_other(known, wanted)
        return await self.get(known.id)

    def _check_time(self, wanted: Broadcast) -> None:
        if wanted.not_after <= wanted.created_at:
            raise InvalidInput("the time of this broadcast is over", code="expired", faults=[Fault("/not_after", "has passed")])
        longest = timedelta(seconds=self._rules.not_after_max_s)
        if wanted.not_after > wanted.created_at + longest:
            why = f"must be at most {self._rules.not_after_max_s:g} s from now"
            raise InvalidInput("this broadcast could begin too late", code="not-after-too-far", faults=[Fault("/not_after", why)])

    def _cap(self, order: Order) -> int:
        return self._rules.max_speakers if order.speaker_cap is None else order.speaker_cap

    def _room(self) -> asyncio.TaskGroup:
        if self._group is None:
            raise Overloaded("the broadcast service is starting", hint="try again in a few seconds")
        if len(self._active) + self._accepting >= ACTIVE_LIMIT:
            raise Overloaded(f"{ACTIVE_LIMIT} broadcasts are under way")
        if self._journal.full:
            raise Overloaded("the store does not keep up with what was broadcast")
        return self._group

    async def _accept(self, taken: "_Acceptance") -> None:
        """Make the order durable and have it carried out; the answer is the caller's, errors included."""
        try:
            view = await self._write_down(taken)
        except GatewayError as error:
            if not taken.answer.done():
                taken.answer.set_exception(error)
        else:
            if not taken.answer.done():
                taken.answer.set_result(view)
        finally:
            self._accepting -= 1
            if not taken.answer.done():
                hint = "Ask for the broadcast by its id before you order it again."
                taken.answer.set_exception(Overloaded("the broadcast service is stopping", code="stopping", hint=hint))

    async def _write_down(self, taken: "_Acceptance") -> View:
        wanted, first = taken.wanted, _first(taken.wanted, taken.route)
        known = await self._store.writer.write(lambda tx: _insert(tx, wanted, first), lane=Lane.BROADCAST)
        if known is not None:
            return _view(*known, self._live())
        parts = [Part(wanted, delivery, self._stage) for delivery in first if delivery.open]
        left_out = [delivery for delivery in first if not delivery.open]
        self._active[wanted.id] = parts
        if taken.epoch != self._epoch:
            _stop(parts, "stop-all")
        taken.group.create_task(self._perform(wanted, parts, left_out, taken.clip), name=f"broadcast {wanted.id}")
        return _view(wanted, first, self._live())

    async def _perform(self, broadcast: Broadcast, parts: Sequence[Part], left_out: Sequence[Delivery], clip: PreparedClip) -> None:
        try:
            await perform(broadcast, parts, clip, self._stage)
        finally:
            for part in parts:  # those whose task never began
                part.end(Step.FAIL, "gateway-stopped")
            total = outcome([*left_out, *(part.delivery for part in parts)])
            counts = {state.value: count for state, count in total.counts.items()}
            self._journal.note(event=NewEvent("broadcast.ended", broadcast.id, self._clock.now(), counts))
            del self._active[broadcast.id]

    def _live(self) -> "_Live":
        """The deliveries of which memory knows more than the store."""
        parts = (part.delivery for parts in self._active.values() for part in parts)
        return dict(self._journal.waiting) | {(delivery.broadcast, delivery.speaker): delivery for delivery in parts}


_Live = Mapping[tuple[BroadcastId, DeviceId], Delivery]


@dataclass(frozen=True, slots=True)
class _Acceptance:
    """An order that has been checked, on its way into the store. `epoch`: how often all had been stopped when it came."""

    group: asyncio.TaskGroup
    wanted: Broadcast
    route: Route
    clip: PreparedClip
    epoch: int
    answer: asyncio.Future[View]


def _view(broadcast: Broadcast, stored: Sequence[Delivery], live: _Live) -> View:
    """What the store says, and where memory knows more, what memory says."""
    return View(broadcast, tuple(live.get((delivery.broadcast, delivery.speaker), delivery) for delivery in stored))


def _first(wanted: Broadcast, chosen: Route) -> list[Delivery]:
    now = wanted.created_at
    queued = [Delivery(wanted.id, speaker, DeliveryState.QUEUED, now) for speaker in (*chosen.speakers, *chosen.left_out)]
    return [
        advance(delivery, Step.FAIL, at=now, not_after=wanted.not_after, reason=reason)
        if (reason := chosen.left_out.get(delivery.speaker))
        else delivery
        for delivery in queued
    ]


async def _insert(tx: Tx, wanted: Broadcast, first: Sequence[Delivery]) -> tuple[Broadcast, list[Delivery]] | None:
    """Write the order down; None when that was done now, what is known when it was there before."""
    known = await tx.broadcasts.find(wanted.id)
    if known is not None:
        _refuse_other(known, wanted)
        return known, await tx.broadcasts.deliveries(wanted.id)
    await tx.broadcasts.add(wanted, first)
    data = {
        "clip": wanted.clip,
        "priority": wanted.priority.name.lower(),
        "not_after": wanted.not_after.isoformat(),
        "speakers": [delivery.speaker for delivery in first],
        "case": wanted.case,
    }
    tx.emit(NewEvent("broadcast.accepted", wanted.id, wanted.created_at, data | {"actor": str(wanted.actor)}))
    for delivery in first:
        if not delivery.open:
            tx.emit(delivery_event(delivery))
    tx.record(AuditEntry(wanted.actor, "broadcast.send", wanted.id, wanted.created_at, data))
    return None


def _refuse_other(known: Broadcast, wanted: Broadcast) -> None:
    if not wanted.same_order(known):
        raise Conflict(f"another broadcast has the id {known.id}", code="id-reused", hint="Use a new id for a new broadcast.")


def _stop(parts: Sequence[Part], reason: str) -> int:
    """Silence `parts`; how many were still open."""
    still = [part for part in parts if part.delivery.open]
    for part in still:
        part.stop(Step.CANCEL, reason)
    return len(still)
