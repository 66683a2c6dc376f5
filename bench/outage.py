"""What an outage does to everybody else: gateways side by side, each over a city of 2,726 devices of its own.

Real sockets, drivers, wheel, policy and store; the cities of `bench.ailing`. One city stays calm. In the second, all at once, 30 % of the
devices are black-holed (half of them answer no SYN, half take it and nothing more), 10 % drip and 10 % break the connection, at random over
all uplinks. In the third, everything is black-holed for two minutes and comes back at once; its dead are asked every four minutes already,
as if it had been dark for hours.

    healthy_lateness_p99_ms   how late a visit to a device that nothing ails began, from the moment of the outage until the last loss was
                              detected. Due is one interval after its last visit began, and who comes sooner is not late; the whole tick
                              of the wheel is added, since the device's place on the ring may have come just after the tick before
    calm_lateness_p99_ms      the same, of the same devices in the calm city, meanwhile
    lateness_vs_calm          the one divided by the other
    healthy_excess_p99_ms     the first without that tick, and of the calm city
    detection_s               from the moment of the outage until the board showed the last of those DOWN that answer nothing or break off
    reverified_all_s          from the moment when all are back until the board showed the last of them UP after an answer of its own

Takes about three minutes.
"""

import contextlib
import itertools
import json
import random
import statistics
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.ailing import Ill
from bench.health import line_of, python, say
from gateway.domain.health import HealthState
from gateway.domain.policy import Limits
from gateway.health.wheel import Pace
from simulators.city import SimDevice, plan

if TYPE_CHECKING:
    import subprocess

SETTLE_S = 35.0  # a round and a bit after the first, which is faster
OUTAGE_S = 100.0
BACK_WITHIN_S = 75.0
HOLES, DRIPS, RESETS = 0.3, 0.1, 0.1
DETECTED = (Ill.SILENT, Ill.HOLE, Ill.RESET)  # what drips is alive, and DEGRADED
NEVER = 9_999.0
Notes = Mapping[str, Any]


def measure() -> dict[str, Any]:
    """Run it all; raises RuntimeError when a city does not come up."""
    devices = plan().devices
    ills = afflicted(devices, random.Random(4))
    pace = Pace()
    holes = {device.address: (Ill.SILENT, Ill.HOLE)[number % 2] for number, device in enumerate(devices)}
    with (
        _gateway(pace.dead_s) as (_, calm),
        _gateway(pace.dead_s) as (ill_city, ill),
        _gateway(pace.dead_max_s, core=0) as (dark_city, dark),
    ):
        for gateway in (calm, ill, dark):
            line_of(gateway)
        _afflict(dark_city, holes)
        time.sleep(SETTLE_S)
        struck = _afflict(ill_city, {device.address: ills[device.id] for device in devices if device.id in ills})
        _wait_until(ill, "down", sum(what in DETECTED for what in ills.values()), since=struck, within_s=OUTAGE_S)
        ended = time.monotonic()
        ill_notes, calm_notes = _notes(ill), _notes(calm)
        back = _afflict(dark_city, {})
        _wait_until(dark, "verified", len(devices), since=back, within_s=BACK_WITHIN_S)
        dark_notes = _notes(dark)
    well = [device.id for device in devices if device.id not in ills]
    lost = [device for device, what in ills.items() if what in DETECTED]
    during = (struck, ended)
    return report(
        ours=lateness(ill_notes, well, during, pace.interval_s),
        calm=lateness(calm_notes, well, during, pace.interval_s),
        detected=detection(ill_notes, lost, struck),
        reverified=reverification(dark_notes, [device.id for device in devices], back),
        extra={"most_under_way": ill_notes["most_under_way"], "devices": len(devices), "ailing": len(ills)},
    )


def report(
    *, ours: Sequence[float], calm: Sequence[float], detected: Sequence[float], reverified: Sequence[float], extra: Mapping[str, float]
) -> dict[str, Any]:
    """The figures out of times in seconds."""
    pace, limits = Pace(), Limits()
    ours_p99, calm_p99 = pace.tick_s + percentile(ours, 99), pace.tick_s + percentile(calm, 99)
    return {
        "figures": {
            "healthy_lateness_p99_ms": round(1000 * ours_p99, 1),
            "calm_lateness_p99_ms": round(1000 * calm_p99, 1),
            "healthy_lateness_max_ms": round(1000 * (pace.tick_s + max(ours)), 1),
            "healthy_excess_p99_ms": round(1000 * percentile(ours, 99), 1),
            "calm_excess_p99_ms": round(1000 * percentile(calm, 99), 1),
            "healthy_visits": len(ours),
            "detection_s": round(max(detected), 2),
            "detection_p50_s": round(statistics.median(detected), 2),
            "detection_bound_s": pace.interval_s * limits.failure + 2,
            "reverified_all_s": round(max(reverified), 2),
            "reverified_p50_s": round(statistics.median(reverified), 2),
            **extra,
        },
        "ratios": {"lateness_vs_calm": round(ours_p99 / calm_p99, 3)},
    }


def afflicted(devices: Sequence[SimDevice], chance: random.Random) -> dict[str, Ill]:
    """Who is struck by what; a switch, which speaks UDP alone, can only be a hole."""
    talkers = [device.id for device in devices if device.kind != "switch"]
    chance.shuffle(talkers)
    drips, resets = round(DRIPS * len(devices)), round(RESETS * len(devices))
    ills = dict.fromkeys(talkers[:drips], Ill.DRIP) | dict.fromkeys(talkers[drips : drips + resets], Ill.RESET)
    rest = [device.id for device in devices if device.id not in ills]
    chance.shuffle(rest)
    return ills | {device: (Ill.SILENT, Ill.HOLE)[number % 2] for number, device in enumerate(rest[: round(HOLES * len(devices))])}


def lateness(notes: Notes, devices: Iterable[str], during: tuple[float, float], interval_s: float) -> list[float]:
    """How late each visit was that began, or was still to begin, in that time."""
    begin, end = during
    found = []
    for device in devices:
        visits = [at for at in notes["visits"][device] if at < end]
        found += [max(0.0, after - before - interval_s) for before, after in itertools.pairwise(visits) if after >= begin]
        if end - visits[-1] > interval_s:
            found.append(end - visits[-1] - interval_s)
    return found


def detection(notes: Notes, devices: Iterable[str], struck: float) -> list[float]:
    """After how long each of these was shown DOWN, `NEVER` for one that was not."""
    return [_first(notes, device, struck, HealthState.DOWN, answered=False) - struck for device in devices]


def reverification(notes: Notes, devices: Iterable[str], back: float) -> list[float]:
    """After how long each of these was shown UP after an answer, `NEVER` for one that was not."""
    return [_first(notes, device, back, HealthState.UP, answered=True) - back for device in devices]


def percentile(values: Sequence[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def _first(notes: Notes, device: str, after: float, state: HealthState, *, answered: bool) -> float:
    for at, shown, heard in notes["shown"][device]:
        if at > after and shown == state and (heard or not answered):
            return float(at)
    return after + NEVER


# -- processes --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _gateway(dead_s: float, *, core: int = 1) -> Iterator[tuple["subprocess.Popen[str]", "subprocess.Popen[str]"]]:
    """A city and the gateway that checks it; the cities share one core, and the gateways that are compared another."""
    with python("bench.ailing", core=0) as city:
        ports = json.loads(line_of(city))
        with python("bench.outage_checker", str(ports["onvif"]), str(ports["snmp"]), str(dead_s), core=core) as gateway:
            yield city, gateway


def _afflict(city: "subprocess.Popen[str]", ills: Mapping[str, Ill]) -> float:
    """Let these and no others ail; returns when that began to be so."""
    at = time.monotonic()
    say(city, json.dumps(ills))
    line_of(city)
    return at


def _notes(gateway: "subprocess.Popen[str]") -> Notes:
    notes: Notes = json.loads(gateway.communicate()[0])
    return notes


def _wait_until(gateway: "subprocess.Popen[str]", what: str, devices: int, *, since: float, within_s: float) -> None:
    """Until the gateway says so of so many, or the time is over."""
    while time.monotonic() < since + within_s:
        time.sleep(1.0)
        say(gateway, str(since))
        if json.loads(line_of(gateway))[what] >= devices:
            return
