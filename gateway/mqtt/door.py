"""What the door does by each of its two sessions at one broker: that of commands, which publishes as well, and that of stop-alls."""

import asyncio
import random

import aiomqtt
import structlog

from gateway.clock import Clock
from gateway.domain.circumstances import Circumstances
from gateway.domain.city import City
from gateway.domain.health import Board
from gateway.errors import Unreachable
from gateway.mqtt.answers import Answers
from gateway.mqtt.broadcasts import Broadcasts, Sender
from gateway.mqtt.commands import Commands
from gateway.mqtt.connection import OFFLINE, ONLINE, Broker, Connection
from gateway.mqtt.publishing import Publisher
from gateway.mqtt.stops import StopAlls
from gateway.mqtt.topics import Topics
from gateway.mqtt.upkeep import Session, Standing, Upkeep
from gateway.storage.store import Store

log = structlog.get_logger(__name__)


class MqttDoor:
    """One broker. While the session of stop-alls cannot be had, that of commands brings them, too."""

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
        answers = Answers(self._topics, clock=clock, problem=sender.problem)
        self._stop_alls = StopAlls(self._topics, clock=clock, broadcasts=broadcasts, sender=sender, answers=answers)
        self._commands = Commands(
            self._topics, clock=clock, broadcasts=broadcasts, sender=sender, answers=answers, stop_alls=self._stop_alls
        )
        rng = rng or random.Random()  # noqa: S311 -- spreads reconnections, guards nothing
        self._stop_client_id = f"{broker.client_id}-stop-all"
        stops = Session(self._stop_client_id, self._stop_alls.listen, self._stop_alls.run)
        commands = Session(broker.client_id, self._begin, self._work, self._end, will=self._topics.status)
        self._stop_session = Upkeep(stops, broker, clock=clock, rng=rng)
        self._session = Upkeep(commands, broker, clock=clock, rng=rng, after=self._stop_session)
        self._heeded = Standing.TRYING  # of the session of stop-alls, by that of commands

    @property
    def connected(self) -> bool:
        """Whether commands are listened to, and states and events published."""
        return self._session.client is not None

    async def publish(self, topic: str, payload: bytes) -> None:
        """Publish under the prefix, QoS 1; returns when the broker has acknowledged it. Unreachable while there is no connection."""
        client = self._session.client
        if client is None:
            raise Unreachable("the broker is not connected")
        try:
            await client.publish(self._topics.under(topic), payload, qos=1)
        except aiomqtt.MqttError as error:
            raise Unreachable(f"the broker did not take it: {error}") from error

    async def run(self) -> None:
        """Keep both sessions connected until cancelled."""
        await self._publisher.begin()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._publisher.keep(), name="mqtt-cursor")
            group.create_task(self._stop_session.run(), name="mqtt-stop-alls")
            group.create_task(self._session.run(), name="mqtt-commands")

    # -- the session of commands --------------------------------------------------------------------------------------

    async def _begin(self, client: Connection) -> None:
        """Who reads that we are there may command at once, so that is said last."""
        await self._share_stop_alls(client)
        await self._commands.listen(client)
        await client.publish(self._topics.status, ONLINE, qos=1, retain=True)

    async def _work(self, client: Connection) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._commands.run(client), name="mqtt-commands")
            group.create_task(self._publisher.run(client), name="mqtt-publisher")
            group.create_task(self._keep_sharing(client), name="mqtt-sharing")

    async def _end(self, client: Connection) -> None:
        await client.publish(self._topics.status, OFFLINE, qos=1, retain=True)

    # -- stop-alls by the session of commands -------------------------------------------------------------------------

    async def _keep_sharing(self, client: Connection) -> None:
        """Follow what becomes of the session of stop-alls."""
        while True:
            await self._stop_session.changed(self._heeded)
            await self._share_stop_alls(client)

    async def _share_stop_alls(self, client: Connection) -> None:
        """Hear stop-alls by `client` while their own session cannot be had, and not, as an earlier version did, while it can."""
        before, self._heeded = self._heeded, self._stop_session.standing
        topic = self._topics.stop_all
        if self._heeded is Standing.LISTENING:
            await client.leave(topic)
        elif self._heeded is Standing.FAILED:
            if not await client.listen(topic):
                log.error("mqtt.commands_denied", topic=topic)
            if before is not Standing.FAILED:
                self._tell_sharing()

    def _tell_sharing(self) -> None:
        told = {"client_id": self._stop_client_id, "topic": self._topics.stop_all, "error": self._stop_session.told}
        hint = "let this client id log in beside ours and read the topic; until then a stop-all waits behind the commands before it"
        log.error("mqtt.stop_all_waits", **told, hint=hint)
