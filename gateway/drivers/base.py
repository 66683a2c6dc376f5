"""What a driver can do, as small Protocols: a device is the sum of the capabilities that it has, and absence is normal.

Every call takes `timeout_s`, one deadline over the whole operation, and raises only the children of `DeviceError`:
`Unreachable`, `DeadlineExceeded`, `AuthenticationFailed`, `ProtocolError`, `DeviceFault` (`NotSupported`, `Busy`), `WrongDevice`.
Strings in what they return come from the device and are untrusted text.
"""

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Protocol, runtime_checkable

from gateway.domain.coverage import Told
from gateway.domain.devices import Credentials, DeviceId, Place, Ports
from gateway.domain.quirks import NONE as NO_QUIRKS
from gateway.domain.quirks import Quirks
from gateway.domain.speaking import USUAL as USUAL_WAYS
from gateway.domain.speaking import SpeakerPath, SpeakerWays
from gateway.errors import DeviceError


@dataclass(frozen=True, slots=True)
class Target:
    """Where a device is and how to log in to it, as the inventory says. A URL that a device gives never changes this (rule 1).

    `profile`: the one that the inventory names, "" for none; `quirks`, `speaker`: those of the profile that fits the device.
    """

    device: DeviceId
    address: str
    ports: Ports
    credentials: Credentials
    profile: str = ""
    quirks: Quirks = NO_QUIRKS
    speaker: SpeakerWays = USUAL_WAYS

    @property
    def place(self) -> Place:
        return self.address, self.ports


# -- clock and identity -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeviceClock:
    """The device's clock at one moment. `offset` is device time minus ours; `source` is "NTP" or "Manual".

    `zone_lie`: how far ahead of its own clock, by which it signs and records, a device tells it to be; that is taken out of `utc` and
    `offset` already.
    """

    utc: datetime
    offset: timedelta
    timezone: str = ""
    daylight_saving: bool = False
    source: str = ""
    zone_lie: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the device says it is (ONVIF Device Management, GetDeviceInformation)."""

    manufacturer: str
    model: str
    firmware: str
    serial: str
    hardware_id: str = ""


@dataclass(frozen=True, slots=True)
class Hardware:
    """The hardware addresses that a device told of itself. `asked_at`: when it was asked, by our monotonic clock (s)."""

    addresses: Sequence[str]
    asked_at: float


class ClockSource(Protocol):
    async def read_clock(self, *, timeout_s: float) -> DeviceClock: ...


class IdentitySource(Protocol):
    async def identity(self, *, timeout_s: float) -> Identity: ...

    async def hardware(self, *, fresh_s: float, timeout_s: float) -> Hardware:
        """What its network interfaces are called, asked within the last `fresh_s` seconds."""
        ...


# -- media and movement -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MediaProfile:
    """One stream of a camera (ONVIF Media / Media2 GetProfiles). Sizes in pixels, rates in frames and kbit a second."""

    token: str
    name: str
    encoding: str = ""
    width: int = 0
    height: int = 0
    frame_rate: float = 0.0
    bitrate_kbps: int = 0
    ptz: bool = False
    audio_output: bool = False
    service: str = "media"


@dataclass(frozen=True, slots=True)
class Preset:
    token: str
    name: str


class MediaSource(Protocol):
    async def profiles(self, *, timeout_s: float) -> Sequence[MediaProfile]: ...

    async def stream_path(self, profile: str, *, timeout_s: float) -> str:
        """Path and query of the RTSP URI; host and port are the inventory's."""
        ...

    async def snapshot(self, profile: str, *, timeout_s: float) -> bytes:
        """One JPEG."""
        ...


class PresetSource(Protocol):
    async def presets(self, profile: str, *, timeout_s: float) -> Sequence[Preset]: ...


# -- events -----------------------------------------------------------------------------------------------------------


class Change(StrEnum):
    """How a property changed (ONVIF Core, 9.3): INITIALIZED tells how things are; NONE is an event without a state."""

    INITIALIZED = "initialized"
    CHANGED = "changed"
    DELETED = "deleted"
    NONE = ""


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """One event that a device told.

    `topic`: its path without prefixes, such as "VideoSource/MotionAlarm"; `source`, `data`: its items by name; `on`: its state, None for
    none; `begins`: whether something begins with it; `assumed`: nobody told it, the gateway took an alarm to be over; `device_time`: by the
    device's clock, None when it told none that is possible; `received`: by ours.
    """

    topic: str
    source: Mapping[str, str]
    data: Mapping[str, str]
    change: Change
    on: bool | None
    device_time: datetime | None
    received: datetime
    begins: bool = False
    assumed: bool = False


class EventSource(Protocol):
    async def run(self, take: Callable[[DeviceEvent], None]) -> None:
        """Keep a subscription to the device's events and hand each to `take`, which must not block, until cancelled.

        Nothing that the device does ends it: what fails is tried again, ever more rarely.
        """
        ...


# -- sensors ----------------------------------------------------------------------------------------------------------

SensorValue = int | float | str | bytes | None


# -- sound ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """What a loudspeaker takes, and how it plays it.

    `encoding`: an RTP encoding name (PCMU, PCMA…); `clock_rate` in Hz; `payload_type`: RTP's; `packet_samples`: samples in each packet;
    `swallows_s`: so much of the beginning it does not play; `buffers_s`: it plays so long after hearing, and nothing after the session.
    """

    encoding: str
    clock_rate: int
    payload_type: int
    packet_samples: int = 160
    swallows_s: float = 0.0
    buffers_s: float = 0.0


class Descriptor(Protocol):
    """A socket, as far as it is handed on."""

    def fileno(self) -> int: ...


Write = Callable[[bytes], None]


@dataclass(slots=True, eq=False)
class Line:
    """Where the packets of one session go, so that somebody else can write them: the pacer's process.

    `socket`: over UDP the RTP socket, connected unless `destination` is given; else the connection, and `channel` the interleaved one.
    `unstamped`: each packet has its marker and the timestamp 0. `signalling`: the connection on which the session is ended, when that is
    another; `farewell()`: the bytes that end it. `numbers`: SSRC, sequence number and timestamp of the next packet, None as long as
    nothing was sent: then whoever sends first chooses them.

    While it is lent, the session itself writes nothing on `socket`. `lend(write, ended)`: from now on the session gives `write` what it
    has to say there, and calls `ended` when nothing can be sent any more; raises DeviceError when that is so already.
    `give_back(numbers, torn=)`: it is the session's again; `torn`: in the midst of a frame, so that the connection is of no more use.
    """

    socket: Descriptor
    payload_type: int
    lend: Callable[[Write, Callable[[], None]], None]
    returned: Callable[[bool], None]
    farewell: "LastWord" = bytes
    destination: tuple[str, int] | None = None
    channel: int | None = None
    signalling: Descriptor | None = None
    unstamped: bool = False
    numbers: tuple[int, int, int] | None = None

    def give_back(self, numbers: tuple[int, int, int] | None, *, torn: bool) -> None:
        self.numbers = numbers or self.numbers
        self.returned(torn)


LastWord = Callable[[], bytes]
"""The bytes that end a session as it now is; none when there is nobody to say them to."""
Heir = Callable[[LastWord, Descriptor], Callable[[], None]]
"""Has a last word said on a socket should the daemon die, from now until the function that it returns is called."""


def no_heir(_farewell: LastWord, _signalling: Descriptor) -> Callable[[], None]:
    """The `Heir` where nobody outlives the daemon."""
    return lambda: None


class AudioSession(Protocol):
    """An open way to one loudspeaker: made by `AudioSink.open_audio`, ended by `close`, which always sends TEARDOWN."""

    @property
    def format(self) -> AudioFormat: ...

    @property
    def path(self) -> SpeakerPath: ...

    @property
    def line(self) -> Line | None:
        """By which somebody else may send in our place; None when only `send` will do."""
        ...

    @property
    def missed(self) -> int | None:
        """How many packets the device says to have missed so far (RTCP, RFC 3550, 6.4); None as long as it says nothing."""
        ...

    @property
    def ended(self) -> bool:
        """Whether nothing can be sent any more: closed by us, or the device hung up."""
        ...

    def send(self, payload: bytes, *, timestamp: int, marker: bool) -> bool:
        """Send one RTP packet without waiting; False when it had to be dropped because the connection does not drain."""
        ...

    async def close(self) -> DeviceError | None:
        """End it; never raises for what the device does. Gives what kept the device from confirming the end, None where it did.

        Until it has confirmed that, or its own time is over, a device may let nobody else talk.
        """
        ...


class AudioSink(Protocol):
    async def open_audio(self, *, prefer: Sequence[str], timeout_s: float) -> AudioSession:
        """Set up a way for sound by the best path of the device that can be had now. `prefer`: encoding names, best first.

        Nothing has sounded when this returns or raises.
        """
        ...


@dataclass(frozen=True, slots=True)
class DeviceClip:
    """A sound that a device may keep and play by itself.

    `key`: 64 hexadecimal digits, the same for the same sound and for no other; `pcm`: 8 kHz, mono, signed 16 bit, little endian; `mulaw`:
    the same as µ-law (ITU-T G.711). `interval_s`: whole seconds between its repetitions. `lasting`: it will be wanted again.
    """

    key: str
    pcm: bytes
    mulaw: bytes
    interval_s: int = 0
    lasting: bool = True

    @property
    def duration_s(self) -> float:
        return len(self.mulaw) / 8_000


class ClipPlayer(Protocol):
    """A device that keeps clips and plays them without a stream (ONVIF Media2, release 25.06, "Audio clip management")."""

    async def ensure(self, clip: DeviceClip, *, timeout_s: float) -> str:
        """The token by which the device knows the clip, which is uploaded where it is not there yet. Nothing sounds.

        Raises NotSupported (no-audio-clips), DeviceFault (device-clip-too-large, device-clip-format, device-clips-full) beside the usual.
        """
        ...

    async def play(self, token: str, *, repeats: int, timeout_s: float) -> None:
        """Play a clip `repeats` times more than once. Sent at most once.

        Raises DeviceFault and AuthenticationFailed where the device will not, Unreachable (refused, no-route) where it was not asked; after
        any other error it may play.
        """
        ...

    async def stop(self, token: str, *, timeout_s: float) -> None:
        """Silence a clip, at once and before anything else that the device is asked."""
        ...

    async def playing(self, *, timeout_s: float) -> Collection[str]:
        """The tokens of the clips that it plays now. NotSupported where it does not tell."""
        ...


@dataclass(frozen=True, slots=True)
class Loaded:
    """A clip that a device has and will play by itself when `player` is told to."""

    player: ClipPlayer
    token: str
    clip: DeviceClip
    path: SpeakerPath = SpeakerPath.AUDIO_CLIP


@runtime_checkable
class ClipSink(AudioSink, Protocol):
    """An `AudioSink` that may have another path, too."""

    @property
    def keeps_clips(self) -> bool:
        """Whether it may be given a clip to play by itself."""
        ...

    @property
    def player(self) -> ClipPlayer | None:
        """What has it play clips, and silences them; None where it never may be given any."""
        ...

    async def open(self, clip: DeviceClip, *, prefer: Sequence[str], timeout_s: float) -> AudioSession | Loaded:
        """As `open_audio`, or the clip where it is on a device that plays it by itself."""
        ...


@dataclass(frozen=True, slots=True)
class Volume:
    """How loud a device's audio outputs are set: each in percent of its own range, by its token."""

    percent: Mapping[str, float]

    def at_most(self, percent: int) -> "Volume":
        """The outputs that are louder than `percent`, made as loud as that; what is quiet enough is left out."""
        return Volume({token: percent for token, set_to in self.percent.items() if set_to > percent})


class VolumeControl(Protocol):
    async def volume(self, *, timeout_s: float) -> Volume:
        """Raises NotSupported (no-volume) where a device lets none be set."""
        ...

    async def set_volume(self, volume: Volume, *, timeout_s: float) -> None:
        """Set the outputs that are named to the nearest level that is not louder; the others stay as they are."""
        ...


# -- footage ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording on a device (ONVIF Recording Search, RecordingInformation); times are the device's own clock, in UTC."""

    token: str
    source_name: str
    earliest: datetime | None
    latest: datetime | None
    tracks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` to `end`, half open."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class History:
    """What a device says of one recording in a window, by its own clock: `spans` in order and disjoint, and its first and last moment.

    `reason`: why it says no more than `told`, as a code; "" when it says all.
    """

    spans: Sequence[Span]
    told: Told
    oldest: datetime | None = None
    newest: datetime | None = None
    reason: str = ""


class Pieces(NamedTuple):
    """Fragments of one NAL unit behind each other, all of one length and the last not among them (RFC 6184, 5.8; RFC 7798, 4.4.3).
    `header`: the first one's; `bodies`: what follows the header in each.
    """

    header: bytes
    bodies: tuple[bytes, ...]


class MediaPacket(NamedTuple):
    """One RTP packet of a replay. `ntp` is the device's time from the 0xABAC extension (ONVIF Streaming, replay), when it has one.
    `following`: when the replay was asked for bursts, the payloads of the packets right behind it with the same timestamp, those of a NAL
    unit that was cut up together. `packets`: how many there are in all; `marker`: of the last of them.

    A tuple: a frozen dataclass takes four times as long to make.
    """

    payload: bytes
    payload_type: int
    sequence: int
    timestamp: int
    marker: bool
    ntp: datetime | None = None
    clean_point: bool = False
    end_of_section: bool = False
    discontinuity: bool = False
    terminal: bool = False
    following: Sequence[bytes | Pieces] = ()
    packets: int = 1


@dataclass(frozen=True, slots=True)
class TrackDescription:
    """One media of the session's SDP: encoding name, clock rate, format parameters such as sprop-parameter-sets."""

    kind: str
    encoding: str
    clock_rate: int
    payload_type: int
    parameters: Mapping[str, str] = field(default_factory=dict)


class ReplaySession(Protocol):
    @property
    def tracks(self) -> Sequence[TrackDescription]: ...

    @property
    def refused(self) -> Sequence[TrackDescription]:
        """What the device lists, and would not give beside `tracks`."""
        ...

    def arrivals(self) -> AsyncIterator[Iterator[tuple[int, MediaPacket]]]:
        """What has come by now, again and again until the device ends the range: (index into `tracks`, packet) in order of arrival, each
        to be taken to its end before the next; back-pressure by not reading.
        """
        ...

    async def close(self) -> None: ...


class RecordingLock(Protocol):
    """A device's own way to keep a stretch of a recording from being overwritten. ONVIF's Profile G has none; makers' own interfaces do."""

    async def lock(self, recording: str, window: Span, *, timeout_s: float) -> None: ...

    async def unlock(self, recording: str, window: Span, *, timeout_s: float) -> None: ...


class RecordingSource(Protocol):
    async def recordings(self, *, timeout_s: float) -> Sequence[Recording]: ...

    async def coverage(self, recording: str, window: Span, *, timeout_s: float) -> Sequence[Span]:
        """The parts of `window` (device time) that are recorded, in order, disjoint."""
        ...

    async def replay(self, recording: str, window: Span, *, timeout_s: float) -> ReplaySession:
        """Start replaying `window` (device time) as fast as the device will; `timeout_s` covers the set-up."""
        ...
