"""Configurations in the words that Media and Media2 share (types of onvif.xsd)."""

from dataclasses import dataclass
from typing import Final

from simulators.onvif.streams import AUDIO_OUTPUT, SOURCE_SIZE, Stream
from simulators.onvif.tokens import VIDEO_SOURCE

MULTICAST: Final = (
    "<tt:Multicast><tt:Address><tt:Type>IPv4</tt:Type><tt:IPv4Address>0.0.0.0</tt:IPv4Address></tt:Address>"
    "<tt:Port>0</tt:Port><tt:TTL>0</tt:TTL><tt:AutoStart>false</tt:AutoStart></tt:Multicast>"
)
GENERIC: Final = "http://www.onvif.org/ver10/tptz/"
PTZ_SPACES: Final = {
    "AbsolutePanTiltPosition": GENERIC + "PanTiltSpaces/PositionGenericSpace",
    "AbsoluteZoomPosition": GENERIC + "ZoomSpaces/PositionGenericSpace",
    "RelativePanTiltTranslation": GENERIC + "PanTiltSpaces/TranslationGenericSpace",
    "RelativeZoomTranslation": GENERIC + "ZoomSpaces/TranslationGenericSpace",
    "ContinuousPanTiltVelocity": GENERIC + "PanTiltSpaces/VelocityGenericSpace",
    "ContinuousZoomVelocity": GENERIC + "ZoomSpaces/VelocityGenericSpace",
}


ANALYTICS: Final = "VideoAnalyticsConfig_1"
METADATA: Final = "MetadataConfig_1"


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """An analytics module or a rule with its one parameter and, for a rule, the topic and the item in which it tells."""

    name: str
    kind: str
    parameter: str
    value: int
    range: tuple[int, int]
    topic: str = ""
    tells: tuple[str, str] = ("", "")


MODULES: Final = (
    BuiltIn("CellMotion", "tt:CellMotionEngine", "Sensitivity", 60, (0, 100)),
    BuiltIn("Tamper", "tt:TamperEngine", "Sensitivity", 50, (0, 100)),
)
RULES: Final = (
    BuiltIn(
        "MotionRule", "tt:CellMotionDetector", "MinCount", 5, (1, 100), "RuleEngine/CellMotionDetector/Motion", ("IsMotion", "xs:boolean")
    ),
    BuiltIn("TamperRule", "tt:TamperDetector", "MinCount", 5, (1, 100), "RuleEngine/TamperDetector/Tamper", ("IsTamper", "xs:boolean")),
    BuiltIn("LineRule", "tt:LineDetector", "MinCount", 1, (1, 100), "RuleEngine/LineDetector/Crossed", ("ObjectId", "xs:integer")),
)
AUDIO_OUTPUT_CONFIGURATION: Final = "AudioOutputConfig_1"


def video_source(tag: str, uses: int) -> str:
    width, height = SOURCE_SIZE
    return (
        f'<{tag} token="VideoSourceConfig_1"><tt:Name>videoSource</tt:Name><tt:UseCount>{uses}</tt:UseCount>'
        f'<tt:SourceToken>{VIDEO_SOURCE}</tt:SourceToken><tt:Bounds x="0" y="0" width="{width}" height="{height}"/></{tag}>'
    )


def video_source_options(tag: str) -> str:
    width, height = SOURCE_SIZE
    ranges = (("XRange", 0, 0), ("YRange", 0, 0), ("WidthRange", width, width), ("HeightRange", height, height))
    bounds = "".join(f"<tt:{name}><tt:Min>{low}</tt:Min><tt:Max>{high}</tt:Max></tt:{name}>" for name, low, high in ranges)
    return (
        f'<{tag} MaximumNumberOfProfiles="2"><tt:BoundsRange>{bounds}</tt:BoundsRange>'
        f"<tt:VideoSourceTokensAvailable>{VIDEO_SOURCE}</tt:VideoSourceTokensAvailable></{tag}>"
    )


def analytics(tag: str) -> str:
    modules = "".join(built_in("tt:AnalyticsModule", module) for module in MODULES)
    rules = "".join(built_in("tt:Rule", rule) for rule in RULES)
    return (
        f'<{tag} token="{ANALYTICS}"><tt:Name>analytics</tt:Name><tt:UseCount>2</tt:UseCount>'
        f"<tt:AnalyticsEngineConfiguration>{modules}</tt:AnalyticsEngineConfiguration>"
        f"<tt:RuleEngineConfiguration>{rules}</tt:RuleEngineConfiguration></{tag}>"
    )


def built_in(tag: str, one: BuiltIn) -> str:
    """A module or a rule as it is set (tt:Config)."""
    item = f'<tt:SimpleItem Name="{one.parameter}" Value="{one.value}"/>'
    return f'<{tag} Name="{one.name}" Type="{one.kind}"><tt:Parameters>{item}</tt:Parameters></{tag}>'


def metadata(tag: str) -> str:
    """No profile uses it: its streams carry pictures only."""
    return (
        f'<{tag} token="{METADATA}"><tt:Name>metadata</tt:Name><tt:UseCount>0</tt:UseCount><tt:Analytics>false</tt:Analytics>'
        f"{MULTICAST}<tt:SessionTimeout>PT60S</tt:SessionTimeout></{tag}>"
    )


def metadata_options(tag: str) -> str:
    return (
        f"<{tag}><tt:PTZStatusFilterOptions><tt:PanTiltStatusSupported>false</tt:PanTiltStatusSupported>"
        f"<tt:ZoomStatusSupported>false</tt:ZoomStatusSupported></tt:PTZStatusFilterOptions></{tag}>"
    )


def audio_output_options(tag: str) -> str:
    return (
        f"<{tag}><tt:OutputTokensAvailable>{AUDIO_OUTPUT}</tt:OutputTokensAvailable>"
        "<tt:SendPrimacyOptions>www.onvif.org/ver20/HalfDuplex/Server</tt:SendPrimacyOptions>"
        f"<tt:OutputLevelRange><tt:Min>0</tt:Min><tt:Max>100</tt:Max></tt:OutputLevelRange></{tag}>"
    )


def encoder_name(stream: Stream) -> str:
    """How token and name of a video encoder's configuration are written."""
    return f'token="VideoEncoder_{stream.suffix}"><tt:Name>{stream.name}</tt:Name><tt:UseCount>1</tt:UseCount>'


def audio_output(tag: str, level: int) -> str:
    return (
        f'<{tag} token="{AUDIO_OUTPUT_CONFIGURATION}"><tt:Name>audioOutput</tt:Name><tt:UseCount>1</tt:UseCount>'
        f"<tt:OutputToken>{AUDIO_OUTPUT}</tt:OutputToken><tt:SendPrimacy>www.onvif.org/ver20/HalfDuplex/Server</tt:SendPrimacy>"
        f"<tt:OutputLevel>{level}</tt:OutputLevel></{tag}>"
    )


def audio_decoder(tag: str) -> str:
    return f'<{tag} token="AudioDecoderConfig_1"><tt:Name>audioDecoder</tt:Name><tt:UseCount>1</tt:UseCount></{tag}>'


def ptz(tag: str) -> str:
    names = {
        "DefaultAbsolutePantTiltPositionSpace": "AbsolutePanTiltPosition",  # spelt so in the standard
        "DefaultAbsoluteZoomPositionSpace": "AbsoluteZoomPosition",
        "DefaultRelativePanTiltTranslationSpace": "RelativePanTiltTranslation",
        "DefaultRelativeZoomTranslationSpace": "RelativeZoomTranslation",
        "DefaultContinuousPanTiltVelocitySpace": "ContinuousPanTiltVelocity",
        "DefaultContinuousZoomVelocitySpace": "ContinuousZoomVelocity",
    }
    spaces = "".join(f"<tt:{name}>{PTZ_SPACES[space]}</tt:{name}>" for name, space in names.items())
    return (
        f'<{tag} token="PTZConfig_1"><tt:Name>ptz</tt:Name><tt:UseCount>2</tt:UseCount><tt:NodeToken>PTZNode_1</tt:NodeToken>'
        f"{spaces}<tt:DefaultPTZTimeout>PT10S</tt:DefaultPTZTimeout></{tag}>"
    )
