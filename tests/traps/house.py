"""A trap service with a real store, a real receiving process and a city of switches, cameras and loudspeakers on loopback."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gateway.clock import Clock
from gateway.domain.alarms import TrapRule
from gateway.domain.city import City
from gateway.domain.devices import Credentials, Device, DeviceId, DeviceKind, Ports, SnmpCredentials, SnmpVersion
from gateway.domain.events import Event
from gateway.domain.health import Board, CheckResult
from gateway.drivers.base import Target
from gateway.drivers.profiles.library import Profiles
from gateway.storage.store import Store
from gateway.traps.service import TrapService, TrapSettings
from tests.waiting import until

PROFILES = Profiles.load(Path(__file__).parents[2] / "configs" / "profiles")
AUTH_KEY, PRIV_KEY = "authentication-1", "privacy-key-1"
V2C = SnmpCredentials(SnmpVersion.V2C, community="c1ty")


def user(auth: str = "SHA", priv: str = "AES") -> SnmpCredentials:
    return SnmpCredentials(SnmpVersion.V3, "", "poller", auth, AUTH_KEY if auth else "", priv, PRIV_KEY if priv else "")


def device(name: str, kind: DeviceKind, address: str, **facts: object) -> Device:
    return Device(DeviceId(name), kind, name, address, **facts)


SWITCH = device("SW-1", DeviceKind.SWITCH, "127.66.0.1", profile="switch")
SECURE = device("SW-3", DeviceKind.SWITCH, "127.66.0.3", profile="switch")
CAMERA = device("C-1", DeviceKind.CAMERA, "127.66.0.11", uplink=SWITCH.id, uplink_port=3)
AXIS = device("S-1", DeviceKind.SPEAKER, "127.66.0.21", profile="axis-speaker", uplink=SWITCH.id, uplink_port=4)
KEYLESS = device("C-2", DeviceKind.CAMERA, "127.66.0.12")
DEVICES = (SWITCH, SECURE, CAMERA, AXIS, KEYLESS)
LOGINS = {SWITCH.id: V2C, SECURE.id: user(), CAMERA.id: V2C, AXIS.id: V2C}


@dataclass
class House:
    """What the service was told to do is in `reports` and `visits`; `stores` says whether reports are taken."""

    service: TrapService
    store: Store
    city: City
    board: Board
    port: int
    logins: dict[DeviceId, SnmpCredentials]
    reports: list[tuple[DeviceId, CheckResult]] = field(default_factory=list)
    visits: list[DeviceId] = field(default_factory=list)
    takes_reports: bool = True

    @property
    def counts(self) -> Mapping[str, int]:
        return self.service.figures.counts

    async def events(self) -> list[Event]:
        return list(await self.store.events.read_after(0, limit=10_000))

    async def named(self, name: str) -> list[Event]:
        return [event for event in await self.events() if event.data["name"] == name]

    def send(self, data: bytes, address: str = SWITCH.address) -> None:
        """One datagram from a device's address."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((address, 0))
            sock.sendto(data, ("127.0.0.1", self.port))

    async def until_events(self, count: int) -> list[Event]:
        return await until(self.events, wanted=lambda found: len(found) >= count)


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@asynccontextmanager
async def standing(
    store: Store,
    clock: Clock,
    folder: Path,
    *,
    devices: Sequence[Device] = DEVICES,
    logins: Mapping[DeviceId, SnmpCredentials] = LOGINS,
    running: bool = True,
    **settings: float,
) -> AsyncIterator[House]:
    """The service, listening and knowing its devices when it `running`s."""
    city, board, known = City(), Board(), dict(logins)
    city.replace(devices=devices)

    def target_of(name: DeviceId) -> Target:
        return Target(name, city.devices[name].address, Ports(), Credentials(snmp=known.get(name)))

    def rules_of(name: DeviceId) -> Mapping[str, TrapRule]:
        return PROFILES.traps_of(PROFILES.by_name.get(city.devices[name].profile))

    async def report(name: DeviceId, results: Sequence[CheckResult]) -> bool:
        house.reports += [(name, result) for result in results]
        return house.takes_reports

    async def visit(name: DeviceId) -> None:
        house.visits.append(name)

    port = free_udp_port()
    service = TrapService(
        TrapSettings(port, "127.0.0.1", **settings),
        city=city, board=board, store=store, clock=clock, folder=folder,
        target_of=target_of, rules_of=rules_of, report=report, visit=visit,
    )  # fmt: skip
    house = House(service, store, city, board, port, known)
    await service.load()
    if not running:
        yield house
        return
    work = asyncio.create_task(service.run())
    try:
        await _until_introduced(house)
        yield house
    finally:
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError, ExceptionGroup):  # a test may have ended the receiving process
            await work


async def _until_introduced(house: House) -> None:
    """The process believes the devices when it no longer calls them strangers."""
    await until(lambda: house.service.receiver_pid)
    await until(lambda: house.counts.get("malformed"), meanwhile=lambda: house.send(b"x", CAMERA.address))
