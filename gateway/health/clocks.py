"""How far the clocks of what keeps footage were off, written down when one is set and once a day: footage is found by that long after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from gateway.domain.devices import DeviceId
from gateway.domain.footage import ClockRun, measured
from gateway.domain.health import CheckResult
from gateway.health.checks.clock import CLOCK
from gateway.storage.tx import Tx

_TOLD_EVERY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ClockNews:
    """The clock of `device` was measured: `run` is how it is now, `ended` how it was until then where it was set since."""

    device: DeviceId
    run: ClockRun
    ended: ClockRun | None
    worth: bool

    async def write(self, tx: Tx) -> None:
        if self.ended is not None:
            await tx.clocks.put(self.device, self.ended)
        await tx.clocks.put(self.device, self.run)


@dataclass(slots=True)
class ClockLog:
    """The last run of each device as measured, and until when the store knows it."""

    _runs: dict[DeviceId, ClockRun] = field(default_factory=dict)
    _stored: dict[DeviceId, ClockRun] = field(default_factory=dict)

    def restore(self, runs: Mapping[DeviceId, ClockRun]) -> None:
        """Take up what the last run of the gateway has written."""
        self._runs, self._stored = dict(runs), dict(runs)

    def news(self, device: DeviceId, results: Sequence[CheckResult]) -> ClockNews | None:
        """What `results` tell of its clock; None when nothing. `keep` it; where it is `worth` that, once it is stored."""
        told = next((one for one in reversed(results) if one.check == CLOCK and "offset_s" in one.facts), None)
        if told is None:
            return None
        known, stored = self._runs.get(device), self._stored.get(device)
        run = measured(known, timedelta(seconds=told.facts["offset_s"]), told.at)
        if known is None or stored is None or run.first != known.first:
            return ClockNews(device, run, known, worth=True)
        return ClockNews(device, run, None, worth=run.last - stored.last >= _TOLD_EVERY)

    def keep(self, news: ClockNews) -> None:
        """`news` is true, and in the store if it is worth that."""
        self._runs[news.device] = news.run
        if news.worth:
            self._stored[news.device] = news.run

    def drop(self, device: DeviceId) -> None:
        """It is gone; what the store has of it stays as long as its footage may."""
        self._runs.pop(device, None)
        self._stored.pop(device, None)
