"""What a sender says and is told: a payload on its way to being understood, and the answer to it."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from gateway.clock import Clock
from gateway.errors import GatewayError, InvalidInput
from gateway.mqtt.connection import Connection
from gateway.mqtt.topics import Topics, to_json

REFUSALS_LOGGED = 20  # a minute; more are counted
_ID_SHOWN = 100
_GLANCE = 4_096  # bytes of a command that is too large in which a `reply_to` is looked for
_REPLY_TO = re.compile(rb'"reply_to"\s*:\s*"([^"\\\x00-\x1f]{1,200})"')

log = structlog.get_logger(__name__)


class Command:
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


class Answers:
    """Tells senders what came of what they sent; `problem` writes an error as HTTP answers it (RFC 9457)."""

    def __init__(self, topics: Topics, *, clock: Clock, problem: Callable[[GatewayError], Mapping[str, Any]]) -> None:
        self._topics = topics
        self._problem = problem
        self._refusals = _Refusals(clock)

    def done(self, command: Command, result: str, more: Mapping[str, Any]) -> Answer:
        return Answer(command.topic, command.id, result, more)

    def refused(self, command: Command, error: GatewayError) -> Answer:
        return Answer(command.topic, command.id, problem=self._problem(error))

    async def tell(self, client: Connection, answer: Answer) -> None:
        """Publish `answer`; when this returns, the broker has it. MqttError."""
        if answer.problem:
            self._refusals.log(answer)
        topic = answer.topic or (self._topics.unaddressed if answer.problem else None)
        if topic is not None:
            await client.publish(topic, to_json(answer.body()), qos=1)


def refuse_retained(message_is_retained: bool) -> None:
    """InvalidInput (retained) for what the broker has kept, and whoever came then got it."""
    if message_is_retained:
        raise InvalidInput("A command is never retained.", code="retained", hint="Publish it without the retain flag.")


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
