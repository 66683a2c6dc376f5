"""The Media2 service (ver20): the same streams in its own words, H.265 among them."""

from typing import Final

from simulators.onvif import fragments
from simulators.onvif.configurations import KINDS, chosen, encoder_token, listing, set_audio_output
from simulators.onvif.soap import Call, SoapFault, invalid, text
from simulators.onvif.streams import FRAME_RATE, GOP, Stream, snapshot_url, stream_in, streams_of
from simulators.onvif.unit import Operation, Service, Unit

_PROFILE: Final = {"H264": "High", "H265": "Main"}


def capabilities(unit: Unit) -> str:
    pictures = "true" if unit.device.kind == "camera" else "false"
    kinds = "VideoSource VideoEncoder Analytics PTZ" if unit.device.kind == "camera" else "AudioOutput AudioDecoder"
    return (
        f'<tr2:Capabilities SnapshotUri="{pictures}" Rotation="false" OSD="false" Mask="false">'
        f'<tr2:ProfileCapabilities MaximumNumberOfProfiles="{len(streams_of(unit.device))}" ConfigurationsSupported="{kinds}"/>'
        '<tr2:StreamingCapabilities RTSPStreaming="true" RTPMulticast="false" RTP_RTSP_TCP="true" NonAggregateControl="false"/>'
        "</tr2:Capabilities>"
    )


# -- profiles ---------------------------------------------------------------------------------------------------------


def _profiles(unit: Unit, call: Call) -> str:
    token = call.text("Token")
    wanted = {(element.text or "").strip() for element in call.element.iter("{*}Type")}
    asked = [stream for stream in streams_of(unit.device) if token in {"", stream.token}]
    if token and not asked:
        raise invalid("no such profile", "ter:NoProfile")
    return "".join(_profile(unit, stream, wanted) for stream in asked)


def _profile(unit: Unit, stream: Stream, wanted: set[str]) -> str:
    """Without a Type the configurations are left out (Media2 §5.2.2)."""
    parts = {}
    if stream.width:
        parts["VideoSource"] = fragments.video_source("tr2:VideoSource", len(streams_of(unit.device)))
        parts["VideoEncoder"] = _encoder(stream, "tr2:VideoEncoder")
        parts["Analytics"] = fragments.analytics("tr2:Analytics")
    if unit.device.ptz:
        parts["PTZ"] = fragments.ptz("tr2:PTZ")
    if unit.speaks():
        parts["AudioOutput"] = fragments.audio_output("tr2:AudioOutput", unit.level())
        parts["AudioDecoder"] = fragments.audio_decoder("tr2:AudioDecoder")
    inside = "".join(part for name, part in parts.items() if name in wanted or "All" in wanted)
    inner = f"<tr2:Configurations>{inside}</tr2:Configurations>" if inside else ""
    return f'<tr2:Profiles token="{stream.token}" fixed="true"><tr2:Name>{stream.name}</tr2:Name>{inner}</tr2:Profiles>'


def _encoder(stream: Stream, tag: str) -> str:
    opening = f'<{tag} GovLength="{GOP}" Profile="{_PROFILE[stream.codec]}" {fragments.encoder_name(stream)}'
    return (
        f"{opening}<tt:Encoding>{stream.codec}</tt:Encoding><tt:Resolution><tt:Width>{stream.width}</tt:Width>"
        f"<tt:Height>{stream.height}</tt:Height></tt:Resolution><tt:RateControl><tt:FrameRateLimit>{FRAME_RATE}</tt:FrameRateLimit>"
        f"<tt:BitrateLimit>{stream.bitrate_kbps}</tt:BitrateLimit></tt:RateControl>{fragments.MULTICAST}<tt:Quality>4</tt:Quality></{tag}>"
    )


# -- options ----------------------------------------------------------------------------------------------------------


def _encoder_options(unit: Unit, call: Call) -> str:
    """What stands is all that can be: the street is encoded once for all cameras."""
    if unit.device.kind != "camera":
        raise invalid("no video encoder", "ter:NoConfig")
    return "".join(
        f'<tr2:Options GovLengthRange="{GOP} {GOP}" FrameRatesSupported="{FRAME_RATE}" ProfilesSupported="{_PROFILE[stream.codec]}" '
        f'ConstantBitRateSupported="false"><tt:Encoding>{stream.codec}</tt:Encoding><tt:QualityRange><tt:Min>4</tt:Min><tt:Max>4</tt:Max>'
        f"</tt:QualityRange><tt:ResolutionsAvailable><tt:Width>{stream.width}</tt:Width><tt:Height>{stream.height}</tt:Height>"
        f"</tt:ResolutionsAvailable><tt:BitrateRange><tt:Min>{stream.bitrate_kbps}</tt:Min><tt:Max>{stream.bitrate_kbps}</tt:Max>"
        "</tt:BitrateRange></tr2:Options>"
        for stream in chosen(unit, call)
    )


def _set_encoder(unit: Unit, call: Call) -> str:
    """Takes what stands, and refuses to change it."""
    given = next(call.element.iter("{*}Configuration"), None)
    token = given.get("token", "") if given is not None else ""
    stream = next((one for one in streams_of(unit.device) if one.width and encoder_token(one) == token), None)
    if given is None or stream is None:
        raise invalid("no such configuration", "ter:NoConfig")
    if (text(given, "Encoding"), text(given, "Width"), text(given, "Height")) != (stream.codec, str(stream.width), str(stream.height)):
        raise SoapFault("not one of the options", "ter:InvalidArgVal", "ter:ConfigModify")
    return ""


def _video_source_options(unit: Unit, _call: Call) -> str:
    if unit.device.kind != "camera":
        raise invalid("no video source", "ter:NoConfig")
    return fragments.video_source_options("tr2:Options")


def _metadata_options(unit: Unit, _call: Call) -> str:
    if unit.device.kind != "camera":
        raise invalid("no metadata", "ter:NoConfig")
    return fragments.metadata_options("tr2:Options")


def _audio_output_options(unit: Unit, _call: Call) -> str:
    if not unit.speaks():
        raise invalid("no audio output", "ter:NoConfig")
    return fragments.audio_output_options("tr2:Options")


def _audio_decoder_options(unit: Unit, _call: Call) -> str:
    """One set of options an encoding."""
    if not unit.speaks():
        raise invalid("no audio decoder", "ter:NoConfig")
    return "".join(
        f"<tr2:Options><tt:Encoding>{encoding}</tt:Encoding><tt:BitrateList><tt:Items>64</tt:Items></tt:BitrateList>"
        "<tt:SampleRateList><tt:Items>8</tt:Items></tt:SampleRateList></tr2:Options>"
        for encoding in unit.device.audio or ("PCMU",)
    )


def _instances(unit: Unit, call: Call) -> str:
    if unit.device.kind != "camera" or call.text("ConfigurationToken") != "VideoSourceConfig_1":
        raise invalid("no such configuration", "ter:NoConfig")
    streams = streams_of(unit.device)
    codec = f"<tr2:Codec><tr2:Encoding>{unit.device.codec}</tr2:Encoding><tr2:Number>{len(streams)}</tr2:Number></tr2:Codec>"
    return f"<tr2:Info>{codec}<tr2:Total>{len(streams)}</tr2:Total></tr2:Info>"


# -- addresses --------------------------------------------------------------------------------------------------------


def _stream_uri(unit: Unit, call: Call) -> str:
    if call.text("Protocol") == "RtspMulticast":
        raise invalid("no multicast", "ter:InvalidStreamSetup")
    return f"<tr2:Uri>{unit.rtsp_url(stream_in(unit, call).path)}</tr2:Uri>"


def _snapshot_uri(unit: Unit, call: Call) -> str:
    return f"<tr2:Uri>{snapshot_url(unit, call)}</tr2:Uri>"


def _synchronization_point(unit: Unit, call: Call) -> str:
    """Its streams send a key picture every two seconds by themselves: nothing is to be done."""
    stream_in(unit, call)
    return ""


def _configurations() -> dict[str, Operation]:
    """VideoAnalytics has a shorter name here."""
    return {f"Get{kind.replace('VideoAn', 'An')}Configurations": listing(kind, "tr2:Configurations", _encoder) for kind in KINDS}


SERVICE: Final = Service(
    prefix="tr2",
    paths={"": "/onvif/media2_service", "HIKVISION": "/onvif/Media2", "AXIS": "/onvif/services"},
    version=(23, 6),
    capabilities=capabilities,
    operations={
        "GetProfiles": _profiles,
        "GetStreamUri": _stream_uri,
        "GetSnapshotUri": _snapshot_uri,
        "SetSynchronizationPoint": _synchronization_point,
        **_configurations(),
        "SetVideoEncoderConfiguration": _set_encoder,
        "GetVideoSourceConfigurationOptions": _video_source_options,
        "GetVideoEncoderConfigurationOptions": _encoder_options,
        "GetVideoEncoderInstances": _instances,
        "GetMetadataConfigurationOptions": _metadata_options,
        "SetAudioOutputConfiguration": set_audio_output,
        "GetAudioOutputConfigurationOptions": _audio_output_options,
        "GetAudioDecoderConfigurationOptions": _audio_decoder_options,
    },
)
