"""What a driver can do, as small Protocols: a device is the sum of the capabilities that it has, and absence is normal.

Every call takes `timeout_s`, one deadline over the whole operation, and raises only the children of `DeviceError`:
`Unreachable`, `DeadlineExceeded`, `AuthenticationFailed`, `ProtocolError`, `DeviceFault` (`NotSupported`, `Busy`), `WrongDevice`.
Strings in what they return come from the device and are untrusted text.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Protocol

from gateway.domain.devices import Credentials, DeviceId, Ports
from gateway.domain.quirks import NONE as NO_QUIRKS
from gateway.domain.quirks import Quirks


@dataclass(frozen=True, slots=True)
class Target:
    """Where a device is and how to log in to it, as the inventory says. A URL that a device gives never changes this (rule 1).

    `profile`: the one that the inventory names, "" for none; `quirks`: those of the profile that fits the device.
    """

    device: DeviceId
    address: str
    ports: Ports
    credentials: Credentials
    profile: str = ""
    quirks: Quirks = NO_QUIRKS


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


class ClockSource(Protocol):
    async def read_clock(self, *, timeout_s: float) -> DeviceClock: ...


class IdentitySource(Protocol):
    async def identity(self, *, timeout_s: float) -> Identity: ...

    async def hardware_addresses(self, *, fresh_s: float, timeout_s: float) -> Sequence[str]:
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


class SensorSource(Protocol):
    async def read_sensors(self, *, timeout_s: float) -> Mapping[str, SensorValue]: ...


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


class AudioSession(Protocol):
    """An open way to one loudspeaker: made by `AudioSink.open_audio`, ended by `close`, which always sends TEARDOWN."""

    @property
    def format(self) -> AudioFormat: ...

    def send(self, payload: bytes, *, timestamp: int, marker: bool) -> bool:
        """Send one RTP packet without waiting; False when it had to be dropped because the connection does not drain."""
        ...

    async def close(self) -> None: ...


class AudioSink(Protocol):
    async def open_audio(self, *, prefer: Sequence[str], timeout_s: float) -> AudioSession:
        """Set up a backchannel up to PLAY's 200. `prefer`: encoding names, best first."""
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


class MediaPacket(NamedTuple):
    """One RTP packet of a replay. `ntp` is the device's time from the 0xABAC extension (ONVIF Streaming, replay), when it has one.

    A tuple, since there are 750,000 in a gigabyte of footage and a frozen dataclass takes four times as long to make.
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

    def packets(self) -> AsyncIterator[tuple[int, MediaPacket]]:
        """(index into `tracks`, packet) in order of arrival, until the device ends the range; back-pressure by not reading."""
        ...

    async def close(self) -> None: ...


class RecordingSource(Protocol):
    async def recordings(self, *, timeout_s: float) -> Sequence[Recording]: ...

    async def coverage(self, recording: str, window: Span, *, timeout_s: float) -> Sequence[Span]:
        """The parts of `window` (device time) that are recorded, in order, disjoint."""
        ...

    async def replay(self, recording: str, window: Span, *, timeout_s: float) -> ReplaySession:
        """Start replaying `window` (device time) as fast as the device will; `timeout_s` covers the set-up."""
        ...
