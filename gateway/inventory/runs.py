"""Long errands of the inventory, one at a time: started by a request, carried out by a part of the daemon, looked at meanwhile."""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

import structlog

from gateway.clock import Clock
from gateway.domain.events import Actor
from gateway.errors import Conflict, GatewayError, NotFound

KEPT: Final = 32
TROUBLES: Final = 50


class RunState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(slots=True)
class Run:
    """One errand. `asked`: devices or addresses that were spoken to, of `total`; `answered`: those that did.

    `found`: what came of it, by kind of finding; `troubles`: what went wrong, the first `TROUBLES` of `trouble_count`.
    """

    id: str
    kind: str
    by: Actor
    requested_at: datetime
    state: RunState = RunState.WAITING
    ended_at: datetime | None = None
    total: int = 0
    asked: int = 0
    answered: int = 0
    found: dict[str, int] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    trouble_count: int = 0

    def trouble(self, text: str) -> None:
        self.trouble_count += 1
        if len(self.troubles) < TROUBLES:
            self.troubles.append(text)


Work = Callable[[Run], Awaitable[None]]


class Errands:
    """Takes one errand at a time; the last `KEPT` are remembered until the daemon ends."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._next: tuple[Run, Work] | None = None
        self._waiting = asyncio.Event()
        self._log = structlog.get_logger()

    def start(self, kind: str, work: Work, *, by: Actor) -> Run:
        """Have `work` done. Conflict (`run-under-way`) while another errand is not done yet."""
        last = next(reversed(self._runs.values()), None)
        if last is not None and last.state in (RunState.WAITING, RunState.RUNNING):
            raise Conflict(f"{last.kind} {last.id} is not done yet.", code="run-under-way", hint="Wait until it is done, and ask again.")
        run = Run(f"R-{secrets.token_hex(6)}", kind, by, self._clock.now())
        self._runs[run.id] = run
        while len(self._runs) > KEPT:
            self._runs.popitem(last=False)
        self._next = (run, work)
        self._waiting.set()
        return run

    def get(self, run_id: str, kind: str) -> Run:
        """NotFound for one that is not, or is no longer, known."""
        run = self._runs.get(run_id)
        if run is None or run.kind != kind:
            raise NotFound(f"There is no {kind} {run_id!r}.", hint=f"The last {KEPT} runs are kept, until the gateway is restarted.")
        return run

    def latest(self, kind: str) -> Run | None:
        return next((run for run in reversed(self._runs.values()) if run.kind == kind), None)

    async def run(self) -> None:
        """Carry out what is started, until cancelled."""
        while True:
            await self._waiting.wait()
            self._waiting.clear()
            if self._next is not None:
                (run, work), self._next = self._next, None
                await self._carry_out(run, work)

    async def _carry_out(self, run: Run, work: Work) -> None:
        run.state = RunState.RUNNING
        try:
            await work(run)
        except GatewayError as error:
            run.trouble(f"{error.code}: {error}")
            run.state = RunState.FAILED
        else:
            run.state = RunState.DONE
        finally:
            if run.state is RunState.RUNNING:  # cancelled, or a fault of ours that ends this part
                run.state = RunState.FAILED
            run.ended_at = self._clock.now()
            found = {"asked": run.asked, "answered": run.answered, **run.found}
            self._log.info(f"{run.kind}.ended", run=run.id, state=run.state.value, troubles=run.trouble_count, **found)
