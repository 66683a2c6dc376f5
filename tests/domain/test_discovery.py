"""What was found, held against the inventory: nothing is recognised as what it is not, and nothing known is called new."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.devices import Device, DeviceId, DeviceKind
from gateway.domain.discovery import Finding, Kind, Sighting, findings

CAMERA = Device(
    DeviceId("CAM"),
    DeviceKind.CAMERA,
    "枪机",
    "10.0.0.1",
    vendor="Hikvision",
    model="DS-2",
    serial="S-1",
    mac="02:00:00:00:00:01",
    endpoint="urn:uuid:1",
)
OTHER = replace(CAMERA, id=DeviceId("OTH"), address="10.0.0.2", serial="S-2", mac="02:00:00:00:00:02", endpoint="urn:uuid:2")
SEEN = Sighting("10.0.0.1", "urn:uuid:1", 80, vendor="HIKVISION", model="DS-2", serial="s-1", macs=("02-00-00-00-00-01",))


def of(*sightings: Sighting, devices: tuple[Device, ...] = (CAMERA, OTHER)) -> list[Finding]:
    return findings(sightings, {device.id: device for device in devices})


def test_a_device_that_is_where_the_inventory_has_it_is_no_finding() -> None:
    assert of(SEEN) == []
    assert of(Sighting("10.0.0.1")) == [], "even when it says nothing of itself"
    assert of(replace(SEEN, reference="urn:uuid:made-at-boot")) == [], "a new endpoint reference speaks against nothing"


@pytest.mark.parametrize(
    ("seen", "by"),
    [
        (Sighting("10.0.0.9", "URN:UUID:1"), ("endpoint",)),
        (Sighting("10.0.0.9", serial="S-1", vendor="Hikvision Digital"), ("serial",)),
        (Sighting("10.0.0.9", serial="S-1"), ("serial",)),
        (Sighting("10.0.0.9", macs=("02:00:00:00:00:99", "020000000001")), ("mac",)),
        (replace(SEEN, address="10.0.0.9"), ("endpoint", "serial", "mac")),
    ],
)
def test_a_known_device_at_another_address_has_moved(seen: Sighting, by: tuple[str, ...]) -> None:
    [found] = of(seen)
    assert (found.kind, found.device, dict(found.changes), found.by) == (Kind.MOVED, "CAM", {"address": "10.0.0.9"}, by)


def test_two_devices_that_swapped_addresses_have_both_moved() -> None:
    swapped = of(replace(SEEN, address="10.0.0.2"), Sighting("10.0.0.1", serial="S-2", vendor="Hikvision"))
    assert {(found.kind, found.device, found.changes["address"]) for found in swapped} == {
        (Kind.MOVED, "CAM", "10.0.0.2"),
        (Kind.MOVED, "OTH", "10.0.0.1"),
    }


def test_another_makers_equal_serial_number_is_another_device() -> None:
    [found] = of(Sighting("10.0.0.9", serial="S-1", vendor="Dahua"))
    assert found.kind is Kind.NEW


def test_what_nobody_knows_is_new_with_all_that_it_said() -> None:
    seen = Sighting(
        "10.0.0.9", "urn:uuid:9", 8000, kind=DeviceKind.CAMERA, vendor="Axis", model="P1", serial="A", macs=("02:00:00:00:00:0a",)
    )
    [found] = of(seen)
    assert (found.kind, found.key, found.device) == (Kind.NEW, "new:10.0.0.9", None)
    assert found.changes == {
        "address": "10.0.0.9",
        "onvif_port": "8000",
        "kind": "camera",
        "vendor": "Axis",
        "model": "P1",
        "serial": "A",
        "mac": "02:00:00:00:00:0a",
        "endpoint": "urn:uuid:9",
    }


def test_another_device_in_the_place_of_one_that_is_known_replaced_it() -> None:
    [found] = of(replace(SEEN, serial="S-9", macs=("02:00:00:00:00:09",), reference="urn:uuid:9"))
    assert (found.kind, found.device) == (Kind.REPLACED, "CAM")
    assert dict(found.changes) == {
        "serial": "S-9",
        "mac": "02:00:00:00:00:09",
        "endpoint": "urn:uuid:9",
        "vendor": "HIKVISION",
        "firmware": "",
    } or ({"serial", "mac", "endpoint"} <= set(found.changes))


def test_what_the_inventory_lacks_of_a_known_device_is_a_detail() -> None:
    bare = replace(CAMERA, mac="", endpoint="", serial="", vendor="")
    [found] = of(SEEN, devices=(bare,))
    assert (found.kind, found.device) == (Kind.DETAIL, "CAM")
    assert set(found.changes) == {"mac", "endpoint", "serial", "vendor"}


def test_what_two_addresses_claim_at_once_is_a_conflict_and_recognises_nothing() -> None:
    found = of(SEEN, replace(SEEN, address="10.0.0.9"))
    assert [one.kind for one in found[:3]] == [Kind.CONFLICT] * 3
    assert {one.others for one in found[:3]} == {("10.0.0.1", "10.0.0.9")}
    assert not any(one.kind is Kind.MOVED for one in found)


def test_marks_that_point_to_two_devices_are_a_conflict() -> None:
    [found] = of(Sighting("10.0.0.9", "urn:uuid:1", serial="S-2", vendor="Hikvision"))
    assert (found.kind, found.others) == (Kind.CONFLICT, ("CAM", "OTH"))


def test_a_loudspeaker_that_is_its_cameras_audio_output_moves_with_the_camera() -> None:
    speaker = replace(CAMERA, id=DeviceId("SPK"), kind=DeviceKind.SPEAKER, audio_output_of=CAMERA.id)
    [found] = of(replace(SEEN, address="10.0.0.9"), devices=(CAMERA, speaker))
    assert (found.kind, found.device) == (Kind.MOVED, "CAM")


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_devices_that_moved_about_are_never_taken_for_each_other_and_taking_the_proposals_ends_them(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 8))
    truth = {
        DeviceId(f"D{n}"): Device(
            DeviceId(f"D{n}"), DeviceKind.CAMERA, "", f"10.0.0.{n}", serial=f"S{n}", mac=f"02:00:00:00:00:{n:02x}", endpoint=f"urn:{n}"
        )
        for n in range(count)
    }
    places = data.draw(st.permutations([f"10.0.0.{n}" for n in range(count + 3)]))
    moved = {key: data.draw(st.booleans()) for key in truth}
    taken = {device.address for key, device in truth.items() if not moved[key]}
    free = iter([place for place in places if place not in taken])
    now = {key: next(free) if moved[key] else device.address for key, device in truth.items()}
    blank = st.sampled_from(("serial", "mac", "endpoint"))
    inventory = {key: replace(device, **dict.fromkeys(data.draw(st.lists(blank, max_size=3)), "")) for key, device in truth.items()}
    seen = []
    for key, device in truth.items():
        if data.draw(st.booleans()):
            told = Sighting(now[key], device.endpoint, serial=device.serial, macs=(device.mac,))
            hidden = data.draw(st.lists(st.sampled_from(("serial", "macs", "reference")), max_size=3))
            seen.append(replace(told, **{name: () if name == "macs" else "" for name in hidden}))
    found = findings(seen, inventory)
    assert not [one for one in found if one.kind is Kind.CONFLICT]
    for one in found:
        if one.kind is Kind.MOVED:
            assert one.device is not None
            assert one.changes["address"] == now[one.device]
        if one.kind is Kind.REPLACED:
            assert one.device is not None
            assert now[one.device] != one.sighting.address, "it is where it was, and was not replaced"
    after = dict(inventory)
    for one in found:
        if one.kind is Kind.MOVED and one.device:
            after[one.device] = replace(after[one.device], **one.changes)
    assert not [one for one in findings(seen, after) if one.kind is Kind.MOVED]
