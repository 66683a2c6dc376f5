"""Waiting for what tells nobody that it has come about: another process, the far side of a socket, the disk."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from gateway.clock import SimulatedClock

PATIENCE_S = 120.0  # no verdict: whoever fails here is stuck, not slow; below pytest's own limit, which says less
_PAUSE_S = 0.01
_SHOWN = 300


async def until(
    holds: Callable[[], Any],
    within_s: float = PATIENCE_S,
    meanwhile: Callable[[], object] | None = None,
    *,
    wanted: Callable[[Any], object] = bool,
) -> Any:
    """What `holds` gives, or the awaitable that it gives, once that is `wanted`: true, unless something else is said.

    Asked again and again in real time, after each `meanwhile` (which may be awaitable, too). AssertionError, with the line that was waited
    for and what it gave last, when it takes longer than `within_s`.
    """
    found: Any = None
    try:
        async with asyncio.timeout(within_s) as limit:
            while not wanted(found := await _settled(holds())):
                if meanwhile is not None:
                    await _settled(meanwhile())
                await asyncio.sleep(_PAUSE_S)
            return found
    except TimeoutError:
        if limit.expired():
            raise AssertionError(f"not within {within_s} s: {_line_of(holds)}; at last {repr(found)[:_SHOWN]}") from None
        raise


async def stopped(task: asyncio.Task[Any]) -> None:
    """Cancel `task` and wait for its end: one that is left with a read under way would meet a store that has gone."""
    task.cancel()
    await asyncio.wait([task])


class Watched(SimulatedClock):
    """A clock that tells when somebody waits for it."""

    def __init__(self, start: datetime) -> None:
        super().__init__(start)
        self.waiting = 0
        self._changed = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await super().sleep(seconds)
            return
        self.waiting += 1
        self._changed.set()
        try:
            await super().sleep(seconds)
        finally:
            self.waiting -= 1

    async def waited_for(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not self.waiting:
                self._changed.clear()
                await self._changed.wait()


async def _settled(given: object | Awaitable[object]) -> object:
    return await given if inspect.isawaitable(given) else given


def _line_of(holds: Callable[[], object]) -> str:
    name = getattr(holds, "__qualname__", repr(holds))
    return " ".join(inspect.getsource(holds).split()) if name.endswith("<lambda>") else name
