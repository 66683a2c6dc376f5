"""The pull points of one device: what each still has to tell, and when its lease ends (ONVIF Core §9.2)."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from simulators.city import SimDevice
from simulators.happenings import LASTING, Happening
from simulators.onvif import topics
from simulators.onvif.soap import SoapFault
from simulators.state import State

POINTS: Final = 10
"""How many one device has at a time."""
MESSAGES: Final = 100
"""Kept for one of them; the oldest go first."""


@dataclass(slots=True, eq=False)
class PullPoint:
    """`wants`: which topics it lets through; `ends`: when its lease ends, by the city's clock; `mute`: it tells nothing any more."""

    number: int
    wants: Callable[[str], bool]
    lease_s: float
    ends: float
    renewed: float
    messages: deque[str] = field(default_factory=lambda: deque(maxlen=MESSAGES))
    bell: asyncio.Event = field(default_factory=asyncio.Event)
    mute: bool = False

    def tell(self, message: str) -> None:
        if not self.mute:
            self.messages.append(message)
            self.bell.set()

    async def wait(self, timeout_s: float) -> None:
        """Until there is something to tell, or the time is over."""
        self.bell.clear()
        if not self.messages and timeout_s > 0:
            try:
                async with asyncio.timeout(timeout_s):
                    await self.bell.wait()
            except TimeoutError:
                return


class PullPoints:
    """Made when somebody first subscribes; from then on it hears what happens before its device."""

    def __init__(self, device: SimDevice, state: State) -> None:
        self._device = device
        self._state = state
        self._points: dict[int, PullPoint] = {}
        self._next = 1
        state.happenings(device).listeners.append(self._hear)

    def open(self, wants: Callable[[str], bool], lease_s: float) -> PullPoint:
        """A new one, which starts with the states as they are. Raises SoapFault when all places are taken."""
        few = self._state.quirk(self._device, "few-subscriptions")
        if len(list(self._living())) >= (int(few["slots"]) if few else POINTS):
            raise SoapFault("no free pull point", "wsnt:SubscribeCreationFailedFault", code="Receiver")
        now = self._state.now()
        point = self._points[self._next] = PullPoint(self._next, wants, lease_s, now + lease_s, now)
        self._next += 1
        self.tell_states(point)
        return point

    def find(self, number: int) -> PullPoint | None:
        """The one of that number, None once its lease has ended."""
        return next((point for point in self._living() if point.number == number), None)

    def close(self, point: PullPoint) -> None:
        everybody = self._state.quirk(self._device, "unsubscribe-ends-all") is not None
        for one in list(self._points.values()) if everybody else [point]:
            self._points.pop(one.number, None)
            one.bell.set()

    def tell_states(self, point: PullPoint) -> None:
        """Let it tell all states anew (ONVIF Core §9.6, synchronization point); what never happened is false."""
        known, now = self._state.happenings(self._device).states, self._state.device_time(self._device)
        for kind in LASTING:
            if point.wants(topics.TOPICS[kind].path):
                happening = known.get(kind) or Happening(kind, False, now)
                point.tell(self._message(happening, operation="Initialized"))

    def _living(self) -> Iterator[PullPoint]:
        now = self._state.now()
        for number in [number for number, point in self._points.items() if point.ends <= now]:
            self._points.pop(number).bell.set()
        return iter(tuple(self._points.values()))

    def _hear(self, happening: Happening | None) -> None:
        if happening is None:
            self._start_anew()
        elif happening.on or self._state.quirk(self._device, "never-clears") is None:
            for point in self._living():
                if point.wants(topics.TOPICS[happening.kind].path):
                    point.tell(self._message(happening, operation="Changed" if happening.kind in LASTING else ""))

    def _start_anew(self) -> None:
        lingering = self._state.quirk(self._device, "silent-after-reboot") is not None
        for point in self._points.values():
            point.messages.clear()
            point.mute = lingering
            point.bell.set()
        if not lingering:
            self._points.clear()

    def _message(self, happening: Happening, *, operation: str) -> str:
        turned = self._state.quirk(self._device, "inverted-state") is not None and happening.kind in LASTING
        said = Happening(happening.kind, not happening.on, happening.at) if turned else happening
        return topics.message(said, operation=operation)
