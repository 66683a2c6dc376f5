"""When each check of a device complains, written down as it turns: what time sync and picture quality are reckoned from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from gateway.domain.devices import DeviceId
from gateway.domain.health import CheckResult, Outcome
from gateway.domain.policy import REACH
from gateway.storage.complaints import Complaint
from gateway.storage.tx import Tx


@dataclass(frozen=True, slots=True)
class Turn:
    """What one visit changed of what is written down: checks made for the first time, complaints that rose (with why) and that cleared."""

    device: DeviceId
    at: datetime
    begun: frozenset[str]
    risen: Mapping[str, str]
    cleared: frozenset[str]

    async def write(self, tx: Tx) -> None:
        await tx.complaints.begin(self.device, sorted(self.begun), self.at)
        for check in sorted(self.cleared):
            await tx.complaints.clear(self.device, check, self.at)
        for check, reason in sorted(self.risen.items()):
            await tx.complaints.rise(self.device, check, reason, self.at)


@dataclass(slots=True)
class ComplaintLog:
    """What the store knows of complaints: a check complains from its first warning or failure to its next ok.

    Whether a device answers is no complaint (`reach` that fails is in the transitions), and a check that could not be made says nothing.
    """

    _open: dict[DeviceId, Mapping[str, str]] = field(default_factory=dict)
    _checked: dict[DeviceId, frozenset[str]] = field(default_factory=dict)
    _sets: dict[frozenset[str], frozenset[str]] = field(default_factory=dict)  # thousands of devices share a few

    def restore(self, open_: Iterable[Complaint], checked: Mapping[DeviceId, frozenset[str]]) -> None:
        """Take up what the last run has written."""
        for complaint in open_:
            self._open[complaint.device] = {**self._open.get(complaint.device, {}), complaint.check: complaint.reason}
        self._checked = {device: self._shared(checks) for device, checks in checked.items()}

    def turn(self, device: DeviceId, results: Sequence[CheckResult], at: datetime) -> Turn | None:
        """What `results` change; None when nothing. `keep` it once it is stored."""
        open_ = self._open.get(device, {})
        said = {result.check: result for result in results if _says(result)}
        begun = frozenset(said) - self._checked.get(device, frozenset()) - {REACH}
        risen = {check: one.reason for check, one in said.items() if one.outcome is not Outcome.OK and open_.get(check) != one.reason}
        cleared = frozenset(check for check, one in said.items() if one.outcome is Outcome.OK and check in open_)
        return Turn(device, at, begun, risen, cleared) if begun or risen or cleared else None

    def keep(self, turn: Turn) -> None:
        """`turn` is stored."""
        if turn.begun:
            self._checked[turn.device] = self._shared(self._checked.get(turn.device, frozenset()) | turn.begun)
        left = {check: why for check, why in self._open.get(turn.device, {}).items() if check not in turn.cleared} | dict(turn.risen)
        if left:
            self._open[turn.device] = left
        else:
            self._open.pop(turn.device, None)

    def drop(self, device: DeviceId) -> None:
        """The device is gone; `tx.complaints.end_all` says so in the store."""
        self._open.pop(device, None)

    def _shared(self, checks: frozenset[str]) -> frozenset[str]:
        return self._sets.setdefault(checks, checks)


def _says(result: CheckResult) -> bool:
    if result.outcome is Outcome.UNKNOWN:
        return False
    return result.check != REACH or result.outcome is not Outcome.FAIL
