"""Which outlines are taken: closed, simple, bounded ones."""

import time
from math import cos, pi, sin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.devices import Position
from gateway.domain.geo import in_polygon
from gateway.domain.polygons import sound_ring


def ring(*points: tuple[float, float]) -> list[Position]:
    return [Position(latitude, longitude) for latitude, longitude in points]


SQUARE = ring((0, 0), (0, 1), (1, 1), (1, 0), (0, 0))


def star(corners: int, *, radii: tuple[float, ...] = (1.0, 2.0)) -> list[Position]:
    """A star-shaped outline: simple, whatever its radii."""
    points = [
        Position(
            36 + radii[n % len(radii)] * sin(2 * pi * n / corners) / 100, 116 + radii[n % len(radii)] * cos(2 * pi * n / corners) / 100
        )
        for n in range(corners)
    ]
    return [*points, points[0]]


def test_a_simple_closed_ring_is_taken_as_it_is() -> None:
    assert sound_ring(SQUARE, corners=10) == tuple(SQUARE)


@pytest.mark.parametrize(
    ("points", "why"),
    [
        (SQUARE[:-1], "not closed"),
        (ring((0, 0), (1, 1), (0, 0)), "four points"),
        (ring((0, 0), (1, 1), (0, 1), (1, 0), (0, 0)), "crosses itself"),
        (ring((0, 0), (0, 1), (0, 2), (0, 0)), "no area"),
        (ring((0, 0), (0, 2), (2, 2), (0, 2), (0, 0)), "same point twice"),
        (ring((0, 0), (0, 2), (1, 2), (0, 1), (1, 0), (0, 0)), "crosses itself"),  # touches its own edge
        (star(20), "at most 10"),
    ],
)
def test_what_is_no_outline_is_refused_and_told_why(points: list[Position], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        sound_ring(points, corners=10)


@given(st.integers(3, 40), st.lists(st.floats(0.1, 5), min_size=1, max_size=7))
def test_every_star_is_an_outline_and_holds_its_middle(corners: int, radii: list[float]) -> None:
    outline = sound_ring(star(corners, radii=tuple(radii)), corners=100)
    if corners > 4 or len(radii) == 1:
        assert in_polygon(Position(36, 116), [outline])


@given(st.integers(5, 40), st.data())
def test_a_ring_with_two_corners_swapped_is_refused_or_still_simple(corners: int, data: st.DataObject) -> None:
    points = star(corners, radii=(1.0,))[:-1]
    one, other = sorted(data.draw(st.lists(st.integers(0, corners - 1), min_size=2, max_size=2, unique=True)))
    points[one], points[other] = points[other], points[one]
    with pytest.raises(ValueError, match="crosses"):  # on a circle, every swap makes two edges cross
        sound_ring([*points, points[0]], corners=100)


def test_the_longest_outline_of_a_target_is_judged_at_once() -> None:
    began = time.thread_time()
    sound_ring(star(200), corners=201)
    assert time.thread_time() - began < 0.25  # of CPU; quadratic in its corners, 0.02 s as a rule
