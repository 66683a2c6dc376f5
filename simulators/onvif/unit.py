"""One simulated ONVIF device: its data, its clock, and what it remembers between two requests."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from simulators.cabinet import FACTORY_LEVEL
from simulators.city import City, Parameters, SimDevice
from simulators.digest import Remembered
from simulators.onvif.clip_shelf import ClipShelf
from simulators.onvif.head import Head
from simulators.onvif.pull_points import PullPoints
from simulators.onvif.soap import Call
from simulators.state import State

SEARCHES: Final = 16
"""How many searches one recorder runs at a time."""


@dataclass(slots=True)
class Search:
    """A running search: answers not yet handed out, whether they are recordings or events, and when it is forgotten (device time)."""

    kind: str
    results: Sequence[str]
    keep_alive_s: float
    expires: float
    end_point: float


@dataclass(slots=True)
class Unit:
    """A device with everything that its services need. `services` are set by the site that it belongs to."""

    device: SimDevice
    city: City
    state: State
    services: "tuple[Service, ...]"
    seen: Remembered = field(default_factory=Remembered)
    head: Head = field(default_factory=Head)
    searches: dict[str, Search] = field(default_factory=dict)
    next_search: int = 1
    pull_points: PullPoints | None = None
    clips: ClipShelf | None = None
    kept: dict[str, str] = field(default_factory=dict)
    """What its owner set, by the setting's name; outlives a reboot."""

    def reboot(self) -> None:
        """Forget what lives in memory only; the head stops where it is."""
        self.seen = Remembered()
        self.searches.clear()
        self.head.halt(self.now())

    def now(self) -> float:
        """The device's own clock, in seconds since the epoch."""
        return self.state.device_time(self.device)

    def odd(self) -> bool:
        """Whether it has any quirk: who has none need not be asked for each."""
        return self.state.odd(self.device)

    def quirk(self, switch: str) -> Parameters | None:
        """The parameters of a quirk that it has, None when it has not."""
        return self.state.quirk(self.device, switch)

    def number(self, switch: str, parameter: str) -> float:
        """A parameter of a quirk as a number, 0 without that quirk."""
        parameters = self.quirk(switch)
        return 0.0 if parameters is None else float(parameters[parameter])

    def speaks(self) -> bool:
        """Whether it has an audio output: a loudspeaker, or a camera with one."""
        return self.horn() is not None

    def horn(self) -> SimDevice | None:
        """The loudspeaker that its audio output is: itself, or the one that hangs on the camera."""
        return self.device if self.device.audio else self.city.audio_output(self.device.id)

    def level(self) -> int:
        """How loud its audio output is set, from 0 to 100."""
        horn = self.horn()
        return FACTORY_LEVEL if horn is None else self.state.volume(horn)

    def http_url(self, path: str) -> str:
        return f"http://{self.device.address}:{self.city.http_port}{path}"

    def rtsp_url(self, path: str) -> str:
        return f"rtsp://{self.device.address}:{self.city.rtsp_port}{path}"


Operation = Callable[[Unit, Call], str | Coroutine[Any, Any, str]]
"""Answers a call, at once or later, with what stands inside its Response element; raises SoapFault."""


@dataclass(frozen=True, slots=True)
class Service:
    """One ONVIF service. `paths`: where it is, by vendor, "" for all others; `capabilities`: its Capabilities element."""

    prefix: str
    paths: Mapping[str, str]
    version: tuple[int, int]
    capabilities: Callable[[Unit], str]
    operations: Mapping[str, Operation]
    anonymous: frozenset[str] = frozenset({"GetServiceCapabilities"})
    """Operations that need no login (access class PRE_AUTH, ONVIF Core §5.9.4.3)."""

    def url(self, unit: Unit) -> str:
        return unit.http_url(self.paths.get(unit.device.vendor, self.paths[""]))
