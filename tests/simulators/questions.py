"""What the tests ask of every operation that a simulated device offers; a new one that wants arguments needs its line here."""

import struct
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from lxml import etree

from simulators.city import SimDevice
from simulators.onvif.streams import streams_of
from tests.simulators import oracle
from tests.simulators.street import NOW, Answer, Street, envelope

START = datetime.fromtimestamp(NOW, UTC) - timedelta(days=2)
SETUP = {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}
KEEP = {"KeepAliveTime": timedelta(seconds=30)}
EVENT_SEARCH = {"StartPoint": START, "EndPoint": START + timedelta(days=1), "Scope": {}, "SearchFilter": {}, "IncludeStartState": True}
MOVES = {"PanTilt": {"x": 0.5, "y": -0.25}, "Zoom": {"x": 0.1}}
PROFILE = {"ProfileToken": "{profile}"}
SOURCE = {"VideoSourceToken": "VideoSource_1"}
RELAY = {"Mode": "Monostable", "DelayTime": timedelta(seconds=2), "IdleState": "open"}
CONFIGURATIONS = {
    "VideoSource": "VideoSourceConfig_1",
    "VideoEncoder": "VideoEncoder_main",
    "VideoAnalytics": "VideoAnalyticsConfig_1",
    "Metadata": "MetadataConfig_1",
    "AudioOutput": "AudioOutputConfig_1",
    "AudioDecoder": "AudioDecoderConfig_1",
    "AudioSource": "none",
    "AudioEncoder": "none",
}
CLIP = (
    "<tr2:Configuration><tr2:Enabled>true</tr2:Enabled><tr2:Name>a &lt;clip&gt;</tr2:Name>"
    "<tr2:AudioOutputToken>AudioOutput_1</tr2:AudioOutputToken><tr2:Type>audio/vnd.wave;codec=7</tr2:Type>"
    "<tr2:RepeatCycles>2</tr2:RepeatCycles><tr2:RepeatInterval>1</tr2:RepeatInterval><tr2:AudioOutputLevel>70</tr2:AudioOutputLevel>"
    "</tr2:Configuration>"
)
QUESTIONS: dict[tuple[str, str], dict[str, Any] | str] = {
    ("tds", "GetServices"): {"IncludeCapability": True},
    ("tds", "GetCapabilities"): {"Category": ["All"]},
    ("tds", "SetSystemDateAndTime"): {"DateTimeType": "NTP", "DaylightSavings": False},
    ("tds", "SetScopes"): {"Scopes": ["onvif://www.onvif.org/floor/1"]},
    ("tds", "AddScopes"): {"ScopeItem": ["onvif://www.onvif.org/floor/2"]},
    ("tds", "RemoveScopes"): {"ScopeItem": ["onvif://www.onvif.org/floor/2"]},
    ("tds", "SetHostname"): {"Name": "junction-7"},
    ("tds", "SetDNS"): {"FromDHCP": False, "DNSManual": [{"Type": "IPv4", "IPv4Address": "127.0.0.53"}]},
    ("tds", "SetNTP"): {"FromDHCP": False, "NTPManual": [{"Type": "IPv4", "IPv4Address": "127.0.0.1"}]},
    ("tds", "SetRelayOutputState"): {"RelayOutputToken": "RelayOutput_1", "LogicalState": "active"},
    ("tds", "SetRelayOutputSettings"): {"RelayOutputToken": "RelayOutput_1", "Properties": RELAY},
    ("tmd", "SetRelayOutputSettings"): {"RelayOutput": {"token": "RelayOutput_1", "Properties": RELAY}},
    **{("trt", f"Get{kind}Configuration"): {"ConfigurationToken": token} for kind, token in CONFIGURATIONS.items()},
    **{("trt", f"GetCompatible{kind}Configurations"): PROFILE for kind in CONFIGURATIONS},
    ("trt", "GetGuaranteedNumberOfVideoEncoderInstances"): {"ConfigurationToken": "VideoSourceConfig_1"},
    ("trt", "SetSynchronizationPoint"): PROFILE,
    ("tr2", "SetSynchronizationPoint"): "<tr2:ProfileToken>{profile}</tr2:ProfileToken>",
    ("tr2", "GetVideoEncoderInstances"): "<tr2:ConfigurationToken>VideoSourceConfig_1</tr2:ConfigurationToken>",
    ("tr2", "SetVideoEncoderConfiguration"): "{encoder}",
    ("timg", "GetImagingSettings"): SOURCE,
    ("timg", "GetOptions"): SOURCE,
    ("timg", "GetMoveOptions"): SOURCE,
    ("timg", "GetStatus"): SOURCE,
    ("timg", "Stop"): SOURCE,
    ("timg", "Move"): {**SOURCE, "Focus": {"Absolute": {"Position": 0.3}}},
    ("timg", "SetImagingSettings"): {**SOURCE, "ImagingSettings": {"Brightness": 60.0, "Focus": {"AutoFocusMode": "MANUAL"}}},
    ("tan", "GetAnalyticsModules"): {"ConfigurationToken": "VideoAnalyticsConfig_1"},
    **{
        ("tan", f"Get{what}"): "<tan:ConfigurationToken>VideoAnalyticsConfig_1</tan:ConfigurationToken>"
        for what in ("SupportedAnalyticsModules", "SupportedRules", "AnalyticsModuleOptions", "RuleOptions", "Rules")
    },
    ("tan", "GetSupportedMetadata"): "",
    ("trt", "GetProfile"): PROFILE,
    ("trt", "GetSnapshotUri"): PROFILE,
    ("trt", "GetStreamUri"): {"StreamSetup": SETUP, **PROFILE},
    ("tr2", "GetProfiles"): "<tr2:Type>All</tr2:Type>",
    ("tr2", "GetStreamUri"): "<tr2:Protocol>RTSP</tr2:Protocol><tr2:ProfileToken>{profile}</tr2:ProfileToken>",
    ("tr2", "GetSnapshotUri"): "<tr2:ProfileToken>{profile}</tr2:ProfileToken>",
    ("trt", "SetAudioOutputConfiguration"): {
        "Configuration": {"token": "AudioOutputConfig_1", "Name": "a", "UseCount": 1, "OutputToken": "AudioOutput_1", "OutputLevel": 55},
        "ForcePersistence": True,
    },
    ("tr2", "SetAudioOutputConfiguration"): (
        '<tr2:Configuration token="AudioOutputConfig_1"><tt:Name>a</tt:Name><tt:UseCount>1</tt:UseCount>'
        "<tt:OutputToken>AudioOutput_1</tt:OutputToken><tt:OutputLevel>55</tt:OutputLevel></tr2:Configuration>"
    ),
    ("tr2", "AddAudioClip"): CLIP,
    ("tr2", "SetAudioClip"): f"<tr2:Token>{{clip}}</tr2:Token>{CLIP}",
    ("tr2", "DeleteAudioClip"): "<tr2:Token>{clip}</tr2:Token>",
    ("tr2", "PlayAudioClip"): "<tr2:Token>{clip}</tr2:Token><tr2:Play>true</tr2:Play>",
    ("tptz", "GetNode"): {"NodeToken": "PTZNode_1"},
    ("tptz", "GetConfiguration"): {"PTZConfigurationToken": "PTZConfig_1"},
    ("tptz", "GetConfigurationOptions"): {"ConfigurationToken": "PTZConfig_1"},
    ("tptz", "GetCompatibleConfigurations"): PROFILE,
    ("tptz", "SetHomePosition"): PROFILE,
    ("tptz", "GetStatus"): PROFILE,
    ("tptz", "GetPresets"): PROFILE,
    ("tptz", "GotoHomePosition"): PROFILE,
    ("tptz", "ContinuousMove"): {**PROFILE, "Velocity": MOVES, "Timeout": timedelta(seconds=3)},
    ("tptz", "AbsoluteMove"): {**PROFILE, "Position": MOVES},
    ("tptz", "RelativeMove"): {**PROFILE, "Translation": MOVES},
    ("tptz", "Stop"): {**PROFILE, "PanTilt": True, "Zoom": True},
    ("tptz", "GotoPreset"): {**PROFILE, "PresetToken": "2"},
    ("tptz", "SetPreset"): {**PROFILE, "PresetName": "new"},
    ("tptz", "RemovePreset"): {**PROFILE, "PresetToken": "3"},
    ("tse", "GetRecordingInformation"): {"RecordingToken": "{recording}"},
    ("tse", "GetMediaAttributes"): {"RecordingTokens": "{recording}", "Time": START},
    ("tse", "FindRecordings"): {"Scope": {}, **KEEP},
    ("tse", "FindEvents"): {**EVENT_SEARCH, **KEEP},
    ("tse", "GetRecordingSearchResults"): {"SearchToken": "{recording search}"},
    ("tse", "GetEventSearchResults"): {"SearchToken": "{event search}"},
    ("tse", "GetSearchState"): {"SearchToken": "{event search}"},
    ("tse", "EndSearch"): {"SearchToken": "{event search}"},
    ("trc", "GetRecordingConfiguration"): {"RecordingToken": "{recording}"},
    ("trc", "GetRecordingOptions"): {"RecordingToken": "{recording}"},
    ("trc", "GetTrackConfiguration"): {"RecordingToken": "{recording}", "TrackToken": "VIDEO001"},
    ("trc", "GetRecordingJobConfiguration"): {"JobToken": "job-1"},
    ("trc", "GetRecordingJobState"): {"JobToken": "job-1"},
    ("trp", "SetReplayConfiguration"): {"Configuration": {"SessionTimeout": timedelta(minutes=1)}},
    ("trp", "GetReplayUri"): {"StreamSetup": SETUP, "RecordingToken": "{recording}"},
}
"""What zeep is asked to write; a string where it has no WSDL, or one without the operation. All others are asked without arguments."""

PATHS: dict[tuple[str, str], str] = {}
"""Where to ask, when not where the device service is; a blank of `BLANKS`, too."""

_NO_MICROPHONE = {("trt", "GetAudioSourceConfiguration"), ("trt", "GetAudioEncoderConfiguration")}
_MUTE = {(prefix, f"GetAudio{kind}ConfigurationOptions") for prefix in ("trt", "tr2") for kind in ("Output", "Decoder")} | {
    ("trt", "GetAudioOutputConfiguration"),
    ("trt", "GetAudioDecoderConfiguration"),
    *((prefix, "SetAudioOutputConfiguration") for prefix in ("trt", "tr2")),
}
_UNWIRED = {("tds", "SetRelayOutputState"), ("tds", "SetRelayOutputSettings"), ("tmd", "SetRelayOutputSettings")}
_BLIND = {
    *((prefix, "GetSnapshotUri") for prefix in ("trt", "tr2")),
    *((prefix, f"Get{kind}ConfigurationOptions") for prefix in ("trt", "tr2") for kind in ("VideoSource", "VideoEncoder", "Metadata")),
    *(("trt", f"Get{kind}Configuration") for kind in ("VideoSource", "VideoEncoder", "VideoAnalytics", "Metadata")),
    ("trt", "GetGuaranteedNumberOfVideoEncoderInstances"),
    ("tr2", "GetVideoEncoderInstances"),
    ("tr2", "SetVideoEncoderConfiguration"),
}
LACKED: dict[str, set[tuple[str, str]]] = {
    "dome": _NO_MICROPHONE | _MUTE,
    "fixed camera": _NO_MICROPHONE | _MUTE | _UNWIRED | {("timg", "Move"), ("timg", "Stop")},
    "H.265 camera": _NO_MICROPHONE | _MUTE | _UNWIRED | {("timg", "Move"), ("timg", "Stop"), ("trt", "GetVideoEncoderConfiguration")},
    "talking camera": _NO_MICROPHONE | _UNWIRED | {("timg", "Move"), ("timg", "Stop")},
    "camera with a card": _NO_MICROPHONE | _MUTE | _UNWIRED | {("timg", "Move"), ("timg", "Stop")},
    "speaker": _NO_MICROPHONE | _BLIND,
    "recorder": {("tds", "SetRelayOutputState"), ("tds", "SetRelayOutputSettings")},
}
"""What a device answers by a fault, because it has nothing of the sort."""


async def ask(street: Street, device: SimDevice, prefix: str, operation: str) -> Answer:
    """The operation's answer to a valid request for it."""
    return await put(street, device, await request(street, device, prefix, operation), await _path(street, device, (prefix, operation)))


async def put(street: Street, device: SimDevice, written: bytes, path: str = "/onvif/device_service") -> Answer:
    """The answer to a request that stands in no envelope yet."""
    return await street.http(device, "POST", path, body=envelope(written.decode(), street.login(device)))


async def request(street: Street, device: SimDevice, prefix: str, operation: str) -> bytes:
    """The element of a request, its blanks filled for this device: as zeep writes it, or by hand."""
    asked = await _filled(street, device, QUESTIONS.get((prefix, operation), {} if oracle.knows(prefix, operation) else ""))
    if not isinstance(asked, str):
        return oracle.oracle(prefix).request(operation, asked)
    inner = etree.fromstring(envelope(f"<{prefix}:{operation}>{asked}</{prefix}:{operation}>"))
    return etree.tostring(inner[1][0])


async def _path(street: Street, device: SimDevice, key: tuple[str, str]) -> str:
    path: str = await _filled(street, device, PATHS.get(key, "/onvif/device_service"))
    return path


async def _filled(street: Street, device: SimDevice, asked: Any) -> Any:
    """The same with what stands in braces replaced."""
    if isinstance(asked, dict):
        return {name: await _filled(street, device, value) for name, value in asked.items()}
    if isinstance(asked, str):
        for blank, find in BLANKS.items():
            if blank in asked:
                asked = asked.replace(blank, await find(street, device))
    return asked


async def _profile(_street: Street, device: SimDevice) -> str:
    return streams_of(device)[0].token


async def _encoder(street: Street, device: SimDevice) -> str:
    """What a client sends back that has read a configuration and changes nothing."""
    listed = (await ask(street, device, "tr2", "GetVideoEncoderConfigurations")).xml.iter("{*}Configurations")
    read = etree.tostring(next(listed), encoding="unicode", with_tail=False) if device.kind == "camera" else _ANY_ENCODER
    return read.replace("Configurations", "Configuration")


_ANY_ENCODER = (
    '<tr2:Configuration token="any"><tt:Name>a</tt:Name><tt:UseCount>1</tt:UseCount><tt:Encoding>H264</tt:Encoding><tt:Resolution>'
    "<tt:Width>1</tt:Width><tt:Height>1</tt:Height></tt:Resolution><tt:Quality>1</tt:Quality></tr2:Configuration>"
)


async def _recording(_street: Street, device: SimDevice) -> str:
    return device.channels[0].token


async def _recording_search(street: Street, device: SimDevice) -> str:
    return (await ask(street, device, "tse", "FindRecordings")).texts("SearchToken")[0]


async def _event_search(street: Street, device: SimDevice) -> str:
    return (await ask(street, device, "tse", "FindEvents")).texts("SearchToken")[0]


async def _clip(street: Street, device: SimDevice) -> str:
    added = await ask(street, device, "tr2", "AddAudioClip")
    target = "/" + added.texts("UploadUri")[0].split("/", 3)[3]
    await street.http(device, "POST", target, body=wave(b"\xff" * 800, codec=7), headers="Content-Type: audio/vnd.wave\r\n")
    return added.texts("Token")[0]


def wave(data: bytes, *, codec: int = 1, rate: int = 8000, bits: int = 8, channels: int = 1) -> bytes:
    """A WAV file around `data`."""
    align = channels * bits // 8
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, codec, channels, rate, rate * align, align, bits)
    return b"RIFF" + struct.pack("<I", 28 + len(head) + len(data)) + b"WAVE" + head + struct.pack("<4sI", b"data", len(data)) + data


BLANKS: dict[str, Callable[[Street, SimDevice], Awaitable[str]]] = {
    "{profile}": _profile,
    "{encoder}": _encoder,
    "{recording}": _recording,
    "{clip}": _clip,
    "{recording search}": _recording_search,
    "{event search}": _event_search,
}
"""What only the device can tell, each asked for when it is needed."""
