"""Device Management (ONVIF Core §8), the service that every device has."""

from typing import Final
from xml.sax.saxutils import escape

from simulators.onvif import dates, events
from simulators.onvif.soap import PREFIXES, Call, invalid, not_supported
from simulators.onvif.unit import Service, Unit

CATEGORIES: Final = ("All", "Analytics", "Device", "Events", "Imaging", "Media", "PTZ")


def _device_information(unit: Unit, _call: Call) -> str:
    device = unit.device
    return (
        f"<tds:Manufacturer>{escape(device.vendor)}</tds:Manufacturer>"
        f"<tds:Model>{escape(device.model)}</tds:Model><tds:FirmwareVersion>{escape(device.firmware)}</tds:FirmwareVersion>"
        f"<tds:SerialNumber>{escape(unit.state.serial(device))}</tds:SerialNumber>"
        f"<tds:HardwareId>{escape(device.hardware)}</tds:HardwareId>"
    )


def _services(unit: Unit, call: Call) -> str:
    if "get-services" in unit.device.lacks:
        raise not_supported()
    wanted = call.text("IncludeCapability") in {"true", "1"}
    return "".join(_service(unit, service, capabilities=wanted) for service in unit.services)


def _service(unit: Unit, service: Service, *, capabilities: bool) -> str:
    inner = f"<tds:Capabilities>{service.capabilities(unit)}</tds:Capabilities>" if capabilities else ""
    major, minor = service.version
    return (
        f"<tds:Service><tds:Namespace>{PREFIXES[service.prefix]}</tds:Namespace><tds:XAddr>{service.url(unit)}</tds:XAddr>{inner}"
        f"<tds:Version><tt:Major>{major}</tt:Major><tt:Minor>{minor}</tt:Minor></tds:Version></tds:Service>"
    )


def _all_capabilities(unit: Unit, call: Call) -> str:
    category = call.text("Category") or "All"
    if category not in CATEGORIES:
        raise invalid("no such category", "ter:NoSuchService")
    urls = {service.prefix: service.url(unit) for service in unit.services}
    parts = {"Device": _device_part(urls["tds"])}
    if "tev" in urls:
        pulls = str(events.pulls(unit)).lower()
        parts["Events"] = (
            f"<tt:Events><tt:XAddr>{urls['tev']}</tt:XAddr><tt:WSSubscriptionPolicySupport>false</tt:WSSubscriptionPolicySupport>"
            f"<tt:WSPullPointSupport>{pulls}</tt:WSPullPointSupport><tt:WSPausableSubscriptionManagerInterfaceSupport>false"
            "</tt:WSPausableSubscriptionManagerInterfaceSupport></tt:Events>"
        )
    if "trt" in urls:
        parts["Media"] = (
            f"<tt:Media><tt:XAddr>{urls['trt']}</tt:XAddr><tt:StreamingCapabilities><tt:RTPMulticast>false</tt:RTPMulticast>"
            "<tt:RTP_TCP>true</tt:RTP_TCP><tt:RTP_RTSP_TCP>true</tt:RTP_RTSP_TCP></tt:StreamingCapabilities></tt:Media>"
        )
    if "tptz" in urls:
        parts["PTZ"] = f"<tt:PTZ><tt:XAddr>{urls['tptz']}</tt:XAddr></tt:PTZ>"
    if "tse" in urls:
        parts["Extension"] = _extension(urls)
    chosen = parts.values() if category == "All" else [parts[category]] if category in parts else []
    return f"<tds:Capabilities>{''.join(chosen)}</tds:Capabilities>"


def _device_part(url: str) -> str:
    return (
        f"<tt:Device><tt:XAddr>{url}</tt:XAddr><tt:System><tt:DiscoveryResolve>false</tt:DiscoveryResolve>"
        "<tt:DiscoveryBye>false</tt:DiscoveryBye><tt:RemoteDiscovery>false</tt:RemoteDiscovery><tt:SystemBackup>false</tt:SystemBackup>"
        "<tt:SystemLogging>false</tt:SystemLogging><tt:FirmwareUpgrade>false</tt:FirmwareUpgrade>"
        "<tt:SupportedVersions><tt:Major>2</tt:Major><tt:Minor>60</tt:Minor></tt:SupportedVersions></tt:System></tt:Device>"
    )


def _extension(urls: dict[str, str]) -> str:
    return (
        f"<tt:Extension><tt:Recording><tt:XAddr>{urls['trc']}</tt:XAddr><tt:ReceiverSource>false</tt:ReceiverSource>"
        "<tt:MediaProfileSource>true</tt:MediaProfileSource><tt:DynamicRecordings>false</tt:DynamicRecordings>"
        "<tt:DynamicTracks>false</tt:DynamicTracks><tt:MaxStringLength>64</tt:MaxStringLength></tt:Recording>"
        f"<tt:Search><tt:XAddr>{urls['tse']}</tt:XAddr><tt:MetadataSearch>false</tt:MetadataSearch></tt:Search>"
        f"<tt:Replay><tt:XAddr>{urls['trp']}</tt:XAddr></tt:Replay></tt:Extension>"
    )


def _capabilities(unit: Unit) -> str:
    digest = "true" if unit.device.auth == "digest" else "false"
    token = "false" if unit.device.auth == "digest" else "true"
    return (
        '<tds:Capabilities><tds:Network IPFilter="false" ZeroConfiguration="false" IPVersion6="false" DynDNS="false" NTP="1"/>'
        f'<tds:Security TLS1.0="false" TLS1.1="false" TLS1.2="false" UsernameToken="{token}" HttpDigest="{digest}" RELToken="false" '
        'MaxUsers="8"/><tds:System DiscoveryResolve="false" DiscoveryBye="false" RemoteDiscovery="false" SystemBackup="false" '
        'SystemLogging="false" FirmwareUpgrade="false"/></tds:Capabilities>'
    )


def _scopes(unit: Unit, _call: Call) -> str:
    device = unit.device
    kind = {"camera": "type/video_encoder", "speaker": "type/audio_decoder", "recorder": "type/NetworkVideoStorage"}[device.kind]
    profile = "Profile/G" if device.kind == "recorder" else "Profile/Streaming"
    items = (kind, profile, f"hardware/{device.model}", f"name/{device.vendor}", f"location/city/Liaocheng/{device.group or 'centre'}")
    return "".join(
        f"<tds:Scopes><tt:ScopeDef>Fixed</tt:ScopeDef><tt:ScopeItem>onvif://www.onvif.org/{escape(item)}</tt:ScopeItem></tds:Scopes>"
        for item in items
    )


def _hostname(unit: Unit, _call: Call) -> str:
    name = unit.device.id.lower()
    return f"<tds:HostnameInformation><tt:FromDHCP>false</tt:FromDHCP><tt:Name>{name}</tt:Name></tds:HostnameInformation>"


def _network_interfaces(unit: Unit, _call: Call) -> str:
    device = unit.device
    return (
        '<tds:NetworkInterfaces token="eth0"><tt:Enabled>true</tt:Enabled>'
        f"<tt:Info><tt:Name>eth0</tt:Name><tt:HwAddress>{device.mac}</tt:HwAddress><tt:MTU>1500</tt:MTU></tt:Info>"
        "<tt:IPv4><tt:Enabled>true</tt:Enabled><tt:Config><tt:Manual>"
        f"<tt:Address>{device.address}</tt:Address><tt:PrefixLength>8</tt:PrefixLength></tt:Manual><tt:DHCP>false</tt:DHCP>"
        "</tt:Config></tt:IPv4></tds:NetworkInterfaces>"
    )


def _network_protocols(unit: Unit, _call: Call) -> str:
    ports = (("HTTP", unit.city.http_port), ("RTSP", unit.city.rtsp_port))
    return "".join(
        f"<tds:NetworkProtocols><tt:Name>{name}</tt:Name><tt:Enabled>true</tt:Enabled><tt:Port>{port}</tt:Port></tds:NetworkProtocols>"
        for name, port in ports
    )


def _ntp(_unit: Unit, _call: Call) -> str:
    return (
        "<tds:NTPInformation><tt:FromDHCP>false</tt:FromDHCP><tt:NTPManual><tt:Type>IPv4</tt:Type>"
        "<tt:IPv4Address>127.0.0.1</tt:IPv4Address></tt:NTPManual></tds:NTPInformation>"
    )


def _users(unit: Unit, _call: Call) -> str:
    name = escape(unit.device.username)
    return f"<tds:User><tt:Username>{name}</tt:Username><tt:UserLevel>Administrator</tt:UserLevel></tds:User>"


def _reboot(unit: Unit, _call: Call) -> str:
    unit.state.rebooted(unit.device)
    return "<tds:Message>Rebooting now</tds:Message>"


def _wsdl_url(_unit: Unit, _call: Call) -> str:
    return "<tds:WsdlUrl>http://www.onvif.org/onvif/ver10/device/wsdl/devicemgmt.wsdl</tds:WsdlUrl>"


SERVICE: Final = Service(
    prefix="tds",
    paths={"": "/onvif/device_service"},
    version=(2, 60),
    capabilities=_capabilities,
    operations={
        "GetSystemDateAndTime": dates.system_date_and_time,
        "SetSystemDateAndTime": dates.set_system_date_and_time,
        "SystemReboot": _reboot,
        "GetDeviceInformation": _device_information,
        "GetServices": _services,
        "GetCapabilities": _all_capabilities,
        "GetScopes": _scopes,
        "GetHostname": _hostname,
        "GetNetworkInterfaces": _network_interfaces,
        "GetNetworkProtocols": _network_protocols,
        "GetNTP": _ntp,
        "GetUsers": _users,
        "GetWsdlUrl": _wsdl_url,
    },
    anonymous=frozenset({"GetSystemDateAndTime", "GetServices", "GetCapabilities", "GetServiceCapabilities", "GetHostname", "GetWsdlUrl"}),
)
