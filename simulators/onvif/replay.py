"""The Replay service (Profile G): where RTSP plays a recording."""

from typing import Final

from simulators import footage
from simulators.onvif.recordings import channel_in
from simulators.onvif.soap import Call, invalid
from simulators.onvif.unit import Service, Unit


def _capabilities(unit: Unit) -> str:
    backwards = "true" if footage.plays_backwards(unit.device) else "false"
    return f'<trp:Capabilities ReversePlayback="{backwards}" SessionTimeoutRange="60 60" RTP_RTSP_TCP="true"/>'


def _uri(unit: Unit, call: Call) -> str:
    url = unit.rtsp_url(f"/replay/{channel_in(unit, call).token}")
    return f"<trp:Uri>{url}</trp:Uri>"


def _configuration(_unit: Unit, _call: Call) -> str:
    return "<trp:Configuration><tt:SessionTimeout>PT60S</tt:SessionTimeout></trp:Configuration>"


def _set_configuration(_unit: Unit, call: Call) -> str:
    """Takes what stands: its RTSP server has one timeout for all sessions."""
    if call.text("SessionTimeout") not in {"PT60S", "PT1M"}:
        raise invalid("the timeout cannot be changed", "ter:ConfigModify")
    return ""


SERVICE: Final = Service(
    prefix="trp",
    paths={"": "/onvif/replay_service", "HIKVISION": "/onvif/Replay", "AXIS": "/onvif/services"},
    version=(2, 60),
    capabilities=_capabilities,
    operations={"GetReplayUri": _uri, "GetReplayConfiguration": _configuration, "SetReplayConfiguration": _set_configuration},
)
