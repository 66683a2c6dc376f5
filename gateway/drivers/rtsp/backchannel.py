"""A way to one loudspeaker: the ONVIF audio backchannel (ONVIF Streaming Specification, 5.3)."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.drivers.base import AudioFormat, Target
from gateway.drivers.rtsp import rtp
from gateway.drivers.rtsp.connection import Connection, connect, deadline
from gateway.drivers.rtsp.sdp import Media, SessionDescription
from gateway.drivers.rtsp.session import Transport, Wire, aggregate_url, describe, media_url, set_up
from gateway.errors import NotSupported

REQUIRE = (("Require", "www.onvif.org/ver20/backchannel"),)


@dataclass(frozen=True, slots=True)
class SpeakerRtsp:
    """How a model of loudspeaker wants to be spoken to; the defaults are the standard's.

    `transports`: in order of preference. `all_tracks`: set up what the device sends, too, and drop it; without that, GStreamer's
    server, which is in many devices, answers PLAY with 200 and now and then stays silent. `zero_timestamps`: for devices that play
    nothing unless each RTP timestamp is 0.
    """

    path: str = "/"
    transports: tuple[Transport, ...] = (Transport.TCP, Transport.UDP)
    all_tracks: bool = True
    zero_timestamps: bool = False


async def open_audio(
    target: Target,
    *,
    prefer: Sequence[str],
    timeout_s: float,
    manner: SpeakerRtsp = SpeakerRtsp(),
    entropy: Callable[[int], int] = secrets.randbits,
) -> "Backchannel":
    """Set up a backchannel up to PLAY's 200, all within `timeout_s`. `prefer`: RTP encoding names, best first.

    Raises NotSupported (no-backchannel, no-common-encoding), Busy when somebody else is talking, and the other DeviceErrors.
    """
    async with deadline(target, timeout_s):
        connection = await connect(target)
        connection.farewell_headers = REQUIRE
        opening = _Opening(connection, manner)
        try:
            return await opening.run(prefer, entropy)
        except BaseException:
            opening.abandon()
            raise


class Backchannel:
    """The `AudioSession` of `drivers.base`. Sequence number, SSRC and the origin of timestamps are random (RFC 3550, 5.1)."""

    def __init__(
        self, connection: Connection, url: str, wire: Wire, audio: AudioFormat, *, zero_timestamps: bool, entropy: Callable[[int], int]
    ) -> None:
        self._connection = connection
        self._url = url
        self._wire = wire
        self._format = audio
        self._zero_timestamps = zero_timestamps
        self._ssrc = entropy(32)
        self._sequence = entropy(16)
        self._origin = entropy(32)
        self._closed = False
        connection.keep_alive(url)

    @property
    def format(self) -> AudioFormat:
        return self._format

    @property
    def ended(self) -> bool:
        """Whether nothing can be sent any more: closed by us, or the device hung up."""
        return self._closed or self._connection.ended

    def send(self, payload: bytes, *, timestamp: int, marker: bool) -> bool:
        """Send one RTP packet without waiting; False when it had to be dropped. `timestamp` counts samples from the start."""
        if self.ended:
            return False
        stamp = 0 if self._zero_timestamps else self._origin + timestamp
        head = rtp.header(payload_type=self._format.payload_type, sequence=self._sequence, timestamp=stamp, ssrc=self._ssrc, marker=marker)
        self._sequence += 1
        return self._wire.send(head + payload)

    async def close(self) -> None:
        """TEARDOWN and close; never raises for what the device does."""
        self._closed = True
        await self._connection.close(self._url)
        self._wire.close()


class _Opening:
    """The steps from an open connection to a backchannel, with what must be undone when one of them fails."""

    def __init__(self, connection: Connection, manner: SpeakerRtsp) -> None:
        self._connection = connection
        self._manner = manner
        self._url = ""
        self._wires: list[Wire] = []

    async def run(self, prefer: Sequence[str], entropy: Callable[[int], int]) -> Backchannel:
        base, description = await describe(self._connection, self._manner.path, REQUIRE)
        media, audio = choose(description, prefer)
        self._url = aggregate_url(self._connection, base, description)
        wire = await self._set_up(base, media, description)
        await self._connection.request("PLAY", self._url, REQUIRE)  # no Range: gst-rtsp-server then seeks and stays silent
        return Backchannel(self._connection, self._url, wire, audio, zero_timestamps=self._manner.zero_timestamps, entropy=entropy)

    async def _set_up(self, base: str, wanted: Media, description: SessionDescription) -> Wire:
        chosen: Wire | None = None
        for index, media in enumerate(description.media):
            if media is not wanted and not self._manner.all_tracks:
                continue
            url = media_url(self._connection, base, media)
            wire = await set_up(self._connection, url, order=self._manner.transports, channel=2 * index, headers=REQUIRE)
            self._wires.append(wire)
            chosen = wire if media is wanted else chosen
        assert chosen is not None
        return chosen

    def abandon(self) -> None:
        self._connection.abandon(self._url)
        for wire in self._wires:
            wire.close()


def choose(description: SessionDescription, prefer: Sequence[str]) -> tuple[Media, AudioFormat]:
    """The media that takes our audio and the payload type to use. Raises NotSupported."""
    open_to_us = [media for media in description.media if media.kind == "audio" and media.direction == "sendonly"]
    if not open_to_us:
        raise NotSupported("the device describes no audio backchannel", code="no-backchannel")
    for name in prefer:
        for media in open_to_us:
            for encoding in media.encodings:
                if encoding.name == name:
                    return media, AudioFormat(encoding.name, encoding.clock_rate, encoding.payload_type)
    offered = sorted({encoding.name for media in open_to_us for encoding in media.encodings})
    raise NotSupported(f"the device takes {', '.join(offered) or 'nothing known'}, not {', '.join(prefer)}", code="no-common-encoding")
