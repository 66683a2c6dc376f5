"""What a device offers under an RTSP path, and its description (SDP, RFC 4566)."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from simulators.city import City, SimChannel, SimDevice
from simulators.frames import MAIN, SUB, Codec, Size
from simulators.microphones import Microphone, microphone_of
from simulators.rtsp.rtp import VIDEO_TYPE

BACKCHANNEL: Final = "www.onvif.org/ver20/backchannel"
REPLAY: Final = "onvif-replay"
LIVE_SIZES: Final = {"live/main": MAIN, "live/sub": SUB}
PAYLOAD_TYPES: Final = {"PCMU": 0, "PCMA": 8}
"""Static RTP payload types (RFC 3551 table 4)."""


@dataclass(frozen=True, slots=True)
class Medium:
    """One m= section. `microphone`: what is heard on it; with neither that nor video it takes audio from the client to the loudspeaker."""

    video: bool
    lines: tuple[str, ...]
    microphone: Microphone | None = None

    @property
    def talk(self) -> bool:
        return not self.video and self.microphone is None


@dataclass(frozen=True, slots=True)
class Resource:
    """`camera`: whose picture it is. `channel`: set for a replay. `speaker`: who hears the backchannel, when there is one."""

    path: str
    tracks: tuple[Medium, ...]
    camera: str = ""
    codec: Codec = Codec.H264
    size: Size = MAIN
    channel: SimChannel | None = None
    speaker: SimDevice | None = None

    def sdp(self, address: str, *, backchannel: bool) -> bytes:
        """The description; the backchannel's section only for those who asked for it by Require."""
        lines = ["v=0", f"o=- 1 1 IN IP4 {address}", "s=RTSP Session", "c=IN IP4 0.0.0.0", "t=0 0", "a=control:*"]
        for index, medium in enumerate(self.tracks):
            if not medium.talk or backchannel:
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


def resolve(device: SimDevice, path: str, *, city: City, speaker: SimDevice | None) -> Resource | None:
    """What is at `path` (without slashes at its ends) of this device; None when nothing is. `speaker`: who is heard through it."""
    if device.kind == "camera" and path in LIVE_SIZES:
        size, codec = LIVE_SIZES[path], Codec(device.codec)
        return Resource(path, (_video(size, codec), *_talk(speaker)), camera=device.id, codec=codec, size=size, speaker=speaker)
    if path == "audio" and speaker:
        return Resource(path, _talk(speaker), speaker=speaker)
    base, _, token = path.partition("/")
    channel = device.channel(token) if base == "replay" else None
    if channel:
        camera = city.by_id(channel.camera)
        codec = Codec(camera.codec) if camera else Codec.H264
        track = _video(MAIN, codec, "a=x-onvif-track:VIDEO001")
        return Resource(path, (track, *_sound(channel.camera)), camera=channel.camera, codec=codec, channel=channel)
    return None


@lru_cache(maxsize=8)
def _video(size: Size, codec: Codec, *more: str) -> Medium:
    from simulators import video  # noqa: PLC0415 -- PyAV takes 30 MiB, which a city that nobody watches does without

    lines = (
        f"m=video 0 RTP/AVP {VIDEO_TYPE}",
        f"a=rtpmap:{VIDEO_TYPE} {codec}/90000",
        f"a=fmtp:{VIDEO_TYPE} {_FORMATS[codec](*video.parameter_sets(size, codec))}",
        "a=framerate:12.5",
        "a=recvonly",
        *more,
    )
    return Medium(True, lines)


def _sound(camera: str) -> tuple[Medium, ...]:
    microphone = microphone_of(camera)
    return (Medium(False, (*microphone.lines, "a=x-onvif-track:AUDIO001"), microphone),) if microphone else ()


def _h264(*sets: bytes) -> str:
    """RFC 6184 §8.1; the sequence parameter set comes first."""
    sprop = ",".join(_text(nal) for nal in sets)
    return f"packetization-mode=1;profile-level-id={sets[0][1:4].hex().upper()};sprop-parameter-sets={sprop}"


def _h265(vps: bytes, sps: bytes, pps: bytes) -> str:
    """RFC 7798 §7.1."""
    return f"sprop-vps={_text(vps)};sprop-sps={_text(sps)};sprop-pps={_text(pps)}"


def _text(nal: bytes) -> str:
    return base64.b64encode(nal).decode()


_FORMATS: Final[Mapping[Codec, Callable[..., str]]] = {Codec.H264: _h264, Codec.H265: _h265}


def _talk(speaker: SimDevice | None) -> tuple[Medium, ...]:
    if speaker is None:
        return ()
    types = [PAYLOAD_TYPES[name] for name in speaker.audio]
    names = [f"a=rtpmap:{PAYLOAD_TYPES[name]} {name}/8000" for name in speaker.audio]
    return (Medium(False, (f"m=audio 0 RTP/AVP {' '.join(map(str, types))}", *names, "a=sendonly")),)
