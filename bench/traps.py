"""What a storm of traps costs, and whether anybody else notices: the gateway over the whole simulated city, in turns calm and in a storm.

The traps are those of the city's own switches and loudspeakers, in their own versions and with their own keys (cold starts, links that go
down and come up), put together beforehand and sent from the devices' addresses: 6,000 within 1.5 s, several times. Real sockets, the real
receiving process, store, events, complaints and visits.

    lost                      traps that were sent and not opened, whatever became of them
    cpu_ms_per_trap           CPU of the gateway and its receiving process in the turns with a storm, less that in those without, a trap:
                              receiving, opening, storing, complaints and hinted visits included
    health_lateness_p99_ms    how long after its due time a visit to a device that sends no traps began, in turns with a storm; due is one
                              interval after its last visit began
    calm_lateness_p99_ms      the same in turns without

Takes about three and a half minutes.
"""

import asyncio
import contextlib
import itertools
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.served import served
from demo.processes import free_port
from gateway.health.wheel import Pace
from simulators.city import City, SimDevice, plan
from simulators.snmp import server as snmp
from simulators.snmp.pktinfo import bound, send_from
from simulators.state import State
from simulators.traps import Sink, Trap

TRAPS = 6_000
STORM_S = 1.5
STORMS = 4
WINDOW_S = 15.0
"""Calm and storm take turns of this length; what a storm sets off is done by the end of its own."""
SETTLE_S = 35.0
_BATCH_S = 0.005
Datagram = tuple[str, bytes]


def measure(*, groups: int = 759, speakers: int = 110, storms: int = STORMS) -> dict[str, Any]:
    """Run it; raises RuntimeError when a process of it ends early."""
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
        http, rtsp, agents, port = (free_port(0) for _ in range(4))
        city = plan(groups=groups, speakers=speakers, http_port=http, rtsp_port=rtsp, snmp_port=agents)
        file = Path(folder) / "city.json"
        city.save(file)
        storm = asyncio.run(_made(city, TRAPS))
        with served(file, only="http,snmp"), _gateway(file, port) as gateway:
            time.sleep(SETTLE_S)
            marks = [_ask(gateway)]
            for turn in range(2 * storms):
                if turn % 2:
                    _send(storm, port)
                time.sleep(max(0.0, marks[-1]["at"] + WINDOW_S - time.monotonic()))
                marks.append(_ask(gateway))
            notes: Mapping[str, list[float]] = json.loads(gateway.communicate()[0])
    sent, counts = TRAPS * storms, marks[-1]["counts"]
    windows = list(itertools.pairwise(marks))
    spent = [sum(after["cpu_s"] - before["cpu_s"] for before, after in windows[turn::2]) for turn in (0, 1)]
    others = [device.id for device in city.devices if device.snmp is None]
    calm, stormy = (lateness(notes, others, [(one["at"], other["at"]) for one, other in windows[turn::2]]) for turn in (0, 1))
    tick_s = Pace().tick_s
    p99, calm_p99 = percentile(stormy, 99), percentile(calm, 99)
    return {
        "figures": {
            "traps": sent,
            "seconds_a_storm": STORM_S,
            "sources": len({address for address, _ in storm}),
            "lost": sent - counts.get("opened", 0),
            "kernel_dropped": counts.get("kernel_dropped", 0),
            "limited": counts.get("limited", 0),
            "buffer_bytes": marks[-1]["buffer_bytes"],
            "cpu_ms_per_trap": round(1000 * (spent[1] - spent[0]) / sent, 4),
            "health_lateness_p99_ms": round(1000 * p99, 1),
            "calm_lateness_p99_ms": round(1000 * calm_p99, 1),
            "health_lateness_max_ms": round(1000 * max(stormy), 1),
            "calm_lateness_max_ms": round(1000 * max(calm), 1),
            "visits_meanwhile": len(stormy),
            "devices": len(city.devices),
        },
        "ratios": {"lateness_vs_calm": round(max(p99, tick_s / 10) / max(calm_p99, tick_s / 10), 3)},
    }


def lateness(notes: Mapping[str, Sequence[float]], devices: Sequence[str], windows: Sequence[tuple[float, float]]) -> list[float]:
    """How late each visit was that began in one of these windows."""
    found = []
    for device in devices:
        for before, after in itertools.pairwise(notes[device]):
            if any(begin <= after < end for begin, end in windows):
                found.append(max(0.0, after - before - Pace().interval_s))
    return found


def percentile(values: Sequence[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


# -- the storm --------------------------------------------------------------------------------------------------------


async def _made(city: City, count: int) -> list[Datagram]:
    """So many traps of the city's devices, as their own agents make them, each with its sender's address."""
    senders = [device for device in city.devices if device.snmp is not None]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        ear.settimeout(5)
        state = State()
        async with snmp.serve(city, 0, state):
            state.traps.sink = Sink("127.0.0.1", ear.getsockname()[1])
            made: list[Datagram] = []
            for turn in itertools.count():
                for device in senders:
                    trap, at = _what(device, turn)
                    state.traps.send(device, trap, at)
                    data, (address, _) = ear.recvfrom(65_535)
                    made.append((address, data))
                    if len(made) == count:
                        return made
    raise AssertionError


def _what(device: SimDevice, turn: int) -> tuple[Trap, int]:
    """Power is back: a cold start; then the links of a switch, one after the other."""
    if turn == 0 or device.kind != "switch":
        return Trap.COLD_START, 0
    return (Trap.LINK_DOWN, Trap.LINK_UP)[turn % 2 == 0], 1 + (turn - 1) // 2 % 7


def _send(storm: Sequence[Datagram], port: int) -> None:
    """All of it, evenly over `STORM_S`."""
    packed = [(data, socket.inet_aton(address)) for address, data in storm]
    with contextlib.closing(bound(0)) as sock:
        begin, done = time.monotonic(), 0
        while done < len(packed):
            due = min(len(packed), int(len(packed) * (time.monotonic() - begin) / STORM_S) + 1)
            for data, source in packed[done:due]:
                while not send_from(sock, data, source, ("127.0.0.1", port)):
                    time.sleep(0.0005)  # our own buffer is full; nothing is lost
            done = due
            time.sleep(_BATCH_S)


# -- processes --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _gateway(city: Path, port: int) -> Iterator["subprocess.Popen[str]"]:
    """The gateway, once it has visited every device."""
    command = [sys.executable, "-m", "bench.trap_listener", str(city), str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            _line(process)
            yield process
        finally:
            process.kill()


def _ask(gateway: "subprocess.Popen[str]") -> dict[str, Any]:
    """What the gateway has spent and counted, and when."""
    assert gateway.stdin is not None
    gateway.stdin.write("?\n")
    gateway.stdin.flush()
    answer: dict[str, Any] = json.loads(_line(gateway))
    return answer | {"at": time.monotonic()}


def _line(gateway: "subprocess.Popen[str]") -> str:
    assert gateway.stdout is not None
    line = gateway.stdout.readline()
    if not line:
        raise RuntimeError("the gateway ended early")
    return line
