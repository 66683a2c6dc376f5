"""An RTSP session: what was set up, what plays, and when it was last heard of."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from simulators.city import SimDevice
from simulators.rtsp.outlets import Outlet
from simulators.rtsp.plays import LivePlay, ReplayPlay
from simulators.rtsp.resources import Resource
from simulators.rtsp.rtp import Stream
from simulators.rtsp.talk import Talk

TIMEOUT_S: Final = 60


class Phase(Enum):
    """RFC 2326 appendix A.2; the state "Init" is the absence of a session."""

    READY = "ready"
    PLAYING = "playing"


@dataclass(frozen=True, slots=True)
class Track:
    """One medium that was set up. `udp`: the client's RTP and RTCP ports; `channels`: the interleaved ones."""

    index: int
    stream: Stream
    outlet: Outlet
    udp: tuple[int, int] | None = None
    channels: tuple[int, int] | None = None


@dataclass(slots=True)
class Session:
    """`connection` is what the session dies with when it is interleaved; None for one over UDP, which dies by silence alone.

    `forgotten_at`: set when its connection has gone without TEARDOWN and the device keeps its place until then all the same.
    """

    id: str
    device: SimDevice
    resource: Resource
    peer: str
    last_seen: float
    connection: asyncio.Protocol | None = None
    phase: Phase = Phase.READY
    tracks: dict[int, Track] = field(default_factory=dict)
    live: LivePlay | None = None
    replay: ReplayPlay | None = None
    talk: Talk | None = None
    forgotten_at: float | None = None

    @property
    def video(self) -> Track | None:
        return next((track for track in self.tracks.values() if self.resource.tracks[track.index].video), None)

    @property
    def sound(self) -> Track | None:
        """The track on which something is heard."""
        return next((track for track in self.tracks.values() if self.resource.tracks[track.index].microphone), None)

    def expired(self, now: float) -> bool:
        return now - self.last_seen > TIMEOUT_S if self.forgotten_at is None else now >= self.forgotten_at


@dataclass(slots=True)
class SessionBook:
    """All sessions, found by id, by interleaved channel and by UDP port."""

    by_id: dict[str, Session] = field(default_factory=dict)
    by_port: dict[tuple[str, str, int], Session] = field(default_factory=dict)
    """(device address, client address, client port) → session; both of a track's ports."""

    def add_ports(self, session: Session, ports: tuple[int, int]) -> None:
        for port in ports:
            self.by_port[session.device.address, session.peer, port] = session

    def remove(self, session: Session) -> None:
        self.by_id.pop(session.id, None)
        for track in session.tracks.values():
            for port in track.udp or ():
                self.by_port.pop((session.device.address, session.peer, port), None)

    def on(self, connection: asyncio.Protocol) -> Iterator[Session]:
        """The interleaved sessions of a connection."""
        return (session for session in tuple(self.by_id.values()) if session.connection is connection)

    def replays_of(self, device: SimDevice) -> int:
        return sum(session.device.id == device.id and session.resource.channel is not None for session in self.by_id.values())

    def talker_to(self, speaker: SimDevice, now: float) -> Session | None:
        """Who has the floor of a loudspeaker."""
        talks = (session for session in self.by_id.values() if session.talk and session.talk.speaker.id == speaker.id)
        return next((session for session in talks if not session.expired(now)), None)

    def watchers_of(self, device: SimDevice) -> int:
        return sum(session.device.id == device.id and session.video is not None for session in self.by_id.values())
