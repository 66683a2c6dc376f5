"""Hours of bad lines and pauses of our own never make a device down, and would if the gateway were less patient.

The health service with its wheel, drivers, policy and store runs as it is, over real sockets on loopback, on a loop whose time is
simulated. The devices lose packets as the network does: TCP repeats what is lost after its own times, UDP does not. The whole city, with a
scripted network in the place of sockets, is `./gw bench patience`.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from bench import cameras, virtual
from bench.ailing import answer
from bench.virtual import Line, LoopClock, VirtualLoop
from gateway.domain.city import City
from gateway.domain.devices import Credentials, Device, DeviceId, DeviceKind, Ports, SnmpCredentials, SnmpVersion
from gateway.domain.health import Board, HealthState
from gateway.domain.policy import Limits
from gateway.drivers.profiles.library import Profiles
from gateway.drivers.registry import Drivers
from gateway.health.checks.subject import Tools
from gateway.health.service import STATE_EVENT, HealthService
from gateway.health.wheel import Pace
from gateway.storage.store import Store
from simulators.snmp import pktinfo
from tests.conftest import KEY
from tests.waiting import stopped

HOURS_S = 6 * 3600.0
CAMERAS, SWITCHES = 5, 8
NO_EXCUSE = float("inf")
BAD = Line(loss=0.03)
"""So bad that in an hour a device would be down at the first visit in vain."""


class Camera(cameras.Camera):
    """An ONVIF camera at the end of a line."""

    line, chance = Line(), random.Random()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._late_s = self.line.handshake_s(self.chance)

    def now(self) -> datetime:
        return virtual.START + timedelta(seconds=asyncio.get_running_loop().time())

    def data_received(self, data: bytes) -> None:
        wait_s, self._late_s = self._late_s + self.line.exchange_s(self.chance), 0.0
        asyncio.get_running_loop().call_later(wait_s, super().data_received, data)


@asynccontextmanager
async def street(line: Line, chance: random.Random) -> AsyncIterator[Sequence[Device]]:
    """Cameras and switches that answer over `line` for the duration."""
    loop = asyncio.get_running_loop()
    Camera.line, Camera.chance = line, chance
    agents = pktinfo.bound(0)

    def hear() -> None:
        for datagram, local, peer in pktinfo.received(agents):
            late_s = line.datagram_s(chance)
            if late_s is not None:
                loop.call_later(late_s, _say, datagram, local, peer)

    def _say(datagram: bytes, local: bytes, peer: tuple[str, int]) -> None:
        pktinfo.send_from(agents, answer(datagram, int(loop.time() * 100)), local, peer)

    server = await loop.create_server(Camera, "0.0.0.0", 0)
    loop.add_reader(agents, hear)
    ports = Ports(onvif=server.sockets[0].getsockname()[1], snmp=agents.getsockname()[1])
    kinds = [DeviceKind.CAMERA] * CAMERAS + [DeviceKind.SWITCH] * SWITCHES
    try:
        yield [Device(DeviceId(f"{kind}-{number}"), kind, "", f"127.81.0.{number + 1}", ports) for number, kind in enumerate(kinds)]
    finally:
        loop.remove_reader(agents)
        agents.close()
        server.close()


def login(device: Device) -> Credentials:
    if device.kind is DeviceKind.SWITCH:
        return Credentials(snmp=SnmpCredentials(SnmpVersion.V2C, community="public"))
    return Credentials(cameras.USERNAME, cameras.PASSWORD)


async def downs(store: Store) -> int:
    """How often the store was told that a device is down."""
    told = await store.events.read_after(0, limit=10_000)
    return sum(event.type == STATE_EVENT and event.data["after"] == HealthState.DOWN for event in told)


def lived(
    url: str,
    seconds: float,
    *,
    line: Line = Line(),  # noqa: B008 -- frozen
    pauses: tuple[float, float] = (60.0, 0.5),
    limits: Limits = Limits(),  # noqa: B008 -- frozen
    timeout_s: float = 5.0,
    excused: bool = True,
    until_down: bool = False,
) -> tuple[int, int]:
    """How often a device was called down in that time, and how many visits there were. `pauses`: how often, and how long, in seconds."""

    async def day(loop: VirtualLoop) -> tuple[int, int]:
        clock, city, board, chance = LoopClock(loop), City(), Board(), random.Random(11)
        pace = replace(Pace(), late_s=min(Pace().late_s, timeout_s / 4) if excused else NO_EXCUSE)
        async with (
            street(line, chance) as devices,
            Store.open(url, clock=clock, key=KEY) as store,
            Drivers(city, clock, Profiles(()), walk_every_s=60) as drivers,
            asyncio.TaskGroup() as group,
        ):
            city.replace(devices=devices)
            drivers.renew({device.id: login(device) for device in devices})
            tools = Tools(onvif_of=drivers.onvif_of, target_of=drivers.target_of, sensors=drivers.sensors, clock=clock, timeout_s=timeout_s)
            service = HealthService(city=city, board=board, store=store, tools=tools, limits=limits, pace=pace)
            await service.load()
            tasks = [group.create_task(store.writer.run()), group.create_task(service.run())]
            tasks += [group.create_task(virtual.hold_up(loop, chance, every_s=pauses[0], pause_s=pauses[1]))]
            down = 0
            while loop.time() < seconds and not (until_down and down):
                await asyncio.sleep(600)  # of virtual time
                down = await downs(store)
            assert down or board.counts()[HealthState.UP] == len(devices), board.counts()
            visits = service.figures.visits
            for task in tasks:
                await stopped(task)
        return down, visits

    return virtual.run(day)


def test_hours_of_lost_packets_jitter_and_pauses_make_nobody_down(sqlite_url: str) -> None:
    down, visits = lived(sqlite_url, HOURS_S, line=BAD)
    assert visits > 0.98 * (CAMERAS + SWITCHES) * HOURS_S / Pace().interval_s
    assert down == 0


def test_the_same_hours_without_patience_do(sqlite_url: str) -> None:
    assert lived(sqlite_url, HOURS_S, line=BAD, limits=Limits(failure=1), until_down=True)[0] > 0


IMPATIENT = {"line": Line(loss=0.0), "pauses": (5.0, 0.5), "limits": Limits(failure=1), "timeout_s": 0.4}


def test_pauses_longer_than_the_deadline_are_our_own_fault(sqlite_url: str) -> None:
    assert lived(sqlite_url, 2 * 3600, **IMPATIENT)[0] == 0


def test_and_without_that_excuse_they_would_make_devices_down(sqlite_url: str) -> None:
    assert lived(sqlite_url, 2 * 3600, **IMPATIENT, excused=False, until_down=True)[0] > 0


@pytest.mark.parametrize("loss", [0.0, 0.02, 0.3])
def test_the_line_loses_and_repeats_as_it_says(loss: float) -> None:
    line, chance = Line(loss, rtt_s=0.0), random.Random(1)
    tries = 20_000
    lost = 1 - (1 - loss) ** 2
    assert sum(line.datagram_s(chance) is None for _ in range(tries)) / tries == pytest.approx(lost, abs=0.02)
    waits = [line.handshake_s(chance) for _ in range(tries)]
    assert sum(wait >= 1 for wait in waits) / tries == pytest.approx(lost, abs=0.02)
    assert sum(wait >= 3 for wait in waits) / tries == pytest.approx(lost**2, abs=0.02)
    assert set(waits) <= {2**count - 1 for count in range(10)}
