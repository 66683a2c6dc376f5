"""From a place and a time, as people tell them, to cameras and what is wanted of each: points with a radius, and routes that take time.

On a route the window moves: it is when somebody was at the route's beginning, and a camera further along is wanted from when the fastest
would have come into its sight until the slowest would have left it.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from gateway.domain.broadcast import Circle
from gateway.domain.city import City
from gateway.domain.devices import Device, DeviceId, DeviceKind, Position
from gateway.domain.footage.periods import Period
from gateway.domain.geo import distance_m

if TYPE_CHECKING:
    from gateway.domain.footage.asking import Filing

_EARTH_M_PER_DEGREE: Final = 111_195.08  # of the sphere of `distance_m`
_KMH: Final = 1 / 3.6
_Metres = tuple[float, float]
"""East and north of some place."""


class Direction(StrEnum):
    """Which way somebody went along a route, from its first point or from its last; `either` when nobody knows."""

    FORWARD = "forward"
    BACKWARD = "backward"
    EITHER = "either"


@dataclass(frozen=True, slots=True)
class Route:
    """A way along `points`, taken at `slowest_kmh` to `fastest_kmh`; a camera at most `corridor_m` from it sees it."""

    points: tuple[Position, ...]
    direction: Direction
    slowest_kmh: float
    fastest_kmh: float
    corridor_m: float

    @property
    def length_m(self) -> float:
        return sum(distance_m(a, b) for a, b in pairwise(self.points))


def sighted(filing: "Filing", city: City, *, now: datetime) -> dict[DeviceId, Period]:
    """The cameras that `filing` means, in order, each with what is wanted of it; none for which that has yet to come.

    Cameras that are named, by themselves or by group, cell or circle, are wanted in the window with its tolerance; those along the route
    when somebody may have passed there. What both ways wants of a camera is one stretch.
    """
    wanted: dict[DeviceId, Period] = {}
    for camera in (*_named(filing, city), *(_within(filing.circle, city) if filing.circle else ())):
        wanted.setdefault(camera, filing.widened)
    if filing.route is not None:
        for camera, window in passed(filing.route, filing.widened, city.of_kind(DeviceKind.CAMERA), city):
            known = wanted.get(camera, window)
            wanted[camera] = Period(min(known.start, window.start), max(known.end, window.end))
    end = max(now, filing.window.end)  # what is asked for beyond now by itself is somebody else's to refuse
    left_out = set(filing.left_out)
    return {
        camera: Period(window.start, min(window.end, end))
        for camera, window in wanted.items()
        if camera not in left_out and window.start < end
    }


def passed(route: Route, window: Period, cameras: Iterable[Device], city: City) -> Iterator[tuple[DeviceId, Period]]:
    """The cameras along `route`, in its order, with when somebody passed who was at its beginning in `window`."""
    found: list[tuple[float, DeviceId, Period]] = []
    plane = _Plane(route.points[0])
    line, length = [plane.metres(point) for point in route.points], route.length_m
    places = [(plane.metres(place), camera.id) for camera in cameras if (place := city.place_of(camera)) is not None]
    for camera, stretch in _seen(line, places, route.corridor_m).items():
        ways = [stretch] if route.direction is not Direction.BACKWARD else []
        ways += [(length - stretch[1], length - stretch[0])] if route.direction is not Direction.FORWARD else []
        first, last = max(0.0, min(way[0] for way in ways)), max(way[1] for way in ways)
        when = Period(window.start + _takes(first, route.fastest_kmh), window.end + _takes(last, route.slowest_kmh))
        found.append((ways[0][0], camera, when))
    yield from ((name, when) for _, name, when in sorted(found))


def _named(filing: "Filing", city: City) -> Iterator[DeviceId]:
    yield from (camera for camera in filing.cameras if camera in city.devices)
    grouped = (device for group in filing.groups for device in city.in_group(group))
    placed = (device for cell in filing.cells for device in city.in_cell(cell))
    yield from (device.id for device in (*grouped, *placed) if device.kind is DeviceKind.CAMERA)


def _within(circle: Circle, city: City) -> list[DeviceId]:
    """The cameras in `circle`, the nearest first."""
    near = [
        (metres, camera.id)
        for camera in city.of_kind(DeviceKind.CAMERA)
        if (position := city.place_of(camera)) is not None and (metres := distance_m(circle.centre, position)) <= circle.radius_m
    ]
    return [camera for _, camera in sorted(near)]


class _Plane:
    """The neighbourhood of `origin` as if it were flat: good to a thousandth over some tens of kilometres."""

    def __init__(self, origin: Position) -> None:
        self._origin = origin
        self._east_m = _EARTH_M_PER_DEGREE * math.cos(math.radians(origin.latitude))

    def metres(self, place: Position) -> _Metres:
        """How far east and north of the origin."""
        east = (place.longitude - self._origin.longitude) * self._east_m
        return east, (place.latitude - self._origin.latitude) * _EARTH_M_PER_DEGREE


def _seen(line: Sequence[_Metres], cameras: Iterable[tuple[_Metres, DeviceId]], reach_m: float) -> dict[DeviceId, tuple[float, float]]:
    """From where to where along `line`, in metres from its beginning, it is at most `reach_m` from each camera that it ever is so near."""
    eastward = sorted(cameras)
    found: dict[DeviceId, tuple[float, float]] = {}
    before = 0.0
    for a, b in pairwise(line):
        for place, camera in _around(a, b, eastward, reach_m + 1):
            if (stretch := _beside(a, b, place, reach_m)) is not None:
                first, last = found.get(camera, (math.inf, -math.inf))
                found[camera] = min(first, before + stretch[0]), max(last, before + stretch[1])
        before += math.dist(a, b)
    return found


def _around(a: _Metres, b: _Metres, eastward: Sequence[tuple[_Metres, DeviceId]], reach_m: float) -> Iterator[tuple[_Metres, DeviceId]]:
    """The cameras, which are in order from west to east, in the box around the way from `a` to `b`: few of a city's."""
    (west, east), (south, north) = sorted((a[0], b[0])), sorted((a[1], b[1]))
    first = bisect_left(eastward, west - reach_m, key=lambda one: one[0][0])
    last = bisect_right(eastward, east + reach_m, lo=first, key=lambda one: one[0][0])
    yield from (one for one in eastward[first:last] if south - reach_m <= one[0][1] <= north + reach_m)


def _beside(a: _Metres, b: _Metres, camera: _Metres, reach_m: float) -> tuple[float, float] | None:
    """From where to where on the straight way from `a` to `b` it is at most `reach_m` from `camera`; None where it never is."""
    length = math.dist(a, b)
    if not length:
        return None
    along = ((camera[0] - a[0]) * (b[0] - a[0]) + (camera[1] - a[1]) * (b[1] - a[1])) / length
    aside = math.hypot(camera[0] - a[0] - along * (b[0] - a[0]) / length, camera[1] - a[1] - along * (b[1] - a[1]) / length)
    if aside > reach_m:
        return None
    half = math.sqrt(reach_m**2 - aside**2)
    start, end = max(0.0, along - half), min(length, along + half)
    return (start, end) if start <= end else None


def _takes(metres: float, kmh: float) -> timedelta:
    return timedelta(seconds=metres / (kmh * _KMH))
