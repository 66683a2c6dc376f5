"""Rounds: the slow checks, each on a wheel of its own, so that none ever delays a visit or another check."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace

import structlog

from gateway.domain.devices import DeviceId
from gateway.domain.health import CheckResult, HealthState, Outcome
from gateway.errors import GatewayError
from gateway.health.checks.subject import SlowTools, Subject
from gateway.health.checks.table import Slow
from gateway.health.wheel import Pace, Wheel

log = structlog.get_logger()

_TICK_S = 1.0
_PATIENCE = 2.0
_SUSPECT_S = 120.0  # when a check that complained is made again, so that a complaint is confirmed soon
_LOOKED_AT = frozenset({HealthState.UP, HealthState.DEGRADED})

Report = Callable[[DeviceId, Sequence[CheckResult]], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class RoundFigures:
    """How one slow check fares: how often it was made, how many are under way, how far it is behind."""

    made: int
    under_way: int
    lateness_s: float


class Rounds:
    """Makes each check of `checks` of every enabled device of its kinds that answers, and hands what it finds to `report`.

    `lagged_since`: whether the gateway was held up since a moment: then what looks like an illness may be our own slowness, and is not
    told. `withdraw`: takes back what these checks have said. `resync` after every change of the inventory.
    """

    def __init__(
        self,
        checks: Mapping[str, Slow],
        *,
        tools: SlowTools,
        report: Report,
        withdraw: Callable[[Set[str]], Awaitable[None]],
        lagged_since: Callable[[float], bool],
    ) -> None:
        self._tools = tools
        self._report = report
        self._withdraw = withdraw
        self._lagged_since = lagged_since
        self._off = frozenset(name for name, slow in checks.items() if not slow.enabled)
        self._rounds = {name: _Round(name, slow, self) for name, slow in checks.items() if slow.enabled}

    def resync(self) -> None:
        """The inventory has changed."""
        devices = self._tools.city.devices
        for turn in self._rounds.values():
            turn.wheel.replace(
                {device.id: device.uplink for device in devices.values() if device.enabled and device.kind in turn.slow.kinds}
            )
        self._tools.streams.keep_only(devices.__contains__)

    async def run(self) -> None:
        """Go round until cancelled. What checks once said that are switched off now is withdrawn."""
        self.resync()
        await self._withdraw(self._off)
        try:
            async with asyncio.TaskGroup() as group:
                for name, turn in self._rounds.items():
                    group.create_task(turn.wheel.run(), name=f"rounds of {name}")
        finally:
            await self._tools.pictures.close()

    @property
    def figures(self) -> Mapping[str, RoundFigures]:
        """By check."""
        return {name: RoundFigures(turn.made, turn.wheel.under_way, turn.wheel.lateness_s) for name, turn in self._rounds.items()}

    async def make(self, name: str, slow: Slow, device_id: DeviceId) -> Sequence[CheckResult] | None:
        """One check of one device, reported. None when it was not made: the device does not answer, or it is our fault."""
        tools = self._tools
        device = tools.city.devices.get(device_id)
        if device is None or tools.board[device_id].state not in _LOOKED_AT:
            return None
        subject = Subject(device, tools.clock.monotonic())
        try:
            async with asyncio.timeout(_PATIENCE * slow.timeout_s):  # its own deadline is shorter: this is for what keeps to none
                results = await slow.check(subject, replace(tools, timeout_s=slow.timeout_s))
        except TimeoutError:
            log.warning("health.not_checked", check=name, device=device_id, reason="timeout")
            return None
        except GatewayError as error:  # overloaded, a store that does not answer
            log.warning("health.not_checked", check=name, device=device_id, reason=error.code)
            return None
        except Exception:  # whatever it is, it is ours and not the device's
            log.exception("health.check_failed", check=name, device=device_id)
            return None
        if self._lagged_since(subject.began):
            results = [result for result in results if result.outcome is Outcome.OK]
        await self._tell(results)
        return results

    async def _tell(self, results: Sequence[CheckResult]) -> None:
        by_device: defaultdict[DeviceId, list[CheckResult]] = defaultdict(list)
        for result in results:
            by_device[result.device].append(result)
        for device, told in by_device.items():
            await self._report(device, told)


class _Round:
    def __init__(self, name: str, slow: Slow, rounds: Rounds) -> None:
        self.slow = slow
        self.made = 0
        self._name = name
        self._rounds = rounds
        self.wheel: Wheel[DeviceId] = Wheel(self._visit, clock=rounds._tools.clock, pace=_pace(slow))

    async def _visit(self, device: DeviceId) -> bool:
        results = await self._rounds.make(self._name, self.slow, device)
        if results is None:
            return True
        self.made += 1
        return all(result.outcome not in (Outcome.WARN, Outcome.FAIL) for result in results)


def _pace(slow: Slow) -> Pace:
    """A check that complains is made again soon, twice; an ill device is looked at as often as a well one."""
    return Pace(
        interval_s=slow.interval_s,
        first_round_s=slow.interval_s,
        tick_s=min(_TICK_S, slow.interval_s / 10),
        in_flight=slow.slots,
        per_group=max(1, slow.slots // 4),
        suspect_s=min(_SUSPECT_S, slow.interval_s / 2),
        dead_after=2,
        dead_s=slow.interval_s,
        dead_max_s=slow.interval_s,
        dead_in_flight=slow.slots,
    )
