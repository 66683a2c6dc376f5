"""One voice at a time: who may speak at a loudspeaker, who gives way, and who waits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from gateway.domain.broadcast import Priority, Verdict, arbitrate
from gateway.domain.devices import DeviceId
from gateway.errors import Busy

WAITING_LIMIT = 8  # at one speaker; the next one is refused as busy


class Holder(Protocol):
    """Who speaks at a speaker, or wants to."""

    @property
    def priority(self) -> Priority: ...

    def preempt(self) -> None:
        """Give way soon: end the session, then leave the lease."""
        ...


@dataclass(slots=True)
class _Speaker:
    running: Holder | None = None
    waiting: list[tuple[Holder, asyncio.Future[None]]] = field(default_factory=list)

    def grant_next(self) -> None:
        """Give the speaker to the most important of those who wait; among equals, to the first that came."""
        self.waiting = [(holder, turn) for holder, turn in self.waiting if not turn.done()]
        if self.running is None and self.waiting:
            chosen = max(self.waiting, key=lambda entry: entry[0].priority)
            self.waiting.remove(chosen)
            self.running = chosen[0]
            chosen[1].set_result(None)


class Leases:
    """The leases of all speakers, in memory: a restart of the gateway ends them all."""

    def __init__(self) -> None:
        self._speakers: dict[DeviceId, _Speaker] = {}

    def running(self, speaker: DeviceId) -> Holder | None:
        """Who has the speaker now."""
        entry = self._speakers.get(speaker)
        return entry.running if entry else None

    @asynccontextmanager
    async def hold(self, speaker: DeviceId, holder: Holder) -> AsyncIterator[None]:
        """Hold the speaker for the block; the caller bounds the wait. Raises Busy when too many wait already."""
        entry = self._speakers.setdefault(speaker, _Speaker())
        try:
            await self._turn(entry, speaker, holder)
            yield
        finally:
            if entry.running is holder:
                entry.running = None
            entry.grant_next()
            if entry.running is None and not entry.waiting:
                self._speakers.pop(speaker, None)

    async def _turn(self, entry: _Speaker, speaker: DeviceId, holder: Holder) -> None:
        verdict = arbitrate(holder.priority, entry.running.priority if entry.running else None)
        if verdict is Verdict.TAKE:
            entry.running = holder
            return
        if len(entry.waiting) >= WAITING_LIMIT:
            raise Busy(f"{speaker}: {WAITING_LIMIT} broadcasts wait already")
        if verdict is Verdict.PREEMPT and entry.running:
            entry.running.preempt()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry.waiting.append((holder, turn))
        try:
            await turn
        finally:
            turn.cancel()
