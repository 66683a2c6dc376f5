"""Keeps connected to one broker, and publishes and takes commands while it is."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

import aiomqtt
import structlog

from gateway.clock import Clock
from gateway.domain.circumstances import Circumstances
from gateway.domain.city import City
from gateway.domain.health import Board
from gateway.errors import GatewayError, Unreachable
from gateway.mqtt.commands import Broadcasts, Commands, Sender
from gateway.mqtt.connection import OFFLINE, ONLINE, Broker, Connection
from gateway.mqtt.copies import Line
from gateway.mqtt.publishing import Publisher
from gateway.mqtt.topics import Topics
from gateway.storage.store import Store

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0

log = structlog.get_logger(__name__)


class MqttDoor:
    """Two connections to one broker, made again whenever they break. To be without is no failure: what happens meanwhile waits.

    The second takes stop-alls alone, which the broker may hold back on the first behind commands that are not acknowledged. Without it
    they come by the first.
    """

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
        self._welcomed = asyncio.Event()  # the broker has let us in

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
            group.create_task(self._keep_stops(), name="mqtt-stops")
            await self._stay_connected(self._connection, _Losses(Line.COMMANDS))

    async def _keep_stops(self) -> None:
        await self._welcomed.wait()
        await self._stay_connected(self._stops_connection, _Losses(Line.STOPS))

    async def _stay_connected(self, connection: Callable[["_Losses"], Awaitable[None]], losses: "_Losses") -> None:
        pause = FIRST_PAUSE_S
        while True:
            started = self._clock.monotonic()
            try:
                await connection(losses)
            except* (aiomqtt.MqttError, GatewayError) as failed:
                losses.tell(_first(failed))
            if self._clock.monotonic() - started > LONGEST_PAUSE_S:
                pause = FIRST_PAUSE_S
            await self._clock.sleep(pause * self._rng.uniform(0.5, 1.0))
            pause = min(LONGEST_PAUSE_S, pause * 2)

    async def _connection(self, losses: "_Losses") -> None:
        async with Connection(self._broker, will=self._topics.status) as client:
            await client.publish(self._topics.status, ONLINE, qos=1, retain=True)
            self.connected, self._client = True, client
            self._welcomed.set()
            losses.over(self._broker, client)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(client.lost(), name="mqtt-lost")
                    group.create_task(self._commands.run(client, Line.COMMANDS), name="mqtt-commands")
                    group.create_task(self._publisher.run(client), name="mqtt-publisher")
            except asyncio.CancelledError:
                self.connected, self._client = False, None
                with contextlib.suppress(aiomqtt.MqttError):  # the broker says it then
                    await client.publish(self._topics.status, OFFLINE, qos=1, retain=True)
                raise
            finally:
                self.connected, self._client = False, None

    async def _stops_connection(self, losses: "_Losses") -> None:
        broker = self._broker.for_stops()
        async with Connection(broker, will=None) as client:
            losses.over(broker, client)
            async with asyncio.TaskGroup() as group:
                group.create_task(client.lost(), name="mqtt-stops-lost")
                group.create_task(self._commands.run(client, Line.STOPS), name="mqtt-stops-commands")


class _Losses:
    """Logs a connection's loss once for each reason that it has, and its return once."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._connected = False
        self._told = ""

    def over(self, broker: Broker, client: Connection) -> None:
        self._connected, self._told = True, ""
        log.info("mqtt.connected", host=broker.host, session_kept=client.session_kept, line=self._line.value)

    def tell(self, error: BaseException) -> None:
        reason = str(error)
        if reason != self._told:
            log.warning("mqtt.lost" if self._connected else "mqtt.unreachable", error=reason, line=self._line.value)
        self._connected, self._told = False, reason


def _first(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error inside groups of groups."""
    error: BaseException = failed
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
