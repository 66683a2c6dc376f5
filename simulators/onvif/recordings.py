"""What a recorder, or a camera with a card, says of one recording, in the words that Search and Recording share."""

from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape

from simulators import footage
from simulators.city import SimChannel
from simulators.onvif.soap import Call, SoapFault, invalid, xml_time
from simulators.onvif.unit import Unit

TRACK: Final = "VIDEO001"


def channel_in(unit: Unit, call: Call) -> SimChannel:
    """The channel whose recording the call names as RecordingToken. Raises the fault ter:NoRecording."""
    found = unit.device.channel(call.text("RecordingToken"))
    if found is None:
        raise no_recording()
    return found


def listed(unit: Unit) -> Sequence[SimChannel]:
    """The channels whose recordings the device tells of: none that was not made through ONVIF, with the quirk "hides-recordings"."""
    return () if unit.quirk("hides-recordings") is not None else unit.device.channels


def no_recording() -> SoapFault:
    return invalid("no such recording", "ter:NoRecording")


def source(unit: Unit, channel: SimChannel) -> str:
    """Which camera it shows (tt:RecordingSourceInformation)."""
    camera = unit.city.by_id(channel.camera)
    name = escape(camera.name[:60]) if camera else ""
    address = f"http://{camera.address}/onvif/device_service" if camera else ""
    return (
        f"<tt:Source><tt:SourceId>urn:channel:{channel.number}</tt:SourceId><tt:Name>{name}</tt:Name><tt:Location></tt:Location>"
        f"<tt:Description>{escape(channel.camera)}</tt:Description><tt:Address>{address}</tt:Address></tt:Source>"
    )


def codec(unit: Unit, channel: SimChannel) -> str:
    """How its footage is encoded: as its camera sends it."""
    camera = unit.city.by_id(channel.camera)
    return camera.codec if camera else "H264"


def told(unit: Unit, moment: float) -> str:
    """A moment of footage as its searches tell it: local time called UTC with the quirk "search-local-time"."""
    return xml_time(moment + 3600 * unit.number("search-local-time", "hours"))


def information(unit: Unit, channel: SimChannel) -> str:
    """The content of a tt:RecordingInformation."""
    kept = footage.kept(unit.device, unit.now())
    status = "Stopped" if footage.is_stopped(unit.device) else "Recording"
    return (
        f"<tt:RecordingToken>{channel.token}</tt:RecordingToken>{source(unit, channel)}"
        f"<tt:EarliestRecording>{told(unit, kept.start)}</tt:EarliestRecording>"
        f"<tt:LatestRecording>{told(unit, kept.end)}</tt:LatestRecording>"
        f"<tt:Content>continuous</tt:Content><tt:Track>{track(unit)}</tt:Track><tt:RecordingStatus>{status}</tt:RecordingStatus>"
    )


def track(unit: Unit) -> str:
    """The content of the tt:TrackInformation of its one track."""
    kept = footage.kept(unit.device, unit.now())
    return (
        f"<tt:TrackToken>{TRACK}</tt:TrackToken><tt:TrackType>Video</tt:TrackType><tt:Description>video</tt:Description>"
        f"<tt:DataFrom>{told(unit, kept.start)}</tt:DataFrom><tt:DataTo>{told(unit, kept.end)}</tt:DataTo>"
    )
