"""Device Management (ONVIF Core §8), the service that every device has."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final
from urllib.parse import quote
from xml.sax.saxutils import escape

from simulators.onvif import dates, events, network, terminals
from simulators.onvif.soap import PREFIXES, Call, SoapFault, invalid, not_supported
from simulators.onvif.streams import streams_of
from simulators.onvif.terminals import INPUTS, has_terminals
from simulators.onvif.unit import Service, Unit

SCOPES: Final = "onvif://www.onvif.org/"
SCOPES_AT_MOST: Final = 16
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
    parts = {name: write(unit, urls[prefix]) for name, (prefix, write) in _PARTS.items() if prefix in urls}
    if "tmd" in urls or "tse" in urls:
        parts["Extension"] = _extension(unit, urls)
    if category != "All" and category not in parts:
        raise SoapFault("no such service", "ter:ActionNotSupported", "ter:NoSuchService", code="Receiver")
    return f"<tds:Capabilities>{''.join(parts.values() if category == 'All' else [parts[category]])}</tds:Capabilities>"


def _analytics_part(_unit: Unit, url: str) -> str:
    return (
        f"<tt:Analytics><tt:XAddr>{url}</tt:XAddr><tt:RuleSupport>true</tt:RuleSupport>"
        "<tt:AnalyticsModuleSupport>true</tt:AnalyticsModuleSupport></tt:Analytics>"
    )


def _events_part(unit: Unit, url: str) -> str:
    pulls = str(events.pulls(unit)).lower()
    return (
        f"<tt:Events><tt:XAddr>{url}</tt:XAddr><tt:WSSubscriptionPolicySupport>false</tt:WSSubscriptionPolicySupport>"
        f"<tt:WSPullPointSupport>{pulls}</tt:WSPullPointSupport><tt:WSPausableSubscriptionManagerInterfaceSupport>false"
        "</tt:WSPausableSubscriptionManagerInterfaceSupport></tt:Events>"
    )


def _imaging_part(_unit: Unit, url: str) -> str:
    return f"<tt:Imaging><tt:XAddr>{url}</tt:XAddr></tt:Imaging>"


def _media_part(unit: Unit, url: str) -> str:
    most = len(streams_of(unit.device))
    return (
        f"<tt:Media><tt:XAddr>{url}</tt:XAddr><tt:StreamingCapabilities><tt:RTPMulticast>false</tt:RTPMulticast>"
        "<tt:RTP_TCP>true</tt:RTP_TCP><tt:RTP_RTSP_TCP>true</tt:RTP_RTSP_TCP></tt:StreamingCapabilities><tt:Extension>"
        f"<tt:ProfileCapabilities><tt:MaximumNumberOfProfiles>{most}</tt:MaximumNumberOfProfiles></tt:ProfileCapabilities>"
        "</tt:Extension></tt:Media>"
    )


def _ptz_part(_unit: Unit, url: str) -> str:
    return f"<tt:PTZ><tt:XAddr>{url}</tt:XAddr></tt:PTZ>"


def _device_part(unit: Unit, url: str) -> str:
    wired = int(has_terminals(unit.device))
    return (
        f"<tt:Device><tt:XAddr>{url}</tt:XAddr><tt:Network><tt:IPFilter>false</tt:IPFilter><tt:ZeroConfiguration>false</tt:ZeroConfiguration>"
        "<tt:IPVersion6>false</tt:IPVersion6><tt:DynDNS>false</tt:DynDNS></tt:Network><tt:System>"
        "<tt:DiscoveryResolve>false</tt:DiscoveryResolve><tt:DiscoveryBye>false</tt:DiscoveryBye><tt:RemoteDiscovery>false"
        "</tt:RemoteDiscovery><tt:SystemBackup>false</tt:SystemBackup><tt:SystemLogging>false</tt:SystemLogging>"
        "<tt:FirmwareUpgrade>false</tt:FirmwareUpgrade><tt:SupportedVersions><tt:Major>2</tt:Major><tt:Minor>60</tt:Minor>"
        f"</tt:SupportedVersions></tt:System><tt:IO><tt:InputConnectors>{len(INPUTS) * wired}</tt:InputConnectors>"
        f"<tt:RelayOutputs>{wired}</tt:RelayOutputs></tt:IO></tt:Device>"
    )


def _extension(unit: Unit, urls: dict[str, str]) -> str:
    parts = []
    if "tmd" in urls:
        counts = (("VideoSources", unit.device.kind == "camera"), ("VideoOutputs", False), ("AudioSources", False))
        listed = "".join(f"<tt:{name}>{int(has)}</tt:{name}>" for name, has in counts)
        parts.append(
            f"<tt:DeviceIO><tt:XAddr>{urls['tmd']}</tt:XAddr>{listed}<tt:AudioOutputs>{int(unit.speaks())}</tt:AudioOutputs>"
            f"<tt:RelayOutputs>{int(has_terminals(unit.device))}</tt:RelayOutputs></tt:DeviceIO>"
        )
    if "tse" in urls:
        parts.append(
            f"<tt:Recording><tt:XAddr>{urls['trc']}</tt:XAddr><tt:ReceiverSource>false</tt:ReceiverSource>"
            "<tt:MediaProfileSource>true</tt:MediaProfileSource><tt:DynamicRecordings>false</tt:DynamicRecordings>"
            "<tt:DynamicTracks>false</tt:DynamicTracks><tt:MaxStringLength>64</tt:MaxStringLength></tt:Recording>"
            f"<tt:Search><tt:XAddr>{urls['tse']}</tt:XAddr><tt:MetadataSearch>false</tt:MetadataSearch></tt:Search>"
            f"<tt:Replay><tt:XAddr>{urls['trp']}</tt:XAddr></tt:Replay>"
        )
    return f"<tt:Extension>{''.join(parts)}</tt:Extension>"


_PARTS: Final[Mapping[str, tuple[str, Callable[[Unit, str], str]]]] = {
    "Analytics": ("tan", _analytics_part),
    "Device": ("tds", _device_part),
    "Events": ("tev", _events_part),
    "Imaging": ("timg", _imaging_part),
    "Media": ("trt", _media_part),
    "PTZ": ("tptz", _ptz_part),
}
"""What GetCapabilities tells, by category, each with the service that it is about; in the order of the schema."""


def _capabilities(unit: Unit) -> str:
    digest = "true" if unit.device.auth == "digest" else "false"
    token = "false" if unit.device.auth == "digest" else "true"
    tls = str(bool(unit.city.https_port)).lower()
    return (
        '<tds:Capabilities><tds:Network IPFilter="false" ZeroConfiguration="false" IPVersion6="false" DynDNS="false" NTP="1"/>'
        f'<tds:Security TLS1.0="false" TLS1.1="false" TLS1.2="{tls}" UsernameToken="{token}" HttpDigest="{digest}" RELToken="false" '
        'MaxUsers="8"/><tds:System DiscoveryResolve="false" DiscoveryBye="false" RemoteDiscovery="false" SystemBackup="false" '
        'SystemLogging="false" FirmwareUpgrade="false"/></tds:Capabilities>'
    )


def _scopes(unit: Unit, _call: Call) -> str:
    fixed = "".join(_scope("Fixed", f"{SCOPES}{item}") for item in _fixed_scopes(unit))
    return fixed + "".join(_scope("Configurable", item) for item in unit.kept.get("scopes", "").split())


def _set_scopes(unit: Unit, call: Call) -> str:
    """Replaces those that are not fixed."""
    unit.kept["scopes"] = " ".join(dict.fromkeys(_asked_scopes(call, "Scopes")))
    return ""


def _add_scopes(unit: Unit, call: Call) -> str:
    unit.kept["scopes"] = " ".join(dict.fromkeys([*unit.kept.get("scopes", "").split(), *_asked_scopes(call, "ScopeItem")]))
    return ""


def _remove_scopes(unit: Unit, call: Call) -> str:
    own, asked = unit.kept.get("scopes", "").split(), _asked_scopes(call, "ScopeItem")
    if not set(asked) <= set(own):
        raise invalid("no such scope, or a fixed one", "ter:NoScope")
    unit.kept["scopes"] = " ".join(scope for scope in own if scope not in asked)
    return "".join(f"<tds:ScopeItem>{escape(scope)}</tds:ScopeItem>" for scope in asked)


def _asked_scopes(call: Call, tag: str) -> list[str]:
    asked = [(element.text or "").strip() for element in call.element.iter(f"{{*}}{tag}")]
    if len(asked) > SCOPES_AT_MOST or not all(scope and len(scope) < 256 and not scope.split()[1:] for scope in asked):
        raise SoapFault("too many scopes, or no URIs", "ter:Action", "ter:TooManyScopes", code="Receiver")
    return asked


def _fixed_scopes(unit: Unit) -> Iterator[str]:
    device = unit.device
    yield {"camera": "type/video_encoder", "speaker": "type/audio_decoder", "recorder": "type/NetworkVideoStorage"}[device.kind]
    if device.ptz:
        yield "type/ptz"
    offered = {service.prefix for service in unit.services}
    yield from (f"Profile/{name}" for name, prefix in (("Streaming", "trt"), ("T", "tr2"), ("G", "trp")) if prefix in offered)
    yield f"hardware/{quote(device.model)}"
    yield f"name/{quote(device.vendor)}"
    yield f"location/city/Liaocheng/{device.group or 'centre'}"


def _scope(kind: str, item: str) -> str:
    return f"<tds:Scopes><tt:ScopeDef>{kind}</tt:ScopeDef><tt:ScopeItem>{escape(item)}</tt:ScopeItem></tds:Scopes>"


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
        "SetScopes": _set_scopes,
        "AddScopes": _add_scopes,
        "RemoveScopes": _remove_scopes,
        "GetUsers": _users,
        "GetWsdlUrl": _wsdl_url,
        **network.OPERATIONS,
        **terminals.OPERATIONS,
    },
    anonymous=frozenset({"GetSystemDateAndTime", "GetServices", "GetCapabilities", "GetServiceCapabilities", "GetHostname", "GetWsdlUrl"}),
)
