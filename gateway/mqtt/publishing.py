"""What goes out: the events, from where the broker has acknowledged the last, and each device's state, whenever it is not what was told."""

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import structlog

from gateway.clock import Clock
from gateway.domain.circumstances import Circumstance, Circumstances
from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.domain.events import Event
from gateway.domain.health import Board, HealthState
from gateway.errors import Overloaded, StorageFailed
from gateway.mqtt.connection import Connection
from gateway.mqtt.topics import Topics, to_json
from gateway.storage.events import CursorAhead, CursorTooOld
from gateway.storage.store import Store
from gateway.storage.writer import Lane

BATCH = 20  # messages whose acknowledgements are awaited together; more events wait in the store
SAVE_EVERY_S = 1.0
LAST_SAVE_S = 3.0  # how long a shutdown waits for the store
LOOK_AROUND_S = 2.0  # how often the board and the inventory are looked at when no event calls for it
TRY_AGAIN_S = 1.0
STATE_EVENT, IMPORT_EVENT = "device.state", "inventory.imported"

log = structlog.get_logger(__name__)


class Publisher:
    """One broker's view of the city.

    Events are edges: each goes out in the order of the log, and the cursor of the last that was acknowledged is in the store, a second
    late at most; what a break cuts off comes again with the same `cursor` in it. States are levels: whatever the broker holds that
    differs from the board is told anew, so that a long absence costs one message a device and never shows a state of long ago.
    """

    def __init__(
        self, topics: Topics, *, store: Store, city: City, board: Board, circumstances: Circumstances, clock: Clock, reader: str
    ) -> None:
        self._topics = topics
        self._store = store
        self._clock = clock
        self._cursor = _Cursor(store, clock, reader)
        self._states = _States(topics, city, board, circumstances)

    async def begin(self) -> None:
        """Settle where the events begin, before there is a broker: from here on nothing is lost to it. Waits for the store."""
        await self._cursor.load()

    async def keep(self) -> None:
        """Keep in the store how far the broker has acknowledged the events, until cancelled."""
        await self._cursor.keep()

    async def run(self, client: Connection) -> None:
        """Publish until the connection breaks (MqttError)."""
        self._states.forget()
        waiting: asyncio.Queue[Event] = asyncio.Queue(BATCH)  # full: the log is followed no further until there is room
        async with asyncio.TaskGroup() as group:
            group.create_task(self._states.run(client), name="mqtt-states")
            group.create_task(self._tick(), name="mqtt-tick")
            group.create_task(self._follow(waiting), name="mqtt-follow")
            while True:
                await self._publish(client, await _batch(waiting))

    async def _publish(self, client: Connection, events: list[Event]) -> None:
        for event in events:
            self._states.heed(event)
        await _send(client, [_Outgoing(self._topics.events(event.type), event_json(event)) for event in events])
        self._cursor.move(events[-1].cursor)

    async def _follow(self, waiting: "asyncio.Queue[Event]") -> None:
        cursor = self._cursor.acknowledged
        while True:
            try:
                async for event in self._store.events.follow(after=cursor):
                    await waiting.put(event)
                    cursor = event.cursor
            except CursorTooOld as gap:
                cursor = gap.oldest
            except CursorAhead:
                cursor = self._store.events.latest
            log.warning("mqtt.gap", oldest=cursor)
            await waiting.put(Event(cursor, "gap", "", self._clock.now(), {"oldest": cursor}))

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(LOOK_AROUND_S)
            self._states.look_around()


class _Cursor:
    """How far the broker has acknowledged the events: exact in memory, a second late at most in the store."""

    def __init__(self, store: Store, clock: Clock, reader: str) -> None:
        self._store = store
        self._clock = clock
        self._reader = reader
        self._saved: int | None = None
        self._moved = asyncio.Event()
        self.acknowledged = 0

    async def load(self) -> None:
        """Go on after what was acknowledged in a former life; a new reader begins with what comes from now on."""
        while self._saved is None:
            try:
                async with self._store.read() as tx:
                    found = await tx.readers.cursor(self._reader)
                self.acknowledged = self._store.events.latest if found is None else found
                await self._save()
            except (StorageFailed, Overloaded) as error:
                log.warning("mqtt.cursor_unknown", error=str(error))
                await self._clock.sleep(TRY_AGAIN_S)

    def move(self, cursor: int) -> None:
        self.acknowledged = cursor
        self._moved.set()

    async def keep(self) -> None:
        """Save the cursor as it moves, until cancelled, and once more then."""
        try:
            while True:
                await self._moved.wait()
                await self._clock.sleep(SAVE_EVERY_S)
                self._moved.clear()
                await self._try_to_save()
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_SAVE_S):
                    await self._try_to_save()

    async def _try_to_save(self) -> None:
        try:
            await self._save()
        except (StorageFailed, Overloaded) as error:
            log.warning("mqtt.cursor_not_saved", error=str(error))  # tried again when it moves; what is lost then comes twice
            self._moved.set()

    async def _save(self) -> None:
        cursor = self.acknowledged
        if cursor != self._saved:
            await self._store.writer.write(lambda tx: tx.readers.advance(self._reader, cursor), lane=Lane.HEALTH)
            self._saved = cursor


_Shown = tuple[HealthState, datetime | None, str, str, Circumstance]


class _States:
    """What the broker holds of each device, retained, and what it ought to."""

    def __init__(self, topics: Topics, city: City, board: Board, circumstances: Circumstances) -> None:
        self._topics = topics
        self._city = city
        self._board = board
        self._circumstances = circumstances
        self._told: dict[str, _Shown | None] = {}  # None: the broker holds something, we do not know what
        self._doubtful: set[str] | None = None  # whom to look at; None: at everybody
        self._stirred = asyncio.Event()

    def forget(self) -> None:
        """Another connection: the broker may have come back with the states of long ago."""
        self._told = dict.fromkeys(self._told)
        self.look_around()

    def look_around(self) -> None:
        """Look at every device soon."""
        self._doubtful = None
        self._stirred.set()

    def heed(self, event: Event) -> None:
        """Look soon where `event` says that there is something to see; also for devices that went while nobody here knew them."""
        if event.type == IMPORT_EVENT:
            self._told |= dict.fromkeys(map(str, event.data.get("removed_devices", ())))
            self.look_around()
        elif event.type == STATE_EVENT and self._doubtful is not None:
            self._doubtful.add(event.subject)
            self._stirred.set()

    async def run(self, client: Connection) -> None:
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            await self._tell(client)

    async def _tell(self, client: Connection) -> None:
        devices, doubtful = self._city.devices, self._doubtful
        self._doubtful = set()
        gone = [device for device in self._told if device not in devices] if doubtful is None else []
        looked_at = devices if doubtful is None else map(DeviceId, doubtful)
        differing = [one for one in looked_at if one in devices and self._told.get(one) != self._shown(one)]
        for start in range(0, len(differing), BATCH):
            await self._tell_some(client, differing[start : start + BATCH])
        for start in range(0, len(gone), BATCH):
            some = gone[start : start + BATCH]
            await _send(client, [_Outgoing(self._topics.state(device), b"", retain=True) for device in some])
            for device in some:
                self._told.pop(device, None)

    async def _tell_some(self, client: Connection, devices: list[DeviceId]) -> None:
        shown = {device: self._shown(device) for device in devices}
        self._told |= dict.fromkeys(devices)  # whatever comes of it
        await _send(client, [_Outgoing(self._topics.state(one), state_json(one, of), retain=True) for one, of in shown.items()])
        for one, of in shown.items():
            self._told[one] = of

    def _shown(self, device: DeviceId) -> _Shown:
        """What of a device the broker is told; the rest changes with every check."""
        standing = self._board[device]
        return standing.state, standing.since, standing.reason, standing.check, self._circumstances[device]


@dataclass(frozen=True, slots=True)
class _Outgoing:
    topic: str
    payload: bytes
    retain: bool = False


async def _send(client: Connection, messages: Iterable[_Outgoing]) -> None:
    """Publish in order, and return when the broker has acknowledged all. MqttError."""
    async with asyncio.TaskGroup() as group:
        for message in messages:  # tasks begin in the order in which they are made, and each writes before it waits
            group.create_task(client.publish(message.topic, message.payload, qos=1, retain=message.retain), name="mqtt-publish")


async def _batch(waiting: "asyncio.Queue[Event]") -> list[Event]:
    """What waits, at most `BATCH`; waits for the first."""
    found = [await waiting.get()]
    while len(found) < BATCH and not waiting.empty():
        found.append(waiting.get_nowait())
    return found


def event_json(event: Event) -> bytes:
    """An event as everybody sees it."""
    at = event.at.isoformat()
    return to_json({"cursor": event.cursor, "type": event.type, "subject": event.subject, "at": at, "data": event.data})


def state_json(device: DeviceId, shown: _Shown) -> bytes:
    """The state of a device as it stands, and what stands beside it."""
    state, since, reason, check, beside = shown
    told = {"device": device, "state": state, "since": since and since.isoformat(), "reason": reason, "check": check}
    return to_json(
        {**told, "muted": beside.muted is not None, "suppressed_by": beside.suppressed_by, "incident": beside.incident},
    )
