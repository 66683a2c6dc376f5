"""Simulated SNMP agents on the gateway's clock, and the gateway's reader of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gateway.clock import SimulatedClock
from gateway.domain.devices import Credentials, DeviceId, Ports, SnmpCredentials, SnmpVersion
from gateway.drivers.base import Target
from gateway.drivers.profiles.library import Profiles
from gateway.drivers.snmp.polling import GufoEngine
from gateway.drivers.snmp.reader import Reading, SensorReader
from simulators.city import SimDevice, Snmp
from simulators.snmp import server as snmp
from simulators.snmp.server import SnmpServer
from simulators.state import State
from tests.simulators.block import city_of, device

PROFILES = Profiles.load(Path(__file__).parents[2] / "configs" / "profiles")
COMMUNITY = Snmp(version="v2c", community="c1ty", engine_id="80001f880431")
USER = Snmp("v3", "", "poller", "SHA", "auth-secret", "AES128", "priv-secret", "80001f8804073333")
SWITCH = device("switch", 1, vendor="H3C", profile="switch", snmp=COMMUNITY)
USER_SWITCH = device("switch", 2, profile="switch", snmp=USER)
CAMERA = device("camera", 1, vendor="HIKVISION", uplink=SWITCH.id, uplink_port=1, profile="hikvision-camera", snmp=COMMUNITY)
SPEAKER = device("speaker", 1, uplink=SWITCH.id, uplink_port=5, profile="simulated-speaker", snmp=COMMUNITY)
CITY = city_of(SWITCH, USER_SWITCH, CAMERA, SPEAKER)


@dataclass
class Agents:
    server: SnmpServer
    state: State
    clock: SimulatedClock
    engine: GufoEngine = field(default_factory=lambda: GufoEngine(try_s=0.2))

    def __post_init__(self) -> None:
        self.reader = SensorReader(self.engine, PROFILES, clock=self.clock, walk_every_s=0)

    def target(self, of: SimDevice) -> Target:
        assert of.snmp is not None
        login = SnmpCredentials(
            SnmpVersion(of.snmp.version), of.snmp.community, of.snmp.user, of.snmp.auth_protocol, of.snmp.auth_key,
            of.snmp.priv_protocol, of.snmp.priv_key,
        )  # fmt: skip
        return Target(DeviceId(of.id), of.address, Ports(snmp=self.server.port), Credentials(snmp=login), of.profile)

    async def read(self, of: SimDevice) -> Reading:
        return await self.reader.read(self.target(of), timeout_s=5)

    def reboot(self, of: SimDevice) -> None:
        self.state.journal.note(self.state.now(), "reboot", device=of.id)


@asynccontextmanager
async def answering() -> AsyncIterator[Agents]:
    clock = SimulatedClock()
    state = State(lambda: clock.now().timestamp())
    async with snmp.serve(CITY, 0, state) as server:
        agents = Agents(server, state, clock)
        yield agents
        await agents.engine.close()
