"""Carries one channel's messages until each has arrived or is given up: in order, but what fails again and again goes behind the others."""

import asyncio
import math
import random
from collections import Counter, deque
from collections.abc import Callable

import structlog

from gateway.clock import Clock, sleep_unless
from gateway.domain.alert_log import Fate
from gateway.domain.events import NewEvent
from gateway.errors import Overloaded, StorageFailed
from gateway.notify.channels import Channel
from gateway.notify.channels.base import ChannelFailed
from gateway.notify.wording import Notice
from gateway.storage.alerts import Waiting
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 300.0
PATIENCE = 5
"""So often a message is tried before the others are let past it."""
GIVE_UP_S = 6 * 3600.0
"""A message that could not be sent for so long is news no more."""
STORE_PAUSE_S = 2.0
LOOK_S = 30.0
DELIVERY_EVENT = "alert.delivery"

log = structlog.get_logger(__name__)


class Pacer:
    """At most so many messages in any minute: the vendors stop listening to who sends more."""

    def __init__(self, clock: Clock, per_minute: int) -> None:
        self._clock = clock
        self._sent: deque[float] = deque(maxlen=per_minute)

    @property
    def wait_s(self) -> float:
        """How long the next one has to wait; 0 when it may go now."""
        if len(self._sent) < (self._sent.maxlen or 1):
            return 0.0
        return max(0.0, self._sent[0] + 60.0 - self._clock.monotonic())

    def count(self) -> None:
        self._sent.append(self._clock.monotonic())


class Courier:
    """One channel at work. What may have been sent and is not known to be is sent again, with the same id."""

    def __init__(
        self,
        channel: Channel,
        pacer: Pacer,
        *,
        store: Store,
        clock: Clock,
        compose: Callable[[Waiting], Notice],
        rng: random.Random,
        counts: Counter[tuple[str, Fate]] | None = None,
    ) -> None:
        self.channel = channel
        self.pacer = pacer
        self._store = store
        self._clock = clock
        self._compose = compose
        self._rng = rng
        self._counts: Counter[tuple[str, Fate]] = Counter() if counts is None else counts
        self._stirred = asyncio.Event()
        self._trouble = ""
        self._in_a_row = 0
        self._aside: dict[int, float] = {}

    def stir(self) -> None:
        """Look soon: something is queued."""
        self._stirred.set()

    async def run(self) -> None:
        """Carry until cancelled; a channel that fails is told once in the log, and its return once."""
        while True:
            try:
                await self._turn()
            except (StorageFailed, Overloaded) as error:
                log.warning("alerts.store_fails", channel=self.channel.name, error=str(error))
                await self._clock.sleep(STORE_PAUSE_S)

    async def _turn(self) -> None:
        self._stirred.clear()
        async with self._store.read() as tx:
            waiting = await tx.alerts.next(self.channel.name, patience=PATIENCE, aside=self._not_yet())
        if waiting is None:
            await self._rest()
        elif (wait_s := self.pacer.wait_s) > 0:
            await self._settle(waiting, Fate.QUEUED, reason="rate-limited", detail=f"at most so many a minute; goes on in {wait_s:.0f} s")
            await self._clock.sleep(wait_s)
        else:
            await self._carry(waiting)

    def _not_yet(self) -> frozenset[int]:
        """What was put aside and is not to be tried again yet."""
        now = self._clock.monotonic()
        self._aside = {number: moment for number, moment in self._aside.items() if moment > now}
        return frozenset(self._aside)

    async def _rest(self) -> None:
        soonest = min(self._aside.values(), default=math.inf) - self._clock.monotonic()
        await sleep_unless(self._stirred, self._clock, min(LOOK_S, soonest))

    async def _carry(self, waiting: Waiting) -> None:
        attempts = waiting.attempts + 1
        try:
            self.pacer.count()
            said = await self.channel.send(self._compose(waiting))
        except ChannelFailed as error:
            await self._failed(waiting, error, attempts)
            return
        except Exception:  # one message must not stand in the way of the others
            log.exception("alerts.message_failed", channel=self.channel.name, message=waiting.message)
            mistake = ChannelFailed("a mistake of the gateway's own; its log has more", code="internal-error", again=False)
            await self._failed(waiting, mistake, attempts)
            return
        if self._trouble:
            log.info("alerts.channel_works", channel=self.channel.name)
            self._trouble = ""
        self._in_a_row = 0
        await self._settle(waiting, Fate.SENT, detail=said, attempts=attempts)

    async def _failed(self, waiting: Waiting, error: ChannelFailed, attempts: int) -> None:
        if error.code != self._trouble:
            log.warning("alerts.channel_fails", channel=self.channel.name, code=error.code, error=str(error))
        self._trouble = error.code
        age_s = (self._clock.now() - waiting.at).total_seconds()
        again = error.again and age_s + max(error.after_s, self._pause_s(attempts)) < GIVE_UP_S
        await self._settle(waiting, Fate.QUEUED if again else Fate.FAILED, reason=error.code, detail=str(error), attempts=attempts)
        if again:
            await self._clock.sleep(max(error.after_s, self._put_off(waiting.number, attempts)))

    def _put_off(self, number: int, attempts: int) -> float:
        """How long the channel pauses after a message has failed; one that the others are let past pauses alone."""
        if attempts >= PATIENCE:
            self._aside[number] = self._clock.monotonic() + self._pause_s(attempts)
            return 0.0
        self._in_a_row += 1
        return self._pause_s(self._in_a_row)

    def _pause_s(self, failures: int) -> float:
        return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 10)) * self._rng.uniform(0.75, 1.0)

    async def _settle(self, waiting: Waiting, fate: Fate, *, reason: str = "", detail: str = "", attempts: int | None = None) -> None:
        now = self._clock.now()
        told = {"channel": self.channel.name, "outcome": fate.value, "reason": reason, "detail": detail}

        async def change(tx: Tx) -> None:
            tried = waiting.attempts if attempts is None else attempts
            await tx.alerts.settle(waiting.number, fate, now=now, reason=reason, detail=detail, attempts=tried)
            if fate is not Fate.QUEUED:
                tx.emit(NewEvent(DELIVERY_EVENT, waiting.message, now, told))

        await self._store.writer.write(change, lane=Lane.HEALTH)
        if attempts is not None:  # to have waited for the pacer is no attempt
            self._counts[self.channel.name, fate] += 1
