"""One voice at a time: who may speak at a loudspeaker, who gives way, and who waits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from gateway.broadcast.farewells import Farewells
from gateway.broadcast.sessions import OpenSession
from gateway.domain.broadcast import Priority, Verdict, arbitrate
from gateway.domain.devices import DeviceId
from gateway.errors import Busy

WAITING_LIMIT = 8
"""At one speaker. One more: of the least important the youngest, the new one or another, is told that it is busy."""


class Holder(Protocol):
    """Who speaks at a speaker, or wants to."""

    @property
    def priority(self) -> Priority: ...

    def preempt(self) -> None:
        """Give way soon: send no more, and leave the lease."""
        ...


@dataclass(slots=True)
class _Speaker:
    running: Holder | None = None
    left: OpenSession | None = None  # by who ran last, for who runs now
    waiting: list[tuple[Holder, asyncio.Future[None]]] = field(default_factory=list)

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for it."""
        return any(not turn.done() for _, turn in self.waiting)

    def enqueue(self, holder: Holder, *, first: bool) -> asyncio.Future[None]:
        """A turn to wait for, before or after those that came earlier. It is over with Busy where too many as important ones wait."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = [entry for entry in self.waiting if not entry[1].done()]
        waiting.insert(0 if first else len(waiting), (holder, turn))
        if len(waiting) > WAITING_LIMIT:
            least = min(reversed(waiting), key=lambda entry: entry[0].priority)
            waiting.remove(least)
            least[1].set_exception(Busy(f"{WAITING_LIMIT} broadcasts as important wait already"))
        self.waiting = waiting
        return turn

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

    def __init__(self, farewells: Farewells) -> None:
        self._farewells = farewells
        self._speakers: dict[DeviceId, _Speaker] = {}

    def running(self, speaker: DeviceId) -> Holder | None:
        """Who has the speaker now."""
        entry = self._speakers.get(speaker)
        return entry.running if entry else None

    def priority(self, speaker: DeviceId) -> Priority | None:
        """How important that is which has the speaker now; None when it is free."""
        holder = self.running(speaker)
        return holder.priority if holder else None

    def leave(self, speaker: DeviceId, left: OpenSession) -> bool:
        """Who holds the speaker leaves it, and the open session with it, to the next. False when nobody waits: then it must be closed."""
        entry = self._speakers[speaker]
        if entry.awaited:
            entry.left = left
        return entry.left is left

    def take_left(self, speaker: DeviceId) -> OpenSession | None:
        """The session that the one before left open, for who holds the speaker now; it is closed for who does not ask."""
        entry = self._speakers[speaker]
        left, entry.left = entry.left, None
        return left

    @asynccontextmanager
    async def hold(self, speaker: DeviceId, holder: Holder, *, ahead: bool = False, waits: bool = True) -> AsyncIterator[None]:
        """Hold the speaker for the block; the caller bounds the wait. Raises Busy, at once or later, when too many as important wait.

        `ahead`: before others of the same priority, for who was interrupted; `waits`: where something as important has the speaker, else
        that is Busy (`speaker-busy`) at once.
        """
        entry = self._speakers.setdefault(speaker, _Speaker())
        try:
            await self._turn(entry, speaker, holder, ahead=ahead, waits=waits)
            yield
        finally:
            self._pass_on(entry, speaker, holder)

    def _pass_on(self, entry: _Speaker, speaker: DeviceId, holder: Holder) -> None:
        if entry.running is holder:
            entry.running = None
            if entry.left is not None and not entry.awaited:
                self._farewells.begin(speaker, entry.left)
                entry.left = None
        entry.grant_next()
        if entry.running is None and not entry.waiting:
            self._speakers.pop(speaker, None)

    async def _turn(self, entry: _Speaker, speaker: DeviceId, holder: Holder, *, ahead: bool, waits: bool) -> None:
        verdict = arbitrate(holder.priority, entry.running.priority if entry.running else None)
        if verdict is Verdict.TAKE:
            entry.running = holder
            return
        if verdict is Verdict.WAIT and not waits:
            raise Busy(f"{speaker}: something as important has it", code="speaker-busy")
        turn = entry.enqueue(holder, first=ahead)
        if verdict is Verdict.PREEMPT and entry.running and not turn.done():
            entry.running.preempt()
        try:
            await turn
        finally:
            turn.cancel()
