"""Records a real device: the read-only operations of the services that it lists, once each, into a folder that can be served again.

Nothing is asked that changes anything. What the device says that is secret is removed before it is written.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from lxml import etree

from simulators.onvif.soap import PREFIXES
from simulators.recorded.client import Client
from simulators.recorded.folder import payload_of
from simulators.recorded.secrets import Scrubber

ENTRY: Final = "/onvif/device_service"
DEVICE, MEDIA, MEDIA2, PTZ = PREFIXES["tds"], PREFIXES["trt"], PREFIXES["tr2"], PREFIXES["tptz"]
EVENTS: Final = PREFIXES["tev"]
IMAGING: Final = "http://www.onvif.org/ver20/imaging/wsdl"
ANALYTICS: Final = "http://www.onvif.org/ver20/analytics/wsdl"
DEVICE_IO: Final = "http://www.onvif.org/ver10/deviceIO/wsdl"
PROFILE: Final = "<r:ProfileToken>{profile}</r:ProfileToken>"
_STREAM: Final = (
    "<r:StreamSetup><tt:Stream>RTP-Unicast</tt:Stream><tt:Transport><tt:Protocol>RTSP</tt:Protocol></tt:Transport></r:StreamSetup>"
    + PROFILE
)

READ_ONLY: Final[dict[str, tuple[str, dict[str, str]]]] = {
    DEVICE: (
        "device",
        {
            "GetServices": "<r:IncludeCapability>true</r:IncludeCapability>",
            "GetCapabilities": "<r:Category>All</r:Category>",
            **dict.fromkeys(
                (
                    "GetSystemDateAndTime",
                    "GetDeviceInformation",
                    "GetServiceCapabilities",
                    "GetScopes",
                    "GetHostname",
                    "GetDNS",
                    "GetNTP",
                    "GetNetworkInterfaces",
                    "GetNetworkProtocols",
                    "GetNetworkDefaultGateway",
                    "GetDiscoveryMode",
                    "GetZeroConfiguration",
                    "GetUsers",
                    "GetWsdlUrl",
                    "GetEndpointReference",
                    "GetRelayOutputs",
                    "GetSystemUris",
                    "GetStorageConfigurations",
                    "GetGeoLocation",
                ),
                "",
            ),
        },
    ),
    MEDIA: (
        "media",
        {
            "GetStreamUri": _STREAM,
            "GetSnapshotUri": PROFILE,
            "GetProfile": PROFILE,
            **dict.fromkeys(
                (
                    "GetServiceCapabilities",
                    "GetProfiles",
                    "GetVideoSources",
                    "GetVideoSourceConfigurations",
                    "GetAudioSources",
                    "GetVideoEncoderConfigurations",
                    "GetAudioOutputs",
                    "GetAudioOutputConfigurations",
                    "GetAudioDecoderConfigurations",
                    "GetAudioSourceConfigurations",
                    "GetAudioEncoderConfigurations",
                    "GetMetadataConfigurations",
                    "GetOSDs",
                ),
                "",
            ),
        },
    ),
    MEDIA2: (
        "media2",
        {
            "GetProfiles": "<r:Type>All</r:Type>",
            "GetStreamUri": "<r:Protocol>RtspUnicast</r:Protocol>" + PROFILE,
            "GetSnapshotUri": PROFILE,
            **dict.fromkeys(
                ("GetServiceCapabilities", "GetVideoEncoderConfigurations", "GetAudioOutputConfigurations", "GetMetadataConfigurations"), ""
            ),
        },
    ),
    PTZ: (
        "ptz",
        {
            "GetPresets": PROFILE,
            "GetStatus": PROFILE,
            **dict.fromkeys(("GetServiceCapabilities", "GetNodes", "GetConfigurations"), ""),
        },
    ),
    EVENTS: ("events", dict.fromkeys(("GetServiceCapabilities", "GetEventProperties"), "")),
    IMAGING: ("imaging", {"GetServiceCapabilities": "", "GetImagingSettings": "<r:VideoSourceToken>{source}</r:VideoSourceToken>"}),
    ANALYTICS: ("analytics", {"GetServiceCapabilities": ""}),
    DEVICE_IO: ("device_io", dict.fromkeys(("GetServiceCapabilities", "GetAudioOutputs", "GetRelayOutputs", "GetDigitalInputs"), "")),
    PREFIXES["trc"]: ("recording", dict.fromkeys(("GetServiceCapabilities", "GetRecordings", "GetRecordingJobs"), "")),
    PREFIXES["tse"]: ("search", dict.fromkeys(("GetServiceCapabilities", "GetRecordingSummary"), "")),
    PREFIXES["trp"]: ("replay", {"GetServiceCapabilities": ""}),
}
"""Folder and operations of each service by its namespace; where an operation wants tokens, those of the first profile are put in."""


@dataclass(frozen=True, slots=True)
class Taken:
    """One answer before it is written. `folder`: its service's."""

    folder: str
    operation: str
    body: bytes
    is_fault: bool


@dataclass
class Recorder:
    """Asks one device after its services. `report` is told each line for whoever watches."""

    client: Client
    report: Callable[[str], None]
    tokens: dict[str, str] = field(default_factory=lambda: {"profile": "", "source": ""})

    def take(self) -> list[Taken]:
        """All answers. Raises OSError when the device cannot be reached, ValueError when it speaks no ONVIF or refuses the login."""
        status, clock = self.client.call(ENTRY, DEVICE, "GetSystemDateAndTime")
        self.client.read_clock(clock)
        status, identity = self.client.call(ENTRY, DEVICE, "GetDeviceInformation")
        if b"NotAuthorized" in identity or status == 401:
            raise ValueError("the device refuses this login; nothing more was asked, so that it does not lock")
        taken: list[Taken] = []
        for namespace, path in self._services().items():
            folder, operations = READ_ONLY[namespace]
            for operation in sorted(operations, key=lambda name: name != "GetProfiles"):
                taken += self._one(folder, path, namespace, operation, operations[operation])
        if not any(not one.is_fault for one in taken):
            raise ValueError(f"{self.client.host}:{self.client.port} answers to no ONVIF operation")
        return taken

    def _services(self) -> dict[str, str]:
        """The path of each service that can be recorded, as GetServices has it, else GetCapabilities."""
        paths = {DEVICE: ENTRY}
        _, listed = self.client.call(ENTRY, DEVICE, "GetServices", "<r:IncludeCapability>false</r:IncludeCapability>")
        paths.update(_listed(listed, "Service"))
        if len(paths) == 1:
            _, listed = self.client.call(ENTRY, DEVICE, "GetCapabilities", "<r:Category>All</r:Category>")
            paths.update(_from_capabilities(listed))
        return {namespace: path for namespace, path in paths.items() if namespace in READ_ONLY}

    def _one(self, folder: str, path: str, namespace: str, operation: str, inner: str) -> Iterator[Taken]:
        if any(f"{{{name}}}" in inner and not token for name, token in self.tokens.items()):
            return
        status, body = self.client.call(
            path, namespace, operation, inner.format(**{name: escape(token) for name, token in self.tokens.items()})
        )
        try:
            payload = payload_of(body)
        except ValueError:
            self.report(f"{folder}/{operation}: HTTP {status}, no SOAP: left out")
            return
        is_fault = etree.QName(payload).localname == "Fault"
        if operation == "GetProfiles" and not is_fault:
            self._learn_tokens(payload)
        self.report(f"{folder}/{operation}: {'fault' if is_fault else 'answer'}, {len(body)} bytes")
        yield Taken(folder, operation, body, is_fault)

    def _learn_tokens(self, payload: etree._Element) -> None:
        profile = next(payload.iterchildren("{*}Profiles"), None)
        if profile is not None:
            self.tokens["profile"] = profile.get("token", "")
            self.tokens["source"] = next((found.text or "" for found in profile.iter("{*}SourceToken")), "")


def write(taken: list[Taken], out: Path, scrubber: Scrubber) -> None:
    """Write the answers, without their secrets, into a folder that has none yet. Raises OSError, ValueError."""
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty")
    for one in taken:
        path = out / one.folder / f"{one.operation}.{'Error' if one.is_fault else 'Response'}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(scrubber.scrubbed(one.body))


def _listed(body: bytes, element: str) -> Iterator[tuple[str, str]]:
    """Namespace and path of each service in a GetServicesResponse."""
    try:
        services = list(payload_of(body).iterchildren(f"{{*}}{element}"))
    except ValueError:
        return
    for service in services:
        said = {etree.QName(child).localname: (child.text or "").strip() for child in service}
        if path := urlsplit(said.get("XAddr", "")).path:
            yield said.get("Namespace", ""), path


_CAPABILITIES: Final = {"Media": MEDIA, "PTZ": PTZ, "Events": EVENTS, "Imaging": IMAGING, "Analytics": ANALYTICS, "DeviceIO": DEVICE_IO,
                        "Recording": PREFIXES["trc"], "Search": PREFIXES["tse"], "Replay": PREFIXES["trp"]}  # fmt: skip


def _from_capabilities(body: bytes) -> Iterator[tuple[str, str]]:
    for name, namespace in _CAPABILITIES.items():
        found = re.search(rb"<(?:[\w.-]+:)?" + name.encode() + rb"\b[^>]*>\s*<(?:[\w.-]+:)?XAddr>([^<]+)<", body)
        if found and (path := urlsplit(found[1].decode(errors="replace").strip()).path):
            yield namespace, path
