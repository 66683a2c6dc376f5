"""What a broadcast needs of the house to be carried out, and the manner in which it is."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.broadcast.farewells import Farewells
from gateway.broadcast.journal import Journal
from gateway.broadcast.leases import Leases
from gateway.broadcast.loudness import Loudness
from gateway.broadcast.pacing.stream import Pacer
from gateway.broadcast.rulebook import Rulebook
from gateway.broadcast.setups import Setups
from gateway.broadcast.silencing import Silencing
from gateway.clock import Clock
from gateway.domain.devices import DeviceId
from gateway.domain.remarks import Remark
from gateway.drivers.base import AudioSink


@dataclass(frozen=True, slots=True)
class Manner:
    """How broadcasts are carried out. `barrier_s`: how long those that are ready wait for the others, `barrier_urgent_s`: where they
    interrupt others; `linger_s`: how long a session stays open after the last packet, for what the speaker still has in its buffer;
    `setups_at_once`: sessions being set up, of emergencies, of talks and of all else as many each."""

    lead_in_s: float = 0.2
    linger_s: float = 0.3
    barrier_s: float = 1.0
    barrier_urgent_s: float = 0.1
    setup_timeout_s: float = 5.0
    setups_at_once: int = 128


USUAL = Manner()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What a performance needs of the house. `place_of`: where the inventory has a speaker now, None when it has none. `verify` raises
    WrongDevice when another device answers at a speaker's address, and ends by itself within a bounded time; it gives why a speaker is
    known by its address alone, None for one that has shown who it is."""

    clock: Clock
    leases: Leases
    farewells: Farewells
    pacer: Pacer
    journal: Journal
    rules: Rulebook
    speaker_of: Callable[[DeviceId], AudioSink]
    place_of: Callable[[DeviceId], object]
    verify: Callable[[DeviceId], Awaitable[Remark | None]]
    loudness: Loudness
    silencing: Silencing
    setups: Setups
    manner: Manner
