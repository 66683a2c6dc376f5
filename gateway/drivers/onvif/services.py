"""Which services a device offers and at which paths (ONVIF Device Management, 8.1)."""

from lxml import etree

from gateway.drivers.http import path_of
from gateway.drivers.onvif.soap import DEVICE, EVENTS, MEDIA, PTZ, RECORDING, REPLAY, SEARCH, Operation, child, children, local, text

GET_SERVICES = Operation(
    DEVICE,
    "GetServices",
    f'<ns0:GetServices xmlns:ns0="{DEVICE}"><ns0:IncludeCapability>false</ns0:IncludeCapability></ns0:GetServices>'.encode(),
)
GET_CAPABILITIES = Operation(
    DEVICE,
    "GetCapabilities",
    f'<ns0:GetCapabilities xmlns:ns0="{DEVICE}"><ns0:Category>All</ns0:Category></ns0:GetCapabilities>'.encode(),
)

SERVICES_LIMIT = 64
"""Services that are kept of a device's list."""


def read_services(payload: etree._Element) -> dict[str, str]:
    """GetServicesResponse: paths by namespace. Of a service that is listed twice, the first counts."""
    found: dict[str, str] = {}
    for service in list(children(payload, "Service"))[:SERVICES_LIMIT]:
        name, address = text(service, "Namespace"), text(service, "XAddr")
        if name and address:
            found.setdefault(name.rstrip("/"), path_of(address))
    return found


def read_capabilities(payload: etree._Element) -> dict[str, str]:
    """GetCapabilitiesResponse, from before there was GetServices: paths by namespace."""
    listed = child(payload, "Capabilities")
    extension = child(listed, "Extension")
    groups = [*(listed if listed is not None else ()), *(extension if extension is not None else ())]
    found = {_CATEGORIES[local(group)]: text(group, "XAddr") for group in groups if local(group) in _CATEGORIES}
    return {name: path_of(address) for name, address in found.items() if address}


_CATEGORIES = {
    "Device": DEVICE,
    "Media": MEDIA,
    "PTZ": PTZ,
    "Recording": RECORDING,
    "Search": SEARCH,
    "Replay": REPLAY,
    "Events": EVENTS,
    "Imaging": "http://www.onvif.org/ver20/imaging/wsdl",
    "Analytics": "http://www.onvif.org/ver20/analytics/wsdl",
    "DeviceIO": "http://www.onvif.org/ver10/deviceIO/wsdl",
}
