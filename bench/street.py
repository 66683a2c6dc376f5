"""A street of loudspeakers on simulated time: what stands at which address, how it is reached, and what was truly heard."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from gateway.clock import Clock
from gateway.domain.devices import DeviceId
from gateway.domain.speaking import SpeakerPath
from gateway.drivers.base import AudioFormat, Hardware, Identity
from gateway.errors import Busy, DeviceError, DeviceFault, Unreachable

SILENCE = 0xD5  # of the A-law (ITU-T G.711)


class Heard(NamedTuple):
    """One packet as a loudspeaker heard it. `sound`: which broadcast it belongs to; `at`: true seconds; `wall`: the gateway's clock."""

    sound: int
    number: int
    at: float
    wall: datetime


@dataclass(slots=True)
class Horn:
    """A loudspeaker, wherever it hangs."""

    serial: str
    heard: list[Heard] = field(default_factory=list)


@dataclass(slots=True)
class Place:
    """What answers at a speaker's address. `changes`: how often that has changed, since no connection outlives a change."""

    horn: Horn | None
    changes: int = 0

    def hang(self, horn: Horn | None) -> None:
        self.horn = horn
        self.changes += 1


class Street:
    """All addresses. `alive`: whether the gateway of today lives, since the dead send nothing."""

    def __init__(self, speakers: Sequence[DeviceId], clock: Clock, chance: random.Random) -> None:
        self.clock = clock
        self.chance = chance
        self.places = {speaker: Place(Horn(f"serial-{speaker}")) for speaker in speakers}
        self.horns = {place.horn.serial: place.horn for place in self.places.values() if place.horn}

    async def reach(self, speaker: DeviceId, timeout_s: float) -> Horn:
        """The loudspeaker that answers at the address of `speaker`, now or as soon as one does. Unreachable after `timeout_s`."""
        until = self.clock.monotonic() + timeout_s
        await self.clock.sleep(self.chance.uniform(0.001, 0.05))
        while (horn := self.places[speaker].horn) is None:
            if self.clock.monotonic() >= until:
                raise Unreachable("nothing answers", code="timeout")
            await self.clock.sleep(0.25)
        return horn

    async def swap(self, one: DeviceId, other: DeviceId, outage_s: float) -> None:
        """Hang the loudspeakers of two addresses each at the place of the other; meanwhile nothing answers at either."""
        places = self.places[one], self.places[other]
        horns = places[0].horn, places[1].horn
        for place in places:
            place.hang(None)
        await self.clock.sleep(outage_s)
        places[0].hang(horns[1])
        places[1].hang(horns[0])


class Way:
    """The gateway's way to one speaker: its `AudioSink` and its `IdentitySource`. `step` is told what it is about to do."""

    def __init__(self, street: Street, speaker: DeviceId, alive: Callable[[], bool], step: Callable[[], None]) -> None:
        self._street = street
        self._speaker = speaker
        self._alive = alive
        self._step = step

    async def identity(self, *, timeout_s: float) -> Identity:
        horn = await self._street.reach(self._speaker, timeout_s)
        return Identity("Simulated", "horn", "1", horn.serial)

    async def hardware(self, *, fresh_s: float, timeout_s: float) -> Hardware:  # noqa: ARG002 (they have none)
        await self._street.reach(self._speaker, timeout_s)
        return Hardware((), self._street.clock.monotonic())

    async def prepare(self, *, timeout_s: float) -> None:
        """Nothing can be done ahead."""

    async def open_audio(self, *, prefer: Sequence[str], timeout_s: float) -> "Session":  # noqa: ARG002 (it takes the A-law alone)
        self._step()
        chance = self._street.chance
        horn = await self._street.reach(self._speaker, timeout_s)
        place = self._street.places[self._speaker]
        changes = place.changes
        await self._street.clock.sleep(chance.choice((0.005, 0.02, 0.1, 0.6, 3.0)))
        if chance.random() < 0.08:
            raise chance.choice(_FAILURES)()
        if place.changes != changes:
            raise Unreachable("the connection is lost", code="reset")
        self._step()
        return Session(self._street, horn, lambda: self._alive() and place.changes == changes, self._step)


_FAILURES: tuple[Callable[[], DeviceError], ...] = (
    lambda: Busy("somebody else is talking"),
    lambda: DeviceFault("500", code="rtsp-500"),
    lambda: Unreachable("the connection is lost", code="reset"),
)


class Session:
    """The `AudioSession` of `drivers.base`: what is sent is heard, but for a packet lost now and then."""

    def __init__(self, street: Street, horn: Horn, joined: Callable[[], bool], step: Callable[[], None]) -> None:
        self.format = AudioFormat("PCMA", 8_000, 8)
        self.path = SpeakerPath.BACKCHANNEL
        self.line = None
        self.missed: int | None = None
        self._street = street
        self._horn = horn
        self._joined = joined
        self._step = step
        self._closed = False

    @property
    def ended(self) -> bool:
        return self._closed or not self._joined()

    def send(self, payload: bytes, *, timestamp: int, marker: bool) -> bool:  # noqa: ARG002 (the horn plays what comes)
        self._step()
        if not self._joined() or self._closed:
            return False
        if payload[0] != SILENCE and self._street.chance.random() > 0.01:
            clock = self._street.clock
            self._horn.heard.append(Heard(payload[0], payload[1], clock.monotonic(), clock.now()))
        return True

    async def close(self) -> None:
        self._closed = True


def sound(number: int, packets: int) -> dict[str, Any]:
    """A sound that tells, packet by packet, which broadcast it belongs to (1 to 200) and which packet it is."""
    parts = [bytes([number, index]) + bytes([SILENCE]) * 158 for index in range(packets)]
    coded = b"".join(parts)
    return {"pcm": bytes(2 * len(coded)), "encodings": {"PCMA": coded, "PCMU": coded}}
