"""A talk: the audio that comes to a loudspeaker through its backchannel (ONVIF Streaming Specification, 5.3)."""

import time
from collections.abc import Mapping

from simulators.city import SimDevice
from simulators.heard import Heard, HeardSession, Horn
from simulators.rtsp import rtp
from simulators.state import State


class Talk:
    """The audio that a client sends to a loudspeaker; nothing is played before PLAY was answered."""

    def __init__(self, speaker: SimDevice, heard: Heard, session: HeardSession, encodings: Mapping[int, str]) -> None:
        self.speaker, self.session = speaker, session
        self._heard, self._encodings = heard, encodings
        self._open = False
        self.source = 0
        """The talker's SSRC."""

    def open(self) -> None:
        self._open = True

    def shut(self) -> None:
        """Play nothing more for now."""
        self._open = False

    def finish(self, now_ns: int) -> None:
        self.session.finish(now_ns, arrival_ns=time.time_ns())

    def hear(self, packet: bytes, arrival_ns: int) -> bool:
        """Take one RTP packet; False when it is not taken."""
        received = rtp.parse(packet)
        encoding = self._encodings.get(received.payload_type) if received else None
        if received is None or encoding is None or not self._open or self.session.encoding not in {"", encoding}:
            self.session.refused += 1
            return False
        self.session.encoding, self.source = encoding, received.ssrc
        self._heard.take(
            self.session,
            received.payload,
            arrival_ns=arrival_ns,
            sequence=received.sequence,
            timestamp=received.timestamp,
            marker=received.marker,
        )
        return True


def horn_of(speaker: SimDevice, state: State) -> Horn:
    """How a loudspeaker plays, by the quirks that it has now."""
    loses, late, packets = (state.quirk(speaker, switch) for switch in ("loses-first", "late-buffer", "packet-bytes"))
    return Horn(
        loses_ms=float(loses["ms"]) if loses else 0.0,
        late_s=float(late["seconds"]) if late else 0.0,
        packet_bytes=int(packets["bytes"]) if packets else 0,
    )
