"""A pan-tilt-zoom head with a true position: each move is a velocity that holds until a moment."""

from dataclasses import dataclass, field
from typing import Final

PAN_TILT: Final = (-1.0, 1.0)
ZOOM: Final = (0.0, 1.0)
FULL_SPEED: Final = 0.25
"""Units of the generic position spaces a second at speed 1."""
PRESETS: Final = 255

Place = tuple[float, float, float]
"""Pan, tilt, zoom in the generic position spaces."""


@dataclass(slots=True)
class Axis:
    """One motor: at `value` at the moment `since`, going at `velocity` (units a second) until `until`."""

    low: float
    high: float
    value: float = 0.0
    since: float = 0.0
    velocity: float = 0.0
    until: float = 0.0

    def at(self, now: float) -> float:
        moved = self.value + self.velocity * max(min(now, self.until) - self.since, 0.0)
        return min(max(moved, self.low), self.high)

    def moving(self, now: float) -> bool:
        return self.velocity != 0 and now < self.until and self.low < self.at(now + 1e-6) < self.high

    def go(self, speed: float, now: float, *, for_s: float) -> None:
        """Move at `speed` (-1 to 1 of full speed) for some seconds or to the stop."""
        self.value, self.since = self.at(now), now
        self.velocity, self.until = min(max(speed, -1.0), 1.0) * FULL_SPEED, now + for_s

    def go_to(self, target: float, now: float) -> None:
        """Move to a place at full speed."""
        way = min(max(target, self.low), self.high) - self.at(now)
        self.go((way > 0) - (way < 0), now, for_s=abs(way) / FULL_SPEED)


@dataclass(slots=True)
class Head:
    """Two motors and a lens, with its home and the places that it remembers by token."""

    pan: Axis = field(default_factory=lambda: Axis(*PAN_TILT))
    tilt: Axis = field(default_factory=lambda: Axis(*PAN_TILT))
    zoom: Axis = field(default_factory=lambda: Axis(*ZOOM))
    focus: Axis = field(default_factory=lambda: Axis(*ZOOM, value=0.5))
    home: Place = (0.0, 0.0, 0.0)
    presets: dict[str, tuple[str, Place]] = field(
        default_factory=lambda: {
            "1": ("路口全景", (0.0, -0.2, 0.0)),
            "2": ("人行横道", (0.4, -0.3, 0.3)),
            "3": ("早市摊点", (-0.6, -0.1, 0.5)),
        }
    )

    def place(self, now: float) -> Place:
        return self.pan.at(now), self.tilt.at(now), self.zoom.at(now)

    def go_to(self, place: Place, now: float) -> None:
        for axis, target in zip((self.pan, self.tilt, self.zoom), place, strict=True):
            axis.go_to(target, now)

    def halt(self, now: float) -> None:
        for axis in (self.pan, self.tilt, self.zoom, self.focus):
            axis.go(0.0, now, for_s=0.0)
