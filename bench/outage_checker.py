"""The gateway's health service, wheel, drivers and store over a whole city, with a note of every visit and of what the board then shows.

Run as `python -m bench.outage_checker ONVIF_PORT SNMP_PORT DEAD_S`. Says `ready` when every device was up. Each line of its standard input
is a moment, and is answered with how many devices are down, and how many were verified after that moment (`{"down": …, "verified": …}`); at
the end of it come its notes as one JSON line (`Notes`).
"""

import asyncio
import gc
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field

from bench.cameras import PASSWORD, USERNAME
from gateway.clock import SystemClock
from gateway.domain.city import City
from gateway.domain.devices import Credentials, Device, DeviceId, DeviceKind, Ports, SnmpCredentials, SnmpVersion
from gateway.domain.health import Board, HealthState, Standing
from gateway.drivers.base import Target
from gateway.drivers.onvif.device import OnvifDevice
from gateway.drivers.profiles.library import Profiles
from gateway.drivers.registry import Drivers
from gateway.health.checks.subject import Tools
from gateway.health.service import HealthService
from gateway.health.wheel import Pace
from gateway.storage.store import Store
from simulators.city import SimDevice, plan
from simulators.http import raise_file_limit

TIMEOUT_S = 5.0
_A_VISIT_S = TIMEOUT_S + 1.0  # what is asked for within this time of the last is part of the same visit


@dataclass
class Notes:
    """By device: when each visit began, what the board showed after it (when, the state, whether the device had just answered), and when it
    was last shown UP after an answer.

    All times are those of the machine's monotonic clock, which is one for all processes.
    """

    visits: dict[str, list[float]] = field(default_factory=dict)
    shown: dict[str, list[tuple[float, str, bool]]] = field(default_factory=dict)
    most_under_way: int = 0
    verified: dict[str, float] = field(default_factory=dict)

    def begun(self, device: str) -> None:
        """A check asks for what it needs, which it does first when its visit begins, and perhaps again."""
        visits, now = self.visits.setdefault(device, []), time.monotonic()
        if not visits or now - visits[-1] > _A_VISIT_S:
            visits.append(now)


class _Board(Board):
    def __init__(self, notes: Notes) -> None:
        super().__init__()
        self._notes = notes

    def put(self, standing: Standing) -> None:
        answered = standing.last_seen is not None and standing.last_seen != self[standing.device].last_seen
        now = time.monotonic()
        self._notes.shown.setdefault(standing.device, []).append((now, standing.state.value, answered))
        if answered and standing.state is HealthState.UP:
            self._notes.verified[standing.device] = now
        super().put(standing)


def inventory(onvif: int, snmp: int) -> list[Device]:
    """The devices of the planned city, in the order and behind the uplinks of the plan."""
    ports = Ports(onvif=onvif, snmp=snmp)
    return [
        Device(DeviceId(each.id), DeviceKind(each.kind), each.name, each.address, ports, uplink=_uplink(each)) for each in plan().devices
    ]


async def run(onvif: int, snmp: int, dead_s: float) -> Notes:
    """Check the city until standard input ends."""
    raise_file_limit()
    notes, clock, city = Notes(), SystemClock(), City()
    devices = inventory(onvif, snmp)
    city.replace(devices=devices)
    board = _Board(notes)
    with tempfile.TemporaryDirectory() as folder:
        async with (
            Store.open(f"sqlite:///{folder}/bench.db", clock=clock, key=bytes(32)) as store,
            Drivers(city, clock, Profiles(()), walk_every_s=3600) as drivers,
            asyncio.TaskGroup() as group,
        ):
            drivers.renew({device.id: _login(device) for device in devices})

            def onvif_of(device: DeviceId) -> OnvifDevice:
                notes.begun(device)
                return drivers.onvif_of(device)

            def target_of(device: DeviceId) -> Target:
                notes.begun(device)
                notes.most_under_way = max(notes.most_under_way, service.figures.under_way)
                return drivers.target_of(device)

            tools = Tools(
                onvif_of=onvif_of,
                target_of=target_of,
                sensors=drivers.sensors,
                clock=clock,
                recognise=drivers.recognise,
                timeout_s=TIMEOUT_S,
            )
            pace = Pace(dead_s=dead_s, dead_max_s=max(dead_s, Pace().dead_max_s))
            service = HealthService(city=city, board=board, store=store, tools=tools, pace=pace)
            await service.load()
            running = [group.create_task(store.writer.run()), group.create_task(service.run())]
            while board.counts()[HealthState.UP] < len(devices):  # the board tells nobody, on purpose
                await asyncio.sleep(0.2)
            gc.freeze()  # as the daemon does when it has taken up an inventory
            print("ready", flush=True)
            while moment := await asyncio.to_thread(sys.stdin.readline):
                verified = sum(at > float(moment) for at in notes.verified.values())
                print(json.dumps({"down": board.counts()[HealthState.DOWN], "verified": verified}), flush=True)
            for task in running:
                task.cancel()
    return notes


def _uplink(device: SimDevice) -> DeviceId | None:
    return DeviceId(device.uplink) if device.uplink else None


def _login(device: Device) -> Credentials:
    if device.kind is DeviceKind.SWITCH:
        return Credentials(snmp=SnmpCredentials(SnmpVersion.V2C, community="public"))
    return Credentials(USERNAME, PASSWORD)


if __name__ == "__main__":
    _, onvif_port, snmp_port, dead = sys.argv
    print(json.dumps(asdict(asyncio.run(run(int(onvif_port), int(snmp_port), float(dead))))), flush=True)
