"""What a device says of itself in scopes: the same over GetScopes and WS-Discovery (ONVIF Core §7.3.2.2)."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from simulators.city import SimDevice

ROOT: Final = "onvif://www.onvif.org/"
_KINDS: Final = {"camera": "type/video_encoder", "speaker": "type/audio_decoder", "recorder": "type/NetworkVideoStorage"}


def scopes_of(device: SimDevice) -> Sequence[str]:
    """Its scopes as URIs, without white space."""
    profile = "Profile/G" if device.kind == "recorder" else "Profile/Streaming"
    place = f"location/city/Liaocheng/{device.group or 'centre'}"
    return [ROOT + quote(item) for item in (_KINDS[device.kind], profile, f"hardware/{device.model}", f"name/{device.vendor}", place)]
