"""The Media service (ver10): profiles, stream and snapshot addresses, and a loudspeaker's audio output."""

from typing import Final

from simulators.onvif import fragments
from simulators.onvif.soap import Call, invalid
from simulators.onvif.streams import AUDIO_OUTPUT, FRAME_RATE, GOP, SOURCE_SIZE, Stream, snapshot_url, stream_in, streams_of
from simulators.onvif.tokens import VIDEO_SOURCE
from simulators.onvif.unit import Service, Unit


def _capabilities(unit: Unit) -> str:
    pictures = "true" if unit.device.kind == "camera" else "false"
    return (
        f'<trt:Capabilities SnapshotUri="{pictures}" Rotation="false" VideoSourceMode="false" OSD="false">'
        '<trt:ProfileCapabilities MaximumNumberOfProfiles="4"/><trt:StreamingCapabilities RTPMulticast="false" RTP_TCP="true" '
        'RTP_RTSP_TCP="true" NonAggregateControl="false" NoRTSPStreaming="false"/></trt:Capabilities>'
    )


def _profiles(unit: Unit, _call: Call) -> str:
    return "".join(_profile(unit, stream, "trt:Profiles") for stream in streams_of(unit.device))


def _one_profile(unit: Unit, call: Call) -> str:
    return _profile(unit, stream_in(unit, call), "trt:Profile")


def _profile(unit: Unit, stream: Stream, tag: str) -> str:
    parts = []
    if stream.width:
        parts.append(fragments.video_source("tt:VideoSourceConfiguration", len(streams_of(unit.device))))
        if stream.codec == "H264":
            parts.append(_encoder(stream, "tt:VideoEncoderConfiguration"))
    if unit.device.ptz:
        parts.append(fragments.ptz("tt:PTZConfiguration"))
    if unit.speaks():
        output, decoder = fragments.audio_output("tt:AudioOutputConfiguration"), fragments.audio_decoder("tt:AudioDecoderConfiguration")
        parts.append(f"<tt:Extension>{output}{decoder}</tt:Extension>")
    return f'<{tag} token="{stream.token}" fixed="true"><tt:Name>{stream.name}</tt:Name>{"".join(parts)}</{tag}>'


def _encoder(stream: Stream, tag: str) -> str:
    return (
        f"<{tag} {fragments.encoder_name(stream)}<tt:Encoding>H264</tt:Encoding>{_resolution(stream.width, stream.height)}"
        f"<tt:Quality>4</tt:Quality><tt:RateControl><tt:FrameRateLimit>{FRAME_RATE:.0f}</tt:FrameRateLimit>"
        f"<tt:EncodingInterval>1</tt:EncodingInterval><tt:BitrateLimit>{stream.bitrate_kbps}</tt:BitrateLimit></tt:RateControl>"
        f"<tt:H264><tt:GovLength>{GOP}</tt:GovLength><tt:H264Profile>High</tt:H264Profile></tt:H264>"
        f"{fragments.MULTICAST}<tt:SessionTimeout>PT60S</tt:SessionTimeout></{tag}>"
    )


def _resolution(width: int, height: int) -> str:
    return f"<tt:Resolution><tt:Width>{width}</tt:Width><tt:Height>{height}</tt:Height></tt:Resolution>"


def _video_streams(unit: Unit) -> list[Stream]:
    return [stream for stream in streams_of(unit.device) if stream.width]


def _encoders(unit: Unit, _call: Call) -> str:
    return "".join(_encoder(stream, "trt:Configurations") for stream in _h264_streams(unit))


def _h264_streams(unit: Unit) -> list[Stream]:
    """This service has no word for H.265 (tt:VideoEncoding): what is encoded so has its configuration in Media2 alone."""
    return [stream for stream in _video_streams(unit) if stream.codec == "H264"]


def _one_encoder(unit: Unit, call: Call) -> str:
    token = call.text("ConfigurationToken")
    for stream in _h264_streams(unit):
        if token == f"VideoEncoder_{stream.suffix}":
            return _encoder(stream, "trt:Configuration")
    raise invalid("no such configuration", "ter:NoConfig")


def _video_sources(unit: Unit, _call: Call) -> str:
    return (
        f'<trt:VideoSources token="{VIDEO_SOURCE}"><tt:Framerate>{FRAME_RATE}</tt:Framerate>{_resolution(*SOURCE_SIZE)}</trt:VideoSources>'
        if _video_streams(unit)
        else ""
    )


def _video_source_configurations(unit: Unit, _call: Call) -> str:
    streams = _video_streams(unit)
    return fragments.video_source("trt:Configurations", len(streams)) if streams else ""


def _stream_uri(unit: Unit, call: Call) -> str:
    return _media_uri(unit.rtsp_url(stream_in(unit, call).path))


def _snapshot_uri(unit: Unit, call: Call) -> str:
    return _media_uri(snapshot_url(unit, call))


def _media_uri(url: str) -> str:
    return (
        f"<trt:MediaUri><tt:Uri>{url}</tt:Uri><tt:InvalidAfterConnect>false</tt:InvalidAfterConnect>"
        "<tt:InvalidAfterReboot>false</tt:InvalidAfterReboot><tt:Timeout>PT0S</tt:Timeout></trt:MediaUri>"
    )


def _audio_outputs(unit: Unit, _call: Call) -> str:
    return f'<trt:AudioOutputs token="{AUDIO_OUTPUT}"/>' if unit.speaks() else ""


def _audio_output_configurations(unit: Unit, _call: Call) -> str:
    return fragments.audio_output("trt:Configurations") if unit.speaks() else ""


def _audio_decoder_configurations(unit: Unit, _call: Call) -> str:
    return fragments.audio_decoder("trt:Configurations") if unit.speaks() else ""


def _audio_decoder_options(unit: Unit, _call: Call) -> str:
    if not unit.speaks():
        return "<trt:Options/>"
    return (
        "<trt:Options><tt:G711DecOptions><tt:Bitrate><tt:Items>64</tt:Items></tt:Bitrate>"
        "<tt:SampleRateRange><tt:Items>8</tt:Items></tt:SampleRateRange></tt:G711DecOptions></trt:Options>"
    )


SERVICE: Final = Service(
    prefix="trt",
    paths={"": "/onvif/media_service", "HIKVISION": "/onvif/Media", "AXIS": "/onvif/services"},
    version=(2, 60),
    capabilities=_capabilities,
    operations={
        "GetProfiles": _profiles,
        "GetProfile": _one_profile,
        "GetStreamUri": _stream_uri,
        "GetSnapshotUri": _snapshot_uri,
        "GetVideoSources": _video_sources,
        "GetVideoSourceConfigurations": _video_source_configurations,
        "GetVideoEncoderConfigurations": _encoders,
        "GetVideoEncoderConfiguration": _one_encoder,
        "GetAudioOutputs": _audio_outputs,
        "GetAudioOutputConfigurations": _audio_output_configurations,
        "GetAudioDecoderConfigurations": _audio_decoder_configurations,
        "GetAudioDecoderConfigurationOptions": _audio_decoder_options,
    },
)
