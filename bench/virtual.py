"""A loop whose time is simulated while its sockets are real, and what a bad line does to packets, for days that pass in a minute.

Time stands still while anything is ready to be done, on a socket of this machine or in a thread of the store, and else leaps to the next
timer. Everything under test runs as it is, its deadlines included; its peers must live in the same loop.
"""

import asyncio
import random
import selectors
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from aiosqlite.core import Connection

T = TypeVar("T")
START = datetime(2026, 1, 1, tzinfo=UTC)


class VirtualLoop(asyncio.SelectorEventLoop):
    """`pause` lets time go by while nothing is done, as when the process is held up."""

    def __init__(self) -> None:
        self.elapsed = 0.0
        self.elsewhere = 0  # what threads are at: until they are done, time stands still
        self._leaping = _Leaping(self)
        super().__init__(self._leaping)

    def time(self) -> float:
        return self.elapsed

    def pause(self, seconds: float) -> None:
        self.elapsed += seconds


class _Leaping(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._of = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None or self._of.elsewhere:
            return super().select(1.0 if self._of.elsewhere else None)
        self._of.elapsed += max(timeout, 1e-6)
        return ready


class LoopClock:
    """The gateway's clock by the loop's time."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def now(self) -> datetime:
        return START + timedelta(seconds=self._loop.elapsed)

    def monotonic(self) -> float:
        return self._loop.elapsed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


@contextmanager
def sqlite_in_the_loop(loop: VirtualLoop) -> Iterator[None]:
    """Let SQLite work in the loop instead of in threads: time stands still meanwhile, and nothing is waited for."""
    connection, module = _untyped(Connection), _untyped(sqlite3)  # they have no seam for this: their innards are taken over
    execute, connect, open_file = connection._execute, connection._connect, module.connect

    async def at_once(self: Connection, fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        if self._connection is None:
            raise ValueError("Connection closed")
        return fn(*args, **kwargs)

    async def connected(self: Connection) -> Connection:
        loop.elsewhere += 1
        try:
            made: Connection = await connect(self)
            return made
        finally:
            loop.elsewhere -= 1

    connection._execute, connection._connect = at_once, connected
    module.connect = partial(open_file, check_same_thread=False)
    try:
        yield
    finally:
        connection._execute, connection._connect, module.connect = execute, connect, open_file


def _untyped(thing: object) -> Any:
    return thing


def run(main: Callable[[VirtualLoop], Awaitable[T]]) -> T:
    """`main(loop)` on a loop of its own."""
    loop = VirtualLoop()
    with sqlite_in_the_loop(loop), asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(_made(main, loop))


async def _made(main: Callable[[VirtualLoop], Awaitable[T]], loop: VirtualLoop) -> T:
    return await main(loop)


async def hold_up(loop: VirtualLoop, chance: random.Random, *, every_s: float, pause_s: float) -> None:
    """Hold the loop up for `pause_s` at random, once in `every_s` on average, until cancelled."""
    while True:
        await asyncio.sleep(chance.expovariate(1 / every_s))
        loop.pause(pause_s)


# -- the line -----------------------------------------------------------------------------------------------------------

SYN_RTO_S = 1.0  # RFC 6298, 2.1, and Linux; doubled with each that is lost
DATA_RTO_S = 0.2  # Linux, TCP_RTO_MIN: what a short round trip comes down to
GIVEN_UP_S = 120.0


@dataclass(frozen=True, slots=True)
class Line:
    """Packets are lost one by one, `loss` of them each way; the others take `rtt_s` there and back, on average, exponentially spread."""

    loss: float = 0.02
    rtt_s: float = 0.03

    def trip_s(self, chance: random.Random) -> float:
        return chance.expovariate(1 / self.rtt_s) if self.rtt_s else 0.0

    def handshake_s(self, chance: random.Random) -> float:
        """Until a connection stands: the SYN, or what answers it, may be lost and is repeated."""
        return self.trip_s(chance) + self._repeats_s(chance, SYN_RTO_S)

    def exchange_s(self, chance: random.Random) -> float:
        """Until the answer to a request is there: either may be lost and is repeated by whoever sent it."""
        return self.trip_s(chance) + self._repeats_s(chance, DATA_RTO_S)

    def datagram_s(self, chance: random.Random) -> float | None:
        """Until the answer to a datagram is there; None when either is lost, which nobody repeats but the asker."""
        return None if self._lost(chance) else self.trip_s(chance)

    def _repeats_s(self, chance: random.Random, rto_s: float) -> float:
        waited_s = 0.0
        while self._lost(chance):
            waited_s, rto_s = waited_s + rto_s, 2 * rto_s
            if waited_s > GIVEN_UP_S:
                break
        return waited_s

    def _lost(self, chance: random.Random) -> bool:
        return chance.random() >= (1 - self.loss) ** 2
