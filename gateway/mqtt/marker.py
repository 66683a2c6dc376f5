"""Tells what was sent before a stop-all from what was sent after it, though commands may wait at the broker for long.

After every stop-all, by whichever door, the gateway publishes a marker and gets it back by the session of commands. A broker gives a
session what is for it in the order in which it came (MQTT 3.1.1, 4.6, for one publisher; brokers do so for all), so whatever the session
brings before the marker may have been sent before the stop, and whatever it brings afterwards was sent after it.
"""

import asyncio
import secrets

import aiomqtt
import structlog

from gateway.clock import Clock
from gateway.mqtt.broadcasts import Broadcasts
from gateway.mqtt.connection import Connection
from gateway.mqtt.receipts import Receipts

SILENCE_S = 5.0  # without anything that comes, though there is room for it: the marker never will
LONGEST_S = 60.0  # whatever comes: nobody is refused for longer than this

log = structlog.get_logger(__name__)


class Marker:
    """One marker is under way at a time: at the beginning of each connection, to see whether the broker lets it pass, and after each stop.

    What is retained or carries another nonce is no marker.
    """

    def __init__(self, topic: str, *, clock: Clock, broadcasts: Broadcasts) -> None:
        self._topic = topic
        self._clock = clock
        self._broadcasts = broadcasts
        self._nonce = b""  # empty: none is under way
        self._stops = 0  # how often everything had been stopped when the nonce was made
        self._sent_at = 0.0
        self._sent = asyncio.Event()  # set while the broker has it and has not brought it back
        self._lost = False
        self.passed = broadcasts.stops
        """How many stop-alls were sent before whatever the session of commands brings now."""

    def heed(self, message: aiomqtt.Message) -> bool:
        """Whether `message`, which the session of commands has just brought, is on the marker's topic."""
        if message.topic.value != self._topic:
            return False
        if self._nonce and not message.retain and secrets.compare_digest(bytes(message.payload), self._nonce):
            self._lost = False
            self._pass(self._stops)
        return True

    async def run(self, client: Connection, receipts: Receipts) -> None:
        """Send markers while the connection lasts (MqttError); one that was under way when the last broke is sent again."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch(receipts), name="mqtt-marker-watch")
            while True:
                stops = self._broadcasts.stops
                await self._send(client, stops)
                await self._broadcasts.stopped(since=stops)

    async def _send(self, client: Connection, stops: int) -> None:
        self._sent.clear()
        if not self._nonce or stops != self._stops:
            self._nonce, self._stops = secrets.token_hex(16).encode(), stops
        await client.publish(self._topic, self._nonce, qos=1)
        if self._nonce:
            self._sent_at = self._clock.monotonic()
            self._sent.set()

    async def _watch(self, receipts: Receipts) -> None:
        """Go on without a marker that does not come back, so that commands are heard again."""
        while True:
            await self._sent.wait()
            left_s = self._left_s(receipts)
            if left_s > 0:
                await self._clock.sleep(left_s)
            else:
                self._give_up()

    def _left_s(self, receipts: Receipts) -> float:
        gone_s = self._clock.monotonic() - self._sent_at
        silent_s = SILENCE_S - min(receipts.quiet_s, gone_s)
        return min(silent_s, LONGEST_S - gone_s) if self.passed != self._broadcasts.stops else silent_s

    def _give_up(self) -> None:
        if not self._lost:
            hint = "let the gateway publish and read this topic (the broker's ACL); else what waits at the broker may play after a stop-all"
            log.error("mqtt.marker_lost", topic=self._topic, hint=hint)
        self._lost = True
        self._pass(self._broadcasts.stops)

    def _pass(self, stops: int) -> None:
        self.passed = stops
        self._nonce = b""
        self._sent.clear()
