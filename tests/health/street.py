"""A simulated street of real sockets for the health service, with the store, drivers and clock that it works with."""

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import text

from gateway.clock import Clock
from gateway.domain.city import City
from gateway.domain.devices import Credentials, Device, DeviceId, DeviceKind, Ports, SnmpCredentials, SnmpVersion
from gateway.domain.events import Event
from gateway.domain.health import Board
from gateway.domain.policy import Limits
from gateway.drivers.base import Target
from gateway.drivers.http import Http
from gateway.drivers.onvif.device import OnvifDevice
from gateway.drivers.profiles.library import Profiles
from gateway.drivers.refusals import Refusals
from gateway.drivers.snmp.polling import GufoEngine
from gateway.drivers.snmp.reader import SensorReader
from gateway.health.album import Album
from gateway.health.checks.subject import SlowTools, Tools
from gateway.health.diary import Diary
from gateway.health.service import HealthService
from gateway.health.streams import Streams
from gateway.health.wheel import Pace
from gateway.media.pictures import PictureReader
from gateway.storage.store import Store
from gateway.storage.writer import Lane
from simulators.city import SimDevice, plan
from simulators.faults import Answer, Fault
from simulators.serving import running
from simulators.state import State
from tests.simulators.street import free_ports

PROFILES = Profiles.load(Path(__file__).parents[2] / "configs" / "profiles")
CALM = Limits(flap_changes=100)


@dataclass
class Street:
    """A small simulated city, and the gateway's view of it."""

    state: State
    devices: dict[DeviceId, SimDevice]
    ports: Ports
    city: City = field(default_factory=City)
    board: Board = field(default_factory=Board)
    logins: dict[DeviceId, Credentials] = field(default_factory=dict)
    """Credentials that the inventory has instead of the right ones."""
    pictures: PictureReader = field(default_factory=PictureReader)
    http: Http = field(default_factory=Http)
    drivers: dict[DeviceId, OnvifDevice] = field(default_factory=dict)
    refusals: defaultdict[DeviceId, Refusals] = field(default_factory=lambda: defaultdict(Refusals))

    def adopt(self, devices: Sequence[SimDevice], **changed: str) -> None:
        """The inventory is these devices, with `changed` in each."""
        self.city.replace(devices=[self.entry(device, **changed) for device in devices])

    def entry(self, device: SimDevice, **changed: str) -> Device:
        facts = {"address": device.address, "serial": device.serial, "profile": device.profile} | changed
        return Device(DeviceId(device.id), DeviceKind(device.kind), device.name, ports=self.ports, **facts)

    def of(self, kind: str) -> list[SimDevice]:
        return [device for device in self.devices.values() if device.kind == kind]

    def target(self, device_id: DeviceId) -> Target:
        device = self.devices[device_id]
        credentials = self.logins.get(device_id) or Credentials(device.username, device.password, snmp_of(device))
        return Target(device_id, device.address, self.ports, credentials, device.profile)

    def driver(self, device: DeviceId, clock: Clock | None = None) -> OnvifDevice:
        """One a device, kept."""
        if device not in self.drivers:
            assert clock is not None
            self.drivers[device] = OnvifDevice(self.target(device), self.http, clock)
        return self.drivers[device]

    def slow_tools(self, clock: Clock, store: Store, *, timeout_s: float = 5.0) -> SlowTools:
        """What slow checks work with."""
        streams = Streams(
            camera_of=partial(self.driver, clock=clock), target_of=self.target, refusals_of=self.refusals.__getitem__, clock=clock
        )
        return SlowTools(
            clock=clock,
            city=self.city,
            board=self.board,
            streams=streams,
            pictures=self.pictures,
            album=Album(store, clock),
            target_of=self.target,
            recorder_of=partial(self.driver, clock=clock),
            sensors=SensorReader(GufoEngine(try_s=0.3), PROFILES, clock=clock),
            diary=Diary(store),
            silent_s=lambda _device: None,
            complains=lambda _device, _check: False,
            timeout_s=timeout_s,
        )

    def service(
        self,
        store: Store,
        clock: Clock,
        *,
        limits: Limits = CALM,
        pace: Pace = Pace(),  # noqa: B008 -- frozen
        timeout_s: float = 1.0,
        echo: Callable[[str, float], Awaitable[bool | None]] | None = None,
        **more: Any,
    ) -> HealthService:
        sensors = SensorReader(GufoEngine(try_s=0.3), PROFILES, clock=clock)
        tools = Tools(onvif_of=partial(self.driver, clock=clock), target_of=self.target, sensors=sensors, clock=clock, timeout_s=timeout_s)
        if echo is not None:
            tools = replace(tools, echo=echo)
        return HealthService(city=self.city, board=self.board, store=store, tools=tools, limits=limits, pace=pace, **more)

    def break_(self, device: SimDevice, **fault: object) -> None:
        self.state.faults[device.id] = Fault(**fault)

    def silence(self, device: SimDevice) -> None:
        self.break_(device, answer=Answer.SILENT)

    def mend(self, device: SimDevice) -> None:
        self.state.faults.pop(device.id, None)


def snmp_of(device: SimDevice) -> SnmpCredentials | None:
    snmp = device.snmp
    if snmp is None:
        return None
    return SnmpCredentials(
        SnmpVersion(snmp.version), snmp.community, snmp.user, snmp.auth_protocol, snmp.auth_key, snmp.priv_protocol, snmp.priv_key
    )


@asynccontextmanager
async def standing(clock: Clock, *, protocols: Sequence[str] = ("http", "snmp")) -> AsyncIterator[Street]:
    """The street, answering on `protocols` for the duration. Its clock is the gateway's."""
    http, rtsp, snmp = free_ports(3)
    city = plan(seed=3, groups=12, speakers=3, http_port=http, rtsp_port=rtsp, snmp_port=snmp)
    state = State(lambda: clock.now().timestamp())
    async with running(city, state, control=("127.0.0.1", 0), only=protocols):
        street = Street(state, {DeviceId(device.id): device for device in city.devices}, Ports(onvif=http, rtsp=rtsp, snmp=snmp))
        try:
            yield street
        finally:
            await street.pictures.close()


async def events(store: Store) -> list[Event]:
    return await store.events.read_after(0, limit=1_000)


@asynccontextmanager
async def broken(store: Store) -> AsyncIterator[None]:
    """The store, unable to take a transition."""
    await _rename(store, "transitions", "away")
    try:
        yield
    finally:
        await _rename(store, "away", "transitions")


async def _rename(store: Store, before: str, after: str) -> None:
    await store.writer.write(lambda tx: tx.conn.execute(text(f"ALTER TABLE {before} RENAME TO {after}")), lane=Lane.STOP)
