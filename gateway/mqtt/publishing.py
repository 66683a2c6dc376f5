"""What goes out: events and the state of each device, from where the broker has acknowledged the last."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import structlog

from gateway.clock import Clock
from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.domain.events import Event
from gateway.domain.health import Board, Standing
from gateway.errors import Overloaded, StorageFailed
from gateway.mqtt.connection import Connection
from gateway.mqtt.topics import Topics, to_json
from gateway.storage.events import CursorTooOld
from gateway.storage.store import Store
from gateway.storage.writer import Lane

BATCH = 100  # events on their way to the broker at a time; more wait in the store
STATES_AT_ONCE = 200  # states announced before their acknowledgements are awaited
LOOK_AROUND_S = 15.0  # how often the inventory is looked at for devices that came or went, when nothing else happens
TRY_AGAIN_S = 1.0
STATE_EVENT = "device.state"

log = structlog.get_logger(__name__)


class Publisher:
    """Publishes the events and the state of each device, from where the broker has acknowledged the last."""

    def __init__(self, topics: Topics, *, store: Store, city: City, board: Board, clock: Clock, reader: str) -> None:
        self._topics = topics
        self._store = store
        self._city = city
        self._board = board
        self._clock = clock
        self._reader = reader
        self._announced: set[DeviceId] = set()
        self._seen: object = None  # the city's devices when they were last looked at

    async def run(self, client: Connection, *, announce: bool) -> None:
        """Publish until the connection breaks. With `announce` the broker knows nothing of us: every state is published first."""
        cursor = await self._cursor()
        if announce:
            self._announced.clear()
        await self._look_around(client)
        waiting: asyncio.Queue[Event | None] = asyncio.Queue(BATCH)  # full: the log is followed no further until there is room
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(cursor, waiting), name="mqtt-follow")
            group.create_task(self._tick(waiting), name="mqtt-tick")
            while True:
                await self._publish(client, await _batch(waiting))

    async def _cursor(self) -> int:
        """Where to go on: after what was acknowledged, or from now on for a broker that was never published to."""
        async with self._store.read() as tx:
            known = await tx.readers.cursor(self._reader)
        if known is None:
            known = self._store.events.latest
            await self._save(known)
        return known

    async def _follow(self, cursor: int, waiting: "asyncio.Queue[Event | None]") -> None:
        while True:
            try:
                async for event in self._store.events.follow(after=cursor):
                    await waiting.put(event)
                    cursor = event.cursor
            except CursorTooOld as gap:
                cursor = gap.oldest
                await waiting.put(Event(cursor, "gap", "", self._clock.now(), {"oldest": cursor}))
                self._announced.clear()  # changes of state may have been among what is gone

    async def _tick(self, waiting: "asyncio.Queue[Event | None]") -> None:
        while True:
            await self._clock.sleep(LOOK_AROUND_S)
            await waiting.put(None)

    async def _publish(self, client: Connection, events: list[Event]) -> None:
        await self._look_around(client)
        if not events:
            return
        messages = [message for event in events for message in self._messages(event)]
        await _send(client, messages)
        await self._save(events[-1].cursor)

    def _messages(self, event: Event) -> list["Outgoing"]:
        out = [Outgoing(self._topics.events(event.type), event_json(event))]
        device = DeviceId(event.subject)
        if event.type == STATE_EVENT and device in self._announced:
            out.append(Outgoing(self._topics.state(device), state_json_of(event), retain=True))
        return out

    async def _look_around(self, client: Connection) -> None:
        """Announce devices that are new to the broker, and take back the state of those that are no more."""
        if self._seen is self._city.devices and self._announced:
            return
        self._seen = devices = self._city.devices
        new, gone = [device for device in devices if device not in self._announced], self._announced - devices.keys()
        messages = [Outgoing(self._topics.state(device), state_json(self._board[device]), retain=True) for device in new]
        messages += [Outgoing(self._topics.state(device), b"", retain=True) for device in gone]
        for start in range(0, len(messages), STATES_AT_ONCE):
            await _send(client, messages[start : start + STATES_AT_ONCE])
        self._announced = set(devices)

    async def _save(self, cursor: int) -> None:
        """Keep `cursor`; while the store fails, nothing more is published, and the connection stays for commands."""
        while True:
            try:
                return await self._store.writer.write(lambda tx: tx.readers.advance(self._reader, cursor), lane=Lane.HEALTH)
            except (StorageFailed, Overloaded) as error:
                log.warning("mqtt.cursor-not-saved", error=str(error))
            await self._clock.sleep(TRY_AGAIN_S)


@dataclass(frozen=True, slots=True)
class Outgoing:
    topic: str
    payload: bytes
    retain: bool = False


async def _send(client: Connection, messages: Iterable[Outgoing]) -> None:
    """Publish in order, and return when the broker has acknowledged all. MqttError."""
    async with asyncio.TaskGroup() as group:
        for message in messages:  # tasks begin in the order in which they are made, and each writes before it waits
            group.create_task(client.publish(message.topic, message.payload, qos=1, retain=message.retain), name="mqtt-publish")


async def _batch(waiting: "asyncio.Queue[Event | None]") -> list[Event]:
    """What waits, at most `BATCH`; waits for the first. Empty when it was only time to look around."""
    found = [await waiting.get()]
    while len(found) < BATCH and not waiting.empty():
        found.append(waiting.get_nowait())
    return [event for event in found if event is not None]


def event_json(event: Event) -> bytes:
    """An event as everybody sees it."""
    at = event.at.isoformat()
    return to_json({"cursor": event.cursor, "type": event.type, "subject": event.subject, "at": at, "data": event.data})


def state_json(standing: Standing) -> bytes:
    """The state of a device as it stands."""
    return _state(standing.device, standing.state, standing.since, standing.reason, standing.check)


def state_json_of(event: Event) -> bytes:
    """The state that a `device.state` event leads to."""
    return _state(event.subject, event.data.get("after", ""), event.at, event.data.get("reason", ""), event.data.get("check", ""))


def _state(device: str, state: str, since: datetime | None, reason: str, check: str) -> bytes:
    return to_json({"device": device, "state": state, "since": since and since.isoformat(), "reason": reason, "check": check})
