"""A whole door on a real socket, over a real store and real services, with a small city behind it."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from demo.processes import free_port
from gateway.api.app import HttpDoor, build_api
from gateway.api.services import Services
from gateway.clock import Clock, SimulatedClock, SystemClock
from gateway.config import Limits
from gateway.domain.access import Role
from gateway.domain.city import City
from gateway.domain.devices import CameraGroup, Channel, Device, DeviceId, DeviceKind, GroupId, Position, Zone, ZoneId
from gateway.domain.events import SYSTEM, NewEvent
from gateway.drivers.profiles.library import Profiles
from gateway.drivers.registry import Drivers
from gateway.footage.destinations import Destination
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane
from simulators import city as simulated
from simulators.inventory import inventory as inventory_file
from simulators.serving import running
from simulators.state import State
from tests.api.furnishing import make_services
from tests.waiting import stopped, until

STREAMS = 5
CAMERA, SPEAKER, RECORDER, SWITCH = DeviceId("cam-1"), DeviceId("spk-1"), DeviceId("nvr-1"), DeviceId("sw-1")
LIMITS = Limits(requests_per_s=10_000, event_streams=STREAMS, import_bytes=1 << 20, clip_bytes=1 << 20, body_bytes=1 << 16)


@dataclass
class House:
    """What a test of the door holds: its address, the parts behind it, one key a role."""

    url: str
    clock: Clock
    services: Services
    keys: Mapping[Role, str]
    drivers: Drivers
    session: aiohttp.ClientSession = field(repr=False)

    def call(self, method: str, path: str, *, role: Role | None = Role.ADMIN, **options: Any) -> Any:
        """An HTTP call as the key of `role` (None: without a key); a context manager of the answer."""
        headers = dict(options.pop("headers", {}))
        if role is not None:
            headers.setdefault("Authorization", f"Bearer {self.keys[role]}")
        return self.session.request(method, self.url + path, headers=headers, **options)

    async def json(self, method: str, path: str, *, role: Role | None = Role.ADMIN, **options: Any) -> tuple[int, Any]:
        """The status and the JSON of an answer."""
        async with self.call(method, path, role=role, **options) as answer:
            return answer.status, await answer.json(content_type=None)

    async def ended(self, path: str, *, role: Role = Role.ADMIN) -> Any:
        """The run at `path` once it has ended, time passing by seconds."""
        _, run = await until(
            lambda: self.json("GET", path, role=role),
            within_s=60,
            meanwhile=lambda: self.advance(1),
            wanted=lambda answer: answer[1]["state"] not in ("waiting", "running"),
        )
        return run

    async def emit(self, *events: NewEvent) -> None:
        async def change(tx: Tx) -> None:
            for event in events:
                tx.emit(event)

        await self.services.store.writer.write(change, lane=Lane.HEALTH)

    def event(self, subject: str = "cam-1", type_: str = "device.state", **data: Any) -> NewEvent:
        return NewEvent(type_, subject, self.clock.now(), data)

    async def advance(self, seconds: float) -> None:
        assert isinstance(self.clock, SimulatedClock)
        await self.clock.advance(seconds)


@asynccontextmanager
async def open_house(
    folder: Path, template: Path, *, city: City | None = None, clock: Clock | None = None, destinations: Sequence[Destination] = ()
) -> AsyncIterator[House]:
    """A running door. The city is `city` or a small one of which no device answers; time is the test's own unless a clock is given."""
    clock = clock or SimulatedClock()
    if not (folder / "gateway.db").exists():
        shutil.copy(template, folder / "gateway.db")
    city = city or small_city()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(Store.open(f"sqlite:///{folder}/gateway.db", clock=clock, key=bytes(32)))
        drivers = await stack.enter_async_context(Drivers(city, clock, Profiles([]), walk_every_s=60))
        await stack.enter_async_context(going(store.writer.run))
        keys = await store.writer.write(lambda tx: _make_keys(tx, clock), lane=Lane.STOP)
        services = make_services(folder, store, city, clock, drivers, limits=LIMITS, destinations=destinations)
        await services.incidents.load()
        await stack.enter_async_context(going(services.incidents.run))
        await stack.enter_async_context(going(services.broadcasts.run))
        await stack.enter_async_context(going(services.sounds.run))
        await stack.enter_async_context(going(services.schedules.run))
        await stack.enter_async_context(going(services.talks.run))
        await stack.enter_async_context(going(services.pictures.run))
        await stack.enter_async_context(going(services.footage.run))
        await stack.enter_async_context(going(services.steering.run))
        await stack.enter_async_context(going(services.uplinks.errands.run))
        door = HttpDoor(lambda: build_api(services), host="127.0.0.1", port=0, shutdown_s=0.1)  # time that stands still ends no talk
        await stack.enter_async_context(going(door.run))
        host, port = await door.listening()
        session = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
        await until(lambda: services.broadcasts.taking_orders)
        yield House(f"http://{host}:{port}", clock, services, keys, drivers, session)


@asynccontextmanager
async def open_street(
    folder: Path, template: Path, *, groups: int = 12, speakers: int = 3
) -> AsyncIterator[tuple[House, simulated.City, str]]:
    """A house whose devices are a simulated city that answers; with the address of the simulators' control API."""
    planned = simulated.plan(seed=3, groups=12, speakers=3, http_port=free_port(0), rtsp_port=free_port(0), snmp_port=1)
    async with (
        running(planned, State(), control=("127.0.0.1", 0), only=("http", "rtsp")) as ports,
        open_house(folder, template, city=City(), clock=SystemClock()) as house,
    ):
        await house.services.inventory.import_file("".join(inventory_file(planned)).encode(), "city.yaml", actor=SYSTEM)
        async with house.services.store.read() as tx:
            house.drivers.renew(await tx.inventory.load_credentials())
        yield house, planned, f"http://127.0.0.1:{ports['control']}"


@asynccontextmanager
async def going(run: Callable[[], Any]) -> AsyncIterator[None]:
    """A part of the daemon at work until the end of the block."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(run())
        yield
        await stopped(task)


def small_city() -> City:
    """Two groups, three cameras, two speakers, a recorder and a switch."""
    city = City()
    place = Position(36.65, 117.12)
    devices = [
        Device(CAMERA, DeviceKind.CAMERA, "东门枪机", "127.8.0.1", group=GroupId("g-1"), position=place, vendor="Acme", uplink=SWITCH),
        Device(DeviceId("cam-2"), DeviceKind.CAMERA, "西门球机", "127.8.0.2", group=GroupId("g-1"), uplink=SWITCH),
        Device(DeviceId("cam-3"), DeviceKind.CAMERA, "广场", "127.8.0.3", group=GroupId("g-2")),
        Device(SPEAKER, DeviceKind.SPEAKER, "东门音柱", "127.8.1.1", group=GroupId("g-1"), audio_output_of=CAMERA, horns=2),
        Device(DeviceId("spk-2"), DeviceKind.SPEAKER, "广场音柱", "127.8.1.2", group=GroupId("g-2"), horns=4),
        Device(RECORDER, DeviceKind.RECORDER, "录像机", "127.8.2.1", channels=(Channel(1, CAMERA, "rec-1"),)),
        Device(SWITCH, DeviceKind.SWITCH, "交换机", "127.8.3.1", group=GroupId("g-1")),
    ]
    groups = [CameraGroup(GroupId("g-1"), "东门", place, street="舜耕", district="历下"), CameraGroup(GroupId("g-2"), "广场")]
    city.replace(devices=devices, groups=groups, zones=[Zone(ZoneId("z-1"), "全部", frozenset({SPEAKER, DeviceId("spk-2")}))])
    return city


async def make_template(path: Path) -> None:
    """A store that has been migrated, to be copied."""
    async with Store.open(f"sqlite:///{path}", clock=SimulatedClock(), key=bytes(32)):
        pass


async def _make_keys(tx: Tx, clock: Clock) -> dict[Role, str]:
    return {role: (await tx.keys.create(name=f"{role} key", roles=[role], now=clock.now()))[1] for role in Role}
