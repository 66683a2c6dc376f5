"""The gateway's health and trap services over a whole simulated city, with a note of when each visit began.

Run as `python -m bench.trap_listener CITY_JSON TRAP_PORT`. Says `ready` when every device has been visited. Each line of its standard input
is answered with the CPU seconds that it and its receiving process have used, and the counts of traps; at the end of it come the visits.
"""

import asyncio
import gc
import json
import resource
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from demo.usage import cpu_seconds
from gateway.clock import Clock, SystemClock
from gateway.domain.city import City
from gateway.domain.devices import Credentials, Device, DeviceId, DeviceKind, Ports, SnmpCredentials, SnmpVersion
from gateway.domain.health import Board
from gateway.drivers.base import Target
from gateway.drivers.onvif.device import OnvifDevice
from gateway.drivers.profiles.library import Profiles
from gateway.drivers.registry import Drivers
from gateway.health.checks.subject import Tools
from gateway.health.service import HealthService
from gateway.storage.store import Store
from gateway.traps.service import TrapService, TrapSettings
from simulators.city import City as SimCity
from simulators.city import SimDevice
from simulators.http import raise_file_limit

PROFILES = Path(__file__).parents[1] / "configs" / "profiles"
TIMEOUT_S = 5.0
_A_VISIT_S = TIMEOUT_S + 1.0  # what is asked for within this time of the last is part of the same visit


@dataclass(slots=True)
class Noted:
    """When the visits of each device began, by the machine's monotonic clock."""

    visits: dict[str, list[float]] = field(default_factory=dict)

    def note(self, device: DeviceId) -> None:
        """Something is asked of `device` now."""
        begun, now = self.visits.setdefault(device, []), time.monotonic()
        if not begun or now - begun[-1] > _A_VISIT_S:
            begun.append(now)

    def tools(self, drivers: Drivers, clock: Clock) -> Tools:
        """Tools of the checks that note whom they ask."""

        def onvif_of(device: DeviceId) -> OnvifDevice:
            self.note(device)
            return drivers.onvif_of(device)

        def target_of(device: DeviceId) -> Target:
            self.note(device)
            return drivers.target_of(device)

        return Tools(
            onvif_of=onvif_of,
            target_of=target_of,
            sensors=drivers.sensors,
            clock=clock,
            recognise=drivers.recognise,
            timeout_s=TIMEOUT_S,
        )


async def run(planned: SimCity, port: int) -> dict[str, list[float]]:
    """Check and listen until standard input ends; when the visits of each device began, by the machine's monotonic clock."""
    raise_file_limit()
    noted, clock, city, board = Noted(), SystemClock(), City(), Board()
    city.replace(devices=[entry(device, planned) for device in planned.devices])
    with tempfile.TemporaryDirectory() as folder:
        async with (
            Store.open(f"sqlite:///{folder}/bench.db", clock=clock, key=bytes(32)) as store,
            Drivers(city, clock, Profiles.load(PROFILES), walk_every_s=60) as drivers,
            asyncio.TaskGroup() as group,
        ):
            drivers.renew({DeviceId(device.id): login(device) for device in planned.devices})
            health = HealthService(city=city, board=board, store=store, tools=noted.tools(drivers, clock))
            traps = TrapService(
                TrapSettings(port, "127.0.0.1"),
                city=city,
                board=board,
                store=store,
                clock=clock,
                folder=Path(folder),
                target_of=drivers.target_of,
                rules_of=drivers.traps_of,
                report=health.report,
                visit=health.check_now,
            )
            await health.load()
            await traps.load()
            running = [group.create_task(part()) for part in (store.writer.run, health.run, traps.run)]
            while len(noted.visits) < len(planned.devices):  # nobody is told, on purpose
                await asyncio.sleep(0.2)
            await answer(traps)
            for task in running:
                task.cancel()
    return noted.visits


async def answer(traps: TrapService) -> None:
    """Say `ready`, and what was used and counted for each line of standard input, until it ends."""
    gc.collect()
    gc.freeze()  # as the daemon does when its city stands: a full collection over all that stays is no part of a storm
    print("ready", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(told(traps)), flush=True)


def told(traps: TrapService) -> dict[str, Any]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    child = traps.receiver_pid
    cpu_s = used.ru_utime + used.ru_stime + (cpu_seconds(child) if child else 0.0)
    return {"cpu_s": cpu_s, "counts": dict(traps.figures.counts), "buffer_bytes": traps.figures.buffer_bytes}


def entry(device: SimDevice, planned: SimCity) -> Device:
    return Device(
        DeviceId(device.id),
        DeviceKind(device.kind),
        device.name,
        device.address,
        Ports(planned.http_port, planned.rtsp_port, planned.snmp_port),
        uplink=DeviceId(device.uplink) if device.uplink else None,
        uplink_port=device.uplink_port or None,
        vendor=device.vendor,
        model=device.model,
        firmware=device.firmware,
        profile=device.profile,
    )


def login(device: SimDevice) -> Credentials:
    snmp = device.snmp
    if snmp is None:
        return Credentials(device.username, device.password)
    found = SnmpCredentials(
        SnmpVersion(snmp.version), snmp.community, snmp.user, snmp.auth_protocol, snmp.auth_key, snmp.priv_protocol, snmp.priv_key
    )
    return Credentials(device.username, device.password, found)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # standard output is for the answers
    notes = asyncio.run(run(SimCity.load(Path(sys.argv[1])), int(sys.argv[2])))
    print(json.dumps(notes), flush=True)
