"""Coordinates against published reference points, and the geometry that finds a device's cell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.devices import Position
from gateway.domain.geo import (
    CoordinateSystem,
    bd09_to_gcj02,
    bounds,
    distance_m,
    gcj02_to_bd09,
    gcj02_to_wgs84,
    in_polygon,
    to_wgs84,
    wgs84_to_gcj02,
)

# WGS-84 → GCJ-02, from the test suites of eviltransform (Shanghai, Shenzhen, Beijing) and coordtransform (the fourth).
GCJ_POINTS = [
    ((31.1774276, 121.5272106), (31.17530398364597, 121.531541859215)),
    ((22.543847, 113.912316), (22.540796131694766, 113.9171764808363)),
    ((39.911954, 116.377817), (39.91334545536069, 116.38404722455657)),
    ((39.915, 116.404), (39.91640428150164, 116.41024449916938)),
]
# WGS-84 → BD-09, from the test suites of coordtransform's ports; BD-09 → WGS-84 from gcoord's, whose inverse is approximate.
BD_POINTS = [
    ((39.915, 116.404), (39.922699552216216, 116.41662724378733)),
    ((44.99804071, 122.99395597), (45.0063690918959, 123.00636516028885)),
    ((44.99171540, 122.98762210), (45.0, 123.0)),
]

in_china = st.builds(Position, latitude=st.floats(18.2, 53.5), longitude=st.floats(73.6, 134.7))


@pytest.mark.parametrize(("wgs", "gcj"), GCJ_POINTS)
def test_gcj02_meets_the_published_reference_points(wgs: tuple[float, float], gcj: tuple[float, float]) -> None:
    assert distance_m(wgs84_to_gcj02(Position(*wgs)), Position(*gcj)) < 0.1
    assert distance_m(gcj02_to_wgs84(Position(*gcj)), Position(*wgs)) < 0.1


@pytest.mark.parametrize(("wgs", "bd"), BD_POINTS)
def test_bd09_meets_the_published_reference_points(wgs: tuple[float, float], bd: tuple[float, float]) -> None:
    assert distance_m(gcj02_to_bd09(wgs84_to_gcj02(Position(*wgs))), Position(*bd)) < 0.2
    assert distance_m(to_wgs84(Position(*bd), CoordinateSystem.BD09), Position(*wgs)) < 0.2


def test_bd09_on_gcj02_meets_the_published_reference_point() -> None:
    assert distance_m(gcj02_to_bd09(Position(39.915, 116.404)), Position(39.92133699351021, 116.41036949371029)) < 0.001


@given(in_china)
def test_there_and_back_loses_less_than_a_centimetre(place: Position) -> None:
    assert distance_m(gcj02_to_wgs84(wgs84_to_gcj02(place)), place) < 0.01
    assert distance_m(bd09_to_gcj02(gcj02_to_bd09(place)), place) < 0.01
    assert 0 < distance_m(wgs84_to_gcj02(place), place) < 1_500


@pytest.mark.parametrize("place", [Position(48.85, 2.35), Position(0, 0), Position(-33.8, 151.2)])
def test_outside_china_gcj02_is_wgs84(place: Position) -> None:
    assert wgs84_to_gcj02(place) == place
    assert gcj02_to_wgs84(place) == place


@pytest.mark.parametrize("system", [CoordinateSystem.WGS84, CoordinateSystem.CGCS2000])
def test_wgs84_and_cgcs2000_pass_through(system: CoordinateSystem) -> None:
    assert to_wgs84(Position(36.45, 115.98), system) == Position(36.45, 115.98)


def test_shanghai_to_beijing_is_as_far_as_published() -> None:
    metres = distance_m(Position(31.17530398364597, 121.531541859215), Position(39.91334545536069, 116.38404722455657))
    assert metres == pytest.approx(1_078_164, rel=0.005)


def _square(south: float, west: float, size: float) -> tuple[Position, ...]:
    north, east = south + size, west + size
    return (Position(south, west), Position(south, east), Position(north, east), Position(north, west), Position(south, west))


def test_a_hole_is_not_inside() -> None:
    rings = (_square(0, 0, 10), _square(4, 4, 2))
    assert in_polygon(Position(2, 2), rings)
    assert not in_polygon(Position(5, 5), rings)
    assert not in_polygon(Position(11, 5), rings)
    assert not in_polygon(Position(1, 1), ())


def test_a_concave_outline_is_respected() -> None:
    horseshoe = tuple(Position(*corner) for corner in [(0, 0), (0, 9), (9, 9), (9, 6), (3, 6), (3, 3), (9, 3), (9, 0), (0, 0)])
    assert in_polygon(Position(8, 1), (horseshoe,))
    assert not in_polygon(Position(8, 4.5), (horseshoe,))


@given(st.floats(0, 3, exclude_max=True), st.floats(0, 3, exclude_max=True))
def test_cells_that_touch_share_no_point_and_leave_none_out(latitude: float, longitude: float) -> None:
    tiles = [(_square(row, column, 1),) for row in range(3) for column in range(3)]
    assert sum(in_polygon(Position(latitude, longitude), tile) for tile in tiles) == 1


def test_bounds_hold_what_they_bound() -> None:
    box = bounds([Position(1, 5), Position(3, 2)])
    assert (box.south, box.west, box.north, box.east) == (1, 2, 3, 5)
    with pytest.raises(ValueError, match="no places"):
        bounds([])
