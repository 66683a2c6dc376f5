"""What became of deliveries, on its way to the store: kept in memory while the store fails, so that silence never waits for a disk."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import starmap
from types import MappingProxyType

import structlog

from gateway.clock import Clock
from gateway.domain.broadcast import BroadcastId, ClipTimes, Delivery, DeliveryState, Figures, OwedStop
from gateway.domain.devices import DeviceId
from gateway.domain.events import AuditEntry, NewEvent
from gateway.domain.remarks import told_remark
from gateway.errors import GatewayError, Overloaded, StorageFailed
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

STOP_ALL_EVENT = "broadcast.stop-all"
"""The audit entry and event of silence everywhere; with the entry goes the mark that the next start asks for."""
CLIP_EVENT = "broadcast.clip"
"""What is known of when a device was told to play a clip by itself and to be silent, and when it said so."""
BACKLOG_LIMIT = 5_000  # deliveries that the store has not taken; beyond it no new broadcast is accepted
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 5.0
_NOTES_LIMIT = 1_000  # the oldest goes first: only a person pressing stop-all during a long failure of the store gets here

log = structlog.get_logger()


class Journal:
    """Writes deliveries in the order of their changes; `run` must be running."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._pending: dict[tuple[BroadcastId, DeviceId], Delivery] = {}  # bounded by BACKLOG_LIMIT, which `full` tells
        self._owed: dict[tuple[BroadcastId, DeviceId], OwedStop | None] = {}  # None: settled; bounded by what is under way
        self._clips: dict[tuple[BroadcastId, DeviceId], ClipTimes] = {}  # bounded by what is under way or owed
        self._notes: list[AuditEntry] = []
        self._events: list[NewEvent] = []
        self._one_at_a_time = asyncio.Lock()
        self._stirred = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()

    @property
    def full(self) -> bool:
        return len(self._pending) >= BACKLOG_LIMIT

    def put(self, delivery: Delivery) -> None:
        """Have `delivery` written soon."""
        self._pending[delivery.broadcast, delivery.speaker] = delivery
        self._stir()

    def owe(self, stop: OwedStop) -> None:
        """Have it written that a device is owed a stop: in the transaction of what is written next, or before."""
        self._owed[stop.broadcast, stop.speaker] = stop
        self._stir()

    def settle(self, broadcast: BroadcastId, speaker: DeviceId) -> None:
        """What a delivery had played by its device is silent: have that written soon, with its end where that is not written yet."""
        self._owed[broadcast, speaker] = None
        self._stir()

    def time(self, broadcast: BroadcastId, speaker: DeviceId, times: ClipTimes) -> None:
        """Have all that is known of the times of a clip that a device plays by itself written soon, beside its delivery."""
        self._clips[broadcast, speaker] = times
        self._stir()

    def note(self, entry: AuditEntry | None = None, event: NewEvent | None = None) -> None:
        """Have an audit row, an event, or both written soon, after what was put before."""
        self._notes += [entry] if entry else []
        self._events += [event] if event else []
        del self._notes[:-_NOTES_LIMIT], self._events[:-_NOTES_LIMIT]
        self._stir()

    @property
    def waiting(self) -> Mapping[tuple[BroadcastId, DeviceId], Delivery]:
        """The deliveries that the store does not know yet as they are now."""
        return MappingProxyType(self._pending)

    async def commit(self, deliveries: Callable[[], Sequence[Delivery]]) -> None:
        """Write what `deliveries` gives, asked at the last moment, and all that waits before it, in one transaction.

        Returns when it is on the disk; raises StorageFailed or Overloaded, and then nothing of it is.
        """
        await self._write(deliveries, Lane.BROADCAST)

    async def drained(self) -> None:
        """Return once nothing waits."""
        await self._drained.wait()

    async def run(self) -> None:
        """Write until cancelled; while the store fails, try again with growing pauses."""
        pause = _FIRST_PAUSE_S
        while True:
            await self._stirred.wait()
            try:
                await self.flush()
                pause = _FIRST_PAUSE_S
            except (StorageFailed, Overloaded) as error:
                log.warning("broadcast.journal_waits", waiting=len(self._pending), reason=str(error))
                await self._clock.sleep(pause)
                pause = min(_LONGEST_PAUSE_S, pause * 2)

    async def flush(self) -> None:
        """Write all that waits, once. What the store will never take is logged and given up, and nothing else with it."""
        try:
            await self._write(list, Lane.STOP)
        except (StorageFailed, Overloaded):
            raise
        except GatewayError:
            await self._write_apart()

    async def _write(self, more: Callable[[], Sequence[Delivery]], lane: Lane) -> None:
        async with self._one_at_a_time:
            taken, owed, clips, notes, events = dict(self._pending), dict(self._owed), dict(self._clips), self._notes, self._events
            self._notes, self._events = [], []

            def all_of_it() -> list[Delivery]:
                return [*taken.values(), *more()]

            try:
                await self._store.writer.write(_change(all_of_it, notes, events, owed, clips), lane=lane)
            except BaseException:
                self._notes, self._events = notes + self._notes, events + self._events
                raise
            self._pending = {key: delivery for key, delivery in self._pending.items() if taken.get(key) is not delivery}
            self._owed = {key: stop for key, stop in self._owed.items() if key not in owed or owed[key] is not stop}
            self._clips = {key: times for key, times in self._clips.items() if clips.get(key) is not times}
            self._rest()

    async def _write_apart(self) -> None:
        """Write what waits one by one, and give up what is refused by itself; a delivery is then said to have come to an unknown end."""
        async with self._one_at_a_time:
            for key, delivery in list(self._pending.items()):
                for told in (delivery, _unknown(delivery)):
                    if await self._write_one(_change(partial(list, [told]), (), ()), about=f"{told.broadcast} {told.speaker} {told.state}"):
                        break
                if self._pending.get(key) is delivery:
                    del self._pending[key]
            await self._write_clips_apart()
            for entry in list(self._notes):
                await self._write_one(_change(list, (entry,), ()), about=entry.action)
                self._notes = [note for note in self._notes if note is not entry]
            for event in list(self._events):
                await self._write_one(_change(list, (), (event,)), about=event.type)
                self._events = [other for other in self._events if other is not event]
            self._rest()

    async def _write_clips_apart(self) -> None:
        for pair, stop in list(self._owed.items()):
            await self._write_one(_change(list, (), (), {pair: stop}), about=f"a stop owed to {pair[1]}")
            if self._owed.get(pair) is stop:
                self._owed.pop(pair, None)
        for pair, times in list(self._clips.items()):
            await self._write_one(_change(list, (), (), clips={pair: times}), about=f"the times of a clip at {pair[1]}")
            if self._clips.get(pair) is times:
                del self._clips[pair]

    async def _write_one(self, change: Callable[[Tx], Awaitable[None]], *, about: str) -> bool:
        """Whether the store took it."""
        try:
            await self._store.writer.write(change, lane=Lane.STOP)
        except (StorageFailed, Overloaded):
            raise
        except GatewayError:
            log.exception("broadcast.journal_refused", about=about)
            return False
        return True

    def _rest(self) -> None:
        if not (self._pending or self._owed or self._clips or self._notes or self._events):
            self._stirred.clear()
            self._drained.set()

    def _stir(self) -> None:
        self._drained.clear()
        self._stirred.set()


def _unknown(delivery: Delivery) -> Delivery:
    """In place of what the store refuses: else it would be said to play, and nothing else could at its speaker."""
    return replace(delivery, state=DeliveryState.UNKNOWN, reason="internal-error", detail="", figures=Figures(), remarks=())


def _change(
    deliveries: Callable[[], Sequence[Delivery]],
    notes: Sequence[AuditEntry],
    events: Sequence[NewEvent],
    owed: Mapping[tuple[BroadcastId, DeviceId], OwedStop | None] = MappingProxyType({}),
    clips: Mapping[tuple[BroadcastId, DeviceId], ClipTimes] = MappingProxyType({}),
) -> Callable[[Tx], Awaitable[None]]:
    """What writes all of it; `deliveries` is asked inside the transaction."""

    async def change(tx: Tx) -> None:
        changed = deliveries()
        await tx.broadcasts.save(changed)
        for (broadcast, speaker), stop in owed.items():
            await (tx.owed_stops.owe(stop) if stop is not None else tx.owed_stops.settle(broadcast, speaker))
        await tx.broadcasts.time(clips)
        for event in [*map(delivery_event, changed), *starmap(_clip_event, clips.items()), *events]:
            tx.emit(event)
        for entry in notes:
            tx.record(entry)
            if entry.action == STOP_ALL_EVENT:
                await tx.broadcasts.add_stop(entry.at, entry.actor)

    return change


def _clip_event(of: tuple[BroadcastId, DeviceId], times: ClipTimes) -> NewEvent:
    broadcast, speaker = of
    data = {"speaker": speaker, **{name: at.isoformat() for name, at in times.known.items()}}
    return NewEvent(CLIP_EVENT, broadcast, max(times.known.values()), data)


def delivery_event(delivery: Delivery) -> NewEvent:
    """`broadcast.delivery`: what readers of the event log are told of one change."""
    figures = delivery.figures
    data = {
        "speaker": delivery.speaker,
        "state": delivery.state.value,
        "reason": delivery.reason,
        "detail": delivery.detail,
        "remarks": [told_remark(remark) for remark in delivery.remarks],
        "packets": figures.packets,
        "dropped": figures.dropped,
        "lost": figures.lost,
        "first_packet_at": figures.first_packet_at and figures.first_packet_at.isoformat(),
        "last_packet_at": figures.last_packet_at and figures.last_packet_at.isoformat(),
        "path": figures.path,
        "encoding": figures.encoding,
    }
    return NewEvent("broadcast.delivery", delivery.broadcast, delivery.since, data)
