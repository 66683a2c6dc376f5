"""What the store forgets by itself: old events, idempotency keys and clocks, never audit rows; and the checkpoints that join the chains."""

from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy import delete, select, update

from gateway.clock import Clock
from gateway.domain.events import NewEvent
from gateway.errors import GatewayError
from gateway.storage.events import event_head, events
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

STEP = 2_000  # events dropped in one change, so that nobody waits long for the writer
PAUSE_S = 600.0
LOOK_S = 5.0  # how often a store that fails is tried again


@dataclass(frozen=True, slots=True)
class Keep:
    """How long, and how many: an event goes when it is beyond either bound."""

    events_for: timedelta = timedelta(days=30)
    events_at_most: int = 5_000_000
    idempotency_for: timedelta = timedelta(hours=48)
    clocks_for: timedelta = timedelta(days=400)  # longer than any footage is kept


class Housekeeper:
    """Forgets what `keep` allows and writes an audit checkpoint, every ten minutes."""

    def __init__(self, store: Store, *, clock: Clock, keep: Keep) -> None:
        self._store = store
        self._clock = clock
        self._keep = keep
        self._log = structlog.get_logger()
        self._trouble = ""

    async def run(self) -> None:
        """Go round until cancelled; a round that the store refuses is logged and tried again."""
        while True:
            try:
                await self.tidy()
            except GatewayError as error:
                self._log.warning("store.not_tidied", code=error.code, reason=str(error))
            await self._rest()

    async def tidy(self) -> int:
        """One round; how many events were dropped."""
        write = self._store.writer.write
        dropped = 0
        while step := await write(self._drop_events, lane=Lane.HEALTH):
            dropped += step
        await write(self._drop_keys, lane=Lane.HEALTH)
        await write(self._drop_clocks, lane=Lane.HEALTH)
        await self._store.checkpoint()
        return dropped

    async def _rest(self) -> None:
        """Wait for the next round. When the store fails meanwhile, try it until it works, and have the event log tell of it."""
        until = self._clock.monotonic() + PAUSE_S
        while (left := until - self._clock.monotonic()) > 0:
            await self._clock.sleep(min(left, LOOK_S))
            self._trouble = self._store.writer.trouble or self._trouble
            if self._trouble:
                await self._try_store()

    async def _try_store(self) -> None:
        event = NewEvent("store.recovered", "", self._clock.now(), {"reason": self._trouble})

        async def change(tx: Tx) -> None:
            tx.emit(event)

        try:
            await self._store.writer.write(change, lane=Lane.HEALTH)
        except GatewayError as error:
            self._log.warning("store.fails", code=error.code, reason=str(error))
        else:
            self._trouble = ""

    async def _drop_events(self, tx: Tx) -> int:
        """Drop up to `STEP` of the oldest events; always a prefix of the log, so that what is kept has no gap."""
        latest, floor = (await tx.conn.execute(select(event_head.c.latest, event_head.c.floor))).one()
        end = max(floor, latest - self._keep.events_at_most, await self._aged(tx, floor, latest))
        end = min(end, floor + STEP)
        if end == floor:
            return 0
        await tx.conn.execute(delete(events).where(events.c.cursor <= end))
        await tx.conn.execute(update(event_head).where(event_head.c.floor < end).values(floor=end))
        return int(end - floor)

    async def _aged(self, tx: Tx, floor: int, latest: int) -> int:
        """The cursor up to which all events are too old, looking no further than one step."""
        oldest_kept = self._clock.now() - self._keep.events_for
        young = select(events.c.cursor).where(events.c.cursor > floor, events.c.cursor <= floor + STEP, events.c.at >= oldest_kept)
        first: int | None = await tx.conn.scalar(young.order_by(events.c.cursor).limit(1))
        return min(latest, floor + STEP) if first is None else first - 1

    async def _drop_keys(self, tx: Tx) -> int:
        return await tx.idempotency.forget(before=self._clock.now() - self._keep.idempotency_for)

    async def _drop_clocks(self, tx: Tx) -> None:
        await tx.clocks.forget(before=self._clock.now() - self._keep.clocks_for)
