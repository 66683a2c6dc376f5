"""Sessions that are being ended, whoever has the speaker meanwhile: who comes next waits for that, and what is urgent not for long."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

import structlog

from gateway.broadcast.sessions import OpenSession
from gateway.clock import Clock, sleep_unless
from gateway.domain.devices import DeviceId

log = structlog.get_logger()

PATIENCE_S: Final = 0.1
"""So long what is urgent waits for a device to confirm the end of the last session: a round trip. One that hangs has 1-2 s for it."""


@dataclass(slots=True)
class _Leaving:
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Farewells:
    """The last words to all speakers, on their way."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._leaving: dict[DeviceId, _Leaving] = {}  # bounded: each session ends by itself, soon

    def begin(self, speaker: DeviceId, session: OpenSession) -> None:
        """Have a session ended to which nobody sends any more."""
        leaving = self._leaving.setdefault(speaker, _Leaving())
        task = asyncio.create_task(_end(speaker, session), name=f"farewell {speaker}")  # owned here: see `finished`
        leaving.tasks.add(task)
        task.add_done_callback(lambda ended: self._done(speaker, leaving, ended))

    def under_way(self, speaker: DeviceId) -> bool:
        """Whether the device may not know yet that it is free."""
        return speaker in self._leaving

    async def over(self, speaker: DeviceId, *, within_s: float | None = None) -> None:
        """Return once no session with the speaker is being ended any more, or that has taken so long."""
        leaving = self._leaving.get(speaker)
        if leaving is None:
            return
        if within_s is None:
            await leaving.over.wait()
        else:
            await sleep_unless(leaving.over, self._clock, within_s)

    async def finished(self) -> None:
        """Return once all that were begun are over."""
        for leaving in list(self._leaving.values()):
            await leaving.over.wait()

    def _done(self, speaker: DeviceId, leaving: _Leaving, ended: "asyncio.Task[None]") -> None:
        leaving.tasks.discard(ended)
        if not leaving.tasks:
            del self._leaving[speaker]
            leaving.over.set()


async def _end(speaker: DeviceId, session: OpenSession) -> None:
    try:
        await session.close()
    except Exception:  # a defect of ours must not keep the speaker from who comes next
        log.exception("broadcast.session_not_ended", speaker=speaker)
