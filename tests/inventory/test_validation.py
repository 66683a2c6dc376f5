"""What an import leaves behind, and what it refuses: every fault of a file is named with its line, all at once."""

import pytest

from gateway.domain.devices import Channel, Credentials, DeviceId, DeviceKind, Ports, Position, SnmpCredentials, SnmpVersion
from gateway.domain.geo import distance_m, wgs84_to_gcj02
from gateway.errors import Fault, InvalidInput
from gateway.inventory.validation import Holdings
from tests.inventory.files import CITY, device, grid, login, square, stored

KEYS_OF_ALL = ("recorder", "number", "camera", "id")  # those of channels, then those of groups


def faults(text: str, before: Holdings | None = None, *, name: str = "city.yaml", prune: bool = False) -> list[Fault]:
    with pytest.raises(InvalidInput) as caught:
        stored(text, before, name=name, prune=prune)
    assert caught.value.code == "bad-inventory"
    return list(caught.value.faults)


def one(entry: str) -> str:
    """The only fault of a file with the one device `entry` on line 2."""
    found = faults(f"devices:\n  - {{{entry}}}\n")
    assert [fault.where for fault in found] == ["line 2"], found
    return found[0].why


def test_a_file_becomes_devices_with_everything_it_says() -> None:
    after = stored()
    camera = device(after, "CAM-1")
    assert (camera.kind, camera.name, camera.address, camera.ports) == (DeviceKind.CAMERA, "枪机", "10.0.0.2", Ports())
    assert (camera.group, camera.uplink, camera.uplink_port, camera.serial) == ("G-1", "SW-1", 1, "000771")
    assert camera.position == Position(36.4501, 115.9801)
    assert device(after, "NVR-1").channels == (Channel(1, DeviceId("CAM-1"), "rec-01"),)
    assert device(after, "SPK-1").audio_output_of == "CAM-1"
    assert login(after, "CAM-1") == Credentials("admin", "se cret ")
    assert login(after, "SW-1") == Credentials(snmp=SnmpCredentials(SnmpVersion.V2C, "public-no"))
    assert login(after, "SPK-1") is None
    assert [sorted(zone.speakers) for zone in after.inventory.zones] == [["SPK-1"]]


def test_the_same_file_again_changes_nothing() -> None:
    assert stored(before=stored()) == stored()


def test_every_fault_of_a_file_is_named_at_once_with_its_line() -> None:
    text = """\
groups:
  - {id: G-1}
devices:
  - {id: A, kind: toaster, name: a, address: camera.local, onvif_port: 99999}
  - {id: A, kind: camera, name: again, address: 10.0.0.9}
  - {id: B, kind: camera, name: b, address: 10.0.0.1, colour: red, uplinc: A}
  - {kind: camera, name: c, address: 10.0.0.2}
"""
    found = [(fault.where, fault.why) for fault in faults(text)]
    assert found == [
        ("line 6", "unknown column 'colour'"),
        ("line 6", "unknown column 'uplinc': did you mean 'uplink'?"),
        ("line 2", "name is missing"),
        ("line 4", "kind: 'toaster' is not one of camera, speaker, recorder, switch"),
        ("line 4", "address: 'camera.local' is no literal IP address: names are not resolved"),
        ("line 4", "onvif_port: '99999' is no whole number from 1 to 65535"),
        ("line 5", "'A' stands already at line 4"),
        ("line 7", "id is missing"),
    ]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ("address: 0.0.0.0", "not the address of one machine"),
        ("address: 239.1.2.3", "not the address of one machine"),
        ("address: 10.0.0.256", "no literal IP address"),
        ("address: 10.0.0.1, latitude: 116.4, longitude: 39.9", "is it the longitude?"),
        ("address: 10.0.0.1, latitude: nan, longitude: 1", "latitude: 'nan'"),
        ("address: 10.0.0.1, latitude: 36.4", "one without the other"),
        ("address: 10.0.0.1, latitude: 0, longitude: 0", "lies in the ocean"),
        ("address: 10.0.0.1, uplink: SW-9", "uplink: no device 'SW-9'"),
        ("address: 10.0.0.1, horns: 1, longitude: 115.9", "one without the other"),
        ("address: 10.0.0.1, group: G-9", "no camera group 'G-9'"),
        ("address: 10.0.0.1, cell: C-9", "no grid cell 'C-9': import the grid first"),
        ("address: 10.0.0.1, audio_output_of: X", "no camera 'X'"),
        ("address: 10.0.0.1, gb28181_id: 3402", "20 digits are needed"),
        ("address: 10.0.0.1, gb28181_id: 3.402e+19", "the spreadsheet stored it as a number"),
        ("address: 10.0.0.1, horns: -1", "no whole number"),
        ("address: 10.0.0.1, enabled: maybe", "neither true nor false"),
        ('address: 10.0.0.1, owner: "a\\u202eb"', "control characters"),
        ("address: 10.0.0.1, vendor: [a, b]", "not a list"),
        ("address: 10.0.0.1, snmp_version: v2c", "snmp_community is missing for v2c"),
        ("address: 10.0.0.1, snmp_version: v3", "snmp_user is missing for v3"),
        ("address: 10.0.0.1, snmp_user: u, snmp_auth_protocol: SHA, snmp_auth_key: short", "shorter than 8"),
        ("address: 10.0.0.1, snmp_user: u, snmp_priv_protocol: DES, snmp_priv_key: longenough", "no privacy without authentication"),
        ("address: 10.0.0.1, snmp_user: u, snmp_auth_key: longenough", "a key without snmp_auth_protocol"),
    ],
)
def test_a_bad_field_is_named(fields: str, why: str) -> None:
    assert why in one(f"id: A, kind: camera, name: a, {fields}")


@pytest.mark.parametrize("name", ["a/b", "a b", "#", "+", "-a", "x" * 65])
def test_an_id_that_does_not_fit_a_url_or_a_topic_is_refused(name: str) -> None:
    assert "is no id" in one(f"id: '{name}', kind: camera, name: a, address: 10.0.0.1")


def test_no_fault_repeats_a_secret() -> None:
    text = 'devices:\n  - {id: A, kind: camera, name: a, address: 10.0.0.1, password: "hunter2\\n", snmp_user: u, snmp_auth_key: hunter2}\n'
    assert not any("hunter2" in fault.why for fault in faults(text))


def test_two_devices_cannot_have_one_address_and_port() -> None:
    added = "\ndevices:\n  - {id: CAM-2, kind: camera, name: b, address: 10.0.0.2}\n"
    assert faults(added, stored())[0].why == "address: 10.0.0.2 port 80 is already that of CAM-1"
    stored(added.replace("name: b", "name: b, onvif_port: 8080, rtsp_port: 5540"), stored())


def test_a_loudspeaker_takes_calls_where_its_file_says_so_or_where_sip_has_them() -> None:
    rows = "devices:\n  - {id: H-1, kind: speaker, name: a, address: 10.0.0.8, sip_port: 5070}\n"
    after = stored(rows + "  - {id: H-2, kind: speaker, name: b, address: 10.0.0.9}\n")
    assert (device(after, "H-1").ports.sip, device(after, "H-2").ports.sip) == (5070, 5060)


def test_two_devices_cannot_have_one_gb28181_id() -> None:
    added = "devices:\n  - {id: CAM-2, kind: camera, name: b, address: 10.0.0.7, gb28181_id: '34020000001320000001'}\n"
    assert "already that of CAM-1" in faults(added, stored())[0].why


def test_a_loop_of_uplinks_is_named_once() -> None:
    text = "devices:\n" + "".join(
        f"  - {{id: {name}, kind: switch, name: s, address: 10.0.0.{number}, uplink: {uplink}}}\n"
        for number, (name, uplink) in enumerate([("A", "B"), ("B", "C"), ("C", "B"), ("D", "A")], start=1)
    )
    assert [(fault.where, fault.why) for fault in faults(text)] == [("line 3", "uplink: a loop, B → C → B")]


def test_a_switch_that_hangs_on_itself_is_a_loop() -> None:
    assert one("id: A, kind: switch, name: a, address: 10.0.0.1, uplink: A") == "uplink: a loop, A → A"


@pytest.mark.parametrize(("uplink", "kind"), [("CAM-1", "camera"), ("NVR-1", "recorder"), ("SPK-1", "speaker")])
def test_only_a_switch_is_an_uplink(uplink: str, kind: str) -> None:
    found = faults(f"devices: [{{id: CAM-2, kind: camera, name: b, address: 10.0.0.9, uplink: {uplink}}}]", stored())
    assert [fault.why for fault in found] == [f"uplink: {uplink} is a {kind}, not a switch"]


def test_every_fault_of_a_row_is_named_whatever_else_is_wrong_with_it() -> None:
    text = """\
devices:
  - {id: A, kind: camera, name: a, address: 10.0.0.1}
  - {id: A, kind: camera, name: again, address: nowhere, latitude: north}
  - {kind: toaster, address: 10.0.0.3, horns: many}
  - {id: NVR, kind: recorder, name: n, address: 10.0.0.4}
channels:
  - {recorder: X, number: 0, camera: A}
  - {recorder: NVR, number: nine}
"""
    assert [f"{fault.where}: {fault.why}" for fault in faults(text)] == [
        "line 3: address: 'nowhere' is no literal IP address: names are not resolved",
        "line 3: latitude: 'north' is not from -90 to 90",
        "line 3: latitude and longitude: one without the other",
        "line 3: 'A' stands already at line 2",
        "line 4: id is missing",
        "line 4: name is missing",
        "line 4: kind: 'toaster' is not one of camera, speaker, recorder, switch",
        "line 4: horns: 'many' is no whole number from 0 to 64",
        "line 7: number: '0' is no whole number from 1 to 1024",
        "line 7: recorder: no device 'X'",
        "line 8: camera is missing",
        "line 8: number: 'nine' is no whole number from 1 to 1024",
    ]


def test_a_polygon_and_an_address_that_are_missing_are_named_once() -> None:
    assert [fault.why for fault in faults("devices: [{id: A, kind: camera, name: a}]")] == ["address is missing"]
    bare = square("C-1", 36.45, 115.98) | {"geometry": None}
    assert len(faults(grid(bare), name="cells.geojson")) == 1


def test_a_place_that_moved_less_than_arithmetic_can_tell_has_not_changed() -> None:
    before = stored(before=stored(grid(square("C-1", 36.45, 115.98)), name="cells.geojson"))
    moved = CITY.replace("latitude: 36.4501", "latitude: 36.4501000000001").replace("longitude: 115.9801", "longitude: 115.98009999999")
    assert stored(moved, before) == before
    assert stored(grid(square("C-1", 36.4500000000001, 115.98)), before, name="cells.geojson") == before
    nearby = device(stored(CITY.replace("latitude: 36.4501", "latitude: 36.4501002"), before), "CAM-1")
    assert nearby.position == Position(36.4501002, 115.9801)


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ("[{recorder: NVR-9, number: 1, camera: CAM-1}]", "recorder: no device 'NVR-9'"),
        ("[{recorder: CAM-1, number: 1, camera: CAM-1}]", "recorder: CAM-1 is a camera"),
        ("[{recorder: NVR-1, number: 1, camera: CAM-9}]", "camera: no camera 'CAM-9'"),
        ("[{recorder: NVR-1, number: 1, camera: SPK-1}]", "camera: no camera 'SPK-1'"),
        ("[{recorder: NVR-1, number: 0, camera: CAM-1}]", "number: '0' is no whole number from 1 to 1024"),
        ("[{recorder: NVR-1, number: 1, camera: CAM-1}, {recorder: NVR-1, number: 1, camera: CAM-1}]", "stands already at line 1"),
        (
            "[{recorder: NVR-1, number: 1, camera: CAM-1}, {recorder: NVR-1, number: 2, camera: CAM-1}]",
            "camera: CAM-1 stands twice on NVR-1",
        ),
    ],
)
def test_a_channel_that_clashes_is_named(rows: str, why: str) -> None:
    assert why in "\n".join(fault.why for fault in faults(f"channels: {rows}", stored()))


def test_a_zone_holds_loudspeakers_only() -> None:
    found = faults("zones: [{id: Z, name: z, speakers: [SPK-1, CAM-1, X]}]", stored())
    assert [fault.why for fault in found] == ["speakers: no loudspeaker 'CAM-1'", "speakers: no loudspeaker 'X'"]


@pytest.mark.parametrize(
    "text", ["10.1.2.3:5004", "239.1.2.3", "239.1.2.3:5005", "239.1.2.3:80", "239.1.2:5004", "[ff02::1]:5004", "239.1.2.3:70000"]
)
def test_a_group_is_a_multicast_address_with_an_even_port(text: str) -> None:
    (found,) = faults(f"zones: [{{id: Z, name: z, multicast: '{text}'}}]", stored())
    assert "is no IPv4 multicast address with an even port" in found.why


def test_a_group_is_one_zones_and_is_kept_with_it() -> None:
    text = "zones: [{id: Z-1, name: z, multicast: '239.1.2.3:5004'}, {id: Z-2, name: y, multicast: '239.1.2.3:5004'}]"
    assert "is the group of" in faults(text, stored())[0].why
    after = stored("zones: [{id: Z-1, name: z, multicast: '239.1.2.3:5004'}]", stored())
    assert [str(zone.multicast) for zone in after.inventory.zones if zone.id == "Z-1"] == ["239.1.2.3:5004"]


# -- merging ----------------------------------------------------------------------------------------------------------


def test_a_row_changes_only_the_columns_that_the_file_has() -> None:
    after = stored("id,owner\nCAM-1,城管局\n", stored(), name="devices.csv")
    assert device(after, "CAM-1").owner == "城管局"
    assert device(after, "CAM-1").serial == "000771"
    assert login(after, "CAM-1") == Credentials("admin", "se cret ")


def test_an_empty_cell_clears_a_field_but_never_a_secret() -> None:
    after = stored("id,serial,latitude,longitude,password\nCAM-1,,,,\n", stored(), name="devices.csv")
    assert (device(after, "CAM-1").serial, device(after, "CAM-1").position) == ("", None)
    assert login(after, "CAM-1") == Credentials("admin", "se cret ")


def test_what_the_file_does_not_name_stays() -> None:
    after = stored("devices: [{id: CAM-9, kind: camera, name: n, address: 10.0.0.9}]", stored())
    assert [found.id for found in after.inventory.devices] == ["CAM-1", "CAM-9", "NVR-1", "SPK-1", "SW-1"]


def test_pruning_removes_what_the_file_does_not_name_and_loosens_what_held_it() -> None:
    rows = "devices:\n  - {id: SW-1}\n  - {id: NVR-1}\n"
    after = stored(rows, stored(), prune=True)
    assert [found.id for found in after.inventory.devices] == ["NVR-1", "SW-1"]
    assert device(after, "NVR-1").channels == ()
    assert [zone.speakers for zone in after.inventory.zones] == [frozenset()]
    assert sorted(after.credentials) == ["NVR-1", "SW-1"]
    assert len(after.inventory.groups) == 1


def test_pruning_what_others_depend_on_is_refused() -> None:
    found = faults("devices:\n  - {id: CAM-1}\n", stored(), prune=True)
    assert [(fault.where, fault.why) for fault in found] == [("line 2", "uplink: no device 'SW-1'")]


def test_a_stored_device_that_the_file_breaks_is_named_as_stored() -> None:
    found = faults("groups: [{id: G-9, name: other}]", stored(), prune=True)
    assert {fault.where for fault in found} == {f"devices {name} (stored, not in the file)" for name in ("CAM-1", "SPK-1", "SW-1")}


@pytest.mark.parametrize("prune", [False, True])
@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("garbage", "d.csv", ["line 1: the column 'id' is missing", "line 1: unknown column 'garbage'", "file: there is no row in it"]),
        ("garbage\nmore\n", "d.csv", ["line 1: the column 'id' is missing", "line 1: unknown column 'garbage'"]),
        ("id,kind,name,address\n", "d.csv", ["file: there is no row in it"]),
        (
            "# coordinates: WGS-84\nrecorder,camera\n",
            "channels.csv",
            ["line 2: the column 'number' is missing", "file: there is no row in it"],
        ),
        ("noun,name\ngroups,g\nchannels,c\n", "all.csv", [f"line 1: the column {column!r} is missing" for column in KEYS_OF_ALL]),
        ("version: 1\n", "city.yaml", ["file: there is no row in it"]),
        ("devices: []\n", "city.yaml", ["file: there is no row in it"]),
        ('{"type": "FeatureCollection", "features": []}', "cells.geojson", ["file: there is no row in it"]),
    ],
)
def test_a_file_that_says_nothing_is_refused_and_never_taken_for_everything_is_gone(
    text: str, name: str, expected: list[str], prune: bool
) -> None:
    found = [f"{fault.where}: {fault.why}" for fault in faults(text, stored(), name=name, prune=prune)]
    if prune:
        found = [line for line in found if "the list is empty" not in line]
    assert found == expected


def test_pruning_by_an_empty_list_is_refused_while_something_is_stored_of_it() -> None:
    text = "devices: [{id: SW-1}, {id: CAM-1}, {id: SPK-1}, {id: NVR-1}]\nchannels: []\nzones: []\n"
    assert [(fault.where, fault.why) for fault in faults(text, stored(), prune=True)] == [
        ("channels", "the list is empty: pruning would remove all 1 that are stored"),
        ("zones", "the list is empty: pruning would remove all 1 that are stored"),
    ]
    assert stored(text, stored()) == stored()
    without = stored("devices: [{id: A, kind: camera, name: a, address: 10.0.0.1}]\nchannels: []\nzones: []\n", prune=True)
    assert [found.id for found in without.inventory.devices] == ["A"]


def test_an_unknown_column_of_a_table_is_named_once_at_its_header() -> None:
    text = "id,kind,name,address,Uplinc\nA,camera,a,10.0.0.1,\nB,camera,b,nowhere,\n"
    assert [f"{fault.where}: {fault.why}" for fault in faults(text, name="devices.csv")] == [
        "line 1: unknown column 'Uplinc': did you mean 'uplink'?",
        "line 3: address: 'nowhere' is no literal IP address: names are not resolved",
    ]


def test_a_column_that_only_another_noun_has_is_named_at_its_row() -> None:
    text = "noun,id,name,speakers,colour\ngroups,G,g,X,red\n"
    assert [f"{fault.where}: {fault.why}" for fault in faults(text, name="all.csv")] == [
        "line 1: unknown column 'colour'",
        "line 2: unknown column 'speakers'",
    ]


# -- places -----------------------------------------------------------------------------------------------------------


def test_coordinates_of_a_web_map_are_stored_as_wgs84() -> None:
    street = Position(36.45, 115.98)
    shown = wgs84_to_gcj02(street)
    text = f"coordinates: GCJ-02\ngroups: [{{id: G, name: g, latitude: {shown.latitude!r}, longitude: {shown.longitude!r}}}]"
    position = stored(text).inventory.groups[0].position
    assert position is not None
    assert distance_m(position, street) < 0.01
    assert [fault.where for fault in faults("coordinates: WGS-72\ngroups: [{id: G, name: g}]")] == ["coordinates"]


def test_a_device_stands_in_the_cell_of_its_position_or_else_of_its_groups() -> None:
    cells = grid(square("C-1", 36.45, 115.98), square("C-2", 36.451, 115.98))
    before = stored(cells, name="cells.geojson")
    after = stored(before=before)
    assert (device(after, "CAM-1").cell, device(after, "SW-1").cell, device(after, "NVR-1").cell) == ("C-1", "C-1", None)
    moved = stored("id,latitude,longitude\nCAM-1,36.4515,115.9805\n", after, name="devices.csv")
    assert device(moved, "CAM-1").cell == "C-2"


def test_cells_that_come_after_the_devices_take_them_in() -> None:
    after = stored(grid(square("C-1", 36.45, 115.98)), stored(), name="cells.geojson")
    assert device(after, "CAM-1").cell == "C-1"
    assert after.inventory.groups[0].cell == "C-1"


def test_a_named_cell_counts_where_there_is_no_position_and_must_not_contradict_one() -> None:
    before = stored(before=stored(grid(square("C-1", 36.45, 115.98), square("C-2", 36.451, 115.98)), name="cells.geojson"))
    assert device(stored("id,cell\nNVR-1,C-2\n", before, name="devices.csv"), "NVR-1").cell == "C-2"
    assert [fault.why for fault in faults("id,cell\nCAM-1,C-2\n", before, name="devices.csv")] == [
        "cell: 'C-2', but its position lies in 'C-1'"
    ]
    assert "no grid cell 'C-3'" in faults("id,cell\nNVR-1,C-3\n", before, name="devices.csv")[0].why


def test_the_city_file_is_what_it_looks_like() -> None:
    assert "password" in CITY  # the tests of exports rely on there being secrets
