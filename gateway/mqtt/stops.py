"""Silence, by whichever session brings it: obeyed as it comes, answered, and acknowledged once the next life would obey it, too."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

import aiomqtt

from gateway.broadcast.service import Stopped
from gateway.clock import Clock
from gateway.errors import InvalidInput, Overloaded, StorageFailed
from gateway.mqtt.answers import Answer, Answers, Command, refuse_retained
from gateway.mqtt.broadcasts import Broadcasts, Sender
from gateway.mqtt.connection import Connection
from gateway.mqtt.receipts import Receipt, Receipts
from gateway.mqtt.topics import Topics

TRY_AGAIN_S = 1.0  # that the store is asked again whether a stop is written down


class StopAlls:
    """Stop-alls have a session of their own, in which they wait behind nothing but each other.

    One that two sessions bring is obeyed twice: silence is safe.
    """

    def __init__(self, topics: Topics, *, clock: Clock, broadcasts: Broadcasts, sender: Sender, answers: Answers) -> None:
        self._topics = topics
        self._clock = clock
        self._broadcasts = broadcasts
        self._sender = sender
        self._answers = answers

    async def listen(self, client: Connection) -> None:
        """Subscribe by the session of their own. MqttError, also where the broker does not allow it."""
        if not await client.listen(self._topics.stop_all):
            raise aiomqtt.MqttError(f"the broker does not let us read {self._topics.stop_all}")

    async def run(self, client: Connection) -> None:
        """Take what that session brings until its connection breaks (MqttError)."""
        receipts = Receipts(client, self._clock)
        async with asyncio.TaskGroup() as group:
            async for message in client.arrivals():
                self.take(message, client, receipts, group)

    def take(self, message: aiomqtt.Message, client: Connection, receipts: Receipts, group: asyncio.TaskGroup) -> None:
        """Obey at once; the rest is done in `group`."""
        receipt = receipts.owe(message)
        answer = self.obey(bytes(message.payload), retained=message.retain)
        group.create_task(self._settle(client, answer, receipts, receipt), name=f"mqtt-stop-all {message.mid}")

    def obey(self, payload: bytes, *, retained: bool) -> Answer:
        """Silence everything. Refused only when retained or when its `not_after` is over: whatever else is wrong, silence is safe."""
        command = Command()
        with contextlib.suppress(InvalidInput):
            command.read(payload or b"{}", limit=self._sender.body_bytes, topics=self._topics)
        try:
            refuse_retained(retained)
            command.must_be_in_time(self._clock.now())
        except InvalidInput as error:
            return self._answers.refused(command, error)
        return self._answers.done(command, "stopped", _silenced(self._broadcasts.stop_all(self._sender.actor)))

    async def _settle(self, client: Connection, answer: Answer, receipts: Receipts, receipt: Receipt) -> None:
        await self._answers.tell(client, answer)
        if answer.problem is None:
            await self.written()
        receipts.give(receipt)

    async def written(self) -> None:
        """Return once a stop is on the disk: the broker brings it again to who dies before. It was obeyed long ago."""
        while True:
            try:
                return await self._broadcasts.stop_written()
            except (StorageFailed, Overloaded):
                await self._clock.sleep(TRY_AGAIN_S)


def _silenced(stopped: Stopped) -> Mapping[str, Any]:
    """`may_still_sound`: also those that were told a moment ago, since the answer waits for nobody."""
    return {"broadcasts": stopped.broadcasts, "speakers": stopped.speakers, "may_still_sound": list(stopped.may_still_sound)}
