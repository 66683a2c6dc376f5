"""A way to one loudspeaker: the ONVIF audio backchannel (ONVIF Streaming Specification, 5.3)."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from gateway.domain.speaking import KeepAlive, SpeakerPath, SpeakerWays
from gateway.drivers.base import AudioFormat, Heir, Line, Target, Write, no_heir
from gateway.drivers.rtp.numbering import Numbering
from gateway.drivers.rtp.reports import latest_missed
from gateway.drivers.rtsp.connection import Connection, connect, deadline, take_leave
from gateway.drivers.rtsp.session import Transport, Wire, aggregate_url, describe, media_url, set_up
from gateway.drivers.sdp import Encoding, Media, SessionDescription
from gateway.errors import AuthenticationFailed, Busy, DeviceError, DeviceFault, NotSupported, ProtocolError, Unreachable

Headers = Sequence[tuple[str, str]]

REQUIRE: Headers = (("Require", "www.onvif.org/ver20/backchannel"),)


@dataclass(frozen=True, slots=True)
class SpeakerRtsp:
    """How a model of loudspeaker wants to be spoken to; the defaults are the standard's.

    `transports`: in order of preference. `all_tracks`: set up what the device sends, too, as far as it gives it, and drop it; without
    that, GStreamer's server, which is in many devices, answers PLAY with 200 and now and then stays silent. `require`: ask for the
    backchannel by Require.
    `packet_bytes`: for devices that play nothing but packets of so many bytes; 0: as the description says. `unstamped`: for devices that
    want each packet with its marker and the timestamp 0. `keep_alive`: what is asked first; what the device does not know, is given up
    for OPTIONS. `swallows_s`, `buffers_s`: as in `AudioFormat`.
    """

    path: str = "/"
    transports: tuple[Transport, ...] = (Transport.TCP, Transport.UDP)
    all_tracks: bool = True
    require: bool = True
    packet_bytes: int = 0
    unstamped: bool = False
    keep_alive: KeepAlive = KeepAlive.GET_PARAMETER
    swallows_s: float = 0.0
    buffers_s: float = 0.0


def manner_of(ways: SpeakerWays, *, path: str) -> SpeakerRtsp:
    """How a device that wants to be spoken to like that is spoken to by RTSP."""
    habits = ways.backchannel
    return SpeakerRtsp(
        path=path,
        transports=tuple(Transport(carrier.value) for carrier in habits.carriers),
        all_tracks=habits.all_tracks,
        require=habits.require,
        packet_bytes=habits.packet_bytes,
        unstamped=habits.unstamped,
        keep_alive=habits.keep_alive,
        swallows_s=ways.lead_in_s,
        buffers_s=ways.buffer_s,
    )


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
    heir: Heir = no_heir,
    let_in: Callable[[], None] = lambda: None,
) -> "Backchannel":
    """Set up a backchannel up to PLAY's 200, all within `timeout_s`. `prefer`: RTP encoding names, best first. `habits` are learnt.
    `heir` ends the session should we die before this returns: some devices let nobody speak for a minute then.
    `let_in`: as of `Connection`.

    Raises NotSupported (no-backchannel, no-common-encoding), Busy when somebody else is talking, and the other DeviceErrors. No session
    of ours is left behind: TEARDOWN is sent whatever went wrong.
    """
    opening: _Opening | None = None
    try:
        async with deadline(target, timeout_s):
            connection = await connect(target)
            connection.let_in = let_in
            opening = _Opening(connection, manner, habits or Habits(), heir)
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
    """The `AudioSession` of `drivers.base`."""

    path = SpeakerPath.BACKCHANNEL

    def __init__(
        self,
        connection: Connection,
        url: str,
        wire: Wire,
        audio: AudioFormat,
        *,
        beside: Sequence[Wire],
        unstamped: bool,
        keep_alive: KeepAlive,
        entropy: Callable[[int], int],
    ) -> None:
        """`beside`: the ways of the device's own tracks, closed with ours; `unstamped`: each packet has its marker and the timestamp 0."""
        self._connection = connection
        self._url = url
        self._wire = wire
        self._beside = beside
        self._format = audio
        self._numbering = Numbering(audio, entropy, unstamped=unstamped)
        self._closed = False
        self._missed: int | None = None
        self._reports = wire.reports
        if wire.channel is not None:
            latest = _Latest(wire.channel + 1)
            connection.on_frame, self._reports = latest.take, latest.given
        self._tell_ended: Callable[[], None] | None = None
        self._line = Line(
            wire.socket,
            audio.payload_type,
            lend=self._lend,
            returned=self._take_back,
            farewell=lambda: connection.farewell(url),
            destination=wire.destination,
            channel=wire.channel,
            signalling=connection.socket,
            unstamped=unstamped,
        )
        connection.ends_forgotten = True
        connection.keep_alive(url, keep_alive.upper().replace("-", "_"))

    @property
    def format(self) -> AudioFormat:
        return self._format

    @property
    def line(self) -> Line:
        return self._line

    def _lend(self, write: Write, ended: Callable[[], None]) -> None:
        if self.ended:
            raise Unreachable(f"{self._connection.target.device}: the session has ended", code="closed")
        if self._wire.channel is not None:
            self._connection.lend(write)
        self._tell_ended, self._connection.on_end = ended, self._take_end

    def _take_back(self, torn: bool) -> None:
        self._tell_ended = None
        if self._wire.channel is not None:
            self._connection.take_back(torn=torn)
        self._numbering.resume(self._line)

    def _take_end(self, _error: DeviceError | None) -> None:
        if self._tell_ended is not None:
            self._tell_ended()

    @property
    def missed(self) -> int | None:
        self._missed = latest_missed(self._reports(), self._missed)
        return self._missed

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
        head = self._numbering.next(self._line, timestamp=timestamp, marker=marker)
        return self._wire.send(head + payload)

    async def close(self) -> DeviceError | None:
        """TEARDOWN, over a new connection when ours broke, and close."""
        self._closed = True
        broken = self._connection.failure is not None
        try:
            unconfirmed = await self._connection.close(self._url)
            return await take_leave(self._connection, self._url) if broken else unconfirmed
        finally:
            for wire in (self._wire, *self._beside):
                wire.close()


class _Latest:
    """The last frame of one interleaved channel; all others are dropped."""

    def __init__(self, channel: int) -> None:
        self._channel = channel
        self._frames: tuple[bytes, ...] = ()

    def take(self, channel: int, payload: bytes) -> None:
        if channel == self._channel:
            self._frames = (payload,)

    def given(self) -> Sequence[bytes]:
        frames, self._frames = self._frames, ()
        return frames


class _Opening:
    """The steps from an open connection to a backchannel, with what must be undone when one of them fails."""

    def __init__(self, connection: Connection, manner: SpeakerRtsp, habits: Habits, heir: Heir) -> None:
        self._connection = connection
        self._heir = heir
        self._settle: Callable[[], None] = _nothing
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
        except (NotSupported, DeviceFault) as refusal:
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
        return Backchannel(
            self._connection,
            self._url,
            wire,
            audio,
            beside=[other for other in self._wires if other is not wire],
            unstamped=self._manner.unstamped,
            keep_alive=self._manner.keep_alive,
            entropy=entropy,
        )

    async def _set_up(self, base: str, wanted: Media, description: SessionDescription) -> Wire:
        """The way for our sound. What the device sends is set up beside it; where it refuses that, the voice goes on without."""
        chosen: Wire | None = None
        for index, media in enumerate(description.media):
            url = media_url(self._connection, base, media)
            if media is wanted:
                chosen = await self._set_up_one(url, 2 * index)
            elif self._manner.all_tracks and media.encodings and not _is_for_us(media):
                await self._take_along(url, 2 * index)
        assert chosen is not None
        return chosen

    async def _take_along(self, url: str, channel: int) -> None:
        try:
            await self._set_up_one(url, channel)
        except (DeviceFault, Busy, NotSupported, ProtocolError):
            pass
        except AuthenticationFailed as refusal:
            if refusal.code != "forbidden":
                raise

    async def _set_up_one(self, url: str, channel: int) -> Wire:
        wire = await set_up(self._connection, url, order=self._manner.transports, channel=channel, headers=self._headers)
        self._wires.append(wire)
        self._settle = self._heir(partial(self._connection.farewell, self._url, after=1), self._connection.socket)
        return wire

    def abandon(self) -> None:
        self._settle()
        self._connection.abandon(self._url)
        for wire in self._wires:
            wire.close()

    async def take_leave(self) -> None:
        await take_leave(self._connection, self._url)


def _nothing() -> None:
    pass


def _speaks_of_require(refusal: NotSupported | DeviceFault, *, required: bool) -> bool:
    """Whether the refusal may come from our Require (551, and 400 where that is unknown), or from its absence: then a device describes no
    backchannel, or answers 551."""
    by_presence, by_absence = refusal.code == "rtsp-400", refusal.code == "no-backchannel"
    return refusal.detail.startswith("551") or (by_presence if required else by_absence)


def choose(description: SessionDescription, prefer: Sequence[str]) -> tuple[Media, Encoding]:
    """The media that takes our audio and the encoding to use. Raises NotSupported."""
    open_to_us = [media for media in description.media if _is_for_us(media)]
    if not open_to_us:
        raise NotSupported("the device describes no audio backchannel", code="no-backchannel")
    for name in prefer:
        for media in open_to_us:
            for encoding in media.encodings:
                if encoding.is_telephony(name):
                    return media, encoding
    offered = sorted({str(encoding) for media in open_to_us for encoding in media.encodings})
    raise NotSupported(f"the device takes {', '.join(offered) or 'nothing known'}, not {', '.join(prefer)}", code="no-common-encoding")


def _is_for_us(media: Media) -> bool:
    """Whether it is a backchannel; who has set up one of them is the talker, and a second may be refused him as to anybody else."""
    return media.kind == "audio" and media.direction == "sendonly"


def audio_format(media: Media, encoding: Encoding, manner: SpeakerRtsp) -> AudioFormat:
    """What is sent to `media`: one byte a sample, in packets as the model wants them, or else as the description says."""
    samples = manner.packet_bytes or round(media.packet_ms * encoding.clock_rate / 1000)
    return AudioFormat(encoding.name, encoding.clock_rate, encoding.payload_type, samples, manner.swallows_s, manner.buffers_s)
