"""The plan of the simulated city: whole, consistent, and the same for the same seed."""

import ipaddress
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from simulators import inventory
from simulators.city import City, plan
from simulators.grid import CENTRE, Grid, code_of


@pytest.fixture(scope="module")
def city() -> City:
    return plan(seed=2019)


@pytest.fixture(scope="module")
def features() -> list[dict[str, Any]]:
    """The grid as GeoJSON features."""
    found: list[dict[str, Any]] = json.loads(Grid().geojson())["features"]
    return found


def test_the_city_has_the_size_that_it_is_to_have(city: City) -> None:
    kinds = Counter(device.kind for device in city.devices)

    assert len(city.groups) == 759
    assert kinds["speaker"] == 110
    assert kinds["recorder"] == 110
    assert 1_650 <= kinds["camera"] <= 1_760
    assert 790 <= kinds["switch"] <= 810


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        inventory.write(plan(seed=5, groups=40), tmp_path / name)

    for file in ("city.json", "inventory.yaml", "cells.geojson"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_another_seed_is_another_city() -> None:
    one, other = plan(seed=5, groups=10), plan(seed=6, groups=10)

    assert [device.password for device in one.devices] != [device.password for device in other.devices]


def test_a_city_read_back_is_the_city_that_was_written(city: City, tmp_path: Path) -> None:
    city.save(tmp_path / "city.json")

    assert City.load(tmp_path / "city.json") == city


def test_a_foreign_file_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")

    with pytest.raises(ValueError, match=r"other\.json is not a city file"):
        City.load(tmp_path / "other.json")


def test_every_camera_is_on_exactly_one_channel_and_no_recorder_has_more_than_16(city: City) -> None:
    recorders = city.of_kind("recorder")
    recorded = [channel.camera for recorder in recorders for channel in recorder.channels]

    assert Counter(recorded) == Counter(camera.id for camera in city.of_kind("camera"))
    assert max(len(recorder.channels) for recorder in recorders) <= 16


def test_groups_carry_one_to_four_cameras(city: City) -> None:
    sizes = Counter(camera.group for camera in city.of_kind("camera"))

    assert set(sizes) == {group.id for group in city.groups}
    assert set(sizes.values()) == {1, 2, 3, 4}


def test_every_device_has_an_address_of_its_own_inside_the_plan(city: City) -> None:
    addresses = [ipaddress.IPv4Address(device.address) for device in city.devices]

    assert len(set(addresses)) == len(addresses)
    assert ipaddress.IPv4Address("127.16.0.0") < min(addresses)
    assert max(addresses) < ipaddress.IPv4Address("127.95.255.255")
    assert all(int(address) & 255 not in {0, 255} for address in addresses)


def test_a_device_is_found_by_its_address(city: City) -> None:
    assert city.by_address(city.devices[42].address) is city.devices[42]
    assert city.by_address("127.0.0.1") is None


def test_street_devices_hang_on_their_groups_switch_and_switches_on_an_aggregation_switch(city: City) -> None:
    for device in city.devices:
        if device.kind in {"camera", "speaker"}:
            assert device.uplink == f"SW-{device.group[2:]}"
        if device.id.startswith("SW-") or device.kind == "recorder":
            assert device.uplink.startswith("AGG-")
    ports = Counter((device.uplink, device.uplink_port) for device in city.devices if device.uplink)
    assert max(ports.values()) == 1


def test_names_of_things_are_unique_where_they_must_be(city: City) -> None:
    for field in ("id", "serial", "mac"):
        values = [getattr(device, field) for device in city.devices]
        assert len(set(values)) == len(values), field
    gb28181 = [device.gb28181_id for device in city.devices if device.gb28181_id]
    assert len(set(gb28181)) == len(gb28181)
    assert all(len(code) == 20 and code.isdigit() for code in gb28181)
    assert len({device.password for device in city.devices if device.password}) == len(city.devices) - 799


def test_loudspeakers_and_switches_speak_snmp_some_of_them_v3(city: City) -> None:
    for kind in ("speaker", "switch"):
        versions = Counter(device.snmp.version for device in city.of_kind(kind) if device.snmp)
        assert versions.total() == len(city.of_kind(kind))
        assert versions["v2c"] > versions["v3"] > 0


def test_some_loudspeakers_are_a_cameras_audio_output(city: City) -> None:
    linked = [speaker for speaker in city.of_kind("speaker") if speaker.audio_output_of]

    assert 0 < len(linked) < 20
    assert all(city.audio_output(speaker.audio_output_of) is speaker for speaker in linked)


def test_positions_lie_in_the_128_square_kilometres(city: City) -> None:
    for device in city.devices:
        assert abs(device.latitude - CENTRE[0]) < 0.047
        assert abs(device.longitude - CENTRE[1]) < 0.073


def test_a_city_may_be_as_small_as_one_group_and_no_smaller() -> None:
    assert plan(groups=1, speakers=1).of_kind("recorder")[0].channels
    with pytest.raises(ValueError, match="at least one group"):
        plan(groups=0)


def test_the_grid_has_12800_cells_with_codes_of_15_digits(features: list[dict[str, Any]]) -> None:
    cells = [feature for feature in features if feature["properties"]["level"] == "cell"]
    codes = {feature["properties"]["code"] for feature in cells}

    assert len(cells) == len(codes) == 12_800
    assert all(len(code) == 15 and code.isdigit() for code in codes)
    assert code_of(0, 0) in codes
    assert {feature["properties"]["level"] for feature in features} == {"cell", "street", "district"}
    for feature in features:
        ring = feature["geometry"]["coordinates"][0]
        assert ring[0] == ring[-1]
        assert len(ring) == 5


def test_neighbouring_cells_share_their_corners(features: list[dict[str, Any]]) -> None:
    first, second = (feature["geometry"]["coordinates"][0] for feature in features[:2])

    assert first[1] == second[0]
    assert first[2] == second[3]


def test_the_inventory_is_yaml_with_everything_in_it() -> None:
    small = plan(seed=3, groups=12, speakers=4)
    read = yaml.safe_load("".join(inventory.inventory(small)))

    assert read["version"] == 1
    assert read["coordinates"] == "WGS-84"
    assert [row["id"] for row in read["devices"]] == [device.id for device in small.devices]
    assert len(read["channels"]) == len(small.of_kind("camera"))
    assert all(isinstance(row.get("gb28181_id", ""), str) for row in read["devices"])
    assert {row["state"] for row in read["bindings"]} == {"confirmed"}
    assert {row["camera"] for row in read["bindings"]} <= {row["camera"] for row in read["sights"]}
    by_id = {row["id"]: row for row in read["devices"]}
    speaker = small.of_kind("speaker")[0]
    assert by_id[speaker.id]["password"] == speaker.password
    assert by_id[speaker.id]["snmp_version"] in {"v2c", "v3"}
