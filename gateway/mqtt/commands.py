"""What comes in: commands to broadcast, each done at most once, answered, and then acknowledged. A stop-all cuts all of them off."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiomqtt
import structlog

from gateway.broadcast.orders import Order
from gateway.broadcast.views import View
from gateway.clock import Clock
from gateway.domain.broadcast import BroadcastId, outcome
from gateway.errors import Conflict, GatewayError, NotFound, Overloaded, StorageFailed
from gateway.mqtt.answers import Answer, Answers, Command, refuse_retained
from gateway.mqtt.broadcasts import Broadcasts, Sender
from gateway.mqtt.connection import Connection
from gateway.mqtt.marker import Marker
from gateway.mqtt.receipts import Receipt, Receipts
from gateway.mqtt.stops import StopAlls
from gateway.mqtt.topics import Topics
from gateway.mqtt.turns import Turns

TRY_AGAIN_S = 1.0  # a command that the store does not take now is tried again until its time is over
ACCEPTED_MAX = 1_000  # ids that are known without a look: of what may come again because its acknowledgement was lost

log = structlog.get_logger(__name__)


class Commands:
    """Takes what the session of commands brings, and answers each command on its `reply_to`.

    What was sent before the last stop-all is refused, wherever it waits: in its turn here, for the store, for its sound, or at the broker.
    So after a stop-all nothing waits here until the marker has come, and the broker is soon rid of what it kept.
    """

    def __init__(
        self, topics: Topics, *, clock: Clock, broadcasts: Broadcasts, sender: Sender, answers: Answers, stop_alls: StopAlls
    ) -> None:
        self._topics = topics
        self._clock = clock
        self._broadcasts = broadcasts
        self._sender = sender
        self._answers = answers
        self._stop_alls = stop_alls
        self._marker = Marker(topics.marker, clock=clock, broadcasts=broadcasts)
        self._turns = Turns()
        self._under_way: set[asyncio.Timeout] = set()  # what a stop-all cuts off
        self._accepted: dict[BroadcastId, None] = {}  # the latest, in their order; a stop-all refuses none of them any more

    async def listen(self, client: Connection) -> None:
        """Subscribe to commands; what comes from now on waits for `run`. MqttError."""
        for topic in (self._topics.marker, self._topics.broadcasts):
            if not await client.listen(topic):
                log.error("mqtt.commands_denied", topic=topic)  # states and events go out all the same

    async def run(self, client: Connection) -> None:
        """Take commands until the connection breaks (MqttError)."""
        receipts = Receipts(client, self._clock)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._cut_off(), name="mqtt-cut-off")
            group.create_task(self._marker.run(client, receipts), name="mqtt-marker")
            async for message in client.arrivals():
                self._take(message, client, receipts, group)

    def _take(self, message: aiomqtt.Message, client: Connection, receipts: Receipts, group: asyncio.TaskGroup) -> None:
        """Waits for nothing, so that a stop-all and the marker are heard whatever else has come."""
        if message.topic.value == self._topics.stop_all:  # while their own session cannot be had, or from before there was one
            self._stop_alls.take(message, client, receipts, group)
            return
        receipt = receipts.owe(message)
        if self._marker.heed(message):
            receipts.give(receipt)
            return
        carrying = self._carry_out(message, self._marker.passed, client, receipts, receipt)
        group.create_task(carrying, name=f"mqtt-command {message.mid}")

    async def _carry_out(self, message: aiomqtt.Message, stops: int, client: Connection, receipts: Receipts, receipt: Receipt) -> None:
        answer = await self.broadcast(bytes(message.payload), retained=message.retain, stops=stops)
        await self._answers.tell(client, answer)
        receipts.give(receipt)

    async def broadcast(self, payload: bytes, *, retained: bool, stops: int = 0) -> Answer:
        """Carry out one command that was sent after `stops` stop-alls. When this returns, what it did is on the disk."""
        command = Command()
        try:
            command.read(payload, limit=self._sender.body_bytes, topics=self._topics)
            refuse_retained(retained)
            order = self._sender.read_order(command.fields)
            if order.id in self._accepted:
                stops = self._broadcasts.stops
            async with self._unless_stopped(stops), self._turns.turn(order.priority, order.id):
                known, view = await self._submit(order, stops)
            self._remember(order.id)
        except GatewayError as error:
            return self._answers.refused(command, error)
        return self._answers.done(command, "seen-before" if known else "accepted", {"broadcast": _seen(view)})

    async def _submit(self, order: Order, stops: int) -> tuple[bool, View]:
        """Whether the order was known, and what has come of it. Tried again while the store does not take it, until its time is over."""
        while True:
            try:
                known = await self._known(order.id)
                self._check_stops(stops)
                return known, await self._broadcasts.submit(order)
            except (StorageFailed, Overloaded):
                if self._clock.now() >= order.not_after:
                    raise
            await self._clock.sleep(TRY_AGAIN_S)

    def _remember(self, accepted: BroadcastId) -> None:
        self._accepted[accepted] = None
        if len(self._accepted) > ACCEPTED_MAX:
            del self._accepted[next(iter(self._accepted))]

    async def _known(self, broadcast: BroadcastId) -> bool:
        try:
            await self._broadcasts.get(broadcast)
        except NotFound:
            return False
        return True

    # -- stop-all -----------------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _unless_stopped(self, stops: int) -> AsyncIterator[None]:
        """Conflict (stop-all) as soon as more than `stops` stop-alls have come, whatever the block waits for.

        What is being written down at that moment is on record as an order that was silenced before it was heard.
        """
        self._check_stops(stops)
        try:
            async with asyncio.timeout(None) as limit:
                self._under_way.add(limit)
                try:
                    yield
                finally:
                    self._under_way.discard(limit)
        except TimeoutError:
            if limit.expired():
                raise _stopped() from None
            raise

    def _check_stops(self, stops: int) -> None:
        if stops != self._broadcasts.stops:
            raise _stopped()

    async def _cut_off(self) -> None:
        """After every stop-all, by whichever door, end the wait of all that came before it."""
        while True:
            await self._broadcasts.stopped(since=self._broadcasts.stops)
            under_way, self._under_way = self._under_way, set()
            now = asyncio.get_running_loop().time()
            for limit in under_way:
                limit.reschedule(now)


def _stopped() -> Conflict:
    hint = "If it is still wanted, send it again under a new id."
    return Conflict("Everything was stopped after this command was sent, or may have been.", code="stop-all", hint=hint)


def _seen(view: View) -> Mapping[str, Any]:
    counts = {state.value: count for state, count in outcome(view.deliveries).counts.items()}
    speakers = {delivery.speaker: {"state": delivery.state, "reason": delivery.reason} for delivery in view.deliveries}
    return {"open": view.open, "counts": counts, "speakers": speakers}
