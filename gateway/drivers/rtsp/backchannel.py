"""A way to one loudspeaker: the ONVIF audio backchannel (ONVIF Streaming Specification, 5.3)."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.drivers.base import AudioFormat, Target
from gateway.drivers.rtsp import rtp
from gateway.drivers.rtsp.connection import Connection, connect, deadline, take_leave
from gateway.drivers.rtsp.sdp import Encoding, Media, SessionDescription
from gateway.drivers.rtsp.session import Transport, Wire, aggregate_url, describe, media_url, set_up
from gateway.errors import NotSupported, Unreachable

Headers = Sequence[tuple[str, str]]

REQUIRE: Headers = (("Require", "www.onvif.org/ver20/backchannel"),)


@dataclass(frozen=True, slots=True)
class SpeakerRtsp:
    """How a model of loudspeaker wants to be spoken to; the defaults are the standard's.

    `transports`: in order of preference. `all_tracks`: set up what the device sends, too, and drop it; without that, GStreamer's
    server, which is in many devices, answers PLAY with 200 and now and then stays silent. `require`: ask for the backchannel by Require.
    `packet_bytes`: for devices that play nothing but packets of so many bytes, each with its marker and the timestamp 0; 0: as the
    description says. `swallows_s`, `buffers_s`: as in `AudioFormat`.
    """

    path: str = "/"
    transports: tuple[Transport, ...] = (Transport.TCP, Transport.UDP)
    all_tracks: bool = True
    require: bool = True
    packet_bytes: int = 0
    swallows_s: float = 0.0
    buffers_s: float = 0.0


@dataclass(slots=True)
class Habits:
    """What was learnt of one loudspeaker and holds for its next talk. `require`: whether it takes Require; None: nothing was learnt."""

    require: bool | None = None


async def open_audio(
    target: Target,
    *,
    prefer: Sequence[str],
    timeout_s: float,
    manner: SpeakerRtsp = SpeakerRtsp(),
    habits: Habits | None = None,
    entropy: Callable[[int], int] = secrets.randbits,
) -> "Backchannel":
    """Set up a backchannel up to PLAY's 200, all within `timeout_s`. `prefer`: RTP encoding names, best first. `habits` are learnt.

    Raises NotSupported (no-backchannel, no-common-encoding), Busy when somebody else is talking, and the other DeviceErrors. No session
    of ours is left behind: TEARDOWN is sent whatever went wrong.
    """
    opening: _Opening | None = None
    try:
        async with deadline(target, timeout_s):
            connection = await connect(target)
            opening = _Opening(connection, manner, habits or Habits())
            try:
                return await opening.run(prefer, entropy)
            except BaseException:
                opening.abandon()
                raise
    except Unreachable:
        if opening is not None:
            await opening.take_leave()
        raise


class Backchannel:
    """The `AudioSession` of `drivers.base`. Sequence number, SSRC and the origin of timestamps are random (RFC 3550, 5.1)."""

    def __init__(
        self, connection: Connection, url: str, wire: Wire, audio: AudioFormat, *, unstamped: bool, entropy: Callable[[int], int]
    ) -> None:
        """`unstamped`: each packet has its marker and the timestamp 0."""
        self._connection = connection
        self._url = url
        self._wire = wire
        self._format = audio
        self._unstamped = unstamped
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
        """Send one RTP packet without waiting; False when it had to be dropped. `timestamp` counts samples from the start.

        `payload` has the format's `packet_samples`.
        """
        if self.ended:
            return False
        stamp, marked = (0, True) if self._unstamped else (self._origin + timestamp, marker)
        head = rtp.header(payload_type=self._format.payload_type, sequence=self._sequence, timestamp=stamp, ssrc=self._ssrc, marker=marked)
        self._sequence += 1
        return self._wire.send(head + payload)

    async def close(self) -> None:
        """TEARDOWN, over a new connection when ours broke, and close; never raises for what the device does."""
        self._closed = True
        broken = self._connection.failure is not None
        try:
            await self._connection.close(self._url)
            if broken:
                await take_leave(self._connection, self._url)
        finally:
            self._wire.close()


class _Opening:
    """The steps from an open connection to a backchannel, with what must be undone when one of them fails."""

    def __init__(self, connection: Connection, manner: SpeakerRtsp, habits: Habits) -> None:
        self._connection = connection
        self._manner = manner
        self._habits = habits
        self._headers: Headers = ()
        self._url = ""
        self._wires: list[Wire] = []

    async def run(self, prefer: Sequence[str], entropy: Callable[[int], int]) -> Backchannel:
        """Ask as the device is known to want it, and once in the other way: with Require, or without."""
        require = self._manner.require if self._habits.require is None else self._habits.require
        try:
            return await self._open(prefer, entropy, require=require)
        except NotSupported as refusal:
            if self._connection.session or not _speaks_of_require(refusal, required=require):
                raise
        opened = await self._open(prefer, entropy, require=not require)
        self._habits.require = not require
        return opened

    async def _open(self, prefer: Sequence[str], entropy: Callable[[int], int], *, require: bool) -> Backchannel:
        self._headers = self._connection.farewell_headers = REQUIRE if require else ()
        base, description = await describe(self._connection, self._manner.path, self._headers)
        media, encoding = choose(description, prefer)
        self._url = aggregate_url(self._connection, base, description)
        wire = await self._set_up(base, media, description)
        await self._connection.request("PLAY", self._url, self._headers)  # no Range: gst-rtsp-server then seeks and stays silent
        audio = audio_format(media, encoding, self._manner)
        return Backchannel(self._connection, self._url, wire, audio, unstamped=self._manner.packet_bytes > 0, entropy=entropy)

    async def _set_up(self, base: str, wanted: Media, description: SessionDescription) -> Wire:
        chosen: Wire | None = None
        for index, media in enumerate(description.media):
            if media is not wanted and not self._manner.all_tracks:
                continue
            url = media_url(self._connection, base, media)
            wire = await set_up(self._connection, url, order=self._manner.transports, channel=2 * index, headers=self._headers)
            self._wires.append(wire)
            chosen = wire if media is wanted else chosen
        assert chosen is not None
        return chosen

    def abandon(self) -> None:
        self._connection.abandon(self._url)
        for wire in self._wires:
            wire.close()

    async def take_leave(self) -> None:
        await take_leave(self._connection, self._url)


def _speaks_of_require(refusal: NotSupported, *, required: bool) -> bool:
    """Whether the refusal may come from our Require, or from its absence: then a device describes no backchannel, or answers 551."""
    return refusal.detail.startswith("551") or (not required and refusal.code == "no-backchannel")


def choose(description: SessionDescription, prefer: Sequence[str]) -> tuple[Media, Encoding]:
    """The media that takes our audio and the encoding to use. Raises NotSupported."""
    open_to_us = [media for media in description.media if media.kind == "audio" and media.direction == "sendonly"]
    if not open_to_us:
        raise NotSupported("the device describes no audio backchannel", code="no-backchannel")
    for name in prefer:
        for media in open_to_us:
            for encoding in media.encodings:
                if encoding.name == name:
                    return media, encoding
    offered = sorted({encoding.name for media in open_to_us for encoding in media.encodings})
    raise NotSupported(f"the device takes {', '.join(offered) or 'nothing known'}, not {', '.join(prefer)}", code="no-common-encoding")


def audio_format(media: Media, encoding: Encoding, manner: SpeakerRtsp) -> AudioFormat:
    """What is sent to `media`: one byte a sample, in packets as the model wants them, or else as the description says."""
    samples = manner.packet_bytes or round(media.packet_ms * encoding.clock_rate / 1000)
    return AudioFormat(encoding.name, encoding.clock_rate, encoding.payload_type, samples, manner.swallows_s, manner.buffers_s)
