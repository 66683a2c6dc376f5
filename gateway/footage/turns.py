"""Who may have a recorder replay something, and when: few in all, and of each recorder as many as it is seen to bear.

A recorder begins with one replay at a time. Each that ends well allows one more; one that it refuses for being busy, or lets stall, halves
what is allowed, and so does ill health, for as long as it lasts. Whoever waits for an idle recorder goes first.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from gateway.domain.devices import DeviceId


class Turns:
    """`in_all`: replays at once of all recorders together. `ailing`: whether a recorder should be spared."""

    def __init__(self, in_all: int, *, ailing: Callable[[DeviceId], bool] = lambda _: False) -> None:
        self._in_all = in_all
        self._ailing = ailing
        self._running: Counter[DeviceId] = Counter()
        self._allowed: dict[DeviceId, int] = {}
        self._waiting: list[tuple[DeviceId, asyncio.Future[None]]] = []

    def allowed(self, recorder: DeviceId) -> int:
        """How many replays at once it may be asked for now."""
        return 1 if self._ailing(recorder) else self._allowed.get(recorder, 1)

    @asynccontextmanager
    async def turn(self, recorder: DeviceId) -> AsyncIterator[None]:
        """The right to have `recorder` replay something, once it can be given."""
        await self._admission(recorder)
        try:
            yield
        finally:
            self._leave(recorder)

    def went_well(self, recorder: DeviceId) -> None:
        """A replay ended well."""
        self._allowed[recorder] = min(self._in_all, self._allowed.get(recorder, 1) + 1)
        self._admit()

    def held_up(self, recorder: DeviceId) -> None:
        """A replay was refused because the recorder is busy, or stalled."""
        self._allowed[recorder] = max(1, self._allowed.get(recorder, 1) // 2)

    async def _admission(self, recorder: DeviceId) -> None:
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((recorder, admitted))
        self._admit()
        try:
            await admitted
        except asyncio.CancelledError:
            if admitted.cancelled():  # while it waited, and not just after it had been let in
                self._waiting.remove((recorder, admitted))
            else:
                self._leave(recorder)
            raise

    def _leave(self, recorder: DeviceId) -> None:
        self._running[recorder] -= 1
        self._admit()

    def _admit(self) -> None:
        while self._running.total() < self._in_all and (place := self._next()) is not None:
            recorder, admitted = self._waiting.pop(place)
            self._running[recorder] += 1
            admitted.set_result(None)

    def _next(self) -> int | None:
        """The place of whoever is next: the first for a recorder that is idle, else for one that bears more."""
        bears = [
            place
            for place, (recorder, admitted) in enumerate(self._waiting)
            if not admitted.cancelled() and self._running[recorder] < self.allowed(recorder)
        ]
        idle = (place for place in bears if not self._running[self._waiting[place][0]])
        return next(idle, bears[0] if bears else None)
