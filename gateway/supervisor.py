"""Keeps the long-lived parts of the daemon running apart from each other: one that fails is restarted, visibly, with backoff."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import structlog

from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.tasks import in_own_task

log = structlog.get_logger()

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
HEALTHY_AFTER_S = 60.0  # a part that ran this long before it failed starts again with the first pause

Run = Callable[[], Coroutine[Any, Any, None]]


class PartState(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    STOPPED = "stopped"


@dataclass(slots=True)
class PartStatus:
    """How one part of the daemon fares, as `/readyz` and the metrics show it."""

    name: str
    state: PartState = PartState.STARTING
    since: datetime | None = None
    restarts: int = 0
    last_error: str = ""


def first_cause(error: Exception) -> Exception:
    """What a part failed of: a TaskGroup inside it wraps that in a group that says nothing."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


class Supervisors:
    """The parts of the daemon. A part is an `async def run()` that ends only by cancellation or failure."""

    def __init__(self, *, clock: Clock, rng: random.Random | None = None) -> None:
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 -- spreads restarts, guards nothing
        self._parts: list[tuple[PartStatus, Run, bool]] = []

    def add(self, name: str, run: Run, *, fatal: bool = False) -> None:
        """Register a part. When a `fatal` one fails, the daemon ends with its error (systemd starts it again)."""
        self._parts.append((PartStatus(name), run, fatal))

    def __iter__(self) -> Iterator[PartStatus]:
        return (status for status, _, _ in self._parts)

    @property
    def ready(self) -> bool:
        return all(status.state is PartState.RUNNING for status in self)

    def start(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Start every part in `group`, in the order of registration; the caller cancels them in reverse to shut down."""
        return [group.create_task(self._keep_running(status, run, fatal=fatal), name=status.name) for status, run, fatal in self._parts]

    async def _keep_running(self, status: PartStatus, run: Run, *, fatal: bool) -> None:
        pause = FIRST_PAUSE_S
        while True:
            started = self._clock.monotonic()
            self._enter(status, PartState.RUNNING)
            try:
                await in_own_task(run(), name=status.name)
                status.last_error = "ended without being asked to"
            except asyncio.CancelledError:
                self._enter(status, PartState.STOPPED)
                raise
            except Exception as error:
                if fatal:
                    raise
                cause = first_cause(error)
                status.last_error = f"{type(cause).__name__}: {cause}"
                if isinstance(cause, GatewayError):  # foreseen: its words say more than a traceback
                    log.error("part-failed", part=status.name, error=str(cause), code=cause.code, hint=cause.hint)  # noqa: TRY400 -- as above
                else:
                    log.exception("part-failed", part=status.name)
            status.restarts += 1
            self._enter(status, PartState.RESTARTING)
            if self._clock.monotonic() - started >= HEALTHY_AFTER_S:
                pause = FIRST_PAUSE_S
            await self._clock.sleep(pause * self._rng.uniform(0.8, 1.2))
            pause = min(LONGEST_PAUSE_S, pause * 2)

    def _enter(self, status: PartStatus, state: PartState) -> None:
        status.state, status.since = state, self._clock.now()
        log.info("part-state", part=status.name, state=state, restarts=status.restarts)
