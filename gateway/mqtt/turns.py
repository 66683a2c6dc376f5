"""Whose turn it is: commands of one priority are carried out one after the other, as they came, and wait for none of another priority."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from weakref import WeakValueDictionary

from gateway.domain.broadcast import BroadcastId, Priority
from gateway.errors import Overloaded

EMERGENCIES_AT_ONCE = 4
WAITING_MAX = 1_000  # of one priority. One more is refused (`overloaded`): only a broker of MQTT 3.1.1 sends so many unacknowledged.


class Turns:
    """By priority and by id: those of one id keep their order, whatever they are. Emergencies wait for none until there are four."""

    def __init__(self) -> None:
        self._of_priority: dict[Priority, asyncio.Semaphore] = {
            priority: asyncio.Semaphore(EMERGENCIES_AT_ONCE if priority is Priority.EMERGENCY else 1) for priority in Priority
        }
        self._of_id: WeakValueDictionary[BroadcastId, asyncio.Lock] = WeakValueDictionary()
        self._taken: Counter[Priority] = Counter()

    @contextlib.asynccontextmanager
    async def turn(self, priority: Priority, id_: BroadcastId) -> AsyncIterator[None]:
        """Wait until it may be carried out; each who waits comes in the order of the calls. Overloaded when too many wait already."""
        if self._taken[priority] >= WAITING_MAX:
            raise Overloaded(f"{WAITING_MAX} commands of this priority wait already.", hint="Send it again later.")
        self._taken[priority] += 1
        try:
            async with self._of_id.setdefault(id_, asyncio.Lock()), self._of_priority[priority]:
                yield
        finally:
            self._taken[priority] -= 1
