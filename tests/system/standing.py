"""A daemon's whole house in the test's own loop, and in processes of their own the simulated city that it manages."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from demo import city as layouts
from demo import processes
from gateway import offline
from gateway.app import PROFILES, House
from gateway.clock import SystemClock
from gateway.config import Broadcast, Config, Health, Http
from gateway.domain.access import Role
from gateway.domain.city import City
from gateway.drivers.profiles.library import Profiles
from gateway.drivers.registry import Drivers
from gateway.health.service import HealthService
from gateway.storage.store import Store
from gateway.storage.vault import load_key
from simulators.city import City as SimulatedCity
from simulators.city import SimDevice
from tests.waiting import until

PATIENCE_S = 100.0
QUICK = Health(interval_s=2.0, timeout_s=1.0)
PORT = 0  # any that is free: two workers must not choose the same


@dataclass
class Standing:
    """A running house and its street, seen from outside but for `health`."""

    house: House
    health: HealthService
    street: SimulatedCity
    url: str
    control: str
    key: str
    http: aiohttp.ClientSession

    async def call(self, method: str, path: str, **options: Any) -> Any:
        """The answer of the gateway, JSON or text, whatever its status but an error."""
        headers = {"Authorization": f"Bearer {self.key}", **options.pop("headers", {})}
        async with self.http.request(method, self.url + path, headers=headers, **options) as answer:
            assert answer.status < 400, (answer.status, await answer.text())
            if answer.content_type == "application/json":
                return await answer.json()
            return await (answer.text() if answer.content_type.startswith("text/") else answer.read())

    async def metric(self, name: str) -> float:
        """One figure of `/metrics`, its labels included in `name`."""
        lines = (await self.call("GET", "/metrics")).splitlines()
        return next(float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name)

    async def ask_street(self, method: str, path: str, **options: Any) -> Any:
        async with self.http.request(method, self.control + path, **options) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def give_fault(self, device: SimDevice, **fault: Any) -> None:
        await self.ask_street("POST", f"/devices/{device.id}/fault", json=fault)

    async def heal(self, device: SimDevice) -> None:
        await self.ask_street("DELETE", f"/devices/{device.id}/fault")

    @asynccontextmanager
    async def listening(self, *types: str, after: int = 0) -> AsyncIterator["Listener"]:
        """The event stream, from the cursor `after` on."""
        query = f"/v1/events?after={after}" + (f"&types={','.join(types)}" if types else "")
        headers = {"Authorization": f"Bearer {self.key}"}
        async with self.http.get(self.url + query, headers=headers, timeout=aiohttp.ClientTimeout(total=None)) as answer:
            assert answer.status == 200
            yield Listener(answer)

    async def until_all_are_up(self) -> None:
        """Wait, on the event stream, until every device has become up."""
        async with self.listening("device.state") as listener:
            waiting = {device.id for device in self.street.devices}
            while waiting:
                event = await listener.next()
                waiting -= {event["subject"]} if event["data"]["after"] == "up" else set()

    async def visit(self, devices: Sequence[SimDevice], times: int) -> None:
        """Have each of these devices checked so often, all of them at a time."""
        for _ in range(times):
            await asyncio.gather(*(self.health.check_now(device.id) for device in devices))


class Listener:
    """One listener to the event stream."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def next(self) -> dict[str, Any]:
        """The next event; TimeoutError when none comes within `PATIENCE_S`."""
        async with asyncio.timeout(PATIENCE_S):
            async for line in self._answer.content:
                if line.startswith(b"data: ") and b'"cursor"' in line:
                    event: dict[str, Any] = json.loads(line[6:])
                    return event
        raise AssertionError("the event stream ended")

    async def until(self, wanted: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """The first event that is `wanted`."""
        while not wanted(event := await self.next()):
            pass
        return event


async def eventually(look: Callable[[], Awaitable[Any]], wanted: Callable[[Any], object] = bool) -> Any:
    """What `look` finds once it is `wanted`: for what no event tells. AssertionError when that takes longer than `PATIENCE_S`."""
    return await until(look, PATIENCE_S, wanted=wanted)


@asynccontextmanager
async def standing(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    groups: int = 12,
    speakers: int = 2,
    health: Health = QUICK,
    prepare: Callable[[House], None] = lambda _: None,
) -> AsyncIterator[Standing]:
    """A house that has told its service manager that it is ready. `prepare` is given it before its parts start."""
    layout, ports = layouts.Layout(folder), layouts.choose_ports(PORT)
    await layouts.plan(layout, ports, seed=11, groups=groups, speakers=speakers)
    config = Config(
        store=f"sqlite:///{folder}/gateway.db",
        data_dir=folder,
        key_file=folder / "store.key",
        http=Http(port=ports.gateway),
        health=health,
        broadcast=Broadcast(hours_file=layouts.speaking_hours(folder)),  # tests are run at night, too
    )
    key = await _furnish(config, layout.city.parent)
    async with AsyncExitStack() as stack:
        start = stack.enter_async_context
        serve = ("simulators", "serve", "--city", str(layout.city), "--control", f"127.0.0.1:{ports.control}")
        await start(processes.running(serve, log=layout.log("simulators")))
        house = await start(_running(config, monkeypatch, prepare))
        http = await start(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        street = SimulatedCity.load(layout.city)
        door, street_door = (f"http://127.0.0.1:{port}" for port in (ports.gateway, ports.control))
        yield Standing(house, house._health.service, street, door, street_door, key, http)


async def _furnish(config: Config, files: Path) -> str:
    """Import the city, and make a key for everything."""
    await offline.import_files(config, [files / "inventory.yaml"], dry_run=False, prune=False, tell=lambda _: None)
    return await offline.create_key(config, name="test", roles=[Role.ADMIN, Role.OPERATOR, Role.ENGINEER, Role.APPROVER])


@asynccontextmanager
async def _running(config: Config, monkeypatch: pytest.MonkeyPatch, prepare: Callable[[House], None]) -> AsyncIterator[House]:
    """The daemon without its process: what `gateway.app.serve` puts together, stopped in order at the end."""
    clock, city, stop = SystemClock(), City(), asyncio.Event()
    key = load_key(config.store_key(), create=False)
    async with (
        Store.open(config.store_url(), clock=clock, key=key, chain=config.instance) as store,
        Drivers(city, clock, Profiles.load(PROFILES), walk_every_s=config.health.sensor_interval_s) as drivers,
        asyncio.TaskGroup() as group,
    ):
        house = House(config, clock, store, city, drivers)
        prepare(house)
        with _service_manager(config.data_dir / "notify", monkeypatch) as said:
            running = group.create_task(house.run(stop))
            await _ready(said, running)
        try:
            yield house
        finally:
            stop.set()


def _service_manager(path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    """The socket on which a service manager listens."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    listener.bind(os.fspath(path))
    monkeypatch.setenv("NOTIFY_SOCKET", os.fspath(path))
    return listener


async def _ready(said: socket.socket, running: "asyncio.Task[None]") -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await _or_failure(asyncio.get_running_loop().sock_recv(said, 100), running) != b"READY=1":
            pass


async def _or_failure(wanted: Awaitable[bytes], running: "asyncio.Task[None]") -> bytes:
    """What comes, or the error with which the house fell meanwhile."""
    coming = asyncio.ensure_future(wanted)
    await asyncio.wait([coming, running], return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        coming.cancel()
        await running
    return await coming
