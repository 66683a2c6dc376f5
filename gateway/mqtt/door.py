"""Keeps connected to one broker, and publishes and takes commands while it is."""

import asyncio
import contextlib
import random

import aiomqtt
import structlog

from gateway.clock import Clock
from gateway.domain.circumstances import Circumstances
from gateway.domain.city import City
from gateway.domain.health import Board
from gateway.errors import GatewayError, Unreachable
from gateway.mqtt.commands import Broadcasts, Commands, Sender
from gateway.mqtt.connection import OFFLINE, ONLINE, Broker, Connection, Version, VersionRefused
from gateway.mqtt.publishing import Publisher
from gateway.mqtt.topics import Topics
from gateway.storage.store import Store

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0

log = structlog.get_logger(__name__)


class MqttDoor:
    """One connection to one broker, made again whenever it breaks. To be without is no failure: what happens meanwhile waits."""

    def __init__(
        self,
        broker: Broker,
        *,
        prefix: str,
        store: Store,
        city: City,
        board: Board,
        circumstances: Circumstances,
        clock: Clock,
        broadcasts: Broadcasts,
        sender: Sender,
        rng: random.Random | None = None,
    ) -> None:
        self._broker = broker
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 -- spreads reconnections, guards nothing
        self._topics = Topics(prefix)
        self._publisher = Publisher(
            self._topics,
            store=store,
            city=city,
            board=board,
            circumstances=circumstances,
            clock=clock,
            reader=f"mqtt:{broker.client_id}",
        )
        self._commands = Commands(self._topics, clock=clock, broadcasts=broadcasts, sender=sender)
        self.connected = False
        self._client: Connection | None = None
        self._told = ""

    async def publish(self, topic: str, payload: bytes) -> None:
        """Publish under the prefix, QoS 1; returns when the broker has acknowledged it. Unreachable while there is no connection."""
        if self._client is None or not self.connected:
            raise Unreachable("the broker is not connected")
        try:
            await self._client.publish(self._topics.under(topic), payload, qos=1)
        except aiomqtt.MqttError as error:
            raise Unreachable(f"the broker did not take it: {error}") from error

    async def run(self) -> None:
        """Keep connected until cancelled; a loss is logged once for each reason that it has, and a return once."""
        await self._publisher.begin()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._publisher.keep(), name="mqtt-cursor")
            await self._stay_connected()

    async def _stay_connected(self) -> None:
        pause = FIRST_PAUSE_S
        while True:
            started = self._clock.monotonic()
            try:
                await self._connection()
            except* (aiomqtt.MqttError, GatewayError) as failed:
                self._tell_loss(_first(failed))
            self.connected, self._client = False, None
            if self._clock.monotonic() - started > LONGEST_PAUSE_S:
                pause = FIRST_PAUSE_S
            await self._clock.sleep(pause * self._rng.uniform(0.5, 1.0))
            pause = min(LONGEST_PAUSE_S, pause * 2)

    async def _connection(self) -> None:
        """One connection, by the first version that the broker speaks. MqttError, or a group of errors, when it breaks."""
        for version in self._broker.versions[:-1]:
            with contextlib.suppress(VersionRefused):
                await self._converse(version)
                return
        await self._converse(self._broker.versions[-1])

    async def _converse(self, version: Version) -> None:
        async with Connection(self._broker, version, will=self._topics.status) as client:
            await self._commands.listen(client)  # first: who reads that we are there may command at once
            await client.publish(self._topics.status, ONLINE, qos=1, retain=True)
            self.connected, self._client, self._told = True, client, ""
            log.info("mqtt.connected", host=self._broker.host, version=version.name, session_kept=client.session_kept)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(client.lost(), name="mqtt-lost")
                    group.create_task(self._commands.run(client), name="mqtt-commands")
                    group.create_task(self._publisher.run(client), name="mqtt-publisher")
            except asyncio.CancelledError:
                self.connected, self._client = False, None
                with contextlib.suppress(aiomqtt.MqttError):  # the broker says it then
                    await client.publish(self._topics.status, OFFLINE, qos=1, retain=True)
                raise

    def _tell_loss(self, error: BaseException) -> None:
        reason = str(error)
        if reason != self._told:
            log.warning("mqtt.lost" if self.connected else "mqtt.unreachable", error=reason)
        self._told = reason


def _first(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error inside groups of groups."""
    error: BaseException = failed
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
