"""What reading one device by id costs: our door, with its key checked, against a bare aiohttp JSON answer of the same size, side by side.

Also how long the health of the whole city takes. Each server runs in a process of its own, and so does the client (`bench.asker`). Short
rounds alternate between the servers, so that whatever else the machine does falls on both; rates are medians of rounds.
"""

import asyncio
import contextlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from aiohttp import web

from bench.fleet import while_checking
from bench.load import Load, drive, request_for
from gateway.api.app import HttpDoor, build_api
from gateway.api.device_json import DeviceJson
from gateway.api.services import Services
from gateway.clock import SystemClock
from gateway.config import Limits
from gateway.domain.access import Role
from gateway.domain.circumstances import Circumstances
from gateway.domain.city import City
from gateway.domain.devices import CameraGroup, Device, DeviceId, DeviceKind, GroupId, Position
from gateway.domain.health import Board, HealthState, Standing
from gateway.drivers.profiles.library import Profiles
from gateway.drivers.registry import Drivers
from gateway.storage.store import Store
from gateway.storage.writer import Lane
from simulators.city import plan

PROFILES = Path(__file__).resolve().parent.parent / "configs" / "profiles"
ROUNDS = 7
ROUND_S = 1.5
WARM_UP_S = 0.5
_UNTOUCHED: dict[str, Any] = {
    field.name: None for field in fields(Services) if field.init and field.default is field.default_factory is MISSING
}
"""The services, none of which reading a device ever asks."""


@dataclass(frozen=True, slots=True)
class Served:
    """A server under test: its port, what to ask it for, and the process."""

    port: int
    requests: Sequence[bytes]
    summary: bytes
    process: "subprocess.Popen[str]"

    def drive(self, seconds: float) -> Load:
        return drive(self.port, self.requests, seconds)

    def drive_summary(self, seconds: float, *, connections: int) -> Load:
        """The health of the whole city, asked for by one program after the other's answer: what a wall or a monitor waits for it."""
        return drive(self.port, [self.summary], seconds, connections=connections)

    def cpu_s(self) -> float:
        """CPU seconds that the server has used so far, by its own count."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write("cpu\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def measure(*, rounds: int = ROUNDS, seconds: float = ROUND_S) -> dict[str, Any]:
    """Alternate rounds of both servers; returns {"figures": …, "ratios": …}. Takes about 2 · `rounds` · `seconds` and the start."""
    with _server("ours") as ours, _server("bare") as bare:
        for served in (ours, bare):
            served.drive(WARM_UP_S)
        before = ours.cpu_s(), bare.cpu_s()
        pairs = [(ours.drive(seconds), bare.drive(seconds)) for _ in range(rounds)]
        used = ours.cpu_s() - before[0], bare.cpu_s() - before[1]
        summaries = [ours.drive_summary(seconds, connections=1) for _ in range(rounds)]
    mine, theirs = zip(*pairs, strict=True)
    rates = statistics.median(load.rate for load in mine), statistics.median(load.rate for load in theirs)
    answered = sum(load.rate for load in mine) * seconds, sum(load.rate for load in theirs) * seconds
    checking = while_checking()
    return {
        "figures": {
            "requests_per_s": round(rates[0]),
            "bare_requests_per_s": round(rates[1]),
            "idle_cpu_ms_per_request": round(1000 * used[0] / answered[0], 4),
            "bare_cpu_ms_per_request": round(1000 * used[1] / answered[1], 4),
            "idle_p50_ms": round(statistics.median(load.p50_ms for load in mine), 3),
            "idle_p99_ms": round(statistics.median(load.p99_ms for load in mine), 3),
            "summary_p50_ms": round(statistics.median(load.p50_ms for load in summaries), 3),
            "summary_idle_p99_ms": round(statistics.median(load.p99_ms for load in summaries), 3),
            **checking,
        },
        "ratios": {"vs_bare_aiohttp": round(rates[0] / rates[1], 3)},
    }


# -- the servers ------------------------------------------------------------------------------------------------------


@contextmanager
def _server(kind: str) -> Iterator[Served]:
    command = [sys.executable, "-m", "bench.api", kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            told = json.loads(process.stdout.readline())
            requests = [request_for(path, told["key"]) for path in told["paths"]]
            yield Served(told["port"], requests, request_for("/v1/health/summary", told["key"]), process)
        finally:
            assert process.stdin
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()


async def _serve_ours() -> None:
    async with _house() as (services, key):
        door = HttpDoor(lambda: build_api(services), host="127.0.0.1", port=0)
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(door.run())
            _, port = await door.listening()
            await _tell(port, key, [f"/v1/devices/{device}" for device in list(services.city.devices)[::9]])
            serving.cancel()


async def _serve_bare() -> None:
    async with _house() as (services, key):
        device = next(iter(services.city.devices.values()))
        answer = json.loads(DeviceJson().write(device, services.board[device.id], services.circumstances[device.id]))

    async def handler(_request: web.Request) -> web.Response:
        return web.json_response(answer)

    app = web.Application()
    app.router.add_get("/v1/devices/{device_id}", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await _tell(runner.addresses[0][1], key, [f"/v1/devices/{device.id}"])
    await runner.cleanup()


async def _tell(port: int, key: str, paths: Sequence[str]) -> None:
    """Say where the server is, then its CPU time whenever asked, until standard input ends."""
    print(json.dumps({"port": port, "key": key, "paths": paths}), flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        usage = resource.getrusage(resource.RUSAGE_SELF)
        print(usage.ru_utime + usage.ru_stime, flush=True)


@asynccontextmanager
async def _house() -> AsyncIterator[tuple[Any, str]]:
    """A door's services over the whole planned city, every device up, and a key."""
    clock = SystemClock()
    city, board = planned_city()
    with tempfile.TemporaryDirectory() as folder:
        async with (
            Store.open(f"sqlite:///{folder}/bench.db", clock=clock, key=bytes(32)) as store,
            Drivers(city, clock, Profiles.load(PROFILES), walk_every_s=3600) as drivers,
            asyncio.TaskGroup() as group,
        ):
            writing = group.create_task(store.writer.run())
            made = await store.writer.write(lambda tx: tx.keys.create(name="bench", roles=[Role.VIEWER], now=clock.now()), lane=Lane.STOP)
            touched = {
                "clock": clock,
                "city": city,
                "board": board,
                "store": store,
                "circumstances": Circumstances(),
                "model_of": drivers.model_of,
                "version": "bench",
                "limits": Limits(requests_per_s=1_000_000),
            }
            yield Services(**_UNTOUCHED | touched), made[1]
            writing.cancel()


def planned_city() -> tuple[Any, Any]:
    """The whole planned city as the gateway has it, every device up."""
    planned, city, board, now = plan(), City(), Board(), SystemClock().now()
    devices = [
        Device(
            DeviceId(one.id),
            DeviceKind(one.kind),
            one.name,
            one.address,
            group=GroupId(one.group) if one.group else None,
            position=Position(one.latitude, one.longitude),
            **{name: getattr(one, name) for name in ("owner", "management_unit", "maintainer", "vendor", "model", "serial")},
        )
        for one in planned.devices
    ]
    city.replace(devices=devices, groups=[CameraGroup(GroupId(group.id), group.name) for group in planned.groups])
    for device in devices:
        identity = {"manufacturer": device.vendor, "model": device.model, "serial": device.serial}
        board.put(Standing(device.id, HealthState.UP, now, check="onvif", last_seen=now, facts={"identity": identity}))
    return city, board


if __name__ == "__main__":
    asyncio.run({"ours": _serve_ours, "bare": _serve_bare}[sys.argv[1]]())
