"""The health service: turns the wheel, judges what its visits find, and tells the world what has changed."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import Any

import structlog

from gateway.domain.city import City
from gateway.domain.devices import Device, DeviceId, DeviceKind
from gateway.domain.events import NewEvent
from gateway.domain.health import Board, CheckResult, HealthState, Outcome, Standing, Transition
from gateway.domain.policy import REACH, Limits, PolicyState, hear, judge, restored
from gateway.errors import NotFound, Overloaded, StorageFailed
from gateway.health.checks.clock import CLOCK
from gateway.health.checks.reach import SLOW
from gateway.health.checks.subject import Subject, Tools
from gateway.health.checks.table import CHECKS, VISITS
from gateway.health.clocks import ClockLog, ClockNews
from gateway.health.complaints import ComplaintLog, Turn
from gateway.health.latency import Latencies
from gateway.health.links import OwnLinks
from gateway.health.news import noticed
from gateway.health.sight import Sight
from gateway.health.timing import CheckTimes
from gateway.health.wheel import Pace, Wheel
from gateway.storage.health import NumberedTransition
from gateway.storage.store import Store
from gateway.storage.tx import Tx
from gateway.storage.writer import Lane

log = structlog.get_logger()

STATE_EVENT = "device.state"
NOTICE_EVENT = "device.notice"
LAGGING = "gateway-lagging"
BLIND = "gateway-blind"
OUR_FAULT = "check-failed"
_WATCH_S = 60.0  # how often it is written that we still look: what a crash makes uncertain
_Judge = Callable[[PolicyState, Sequence[CheckResult], Limits, datetime], tuple[PolicyState, Transition | None]]
_KEEPERS = frozenset({DeviceKind.CAMERA, DeviceKind.RECORDER})  # of footage
_SETTLE_S = 1.0  # after an inventory change, before what it dropped is written


@dataclass(frozen=True, slots=True)
class Figures:
    """How the service itself fares, for the metrics."""

    visits: int
    under_way: int
    off_the_ring: int
    lateness_s: float
    blind: bool


class HealthService:
    """Keeps `board` true: every device of `city` has a standing there, and a changed state only after it has been committed.

    `load` before `run`; `resync` after every change of the inventory. Results that change nothing are not written.
    `limits_of`: thresholds of kinds that have others than `limits`; `links`: our own, whose loss makes silence mean nothing.
    """

    def __init__(
        self,
        *,
        city: City,
        board: Board,
        store: Store,
        tools: Tools,
        limits: Limits = Limits(),  # noqa: B008 -- frozen
        pace: Pace = Pace(),  # noqa: B008 -- frozen
        limits_of: Mapping[DeviceKind, Limits] = MappingProxyType({}),
        links: OwnLinks | None = None,
    ) -> None:
        self._city = city
        self._board = board
        self._store = store
        self._tools = tools
        self._limits = {kind: limits_of.get(kind, limits) for kind in DeviceKind}
        self._links = links or OwnLinks((), tools.clock)
        self._clock = tools.clock
        self._wheel: Wheel[DeviceId] = Wheel(self._visit, clock=self._clock, pace=pace)
        self._sight = Sight(self._clock)
        self.times = CheckTimes()
        self.latencies = Latencies()
        self._states: dict[DeviceId, PolicyState] = {}
        self._complaints = ComplaintLog()
        self._clocks = ClockLog()
        self._turns: defaultdict[DeviceId, asyncio.Lock] = defaultdict(asyncio.Lock)  # one visit at a time
        self._judging: defaultdict[DeviceId, asyncio.Lock] = defaultdict(asyncio.Lock)  # one judgement at a time, of a visit or a report
        self._gone: set[DeviceId] = set()

    async def load(self) -> None:
        """Take up the states of the last run. Raises StorageFailed."""
        async with self._store.read() as tx:
            standings = await tx.health.standings()
            open_ = await tx.complaints.still_open()
            self._complaints.restore(open_, await tx.complaints.checked())
            self._clocks.restore(await tx.clocks.newest())
        complaints: defaultdict[DeviceId, list[CheckResult]] = defaultdict(list)
        for one in open_:
            complaints[one.device].append(CheckResult(one.device, one.check, Outcome.WARN, one.since, one.reason))
        for standing in standings:
            self._board.put(replace(standing, facts={standing.check: standing.facts} if standing.facts else {}))
            self._states[standing.device] = restored(
                standing.device, standing.state, reason=standing.reason, check=standing.check, complaints=complaints[standing.device]
            )
        self.resync()

    def resync(self) -> None:
        """The inventory has changed: forget who is gone, take up who is new, and keep what is known of the rest."""
        wanted = {device.id: device.uplink for device in self._city.devices.values() if device.enabled}
        for standing in list(self._board):
            if standing.device not in self._city.devices:
                self._drop(standing.device)
        for device in self._city.devices:
            self._gone.discard(device)
            if device not in self._states:
                self._states[device] = PolicyState(device)
                self._board.put(Standing(device))
        self._wheel.replace(wanted)

    async def run(self) -> None:
        """Check all devices until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._wheel.run(), name="health wheel")
            group.create_task(self._bury(), name="health of devices that are gone")
            group.create_task(self._keep_watch(), name="health watch")

    async def check_now(self, device: DeviceId) -> Sequence[CheckResult]:
        """Visit one device at once, and count it like any other visit. Raises NotFound."""
        if device not in self._city.devices:
            raise NotFound(f"there is no device {device!r}")
        results = await self._turn(device)
        self._wheel.heard(device, answered=not _silent(results))
        return results

    def suspects(self) -> frozenset[DeviceId]:
        """Who did not answer last and is not down yet."""
        return frozenset(
            device for device, state in self._states.items() if state.streaks.silent and state.apparent is not HealthState.DOWN
        )

    async def report(self, device: DeviceId, results: Sequence[CheckResult]) -> bool:
        """Take what was found or told of a device without a visit: by slow checks, by traps. No `reach` among `results` (ValueError).

        They raise and clear complaints and tell notices (`policy.hear`), and never count as an answer or as silence. Each source has check
        names of its own: the next ok of a name ends its complaint. A device that is not watched is not heard of. Waits for no visit, only
        for the store. False when that did not take what it was given: then nothing has changed, and it may be told again.
        """
        known = self._city.devices.get(device)
        if known is None or not known.enabled or not results:
            return True
        return await self._take(device, results, hear)

    async def withdraw(self, checks: Set[str]) -> None:
        """These checks are not made any more: nobody is ill by what they once said."""
        ill = {device: checks & state.complaints.keys() for device, state in self._states.items() if state.complaints}
        for device, withdrawn in ill.items():
            now = self._clock.now()
            await self.report(device, [CheckResult(device, check, Outcome.OK, now, at_once=True) for check in sorted(withdrawn)])

    def complains(self, device: DeviceId, check: str) -> bool:
        """Whether `check` of a device complains now."""
        state = self._states.get(device)
        return state is not None and check in state.complaints

    def lagged_since(self, moment: float) -> bool:
        """Whether we were held up since `moment` (monotonic), or see nobody at all: what seems ill may be our own fault."""
        return self._wheel.lagged_since(moment) or self._sight.blind

    async def history(self, device: DeviceId, *, before: int | None = None, limit: int = 100) -> Sequence[NumberedTransition]:
        """The device's transitions, newest first; with `before`, those of a lower number."""
        async with self._store.read() as tx:
            return await tx.health.history(device, before=before, limit=limit)

    @property
    def figures(self) -> Figures:
        wheel = self._wheel
        return Figures(wheel.visits, wheel.under_way, wheel.off_the_ring, wheel.lateness_s, self._sight.blind or bool(self._links.look()))

    # -- one visit

    async def _visit(self, device: DeviceId) -> bool | None:
        results = await self._turn(device)
        return None if _excused_silence(results) else not _silent(results)

    async def _turn(self, device_id: DeviceId) -> Sequence[CheckResult]:
        """Look at a device and take what was found; one turn a device at a time. Empty for one that is not there any more."""
        async with self._turns[device_id]:
            device = self._city.devices.get(device_id)
            if device is None:
                return ()
            began = self._clock.monotonic()
            results = self._own_up(await self._look(device, began), began, device_id)
            if device_id in self._states:
                await self._take(device_id, results, judge)
            return results

    async def _look(self, device: Device, began: float) -> list[CheckResult]:
        subject = Subject(device, began)
        results: list[CheckResult] = []
        try:
            for name in VISITS[device.kind]:
                results += await CHECKS[name](subject, self._tools)
                if _silent(results):
                    break
        except Overloaded:
            return [subject.result(self._tools, REACH, Outcome.UNKNOWN, LAGGING)]
        except Exception:  # whatever it is, it is ours and not the device's
            log.exception("health.check_failed", device=device.id)
            return [subject.result(self._tools, REACH, Outcome.UNKNOWN, OUR_FAULT)]
        return results

    def _own_up(self, results: list[CheckResult], began: float, device: DeviceId) -> list[CheckResult]:
        """Say "unknown" where silence or slowness may be our own fault: while we lag, and when nobody at all answers."""
        reached = _reached(results)
        if reached is None or reached.outcome is Outcome.UNKNOWN:
            return results
        silent = reached.outcome is Outcome.FAIL
        lagging, cut_off = self._wheel.lagged_since(began), self._links.lost_since(began)
        if not silent or not (lagging or cut_off or self._wheel.misses(device)):
            self._sight.note(answered=not silent)
        if not silent:
            return [_excused(result) for result in results] if lagging else results
        if lagging or cut_off or self._sight.blind:
            return [replace(reached, outcome=Outcome.UNKNOWN, reason=LAGGING if lagging else BLIND)]
        return results

    async def _take(self, device: DeviceId, results: Sequence[CheckResult], judged: _Judge) -> bool:
        """Judge; commit what changed; only then show it. What could not be committed (False) is judged again at the next visit."""
        async with self._judging[device]:
            if device not in self._states:
                return True
            self.times.note(results)
            self.latencies.note(device, results)
            now = self._clock.now()
            after, transition = judged(self._states[device], results, self._limits[self._kind_of(device)], now)
            standing = _shown(self._board[device], after, transition, results)
            notices = [result for result in results if result.outcome is Outcome.OK and result.reason]
            notices += noticed(self._board[device].facts, results)
            turn = self._complaints.turn(device, [result for result in results if result.check not in after.suspected], now)
            clock = self._clocks.news(device, results) if self._kind_of(device) in _KEEPERS else None
            if transition or notices or turn or (clock and clock.worth):
                try:
                    await self._store.writer.write(lambda tx: _write(tx, transition, notices, turn, clock), lane=Lane.HEALTH)
                except (StorageFailed, Overloaded) as error:
                    log.warning("health.not_stored", device=device, reason=error.code)
                    return False
            if device in self._states:  # unless it was dropped meanwhile
                self._states[device] = after
                self._board.put(standing)
                if turn:
                    self._complaints.keep(turn)
                if clock:
                    self._clocks.keep(clock)
            return True

    def _kind_of(self, device: DeviceId) -> DeviceKind:
        """What it is; one that an import has just taken away is judged a last time as a camera."""
        known = self._city.devices.get(device)
        return known.kind if known else DeviceKind.CAMERA

    # -- devices that are gone

    def _drop(self, device: DeviceId) -> None:
        self._board.drop(device)
        self._states.pop(device, None)
        self._turns.pop(device, None)
        self._complaints.drop(device)
        self._clocks.drop(device)
        self.latencies.forget(device)
        self._judging.pop(device, None)
        self._gone.add(device)

    async def _bury(self) -> None:
        while True:
            await self._clock.sleep(_SETTLE_S)
            if not self._gone:
                continue
            gone = sorted(self._gone)
            try:
                await self._store.writer.write(partial(_forget, gone=gone, at=self._clock.now()), lane=Lane.HEALTH)
            except (StorageFailed, Overloaded) as error:
                log.warning("health.not_stored", devices=len(gone), reason=error.code)
                continue
            self._gone.difference_update(gone)

    # -- that we look

    async def _keep_watch(self) -> None:
        """Write down that we look, every minute: from the last word of one run to the first of the next, nobody knows how a device was."""
        since = self._clock.now()
        while True:
            now = self._clock.now()
            try:
                await self._store.writer.write(
                    partial(_look_on, instance=self._store.chain, since=since, until=now),
                    lane=Lane.HEALTH,
                )
            except (StorageFailed, Overloaded) as error:
                log.warning("health.not_stored", reason=error.code)
            await self._clock.sleep(_WATCH_S)


async def _look_on(tx: Tx, *, instance: str, since: datetime, until: datetime) -> None:
    await tx.complaints.watch(instance, since, until)


async def _forget(tx: Tx, *, gone: Sequence[DeviceId], at: datetime) -> None:
    await tx.complaints.end_all(gone, at)
    await tx.health.forget(gone)


def _reached(results: Sequence[CheckResult]) -> CheckResult | None:
    """What was found of reach, if anything was."""
    for result in results:
        if result.check == REACH:
            return result
    return None


def _silent(results: Sequence[CheckResult]) -> bool:
    reached = _reached(results)
    return reached is not None and reached.outcome is Outcome.FAIL


def _excused_silence(results: Sequence[CheckResult]) -> bool:
    reached = _reached(results)
    return reached is not None and reached.outcome is Outcome.UNKNOWN and reached.reason == LAGGING


def _excused(result: CheckResult) -> CheckResult:
    """What was too slow while we lagged may have been in time."""
    return replace(result, outcome=Outcome.UNKNOWN, reason=LAGGING) if result.reason == SLOW else result


async def _write(tx: Tx, transition: Transition | None, notices: Sequence[CheckResult], turn: Turn | None, clock: ClockNews | None) -> None:
    if clock and clock.worth:
        await clock.write(tx)
    if turn:
        await turn.write(tx)
    if transition:
        await tx.health.record(transition)
        tx.emit(NewEvent(STATE_EVENT, transition.device, transition.at, _told(transition)))
    for result in notices:
        told = {"check": result.check, "reason": result.reason, "facts": dict(result.facts)}
        tx.emit(NewEvent(NOTICE_EVENT, result.device, result.at, told))


def _told(transition: Transition) -> dict[str, Any]:
    return {
        "before": transition.before.value,
        "after": transition.after.value,
        "reason": transition.reason,
        "check": transition.check,
        "facts": dict(transition.facts),
    }


def _shown(before: Standing, after: PolicyState, transition: Transition | None, results: Sequence[CheckResult]) -> Standing:
    """The standing after a visit: facts by check, each as it was last found."""
    last_seen, offset, introduction, facts = before.last_seen, before.offset, before.introduction, dict(before.facts)
    for result in results:
        if result.outcome is Outcome.UNKNOWN:
            continue
        if result.facts:
            facts[result.check] = result.facts
        if result.check == REACH and result.outcome is Outcome.OK:
            last_seen = result.at
        elif result.introduction is not None:
            introduction = result.introduction
        elif result.check == CLOCK and "offset_s" in result.facts:
            offset = timedelta(seconds=result.facts["offset_s"])
    since = transition.at if transition else before.since
    return Standing(
        device=before.device,
        state=after.state,
        since=since,
        reason=after.reason,
        check=after.check,
        last_seen=last_seen,
        offset=offset,
        facts=facts,
        introduction=introduction,
    )
