"""A gateway that listens to one simulated camera's events, with both clocks in the test's hand."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gateway.domain.devices import Credentials, DeviceId, Ports
from gateway.domain.quirks import Parameter, Quirk, Quirks
from gateway.drivers.base import DeviceEvent, Target
from gateway.drivers.http import Http
from gateway.drivers.onvif.device import OnvifDevice
from gateway.drivers.onvif.events import Subscriber
from simulators.city import SimDevice
from tests.simulators.street import Street
from tests.waiting import Watched

PATIENCE_S = 60


@dataclass
class Listener:
    """What it heard so far. A pull does not wait here: time passes only when the test says so."""

    street: Street
    camera: SimDevice
    device: OnvifDevice
    subscriber: Subscriber
    clock: Watched
    heard: list[DeviceEvent] = field(default_factory=list)

    async def passes(self, seconds: int) -> None:
        """Let time pass here and there, second by second, with everything done that is due."""
        await self.clock.waited_for()
        for _ in range(seconds):
            self.street.clock.now += 1
            await self.clock.advance(1)
            await self.clock.waited_for()

    def of(self, topic: str) -> list[DeviceEvent]:
        return [event for event in self.heard if event.topic.endswith(topic)]

    @property
    def begun(self) -> list[str]:
        """The topics of what began."""
        return [event.topic for event in self.heard if event.begins]

    def asked(self, operation: str) -> int:
        """How often the camera was asked that, refusals included."""
        return self.street.state.counters[f"events.{operation}.camera"]


def quirks(**switches: Mapping[str, Parameter]) -> Quirks:
    """What a profile would say: switches by name, with _ for -."""
    by_switch = {name.replace("_", "-"): Quirk("Q0", name.replace("_", "-"), parameters) for name, parameters in switches.items()}
    return Quirks(by_switch)


def target(street: Street, camera: SimDevice, known: Quirks | None = None) -> Target:
    login, ports = Credentials(camera.username, camera.password), Ports(onvif=street.city.http_port)
    return Target(DeviceId(camera.id), camera.address, ports, login, quirks=known or Quirks())


@asynccontextmanager
async def listening(
    street: Street, camera: SimDevice | None = None, *, known: Quirks | None = None, pull_s: float = 0.0
) -> AsyncIterator[Listener]:
    """Listen for the duration; `known`: what the camera's profile says; `pull_s`: how long a pull waits, in real time."""
    camera = camera or street.camera
    clock = Watched(datetime.fromtimestamp(street.clock.now, UTC))
    device = OnvifDevice(target(street, camera, known), Http(), clock)
    listener = Listener(street, camera, device, Subscriber(device, Http(per_address=1), clock, pull_s=pull_s), clock)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(listener.subscriber.run(listener.heard.append))
        await clock.waited_for()
        yield listener
        running.cancel()
