"""Finds the way to every loudspeaker before it is needed, so that the first word is not delayed by the search."""

from collections.abc import Callable
from typing import Final, Protocol

import structlog

from gateway.clock import Clock
from gateway.domain.city import City
from gateway.domain.devices import DeviceId, DeviceKind
from gateway.errors import GatewayError

log = structlog.get_logger()

APART_S: Final = 0.1
AGAIN_S: Final = 300.0
TIMEOUT_S: Final = 5.0


class Preparable(Protocol):
    async def prepare(self, *, timeout_s: float) -> None:
        """Do what can be done ahead; nothing when it was done."""
        ...


class WarmUp:
    """Goes round the loudspeakers of `city`, one at a time; those that did not answer are asked again in the next round."""

    def __init__(self, *, city: City, clock: Clock, speaker_of: Callable[[DeviceId], Preparable]) -> None:
        self._city = city
        self._clock = clock
        self._speaker_of = speaker_of

    async def run(self) -> None:
        """Go round until cancelled."""
        while True:
            await self.round()
            await self._clock.sleep(AGAIN_S)

    async def round(self) -> int:
        """Prepare every loudspeaker once; how many are not ready."""
        failed = 0
        for speaker in list(self._city.of_kind(DeviceKind.SPEAKER)):
            try:
                await self._speaker_of(speaker.id).prepare(timeout_s=TIMEOUT_S)
            except GatewayError:
                failed += 1  # health says why
            await self._clock.sleep(APART_S)
        log.info("broadcast.warmed-up", not_ready=failed)
        return failed
