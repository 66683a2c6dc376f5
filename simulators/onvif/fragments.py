"""Configurations in the words that Media and Media2 share (types of onvif.xsd)."""

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


def video_source(tag: str, uses: int) -> str:
    width, height = SOURCE_SIZE
    return (
        f'<{tag} token="VideoSourceConfig_1"><tt:Name>videoSource</tt:Name><tt:UseCount>{uses}</tt:UseCount>'
        f'<tt:SourceToken>{VIDEO_SOURCE}</tt:SourceToken><tt:Bounds x="0" y="0" width="{width}" height="{height}"/></{tag}>'
    )


def encoder_name(stream: Stream) -> str:
    """How token and name of a video encoder's configuration are written."""
    return f'token="VideoEncoder_{stream.suffix}"><tt:Name>{stream.name}</tt:Name><tt:UseCount>1</tt:UseCount>'


def audio_output(tag: str) -> str:
    return (
        f'<{tag} token="AudioOutputConfig_1"><tt:Name>audioOutput</tt:Name><tt:UseCount>1</tt:UseCount>'
        f"<tt:OutputToken>{AUDIO_OUTPUT}</tt:OutputToken><tt:SendPrimacy>www.onvif.org/ver20/HalfDuplex/Server</tt:SendPrimacy>"
        f"<tt:OutputLevel>80</tt:OutputLevel></{tag}>"
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
