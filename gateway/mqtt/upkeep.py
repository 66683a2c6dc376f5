"""Keeps one session connected to its broker."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Self

import aiomqtt
import structlog

from gateway.clock import Clock, sleep_unless
from gateway.errors import GatewayError
from gateway.mqtt.connection import Broker, Connection, Version, VersionRefused
from gateway.tasks import in_own_task

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
DISPLACED_PAUSE_S = 3_600.0

log = structlog.get_logger(__name__)

Step = Callable[[Connection], Coroutine[Any, Any, None]]


class Standing(Enum):
    """How a session stands. TRYING: it is not known yet whether it can be had."""

    TRYING = auto()
    LISTENING = auto()
    FAILED = auto()


async def _nothing(client: Connection) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Session:
    """What the broker keeps for us under `client_id`, and what we do by its connection.

    `begin` is done first, before anybody is told that the session listens; `work` goes on while the connection lasts; `end` is the last
    word when it is we who go. All raise MqttError when it breaks. `will`: where the broker says that the connection broke.
    """

    client_id: str
    begin: Step
    work: Step
    end: Step = _nothing
    will: str | None = None


class Upkeep:
    """One session's connection, made again whenever it breaks. To be without is no failure: what happens meanwhile waits.

    `after`: the session that is to be tried before this one, each time.
    """

    def __init__(self, session: Session, broker: Broker, *, clock: Clock, rng: random.Random, after: Self | None = None) -> None:
        self._session = session
        self._broker = broker
        self._clock = clock
        self._rng = rng
        self._after = after
        self._follower: Self | None = None
        if after is not None:
            after._follower = self
        self._coming = False  # from the attempt to connect until it listens
        self._displaced = False  # whether the last loss looked as if the follower had caused it
        self._hurried = asyncio.Event()
        self._changed = asyncio.Event()
        self.standing = Standing.TRYING
        self.client: Connection | None = None
        """The connection while the session listens."""
        self.told = ""
        """Why it does not, as the log has it."""

    async def tried(self) -> None:
        """Return when it listens, or when an attempt to connect that was under way or is made now has failed."""
        if self.standing is not Standing.LISTENING:
            self._stand(Standing.TRYING)
            self._hurried.set()
        while self.standing is Standing.TRYING:
            await self._changed.wait()

    async def changed(self, standing: Standing) -> None:
        """Return when it does not stand like this any more."""
        while self.standing is standing:
            await self._changed.wait()

    async def run(self) -> None:
        """Keep connected until cancelled; a loss is logged once for each reason that it has, and a return once."""
        pause, self.client = FIRST_PAUSE_S, None
        self._stand(Standing.TRYING)
        while True:
            if self._after is not None:
                await self._after.tried()
            started = self._clock.monotonic()
            self._coming = True
            try:
                await in_own_task(self._connect(), name=f"mqtt-session {self._session.client_id}")
            except* (aiomqtt.MqttError, GatewayError) as failed:
                self._tell_loss(_first(failed))
            self._coming = False
            if self._clock.monotonic() - started > LONGEST_PAUSE_S:
                pause = FIRST_PAUSE_S
            await self._rest(pause)
            pause = min(LONGEST_PAUSE_S, pause * 2)

    async def _rest(self, pause_s: float) -> None:
        """Until the next attempt. A connection that is lost for the first time is given the chance to be there again at once.

        One that is lost while the follower comes, twice in a row, is ended by that: the broker takes both for one
        (`use_username_as_clientid` of mosquitto). Each would be made again to end the other, so this one rests for long, or until the
        follower is to come anew. Once may be chance: a network that breaks ends both, and they learn of it one after the other.
        """
        lost, before = self.client is not None, self._displaced
        if lost:
            self._displaced = self._follower is not None and self._follower._coming
        displaced = lost and before and self._displaced
        soon = lost and pause_s == FIRST_PAUSE_S and not displaced
        self.client = None
        self._hurried.clear()
        self._stand(Standing.TRYING if soon else Standing.FAILED)
        longest_s = DISPLACED_PAUSE_S if displaced else pause_s
        await sleep_unless(self._hurried, self._clock, longest_s * self._rng.uniform(0.5, 1.0))

    async def _connect(self) -> None:
        """One connection, by the first version that the broker speaks. MqttError, or a group of errors, when it breaks."""
        for version in self._broker.versions[:-1]:
            with contextlib.suppress(VersionRefused):
                await self._converse(version)
                return
        await self._converse(self._broker.versions[-1])

    async def _converse(self, version: Version) -> None:
        session = self._session
        async with Connection(self._broker, version, client_id=session.client_id, will=session.will) as client:
            await session.begin(client)
            self.client, self.told, self._coming = client, "", False
            self._stand(Standing.LISTENING)
            kept = client.session_kept
            log.info("mqtt.connected", host=self._broker.host, client_id=session.client_id, version=version.name, session_kept=kept)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(client.lost(), name="mqtt-lost")
                    group.create_task(session.work(client), name=f"mqtt-work {session.client_id}")
            except asyncio.CancelledError:
                self.client = None
                with contextlib.suppress(aiomqtt.MqttError):  # the broker says it then
                    await session.end(client)
                raise

    def _stand(self, standing: Standing) -> None:
        if standing is not self.standing:
            self.standing = standing
            self._changed.set()
            self._changed = asyncio.Event()

    def _tell_loss(self, error: BaseException) -> None:
        reason = str(error)
        if reason != self.told:
            event = "mqtt.lost" if self.client is not None else "mqtt.unreachable"
            log.warning(event, client_id=self._session.client_id, error=reason)
        self.told = reason


def _first(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error inside groups of groups."""
    error: BaseException = failed
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
