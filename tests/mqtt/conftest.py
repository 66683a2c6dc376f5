"""A house with an MQTT door, and the broker's end of its connection."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from gateway.api.orders import read_order
from gateway.api.services import Caller
from gateway.clock import SystemClock
from gateway.domain.access import Permission
from gateway.domain.events import Actor, ActorKind
from gateway.mqtt import Broker, MqttDoor
from tests.api.conftest import template
from tests.api.house import House, going, open_house
from tests.mqtt.wire import WireBroker, listening

__all__ = ["template"]

PREFIX = "gateway/v1"
SENDER = Caller(Actor(ActorKind.SYSTEM, "mqtt"), "mqtt", frozenset({Permission.BROADCAST_SEND}))


def door_of(house: House, broker: Broker) -> MqttDoor:
    """The door that the composition root would make."""
    services = house.services
    return MqttDoor(
        broker,
        prefix=PREFIX,
        store=services.store,
        city=services.city,
        board=services.board,
        clock=SystemClock(),
        broadcasts=services.broadcasts,
        read_order=partial(read_order, caller=SENDER, city=services.city),
    )


@dataclass
class Line:
    """A house whose MQTT door is connected to a broker in the test's hands."""

    house: House
    broker: WireBroker

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        """The door at work until the end of the block."""
        async with going(door_of(self.house, Broker("127.0.0.1", self.broker.port)).run):
            yield


@pytest.fixture
async def line(tmp_path: Path, template: Path) -> AsyncIterator[Line]:
    async with open_house(tmp_path, template, clock=SystemClock()) as house, listening() as broker:
        yield Line(house, broker)
