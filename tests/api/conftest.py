"""A whole door on a real socket, over a real store, with a small city behind it."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.api.app import HttpDoor, build_api
from gateway.api.services import Services
from gateway.clock import SimulatedClock
from gateway.config import Limits
from gateway.domain.access import Role
from gateway.domain.city import City
from gateway.domain.devices import CameraGroup, Channel, Device, DeviceId, DeviceKind, GroupId, Position, Zone, ZoneId
from gateway.domain.events import NewEvent
from gateway.domain.health import Board
from gateway.inventory.service import InventoryService
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

STREAMS = 5
CAMERA, SPEAKER, RECORDER, SWITCH = DeviceId("cam-1"), DeviceId("spk-1"), DeviceId("nvr-1"), DeviceId("sw-1")


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
    groups = [CameraGroup(GroupId("g-1"), "东门", place, street="舜耕"), CameraGroup(GroupId("g-2"), "广场")]
    city.replace(devices=devices, groups=groups, zones=[Zone(ZoneId("z-1"), "全部", frozenset({SPEAKER, DeviceId("spk-2")}))])
    return city


@dataclass
class House:
    """What a test of the door holds: its address, and the parts behind it."""

    url: str
    clock: SimulatedClock
    services: Services
    keys: dict[Role, str]
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

    async def emit(self, *events: NewEvent) -> None:
        async def change(tx: Tx) -> None:
            for event in events:
                tx.emit(event)

        await self.services.store.writer.write(change, lane=Lane.HEALTH)

    def event(self, subject: str = "cam-1", type_: str = "device.state", **data: Any) -> NewEvent:
        return NewEvent(type_, subject, self.clock.now(), data)


Change = Callable[[Services], Services]


@asynccontextmanager
async def open_house(folder: Path, template: Path, *, city: City | None = None, roles: Iterable[Role] = Role) -> AsyncIterator[House]:
    """A running door with one key a role."""
    clock = SimulatedClock()
    shutil.copy(template, folder / "gateway.db")
    async with Store.open(f"sqlite:///{folder}/gateway.db", clock=clock, key=bytes(32)) as store, asyncio.TaskGroup() as group:
        writer = group.create_task(store.writer.run())
        keys = await store.writer.write(lambda tx: _make_keys(tx, roles, clock), lane=Lane.STOP)
        known = city or small_city()
        services = Services(
            clock=clock,
            city=known,
            board=Board(),
            store=store,
            inventory=InventoryService(store, known, clock),
            version="0.0.0",
            limits=Limits(requests_per_s=10_000, event_streams=STREAMS, import_bytes=1 << 20, clip_bytes=1 << 20, body_bytes=1 << 16),
        )
        door = HttpDoor(lambda: build_api(services), host="127.0.0.1", port=0)
        serving = group.create_task(door.run())
        host, port = await door.listening()
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            yield House(f"http://{host}:{port}", clock, services, keys, session)
        for task in (serving, writer):
            task.cancel()
            await asyncio.wait([task])


async def _make_keys(tx: Tx, roles: Iterable[Role], clock: SimulatedClock) -> dict[Role, str]:
    return {role: (await tx.keys.create(name=f"{role} key", roles=[role], now=clock.now()))[1] for role in roles}


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that has been migrated once for all tests: each takes a copy."""
    path = tmp_path_factory.mktemp("template") / "gateway.db"

    async def make() -> None:
        async with Store.open(f"sqlite:///{path}", clock=SimulatedClock(), key=bytes(32)):
            pass

    asyncio.run(make())
    return path


@pytest.fixture
async def house(tmp_path: Path, template: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, template) as opened:
        yield opened
