"""What a PLAY of a recording asks for, by Range, Scale, Rate-Control, Frames and Immediate (ONVIF Streaming Specification, "Playback")."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from simulators import footage
from simulators.city import City, SimDevice
from simulators.frames import FRAME_NS, Sight
from simulators.rtsp import ranges, replay
from simulators.rtsp.message import Request
from simulators.rtsp.plays import UDP_SPEED, Pace, ReplayPlay, Sound
from simulators.rtsp.sessions import Phase, Session, Track
from simulators.sights import offset_of, sight_of
from simulators.state import State

if TYPE_CHECKING:
    from simulators.video import Reel

SCALES: Final = (0.125, 16.0)
"""Slowest and fastest playback."""


@dataclass(frozen=True, slots=True)
class Started:
    """What PLAY is answered with."""

    range: str
    scale: float


def ready(state: State, city: City, session: Session, request: Request) -> Started:
    """Make the replay that PLAY asks for, queue it behind the one that plays unless told `Immediate`, or go on with the one there is.

    Raises `InvalidRange` when nothing is recorded there, ValueError for a header that means nothing.
    """
    asked, wanted = request.header("range"), _scale(request.header("scale"))
    if session.replay and not asked:
        return Started(ranges.clock(session.replay.position_s or state.device_time(session.device), None), session.replay.scale)
    backwards = wanted < 0 and footage.plays_backwards(session.device)
    channel, track, offset_s = session.resource.channel, session.video, offset_of(state, session.device)
    assert channel is not None
    assert track is not None
    window = _window(state, session.device, asked, backwards=backwards)
    segments = state.quirk(session.device, "segment-gaps")
    plan = replay.plan(session.device, channel, window, now=state.device_time(session.device), offset_s=offset_s, segments=segments)
    if not plan.sections:
        raise ranges.InvalidRange(asked)
    intra_ms = replay.intra_of(request.header("frames"))
    steps = replay.steps(plan, intra_ms=intra_ms, jumped=session.replay is not None, backwards=backwards)
    pace, cseq = _pace(request, track, wanted, backwards=backwards), int(request.header("cseq") or 0)
    queued = session.replay and session.phase is Phase.PLAYING and request.header("immediate").lower() != "yes"
    if not (queued and session.replay and session.replay.then(steps, cseq)):
        if session.replay:
            session.replay.pause()
        reel = reel_of(sight_of(state, city, channel.camera), session)
        session.replay = ReplayPlay(
            reel,
            steps,
            stream=track.stream,
            outlet=track.outlet,
            pace=pace,
            cseq=cseq,
            offset_ns=round(offset_s * 1e9),
            sound=_sound(session) if intra_ms is None and not backwards else None,
        )
    first, stop = (frame * FRAME_NS / 1e9 + offset_s for frame in (plan.sections[0].first, plan.sections[-1].stop))
    last = min(window.end, stop)
    return Started(ranges.clock(last, first) if backwards else ranges.clock(first, last), pace.scale)


def _sound(session: Session) -> Sound | None:
    track = session.sound
    microphone = session.resource.tracks[track.index].microphone if track else None
    return Sound(microphone, track.stream, track.outlet) if track and microphone else None


def reel_of(sight: Sight, session: Session) -> "Reel":
    """The pictures of what a session shows."""
    from simulators.video import Reel  # noqa: PLC0415 -- PyAV takes 30 MiB, which a city that nobody watches does without

    return Reel(sight, session.resource.codec, session.resource.size)


def _window(state: State, device: SimDevice, asked: str, *, backwards: bool) -> footage.Span:
    now = state.device_time(device)
    kept = footage.kept(device, now)
    wanted = ranges.parse(asked, origin=kept.start) if asked else ranges.Range()
    earlier, later = (wanted.end, wanted.start) if backwards else (wanted.start, wanted.end)
    start = kept.start if earlier is None else earlier
    end = now if later is None or (state.quirk(device, "ignores-range-end") is not None and not backwards) else later
    if start >= end:
        raise ranges.InvalidRange(asked)
    return footage.Span(start, end)


def _scale(header: str) -> float:
    """The Scale header; ValueError for what is none."""
    scale = float(header or 1)
    if not math.isfinite(scale) or not scale:
        raise ValueError(header)
    return scale


def _pace(request: Request, track: Track, wanted: float, *, backwards: bool) -> Pace:
    """Without rate control the client sets the speed by reading, and Scale tells the direction alone."""
    sign = -1 if backwards else 1
    if request.header("rate-control").lower() == "no":
        return Pace(speed=UDP_SPEED if track.udp else None, recorded_times=True, scale=sign)
    speed = min(max(abs(wanted), SCALES[0]), SCALES[1]) if wanted > 0 or backwards else 1.0
    return Pace(speed=speed, recorded_times=False, scale=sign * speed)
