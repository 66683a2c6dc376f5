"""How bad it is: one table from what ails a device to a severity (ITU-T X.733), which the configuration can correct line by line.

A line's key names what it is about; where several fit, the most particular counts, and of two as particular the operator's own:

    camera.picture-black   this reason at devices of this kind
    picture-black          this reason
    camera.picture-*       reasons that begin so, at devices of this kind (up to the first dash: a family)
    picture-*              reasons that begin so
    camera.down            this state of devices of this kind
    down                   this state

What takes many devices at once is worse than each of them: `critical_from` devices make it critical, two make it at least major when
they are down.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.domain.devices import DeviceKind
from gateway.domain.health import HealthState


class Severity(StrEnum):
    """Worst first; they compare by `rank`, never as strings."""

    CRITICAL = "critical"
    MAJOR = "major"
    MINOR = "minor"
    WARNING = "warning"

    @property
    def rank(self) -> int:
        """0 is the worst."""
        return _RANKS[self]

    def at_least(self, other: "Severity") -> bool:
        """Whether this is as bad as `other`, or worse."""
        return self.rank <= other.rank


_RANKS: Mapping[Severity, int] = {severity: rank for rank, severity in enumerate(Severity)}

DEFAULTS: Mapping[str, Severity] = {
    "switch.down": Severity.CRITICAL,  # takes a pole with it
    "recorder.down": Severity.CRITICAL,  # what is not recorded now can never be had again
    "down": Severity.MAJOR,
    "degraded": Severity.MINOR,
    "unknown": Severity.WARNING,
    "wrong-device": Severity.MAJOR,  # what it shows may be another place
    "recording-*": Severity.MAJOR,
    "disk-*": Severity.MAJOR,
    "picture-*": Severity.MAJOR,  # it answers, and nobody can use what it shows
    "media-*": Severity.MAJOR,
    "picture-late": Severity.WARNING,  # it comes
    "no-stream": Severity.MAJOR,
    "no-picture": Severity.MAJOR,
    "signal-loss": Severity.MAJOR,
    "storage-failure": Severity.MAJOR,
    "resolution-differs": Severity.WARNING,
    "frame-rate-differs": Severity.WARNING,
    "no-events": Severity.WARNING,
    "flapping": Severity.MINOR,
    "clock-drift": Severity.WARNING,
    "wrong-time-zone": Severity.WARNING,
    "impossible-time": Severity.WARNING,
    "slow": Severity.WARNING,
    "sensor-*": Severity.MINOR,
}
CRITICAL_FROM = 10


@dataclass(frozen=True, slots=True)
class Severities:
    """The table of one gateway: `corrections` over `DEFAULTS`. Raises ValueError for a key that can fit nothing."""

    corrections: Mapping[str, Severity] = field(default_factory=dict)
    critical_from: int = CRITICAL_FROM

    def __post_init__(self) -> None:
        for key in self.corrections:
            check_key(key)

    def of(self, kind: DeviceKind | None, state: HealthState, reason: str = "", *, members: int = 1) -> Severity:
        """How bad it is when a device of `kind` (None: a common cause) is in `state` for `reason`, with `members` devices in all."""
        alone = self._alone(kind, state, reason)
        if members >= self.critical_from:
            return Severity.CRITICAL
        if members >= 2 and state is HealthState.DOWN:
            return worst(alone, Severity.MAJOR)
        return alone

    def _alone(self, kind: DeviceKind | None, state: HealthState, reason: str) -> Severity:
        for key in _keys(kind, state, reason):
            for table in (self.corrections, DEFAULTS):
                if key in table:
                    return table[key]
        return Severity.WARNING  # UP, of which nobody asks how bad it is


def severity_of(
    kind: DeviceKind | None,
    state: HealthState,
    reason: str = "",
    *,
    members: int = 1,
    table: Severities = Severities(),
) -> Severity:
    """`Severities.of`, by the defaults when no `table` is given."""
    return table.of(kind, state, reason, members=members)


def worst(*severities: Severity) -> Severity:
    """The worst of one or more."""
    return min(severities, key=lambda severity: severity.rank)


_KEY = re.compile(rf"(?:(?:{'|'.join(DeviceKind)})\.)?(?:[a-z0-9]+(?:-[a-z0-9]+)*|[a-z0-9]+-\*)")


def check_key(key: str) -> str:
    """`key`, when it can stand in the table. Raises ValueError."""
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key!r} is neither a reason, a family of reasons (picture-*) nor a state, with or without a kind (camera.down)")
    return key


def _keys(kind: DeviceKind | None, state: HealthState, reason: str) -> Iterator[str]:
    """What could name it, the most particular first. A device that is down is down, whichever way its silence was noticed:
    reasons of DOWN count only where the table names them."""
    family, dash, _ = reason.partition("-")
    names = [reason] if reason else []
    names += [f"{family}-*"] if dash else []
    for name in (*names, state.value):
        if kind is not None:
            yield f"{kind.value}.{name}"
        yield name
