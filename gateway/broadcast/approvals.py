"""Broadcasts that reach further than one person may: they wait for a second one, and nothing of them is heard before."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from gateway.broadcast.performance import Part
from gateway.clock import Clock
from gateway.domain.broadcast import Broadcast, DeliveryState
from gateway.domain.broadcast_rules import check_second_person
from gateway.domain.events import Person


class Asked:
    """One broadcast that waits for a second person. It is decided when somebody has decided, or none of it is left to decide on."""

    def __init__(self, broadcast: Broadcast, asker: Person, parts: Sequence[Part]) -> None:
        self.broadcast = broadcast
        self._asker = asker
        self._parts = parts
        self._decided = asyncio.Event()

    @property
    def waiting(self) -> Sequence[Part]:
        """What may still be decided on."""
        return [part for part in self._parts if part.delivery.state is DeliveryState.AWAITING_APPROVAL]

    def check(self, by: Person) -> None:
        """Raises Forbidden (`second-person`) when `by` is the one who ordered it."""
        check_second_person(self._asker, by)

    def settle(self) -> None:
        """Somebody has decided, or silenced it."""
        self._decided.set()

    async def answered(self, clock: Clock) -> None:
        """Return once it is decided; what is not by its time has expired."""
        async with asyncio.TaskGroup() as group:
            expiry = group.create_task(self._expire(clock), name=f"approval {self.broadcast.id}")
            await self._decided.wait()
            expiry.cancel()

    async def _expire(self, clock: Clock) -> None:
        await clock.sleep((self.broadcast.not_after - clock.now()) / timedelta(seconds=1))
        for part in self.waiting:
            part.expire()
        self._decided.set()
