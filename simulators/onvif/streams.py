"""Which streams a device offers, before either media service puts them in its own words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from simulators.city import SimDevice
from simulators.onvif.soap import Call, invalid, not_supported
from simulators.onvif.unit import Unit

AUDIO_OUTPUT: Final = "AudioOutput_1"
FRAME_RATE: Final = 12.5
GOP: Final = 25
SOURCE_SIZE: Final = (320, 180)
SUB_SIZE: Final = (160, 96)


@dataclass(frozen=True, slots=True)
class Stream:
    """One profile. Sizes in pixels, zero for a loudspeaker's; `path` is where RTSP serves it; `codec`: "H264" or "H265"."""

    token: str
    name: str
    path: str
    width: int = 0
    height: int = 0
    bitrate_kbps: int = 0
    codec: str = "H264"

    @property
    def suffix(self) -> str:
        """Tells its configurations' tokens from those of the other streams."""
        return self.path.rpartition("/")[2]


FOREIGN: Final = "203.0.113.77"
"""An address of TEST-NET-3 (RFC 5737): nobody's."""
_TOKENS: Final[Mapping[str, tuple[str, str]]] = {
    "HIKVISION": ("Profile_1", "Profile_2"),
    "Dahua": ("MediaProfile000", "MediaProfile001"),
    "AXIS": ("profile_1_h264", "profile_2_h264"),
    "UNIVIEW": ("media_profile1", "media_profile2"),
}
_SPEAKER: Final = (Stream("AudioProfile_1", "audioOut", "/audio"),)


def streams_of(device: SimDevice) -> tuple[Stream, ...]:
    """The best stream first."""
    if device.kind == "speaker":
        return _SPEAKER
    main, sub = _TOKENS[device.vendor]
    return (
        Stream(main, "mainStream", "/live/main", *SOURCE_SIZE, 64, device.codec),
        Stream(sub, "subStream", "/live/sub", *SUB_SIZE, 32, device.codec),
    )


def stream_in(unit: Unit, call: Call) -> Stream:
    """The stream whose token the call names as ProfileToken. Raises the fault ter:NoProfile."""
    token = call.text("ProfileToken")
    found = next((stream for stream in streams_of(unit.device) if stream.token == token), None)
    if found is None:
        raise invalid("no such profile", "ter:NoProfile")
    return found


def snapshot_url(unit: Unit, call: Call) -> str:
    """Where the picture of a profile is. Raises the fault of a profile that has none."""
    stream = stream_in(unit, call)
    if not stream.width:
        raise invalid("no picture in this profile", "ter:IncompleteConfiguration")
    if unit.quirk("no-snapshot-uri") is not None:
        raise not_supported()
    if unit.quirk("snapshot-uri-rtsp") is not None:
        return unit.rtsp_url(stream.path)
    path = f"/snapshot/{stream.suffix}.jpg"
    return f"http://{FOREIGN}{path}" if unit.quirk("snapshot-uri-foreign") is not None else unit.http_url(path)


def gives_pictures(unit: Unit) -> bool:
    """Whether a device has pictures over HTTP: a camera, unless an oddity says otherwise."""
    return unit.device.kind == "camera" and unit.quirk("no-snapshot-uri") is None and unit.quirk("snapshot-uri-rtsp") is None
