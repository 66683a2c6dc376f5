"""What a device offers under an RTSP path, and its description (SDP, RFC 4566)."""

import base64
from dataclasses import dataclass
from typing import Final

from simulators import video
from simulators.city import SimChannel, SimDevice
from simulators.rtsp.rtp import VIDEO_TYPE

BACKCHANNEL: Final = "www.onvif.org/ver20/backchannel"
REPLAY: Final = "onvif-replay"
LIVE_SIZES: Final = {"live/main": video.MAIN, "live/sub": video.SUB}
PAYLOAD_TYPES: Final = {"PCMU": 0, "PCMA": 8}
"""Static RTP payload types (RFC 3551 table 4)."""


@dataclass(frozen=True, slots=True)
class Medium:
    """One m= section; `video` false: audio from the client to the loudspeaker."""

    video: bool
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Resource:
    """`camera`: whose picture it is. `channel`: set for a replay. `speaker`: who hears the backchannel, when there is one."""

    path: str
    tracks: tuple[Medium, ...]
    camera: str = ""
    size: video.Size = video.MAIN
    channel: SimChannel | None = None
    speaker: SimDevice | None = None

    def sdp(self, address: str, *, backchannel: bool) -> bytes:
        """The description; the backchannel's section only for those who asked for it by Require."""
        lines = ["v=0", f"o=- 1 1 IN IP4 {address}", "s=RTSP Session", "c=IN IP4 0.0.0.0", "t=0 0", "a=control:*"]
        for index, medium in enumerate(self.tracks):
            if medium.video or backchannel:
                lines += [medium.lines[0], f"a=control:trackID={index}", *medium.lines[1:]]
        return "".join(f"{line}\r\n" for line in lines).encode()

    def encodings(self) -> dict[int, str]:
        """Payload type → encoding name of the backchannel."""
        return {PAYLOAD_TYPES[name]: name for name in self.speaker.audio} if self.speaker else {}


def split_track(path: str) -> tuple[str, int | None]:
    """A control path as the resource's path and the track's number, None for the whole."""
    base, _, last = path.rpartition("/")
    if last.startswith("trackID=") and last[8:].isdigit() and len(last) < 12:
        return base, int(last[8:])
    return path, None


def resolve(device: SimDevice, path: str, *, speaker: SimDevice | None) -> Resource | None:
    """What is at `path` (without slashes at its ends) of this device; None when nothing is. `speaker`: who is heard through it."""
    if device.kind == "camera" and path in LIVE_SIZES:
        size = LIVE_SIZES[path]
        return Resource(path, (_video(size), *_talk(speaker)), camera=device.id, size=size, speaker=speaker)
    if path == "audio" and speaker:
        return Resource(path, _talk(speaker), speaker=speaker)
    base, _, token = path.partition("/")
    channel = device.channel(token) if base == "replay" else None
    if channel:
        return Resource(path, (_video(video.MAIN, "a=x-onvif-track:VIDEO001"),), camera=channel.camera, channel=channel)
    return None


def _video(size: video.Size, *more: str) -> Medium:
    scene = video.scene(size)
    sets = ",".join(base64.b64encode(nal).decode() for nal in (scene.sps, scene.pps))
    return Medium(
        True,
        (
            f"m=video 0 RTP/AVP {VIDEO_TYPE}",
            f"a=rtpmap:{VIDEO_TYPE} H264/90000",
            f"a=fmtp:{VIDEO_TYPE} packetization-mode=1;profile-level-id={scene.sps[1:4].hex().upper()};sprop-parameter-sets={sets}",
            "a=framerate:12.5",
            "a=recvonly",
            *more,
        ),
    )


def _talk(speaker: SimDevice | None) -> tuple[Medium, ...]:
    if speaker is None:
        return ()
    types = [PAYLOAD_TYPES[name] for name in speaker.audio]
    names = [f"a=rtpmap:{PAYLOAD_TYPES[name]} {name}/8000" for name in speaker.audio]
    return (Medium(False, (f"m=audio 0 RTP/AVP {' '.join(map(str, types))}", *names, "a=sendonly")),)
