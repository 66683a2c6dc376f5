"""The Media service (ver10): profiles, stream and snapshot addresses, and a loudspeaker's audio output.

It has no word for H.265: what is so encoded is left out of its profiles, which Media2 shows whole.
"""

from typing import Final

from simulators.onvif import fragments
from simulators.onvif.configurations import KINDS, chosen, listing, set_audio_output, single
from simulators.onvif.soap import Call, invalid
from simulators.onvif.streams import AUDIO_OUTPUT, FRAME_RATE, GOP, SOURCE_SIZE, Stream, snapshot_url, stream_in, streams_of
from simulators.onvif.tokens import VIDEO_SOURCE
from simulators.onvif.unit import Operation, Service, Unit


def _capabilities(unit: Unit) -> str:
    return (
        f'<trt:Capabilities SnapshotUri="{str(_sees(unit)).lower()}" Rotation="false" VideoSourceMode="false" OSD="false">'
        f'<trt:ProfileCapabilities MaximumNumberOfProfiles="{len(streams_of(unit.device))}"/><trt:StreamingCapabilities '
        'RTPMulticast="false" RTP_TCP="true" RTP_RTSP_TCP="true" NonAggregateControl="false" NoRTSPStreaming="false"/></trt:Capabilities>'
    )


def _sees(unit: Unit) -> bool:
    return unit.device.kind == "camera"


# -- profiles ---------------------------------------------------------------------------------------------------------


def _profiles(unit: Unit, _call: Call) -> str:
    return "".join(_profile(unit, stream, "trt:Profiles") for stream in streams_of(unit.device))


def _one_profile(unit: Unit, call: Call) -> str:
    return _profile(unit, stream_in(unit, call), "trt:Profile")


def _profile(unit: Unit, stream: Stream, tag: str) -> str:
    parts = []
    if stream.width:
        parts.append(fragments.video_source("tt:VideoSourceConfiguration", len(streams_of(unit.device))))
        parts.append(_encoder(stream, "tt:VideoEncoderConfiguration"))
        parts.append(fragments.analytics("tt:VideoAnalyticsConfiguration"))
    if unit.device.ptz:
        parts.append(fragments.ptz("tt:PTZConfiguration"))
    if unit.speaks():
        output, decoder = (
            fragments.audio_output("tt:AudioOutputConfiguration", unit.level()),
            fragments.audio_decoder("tt:AudioDecoderConfiguration"),
        )
        parts.append(f"<tt:Extension>{output}{decoder}</tt:Extension>")
    return f'<{tag} token="{stream.token}" fixed="true"><tt:Name>{stream.name}</tt:Name>{"".join(parts)}</{tag}>'


def _encoder(stream: Stream, tag: str) -> str:
    if stream.codec != "H264":
        return ""
    return (
        f"<{tag} {fragments.encoder_name(stream)}<tt:Encoding>H264</tt:Encoding>{_resolution('tt:Resolution', stream)}"
        f"<tt:Quality>4</tt:Quality><tt:RateControl><tt:FrameRateLimit>{FRAME_RATE:.0f}</tt:FrameRateLimit>"
        f"<tt:EncodingInterval>1</tt:EncodingInterval><tt:BitrateLimit>{stream.bitrate_kbps}</tt:BitrateLimit></tt:RateControl>"
        f"<tt:H264><tt:GovLength>{GOP}</tt:GovLength><tt:H264Profile>High</tt:H264Profile></tt:H264>"
        f"{fragments.MULTICAST}<tt:SessionTimeout>PT60S</tt:SessionTimeout></{tag}>"
    )


def _resolution(tag: str, stream: Stream) -> str:
    return f"<{tag}><tt:Width>{stream.width}</tt:Width><tt:Height>{stream.height}</tt:Height></{tag}>"


# -- sources and options ----------------------------------------------------------------------------------------------


def _video_sources(unit: Unit, _call: Call) -> str:
    width, height = SOURCE_SIZE
    resolution = f"<tt:Resolution><tt:Width>{width}</tt:Width><tt:Height>{height}</tt:Height></tt:Resolution>"
    framed = f"<tt:Framerate>{FRAME_RATE}</tt:Framerate>{resolution}"
    return f'<trt:VideoSources token="{VIDEO_SOURCE}">{framed}</trt:VideoSources>' if _sees(unit) else ""


def _video_source_options(unit: Unit, _call: Call) -> str:
    if not _sees(unit):
        raise invalid("no video source", "ter:NoConfig")
    return fragments.video_source_options("trt:Options")


def _encoder_options(unit: Unit, call: Call) -> str:
    """What stands is all that can be: the street is encoded once for all cameras."""
    if not _sees(unit):
        raise invalid("no video encoder", "ter:NoConfig")
    streams = [stream for stream in chosen(unit, call) if stream.codec == "H264"]
    if not streams:
        return f"<trt:Options>{_range('QualityRange', 4, 4)}</trt:Options>"
    rate, sizes = round(FRAME_RATE), "".join(_resolution("tt:ResolutionsAvailable", stream) for stream in streams)
    inner = (
        f"{sizes}{_range('GovLengthRange', GOP, GOP)}{_range('FrameRateRange', rate, rate)}{_range('EncodingIntervalRange', 1, 1)}"
        "<tt:H264ProfilesSupported>High</tt:H264ProfilesSupported>"
    )
    rates = _range("BitrateRange", min(stream.bitrate_kbps for stream in streams), max(stream.bitrate_kbps for stream in streams))
    extension = f"<tt:Extension><tt:H264>{inner}{rates}</tt:H264></tt:Extension>"
    return f"<trt:Options>{_range('QualityRange', 4, 4)}<tt:H264>{inner}</tt:H264>{extension}</trt:Options>"


def _range(name: str, low: int, high: int) -> str:
    return f"<tt:{name}><tt:Min>{low}</tt:Min><tt:Max>{high}</tt:Max></tt:{name}>"


def _guaranteed_instances(unit: Unit, call: Call) -> str:
    if not _sees(unit) or call.text("ConfigurationToken") != "VideoSourceConfig_1":
        raise invalid("no such configuration", "ter:NoConfig")
    streams = streams_of(unit.device)
    h264 = sum(stream.codec == "H264" for stream in streams)
    return f"<trt:TotalNumber>{len(streams)}</trt:TotalNumber><trt:H264>{h264}</trt:H264>"


def _metadata_options(unit: Unit, _call: Call) -> str:
    if not _sees(unit):
        raise invalid("no metadata", "ter:NoConfig")
    return fragments.metadata_options("trt:Options")


def _audio_output_options(unit: Unit, _call: Call) -> str:
    if not unit.speaks():
        raise invalid("no audio output", "ter:NoConfig")
    return fragments.audio_output_options("trt:Options")


def _audio_decoder_options(unit: Unit, _call: Call) -> str:
    if not unit.speaks():
        raise invalid("no audio decoder", "ter:NoConfig")
    return (
        "<trt:Options><tt:G711DecOptions><tt:Bitrate><tt:Items>64</tt:Items></tt:Bitrate>"
        "<tt:SampleRateRange><tt:Items>8</tt:Items></tt:SampleRateRange></tt:G711DecOptions></trt:Options>"
    )


def _audio_outputs(unit: Unit, _call: Call) -> str:
    return f'<trt:AudioOutputs token="{AUDIO_OUTPUT}"/>' if unit.speaks() else ""


def _none(_unit: Unit, _call: Call) -> str:
    return ""


# -- addresses --------------------------------------------------------------------------------------------------------


def _stream_uri(unit: Unit, call: Call) -> str:
    if call.text("Stream") == "RTP-Multicast":
        raise invalid("no multicast", "ter:InvalidStreamSetup")
    return _media_uri(unit.rtsp_url(stream_in(unit, call).path))


def _snapshot_uri(unit: Unit, call: Call) -> str:
    return _media_uri(snapshot_url(unit, call))


def _media_uri(url: str) -> str:
    return (
        f"<trt:MediaUri><tt:Uri>{url}</tt:Uri><tt:InvalidAfterConnect>false</tt:InvalidAfterConnect>"
        "<tt:InvalidAfterReboot>false</tt:InvalidAfterReboot><tt:Timeout>PT0S</tt:Timeout></trt:MediaUri>"
    )


def _synchronization_point(unit: Unit, call: Call) -> str:
    """Its streams send a key picture every two seconds by themselves: nothing is to be done."""
    stream_in(unit, call)
    return ""


def _configurations() -> dict[str, Operation]:
    found: dict[str, Operation] = {}
    for kind in KINDS:
        found[f"Get{kind}Configurations"] = found[f"GetCompatible{kind}Configurations"] = listing(kind, "trt:Configurations", _encoder)
        found[f"Get{kind}Configuration"] = single(kind, "trt:Configuration", _encoder)
    return found


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
        "SetSynchronizationPoint": _synchronization_point,
        "GetVideoSources": _video_sources,
        "GetAudioSources": _none,
        "GetAudioOutputs": _audio_outputs,
        **_configurations(),
        "GetVideoSourceConfigurationOptions": _video_source_options,
        "GetVideoEncoderConfigurationOptions": _encoder_options,
        "GetGuaranteedNumberOfVideoEncoderInstances": _guaranteed_instances,
        "GetMetadataConfigurationOptions": _metadata_options,
        "SetAudioOutputConfiguration": set_audio_output,
        "GetAudioOutputConfigurationOptions": _audio_output_options,
        "GetAudioDecoderConfigurationOptions": _audio_decoder_options,
    },
)
