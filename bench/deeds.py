"""What may happen to broadcasts, drawn by chance: commands and their copies, stops, swaps, clock steps, and the deaths of the gateway."""

import random
from dataclasses import dataclass

from gateway.domain.broadcast import ClipId
from gateway.domain.devices import DeviceId

SPEAKERS = tuple(DeviceId(f"s{number}") for number in range(1, 5))
CLIPS = tuple(ClipId(f"{number:064x}") for number in range(1, 7))


@dataclass(frozen=True, slots=True)
class Command:
    """One order, and when copies of it reach the broker. `retained`: the copies that a broker kept for whoever comes."""

    id: str
    clip: ClipId
    speakers: tuple[DeviceId, ...]
    priority: str
    ttl_s: float
    given_s: float
    copies: tuple[float, ...]
    retained: tuple[float, ...]
    resume: bool
    dated: bool
    """Whether it says when it was given."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """What happens, in seconds from its beginning. `lives`: the step at which each life dies, and how long nobody lives after it."""

    commands: tuple[Command, ...]
    stops: tuple[float, ...]
    clock_steps: tuple[tuple[float, float], ...]
    swaps: tuple[tuple[float, DeviceId, DeviceId, float], ...]
    lives: tuple[tuple[int, float], ...]


def draw(name: str, chance: random.Random) -> Schedule:
    """A schedule by chance."""
    commands = tuple(_command(f"{name}-{number}", clip, chance) for number, clip in enumerate(CLIPS[: chance.randint(1, 5)]))
    return Schedule(
        commands,
        stops=tuple(chance.uniform(0, 8) for _ in range(chance.random() < 0.25)),
        clock_steps=tuple((chance.uniform(0, 8), chance.choice((-3600.0, -1.0, 1.0, 3600.0))) for _ in range(chance.random() < 0.3)),
        swaps=tuple(_swap(chance) for _ in range(chance.random() < 0.3)),
        lives=tuple(
            (chance.choice((3, 10, 30, 60, 120)) + chance.randint(0, 20), chance.uniform(0.1, 8))
            for _ in range(chance.choice((0, 0, 1, 2)))
        ),
    )


def _swap(chance: random.Random) -> tuple[float, DeviceId, DeviceId, float]:
    at = chance.uniform(0, 6)
    one, other = chance.sample(SPEAKERS, 2)
    return at, one, other, chance.choice((1.0, 4.0, 20.0))


def _command(name: str, clip: ClipId, chance: random.Random) -> Command:
    given, ttl = chance.uniform(0, 5), chance.choice((0.3, 1.0, 3.0, 10.0, 60.0))
    return Command(
        name,
        clip,
        tuple(chance.sample(SPEAKERS, chance.randint(1, 3))),
        chance.choice(("schedule", "notice", "enforcement", "talk", "emergency")),
        ttl,
        given,
        copies=tuple(given + chance.choice((0.0, 0.01, 0.5, 2.0, ttl, ttl + 1)) for _ in range(chance.choice((0, 1, 1, 1, 2, 3)))),
        retained=tuple(given + chance.uniform(0, 10) for _ in range(chance.random() < 0.15)),
        resume=chance.random() < 0.3,
        dated=chance.random() < 0.5,
    )
