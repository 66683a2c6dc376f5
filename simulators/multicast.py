"""Loudspeakers that listen to a multicast group together: whoever sends RTP there is heard by all of them (RFC 1112)."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from simulators.city import SimDevice
from simulators.heard import HeardSession
from simulators.rtsp import rtp
from simulators.rtsp.talk import Talk, horn_of
from simulators.state import State

ENCODINGS: Final[Mapping[int, str]] = {0: "PCMU", 8: "PCMA"}
"""By static payload type (RFC 3551, 6): nobody describes to them what comes."""
QUIET_S: Final = 1.0
"""A stream that has paused for so long is over; the next packet begins another."""


class Ear(asyncio.DatagramProtocol):
    """What one loudspeaker hears of a group: a talk for each source."""

    def __init__(self, speaker: SimDevice, state: State) -> None:
        self._speaker, self._state = speaker, state
        self._talks: dict[int, tuple[Talk, float]] = {}

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        received, now = rtp.parse(data), self._state.now()
        if received is None or self._state.dark(self._speaker):
            return
        talk, heard_at = self._talks.get(received.ssrc, (None, 0.0))
        if talk is None or now - heard_at > QUIET_S:
            talk = self._begin(f"{addr[0]}:{addr[1]}", now)
        self._talks = {received.ssrc: (talk, now)}
        talk.hear(data, time.time_ns())

    def _begin(self, peer: str, now: float) -> Talk:
        heard, horn = self._state.heard_by(self._speaker), horn_of(self._speaker, self._state)
        session = HeardSession(peer, "multicast", started_ns=int(now * 1e9), horn=horn, level=self._state.volume(self._speaker))
        heard.sessions.append(session)
        talk = Talk(self._speaker, heard, session, ENCODINGS)
        talk.open()
        return talk


@asynccontextmanager
async def listening(
    speakers: Iterable[SimDevice], group: tuple[str, int], state: State, *, interface: str = "127.0.0.1"
) -> AsyncIterator[None]:
    """Have `speakers` hear what is sent to `group` on the interface of this address, each by a socket of its own."""
    transports = []
    try:
        for speaker in speakers:
            made, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                partial(Ear, speaker, state), sock=_member(group, interface)
            )
            transports.append(made)
        yield
    finally:
        for transport in transports:
            transport.close()


def _member(group: tuple[str, int], interface: str) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(group)
    made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group[0]) + socket.inet_aton(interface))
    return made
