"""Listening: subscriptions to the events of those devices that are chosen, begun one after the other and never more than are allowed."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import structlog

from gateway.clock import Clock
from gateway.domain.city import City
from gateway.domain.devices import Device, DeviceId, DeviceKind
from gateway.domain.health import Board, CheckResult, HealthState, Outcome
from gateway.drivers.base import DeviceEvent
from gateway.health.alarms import result_of

log = structlog.get_logger()

_TICK_S = 1.0
_BEGUN_AT_ONCE = 2
_WAITING = 4_096  # results that wait for the store; the oldest is dropped, and the device tells its states again when it is asked to
_SPEAKS = frozenset({DeviceKind.CAMERA, DeviceKind.RECORDER})


class Subscription(Protocol):
    """One device's events (`drivers.base.EventSource`)."""

    heard_at: float | None

    async def run(self, take: Callable[[DeviceEvent], None]) -> None: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whom to listen to: nobody, those of `devices`, or (`everybody`) all cameras and recorders, by id; at most `at_most`."""

    everybody: bool = False
    devices: frozenset[str] = frozenset()
    at_most: int = 256


class Listening:
    """Keeps the subscriptions, and hands what devices tell of their own health to `report`; all other events are counted and dropped.

    `complains`: whether a check of a device complains now: the end of what nobody complained of is no news. A device that is down is not
    subscribed to until it is back; a subscription that stands keeps itself alive (`drivers/onvif/events.py`).
    """

    def __init__(
        self,
        wanted: Wanted,
        *,
        city: City,
        board: Board,
        clock: Clock,
        events_of: Callable[[DeviceId], Subscription],
        report: Callable[[DeviceId, Sequence[CheckResult]], Awaitable[bool]],
        complains: Callable[[DeviceId, str], bool],
    ) -> None:
        self._wanted = wanted
        self._city = city
        self._board = board
        self._clock = clock
        self._events_of = events_of
        self._report = report
        self._complains = complains
        self._tasks: dict[DeviceId, asyncio.Task[None]] = {}
        self._since: dict[DeviceId, float] = {}
        self._chosen: set[DeviceId] = set()
        self._told: deque[CheckResult] = deque(maxlen=_WAITING)
        self.events = 0

    async def run(self) -> None:
        """Listen until cancelled; then every subscription is ended."""
        if not self._wanted.everybody and not self._wanted.devices:
            await asyncio.Event().wait()
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    self._settle(group)
                    await self._hand_over()
                    await self._clock.sleep(_TICK_S)
        finally:
            self._tasks.clear()
            self._since.clear()

    @property
    def subscriptions(self) -> int:
        """How many devices are listened to."""
        return len(self._tasks)

    def chosen(self) -> Sequence[Device]:
        """Whose events are wanted now."""
        wanted = self._wanted
        devices = (device for kind in sorted(_SPEAKS) for device in self._city.of_kind(kind) if device.enabled)
        return [device for device in devices if wanted.everybody or device.id in wanted.devices][: wanted.at_most]

    def silent_s(self, device: DeviceId) -> float | None:
        """For how long a device's subscription has been silent, at the most since it was begun; None for one that is not listened to."""
        if device not in self._chosen:
            return None
        since = self._since.get(device)
        if since is None:
            return 0.0
        heard = self._events_of(device).heard_at
        return self._clock.monotonic() - (since if heard is None else max(heard, since))

    def _settle(self, group: asyncio.TaskGroup) -> None:
        """End what is not wanted any more; begin some of what is."""
        chosen = self._chosen = {device.id for device in self.chosen()}
        for gone in [device for device in self._tasks if device not in chosen]:
            self._tasks.pop(gone).cancel()
            self._since.pop(gone, None)
        waiting = (device for device in sorted(chosen - self._tasks.keys()) if self._answers(device))
        for device, _ in zip(waiting, range(_BEGUN_AT_ONCE), strict=False):
            self._since[device] = self._clock.monotonic()
            self._tasks[device] = group.create_task(self._listen(device), name=f"events of {device}")

    def _answers(self, device: DeviceId) -> bool:
        return self._board[device].state in (HealthState.UP, HealthState.DEGRADED)

    async def _listen(self, device: DeviceId) -> None:
        try:
            await self._events_of(device).run(partial(self._take, device))
        except Exception:  # ours: one subscription's end must not be that of all
            log.exception("health.not_listening", device=device)
            self._tasks.pop(device, None)

    def _take(self, device: DeviceId, event: DeviceEvent) -> None:
        self.events += 1
        result = result_of(device, event)
        if result is not None:
            self._told.append(result)

    async def _hand_over(self) -> None:
        """In the order in which they came; a rise and its end within a second are both told."""
        while self._told:
            result = self._told.popleft()
            if result.outcome is not Outcome.OK or self._complains(result.device, result.check):
                await self._report(result.device, [result])


def wanted_of(mode: str, devices: Collection[str], *, at_most: int) -> Wanted:
    """By the configuration's word: `off`, `listed` or `all`."""
    modes: Mapping[str, Wanted] = {
        "off": Wanted(at_most=at_most),
        "listed": Wanted(devices=frozenset(devices), at_most=at_most),
        "all": Wanted(everybody=True, at_most=at_most),
    }
    return modes[mode]
