"""One simulated device as its SNMP agent knows it: uptime, ports, sensors, all computed from its identity and the time."""

import math
import zlib
from dataclasses import dataclass
from typing import Final

from simulators.city import City, Parameters, SimDevice
from simulators.snmp.history import History, is_dead
from simulators.state import State
from simulators.wiring import POWERED_KINDS, ports_of, set_port

LONGEST_UPTIME_S: Final = 60 * 86_400
TICKS_WRAP_S: Final = 2**32 / 100
"""TimeTicks begin anew after 497 days."""
UPLINK_BPS: Final = 1_000_000_000
CAMERA_BPS: Final = 160_000
"""What our own cameras send, roughly."""


@dataclass(frozen=True, slots=True)
class Managed:
    """A device with what its values are made of."""

    device: SimDevice
    city: City
    state: State
    history: History
    ports: tuple[SimDevice | None, ...]
    """What hangs on each port of a switch, the first at index 0; the last port is its uplink."""

    def number(self, name: str, below: int) -> int:
        """A number that is this device's own, always the same, from 0 up to `below`."""
        return zlib.crc32(f"{self.device.id}/{name}".encode()) % below

    def quirk(self, switch: str) -> Parameters | None:
        return self.state.quirk(self.device, switch)

    # -- since when -----------------------------------------------------------------------------------------------------

    @property
    def uptime_s(self) -> float:
        """Seconds since it was switched on: some time before the simulation began, unless it has started anew."""
        now, wraps, started = self.state.now(), self.quirk("uptime-wraps"), self.history.started(self.device)
        if started is not None:
            return max(0.0, now - started)
        if wraps is not None:
            return max(0.0, TICKS_WRAP_S - float(wraps["seconds"]) + now - self.history.quirk_since(self.device, "uptime-wraps"))
        return max(0.0, now - self.history.epoch) + self.number("boot", LONGEST_UPTIME_S)

    @property
    def agent_s(self) -> float:
        """Seconds since its SNMP agent started: since it was switched on, by the standard."""
        restarts = self.quirk("agent-restarts")
        return self.uptime_s if restarts is None else self.uptime_s % float(restarts["seconds"])

    @property
    def boots(self) -> int:
        """snmpEngineBoots (RFC 3414 §2.2)."""
        first, agent = 1 + self.number("boots", 90), self.quirk("agent-restarts")
        if self.quirk("engine-boots-stuck") is not None:
            return first
        return first + self.history.restarts[self.device.id] + (0 if agent is None else int(self.uptime_s // float(agent["seconds"])))

    @property
    def engine_id(self) -> bytes:
        """snmpEngineID, empty for a device without; another one after each restart with the quirk that says so."""
        own = bytes.fromhex(self.device.snmp.engine_id) if self.device.snmp else b""
        restarts = self.history.restarts[self.device.id] if own and self.quirk("engine-changes") is not None else 0
        return own + restarts.to_bytes(2, "big") if restarts else own

    def temperature(self, name: str = "board") -> float:
        """°C: warmer by day, each board a little different."""
        return 36 + self.number(name, 12) + 5 * math.sin(2 * math.pi * (self.state.now() % 86_400) / 86_400 - 2)

    # -- a switch's ports, counted from 1 -----------------------------------------------------------------------------

    def is_enabled(self, port: int) -> bool:
        """ifAdminStatus."""
        return (self.device.id, port) not in self.state.wires.ports_down

    def feeds(self, port: int) -> bool:
        """pethPsePortAdminEnable."""
        return (self.device.id, port) not in self.state.wires.unpowered

    def enable(self, port: int, *, up: bool | None = None, powered: bool | None = None) -> None:
        """What a write of these two does to the city."""
        set_port(self.city, self.state, self.device, port, up=up, powered=powered)

    def is_up(self, port: int) -> bool:
        """The uplink is; another port is while what hangs on it has power."""
        behind = self.ports[port - 1]
        return self.is_enabled(port) and (port == len(self.ports) or (behind is not None and not is_dead(self.state, behind)))

    def is_powered(self, port: int) -> bool:
        """Whether the port gives power over Ethernet: to cameras and loudspeakers."""
        behind = self.ports[port - 1]
        return behind is not None and behind.kind in POWERED_KINDS and self.feeds(port) and self.is_up(port)

    def detection(self, port: int) -> int:
        """pethPsePortDetectionStatus (RFC 3621): 1 disabled, 2 searching, 3 delivering power."""
        return 1 if not self.feeds(port) or not self.is_enabled(port) else 3 if self.is_powered(port) else 2

    def last_change_s(self, port: int) -> float:
        """ifLastChange: the switch's uptime when the port came into its state, 0 when that was before it counted."""
        link = self.history.link(self.device, port)
        return 0.0 if link is None else max(0.0, self.agent_s - (self.state.now() - link.since))

    def name_behind(self, port: int) -> str:
        behind = self.ports[port - 1]
        return behind.id if behind else "uplink" if port == len(self.ports) else ""

    def octets(self, port: int, direction: str) -> int:
        """What went through a port since the switch started; pictures come in, little goes out. It stands still while the port is down."""
        rate = CAMERA_BPS // 8 if direction == "in" else 900
        share = len(self.ports) if port == len(self.ports) else 1
        return int(self._up_s(port) * share * (rate + self.number(f"{direction}{port}", rate // 4)))

    def errors(self, port: int) -> int:
        """Few ports have any; those that do get one each few hours."""
        return int(self._up_s(port) / 9000) if self.number(f"errors{port}", 25) == 0 else 0

    def power_w(self) -> int:
        return sum(5 + self.number(f"watt{port}", 7) for port in range(1, len(self.ports) + 1) if self.is_powered(port))

    def _up_s(self, port: int) -> float:
        """For how many seconds the port was up since the switch started."""
        if self.ports[port - 1] is None and port != len(self.ports):
            return 0.0
        link = self.history.link(self.device, port)
        if link is None:
            return self.uptime_s
        return max(0.0, self.uptime_s - link.down_s - (0.0 if link.up else self.state.now() - link.since))

    # -- a loudspeaker ------------------------------------------------------------------------------------------------

    def volume(self) -> int:
        return self.state.volume(self.device)

    def is_playing(self) -> bool:
        """Whether a talk or a clip is to be heard."""
        heard = self.state.heard.get(self.device.id)
        return heard is not None and heard.is_playing(int(self.state.now() * 1e9))


def managed(city: City, device: SimDevice, state: State, history: History) -> Managed:
    """The device with its ports, when it is a switch."""
    return Managed(device, city, state, history, ports_of(city, device) if device.kind == "switch" else ())
