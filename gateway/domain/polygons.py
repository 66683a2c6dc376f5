"""Whether an outline on the map is one: closed, simple, of an area, and not endless."""

from collections.abc import Sequence
from itertools import pairwise

from gateway.domain.devices import Position, Ring


def sound_ring(points: Sequence[Position], *, corners: int) -> Ring:
    """`points` as a ring of at most `corners` points, the last equal to the first. ValueError, saying why, for anything else:

    one that is open, passes a point twice, touches or crosses itself, or has no area. A ring does not cross the 180th meridian.
    """
    if len(points) > corners:
        raise ValueError(f"a ring of more than {corners} points, at most {corners} are taken")
    if len(points) < 4:
        raise ValueError("a ring needs four points or more, the last equal to the first")
    ring = tuple(points)
    if ring[0] != ring[-1]:
        raise ValueError("the ring is not closed: its last point differs from the first")
    if len(set(ring)) < len(ring) - 1:
        raise ValueError("the ring passes the same point twice")
    if _crosses_itself(ring):
        raise ValueError("the ring crosses itself, or has no area")
    return ring


def _crosses_itself(ring: Ring) -> bool:
    """Do two edges that are not neighbours touch? Quadratic, over edges ordered by longitude so that far ones are not compared."""
    edges = [(min(a.longitude, b.longitude), max(a.longitude, b.longitude), index, a, b) for index, (a, b) in enumerate(pairwise(ring))]
    edges.sort(key=lambda edge: edge[0])
    last = len(edges) - 1
    for number, (_, east, index, a, b) in enumerate(edges):
        for west, _, other, c, d in edges[number + 1 :]:
            if west > east:
                break
            neighbours = abs(index - other) in (1, last)
            if not neighbours and _touch(a, b, c, d):
                return True
    return not any(_side(ring[0], ring[1], point) for point in ring)


def _touch(a: Position, b: Position, c: Position, d: Position) -> bool:
    return _overlap(a.latitude, b.latitude, c.latitude, d.latitude) and _part(a, b, c, d) and _part(c, d, a, b)


def _overlap(a: float, b: float, c: float, d: float) -> bool:
    return min(a, b) <= max(c, d) and min(c, d) <= max(a, b)


def _part(a: Position, b: Position, c: Position, d: Position) -> bool:
    """Whether the line through `a` and `b` parts `c` from `d`, or holds one of them."""
    return _side(a, b, c) * _side(a, b, d) <= 0


def _side(a: Position, b: Position, point: Position) -> int:
    """On which side of the line from `a` to `b` a point lies: -1, 0 or 1."""
    turn = (b.longitude - a.longitude) * (point.latitude - a.latitude) - (b.latitude - a.latitude) * (point.longitude - a.longitude)
    return (turn > 0) - (turn < 0)
