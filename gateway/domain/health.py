"""The words of health: what a check says and what state a device is in."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from gateway.domain.devices import Device, DeviceId, Place


class Outcome(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


class HealthState(StrEnum):
    UNKNOWN = "unknown"
    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Introduction:
    """That a device said who it is when it was asked at `place`, at the moment `asked_at`.

    `hardware_asked_at`: when it was asked for its hardware addresses, which may be long before; None where it told none. Both by our
    monotonic clock, in seconds: they mean nothing to another run.
    """

    place: Place
    asked_at: float
    hardware_asked_at: float | None = None

    def counts_for(self, device: Device) -> bool:
        """Whether it was asked where the inventory has `device` now."""
        return self.place == device.place


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check of one device found. `reason` is a stable code ("" when ok); `facts` are plain JSON values.

    `at_once`: it is told once, as a trap is, and counts without being told again. `introduction`: the device said who it is, be it the
    right one or another.
    """

    device: DeviceId
    check: str
    outcome: Outcome
    at: datetime
    reason: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    took_ms: float = 0.0
    at_once: bool = False
    introduction: Introduction | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """An append-only row: a device went from one state to another, when, why, and which check said so."""

    device: DeviceId
    before: HealthState
    after: HealthState
    at: datetime
    reason: str
    check: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a device stands now. `offset` is its clock minus ours, when known; `last_seen` its last successful answer.

    `introduction`: when and where it last told who it is, which is older than `last_seen` while it answers that with faults; None until
    it has told this run of the gateway.
    """

    device: DeviceId
    state: HealthState = HealthState.UNKNOWN
    since: datetime | None = None
    reason: str = ""
    check: str = ""
    last_seen: datetime | None = None
    offset: timedelta | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    introduction: Introduction | None = None


class Board:
    """The standing of every device, in memory: written by the health service, read by everybody else.

    `version` grows with every change of a state or a reason: what was counted at one version holds until the next.
    """

    def __init__(self) -> None:
        self._standings: dict[DeviceId, Standing] = {}
        self._counts: Counter[HealthState] = Counter()
        self.version = 0

    def __getitem__(self, device: DeviceId) -> Standing:
        """The standing of `device`; UNKNOWN for one that was never checked."""
        return self._standings.get(device) or Standing(device)

    def __iter__(self) -> Iterator[Standing]:
        return iter(self._standings.values())

    def put(self, standing: Standing) -> None:
        before = self._standings.get(standing.device)
        self._standings[standing.device] = standing
        if before is not None and before.state is standing.state and before.reason == standing.reason:
            return
        self.version += 1
        if before is not None:
            self._counts[before.state] -= 1
        self._counts[standing.state] += 1

    def copy(self) -> "Board":
        """The same standings as of now, for whoever looks at them for longer."""
        copied = Board()
        copied._standings, copied._counts = dict(self._standings), Counter(self._counts)
        return copied

    def drop(self, device: DeviceId) -> None:
        before = self._standings.pop(device, None)
        if before is not None:
            self.version += 1
            self._counts[before.state] -= 1

    def counts(self) -> dict[HealthState, int]:
        """How many devices are in each state, all states named."""
        return {state: self._counts[state] for state in HealthState}
