"""Finds the way to every loudspeaker before it is needed, and brings it the clips that it is to have, so that no first word is delayed."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, Protocol, runtime_checkable

import structlog

from gateway.clock import Clock
from gateway.domain.city import City
from gateway.domain.devices import DeviceId, DeviceKind
from gateway.drivers.base import DeviceClip
from gateway.errors import GatewayError

log = structlog.get_logger()

APART_S: Final = 0.1
AGAIN_S: Final = 300.0
TIMEOUT_S: Final = 5.0


@runtime_checkable
class Preparable(Protocol):
    async def prepare(self, *, timeout_s: float) -> None:
        """Do what can be done ahead; nothing when it was done."""
        ...


@runtime_checkable
class Keeper(Protocol):
    """A loudspeaker that may keep clips."""

    @property
    def keeps_clips(self) -> bool: ...

    async def keep(self, clips: Sequence[DeviceClip], *, timeout_s: float) -> None:
        """Bring it those that it has not, each in `timeout_s`."""
        ...


async def _none() -> Sequence[DeviceClip]:
    return ()


async def _nothing() -> None:
    return


async def find_ways(ways: Iterable[object], *, timeout_s: float) -> None:
    """Prepare those of `ways` that can be, all at once. One that fails says so when it is used."""

    async def find(way: Preparable) -> None:
        with contextlib.suppress(GatewayError):
            await way.prepare(timeout_s=timeout_s)

    await asyncio.gather(*(find(way) for way in ways if isinstance(way, Preparable)))


class WarmUp:
    """Goes round the loudspeakers of `city`, one at a time; those that did not answer are asked again in the next round.

    `ahead` gives the clips that loudspeakers shall have before they are wanted, those first that matter most.
    """

    def __init__(
        self,
        *,
        city: City,
        clock: Clock,
        speaker_of: Callable[[DeviceId], Preparable],
        ahead: Callable[[], Awaitable[Sequence[DeviceClip]]] = _none,
        load: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        """`load` brings into memory what the first talk with any device would wait for."""
        self._load = load
        self._ahead = ahead
        self._city = city
        self._clock = clock
        self._speaker_of = speaker_of

    async def run(self) -> None:
        """Go round until cancelled."""
        await self._load()
        while True:
            await self.round()
            await self._clock.sleep(AGAIN_S)

    async def round(self) -> int:
        """Prepare every loudspeaker once; how many are not ready."""
        failed, clips = 0, None
        for speaker in list(self._city.of_kind(DeviceKind.SPEAKER)):
            try:
                found = self._speaker_of(speaker.id)
                await found.prepare(timeout_s=TIMEOUT_S)
                if isinstance(found, Keeper) and found.keeps_clips:
                    clips = await self._ahead() if clips is None else clips
                    await found.keep(clips, timeout_s=TIMEOUT_S)
            except GatewayError:
                failed += 1  # health says why
            await self._clock.sleep(APART_S)
        log.info("broadcast.warmed-up", not_ready=failed)
        return failed
