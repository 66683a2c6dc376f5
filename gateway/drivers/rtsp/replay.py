"""Footage as a recorder keeps it: ONVIF replay over interleaved TCP (ONVIF Streaming Specification, 6)."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from gateway.drivers.base import MediaPacket, Span, Target, TrackDescription
from gateway.drivers.rtp.packets import parse
from gateway.drivers.rtp.reports import says_goodbye
from gateway.drivers.rtsp.bursts import Fragmentation
from gateway.drivers.rtsp.connection import Connection, connect, deadline
from gateway.drivers.rtsp.session import Transport, aggregate_url, describe, media_url, set_up
from gateway.drivers.sdp import Media, SessionDescription
from gateway.errors import AuthenticationFailed, DeadlineExceeded, DeviceError, DeviceFault, NotSupported, ProtocolError

REQUIRE = (("Require", "onvif-replay"),)
# Reading stops at so many bytes that nobody has taken yet, and goes on at half; TCP then slows the device down.
_HIGH_WATER = 4 << 20
# More than the largest picture: a device that sends so much without its footage getting any later is at fault.
_STANDSTILL_LIMIT = 64 << 20
# Footage that is earlier by so much is no picture out of order: the device's clock was set back, and what follows is a section of its own.
_SET_BACK = timedelta(seconds=2)
# More often it may not begin anew without getting any later than it was: a device that does replays the same again and again.
_TURNS_LIMIT = 4
# So much is read for the sound that is still to come once the pictures have: a device that goes on beyond the window sends them as well.
_TRAIL_LIMIT = 64 << 20
_LONGEST_PIECE = timedelta(seconds=1)
FRAGMENTATIONS = {"H264": Fragmentation(2, 0x1F, 28), "H265": Fragmentation(3, 0x7E, 49 << 1)}
"""FU-A (RFC 6184, 5.8), FU (RFC 7798, 4.4.3)."""
_Arrival = tuple[int, MediaPacket | bytes | None, int]
"""Channel; the packet, or what is still to be read as one; bytes. A `Burst` is one."""


class ReplayEnd(StrEnum):
    """How a replay came to its end."""

    WINDOW = "window"  # footage at or after the window's end came
    TERMINAL = "terminal"  # the device marked the last picture (T)
    GOODBYE = "goodbye"  # RTCP BYE for every track, or for the first and then nothing more of the range
    TEARDOWN = "teardown"  # the device sent TEARDOWN
    QUIET = "quiet"  # the device marked the end of a section (E), and nothing more came


@dataclass(frozen=True, slots=True)
class ReplayManner:
    """How a model of recorder replays. `immediate`, `rate_control`: whether it takes those headers. `stall_s`: how long footage may
    make no progress; `quiet_s`: how long after the end of a section more may come. `trail_s`: how long sound that has not come to its end
    may make no progress once the pictures have; `unheard_s`: the same where no sound came so far."""

    immediate: bool = True
    rate_control: bool = True
    stall_s: float = 15.0
    quiet_s: float = 2.0
    trail_s: float = 5.0
    unheard_s: float = 0.5


async def replay(
    target: Target,
    path: str,
    window: Span,
    *,
    timeout_s: float,
    kinds: Sequence[str] = ("video",),
    manner: ReplayManner = ReplayManner(),
    bursts: bool = False,
) -> "Replay":
    """Start replaying `window` (device time) of the recording at `path` as fast as the device will; `timeout_s` covers the set-up.

    `kinds`: which media: of the first kind the first, which must be there and decides how far the replay is; of the others all that there
    are. What the device refuses of those is `refused`, and the rest is replayed.
    `bursts`: what there is of a picture of H.264 or H.265 may come as one packet with what is `following`, at a fraction of the cost.
    The device starts at the clean point at or before the window. Raises NotSupported (no-track), Busy and the other DeviceErrors.
    """
    async with deadline(target, timeout_s):
        connection = await connect(target)
        connection.farewell_headers = REQUIRE
        url = ""
        try:
            base, description = await describe(connection, path, REQUIRE)
            url = aggregate_url(connection, base, description)
            wanted = _wanted(description, kinds)
            channels = await _set_up_all(connection, base, wanted)
            session = Replay(connection, url, [media.tracks()[0] for media in channels.values()], window, manner)
            session.refused = tuple(media.tracks()[0] for media in wanted if media not in channels.values())
            session.channels = {channel: index for index, channel in enumerate(channels)}
            if bursts:
                session.take_bursts()
            await connection.request("PLAY", url, _play_headers(window, manner))
            connection.keep_alive(url)
        except BaseException:
            connection.abandon(url)
            raise
        return session


def _wanted(description: SessionDescription, kinds: Sequence[str]) -> list[Media]:
    """The first media of the first kind, and all of the others."""
    fit = [media for media in description.media if media.encodings and not (media.kind == "audio" and media.direction == "sendonly")]
    first = [media for media in fit if media.kind == kinds[0]][:1]
    if not first:
        raise NotSupported(f"the recording holds no {kinds[0]}", code="no-track")
    return first + [media for media in fit if media.kind in kinds[1:]]


async def _set_up_all(connection: Connection, base: str, wanted: Sequence[Media]) -> dict[int, Media]:
    """What was set up, by its channel. A device that does not give what stands beside the first goes on without."""
    channels: dict[int, Media] = {}
    for index, media in enumerate(wanted):
        url = media_url(connection, base, media)
        try:
            wire = await set_up(connection, url, order=(Transport.TCP,), channel=2 * index, headers=REQUIRE)
        except (DeviceFault, AuthenticationFailed) as refusal:
            if not channels or (isinstance(refusal, AuthenticationFailed) and refusal.code != "forbidden"):
                raise
            continue
        assert wire.channel is not None
        channels[wire.channel] = media
    return channels


def _play_headers(window: Span, manner: ReplayManner) -> list[tuple[str, str]]:
    headers = [*REQUIRE, ("Range", f"clock={clock_time(window.start)}-{clock_time(window.end)}")]
    if manner.rate_control:
        headers.append(("Rate-Control", "no"))
    if manner.immediate:
        headers.append(("Immediate", "yes"))
    return headers


def clock_time(moment: datetime) -> str:
    """An absolute time as RFC 2326, 3.7 writes it, in milliseconds. ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError("a naive time names no moment")
    utc = moment.astimezone(UTC)
    return f"{utc:%Y%m%dT%H%M%S}.{utc.microsecond // 1000:03d}Z"


class Replay:
    """The `ReplaySession` of `drivers.base`. `ended` says how it ended, once `arrivals` has run out."""

    def __init__(
        self, connection: Connection, url: str, tracks: Sequence[TrackDescription], window: Span, manner: ReplayManner = ReplayManner()
    ) -> None:
        self.channels: Mapping[int, int] = {}
        self.refused: Sequence[TrackDescription] = ()
        self.ended: ReplayEnd | None = None
        self._connection = connection
        self._url = url
        self._tracks = tuple(tracks)
        self._inbox = _Inbox(connection)
        self._judge = _Progress(window, manner)
        self._manner = manner
        self._sounds: dict[int, _Sound] = {}
        self._parted: set[int] = set()

    @property
    def tracks(self) -> Sequence[TrackDescription]:
        return self._tracks

    async def arrivals(self) -> AsyncIterator[Iterator[tuple[int, MediaPacket]]]:
        """What has come by now, again and again until the range ends: (index into `tracks`, packet). RTP timestamps, sequence numbers and
        times are the device's, unchecked.

        Raises DeadlineExceeded (stalled) when the footage makes no progress, Unreachable when the connection breaks before the end; these
        and what it gives ProtocolError. Whoever stops early still calls `close`.
        """
        while self.ended is None:
            came = await self._inbox.stirs(self._judge.patience_s)
            if came:
                yield self._there()
            if self.ended is None and self._inbox.waited_s >= self._judge.patience_s:
                self.ended = self._judge.silence(self._connection.target)
            elif not came:
                self.ended = ReplayEnd.TEARDOWN
        if self.ended in (ReplayEnd.WINDOW, ReplayEnd.TERMINAL):
            async for trailing in self._trail():
                yield trailing

    def _there(self) -> Iterator[tuple[int, MediaPacket]]:
        """What is there, up to the end of the replay."""
        while self.ended is None and (item := self._inbox.next()) is not None:
            found = self._sort(*item)
            if found is not None and self.ended is not ReplayEnd.WINDOW:
                yield found

    async def _trail(self) -> AsyncIterator[Iterator[tuple[int, MediaPacket]]]:
        """What the other tracks still send of the range after the first has come to its end."""
        self._inbox.waited_s, left = 0.0, _TRAIL_LIMIT
        while left > 0 and self._inbox.waited_s < (patience_s := self._trail_s()):
            try:
                await self._inbox.stirs(patience_s)
            except DeviceError:
                return  # the footage is there: who hangs up now has nothing more to say
            item = self._inbox.next()
            if item is None:
                return
            left -= item[2]
            found = self._sort(*item)
            if found is not None and found[0] > 0:
                if self._sounds[found[0]].advanced:
                    self._inbox.waited_s = 0.0
                yield iter((found,))

    def _trail_s(self) -> float:
        """How long to wait for what is still to come of sound; 0 when there is none, or all of it is there."""
        awaited = [index for index in self.channels.values() if index > 0 and index not in self._parted]
        waits = [
            self._manner.trail_s if index in self._sounds else self._manner.unheard_s
            for index in awaited
            if index not in self._sounds or not self._sounds[index].reaches(self._judge.end)
        ]
        return max(waits, default=0.0)

    def take_bursts(self) -> None:
        """Before PLAY: let the packets of a picture come together."""
        known = {channel: FRAGMENTATIONS.get(self._tracks[index].encoding) for channel, index in self.channels.items()}
        self._connection.take_bursts({channel: how for channel, how in known.items() if how is not None}, self._inbox.keep)

    def _sort(self, channel: int, what: MediaPacket | bytes | None, size: int) -> tuple[int, MediaPacket] | None:
        """The packet with its track; None for what is no media. Sets `ended` when it ends the replay."""
        index = self.channels.get(channel)
        if index is None:
            if channel - 1 in self.channels and isinstance(what, bytes) and says_goodbye(what):
                self._part(self.channels[channel - 1])
            return None
        packet = parse(what) if isinstance(what, bytes) else what
        if packet is None:
            raise ProtocolError(f"{self._connection.target.device}: sends what is no RTP packet")
        if index > 0:
            sound = self._sounds.setdefault(index, _Sound())
            sound.hear(packet.ntp)
            if self._judge.parting and sound.advanced and not sound.reaches(self._judge.end):
                self._inbox.waited_s = 0.0
        elif self.ended is None:
            self.ended = self._judge.see(packet, size)
            if self._judge.advanced:
                self._inbox.waited_s = 0.0
        return index, packet

    def _part(self, index: int) -> None:
        """A track has said goodbye; what others still hold of it comes soon."""
        self._parted.add(index)
        if self.ended is not None:
            return
        if len(self._parted) == len(self.channels):
            self.ended = ReplayEnd.GOODBYE
        elif index == 0:
            self._judge.parting = True

    async def close(self) -> None:
        """Stop the device by TEARDOWN and close; what still comes is dropped. Never raises for what the device does."""
        self._inbox.discard()
        await self._connection.close(self._url)


class _Sound:
    """How far the sound of one track is by the device's time; pure."""

    def __init__(self) -> None:
        self._latest: datetime | None = None
        self._lasts = timedelta(0)
        self.advanced = False

    def hear(self, at: datetime | None) -> None:
        """A piece that began `at`, where the device tells that."""
        self.advanced = at is not None and (self._latest is None or at > self._latest)
        if at is None:
            return
        if self._latest is not None and timedelta(0) < at - self._latest <= _LONGEST_PIECE:
            self._lasts = at - self._latest
        self._latest = at

    def reaches(self, end: datetime) -> bool:
        """Whether the next piece would begin at `end` or later."""
        return self._latest is not None and self._latest + self._lasts >= end


class _Progress:
    """Decides, from the packets of the first track, whether a replay goes on; pure."""

    def __init__(self, window: Span, manner: ReplayManner) -> None:
        self._end = window.end
        self._manner = manner
        self._latest: datetime | int | None = None
        self._furthest: datetime | None = None
        self._turns = 0
        self._standstill = 0
        self._section_ended = False
        self._terminal = False
        self.advanced = False
        self.parting = False

    @property
    def end(self) -> datetime:
        """Where the footage ends: with the window, or with its last picture."""
        return self._latest if self._terminal and isinstance(self._latest, datetime) else self._end

    @property
    def patience_s(self) -> float:
        """How long to wait for the next packet."""
        return self._manner.quiet_s if self._section_ended or self.parting else self._manner.stall_s

    def see(self, packet: MediaPacket, size: int) -> ReplayEnd | None:
        """Take a packet into account; how the replay ends with it (WINDOW: before it), if it does."""
        if packet.ntp is not None:
            if packet.ntp >= self._end:
                return ReplayEnd.WINDOW
            self._section_ended = packet.end_of_section
            self._terminal = packet.terminal
        self._note_progress(packet, size)
        return ReplayEnd.TERMINAL if self._terminal and packet.marker else None

    def _note_progress(self, packet: MediaPacket, size: int) -> None:
        """Footage gets later by its own time, or begins anew with an earlier one; without any it is judged by its RTP timestamps."""
        latest, at = self._latest, packet.ntp
        if at is not None:
            later = not isinstance(latest, datetime) or at > latest
            back = not later and isinstance(latest, datetime) and at < latest - _SET_BACK
            self.advanced = later or back
            if self._furthest is None or at > self._furthest:
                self._furthest, self._turns = at, 0
            elif back:
                self._note_turn()
            seen: datetime | int | None = at
        else:
            self.advanced = not isinstance(latest, datetime) and packet.timestamp != latest
            seen = packet.timestamp
        if self.advanced:
            self._latest, self._standstill = seen, 0
            return
        self._standstill += size
        if self._standstill > _STANDSTILL_LIMIT:
            raise ProtocolError("the footage does not get any later", code="too-large")

    def _note_turn(self) -> None:
        """The footage begins anew, earlier than what came before."""
        self._turns += 1
        if self._turns > _TURNS_LIMIT:
            raise ProtocolError("the footage begins again and again and does not get any later", code="too-large")

    def silence(self, target: Target) -> ReplayEnd:
        """What it means that no later footage came for `patience_s`: the end, or DeadlineExceeded."""
        if self.parting:
            return ReplayEnd.GOODBYE
        if self._section_ended:
            return ReplayEnd.QUIET
        raise DeadlineExceeded(f"{target.device}: the replay made no progress for {self._manner.stall_s:g} s", code="stalled")


class _Inbox:
    """Frames between the connection and the reader, bounded: reading stops at the high-water mark."""

    def __init__(self, connection: Connection) -> None:
        self.waited_s = 0.0
        self.torn_down = False
        self._connection = connection
        self._frames: deque[_Arrival] = deque()  # at most _HIGH_WATER bytes and one reading of the socket: then `keep` pauses it
        self._bytes = 0
        self._paused = False
        self._failure: DeviceError | None = None
        self._stirred = asyncio.Event()
        connection.on_frame = self._put
        connection.on_end = self._end

    def next(self) -> _Arrival | None:
        """The next frame, if one is there."""
        if not self._frames:
            return None
        found = self._frames.popleft()
        self._bytes -= found[2]
        if self._paused and self._bytes < _HIGH_WATER // 2:
            self._paused = False
            self._connection.resume_reading()
        return found

    async def stirs(self, patience_s: float) -> bool:
        """Wait for a frame; False: the device ended the session or `waited_s` reached `patience_s`. Raises when the connection broke."""
        while not self._frames:
            if self._failure is not None:
                raise self._failure
            if self.torn_down or self.waited_s >= patience_s:
                return False
            await self._wait(patience_s - self.waited_s)
        return True

    async def _wait(self, longest_s: float) -> None:
        """Until something came, adding to `waited_s`; time that the reader itself takes does not count."""
        loop = asyncio.get_running_loop()
        self._stirred.clear()
        began = loop.time()
        try:
            async with asyncio.timeout(longest_s):
                await self._stirred.wait()
        except TimeoutError:
            self.waited_s += longest_s
        else:
            self.waited_s += loop.time() - began

    def _put(self, channel: int, payload: bytes) -> None:
        self.keep((channel, payload, len(payload)))

    def keep(self, frame: _Arrival) -> None:
        self._frames.append(frame)
        self._bytes += frame[2]
        self._stirred.set()
        if not self._paused and self._bytes > _HIGH_WATER:
            self._paused = True
            self._connection.pause_reading()

    def _end(self, failure: DeviceError | None) -> None:
        self._failure = failure
        self.torn_down = failure is None
        self._stirred.set()

    def discard(self) -> None:
        """From now on drop what comes, so that the answer to TEARDOWN can be read."""
        self._frames.clear()
        self._connection.on_frame = _drop
        self._connection.take_bursts({}, lambda _: None)
        if self._paused:
            self._connection.resume_reading()


def _drop(_channel: int, _payload: bytes) -> None:
    pass
