"""What a channel is: something that carries a notice to its fixed destination, once, within its deadline, or says why it could not."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from gateway.errors import GatewayError
from gateway.notify.wording import Notice

Publish = Callable[[str, bytes], Awaitable[None]]
"""Publishes under a topic of the broker, acknowledged; raises GatewayError when there is no broker now."""


class ChannelFailed(GatewayError):
    """A message did not get through. `again`: whether it is worth trying again; `after_s`: no sooner than so."""

    code = "channel-failed"

    def __init__(self, message: str, *, code: str | None = None, again: bool = True, after_s: float = 0.0) -> None:
        super().__init__(message, code=code)
        self.again = again
        self.after_s = after_s


class Channel(Protocol):
    """One way to people. `where` shows its destination, without any secret."""

    name: str
    kind: str
    where: str

    async def send(self, notice: Notice) -> str:
        """Carry `notice`; gives what the other side said of it ("" for nothing). Raises ChannelFailed."""
        ...
