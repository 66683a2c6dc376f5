"""What a health check costs: our driver against a bare asyncio protocol and against onvif-zeep-async, on one fleet, side by side.

Every client runs in a process of its own and checks the same cameras at the same pace: clock anonymously, identity signed, one
connection a check. CPU is what the kernel says that the client's process used between the first check and the last.
"""

import asyncio
import contextlib
import json
import logging
import resource
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from bench.bare import check_camera
from bench.cameras import PASSWORD, USERNAME, address_of
from gateway.clock import SystemClock
from gateway.domain.devices import Credentials, DeviceId, Ports
from gateway.drivers.base import Target
from gateway.drivers.http import Http
from gateway.drivers.onvif.device import OnvifDevice

TICK_S = 0.2
TIMEOUT_S = 5.0

Check = Callable[[int], Awaitable[None]]


def measure(*, cameras: int = 3000, seconds: float = 30.0, clients: tuple[str, ...] = ("ours", "bare", "peer")) -> dict[str, Any]:
    """Check `cameras` once each over `seconds` with every client at once; returns {"figures": …, "ratios": …}."""
    with _fleet() as (port, counts):
        running = {name: _start(name, port, cameras, seconds) for name in clients}
        results = {name: json.loads(process.communicate()[0].splitlines()[-1]) for name, process in running.items()}
    return _report(results, counts)


# -- clients ----------------------------------------------------------------------------------------------------------


async def ours(port: int, cameras: int) -> Check:
    """The gateway's driver."""
    http, clock, credentials = Http(), SystemClock(), Credentials(USERNAME, PASSWORD)
    ports = Ports(onvif=port)
    targets = [Target(DeviceId(str(index)), address_of(index), ports, credentials) for index in range(cameras)]
    devices = [OnvifDevice(target, http, clock) for target in targets]

    async def check(index: int) -> None:
        _, identity = await devices[index].check(timeout_s=TIMEOUT_S)
        assert identity.serial

    return check


async def bare(port: int, _cameras: int) -> Check:
    """The limit: the same bytes over one connection, the same answers parsed, and no defence, deadline or record of anything."""

    async def check(index: int) -> None:
        assert (await check_camera(address_of(index), port)).serial

    return check


async def peer(port: int, cameras: int) -> Check:
    """onvif-zeep-async as documented; only its cheapest service is set up."""
    from onvif import ONVIFCamera  # noqa: PLC0415 - importing it changes the process, and only this client's may be changed

    logging.disable()  # it would complain at the end about every session that dies with the process
    made = [ONVIFCamera(address_of(index), port, USERNAME, PASSWORD) for index in range(cameras)]
    services = [await camera.create_devicemgmt_service() for camera in made]

    async def check(index: int) -> None:
        await services[index].GetSystemDateAndTime()
        assert (await services[index].GetDeviceInformation()).SerialNumber

    return check


CLIENTS = {"ours": ours, "bare": bare, "peer": peer}


async def run_client(name: str, port: int, cameras: int, seconds: float) -> dict[str, float]:
    """Set up, then check every camera once, spread over `seconds` by a wheel with a tick of `TICK_S`."""
    check = await CLIENTS[name](port, cameras)
    ticks = round(seconds / TICK_S)
    failures = 0

    async def one(index: int) -> None:
        nonlocal failures
        try:
            await check(index)
        except Exception as error:
            failures += 1
            print(f"{name}: {error!r}", file=sys.stderr)

    await one(0)
    used, begun = _cpu_s(), time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for tick in range(ticks):
            await asyncio.sleep(max(0.0, begun + tick * TICK_S - time.monotonic()))
            for index in range(cameras * tick // ticks, cameras * (tick + 1) // ticks):
                tasks.create_task(one(index))
    rss_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"cpu_ms_per_check": (_cpu_s() - used) * 1000 / cameras, "failures": failures, "rss_mib": rss_kib / 1024}


# -- processes --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _fleet() -> Iterator[tuple[int, dict[str, int]]]:
    counts: dict[str, int] = {}
    process = subprocess.Popen([sys.executable, "-m", "bench.cameras"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["port"], counts
    finally:
        out, _ = process.communicate()
        counts.update(json.loads(out))


def _start(name: str, port: int, cameras: int, seconds: float) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "bench.health", name, str(port), str(cameras), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _report(results: dict[str, dict[str, float]], counts: dict[str, int]) -> dict[str, Any]:
    cost = {name: result["cpu_ms_per_check"] for name, result in results.items()}
    figures = {f"{name}_{key}": value for name, result in results.items() for key, value in result.items()}
    ratios = {}
    if "bare" in cost:
        ratios["vs_bare_limit"] = cost["ours"] / cost["bare"]
    if "peer" in cost:
        ratios["vs_onvif_zeep_async"] = cost["peer"] / cost["ours"]
    return {"figures": figures | {"fleet_bad_digests": counts["bad_digests"]}, "ratios": ratios}


if __name__ == "__main__":
    _, client, where, how_many, how_long = sys.argv
    print(json.dumps(asyncio.run(run_client(client, int(where), int(how_many), float(how_long)))))
