"""Places calls to loudspeakers and asks them what they can: the shell around `call.py`, with its sockets and timers."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar

from gateway.domain.devices import Credentials
from gateway.drivers import deadlines
from gateway.drivers.base import Descriptor, Heir, no_heir
from gateway.drivers.sip.messages import Message
from gateway.drivers.sip.transactions import STANDARD, Timing
from gateway.drivers.sip.wire import Transport, Wire, connect
from gateway.errors import DeviceError

LINGERING: Final = 512
"""Conversations that may be open at a time, those included that only wait for a last answer; beyond that the oldest of these is cut."""


class Machine(Protocol):
    """A pure machine of SIP: `call.Call`, `options.Inquiry`."""

    outbox: list[Message]

    @property
    def due(self) -> float | None: ...

    def tick(self, now: float) -> None: ...

    def take(self, message: Message, now: float) -> None: ...


M = TypeVar("M", bound=Machine)


class Conversation(Generic[M]):
    """One machine on one wire, with a timer; callbacks do all, so that it goes on by itself after its owner has left (`linger`)."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.failure: DeviceError | None = None
        self.machine: M
        self._loop = loop
        self._wire: Wire | None = None
        self._way = (Transport.UDP, "", 0)
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._ended: Callable[[], None] | None = None
        self.changed: Callable[[], None] | None = None
        """Called whenever the machine may have changed, for an owner who does not wait."""
        self.before: Callable[[], None] | None = None
        """Called before anything is sent that the machine wants."""

    @property
    def signalling(self) -> Descriptor:
        """A socket on which a last word can be said to the other side."""
        assert self._wire is not None
        return self._wire.signalling

    async def open(self, transport: Transport, address: str, port: int) -> tuple[str, int]:
        """Connect; our own host and port there. Raises OSError."""
        self._way = transport, address, port
        self._wire = await connect(transport, address, port, take=self._take, fail=self._fail)
        return self._wire.host, self._wire.port

    async def reconnect(self) -> None:
        """A new connection for what is left to be said, when that broke over which the call was made (RFC 3261, 18.4). Raises OSError."""
        if self.failure is None or self._way[0] is Transport.UDP:
            return
        broken = self._wire
        self._wire = await connect(*self._way, take=self._take, fail=self._fail)
        self.failure = None
        if broken is not None:
            broken.close()

    def begin(self, machine: M) -> None:
        self.machine = machine
        self.pump()

    def now(self) -> float:
        return self._loop.time()

    async def until(self, done: Callable[[M], bool]) -> None:
        """Return once `done`; raises what broke the wire."""
        while not done(self.machine):
            if self.failure is not None:
                raise self.failure
            self._waiting = self._loop.create_future()
            await self._waiting

    def pump(self) -> None:
        """Send what the machine wants to be sent, set the timer anew, wake who waits."""
        if self._wire is None:
            return
        if self.before is not None:
            self.before()
        sent, self.machine.outbox = self.machine.outbox, []
        for message in sent:
            if self._wire is not None:
                self._wire.send(message)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self.machine.due
        if due is not None and self._wire is not None:
            self._timer = self._loop.call_at(due, self._tick)
        self._wake()
        if due is None and self._ended is not None:
            self.close()

    def linger(self, ended: Callable[[], None]) -> None:
        """Close as soon as the machine has nothing left to do, and call `ended` then."""
        self._ended = ended
        if self._wire is None or self.machine.due is None:
            self.close()

    def close(self) -> None:
        """Cut the wire, whatever is left to be said."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._wire is not None:
            wire, self._wire = self._wire, None
            wire.close()
        if self._ended is not None:
            ended, self._ended = self._ended, None
            ended()

    def _take(self, message: Message) -> None:
        self.machine.take(message, self.now())
        self.pump()

    def _tick(self) -> None:
        self._timer = None
        self.machine.tick(self.now())
        self.pump()

    def _fail(self, error: DeviceError) -> None:
        if self._wire is None:
            return
        self.failure = self.failure or error
        self._wake()
        if self._ended is not None:
            self.close()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
        if self.changed is not None:
            self.changed()


@dataclass(frozen=True, slots=True)
class Way:
    """Where messages go: the inventory's address, or that of the proxy in the configuration. Nothing that a device says changes it."""

    address: str
    port: int
    transport: Transport = Transport.UDP


@dataclass(frozen=True, slots=True)
class Outbound:
    """A proxy or telephone exchange of the configuration, through which everybody is called. `domain`: the host part of whom it calls;
    `credentials`: ours there; `relays_sound`: sound goes to its address, as through an exchange, else straight to the device's."""

    way: Way
    domain: str
    credentials: Credentials
    relays_sound: bool = True


class SipAgent:
    """Holds all conversations of the house, at most `LINGERING`; `close` cuts them. `outbound`: None to call each device itself.

    `heir`: who hangs up calls that the daemon, if it dies, leaves behind.
    """

    def __init__(
        self, *, outbound: Outbound | None = None, timing: Timing = STANDARD, entropy: Callable[[int], int] = secrets.randbits
    ) -> None:
        self.outbound = outbound
        self.timing = timing
        self.entropy = entropy
        self.heir: Heir = no_heir
        self._lingering: dict[Conversation[Any], None] = {}

    def token(self) -> str:
        """Random letters and digits, for tags, branches and Call-IDs (RFC 3261, 19.3)."""
        return f"{self.entropy(80):020x}"

    async def open(self, way: Way, make: Callable[[str, int, float], M]) -> Conversation[M]:
        """A conversation with the machine that `make` gives for our host, our port and the time. Raises OSError."""
        conversation = Conversation[M](asyncio.get_running_loop())
        host, port = await conversation.open(way.transport, way.address, way.port)
        try:
            conversation.begin(make(host, port, conversation.now()))
        except BaseException:
            conversation.close()
            raise
        return conversation

    def release(self, conversation: Conversation[M]) -> None:
        """Its owner has left: it goes on until nothing is left to be said, 32 s at the most."""
        if len(self._lingering) >= LINGERING:
            next(iter(self._lingering)).close()
        self._lingering[conversation] = None
        conversation.linger(partial(self._lingering.pop, conversation, None))

    def close(self) -> None:
        for conversation in list(self._lingering):
            conversation.close()


deadline = partial(deadlines.deadline, protocol="SIP")
"""One deadline over everything inside: `deadline(target, timeout_s)`."""
