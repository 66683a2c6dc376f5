"""Whether a device is the one that the inventory means, by what it says of itself and what that is worth.

Usually the serial number tells. Models whose units all say the same one (quirk `shared-serial`) are told by their hardware address, where
the inventory has it; else identity rests on the address at which the device answers, and on its model.
"""

import re
from collections.abc import Iterable

from gateway.domain.devices import Device
from gateway.domain.quirks import Quirks

SHARED = "shared-serial"
REFERENCE_CHANGES = "uuid-per-boot"


def serial_tells(device: Device, quirks: Quirks, *, manufacturer: str, model: str) -> bool:
    """Whether a device with these quirks that claims to be of this make is known by its serial number.

    A claim alone is no reason to stop comparing: the inventory must say, too, by profile or by vendor and model, that it is of that make.
    """
    if SHARED not in quirks:
        return True
    expected = bool(device.vendor and device.model) and _same(device.vendor, manufacturer) and _same(device.model, model)
    return not (device.profile or expected)


def has_other_serial(device: Device, serial: str) -> bool:
    """Whether both are known and differ."""
    return bool(device.serial and serial) and not _same(device.serial, serial)


def tells_hardware(addresses: Iterable[str]) -> bool:
    """Whether a device told any hardware address that is one."""
    return any(map(hardware_address, addresses))


def has_other_hardware(device: Device, addresses: Iterable[str]) -> bool:
    """Whether the inventory knows a hardware address, the device told some, and it is none of them."""
    known = known_hardware(device)
    told = [normal for address in addresses if (normal := hardware_address(address))]
    return bool(known and told) and known not in told


def known_hardware(device: Device) -> str:
    """The hardware address that the inventory has of a device, its serial number where that is one; "" for none."""
    return device.mac or hardware_address(device.serial)


def hardware_address(text: str) -> str:
    """An IEEE 802 address as aa:bb:cc:dd:ee:ff, whatever stands between its octets; "" for what is none, or nobody's."""
    digits = re.sub(r"[:.\- ]", "", text.strip()).lower()
    if not re.fullmatch(r"[0-9a-f]{12}", digits) or digits in ("0" * 12, "f" * 12):
        return ""
    return ":".join(re.findall("..", digits))


def _same(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()
