"""A way to all loudspeakers of a zone at once: RTP to the multicast group to which they listen (RFC 3550; RFC 1112)."""

import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.domain.devices import MulticastGroup
from gateway.domain.speaking import SpeakerPath
from gateway.drivers.base import AudioFormat, Line, Write
from gateway.drivers.rtp.numbering import Numbering
from gateway.errors import Unreachable

RATE: Final = 8_000
PAYLOAD_TYPES: Final = {"PCMU": 0, "PCMA": 8}
"""Static ones (RFC 3551, 6): nobody describes to the listeners what comes."""


@dataclass(frozen=True, slots=True)
class MulticastManner:
    """`interface`: our own address on the network of the loudspeakers, "" for the routing's choice; `ttl`: routers that are passed."""

    interface: str = ""
    ttl: int = 4
    encoding: str = "PCMU"


USUAL = MulticastManner()


class MulticastSession:
    """The `AudioSession` of `drivers.base` to a group. Nobody answers: that something was sent says nothing of who heard it."""

    path = SpeakerPath.MULTICAST
    missed: int | None = None

    def __init__(
        self,
        group: MulticastGroup,
        manner: MulticastManner = USUAL,
        *,
        lead_in_s: float = 0.0,
        entropy: Callable[[int], int] = secrets.randbits,
    ) -> None:
        """`lead_in_s`: so much of the beginning some of them do not play. Raises Unreachable (no-route) without a way to the group."""
        self._socket = _connected(group, manner)
        self._format = AudioFormat(manner.encoding, RATE, PAYLOAD_TYPES[manner.encoding], swallows_s=lead_in_s)
        self._numbering = Numbering(self._format, entropy)
        self._closed = False
        self._line = Line(self._socket, self._format.payload_type, lend=self._lend, returned=self._take_back)

    @property
    def format(self) -> AudioFormat:
        return self._format

    @property
    def line(self) -> Line:
        return self._line

    @property
    def ended(self) -> bool:
        return self._closed

    def send(self, payload: bytes, *, timestamp: int, marker: bool) -> bool:
        """Send one RTP packet without waiting; False when it had to be dropped. `timestamp` counts samples from the start."""
        if self._closed:
            return False
        head = self._numbering.next(self._line, timestamp=timestamp, marker=marker)
        try:
            return self._socket.send(head + payload) == len(head) + len(payload)
        except OSError:  # the queue is full, or the network went away
            return False

    async def close(self) -> None:
        """Send nothing more; the listeners need no farewell, and have none to confirm."""
        self._closed = True
        self._socket.close()

    def _lend(self, _write: Write, _ended: Callable[[], None]) -> None:
        """Nothing but sound is said here, and nobody ends it but us."""
        if self._closed:
            raise Unreachable("the stream to the group has ended", code="closed")

    def _take_back(self, _torn: bool) -> None:
        self._numbering.resume(self._line)


def _connected(group: MulticastGroup, manner: MulticastManner) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, manner.ttl)
        if manner.interface:
            made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(manner.interface))
        made.connect((group.address, group.port))
    except OSError as error:
        made.close()
        raise Unreachable(f"no way to the group {group}: {error.strerror}", code="no-route") from error
    return made
