"""The hardware addresses of a device (Device Management, GetNetworkInterfaces)."""

from collections.abc import Sequence

from lxml import etree

from gateway.drivers.onvif.soap import DEVICE, Operation, children, text

GET_INTERFACES = Operation(DEVICE, "GetNetworkInterfaces")
_MOST = 16
_TEXT = 64


def read_hardware(payload: etree._Element) -> Sequence[str]:
    """GetNetworkInterfacesResponse: what its interfaces are called, as the device writes it; an interface may tell none."""
    told = [text(interface, "Info", "HwAddress")[:_TEXT] for interface in list(children(payload, "NetworkInterfaces"))[:_MOST]]
    return tuple(address for address in told if address)
