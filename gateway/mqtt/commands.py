"""What comes in: commands to broadcast, each done at most once, answered, and then acknowledged; and silence, ahead of them all.

Commands of one priority are taken one after the other, as they came, and nobody waits for one of another priority; emergencies wait for
none of their own either, `EMERGENCIES_AT_ONCE` at the most. Those of one id keep their order, whatever they are.
"""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from weakref import WeakValueDictionary

import aiomqtt
import structlog

from gateway.broadcast.orders import Order
from gateway.broadcast.service import Stopped
from gateway.broadcast.views import View
from gateway.clock import Clock
from gateway.domain.broadcast import BroadcastId, Priority, outcome
from gateway.domain.events import Actor
from gateway.errors import Conflict, GatewayError, InvalidInput, NotFound, Overloaded, StorageFailed
from gateway.mqtt.connection import UNACKNOWLEDGED_MAX, Connection
from gateway.mqtt.topics import Topics, to_json

TRY_AGAIN_S = 1.0  # a command that the store does not take now is tried again until its time is over
# Commands that are not acknowledged yet. A broker of MQTT 3.1.1 may send one more, which breaks the connection and comes again on the next.
WAITING_MAX = UNACKNOWLEDGED_MAX
EMERGENCIES_AT_ONCE = 4
REFUSALS_LOGGED = 20  # a minute; more are counted
_ID_SHOWN = 100
_GLANCE = 4_096  # bytes of a command that is too large in which a `reply_to` is looked for
_REPLY_TO = re.compile(rb'"reply_to"\s*:\s*"([^"\\\x00-\x1f]{1,200})"')

log = structlog.get_logger(__name__)


class Broadcasts(Protocol):
    """What the door asks of the broadcast service."""

    async def submit(self, order: Order) -> View: ...

    async def get(self, broadcast: BroadcastId) -> View: ...

    def stop_all(self, actor: Actor) -> Stopped: ...
    async def stop_written(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Sender:
    """Whoever the broker lets publish commands, as the rest of the house knows them.

    MQTT 3.1.1 does not tell a subscriber who published: the broker's ACL is the judge of that, and all its senders are this one `actor`.
    `read_order` makes an order of a command without its `reply_to` (InvalidInput, Forbidden); `problem` writes an error as HTTP answers
    it (RFC 9457).
    """

    actor: Actor
    read_order: Callable[[Mapping[str, Any]], Order]
    problem: Callable[[GatewayError], Mapping[str, Any]]
    body_bytes: int = 1 << 20


@dataclass(slots=True, eq=False)
class _Taken:
    """A message that is being carried out. `stops`: how often everything had been stopped when it came."""

    message: aiomqtt.Message
    stops: int
    done: asyncio.Event = field(default_factory=asyncio.Event)


class _Lanes:
    """Whose turn it is, by priority and by id."""

    def __init__(self) -> None:
        self._of_priority: dict[Priority, asyncio.Semaphore] = {
            priority: asyncio.Semaphore(EMERGENCIES_AT_ONCE if priority is Priority.EMERGENCY else 1) for priority in Priority
        }
        self._of_id: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @contextlib.asynccontextmanager
    async def turn(self, payload: bytes) -> AsyncIterator[None]:
        """Wait until the command in `payload` may be carried out; each who waits comes in the order of the calls."""
        priority, id_ = _rank_and_id(payload)
        async with self._of_id.setdefault(id_, asyncio.Lock()), self._of_priority[priority]:
            yield


class Commands:
    """Takes commands, and answers each on its `reply_to`. To stop everything waits behind none of them."""

    def __init__(self, topics: Topics, *, clock: Clock, broadcasts: Broadcasts, sender: Sender) -> None:
        self._topics = topics
        self._clock = clock
        self._broadcasts = broadcasts
        self._sender = sender
        self._refusals = _Refusals(clock)
        self._stops = 0  # how often everything has been stopped: what came before the last time is not begun any more

    async def listen(self, client: Connection) -> None:
        """Subscribe to commands; what comes from now on waits for `run`. MqttError."""
        for topic in (self._topics.stop_all, self._topics.broadcasts):
            if not await client.listen(topic):
                log.error("mqtt.commands_denied", topic=topic)  # states and events go out all the same

    async def run(self, client: Connection) -> None:
        """Take commands until the connection breaks (MqttError)."""
        waiting: asyncio.Queue[_Taken] = asyncio.Queue(WAITING_MAX)
        lanes = _Lanes()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._acknowledge(client, waiting), name="mqtt-acknowledge")
            async for message in client.messages:
                if message.topic.value == self._topics.stop_all:
                    await self._answer(client, self.stop_all(bytes(message.payload), retained=message.retain))
                if waiting.full():
                    raise aiomqtt.MqttError(f"{WAITING_MAX} commands wait to be carried out")
                taken = _Taken(message, self._stops)
                waiting.put_nowait(taken)
                group.create_task(self._carry_out(client, taken, lanes), name=f"mqtt-command {message.mid}")

    async def _carry_out(self, client: Connection, taken: _Taken, lanes: _Lanes) -> None:
        message = taken.message
        if message.topic.value == self._topics.stop_all:
            await self.stop_written()
        else:
            payload = bytes(message.payload)
            async with lanes.turn(payload[: self._sender.body_bytes + 1]):
                await self._answer(client, await self.broadcast(payload, retained=message.retain, stops=taken.stops))
        taken.done.set()

    async def _acknowledge(self, client: Connection, waiting: "asyncio.Queue[_Taken]") -> None:
        """In the order of arrival, whichever was done first (MQTT 3.1.1, 4.6)."""
        while True:
            taken = await waiting.get()
            await taken.done.wait()
            client.acknowledge(taken.message)

    async def _answer(self, client: Connection, answer: "Answer") -> None:
        if answer.problem:
            self._refusals.log(answer)
        topic = answer.topic or (self._topics.unaddressed if answer.problem else None)
        if topic is not None:
            await client.publish(topic, to_json(answer.body()), qos=1)

    # -- commands -----------------------------------------------------------------------------------------------------

    async def broadcast(self, payload: bytes, *, retained: bool, stops: int = 0) -> "Answer":
        """Carry out one command to broadcast that came after `stops` stop-alls. When this returns, what it did is on the disk."""
        command = _Command()
        try:
            command.read(payload, limit=self._sender.body_bytes, topics=self._topics)
            if retained:
                raise _retained()
            known, view = await self._submit(self._sender.read_order(command.fields), stops)
        except GatewayError as error:
            return Answer(command.topic, command.id, problem=self._sender.problem(error))
        return Answer(command.topic, command.id, "seen-before" if known else "accepted", {"broadcast": _seen(view)})

    def stop_all(self, payload: bytes, *, retained: bool) -> "Answer":
        """Silence everything. Refused only when retained or when its `not_after` is over: whatever else is wrong, silence is safe."""
        command = _Command()
        with contextlib.suppress(InvalidInput):
            command.read(payload or b"{}", limit=self._sender.body_bytes, topics=self._topics)
        try:
            if retained:
                raise _retained()
            command.must_be_in_time(self._clock.now())
        except InvalidInput as error:
            return Answer(command.topic, command.id, problem=self._sender.problem(error))
        self._stops += 1
        stopped = self._broadcasts.stop_all(self._sender.actor)
        return Answer(command.topic, command.id, "stopped", _silenced(stopped))

    async def stop_written(self) -> None:
        """Return once a stop is on the disk: the broker brings it again to who dies before. It was obeyed long ago."""
        while True:
            try:
                return await self._broadcasts.stop_written()
            except (StorageFailed, Overloaded):
                await self._clock.sleep(TRY_AGAIN_S)

    async def _submit(self, order: Order, stops: int) -> tuple[bool, View]:
        """Whether the order was known, and what has come of it. Tried again while the store does not take it, until its time is over."""
        while True:
            try:
                known = await self._known(order.id)
                if not known and stops != self._stops:
                    raise Conflict("Everything was stopped after this command came.", code="stop-all")
                return known, await self._broadcasts.submit(order)
            except (StorageFailed, Overloaded):
                if self._clock.now() >= order.not_after:
                    raise
            await self._clock.sleep(TRY_AGAIN_S)

    async def _known(self, broadcast: BroadcastId) -> bool:
        try:
            await self._broadcasts.get(broadcast)
        except NotFound:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Answer:
    """What a sender is told, and where (None: it did not say). Either `result` and `more`, or a `problem`."""

    topic: str | None
    id: str | None
    result: str = "refused"
    more: Mapping[str, Any] | None = None
    problem: Mapping[str, Any] | None = None

    def body(self) -> dict[str, Any]:
        told = {"problem": self.problem} if self.problem else dict(self.more or {})
        return {"id": self.id, "result": self.result, **told}


class _Command:
    """A message on its way to being understood: what is known of it so far serves for the answer."""

    def __init__(self) -> None:
        self.id: str | None = None
        self.topic: str | None = None
        self.fields: dict[str, Any] = {}

    def read(self, payload: bytes, *, limit: int, topics: Topics) -> None:
        """Take `payload` in. InvalidInput: too-large, malformed-json, bad-reply-to."""
        if len(payload) > limit:
            self._glance(payload, topics)
            raise InvalidInput(f"A command has at most {limit} bytes.", code="body-too-large")
        try:
            body = json.loads(payload)
        except (ValueError, RecursionError):
            self._glance(payload, topics)
            raise InvalidInput("The command is not JSON.", code="malformed-json") from None
        if not isinstance(body, dict):
            raise InvalidInput("The command is no JSON object.", code="malformed-json")
        self.fields = body
        self.id = body["id"][:_ID_SHOWN] if isinstance(body.get("id"), str) else None
        wanted = body.pop("reply_to", None)
        if wanted is not None and not (isinstance(wanted, str) and topics.may_answer_on(wanted)):
            raise InvalidInput("No answer can be sent there.", code="bad-reply-to", hint="It is a topic under replies/ of our prefix.")
        self.topic = wanted

    def must_be_in_time(self, now: datetime) -> None:
        """InvalidInput (expired) when there is a `not_after` and it has passed; one that cannot be read sets no limit."""
        try:
            not_after = datetime.fromisoformat(str(self.fields.get("not_after")))
            late = not_after <= now
        except (ValueError, TypeError):  # none, nonsense, or without an offset
            return
        if late:
            raise InvalidInput("The time of this command is over.", code="expired")

    def _glance(self, payload: bytes, topics: Topics) -> None:
        """Find where to answer in what cannot be read as a whole."""
        found = _REPLY_TO.search(payload, 0, _GLANCE) or _REPLY_TO.search(payload, max(0, len(payload) - _GLANCE))
        topic = found[1].decode("utf-8", "replace") if found else ""
        self.topic = topic if topics.may_answer_on(topic) else None


class _Refusals:
    """Logs refusals, but not each of a flood."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since = clock.monotonic()
        self._count = 0

    def log(self, answer: Answer) -> None:
        now = self._clock.monotonic()
        if now - self._since >= 60:
            if self._count > REFUSALS_LOGGED:
                log.warning("mqtt.commands_refused", count=self._count - REFUSALS_LOGGED)
            self._since, self._count = now, 0
        self._count += 1
        if self._count <= REFUSALS_LOGGED and answer.problem:
            log.warning("mqtt.command_refused", id=answer.id, problem=answer.problem.get("type"), answered=answer.topic is not None)


def _rank_and_id(payload: bytes) -> tuple[Priority, str]:
    """By what a command takes its turn; what cannot be read takes it among the notices, and is refused then."""
    try:
        body = json.loads(payload)
        return Priority[str(body.get("priority", "notice")).upper()], str(body.get("id"))
    except (ValueError, RecursionError, AttributeError, KeyError):
        return Priority.NOTICE, ""


def _retained() -> InvalidInput:
    return InvalidInput("A command is never retained.", code="retained", hint="Publish it without the retain flag.")


def _silenced(stopped: Stopped) -> dict[str, Any]:
    """`may_still_sound`: also those that were told a moment ago, since the answer waits for nobody."""
    return {"broadcasts": stopped.broadcasts, "speakers": stopped.speakers, "may_still_sound": list(stopped.may_still_sound)}


def _seen(view: View) -> dict[str, Any]:
    counts = {state.value: count for state, count in outcome(view.deliveries).counts.items()}
    speakers = {delivery.speaker: {"state": delivery.state, "reason": delivery.reason} for delivery in view.deliveries}
    return {"open": view.open, "counts": counts, "speakers": speakers}
