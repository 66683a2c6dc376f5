"""Four ways to check a fleet of cameras, each in a process of its own: clock anonymously, identity signed, one connection a check.

Run as `python -m bench.checkers NAME PORT CAMERAS SECONDS`. Says `ready` when it is set up and warm, starts at the next line of its
standard input, and prints what `SECONDS` of checking cost: {"cpu_ms_per_check": …, "checks": …, "failures": …, "rss_mib": …}.
"""

import asyncio
import json
import logging
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from bench.bare import check_camera
from bench.cameras import PASSWORD, USERNAME, address_of
from gateway.clock import SystemClock
from gateway.domain.city import City
from gateway.domain.devices import Credentials, Device, DeviceId, DeviceKind, Ports
from gateway.domain.health import Board, HealthState
from gateway.domain.policy import Limits
from gateway.drivers.base import Target
from gateway.drivers.http import Http
from gateway.drivers.onvif.device import OnvifDevice
from gateway.drivers.profiles.library import Profiles
from gateway.drivers.registry import Drivers
from gateway.health.checks.subject import Tools
from gateway.health.service import HealthService
from gateway.health.wheel import Pace
from gateway.storage.store import Store

TICK_S = 0.2
TIMEOUT_S = 5.0
FIRST_ROUND_S = 10.0


class Tally(Protocol):
    """What has been checked so far."""

    @property
    def checks(self) -> int: ...

    @property
    def failures(self) -> int: ...


Checking = AbstractAsyncContextManager[Tally]
"""While it is open, every camera is being checked once in `seconds`."""


def ours(port: int, cameras: int, seconds: float) -> Checking:
    """The gateway's driver alone."""
    http, clock, credentials, ports = Http(), SystemClock(), Credentials(USERNAME, PASSWORD), Ports(onvif=port)
    targets = [Target(DeviceId(str(index)), address_of(index), ports, credentials) for index in range(cameras)]
    devices = [OnvifDevice(target, http, clock) for target in targets]

    async def check(index: int) -> None:
        _, identity = await devices[index].check(timeout_s=TIMEOUT_S)
        assert identity.serial

    return _turning(check, cameras, seconds)


def bare(port: int, cameras: int, seconds: float) -> Checking:
    """The limit: the same bytes over one connection, the same answers parsed, and no defence, deadline or record of anything."""

    async def check(index: int) -> None:
        assert (await check_camera(address_of(index), port)).serial

    return _turning(check, cameras, seconds)


@asynccontextmanager
async def peer(port: int, cameras: int, seconds: float) -> AsyncIterator[Tally]:
    """onvif-zeep-async as documented; only its cheapest service is set up."""
    from onvif import ONVIFCamera  # noqa: PLC0415 -- importing it sets up logging and XML for the whole process: only the one that measures it may be changed

    logging.disable()  # it would complain at the end about every session that dies with the process
    made = [ONVIFCamera(address_of(index), port, USERNAME, PASSWORD) for index in range(cameras)]
    services = [await camera.create_devicemgmt_service() for camera in made]

    async def check(index: int) -> None:
        await services[index].GetSystemDateAndTime()
        assert (await services[index].GetDeviceInformation()).SerialNumber

    async with _turning(check, cameras, seconds) as tally:
        yield tally


@asynccontextmanager
async def whole(port: int, cameras: int, seconds: float) -> AsyncIterator[Tally]:
    """The gateway's whole path: wheel, driver, policy, board and store, every camera up when it opens."""
    clock, city, board = SystemClock(), City(), Board()
    ports, login = Ports(onvif=port), Credentials(USERNAME, PASSWORD)
    found = [Device(DeviceId(str(index)), DeviceKind.CAMERA, f"{index}", address_of(index), ports) for index in range(cameras)]
    city.replace(devices=found)
    pace = Pace(interval_s=seconds, first_round_s=min(FIRST_ROUND_S, seconds))
    with tempfile.TemporaryDirectory() as folder:
        async with (
            Store.open(f"sqlite:///{folder}/bench.db", clock=clock, key=bytes(32)) as store,
            Drivers(city, clock, Profiles(()), walk_every_s=3600) as drivers,
            asyncio.TaskGroup() as group,
        ):
            drivers.renew({device.id: login for device in found})
            tools = Tools(
                onvif_of=drivers.onvif_of,
                target_of=drivers.target_of,
                sensors=drivers.sensors,
                clock=clock,
                recognise=drivers.recognise,
                timeout_s=TIMEOUT_S,
            )
            service = HealthService(city=city, board=board, store=store, tools=tools, limits=Limits(), pace=pace)
            await service.load()
            running = [group.create_task(store.writer.run()), group.create_task(service.run())]
            while board.counts()[HealthState.UP] < cameras:  # the board tells nobody, on purpose
                await asyncio.sleep(TICK_S)
            yield _Watched(service, board, cameras)
            for task in running:
                task.cancel()


@dataclass
class _Counted:
    checks: int = 0
    failures: int = 0


class _Watched:
    """The tally of a health service, read from itself."""

    def __init__(self, service: HealthService, board: Board, cameras: int) -> None:
        self._service = service
        self._board = board
        self._cameras = cameras

    @property
    def checks(self) -> int:
        return self._service.figures.visits

    @property
    def failures(self) -> int:
        return self._cameras - self._board.counts()[HealthState.UP]


CHECKERS: dict[str, Callable[[int, int, float], Checking]] = {"whole": whole, "ours": ours, "bare": bare, "peer": peer}


@asynccontextmanager
async def _turning(check: Callable[[int], Awaitable[None]], cameras: int, seconds: float) -> AsyncIterator[Tally]:
    """Checks spread over `seconds` by the index of the camera, a tick at a time, as the gateway's wheel does it."""
    tally, ticks = _Counted(), round(seconds / TICK_S)

    async def one(index: int) -> None:
        tally.checks += 1
        try:
            await check(index)
        except Exception as error:  # a failure is a figure here
            tally.failures += 1
            print(repr(error), file=sys.stderr)

    async def turn() -> None:
        begun = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            tick = 0
            while True:
                await asyncio.sleep(max(0.0, begun + tick * TICK_S - time.monotonic()))
                for index in range(cameras * (tick % ticks) // ticks, cameras * (tick % ticks + 1) // ticks):
                    tasks.create_task(one(index))
                tick += 1

    async with asyncio.TaskGroup() as group:
        turning = group.create_task(turn())
        yield tally
        turning.cancel()


async def run(name: str, port: int, cameras: int, seconds: float) -> dict[str, float]:
    """Open the checker, wait for the word, and measure for `seconds`."""
    async with CHECKERS[name](port, cameras, seconds) as tally:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        checks, failures, used = tally.checks, tally.failures, _cpu_s()
        await asyncio.sleep(seconds)
        checks, failures, used = tally.checks - checks, tally.failures - failures, _cpu_s() - used
        rss_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {"cpu_ms_per_check": used * 1000 / checks, "checks": checks, "failures": failures, "rss_mib": rss_mib}


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    _, chosen, where, how_many, how_long = sys.argv
    print(json.dumps(asyncio.run(run(chosen, int(where), int(how_many), float(how_long)))), flush=True)
