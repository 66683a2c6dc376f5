"""Who is checked, and with what."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import Any, Protocol

from gateway.clock import Clock
from gateway.domain.city import City
from gateway.domain.devices import Device, DeviceId
from gateway.domain.health import Board, CheckResult, Introduction, Outcome
from gateway.drivers.base import DeviceClock, Hardware, Identity, Recording, Span, Target
from gateway.drivers.snmp.reader import Reading
from gateway.errors import DeviceError
from gateway.health.album import Album
from gateway.health.diary import Diary
from gateway.health.streams import Streams
from gateway.media.pictures import PictureReader


class OnvifChecks(Protocol):
    """An ONVIF device, as far as checks need it."""

    async def check(self, *, timeout_s: float) -> tuple[DeviceClock | None, Identity]:
        """Clock and, signed, identity, on one connection. No clock: the device tells no possible time."""
        ...

    async def read_clock(self, *, timeout_s: float) -> DeviceClock:
        """The clock, which needs no login."""
        ...

    async def hardware(self, *, fresh_s: float, timeout_s: float) -> Hardware:
        """What its network interfaces are called, asked within the last `fresh_s` seconds."""
        ...


class Told(Protocol):
    """What a telephone told of itself (`drivers.sip.speaker.Told`)."""

    @property
    def identity(self) -> Identity: ...

    @property
    def hardware(self) -> Hardware: ...

    @property
    def refused(self) -> DeviceError | None: ...


class TelephoneChecks(Protocol):
    """A device that speaks SIP, as far as checks need it."""

    async def ask(self, *, timeout_s: float) -> Told: ...


class SensorChecks(Protocol):
    """An SNMP reader, as far as checks need it."""

    async def read(self, target: Target, *, timeout_s: float) -> Reading: ...


def _no_telephone(_device: DeviceId) -> TelephoneChecks | None:
    return None


async def _unasked(_address: str, _timeout_s: float) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Tools:
    """What checks work with. `recognise` is told who a device says it is; `clock_limit_s`: how far a device's clock may be off.

    `telephone_of`: a loudspeaker that speaks SIP and no ONVIF, None for all others.
    `echo`: whether an address answers an ICMP echo within so many seconds; None where we may not ask.
    """

    onvif_of: Callable[[DeviceId], OnvifChecks]
    target_of: Callable[[DeviceId], Target]
    sensors: SensorChecks
    clock: Clock
    recognise: Callable[[DeviceId, Identity], None] = lambda _device, _identity: None
    telephone_of: Callable[[DeviceId], TelephoneChecks | None] = _no_telephone
    echo: Callable[[str, float], Awaitable[bool | None]] = _unasked
    timeout_s: float = 5.0
    clock_limit_s: float = 5.0


class RecorderSearch(Protocol):
    """A recorder, as far as checks need it (`drivers.base.RecordingSource`)."""

    def now(self) -> datetime:
        """The present by its own clock."""
        ...

    async def recordings(self, *, timeout_s: float) -> Sequence[Recording]: ...

    async def coverage(self, recording: str, window: Span, *, timeout_s: float) -> Sequence[Span]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowTools:
    """What slow checks work with. `timeout_s`: the deadline of the check at hand.

    `picture_within_s`: how soon a stream shows a picture; `recording_lag_s`: how far behind a recording may be; `retention_days`: how long
    footage must be kept; `zone`: the site's calendar; `silent_s`: for how long the subscription to a device's events has been silent, None
    without one; `events_within_s`: how long that may be; `complains`: whether a check of a device complains now.
    """

    clock: Clock
    city: City
    board: Board
    streams: Streams
    pictures: PictureReader
    album: Album
    target_of: Callable[[DeviceId], Target]
    recorder_of: Callable[[DeviceId], RecorderSearch]
    sensors: SensorChecks
    diary: Diary
    silent_s: Callable[[DeviceId], float | None]
    complains: Callable[[DeviceId, str], bool]
    timeout_s: float = 10.0
    picture_within_s: float = 6.0
    recording_lag_s: float = 3_600.0
    retention_days: float = 30.0
    zone: tzinfo = UTC
    events_within_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Subject:
    """One device on one visit. `began`: our monotonic clock when the visit began."""

    device: Device
    began: float

    def result(
        self, tools: Tools | SlowTools, check: str, outcome: Outcome, reason: str = "", facts: Mapping[str, Any] | None = None
    ) -> CheckResult:
        """A result of now."""
        return CheckResult(self.device.id, check, outcome, tools.clock.now(), reason, facts or {}, self.took_ms(tools))

    def introduced(self, told: CheckResult, *, hardware_asked_at: float | None = None) -> CheckResult:
        """`told`, of a device that said who it is on this visit; it was asked for its hardware addresses at `hardware_asked_at`."""
        introduction = Introduction(self.device.place, self.began, hardware_asked_at)
        return replace(told, introduction=introduction)

    def took_ms(self, tools: Tools | SlowTools) -> float:
        """How long the visit has taken so far."""
        return round((tools.clock.monotonic() - self.began) * 1_000, 3)
