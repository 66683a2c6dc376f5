"""A trap is a hint: whoever it is about is visited at once, but not so many at once that the other checks would notice."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from gateway.clock import Clock
from gateway.domain.devices import DeviceId
from gateway.errors import GatewayError

log = structlog.get_logger()

WAITING: Final = 1_000
"""Devices that wait for a visit; beyond that, the usual checks come soon enough."""
A_SECOND: Final = 10
SPACING_S: Final = 10.0
"""Between two visits of one device for its traps: a link that flaps is not made to look dead by being asked at every flap."""


class Visits:
    """Visits in the order of hints, a bounded number a second."""

    def __init__(self, visit: Callable[[DeviceId], Awaitable[object]], clock: Clock) -> None:
        self._visit = visit
        self._clock = clock
        self._waiting: OrderedDict[DeviceId, None] = OrderedDict()
        self._visited: OrderedDict[DeviceId, float] = OrderedDict()
        self._wanted = asyncio.Event()
        self.missed = 0

    def want(self, device: DeviceId) -> None:
        """Have `device` visited soon; nothing when it waits already or was visited a moment ago."""
        if device in self._waiting or self._clock.monotonic() - self._visited.get(device, -SPACING_S) < SPACING_S:
            return
        if len(self._waiting) >= WAITING:
            self.missed += 1
            return
        self._waiting[device] = None
        self._wanted.set()

    async def run(self) -> None:
        """Visit until cancelled."""
        while True:
            await self._wanted.wait()
            device, _ = self._waiting.popitem(last=False)
            if not self._waiting:
                self._wanted.clear()
            self._visited[device] = self._clock.monotonic()
            self._visited.move_to_end(device)
            if len(self._visited) > 2 * WAITING:
                self._visited.popitem(last=False)
            try:
                await self._visit(device)
            except GatewayError as error:
                log.info("traps.no_visit", device=device, reason=error.code)
            await self._clock.sleep(1 / A_SECOND)
