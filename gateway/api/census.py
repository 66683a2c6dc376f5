"""How many devices are in which state."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.domain.city import City
from gateway.domain.devices import Device, DeviceId, DeviceKind
from gateway.domain.health import Board, HealthState

States = dict[HealthState, int]


@dataclass(frozen=True, slots=True)
class Counted:
    """The whole city counted: states by kind, and the reasons of those that are not up, the most frequent first."""

    kinds: Mapping[DeviceKind, States]
    reasons: Mapping[str, int]


class Census:
    """Counts the whole city, and again only when something has changed: an inventory, a state, a reason."""

    def __init__(self, city: City, board: Board) -> None:
        self._city = city
        self._board = board
        self._counted = Counted({}, {})
        self._devices: Mapping[DeviceId, Device] | None = None
        self._version = -1

    def count(self) -> Counted:
        devices, version = self._city.devices, self._board.version
        if devices is not self._devices or version != self._version:
            self._counted = self._count()
            self._devices, self._version = devices, version
        return self._counted

    def _count(self) -> Counted:
        board = self._board
        kinds: dict[DeviceKind, Counter[HealthState]] = {kind: Counter() for kind in DeviceKind}
        reasons: Counter[str] = Counter()
        for device in self._city.devices.values():
            standing = board[device.id]
            kinds[device.kind][standing.state] += 1
            if standing.reason and standing.state is not HealthState.UP:
                reasons[standing.reason] += 1
        return Counted(
            {kind: {state: counts[state] for state in HealthState} for kind, counts in kinds.items()}, dict(reasons.most_common())
        )


def states_of(board: Board, devices: Iterable[DeviceId]) -> States:
    """How many of `devices` are in each state, all states named."""
    counts = Counter(board[device].state for device in devices)
    return {state: counts[state] for state in HealthState}
