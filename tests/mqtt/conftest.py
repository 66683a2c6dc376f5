"""A house with an MQTT door, and the broker's end of its connection."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from gateway.api.orders import read_order
from gateway.api.problems import problem_of
from gateway.api.services import Caller, Services
from gateway.clock import Clock, SystemClock
from gateway.domain.access import Role, permissions
from gateway.domain.events import Actor, ActorKind
from gateway.mqtt import Broker, MqttDoor, Sender
from gateway.mqtt.broadcasts import Broadcasts
from tests.api.conftest import template
from tests.api.house import House, going, open_house
from tests.mqtt.wire import Published, WireBroker, listening

__all__ = ["template"]

PREFIX = "gateway/v1"
PLATFORM = Caller(Actor(ActorKind.API_KEY, "mqtt:city-gateway"), "mqtt", permissions({Role.PLATFORM}))
BODY_BYTES = 65_536


def door_of(house: House, broker: Broker, *, broadcasts: Broadcasts | None = None, clock: Clock | None = None) -> MqttDoor:
    """The door that the composition root would make; `broadcasts` in the place of the house's own, `clock` in that of the system's."""
    services = house.services
    return MqttDoor(
        broker,
        prefix=PREFIX,
        store=services.store,
        city=services.city,
        board=services.board,
        circumstances=services.circumstances,
        clock=clock or SystemClock(),
        broadcasts=broadcasts or services.broadcasts,
        sender=sender_of(services),
    )


def sender_of(services: Services) -> Sender:
    return Sender(
        PLATFORM.actor,
        read_order=partial(read_order, caller=PLATFORM, city=services.city),
        problem=lambda error: problem_of(error).body(),
        body_bytes=BODY_BYTES,
    )


COMMANDS, STOP_ALL, MARKER = (f"{PREFIX}/commands/{name}" for name in ("broadcasts", "stop-all", "marker"))
REPLY, UNADDRESSED = f"{PREFIX}/replies/platform", f"{PREFIX}/replies/unaddressed"


@dataclass
class Line:
    """A house whose MQTT door is connected to a broker in the test's hands."""

    house: House
    broker: WireBroker

    def states(self) -> list[Published]:
        """The states that were published, in order."""
        return [message for message in self.broker.published if message.topic.startswith(f"{PREFIX}/devices/")]

    async def ready(self, *, connections: int = 1) -> None:
        """Return when the door listens to commands and has told every state, as often as it has connected."""
        states = connections * len(self.house.services.city.devices)
        commands = self.broker.commands
        await self.broker.until(lambda: commands.subscribed.count(COMMANDS) == connections and len(self.states()) == states)

    @asynccontextmanager
    async def up(self, *, broadcasts: Broadcasts | None = None, clock: Clock | None = None) -> AsyncIterator[None]:
        """The door at work until the end of the block."""
        async with going(door_of(self.house, Broker("127.0.0.1", self.broker.port), broadcasts=broadcasts, clock=clock).run):
            yield


@pytest.fixture
async def line(tmp_path: Path, template: Path) -> AsyncIterator[Line]:
    async with open_house(tmp_path, template, clock=SystemClock()) as house, listening() as broker:
        yield Line(house, broker)
