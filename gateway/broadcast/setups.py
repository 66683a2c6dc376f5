"""How many sessions are set up at once: what is urgent has places of its own, so that it waits for no device that hangs under a notice."""

import asyncio

from gateway.domain.broadcast import Priority


class Setups:
    """So many places `at_once` for each share: emergencies, talks, and all else. Who finds none waits, first come first served."""

    def __init__(self, at_once: int) -> None:
        self._usual = asyncio.Semaphore(at_once)
        self._urgent = {priority: asyncio.Semaphore(at_once) for priority in (Priority.TALK, Priority.EMERGENCY)}

    def place(self, priority: Priority) -> asyncio.Semaphore:
        """Hold it for as long as a session is being set up for what has this `priority`."""
        return self._urgent.get(priority, self._usual)
