"""A day of a bad network for the whole city: how often would a device be called down that nothing ails?

2,726 devices, 24 simulated hours: 2 % of all packets are lost, each way; round trips jitter; the gateway is held up for 500 ms once a
minute on average. Health service, wheel, policy, board and store are the real ones, on a loop whose time is simulated (`bench.virtual`). In
the place of sockets and drivers stands a script of what they do: an ONVIF check is a connection and two requests under one deadline, and
TCP repeats what is lost; an SNMP poll is a datagram, on every other visit four, each sent three times at most.
`tests/health/test_patience.py` does the same to some devices with the real drivers over real sockets.

    false_downs             how often a device was called down: must be 0
    false_downs_at_once     how often that would have been if a single failed check counted, as a naive monitor has it

Two processes take half of the city each; it takes ten minutes or so on two cores.
"""

import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from bench import virtual
from bench.virtual import Line, LoopClock, VirtualLoop
from gateway.domain.city import City
from gateway.domain.devices import Credentials, Device, DeviceId, DeviceKind, Ports, SnmpCredentials
from gateway.domain.health import Board, HealthState, Outcome, Standing
from gateway.drivers.base import DeviceClock, Hardware, Identity, Target
from gateway.drivers.snmp.polling import TRIES
from gateway.drivers.snmp.reader import Reading
from gateway.drivers.snmp.sensors import Readings
from gateway.errors import DeadlineExceeded
from gateway.health.checks.subject import Tools
from gateway.health.service import HealthService
from gateway.health.wheel import Pace
from gateway.storage.store import Store
from simulators.city import plan

HOURS = 24.0
PARTS = 2
TIMEOUT_S = 5.0
PAUSES = (60.0, 0.5)
LINE = Line(loss=0.02, rtt_s=0.03)
_TRY_S = 1.0  # how long one datagram waits for its answer
_WALK = 3  # datagrams of the tables, on every other visit
_NOTICED_S = 0.05  # what takes less is not waited for: nothing depends on it, and it is most of the work


def measure(*, hours: float = HOURS, parts: int = PARTS) -> dict[str, Any]:
    """Let the day pass; returns {"figures": …, "ratios": {}}."""
    began = time.monotonic()
    command = [sys.executable, "-m", "bench.patience", str(hours), str(parts)]
    running = [subprocess.Popen([*command, str(part)], stdout=subprocess.PIPE, text=True) for part in range(parts)]
    try:
        told = [json.loads(process.communicate()[0]) for process in running]
    finally:
        for process in running:
            process.kill()
    figures = {name: sum(one[name] for one in told) for name in told[0]}
    return {"figures": {**figures, "hours": hours, "took_s": round(time.monotonic() - began, 1)}, "ratios": {}}


@dataclass(slots=True)
class Script:
    """What devices and drivers do over `line`. `failed`: how many checks found silence."""

    line: Line
    chance: random.Random
    failed: int = 0
    walks: set[DeviceId] = field(default_factory=set)

    async def check(self, *, timeout_s: float) -> tuple[DeviceClock | None, Identity]:
        """An ONVIF check."""
        await self._requests(2, timeout_s)
        return _CLOCK, _IDENTITY

    async def read_clock(self, *, timeout_s: float) -> DeviceClock:
        await self._requests(1, timeout_s)
        return _CLOCK

    async def hardware(self, *, fresh_s: float, timeout_s: float) -> Hardware:  # noqa: ARG002 -- nothing is kept here
        """None is told, as the inventory names none."""
        await self._requests(1, timeout_s)
        return Hardware((), 0.0)

    async def read(self, target: Target, *, timeout_s: float) -> Reading:
        """An SNMP poll."""
        self.walks ^= {target.device}
        await self._wait(sum(self._datagram_s() for _ in range(1 + _WALK * (target.device in self.walks))), timeout_s)
        return _READING

    async def _requests(self, count: int, timeout_s: float) -> None:
        """Some requests over one connection."""
        takes_s = self.line.handshake_s(self.chance)
        takes_s += sum(self.line.exchange_s(self.chance) for _ in range(count))
        await self._wait(takes_s, timeout_s)

    def _datagram_s(self) -> float:
        waited = 0.0
        for _ in range(TRIES):
            trip = self.line.datagram_s(self.chance)
            if trip is not None and trip < _TRY_S:
                return waited + trip
            waited += _TRY_S
        return float("inf")

    async def _wait(self, takes_s: float, timeout_s: float) -> None:
        if takes_s >= timeout_s:
            self.failed += 1
            await asyncio.sleep(timeout_s)
            raise DeadlineExceeded("nothing came back")
        if takes_s > _NOTICED_S:
            await asyncio.sleep(takes_s)


class _Board(Board):
    """Counts who is shown as down."""

    downs = 0

    def put(self, standing: Standing) -> None:
        self.downs += standing.state is HealthState.DOWN and self[standing.device].state is not HealthState.DOWN
        super().put(standing)


async def live(loop: VirtualLoop, devices: Sequence[Device], hours: float) -> dict[str, int]:
    """Check `devices` for so long."""
    clock, city, board, chance = LoopClock(loop), City(), _Board(), random.Random(len(devices))
    city.replace(devices=devices)
    script = Script(LINE, chance)
    login = Credentials(snmp=SnmpCredentials())
    targets = {device.id: Target(device.id, device.address, device.ports, login) for device in devices}
    tools = Tools(onvif_of=lambda _: script, target_of=targets.__getitem__, sensors=script, clock=clock, timeout_s=TIMEOUT_S)
    with tempfile.TemporaryDirectory() as folder:
        async with Store.open(f"sqlite:///{folder}/bench.db", clock=clock, key=bytes(32)) as store, asyncio.TaskGroup() as group:
            service = HealthService(city=city, board=board, store=store, tools=tools, pace=Pace())
            await service.load()
            tasks = [group.create_task(store.writer.run()), group.create_task(service.run())]
            tasks += [group.create_task(virtual.hold_up(loop, chance, every_s=PAUSES[0], pause_s=PAUSES[1]))]
            await asyncio.sleep(hours * 3600)
            up = board.counts()[HealthState.UP]
            for task in tasks:
                task.cancel()
    return {
        "devices": len(devices),
        "up_at_the_end": up,
        "checks": service.figures.visits,
        "false_downs": board.downs,
        "false_downs_at_once": script.failed,
    }


def inventory(parts: int, part: int) -> list[Device]:
    """One of `parts` of the planned city; nobody listens at the port, should a driver look there itself."""
    planned = plan().devices[part::parts]
    return [Device(DeviceId(each.id), DeviceKind(each.kind), each.name, each.address, Ports(9, 9, 9)) for each in planned]


_CLOCK = DeviceClock(virtual.START, timedelta())
_IDENTITY = Identity("HIKVISION", "DS-2CD2T47G2-L", "V5.7.3", "")
_READING = Reading(Readings(Outcome.OK, "", {}))


if __name__ == "__main__":
    _, for_hours, of_parts, number = sys.argv
    chosen = inventory(int(of_parts), int(number))
    print(json.dumps(virtual.run(lambda loop: live(loop, chosen, float(for_hours)))), flush=True)
