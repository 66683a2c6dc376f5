"""Places on the map: coordinate systems used in China turned into WGS-84, distances, and points in polygons.

Everything inside the gateway is WGS-84. GCJ-02 is the obfuscated system of Chinese web maps, BD-09 Baidu's own on top of it; both are
inverted here by iteration, to about a centimetre. CGCS2000 (GB 22021) differs from WGS-84 by less than a decimetre in China and passes
through unchanged. Outside China's bounding box GCJ-02 *is* WGS-84.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from gateway.domain.devices import Position, Ring

_KRASOVSKY_A_M = 6_378_245.0
_KRASOVSKY_E2 = 0.00669342162296594323
_EARTH_RADIUS_M = 6_371_008.8
_BD_TURN = math.pi * 3000.0 / 180.0
_BD_LATITUDE_SHIFT = 0.006
_BD_LONGITUDE_SHIFT = 0.0065
_CLOSE_ENOUGH_DEG = 1e-9


class CoordinateSystem(StrEnum):
    """What a file's coordinates mean; the values are how files name them."""

    WGS84 = "WGS-84"
    GCJ02 = "GCJ-02"
    BD09 = "BD-09"
    CGCS2000 = "CGCS2000"


@dataclass(frozen=True, slots=True)
class Box:
    """A bounding box in degrees, edges included."""

    south: float
    west: float
    north: float
    east: float

    def holds(self, place: Position) -> bool:
        return self.south <= place.latitude <= self.north and self.west <= place.longitude <= self.east


_CHINA = Box(south=0.8293, west=72.004, north=55.8271, east=137.8347)


def to_wgs84(place: Position, system: CoordinateSystem) -> Position:
    """`place`, given in `system`, as WGS-84."""
    if system is CoordinateSystem.GCJ02:
        return gcj02_to_wgs84(place)
    if system is CoordinateSystem.BD09:
        return bd09_to_wgs84(place)
    return place


def wgs84_to_gcj02(place: Position) -> Position:
    """What a Chinese web map shows for `place`; up to about 700 m away from it."""
    if not _CHINA.holds(place):
        return place
    d_latitude, d_longitude = _obfuscation(place)
    return Position(place.latitude + d_latitude, place.longitude + d_longitude)


def gcj02_to_wgs84(place: Position) -> Position:
    """The inverse of `wgs84_to_gcj02`, by fixed-point iteration (the shift changes slowly, four turns are enough)."""
    if not _CHINA.holds(place):
        return place
    return _solve(wgs84_to_gcj02, place)


def bd09_to_wgs84(place: Position) -> Position:
    """A place of Baidu's maps as WGS-84."""
    return gcj02_to_wgs84(bd09_to_gcj02(place))


def gcj02_to_bd09(place: Position) -> Position:
    """Baidu's second shift: a small turn and stretch about a fixed point."""
    radius = math.hypot(place.longitude, place.latitude) + 0.00002 * math.sin(place.latitude * _BD_TURN)
    angle = math.atan2(place.latitude, place.longitude) + 0.000003 * math.cos(place.longitude * _BD_TURN)
    return Position(radius * math.sin(angle) + _BD_LATITUDE_SHIFT, radius * math.cos(angle) + _BD_LONGITUDE_SHIFT)


def bd09_to_gcj02(place: Position) -> Position:
    """The inverse of `gcj02_to_bd09`."""
    return _solve(gcj02_to_bd09, place)


def distance_m(a: Position, b: Position) -> float:
    """Great-circle distance in metres on a sphere of the Earth's mean radius (error below 0.5 %)."""
    phi_a, phi_b = math.radians(a.latitude), math.radians(b.latitude)
    half = math.sin((phi_b - phi_a) / 2) ** 2
    half += math.cos(phi_a) * math.cos(phi_b) * math.sin(math.radians(b.longitude - a.longitude) / 2) ** 2
    return 2 * _EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(half)))


def bearing_deg(start: Position, end: Position) -> float:
    """In which direction `end` lies from `start`: degrees clockwise from true north, 0 or more and below 360. 0 for the same place."""
    phi_a, phi_b = math.radians(start.latitude), math.radians(end.latitude)
    turn = math.radians(end.longitude - start.longitude)
    east = math.sin(turn) * math.cos(phi_b)
    north = math.cos(phi_a) * math.sin(phi_b) - math.sin(phi_a) * math.cos(phi_b) * math.cos(turn)
    return math.degrees(math.atan2(east, north)) % 360.0 % 360.0  # a tiny negative angle becomes 360.0 by the first


def moved(start: Position, *, bearing_deg: float, metres: float) -> Position:
    """The place that lies `metres` from `start` in the direction `bearing_deg` (great circle on the sphere of `distance_m`)."""
    phi, way, angle = math.radians(start.latitude), metres / _EARTH_RADIUS_M, math.radians(bearing_deg)
    up = math.asin(math.sin(phi) * math.cos(way) + math.cos(phi) * math.sin(way) * math.cos(angle))
    turn = math.atan2(math.sin(angle) * math.sin(way) * math.cos(phi), math.cos(way) - math.sin(phi) * math.sin(up))
    return Position(math.degrees(up), start.longitude + math.degrees(turn))


def around(centre: Position, metres: float) -> Box:
    """A box that holds every place within `metres` of `centre`, and a little more; not across a pole or the 180th meridian."""
    north = math.degrees(metres / _EARTH_RADIUS_M) * 1.001
    widest = min(89.0, abs(centre.latitude) + north)
    east = north / math.cos(math.radians(widest))
    return Box(centre.latitude - north, centre.longitude - east, centre.latitude + north, centre.longitude + east)


def in_ring(place: Position, ring: Ring) -> bool:
    """Is `place` inside the closed `ring`? Edges are half open, so that of two rings sharing an edge exactly one holds a point on it."""
    inside = False
    x, y = place.longitude, place.latitude
    for a, b in pairwise(ring):
        if (a.latitude > y) != (b.latitude > y):
            crossing = a.longitude + (y - a.latitude) / (b.latitude - a.latitude) * (b.longitude - a.longitude)
            inside ^= x < crossing
    return inside


def in_polygon(place: Position, rings: Sequence[Ring]) -> bool:
    """Is `place` in the outer ring (`rings[0]`) and in none of its holes?"""
    return bool(rings) and in_ring(place, rings[0]) and not any(in_ring(place, hole) for hole in rings[1:])


def bounds(places: Iterable[Position]) -> Box:
    """The smallest box around `places`; ValueError when there are none."""
    known = tuple(places)
    if not known:
        raise ValueError("no places, no bounds")
    latitudes = [place.latitude for place in known]
    longitudes = [place.longitude for place in known]
    return Box(south=min(latitudes), west=min(longitudes), north=max(latitudes), east=max(longitudes))


def _obfuscation(place: Position) -> tuple[float, float]:
    """The shift of GCJ-02 at `place`: (latitude, longitude) in degrees."""
    x, y = place.longitude - 105.0, place.latitude - 35.0
    ripple = 20.0 * math.sin(6.0 * x * math.pi) + 20.0 * math.sin(2.0 * x * math.pi)
    north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * math.sqrt(abs(x))
    north += 2.0 / 3.0 * (ripple + _waves(y, (20.0, 1.0), (40.0, 1 / 3), (160.0, 1 / 12), (320.0, 1 / 30)))
    east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * math.sqrt(abs(x))
    east += 2.0 / 3.0 * (ripple + _waves(x, (20.0, 1.0), (40.0, 1 / 3), (150.0, 1 / 12), (300.0, 1 / 30)))
    phi = math.radians(place.latitude)
    bulge = 1 - _KRASOVSKY_E2 * math.sin(phi) ** 2
    meridian_m = _KRASOVSKY_A_M * (1 - _KRASOVSKY_E2) / (bulge * math.sqrt(bulge))
    parallel_m = _KRASOVSKY_A_M / math.sqrt(bulge) * math.cos(phi)
    return math.degrees(north / meridian_m), math.degrees(east / parallel_m)


def _waves(t: float, *waves: tuple[float, float]) -> float:
    return sum(height * math.sin(t * frequency * math.pi) for height, frequency in waves)


def _solve(forward: Callable[[Position], Position], target: Position) -> Position:
    """The place that `forward` moves to `target`."""
    guess = target
    for _ in range(10):
        seen = forward(guess)
        d_latitude, d_longitude = target.latitude - seen.latitude, target.longitude - seen.longitude
        guess = Position(guess.latitude + d_latitude, guess.longitude + d_longitude)
        if abs(d_latitude) < _CLOSE_ENOUGH_DEG and abs(d_longitude) < _CLOSE_ENOUGH_DEG:
            break
    return guess
