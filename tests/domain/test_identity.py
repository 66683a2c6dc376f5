"""Identity: what a serial number and a hardware address are worth."""

import pytest

from gateway.domain.devices import Device, DeviceId, DeviceKind
from gateway.domain.identity import hardware_address, has_other_hardware, has_other_serial, serial_tells
from gateway.domain.quirks import NONE, Quirk, Quirks

SHARED = Quirks({"shared-serial": Quirk("Q18", "shared-serial")})


def camera(**known: str) -> Device:
    return Device(DeviceId("CAM-1"), DeviceKind.CAMERA, "camera", "127.0.0.1", **known)


@pytest.mark.parametrize(
    ("quirks", "known", "tells"),
    [
        (NONE, {"vendor": "tp-link", "model": "Tapo C200"}, True),
        (SHARED, {"vendor": "TP-Link ", "model": "tapo c200"}, False),
        (SHARED, {"profile": "tapo"}, False),
        (SHARED, {}, True),
        (SHARED, {"vendor": "tp-link"}, True),
        (SHARED, {"vendor": "HIKVISION", "model": "DS-2CD2012-I"}, True),
    ],
)
def test_a_serial_number_counts_unless_the_inventory_knows_it_to_be_shared(quirks: Quirks, known: dict[str, str], tells: bool) -> None:
    assert serial_tells(camera(**known), quirks, manufacturer="tp-link", model="Tapo C200") is tells


def test_what_is_not_known_on_either_side_is_no_difference() -> None:
    assert not has_other_serial(camera(), "1")
    assert not has_other_serial(camera(serial="1"), "")
    assert has_other_serial(camera(serial="1"), "2")
    assert not has_other_hardware(camera(), ["02:00:00:00:00:01"])
    assert not has_other_hardware(camera(mac="02:00:00:00:00:01"), ["nonsense"])
    assert not has_other_hardware(camera(mac="02:00:00:00:00:01"), ["02-00-00-00-00-02", "02-00-00-00-00-01"])
    assert has_other_hardware(camera(mac="02:00:00:00:00:01"), ["02:00:00:00:00:02"])


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("3C-EF-8C-00-00-0A", "3c:ef:8c:00:00:0a"),
        ("3cef.8c00.000a", "3c:ef:8c:00:00:0a"),
        (" 3cef8c00000a ", "3c:ef:8c:00:00:0a"),
        ("5792c4:5792c5:5792c6:5792c7:5792c8:5792c9", ""),
        ("00:00:00:00:00:00", ""),
        ("ff:ff:ff:ff:ff:ff", ""),
        ("", ""),
    ],
)
def test_a_hardware_address_is_read_however_it_is_written(text: str, address: str) -> None:
    assert hardware_address(text) == address
