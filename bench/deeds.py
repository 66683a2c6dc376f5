"""What may happen to broadcasts, drawn by chance: commands and their copies, stops, swaps, health checks, imports, clock steps, and the
deaths of the gateway."""

import random
from dataclasses import dataclass, replace

from gateway.domain.broadcast import ClipId
from gateway.domain.devices import DeviceId

SPEAKERS = tuple(DeviceId(f"s{number}") for number in range(1, 5))
CLIPS = tuple(ClipId(f"{number:064x}") for number in range(1, 15))
VISIT_EVERY_S = 30.0
LADDER_S = 61.0
"""Nobody hangs one loudspeaker at the place of another in less, for which what a health check was told counts."""


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
class Import:
    """The inventory has a speaker elsewhere, mostly where another one hangs, and has it put right after `mended_s`. `moves`: it has its
    new address, which nobody had, in truth."""

    at: float
    speaker: DeviceId
    address: str
    mended_s: float
    moves: bool


@dataclass(frozen=True, slots=True)
class Schedule:
    """What happens, in seconds from its beginning. `lives`: the step at which each life dies, and how long nobody lives after it.

    `visits`: when a health check looks at whom; `by_hardware`: who is known by its hardware address, since all say one serial number.
    """

    commands: tuple[Command, ...]
    stops: tuple[float, ...]
    clock_steps: tuple[tuple[float, float], ...]
    swaps: tuple[tuple[float, DeviceId, DeviceId, float], ...]
    lives: tuple[tuple[int, float], ...]
    visits: tuple[tuple[float, DeviceId], ...] = ()
    imports: tuple[Import, ...] = ()
    by_hardware: frozenset[DeviceId] = frozenset()


def address_of(speaker: DeviceId) -> str:
    """Where a speaker hangs at the beginning."""
    return f"127.0.0.{1 + SPEAKERS.index(speaker)}"


def draw(name: str, chance: random.Random) -> Schedule:
    """A schedule by chance: a few commands, a crowd of them at one speaker, or some under the eyes of the health checks."""
    return chance.choices((_few, _crowded, _watched), (6, 1, 3))[0](name, chance)


def _few(name: str, chance: random.Random) -> Schedule:
    return _among(tuple(_command(f"{name}-{number}", clip, chance) for number, clip in enumerate(CLIPS[: chance.randint(1, 5)])), chance)


def _crowded(name: str, chance: random.Random) -> Schedule:
    """More commands at once than may wait at one speaker."""
    speaker, at = chance.choice(SPEAKERS), chance.uniform(0, 5)
    commands = [_command(f"{name}-{number}", clip, chance) for number, clip in enumerate(CLIPS[: chance.randint(12, len(CLIPS))])]
    patient = [replace(one, speakers=(speaker,), ttl_s=10.0, copies=(one.given_s, *one.copies)) for one in commands]
    return _among(tuple(_shifted(one, at + chance.uniform(0, 0.05)) for one in patient), chance)


def _watched(name: str, chance: random.Random) -> Schedule:
    """Health checks look at all, loudspeakers are hung elsewhere, and imports take them for where they are not."""
    swaps = tuple(_swap(chance, latest=40, outage_s=LADDER_S + chance.uniform(0, 20)) for _ in range(chance.random() < 0.6))
    imports = tuple(_import(chance) for _ in range(chance.randint(0, 2)))
    after = [at + outage_s + chance.uniform(0, 30) for at, _, _, outage_s in swaps]
    around = [one.at + chance.uniform(-3, 5) for one in imports] + [one.at + one.mended_s - chance.uniform(0, 3) for one in imports]
    commands = [_command(f"{name}-{number}", clip, chance) for number, clip in enumerate(CLIPS[: chance.randint(2, 6)])]
    moments = [max(0.0, chance.choice([chance.uniform(0, 130), *after, *around])) for _ in commands]
    drawn = _among(tuple(map(_shifted, commands, moments)), chance)
    return replace(
        drawn,
        swaps=swaps,
        imports=imports,
        clock_steps=tuple((chance.uniform(0, 130), by) for _, by in drawn.clock_steps),
        by_hardware=frozenset(speaker for speaker in SPEAKERS if chance.random() < 0.5),
        visits=tuple(
            (phase_s + number * VISIT_EVERY_S, speaker)
            for speaker in SPEAKERS
            for phase_s in (chance.uniform(0, VISIT_EVERY_S),)
            for number in range(5)
        ),
    )


def _import(chance: random.Random) -> Import:
    speaker, other = chance.sample(SPEAKERS, 2)
    moves = chance.random() < 0.3
    address = f"127.0.1.{1 + SPEAKERS.index(speaker)}" if moves else address_of(other)
    return Import(chance.uniform(0, 110), speaker, address, chance.choice((0.5, 2.0, 5.0, 20.0)), moves)


def _shifted(command: Command, at: float) -> Command:
    """The same command, given at `at`."""
    by = at - command.given_s
    copies, retained = (tuple(moment + by for moment in moments) for moments in (command.copies, command.retained))
    return replace(command, given_s=at, copies=copies, retained=retained)


def _among(commands: tuple[Command, ...], chance: random.Random) -> Schedule:
    """These commands, amid what may happen to any."""
    return Schedule(
        commands,
        stops=tuple(chance.uniform(0, 8) for _ in range(chance.random() < 0.25)),
        clock_steps=tuple((chance.uniform(0, 8), chance.choice((-3600.0, -1.0, 1.0, 3600.0))) for _ in range(chance.random() < 0.3)),
        swaps=tuple(_swap(chance, latest=6, outage_s=chance.choice((1.0, 4.0, 20.0))) for _ in range(chance.random() < 0.3)),
        lives=tuple(
            (chance.choice((3, 10, 30, 60, 120)) + chance.randint(0, 20), chance.uniform(0.1, 8))
            for _ in range(chance.choice((0, 0, 1, 2)))
        ),
    )


def _swap(chance: random.Random, *, latest: float, outage_s: float) -> tuple[float, DeviceId, DeviceId, float]:
    one, other = chance.sample(SPEAKERS, 2)
    return chance.uniform(0, latest), one, other, outage_s


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
