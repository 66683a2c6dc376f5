"""What the door asks of the broadcast service, and who asks it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.broadcast.orders import Order
from gateway.broadcast.service import Stopped
from gateway.broadcast.views import View
from gateway.domain.broadcast import BroadcastId
from gateway.domain.events import Actor
from gateway.errors import GatewayError


class Broadcasts(Protocol):
    """The broadcast service, as far as it is known here. `stops`: how often everything has been stopped, by whichever door."""

    @property
    def stops(self) -> int: ...

    async def submit(self, order: Order) -> View: ...

    async def get(self, broadcast: BroadcastId) -> View: ...

    def stop_all(self, actor: Actor) -> Stopped: ...

    async def stopped(self, *, since: int) -> None: ...

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
