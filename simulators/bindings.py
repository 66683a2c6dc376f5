"""What the operator of the simulated city knows of where its cameras look, and who has listened to which loudspeaker there.

Of the poles with a loudspeaker, six in ten were listened to, three in ten nobody has been at yet, and at one in ten it was not heard. A
loudspeaker on a mast is heard at the next pole, too. All other cameras have none.
"""

import math
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from simulators.city import City, SimDevice

SEEN_M: Final = 25.0
REACH_M: Final = 80.0
MAST_REACH_M: Final = 300.0
_METRES_A_DEGREE: Final = 111_320.0


def sights(city: City) -> Iterator[Mapping[str, Any]]:
    """Where each camera of a pole with a loudspeaker looks; what turns is listed by its presets, to the north and to the east."""
    poles = {speaker.group for speaker in city.of_kind("speaker")}
    for camera in city.of_kind("camera"):
        if camera.group in poles:
            bearing = zlib.crc32(camera.id.encode()) % 8 * 45
            for preset, turn in (("1", 0), ("2", 90)) if camera.ptz else (("", bearing),):
                yield {"camera": camera.id, "preset": preset, "bearing": turn, "distance_m": SEEN_M}


def bindings(city: City) -> Iterator[Mapping[str, Any]]:
    """What people decided; what nobody has decided is left to the gateway's own proposals."""
    speakers = city.of_kind("speaker")
    for number, speaker in enumerate(speakers):
        state = "rejected" if number % 10 == 9 else "confirmed" if number % 10 < 6 else ""
        for camera in city.of_kind("camera"):
            if not state or camera.id == speaker.audio_output_of:
                continue
            if camera.group == speaker.group:
                note = {"confirmed": "现场试听清晰", "rejected": "被高架挡住,听不清"}[state]
                yield _binding(camera, speaker, state, REACH_M, note)
            elif state == "confirmed" and _apart_m(camera, speaker) < MAST_REACH_M - SEEN_M:
                yield _binding(camera, speaker, state, MAST_REACH_M, "高杆喇叭,邻近点位可听见")


def _binding(camera: SimDevice, speaker: SimDevice, state: str, reach_m: float, note: str) -> Mapping[str, Any]:
    return {"camera": camera.id, "speaker": speaker.id, "reach_m": reach_m, "state": state, "note": note}


def _apart_m(one: SimDevice, other: SimDevice) -> float:
    east = (one.longitude - other.longitude) * math.cos(math.radians(one.latitude))
    return math.hypot(east, one.latitude - other.latitude) * _METRES_A_DEGREE
