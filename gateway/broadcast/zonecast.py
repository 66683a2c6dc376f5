"""One stream for all loudspeakers of a zone: taken when every one of them is ready for it, and ended for all when it ends for one."""

import asyncio
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final

import structlog

from gateway.broadcast.pacing.stream import Stream
from gateway.clock import Clock
from gateway.domain.devices import DeviceId, MulticastGroup, Zone
from gateway.domain.remarks import Remark, RemarkKind
from gateway.drivers.base import AudioSession
from gateway.errors import DeviceError

log = structlog.get_logger()

PATIENCE_S: Final = 1.0
"""How long those that are ready for the one stream wait for the others, before each is spoken to by itself."""

Open = Callable[[MulticastGroup], AudioSession]


@dataclass(frozen=True, slots=True)
class Multicasting:
    """How groups are spoken to. `listens`: whether a loudspeaker is set up to hear its zone's group; `open`: a session to a group."""

    listens: Callable[[DeviceId], bool]
    open: Open


class ZoneCast:
    """The one stream of a broadcast to a zone, once; what goes on after an interruption is said to each by itself.

    Who ends it for one of the speakers ends it for all: a stream to a group leaves nobody out.
    """

    def __init__(self, group: MulticastGroup, speakers: Collection[DeviceId], open_: Open, clock: Clock) -> None:
        self.group = group
        self.stream: Stream | None = None
        self._awaited = set(speakers)
        self._open = open_
        self._clock = clock
        self._verdict: asyncio.Future[AudioSession | None] = asyncio.get_running_loop().create_future()
        self._patience: asyncio.Task[None] | None = None

    @property
    def together(self) -> bool:
        """Whether the one stream was taken and has not ended."""
        taken = self._verdict.done() and self._verdict.result() is not None
        return taken and (self.stream is None or not self.stream.finished.done())

    @property
    def remark(self) -> Remark:
        """What is to be known of every delivery by it."""
        return Remark(RemarkKind.ZONE_CAST, {"group": str(self.group)})

    async def join(self, speaker: DeviceId) -> AudioSession | None:
        """The session to the group, once all are ready; None when one of them is not, or not in time: speak to each by itself."""
        if not self._verdict.done():
            self._awaited.discard(speaker)
            if not self._awaited:
                self._begin()
            elif self._patience is None:
                self._patience = asyncio.create_task(self._lose_patience(), name="zone's patience")
        return await asyncio.shield(self._verdict)

    async def withdraw(self) -> None:
        """One of them will not come: nobody is to wait for it. Nothing of ours is left running when this returns."""
        self._give_up()
        if self._patience is not None:
            self._patience.cancel()
            await asyncio.wait([self._patience])

    def _begin(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
        try:
            self._verdict.set_result(self._open(self.group))
        except DeviceError as error:
            log.warning("broadcast.no_multicast", group=str(self.group), reason=error.code)
            self._verdict.set_result(None)

    async def _lose_patience(self) -> None:
        await self._clock.sleep(PATIENCE_S)
        self._give_up()

    def _give_up(self) -> None:
        if not self._verdict.done():
            self._verdict.set_result(None)


def zone_of(speakers: Iterable[DeviceId], zones: Iterable[Zone], listens: Callable[[DeviceId], bool]) -> MulticastGroup | None:
    """The group that just these speakers hear: those of one zone, no more and no fewer, and all of them set up for it."""
    wanted = frozenset(speakers)
    found = (zone.multicast for zone in zones if zone.multicast is not None and zone.speakers == wanted)
    group = next(found, None)
    return group if group is not None and len(wanted) > 1 and all(map(listens, wanted)) else None
