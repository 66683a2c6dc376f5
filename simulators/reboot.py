"""A device that starts anew: silent for some seconds, then without what it held in memory."""

import asyncio
from collections.abc import Iterable
from typing import Final

from simulators.city import SimDevice
from simulators.state import State

DARK_S: Final = 20.0
"""How long a camera takes to come back, roughly."""


def reboot(state: State, devices: Iterable[SimDevice], *, dark_s: float = DARK_S, scenario: str = "") -> None:
    """Let devices start anew, all at once; one that is dark already is left to whoever darkened it."""
    chosen = [device for device in devices if not state.dark(device)]
    state.darken(chosen, scenario=scenario, detail="reboot")
    asyncio.get_running_loop().call_later(dark_s, power_up, state, chosen, scenario)


def power_up(state: State, devices: Iterable[SimDevice], scenario: str = "") -> None:
    """Give devices their power back: they have started anew by then."""
    for device in devices:
        if state.dark(device):
            state.light((device,), scenario=scenario)
            state.rebooted(device, scenario=scenario)
