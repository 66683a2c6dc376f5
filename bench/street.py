"""A street of loudspeakers on simulated time: what stands at which address, how it is reached, and what was truly heard."""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from gateway.clock import Clock
from gateway.domain.speaking import SpeakerPath
from gateway.drivers.base import AudioFormat, DeviceClock, Hardware, Identity
from gateway.errors import Busy, DeviceError, DeviceFault, Unreachable

SILENCE = 0xD5  # of the A-law (ITU-T G.711)


class Heard(NamedTuple):
    """One packet as a loudspeaker heard it. `sound`: which broadcast it belongs to; `at`: true seconds; `wall`: the gateway's clock."""

    sound: int
    number: int
    at: float
    wall: datetime


MAKER, MODEL, SHARED_SERIAL = "Simulated", "horn", "123456789"


@dataclass(slots=True)
class Horn:
    """A loudspeaker, wherever it hangs. `told`: the serial number that it tells; `hardware`: its hardware address."""

    serial: str
    told: str
    hardware: str
    heard: list[Heard] = field(default_factory=list)


@dataclass(slots=True)
class Place:
    """What answers at an address. `changes`: how often that has changed, since no connection outlives a change."""

    horn: Horn | None = None
    changes: int = 0

    def hang(self, horn: Horn | None) -> None:
        self.horn = horn
        self.changes += 1


class Street:
    """All addresses, and what answers there."""

    def __init__(self, hanging: Iterable[tuple[str, Horn]], clock: Clock, chance: random.Random) -> None:
        """`hanging`: loudspeakers, and the address of each."""
        self.clock = clock
        self.chance = chance
        self.places = defaultdict(Place, {address: Place(horn) for address, horn in hanging})
        self.horns = {place.horn.serial: place.horn for place in self.places.values() if place.horn}

    async def reach(self, address: str, timeout_s: float) -> Horn:
        """The loudspeaker that answers at `address`, now or as soon as one does. Unreachable after `timeout_s`."""
        until = self.clock.monotonic() + timeout_s
        await self.clock.sleep(self.chance.uniform(0.001, 0.05))
        while (horn := self.places[address].horn) is None:
            if self.clock.monotonic() >= until:
                raise Unreachable("nothing answers", code="timeout")
            await self.clock.sleep(0.25)
        return horn

    def readdress(self, before: str, after: str) -> None:
        """Give what hangs at one address another one, unless something has that already."""
        if self.places[after].horn is None:
            horn = self.places[before].horn
            self.places[before].hang(None)
            self.places[after].hang(horn)

    async def swap(self, one: str, other: str, outage_s: float) -> None:
        """Hang the loudspeakers of two addresses each at the place of the other; meanwhile nothing answers at either."""
        places = self.places[one], self.places[other]
        horns = places[0].horn, places[1].horn
        for place in places:
            place.hang(None)
        await self.clock.sleep(outage_s)
        places[0].hang(horns[1])
        places[1].hang(horns[0])


class Way:
    """The gateway's way to one speaker: its `AudioSink`, its `IdentitySource` and its `OnvifChecks`.

    `address`: where the inventory has it now. `step` is told what the way is about to do.
    """

    def __init__(self, street: Street, address: Callable[[], str], alive: Callable[[], bool], step: Callable[[], None]) -> None:
        self._street = street
        self._address = address
        self._alive = alive
        self._step = step
        self._told: tuple[str, Hardware] | None = None

    async def check(self, *, timeout_s: float) -> tuple[DeviceClock, Identity]:
        return await self.read_clock(timeout_s=timeout_s), await self.identity(timeout_s=timeout_s)

    async def read_clock(self, *, timeout_s: float) -> DeviceClock:  # noqa: ARG002 -- it is a part of the check
        return DeviceClock(datetime.now(UTC), timedelta())

    async def identity(self, *, timeout_s: float) -> Identity:
        horn = await self._street.reach(self._address(), timeout_s)
        return Identity(MAKER, MODEL, "1", horn.told)

    async def hardware(self, *, fresh_s: float, timeout_s: float) -> Hardware:
        """As every driver has it: what one address told within the last `fresh_s`."""
        address, now = self._address(), self._street.clock.monotonic()
        if self._told is None or self._told[0] != address or now - self._told[1].asked_at > fresh_s:
            horn = await self._street.reach(address, timeout_s)
            self._told = address, Hardware((horn.hardware,), now)
        return self._told[1]

    async def prepare(self, *, timeout_s: float) -> None:
        """Nothing can be done ahead."""

    async def open_audio(self, *, prefer: Sequence[str], timeout_s: float) -> "Session":  # noqa: ARG002 -- it takes the A-law alone
        self._step()
        chance = self._street.chance
        address = self._address()
        horn = await self._street.reach(address, timeout_s)
        place = self._street.places[address]
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

    def send(self, payload: bytes, *, timestamp: int, marker: bool) -> bool:  # noqa: ARG002 -- the horn plays what comes
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
