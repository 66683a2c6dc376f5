"""What a scenario is: steps on a timeline, played on a stage that knows the city and heals at the end whatever was done."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from simulators.city import City, SimDevice
from simulators.faults import Fault
from simulators.reboot import power_up, reboot
from simulators.state import State
from simulators.wiring import LINE_BACK

T = TypeVar("T")


@dataclass(slots=True)
class Stage:
    """What a scenario acts on. `chance`: of its seed; `scale`: how many are hit, 1 as written; `pace`: its times are multiplied by it."""

    name: str
    city: City
    state: State
    chance: random.Random
    scale: float = 1.0
    pace: float = 1.0
    hit: dict[str, SimDevice] = field(default_factory=dict)

    def some(self, among: Sequence[SimDevice], count: int) -> list[SimDevice]:
        """`count` devices, times the scale, at least one, at most all."""
        return self.chance.sample(list(among), min(len(among), max(1, round(count * self.scale))))

    def ail(self, device: SimDevice, fault: Fault) -> None:
        self.hit[device.id] = device
        self.state.ail(device, fault, cause=self.name, scenario=self.name)

    def cure(self, device: SimDevice) -> None:
        self.state.cure(device, cause=self.name, scenario=self.name)

    def darken(self, devices: Iterable[SimDevice]) -> None:
        """Without power."""
        chosen = list(devices)
        self.hit.update((device.id, device) for device in chosen)
        self.state.darken(chosen, scenario=self.name)

    def power(self, devices: Iterable[SimDevice]) -> None:
        power_up(self.state, devices, self.name)

    def reconnect(self, devices: Iterable[SimDevice]) -> None:
        """Give back the line to devices that had their power all the time."""
        self.state.light(devices, scenario=self.name, detail=LINE_BACK)

    def reboot(self, devices: Iterable[SimDevice], *, dark_s: float) -> None:
        chosen = list(devices)
        self.hit.update((device.id, device) for device in chosen)
        reboot(self.state, chosen, dark_s=dark_s * self.pace, scenario=self.name)

    def heal(self) -> None:
        """Take everything back: power, faults, and clocks that lost their time."""
        self.power(device for device in self.hit.values() if self.state.dark(device))
        for device in self.hit.values():
            self.cure(device)
            self.state.right_clock(device, scenario=self.name)


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happens `at_s` seconds after the start, and what a person is told of it."""

    at_s: float
    says: str
    act: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Scenario:
    """`says`: what happens, in one sentence; `plan`: chooses who is hit and gives the steps; `ends_s`: when everything is healed."""

    name: str
    says: str
    ends_s: float
    plan: Callable[[Stage], Sequence[Step]]
