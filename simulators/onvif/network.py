"""How a device is set up in its network (Device Management §8.2): names, addresses, ports, servers; what may be set is kept."""

import re
from typing import Final
from xml.sax.saxutils import escape

from simulators.endpoint import reference_of
from simulators.onvif.soap import Call, invalid
from simulators.onvif.unit import Operation, Unit

INTERFACE: Final = "eth0"
_LABEL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_ADDRESS: Final = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.|$)){4}")


def _hostname(unit: Unit, _call: Call) -> str:
    name = unit.kept.get("hostname", unit.device.id.lower())
    return f"<tds:HostnameInformation><tt:FromDHCP>false</tt:FromDHCP><tt:Name>{escape(name)}</tt:Name></tds:HostnameInformation>"


def _set_hostname(unit: Unit, call: Call) -> str:
    name = call.text("Name")
    if not _LABEL.fullmatch(name):
        raise invalid("no host name (RFC 1123 §2.1)", "ter:InvalidHostname")
    unit.kept["hostname"] = name
    return ""


def _dns(unit: Unit, _call: Call) -> str:
    servers = unit.kept.get("dns", _gateway_of(unit)).split()
    listed = "".join(f"<tt:DNSManual><tt:Type>IPv4</tt:Type><tt:IPv4Address>{one}</tt:IPv4Address></tt:DNSManual>" for one in servers)
    return f"<tds:DNSInformation><tt:FromDHCP>false</tt:FromDHCP>{listed}</tds:DNSInformation>"


def _set_dns(unit: Unit, call: Call) -> str:
    unit.kept["dns"] = " ".join(_addresses(call))
    return ""


def _ntp(unit: Unit, _call: Call) -> str:
    return (
        "<tds:NTPInformation><tt:FromDHCP>false</tt:FromDHCP><tt:NTPManual><tt:Type>IPv4</tt:Type>"
        f"<tt:IPv4Address>{unit.kept.get('ntp', _gateway_of(unit))}</tt:IPv4Address></tt:NTPManual></tds:NTPInformation>"
    )


def _set_ntp(unit: Unit, call: Call) -> str:
    servers = _addresses(call)
    if len(servers) != 1:
        raise invalid("one NTP server by its IPv4 address", "ter:InvalidIPv4Address")
    unit.kept["ntp"] = servers[0]
    return ""


def _addresses(call: Call) -> list[str]:
    found = [(element.text or "").strip() for element in call.element.iter("{*}IPv4Address")]
    if not all(_ADDRESS.fullmatch(one) for one in found):
        raise invalid("no IPv4 address", "ter:InvalidIPv4Address")
    return found


def _interfaces(unit: Unit, _call: Call) -> str:
    device = unit.device
    return (
        f'<tds:NetworkInterfaces token="{INTERFACE}"><tt:Enabled>true</tt:Enabled>'
        f"<tt:Info><tt:Name>{INTERFACE}</tt:Name><tt:HwAddress>{device.mac}</tt:HwAddress><tt:MTU>1500</tt:MTU></tt:Info>"
        "<tt:Link><tt:AdminSettings><tt:AutoNegotiation>true</tt:AutoNegotiation><tt:Speed>100</tt:Speed><tt:Duplex>Full</tt:Duplex>"
        "</tt:AdminSettings><tt:OperSettings><tt:AutoNegotiation>true</tt:AutoNegotiation><tt:Speed>100</tt:Speed>"
        "<tt:Duplex>Full</tt:Duplex></tt:OperSettings><tt:InterfaceType>6</tt:InterfaceType></tt:Link>"
        "<tt:IPv4><tt:Enabled>true</tt:Enabled><tt:Config><tt:Manual>"
        f"<tt:Address>{device.address}</tt:Address><tt:PrefixLength>8</tt:PrefixLength></tt:Manual><tt:DHCP>false</tt:DHCP>"
        "</tt:Config></tt:IPv4></tds:NetworkInterfaces>"
    )


def _protocols(unit: Unit, _call: Call) -> str:
    city = unit.city
    ports = (("HTTP", city.http_port), *((("HTTPS", city.https_port),) if city.https_port else ()), ("RTSP", city.rtsp_port))
    return "".join(
        f"<tds:NetworkProtocols><tt:Name>{name}</tt:Name><tt:Enabled>true</tt:Enabled><tt:Port>{port}</tt:Port></tds:NetworkProtocols>"
        for name, port in ports
    )


def _gateway(unit: Unit, _call: Call) -> str:
    return f"<tds:NetworkGateway><tt:IPv4Address>{_gateway_of(unit)}</tt:IPv4Address></tds:NetworkGateway>"


def _gateway_of(unit: Unit) -> str:
    """The first address of its /24: by the address plan no device has it."""
    return unit.device.address.rpartition(".")[0] + ".1"


def _discovery_mode(unit: Unit, _call: Call) -> str:
    mode = "Discoverable" if unit.state.discoverable else "NonDiscoverable"
    return f"<tds:DiscoveryMode>{mode}</tds:DiscoveryMode>"


def _endpoint_reference(unit: Unit, _call: Call) -> str:
    return f"<tds:GUID>{reference_of(unit.device, unit.state)}</tds:GUID>"


OPERATIONS: Final[dict[str, Operation]] = {
    "GetHostname": _hostname,
    "SetHostname": _set_hostname,
    "GetDNS": _dns,
    "SetDNS": _set_dns,
    "GetNTP": _ntp,
    "SetNTP": _set_ntp,
    "GetNetworkInterfaces": _interfaces,
    "GetNetworkProtocols": _protocols,
    "GetNetworkDefaultGateway": _gateway,
    "GetDiscoveryMode": _discovery_mode,
    "GetEndpointReference": _endpoint_reference,
}
