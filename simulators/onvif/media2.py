"""The Media2 service (ver20): the same streams in its own words."""

from typing import Final

from simulators.onvif import fragments
from simulators.onvif.soap import Call, invalid
from simulators.onvif.streams import FRAME_RATE, GOP, Stream, snapshot_url, stream_in, streams_of
from simulators.onvif.unit import Service, Unit


def _capabilities(unit: Unit) -> str:
    pictures = "true" if unit.device.kind == "camera" else "false"
    kinds = "VideoSource VideoEncoder PTZ" if unit.device.kind == "camera" else "AudioOutput AudioDecoder"
    return (
        f'<tr2:Capabilities SnapshotUri="{pictures}" Rotation="false" OSD="false" Mask="false">'
        f'<tr2:ProfileCapabilities MaximumNumberOfProfiles="4" ConfigurationsSupported="{kinds}"/>'
        '<tr2:StreamingCapabilities RTSPStreaming="true" RTPMulticast="false" RTP_RTSP_TCP="true" NonAggregateControl="false"/>'
        "</tr2:Capabilities>"
    )


def _profiles(unit: Unit, call: Call) -> str:
    token = call.text("Token")
    wanted = {(element.text or "").strip() for element in call.element.iter("{*}Type")}
    chosen = [stream for stream in streams_of(unit.device) if token in {"", stream.token}]
    if token and not chosen:
        raise invalid("no such profile", "ter:NoProfile")
    return "".join(_profile(unit, stream, wanted) for stream in chosen)


def _profile(unit: Unit, stream: Stream, wanted: set[str]) -> str:
    """Without a Type the configurations are left out (Media2 §5.2.2)."""
    parts = {}
    if stream.width:
        parts["VideoSource"] = fragments.video_source("tr2:VideoSource", len(streams_of(unit.device)))
        parts["VideoEncoder"] = _encoder(stream, "tr2:VideoEncoder")
    if unit.device.ptz:
        parts["PTZ"] = fragments.ptz("tr2:PTZ")
    if unit.speaks():
        parts["AudioOutput"] = fragments.audio_output("tr2:AudioOutput")
        parts["AudioDecoder"] = fragments.audio_decoder("tr2:AudioDecoder")
    chosen = "".join(part for name, part in parts.items() if name in wanted or "All" in wanted)
    inner = f"<tr2:Configurations>{chosen}</tr2:Configurations>" if chosen else ""
    return f'<tr2:Profiles token="{stream.token}" fixed="true"><tr2:Name>{stream.name}</tr2:Name>{inner}</tr2:Profiles>'


def _encoder(stream: Stream, tag: str) -> str:
    profile = "High" if stream.codec == "H264" else "Main"
    opening = f'<{tag} GovLength="{GOP}" Profile="{profile}" {fragments.encoder_name(stream)}'
    return (
        f"{opening}<tt:Encoding>{stream.codec}</tt:Encoding><tt:Resolution><tt:Width>{stream.width}</tt:Width>"
        f"<tt:Height>{stream.height}</tt:Height></tt:Resolution><tt:RateControl><tt:FrameRateLimit>{FRAME_RATE}</tt:FrameRateLimit>"
        f"<tt:BitrateLimit>{stream.bitrate_kbps}</tt:BitrateLimit></tt:RateControl>{fragments.MULTICAST}<tt:Quality>4</tt:Quality></{tag}>"
    )


def _encoders(unit: Unit, _call: Call) -> str:
    return "".join(_encoder(stream, "tr2:Configurations") for stream in streams_of(unit.device) if stream.width)


def _stream_uri(unit: Unit, call: Call) -> str:
    return f"<tr2:Uri>{unit.rtsp_url(stream_in(unit, call).path)}</tr2:Uri>"


def _snapshot_uri(unit: Unit, call: Call) -> str:
    return f"<tr2:Uri>{snapshot_url(unit, call)}</tr2:Uri>"


SERVICE: Final = Service(
    prefix="tr2",
    paths={"": "/onvif/media2_service", "HIKVISION": "/onvif/Media2", "AXIS": "/onvif/services"},
    version=(23, 6),
    capabilities=_capabilities,
    operations={
        "GetProfiles": _profiles,
        "GetStreamUri": _stream_uri,
        "GetSnapshotUri": _snapshot_uri,
        "GetVideoEncoderConfigurations": _encoders,
    },
)
