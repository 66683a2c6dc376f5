"""Bindings: proposed from distances as exactly as by hand, and never at the cost of what a person decided."""

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.bindings import Binding, BindingKey, BindingState, Eye, Proposals, Sight, propose, seen_from
from gateway.domain.devices import DeviceId, Position
from gateway.domain.geo import around, bearing_deg, distance_m, moved

HERE = Position(36.45, 115.98)
AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
places = st.builds(Position, latitude=st.floats(36.44, 36.46), longitude=st.floats(115.97, 115.99))
anywhere = st.builds(Position, latitude=st.floats(-80, 80), longitude=st.floats(-170, 170))
bearings = st.floats(0, 360, exclude_max=True)


def named(kind: str, number: int) -> DeviceId:
    return DeviceId(f"{kind}-{number}")


# -- the arithmetic of directions -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("north", "east", "bearing"), [(1, 0, 0), (0, 1, 90), (-1, 0, 180), (0, -1, 270), (1, 1, 45)])
def test_bearings_are_clockwise_from_north(north: int, east: int, bearing: float) -> None:
    there = Position(north * 0.001, east * 0.001)
    assert bearing_deg(Position(0, 0), there) == pytest.approx(bearing, abs=0.01)


@given(anywhere, bearings, st.floats(1, 2000))
def test_whoever_moves_some_metres_in_a_direction_is_there(start: Position, bearing: float, metres: float) -> None:
    there = moved(start, bearing_deg=bearing, metres=metres)
    assert distance_m(start, there) == pytest.approx(metres, rel=1e-4, abs=0.01)
    turn = abs(bearing_deg(start, there) - bearing)
    assert min(turn, 360 - turn) < 0.5
    assert 0 <= bearing_deg(start, there) < 360
    assert around(start, metres).holds(there)


# -- proposals --------------------------------------------------------------------------------------------------------


@given(st.lists(places, max_size=8), st.lists(places, max_size=8), st.floats(1, 600))
def test_proposed_is_just_what_a_look_at_every_pair_finds(cameras: list[Position], horns: list[Position], reach_m: float) -> None:
    eyes = [Eye(named("cam", n), "", place) for n, place in enumerate(cameras)]
    speakers = {named("spk", n): place for n, place in enumerate(horns)}
    by_hand = {
        BindingKey(eye.camera, "", speaker)
        for eye in eyes
        for speaker, place in speakers.items()
        if eye.place is not None and distance_m(eye.place, place) <= reach_m
    }
    found = propose(eyes, speakers, {}, reach_m=reach_m)
    assert {binding.key for binding in found.put} == by_hand
    assert all(binding.state is BindingState.PROPOSED and not binding.decided_by for binding in found.put)
    assert not propose(eyes, speakers, {binding.key: binding for binding in found.put}, reach_m=reach_m)


states = st.sampled_from(list(BindingState))


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), states), max_size=12),
    st.lists(places, min_size=4, max_size=4),
    st.lists(st.none() | places, min_size=4, max_size=4),
    st.floats(1, 600),
)
def test_what_a_person_decided_survives_every_move(
    rows: list[tuple[int, int, BindingState]], horns: list[Position], cameras: list[Position | None], reach_m: float
) -> None:
    known = {}
    for camera, speaker, state in rows:
        binding = Binding(named("cam", camera), named("spk", speaker), reach_m=50)
        known[binding.key] = binding if state is BindingState.PROPOSED else binding.decided(state, by="user:li", at=AT)
    found = propose(
        [Eye(named("cam", n), "", place) for n, place in enumerate(cameras)],
        {named("spk", n): place for n, place in enumerate(horns)},
        known,
        reach_m=reach_m,
    )
    assert all(known[key].state is BindingState.PROPOSED for key in found.gone)
    assert not {binding.key for binding in found.put} & known.keys()


def test_a_proposal_goes_when_its_loudspeaker_is_moved_away_and_stays_within_its_own_reach() -> None:
    camera, speaker = DeviceId("cam"), DeviceId("spk")
    far = moved(HERE, bearing_deg=90, metres=150)
    near, wide = Binding(camera, speaker, reach_m=100), Binding(camera, speaker, reach_m=200)
    eyes = [Eye(camera, "", HERE)]
    assert propose(eyes, {speaker: far}, {near.key: near}, reach_m=100) == Proposals(gone=(near.key,))
    assert not propose(eyes, {speaker: far}, {wide.key: wide}, reach_m=100)
    assert not propose([Eye(camera, "", None)], {speaker: far}, {near.key: near}, reach_m=100)


def test_the_direction_decides_where_it_is_known() -> None:
    camera, ahead, behind = DeviceId("cam"), DeviceId("ahead"), DeviceId("behind")
    looks_east = seen_from(HERE, Sight(camera, bearing_deg=90, distance_m=60))
    speakers = {ahead: moved(HERE, bearing_deg=90, metres=120), behind: moved(HERE, bearing_deg=270, metres=60)}
    found = propose([Eye(camera, "", looks_east)], speakers, {}, reach_m=100)
    assert [binding.speaker for binding in found.put] == [ahead]
    assert seen_from(HERE, None) == HERE


def test_a_preset_of_which_nobody_says_where_it_looks_keeps_its_proposals() -> None:
    binding = Binding(DeviceId("cam"), DeviceId("spk"), preset="p1", reach_m=10)
    far = {DeviceId("spk"): moved(HERE, bearing_deg=0, metres=500)}
    assert not propose([Eye(DeviceId("cam"), "", HERE)], far, {binding.key: binding}, reach_m=100)


def test_a_decision_needs_a_side() -> None:
    with pytest.raises(ValueError, match="confirms or rejects"):
        Binding(DeviceId("cam"), DeviceId("spk")).decided(BindingState.PROPOSED, by="user:li", at=AT)


def test_a_city_of_1707_cameras_and_110_loudspeakers_is_proposed_at_once() -> None:
    eyes = [Eye(named("cam", n), "", Position(36.40 + n % 41 * 0.002, 115.90 + n // 41 * 0.003)) for n in range(1707)]
    speakers = {named("spk", n): Position(36.40 + n % 11 * 0.008, 115.90 + n // 11 * 0.012) for n in range(110)}
    began = time.thread_time()
    found = propose(eyes, speakers, {}, reach_m=150)
    assert time.thread_time() - began < 1.0  # of CPU; 0.1 s as a rule
    assert len(found.put) >= 110


def test_a_name_that_is_too_long_for_the_record_is_cut() -> None:
    decided = Binding(DeviceId("cam"), DeviceId("spk")).decided(BindingState.CONFIRMED, by="user:" + "li" * 200, at=AT)
    assert len(decided.decided_by) == 200
