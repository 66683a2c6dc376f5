"""Talks to the loudspeaker that a `Peer` is."""

from gateway.drivers.base import Target
from gateway.drivers.rtsp.backchannel import Backchannel, SpeakerRtsp, open_audio
from gateway.drivers.rtsp.session import Transport
from tests.drivers.rtsp.peer import Asked, Peer, Reply

ALONE = SpeakerRtsp(all_tracks=False)
UDP = SpeakerRtsp(transports=(Transport.UDP,), all_tracks=False)


async def opened(peer: Peer, manner: SpeakerRtsp = ALONE, *, target: Target | None = None, timeout_s: float = 5) -> Backchannel:
    return await open_audio(target or peer.target, prefer=["PCMA", "PCMU"], timeout_s=timeout_s, manner=manner)


def brief(peer: Peer, asked: Asked) -> Reply:
    """A SETUP whose session wants to be kept alive each second."""
    return Reply(headers={"Session": f"{peer.session};timeout=2", "Transport": asked.headers["transport"]})
