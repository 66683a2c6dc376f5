"""Routing: never a loudspeaker outside what was named, never one to a view that nobody confirmed, and an explanation that says the same."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.broadcast.routing import Router, placed_in
from gateway.domain.bindings import Binding, BindingState, Sight
from gateway.domain.broadcast import Circle, Priority, Targets, View
from gateway.domain.circumstances import Circumstance, Circumstances
from gateway.domain.city import City
from gateway.domain.devices import (
    CameraGroup,
    CellCode,
    Device,
    DeviceId,
    DeviceKind,
    GridCell,
    GroupId,
    Position,
    Zone,
    ZoneId,
)
from gateway.domain.geo import distance_m, in_ring, moved
from gateway.domain.health import Board, HealthState, Standing
from gateway.domain.maintenance import WindowId
from gateway.errors import Conflict, Forbidden, GatewayError, InvalidInput

HERE = Position(36.45, 115.98)
AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
CAM, OTHER = DeviceId("cam"), DeviceId("other")
RING = tuple(Position(HERE.latitude + y * 0.001, HERE.longitude + x * 0.001) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)))


def horn(name: str, metres: float | None = None, *, bearing: float = 0, **more: Any) -> Device:
    place = None if metres is None else moved(HERE, bearing_deg=bearing, metres=metres)
    return Device(DeviceId(name), DeviceKind.SPEAKER, name, "127.0.0.1", position=place, **more)


def bound(speaker: str, state: str = "confirmed", *, preset: str = "", reach_m: float = 100, camera: DeviceId = CAM) -> Binding:
    binding = Binding(camera, DeviceId(speaker), preset, reach_m)
    return binding if state == "proposed" else binding.decided(BindingState(state), by="user:li", at=AT)


@dataclass
class Street:
    """A city with two cameras at one place, and what goes on in it."""

    city: City
    board: Board = field(default_factory=Board)
    circumstances: Circumstances = field(default_factory=Circumstances)
    running: dict[str, Priority] = field(default_factory=dict)
    hushed: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, horns: Iterable[Device], bindings: Iterable[Binding] = (), **more: Any) -> "Street":
        city = City()
        cameras = [Device(name, DeviceKind.CAMERA, name, "127.0.0.2", position=HERE) for name in (CAM, OTHER)]
        city.replace(devices=[*cameras, *horns], bindings=bindings, **more)
        return cls(city)

    @property
    def router(self) -> Router:
        return Router(self.city, self.board, self.circumstances, self.running.get)

    def is_hushed(self, name: str) -> str:
        return self.hushed.get(name, "")

    def down(self, *names: str) -> None:
        for name in names:
            self.board.put(Standing(DeviceId(name), HealthState.DOWN))

    def mute(self, *names: str) -> None:
        self.circumstances.replace({DeviceId(name): Circumstance(muted=WindowId("M-1")) for name in names})

    def sees(self, preset: str = "", **more: Any) -> tuple[str, tuple[str, ...]]:
        """Who speaks to what the camera sees, and who else would."""
        route = self.router.route(Targets(views=(View(CAM, preset),)), cap=20, hushed=self.is_hushed, **more)
        assert route.speakers == (route.views[0].speaker,)
        return route.views[0].speaker, route.views[0].spares

    def refused(self, targets: Targets, **more: Any) -> GatewayError:
        with pytest.raises(GatewayError) as refused:
            self.router.route(targets, **({"cap": 20} | more))
        return refused.value


VIEW = Targets(views=(View(CAM),))


# -- views ------------------------------------------------------------------------------------------------------------


def test_the_nearest_confirmed_one_speaks_and_the_others_are_held_ready() -> None:
    street = Street.of([horn("far", 80), horn("near", 20), horn("mid", 50), horn("unbound", 1)], map(bound, ("far", "near", "mid")))
    assert street.sees() == ("near", ("mid", "far"))


def test_the_next_healthy_one_speaks_when_the_nearest_cannot() -> None:
    names = ("a", "b", "c", "d", "e", "f")
    street = Street.of([horn(name, 10 * n, enabled=name != "a") for n, name in enumerate(names)], map(bound, names))
    street.down("b")
    street.mute("c")
    street.running["d"] = Priority.EMERGENCY
    street.hushed["e"] = "quiet-hours"
    assert street.sees() == ("f", ("e",))
    reasons = {choice.speaker: choice.reason for choice in street.router.beside(View(CAM), hushed=street.is_hushed)}
    assert reasons == {**{"a": "disabled", "b": "speaker-down", "c": "speaker-muted", "d": "speaker-busy", "e": "quiet-hours", "f": ""}}


def test_nobody_speaks_who_was_only_proposed_rejected_or_is_out_of_reach_and_the_error_names_each() -> None:
    street = Street.of(
        [horn("p", 10), horn("r", 20), horn("o", 130), horn("n", 5), horn("far", 5000)],
        [bound("p", "proposed"), bound("r", "rejected"), bound("o", reach_m=100)],
    )
    error = street.refused(VIEW)
    assert isinstance(error, Conflict)
    assert error.code == "no-speaker-reaches"
    assert "n (5 m, not-bound), p (10 m, only-proposed), r (20 m, binding-rejected), o (130 m, out-of-reach)." in str(error)


def test_a_camera_with_nothing_near_is_told_so() -> None:
    error = Street.of([horn("far", 5000), horn("nowhere")]).refused(VIEW)
    assert str(error) == "No loudspeaker reaches what view cam shows: none is near."


def test_a_cameras_own_loudspeaker_counts_unless_somebody_said_no() -> None:
    own = horn("own", audio_output_of=CAM)
    assert Street.of([own, horn("near", 5)], [bound("near", "proposed")]).sees() == ("own", ())
    assert Street.of([own], [bound("own", "proposed")]).sees() == ("own", ())
    assert Street.of([own], [bound("own", "rejected")]).refused(VIEW).code == "no-speaker-reaches"
    assert Street.of([own]).refused(Targets(views=(View(OTHER),))).code == "no-speaker-reaches"


def test_what_is_said_of_a_preset_goes_before_what_is_said_of_the_camera() -> None:
    bindings = [bound("a"), bound("b"), bound("a", "rejected", preset="p"), bound("c", preset="p")]
    street = Street.of([horn("a", 10), horn("b", 20), horn("c", 30)], bindings)
    assert street.sees() == ("a", ("b",))
    assert street.sees("p") == ("b", ("c",))
    assert street.sees("unknown preset") == ("a", ("b",))


def test_a_mere_proposal_for_a_preset_takes_nothing_from_what_was_decided_for_the_camera() -> None:
    street = Street.of([horn("a", 10), horn("b", 20)], [bound("a"), bound("a", "proposed", preset="p"), bound("b", "proposed", preset="p")])
    assert street.sees("p") == ("a", ())
    assert [choice.reason for choice in street.router.beside(View(CAM, "p"))] == ["", "only-proposed"]


def test_distance_and_reach_are_from_what_is_seen_not_from_the_camera() -> None:
    bindings, horns = [bound("east"), bound("west")], [horn("east", 150, bearing=90), horn("west", 20, bearing=270)]
    sights = [Sight(CAM, "p", bearing_deg=90, distance_m=100)]
    street = Street.of(horns, bindings, sights=sights)
    assert street.sees() == ("west", ())
    assert street.sees("p") == ("east", ())


def test_one_of_which_nobody_knows_where_it_hangs_speaks_last() -> None:
    assert Street.of([horn("nowhere"), horn("near", 90)], map(bound, ("nowhere", "near"))).sees() == ("near", ("nowhere",))


def test_one_that_is_free_goes_before_a_nearer_one_that_would_wait() -> None:
    street = Street.of([horn("near", 10), horn("far", 60)], map(bound, ("near", "far")))
    street.running["near"] = Priority.NOTICE
    assert street.sees() == ("far", ("near",))
    assert street.sees(priority=Priority.ENFORCEMENT) == ("near", ("far",))
    assert {choice.speaker: choice.reason for choice in street.router.beside(View(CAM))} == {"near": "speaker-busy", "far": ""}
    street.running["far"] = Priority.NOTICE
    assert street.sees() == ("near", ("far",))


def test_where_all_must_be_silent_the_hour_is_what_is_told() -> None:
    street = Street.of([horn("a", 10), horn("b", 20)], map(bound, ("a", "b")))
    street.hushed = {"a": "quiet-hours", "b": "quiet-hours"}
    assert street.sees() == ("a", ("b",))
    assert [choice.reason for choice in street.router.beside(View(CAM), hushed=street.is_hushed)] == ["quiet-hours"] * 2


def test_two_views_may_have_one_voice_and_each_has_its_own_spares() -> None:
    bindings = [bound("a"), bound("b"), bound("a", camera=OTHER), bound("c", camera=OTHER)]
    street = Street.of([horn("a", 10), horn("b", 20), horn("c", 30)], bindings)
    route = street.router.route(Targets(views=(View(CAM), View(OTHER))), cap=1)
    assert route.speakers == ("a",)
    assert [one.spares for one in route.views] == [("b",), ("c",)]


# -- maintenance ------------------------------------------------------------------------------------------------------


PLACES = {
    "zone": Targets(zones=(ZoneId("z"),)),
    "cell": Targets(cells=(CellCode("c"),)),
    "group": Targets(groups=(GroupId("g"),)),
    "district": Targets(districts=("Dongchangfu",)),
    "polygon": Targets(polygon=RING),
    "circle": Targets(circle=Circle(HERE, 60)),
}


@pytest.fixture
def worked_at() -> Street:
    """Two loudspeakers at one place; somebody works at the first."""
    horns = [horn(name, 10, group=GroupId("g"), cell=CellCode("c")) for name in ("a", "b")]
    places = {"groups": [CameraGroup(GroupId("g"), "g", district="Dongchangfu")], "cells": [GridCell(CellCode("c"), "c", (RING,))]}
    street = Street.of(horns, zones=[Zone(ZoneId("z"), "z", frozenset(map(DeviceId, ("a", "b"))))], **places)
    street.mute("a")
    return street


@pytest.mark.parametrize("place", PLACES)
def test_an_order_to_a_place_passes_over_a_loudspeaker_in_maintenance_and_says_so(worked_at: Street, place: str) -> None:
    route = worked_at.router.route(PLACES[place], priority=Priority.TALK, cap=20)
    assert (route.speakers, route.left_out) == (("b",), {"a": "speaker-muted"})
    told = worked_at.router.explain(PLACES[place], priority=Priority.TALK, cap=20)
    assert {choice.speaker: choice.reason for choice in told.choices} == {"a": "speaker-muted", "b": ""}


@pytest.mark.parametrize("place", PLACES)
def test_danger_to_life_is_told_beside_a_ladder_too(worked_at: Street, place: str) -> None:
    route = worked_at.router.route(PLACES[place], priority=Priority.EMERGENCY, cap=20)
    assert (route.speakers, route.left_out) == (("a", "b"), {})


def test_a_loudspeaker_in_maintenance_speaks_when_it_is_named_itself(worked_at: Street) -> None:
    named = Targets(speakers=(DeviceId("a"),), zones=(ZoneId("z"),))
    assert worked_at.router.route(named, cap=20).speakers == ("a", "b")
    assert [choice.reason for choice in worked_at.router.explain(named, cap=20).choices] == ["", "", ""]


def test_a_place_in_which_all_loudspeakers_are_in_maintenance_cannot_be_spoken_to(worked_at: Street) -> None:
    worked_at.mute("a", "b")
    refused = worked_at.refused(PLACES["zone"])
    assert (refused.code, "named singly" in refused.hint) == ("no-healthy-speaker", True)


def test_an_emergency_to_a_view_takes_one_in_maintenance_last_and_nothing_else_takes_it() -> None:
    street = Street.of([horn("near", 10), horn("far", 50)], [bound("near"), bound("far")])
    street.mute("near")
    assert street.sees() == ("far", ())
    assert street.sees(priority=Priority.EMERGENCY) == ("far", ("near",))
    street.down("far")
    assert street.refused(VIEW, priority=Priority.TALK).code == "no-speaker-reaches"
    assert street.sees(priority=Priority.EMERGENCY) == ("near", ())
    assert [choice.reason for choice in street.router.beside(VIEW.views[0], priority=Priority.EMERGENCY)] == ["", "speaker-down"]


# -- places -----------------------------------------------------------------------------------------------------------


def test_a_circle_a_polygon_and_a_district_mean_the_loudspeakers_that_hang_there() -> None:
    group = CameraGroup(GroupId("g"), "", moved(HERE, bearing_deg=0, metres=30), district="东昌府区")
    street = Street.of([horn("in", 50), horn("on", 105, bearing=90), horn("out", 250), horn("grouped", group=group.id)], groups=[group])
    router = street.router
    assert router.route(Targets(circle=Circle(HERE, 60)), cap=9).speakers == ("grouped", "in")
    assert router.route(Targets(polygon=RING), cap=9).speakers == ("grouped", "in")
    assert router.route(Targets(districts=("东昌府区",)), cap=9).speakers == ("grouped",)
    assert street.refused(Targets(circle=Circle(moved(HERE, bearing_deg=180, metres=900), 60))).code == "no-speaker"


def test_the_corners_of_the_box_around_a_place_do_not_belong_to_it() -> None:
    router = Street.of([horn("corner", 110, bearing=45), horn("in", 20, bearing=225)]).router
    assert router.route(Targets(circle=Circle(HERE, 100)), cap=9).speakers == ("in",)
    half = (RING[0], RING[1], RING[3])  # without the corner in the north-east
    assert router.route(Targets(polygon=half), cap=9).speakers == ("in",)


def test_what_does_not_exist_is_named_with_its_place() -> None:
    error = Street.of([horn("a", 1)]).refused(Targets(districts=("x",), views=(View(CAM), View(DeviceId("a")), View(DeviceId("z")))))
    assert isinstance(error, InvalidInput)
    assert [(fault.where, fault.why) for fault in error.faults] == [
        ("/targets/districts/0", "no such district"),
        ("/targets/views/1", "a speaker, not a camera"),
        ("/targets/views/2", "no such device"),
    ]


def test_an_area_of_two_corners_is_told_to_need_three_however_it_is_closed() -> None:
    street = Street.of([horn("a", 1)])
    for corners in (RING[:1], RING[:2], (RING[0], RING[1], RING[0]), (RING[0],) * 4):
        error = street.refused(Targets(polygon=corners))
        assert isinstance(error, InvalidInput)
        assert [fault.why for fault in error.faults] == ["an area needs three corners or more that differ"]


def test_the_cap_counts_the_voice_of_a_view() -> None:
    street = Street.of([horn("a", 1), horn("b", 2)], [bound("a")])
    both = Targets(speakers=(DeviceId("b"),), views=(View(CAM),))
    assert isinstance(street.refused(both, cap=1), Forbidden)
    assert street.router.route(both, cap=2).speakers == ("a", "b")


def test_one_that_is_named_and_down_is_left_out_and_a_view_takes_another() -> None:
    street = Street.of([horn("a", 1), horn("b", 2)], [bound("a"), bound("b")])
    street.down("a")
    route = street.router.route(Targets(speakers=(DeviceId("a"),), views=(View(CAM),)), cap=9)
    assert (route.speakers, dict(route.left_out)) == (("b",), {"a": "speaker-down"})


# -- whatever the city ------------------------------------------------------------------------------------------------

NAMES = tuple(DeviceId(f"s{n}") for n in range(6))
CELL = GridCell(CellCode("c"), "", (RING,))
GROUPS = [CameraGroup(GroupId("g"), "", HERE, district="d")]


@st.composite
def streets(draw: st.DrawFn) -> Street:
    """Six loudspeakers in all kinds of states, bound in all kinds of ways."""
    horns = [
        horn(
            name,
            draw(st.none() | st.floats(0, 300)),
            bearing=draw(st.floats(0, 359)),
            enabled=draw(st.booleans()),
            group=draw(st.sampled_from([None, GroupId("g")])),
            cell=draw(st.sampled_from([None, CellCode("c")])),
            audio_output_of=draw(st.sampled_from([None, None, CAM])),
        )
        for name in NAMES
    ]
    keys = st.tuples(st.sampled_from([CAM, OTHER]), st.sampled_from(["", "p"]), st.sampled_from(NAMES))
    some = draw(st.dictionaries(keys, st.tuples(st.sampled_from(["confirmed", "proposed", "rejected"]), st.floats(1, 300)), max_size=12))
    bindings = [bound(name, state, preset=preset, reach_m=reach, camera=camera) for (camera, preset, name), (state, reach) in some.items()]
    zones = [Zone(ZoneId("z"), "", draw(st.frozensets(st.sampled_from(NAMES))))]
    sights = draw(st.sampled_from([[], [Sight(CAM, "p", 90, 100)]]))
    street = Street.of(horns, bindings, zones=zones, groups=GROUPS, cells=[CELL], sights=sights)
    street.down(*draw(st.sets(st.sampled_from(NAMES))))
    street.mute(*draw(st.sets(st.sampled_from(NAMES))))
    street.running = draw(st.dictionaries(st.sampled_from(NAMES), st.sampled_from(list(Priority))))
    street.hushed = draw(st.dictionaries(st.sampled_from(NAMES), st.just("quiet-hours")))
    return street


targets = st.builds(
    Targets,
    speakers=st.lists(st.sampled_from(NAMES), max_size=2).map(tuple),
    zones=st.sampled_from([(), (ZoneId("z"),)]),
    cells=st.sampled_from([(), (CellCode("c"),)]),
    groups=st.sampled_from([(), (GroupId("g"),)]),
    districts=st.sampled_from([(), ("d",)]),
    polygon=st.sampled_from([(), RING]),
    circle=st.none() | st.builds(Circle, st.just(HERE), st.floats(1, 200)),
    views=st.lists(st.builds(View, st.sampled_from([CAM, OTHER]), st.sampled_from(["", "p"])), max_size=2).map(tuple),
)
priorities = st.sampled_from(list(Priority))


def _named(wanted: Targets, city: City) -> set[str]:
    """Who hangs where the targets say, by hand."""

    def fits(device: Device) -> bool:
        place = device.position or (HERE if device.group else None)
        return (
            device.id in wanted.speakers
            or (bool(wanted.zones) and device.id in city.zones[ZoneId("z")].speakers)
            or device.cell in wanted.cells
            or device.group in wanted.groups
            or (bool(wanted.districts) and device.group is not None)
            or (place is not None and bool(wanted.polygon) and in_ring(place, RING))
            or (place is not None and wanted.circle is not None and distance_m(HERE, place) <= wanted.circle.radius_m)
        )

    return {device.id for device in city.of_kind(DeviceKind.SPEAKER) if fits(device)}


def _confirmed(view: View, city: City) -> set[str]:
    """Who may speak to a view, by hand."""
    found = {device.id for device in city.of_kind(DeviceKind.SPEAKER) if device.audio_output_of == view.camera}
    for preset in ("", view.preset):
        for binding in city.bindings.values():
            if (binding.camera, binding.preset) == (view.camera, preset):
                if binding.state is BindingState.CONFIRMED:
                    found.add(binding.speaker)
                elif binding.state is BindingState.REJECTED:
                    found.discard(binding.speaker)
    return found


@given(streets(), targets, priorities, st.integers(1, 6))
def test_no_route_leaves_what_was_named_and_no_view_has_an_unconfirmed_voice(
    street: Street, wanted: Targets, priority: Priority, cap: int
) -> None:
    try:
        route = street.router.route(wanted, priority=priority, cap=cap, hushed=street.is_hushed)
    except GatewayError:
        return
    named, seen = _named(wanted, street.city), [_confirmed(view, street.city) for view in wanted.views]
    assert {*route.speakers, *route.left_out} <= named.union(*seen)
    assert set(placed_in(wanted, street.city)) == named
    assert not set(route.speakers) & route.left_out.keys()
    assert len({*route.speakers, *route.left_out}) <= cap
    for one, allowed in zip(route.views, seen, strict=True):
        assert {one.speaker, *one.spares} <= allowed
        assert one.speaker in route.speakers
        assert one.speaker not in one.spares
        for name in (one.speaker, *one.spares):
            assert street.city.devices[name].enabled
            assert street.board[name].state is not HealthState.DOWN
            assert priority is Priority.EMERGENCY or street.circumstances[name].muted is None
            assert street.running.get(name, priority) <= priority
        assert one.speaker not in street.hushed or set(one.spares) <= street.hushed.keys()


@given(streets(), targets, priorities, st.integers(1, 6))
def test_the_explanation_agrees_with_the_route(street: Street, wanted: Targets, priority: Priority, cap: int) -> None:
    told = street.router.explain(wanted, priority=priority, cap=cap, hushed=street.is_hushed)
    try:
        route = street.router.route(wanted, priority=priority, cap=cap, hushed=street.is_hushed)
    except GatewayError as refusal:
        assert told.route is None
        assert told.refusal is not None
        assert (type(told.refusal), told.refusal.code, str(told.refusal)) == (type(refusal), refusal.code, str(refusal))
        return
    assert (told.route, told.refusal) == (route, None)
    chosen = {choice.speaker for choice in told.choices if not choice.reason}
    assert chosen <= set(route.speakers)
    assert set(route.speakers) - chosen <= {one.speaker for one in route.views if one.speaker in street.hushed}
    assert route.left_out.keys() <= {choice.speaker for choice in told.choices if choice.reason}
