"""What comes in: commands to broadcast, each done at most once, answered, and then acknowledged."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import structlog

from gateway.broadcast.service import Order, View
from gateway.clock import Clock
from gateway.domain.broadcast import BroadcastId, outcome
from gateway.errors import GatewayError, InvalidInput, NotFound, Overloaded, StorageFailed
from gateway.mqtt.connection import Connection
from gateway.mqtt.topics import Topics, to_json

COMMAND_BYTES = 64 << 10
TRY_AGAIN_S = 1.0  # a command that the store does not take now is tried again until its time is over
_ID_SHOWN = 200

log = structlog.get_logger(__name__)


class Broadcasts(Protocol):
    """What the door asks of the broadcast service."""

    async def submit(self, order: Order) -> View: ...

    async def get(self, broadcast: BroadcastId) -> View: ...


OrderReader = Callable[[Mapping[str, Any]], Order]
"""Makes an order of a command (without `reply_to`). Raises InvalidInput, and Forbidden for one that reaches too far."""


class Commands:
    """Takes commands one after the other, and answers each on its `reply_to`."""

    def __init__(self, topics: Topics, *, clock: Clock, broadcasts: Broadcasts, read_order: OrderReader) -> None:
        self._topics = topics
        self._clock = clock
        self._broadcasts = broadcasts
        self._read_order = read_order

    async def run(self, client: Connection) -> None:
        """Take commands until the connection breaks."""
        if not await client.listen(self._topics.broadcasts):
            log.error("mqtt.commands.denied", topic=self._topics.broadcasts)  # states and events go out all the same
        async for message in client.messages:
            reply_to, answer = await self.handle(bytes(message.payload), retained=message.retain)
            if reply_to is not None:
                await client.publish(reply_to, to_json(answer), qos=1)
            client.acknowledge(message)

    async def handle(self, payload: bytes, *, retained: bool) -> tuple[str | None, dict[str, Any]]:
        """Carry out one command: where to answer (None: nowhere) and what. When this returns, what it did is on the disk."""
        reply_to: str | None = None
        told: dict[str, Any] = {"id": None}
        try:
            body = _object(payload)
            told["id"] = str(body.get("id"))[:_ID_SHOWN] if "id" in body else None
            reply_to = self._reply_to(body)
            if retained:
                raise InvalidInput("a command is never retained", code="retained", hint="Publish it without the retain flag.")
            result, view = await self._act(self._read_order(body))
            answer = told | {"result": result, "broadcast": _seen(view)}
        except GatewayError as error:
            answer = told | {"result": "refused", "problem": _problem(error)}
        if answer["result"] == "refused":
            log.warning("mqtt.command.refused", id=told["id"], code=answer["problem"]["code"], answered=reply_to is not None)
        return reply_to, answer

    async def _act(self, order: Order) -> tuple[str, View]:
        """`accepted`, or `seen-before` with what came of it then. Tried again while the store does not take it, until its time is over."""
        while True:
            try:
                known = await self._known(order.id)
                view = await self._broadcasts.submit(order)
            except (StorageFailed, Overloaded):
                if self._clock.now() >= order.not_after:
                    raise
                await self._clock.sleep(TRY_AGAIN_S)
            else:
                return ("seen-before" if known else "accepted"), view

    async def _known(self, broadcast: BroadcastId) -> bool:
        try:
            await self._broadcasts.get(broadcast)
        except NotFound:
            return False
        return True

    def _reply_to(self, body: dict[str, Any]) -> str | None:
        """Take `reply_to` out of the body. InvalidInput when we may not publish there."""
        wanted = body.pop("reply_to", None)
        if wanted is None:
            return None
        if not isinstance(wanted, str) or not self._topics.may_answer_on(wanted):
            raise InvalidInput("no answer can be sent there", code="bad-reply-to", hint="reply_to is a topic of yours under our prefix.")
        return wanted


def _object(payload: bytes) -> dict[str, Any]:
    if len(payload) > COMMAND_BYTES:
        raise InvalidInput(f"a command has at most {COMMAND_BYTES} bytes", code="too-large")
    try:
        body = json.loads(payload)
    except (ValueError, RecursionError):
        raise InvalidInput("the command is not JSON", code="malformed") from None
    if not isinstance(body, dict):
        raise InvalidInput("the command is no JSON object", code="malformed")
    return body


def _seen(view: View) -> dict[str, Any]:
    counts = {state.value: count for state, count in outcome(view.deliveries).counts.items()}
    speakers = {delivery.speaker: {"state": delivery.state, "reason": delivery.reason} for delivery in view.deliveries}
    return {"open": view.open, "counts": counts, "speakers": speakers}


def _problem(error: GatewayError) -> dict[str, Any]:
    faults = error.faults if isinstance(error, InvalidInput) else ()
    errors = [{"pointer": fault.where, "detail": fault.why} for fault in faults]
    return {"code": error.code, "detail": str(error), "hint": error.hint, "errors": errors}
