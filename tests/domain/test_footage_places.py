"""From places and routes to cameras and windows: nobody who went that way at any allowed speed passes a camera unseen."""

import random
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.broadcast import Circle
from gateway.domain.city import City
from gateway.domain.devices import CameraGroup, Device, DeviceId, DeviceKind, GroupId, Position
from gateway.domain.footage import Direction, Filing, Period, Route, passed, sighted
from gateway.domain.geo import distance_m, moved

START = datetime(2026, 1, 1, 8, tzinfo=UTC)
WINDOW = Period(START, START + timedelta(minutes=5))
LATER = START + timedelta(days=1)
HOME = Position(36.45, 115.98)


def city_of(*places: Position) -> City:
    made = City()
    made.replace(
        devices=[Device(DeviceId(f"C-{n}"), DeviceKind.CAMERA, "c", "127.0.0.1", position=place) for n, place in enumerate(places)],
        groups=[CameraGroup(GroupId("G"), "g", position=HOME)],
    )
    return made


def at(east_m: float, north_m: float) -> Position:
    return moved(moved(HOME, bearing_deg=90, metres=east_m), bearing_deg=0, metres=north_m)


def filing(**changes: object) -> Filing:
    return replace(Filing(requester="x", window=WINDOW), **changes)


STREET = Route((at(0, 0), at(1_000, 0)), Direction.FORWARD, 3.6, 36.0, 50.0)


def test_a_circle_means_the_cameras_in_it_the_nearest_first() -> None:
    city = city_of(at(90, 0), at(10, 0), at(0, 101))
    assert list(sighted(filing(circle=Circle(HOME, 100)), city, now=LATER)) == ["C-1", "C-0"]
    assert list(sighted(filing(circle=Circle(HOME, 100), left_out=(DeviceId("C-1"),)), city, now=LATER)) == ["C-0"]


def test_a_camera_without_a_position_hangs_where_its_group_does() -> None:
    city = City()
    camera = Device(DeviceId("C"), DeviceKind.CAMERA, "c", "127.0.0.1", group=GroupId("G"))
    city.replace(devices=[camera], groups=[CameraGroup(GroupId("G"), "g", position=HOME)])
    assert list(sighted(filing(circle=Circle(HOME, 5)), city, now=LATER)) == ["C"]


def test_a_tolerance_widens_both_ends_and_nothing_is_wanted_that_has_yet_to_come() -> None:
    wanted = filing(cameras=(DeviceId("C-0"),), tolerance=timedelta(minutes=10))
    found = sighted(wanted, city_of(HOME), now=WINDOW.end + timedelta(minutes=1))
    assert found == {"C-0": Period(START - timedelta(minutes=10), WINDOW.end + timedelta(minutes=1))}


def test_along_a_route_the_window_moves_and_widens() -> None:
    found = sighted(filing(route=STREET), city_of(at(0, 0), at(500, 0), at(1_000, 0), at(500, 60)), now=LATER)
    assert list(found) == ["C-0", "C-1", "C-2"]
    assert found["C-0"].start == START
    middle = found[DeviceId("C-1")]
    assert (middle.start - START).total_seconds() == pytest.approx(45, abs=0.5)  # 450 m at 10 m/s
    assert (middle.end - WINDOW.end).total_seconds() == pytest.approx(550, abs=1)  # 550 m at 1 m/s


def test_a_long_winding_way_through_a_large_city_is_told_in_a_moment() -> None:
    """The processor's time of this thread: the loop waits for it."""
    north, east = 0.01 / 1_112, 0.01 / 895  # degrees of a metre
    chance = random.Random(19)
    city = city_of(
        *(
            Position(HOME.latitude + chance.randrange(40_000) * north, HOME.longitude + chance.randrange(40_000) * east)
            for _ in range(10_000)
        )
    )
    way = [Position(HOME.latitude + (n % 2) * 50 * north, HOME.longitude + n * 200 * east) for n in range(200)]
    cameras, route = city.of_kind(DeviceKind.CAMERA), replace(STREET, points=tuple(way), corridor_m=500.0)
    before = time.thread_time()
    assert len(list(passed(route, WINDOW, cameras, city))) > 10
    assert time.thread_time() - before < 0.4


def test_the_other_way_round_and_either_way() -> None:
    city = city_of(at(0, 0), at(1_000, 0))
    back = sighted(filing(route=replace(STREET, direction=Direction.BACKWARD)), city, now=LATER)
    assert back["C-1"].start == START
    assert back["C-0"].start > START + timedelta(seconds=90)
    either = sighted(filing(route=replace(STREET, direction=Direction.EITHER)), city, now=LATER)
    assert either["C-0"].start == either["C-1"].start == START
    assert either["C-0"].end == back["C-0"].end


def test_who_has_not_come_there_yet_is_not_looked_for() -> None:
    city = city_of(at(0, 0), at(1_000, 0))
    assert list(sighted(filing(route=STREET), city, now=WINDOW.end)) == ["C-0", "C-1"]
    slow = replace(STREET, fastest_kmh=3.6)
    assert list(sighted(filing(route=slow), city, now=WINDOW.end)) == ["C-0"]


metres = st.floats(-800, 800)
ways = st.lists(st.tuples(metres, metres), min_size=2, max_size=5, unique=True)


@given(
    ways, metres, metres, st.floats(0, 1), st.floats(1, 20), st.floats(1, 3), st.floats(0, 1), st.sampled_from(Direction), st.integers(0, 1)
)
def test_nobody_who_went_that_way_passes_unseen(
    corners: list[tuple[float, float]],
    east: float,
    north: float,
    departs: float,
    slowest: float,
    times: float,
    speed: float,
    direction: Direction,
    turn: int,
) -> None:
    """A walk at a steady allowed speed from either end that is allowed: whenever it is near the camera, the camera's window holds."""
    route = Route(tuple(at(*corner) for corner in corners), direction, slowest, slowest * times, 60)
    city, camera = city_of(at(east, north)), at(east, north)
    window = sighted(filing(route=route), city, now=LATER).get(DeviceId("C-0"))
    backward = direction is Direction.BACKWARD or (direction is Direction.EITHER and turn == 1)
    points = route.points[::-1] if backward else route.points
    metres_a_second = (slowest + speed * (route.fastest_kmh - slowest)) / 3.6
    now = START + departs * WINDOW.length
    for a, b in pairwise(points):
        length = distance_m(a, b)
        for step in range(21):
            part = step / 20
            there = Position(a.latitude + part * (b.latitude - a.latitude), a.longitude + part * (b.longitude - a.longitude))
            if distance_m(there, camera) < 58:  # the flat plane errs by less
                when = now + timedelta(seconds=part * length / metres_a_second)
                assert window is not None
                assert window.start - timedelta(seconds=2) <= when <= window.end + timedelta(seconds=2)
        now += timedelta(seconds=length / metres_a_second)
