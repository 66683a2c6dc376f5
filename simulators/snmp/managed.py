"""One simulated device as its SNMP agent knows it: uptime, ports, sensors, all computed from its identity and the time."""

import math
import zlib
from dataclasses import dataclass
from typing import Final

from simulators.city import City, SimDevice
from simulators.faults import PROTOCOLS, Answer
from simulators.state import State
from simulators.wiring import ports_of

LONGEST_UPTIME_S: Final = 60 * 86_400
UPLINK_BPS: Final = 1_000_000_000
CAMERA_BPS: Final = 160_000
"""What our own cameras send, roughly."""


@dataclass(frozen=True, slots=True)
class Managed:
    """A device with what its values are made of. `epoch`: when the simulation began."""

    device: SimDevice
    state: State
    ports: tuple[SimDevice | None, ...]
    """What hangs on each port of a switch, the first at index 0; the last port is its uplink."""
    epoch: float

    def number(self, name: str, below: int) -> int:
        """A number that is this device's own, always the same, from 0 up to `below`."""
        return zlib.crc32(f"{self.device.id}/{name}".encode()) % below

    @property
    def uptime_s(self) -> float:
        """Seconds since it was switched on: some time before the simulation began."""
        return max(0.0, self.state.now() - self.epoch) + self.number("boot", LONGEST_UPTIME_S)

    @property
    def boots(self) -> int:
        """snmpEngineBoots."""
        return 1 + self.number("boots", 90)

    def temperature(self, name: str = "board") -> float:
        """°C: warmer by day, each board a little different."""
        return 36 + self.number(name, 12) + 5 * math.sin(2 * math.pi * (self.state.now() % 86_400) / 86_400 - 2)

    # -- a switch's ports, counted from 1 -----------------------------------------------------------------------------

    def is_up(self, port: int) -> bool:
        """The uplink is; another port is while what hangs on it has power."""
        behind = self.ports[port - 1]
        return port == len(self.ports) or (behind is not None and not self._dead(behind))

    def is_powered(self, port: int) -> bool:
        """Whether the port gives power over Ethernet: to cameras and loudspeakers."""
        behind = self.ports[port - 1]
        return behind is not None and behind.kind in {"camera", "speaker"} and self.is_up(port)

    def name_behind(self, port: int) -> str:
        behind = self.ports[port - 1]
        return behind.id if behind else "uplink" if port == len(self.ports) else ""

    def octets(self, port: int, direction: str) -> int:
        """What went through a port since it was switched on; pictures come in, little goes out."""
        if not self.is_up(port):
            return 0
        rate = CAMERA_BPS // 8 if direction == "in" else 900
        share = len(self.ports) if port == len(self.ports) else 1
        return int(self.uptime_s * share * (rate + self.number(f"{direction}{port}", rate // 4)))

    def errors(self, port: int) -> int:
        """Few ports have any; those that do get one each few hours."""
        return int(self.uptime_s / 9000) if self.is_up(port) and self.number(f"errors{port}", 25) == 0 else 0

    def power_w(self) -> int:
        return sum(5 + self.number(f"watt{port}", 7) for port in range(1, len(self.ports) + 1) if self.is_powered(port))

    def _dead(self, behind: SimDevice) -> bool:
        """A device that is silent or refuses on every protocol has lost its power or its cable."""
        fault = self.state.fault(behind)
        return fault.answer in {Answer.SILENT, Answer.REFUSE} and set(fault.protocols) == set(PROTOCOLS)

    # -- a loudspeaker ------------------------------------------------------------------------------------------------

    def volume(self) -> int:
        set_to = self.state.cabinet(self.device).volume
        return 60 + self.number("volume", 5) * 10 if set_to is None else set_to

    def is_playing(self) -> bool:
        """Whether a talk or a clip is to be heard."""
        heard = self.state.heard.get(self.device.id)
        return heard is not None and heard.is_playing(int(self.state.now() * 1e9))


def managed(city: City, device: SimDevice, state: State, *, epoch: float) -> Managed:
    """The device with its ports, when it is a switch."""
    return Managed(device, state, ports_of(city, device) if device.kind == "switch" else (), epoch)
