"""The city's index: every lookup agrees with a plain search, and a replaced city shows nothing of the old one."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.bindings import Binding, Sight, SightKey
from gateway.domain.city import City
from gateway.domain.devices import CameraGroup, CellCode, Channel, Device, DeviceId, DeviceKind, GridCell, GroupId, Position, Zone, ZoneId
from gateway.domain.geo import in_polygon


def device(name: str, kind: DeviceKind = DeviceKind.CAMERA, **fields: object) -> Device:
    return replace(Device(DeviceId(name), kind, name, "127.0.0.1"), **fields)


def square(code: str, south: float, west: float, size: float = 0.001) -> GridCell:
    north, east = south + size, west + size
    ring = (Position(south, west), Position(south, east), Position(north, east), Position(north, west), Position(south, west))
    return GridCell(CellCode(code), code, (ring,))


def city(*devices: Device, cells: list[GridCell] | None = None) -> City:
    made = City()
    made.replace(devices=devices, cells=cells or [])
    return made


def test_lookups_by_kind_group_and_cell_are_ordered_by_id() -> None:
    here = {"group": GroupId("G1"), "cell": CellCode("C1")}
    made = city(device("b", **here), device("a", **here), device("s", DeviceKind.SPEAKER, group=GroupId("G1")))
    assert [found.id for found in made.of_kind(DeviceKind.CAMERA)] == ["a", "b"]
    assert [found.id for found in made.in_group(GroupId("G1"))] == ["a", "b", "s"]
    assert [found.id for found in made.in_cell(CellCode("C1"))] == ["a", "b"]


def test_the_unknown_has_empty_answers() -> None:
    made = City()
    assert made.of_kind(DeviceKind.SWITCH) == ()
    assert made.in_group(GroupId("no")) == ()
    assert made.recorder_of(DeviceId("no")) is None
    assert made.uplink_chain(DeviceId("no")) == ()
    assert made.cell_at(Position(0, 0)) is None


def test_a_cameras_recorder_is_found_and_a_disabled_one_only_when_there_is_no_other() -> None:
    off = device("nvr-a", DeviceKind.RECORDER, channels=(Channel(1, DeviceId("cam"), "t1"),), enabled=False)
    on = device("nvr-b", DeviceKind.RECORDER, channels=(Channel(4, DeviceId("cam"), "t4"),))
    assert city(off, on).recorder_of(DeviceId("cam")) == (on, on.channels[0])
    assert city(off).recorder_of(DeviceId("cam")) == (off, off.channels[0])


def test_the_uplink_chain_goes_from_near_to_far_and_ends_in_a_loop() -> None:
    core = device("core", DeviceKind.SWITCH, uplink=DeviceId("pole"))
    pole = device("pole", DeviceKind.SWITCH, uplink=DeviceId("core"))
    made = city(core, pole, device("cam", uplink=DeviceId("pole")))
    assert [found.id for found in made.uplink_chain(DeviceId("cam"))] == ["pole", "core"]
    assert [found.id for found in made.uplink_chain(DeviceId("pole"))] == ["core"]
    assert [found.id for found in made.behind(DeviceId("pole"))] == ["cam", "core"]


def test_an_uplink_that_is_not_there_ends_the_chain() -> None:
    assert city(device("cam", uplink=DeviceId("gone"))).uplink_chain(DeviceId("cam")) == ()


def test_a_replaced_city_is_seen_by_whoever_holds_it() -> None:
    made = City()
    zone = Zone(ZoneId("z"), "all", frozenset())
    made.replace(devices=[device("old")], groups=[CameraGroup(GroupId("g"), "g")], cells=[square("C1", 30, 120)], zones=[zone])
    assert (list(made.groups), list(made.zones), list(made.cells)) == (["g"], ["z"], ["C1"])
    made.replace(devices=[device("new")])
    assert list(made.devices) == ["new"]
    assert (list(made.groups), list(made.zones), list(made.cells)) == ([], [], [])
    assert made.cell_at(Position(30.0005, 120.0005)) is None


@given(st.floats(29.999, 30.0051), st.floats(119.999, 120.0051))
def test_the_cell_at_a_position_is_what_a_plain_search_finds(latitude: float, longitude: float) -> None:
    place = Position(latitude, longitude)
    plain = [cell.code for cell in CELLS if in_polygon(place, cell.rings)]
    assert TILED.cell_at(place) == min(plain, default=None)


CELLS = [square(f"C{row}{column}", 30 + row * 0.001, 120 + column * 0.001) for row in range(5) for column in range(5)]
CELLS += [square("D-huge", 29.9995, 119.9995, 0.1), square("D-hundred-times-wider", 29, 119, 3)]
TILED = city(cells=CELLS)


def test_a_cell_with_a_hole_does_not_hold_what_stands_in_the_hole() -> None:
    outer, hole = square("C", 30, 120, 0.003), square("hole", 30.001, 120.001)
    made = city(cells=[replace(outer, rings=(*outer.rings, *hole.rings))])
    assert made.cell_at(Position(30.0005, 120.0005)) == "C"
    assert made.cell_at(Position(30.0015, 120.0015)) is None


def test_bindings_are_found_by_camera_and_by_speaker_and_changed_by_themselves() -> None:
    city = City()
    camera, horn = device("cam"), device("horn", DeviceKind.SPEAKER)
    own = device("own", DeviceKind.SPEAKER, audio_output_of=camera.id)
    whole, preset = Binding(camera.id, horn.id), Binding(camera.id, horn.id, "p")
    city.replace(devices=[camera, horn, own], bindings=[preset, whole], sights=[Sight(camera.id, "p")])
    assert list(city.bindings_of(camera.id)) == list(city.bindings_of(horn.id)) == [whole, preset]
    assert (list(city.bindings_of(own.id)), [device.id for device in city.audio_outputs(camera.id)]) == ([], ["own"])
    assert city.sights[SightKey(camera.id, "p")] == Sight(camera.id, "p")
    wider = replace(whole, reach_m=500)
    city.bind(put=[wider], gone=[preset.key])
    assert dict(city.bindings) == {whole.key: wider}
    assert set(city.devices) == {"cam", "horn", "own"}
