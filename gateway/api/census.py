"""How many devices are in which state."""

from collections import Counter
from collections.abc import Iterable

from gateway.domain.devices import DeviceId
from gateway.domain.health import Board, HealthState

States = dict[HealthState, int]


def states_of(board: Board, devices: Iterable[DeviceId]) -> States:
    """How many of `devices` are in each state, all states named."""
    counts = Counter(board[device].state for device in devices)
    return {state: counts[state] for state in HealthState}
