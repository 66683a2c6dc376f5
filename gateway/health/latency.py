"""How long devices take to answer, each against its own habit: a recorder that answers slowly while it replays should be asked for less."""

from collections.abc import Iterable
from typing import Final

from gateway.domain.devices import DeviceId
from gateway.domain.health import CheckResult, Outcome
from gateway.domain.policy import REACH

_SLOW_TIMES: Final = 4.0
_SLOW_FROM_MS: Final = 300.0
"""What is faster than this is no sign of strain, whatever the device's habit."""
_WEIGHT: Final = 1 / 16
"""Of the newest answer in the habit."""


class Latencies:
    """Fed with every result; holds two numbers a device, in milliseconds: its habit, and its last answer."""

    def __init__(self) -> None:
        self._habits: dict[DeviceId, float] = {}
        self._latest: dict[DeviceId, float] = {}

    def note(self, device: DeviceId, results: Iterable[CheckResult]) -> None:
        """A slow answer does not become habit but by and by, and silence says nothing of how long an answer takes."""
        for result in results:
            if result.check == REACH and result.outcome in (Outcome.OK, Outcome.WARN):
                habit = self._habits.setdefault(device, result.took_ms)
                self._latest[device] = result.took_ms
                self._habits[device] = habit + (min(result.took_ms, 2 * habit) - habit) * _WEIGHT

    def slowed(self, device: DeviceId) -> bool:
        """Whether its last answer took four times as long as its answers use to, and 0.3 s at the least."""
        return self._latest.get(device, 0.0) > max(_SLOW_FROM_MS, _SLOW_TIMES * self._habits.get(device, 0.0))

    def forget(self, device: DeviceId) -> None:
        """It is gone from the inventory."""
        self._habits.pop(device, None)
        self._latest.pop(device, None)
