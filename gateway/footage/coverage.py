"""The coverage desk: what recorders and cards have of a window, how surely, and when it is lost; no footage is looked at for that."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from gateway.clock import Clock
from gateway.domain.city import City
from gateway.domain.coverage import Countdown, Coverage, Holding, Source, Told, countdown, known
from gateway.domain.devices import DeviceId, DeviceKind
from gateway.domain.footage import ClockPart, ClockReading, Period, joined, read_clock
from gateway.drivers.base import History, Recording, Span
from gateway.errors import AuthenticationFailed, DeadlineExceeded, DeviceError, Fault, InvalidInput, NotSupported, Overloaded, Unreachable
from gateway.footage.clocks import Clocks
from gateway.footage.looks import Looks

CAMERAS_MAX: Final = 50
LONGEST: Final = timedelta(days=92)
NO_RECORDER: Final = "no-recorder"
NO_RECORDING: Final = "no-recording-token"
_AT_ONCE: Final = 32
"""Questions under way at once in all, whoever asks; more wait in order."""
_PER_DEVICE: Final = 2
"""Of them to one device: its other users and the health checks have their turn, and no recorder holds up another."""
_AHEAD: Final = timedelta(seconds=5)
_FRESH: Final = timedelta(hours=1)


class Keeper(Protocol):
    """A device that keeps footage, as far as it is asked what it has (ONVIF Recording Search and Recording Control)."""

    @property
    def offset(self) -> timedelta | None: ...

    async def recordings(self, *, timeout_s: float) -> Sequence[Recording]: ...

    async def history(self, recording: str, window: Span, *, timeout_s: float) -> History: ...

    async def retention(self, recording: str, *, timeout_s: float) -> timedelta | None: ...


@dataclass(frozen=True, slots=True)
class Patience:
    """`ask_s`: so long a device may take to answer one question."""

    ask_s: float = 8.0


@dataclass(frozen=True, slots=True)
class _Place:
    """Where footage of a camera may lie. `recording`: "" when the device has to be asked for it."""

    camera: DeviceId
    device: DeviceId
    source: Source
    recording: str


class CoverageDesk:
    """Asks recorders and cameras what they have. A device that does not answer is a truthful part of the answer, never its failure."""

    def __init__(
        self,
        *,
        city: City,
        clock: Clock,
        clocks: Clocks,
        looks: Looks,
        keeper_of: Callable[[DeviceId], Keeper],
        patience: Patience = Patience(),
    ) -> None:
        self._city = city
        self._clock = clock
        self._clocks = clocks
        self._keeper_of = keeper_of
        self._patience = patience
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._device_turns: defaultdict[DeviceId, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(_PER_DEVICE))
        self._looks = looks
        self._retentions: dict[tuple[DeviceId, str], tuple[datetime, timedelta | None]] = {}

    async def of(self, cameras: Sequence[DeviceId], window: Period) -> list[Coverage]:
        """What is recorded of each camera in `window`, as it is now. InvalidInput for what cannot be asked."""
        now = self._clock.now()
        _check(cameras, window, self._city, now)
        asked = Period(window.start, min(window.end, now))
        places = [place for camera in dict.fromkeys(cameras) for place in self._places(camera)]
        broken: dict[DeviceId, DeviceError] = {}
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._holding(place, asked, broken), name=f"coverage {place.camera} on {place.device}")
                for place in places
            ]
        found = [task.result() for task in tasks]
        having: dict[DeviceId, list[Holding]] = {camera: [] for camera in cameras}
        for place, holding in zip(places, found, strict=True):
            if holding is not None:
                having[place.camera].append(holding)
        return [
            Coverage(camera, asked, tuple(holdings), "" if holdings else self._why_nobody(camera)) for camera, holdings in having.items()
        ]

    def has_card(self, camera: DeviceId) -> bool:
        """Whether one was ever seen in it."""
        return bool(self._looks.card_of(camera))

    async def card(self, camera: DeviceId, window: Period) -> Holding | None:
        """What the camera's own card has of `window`; None where there is none, or none is known while the camera does not answer."""
        return await self._holding(self._card_place(camera), Period(window.start, min(window.end, self._clock.now())), {})

    def _card_place(self, camera: DeviceId) -> _Place:
        return _Place(camera, camera, Source.CARD, self._looks.card_of(camera))

    def _places(self, camera: DeviceId) -> list[_Place]:
        place = self._city.recorder_of(camera)
        card = self._card_place(camera)
        if place is None or not place[1].recording_token:
            return [card]
        recorder, channel = place
        return [_Place(camera, recorder.id, Source.RECORDER, channel.recording_token), card]

    def _why_nobody(self, camera: DeviceId) -> str:
        return NO_RECORDER if self._city.recorder_of(camera) is None else NO_RECORDING

    async def _holding(self, place: _Place, window: Period, broken: dict[DeviceId, DeviceError]) -> Holding | None:
        """What one device has; None for a camera that has no card, or of which none is known while it does not answer."""
        blank = Holding(place.device, place.source, place.recording)
        async with self._device_turns[place.device], self._turns:
            try:
                if (failure := broken.get(place.device)) is not None:
                    raise failure
                return await self._told(place, window)
            except NotSupported as absence:
                return None if place.source is Source.CARD else _silent(blank, absence)
            except (DeviceError, Overloaded) as failure:
                if isinstance(failure, Unreachable | DeadlineExceeded | AuthenticationFailed):
                    broken[place.device] = failure
                known_card = place.source is Source.RECORDER or place.recording
                if not known_card:
                    return None
                read = await self._clocks.of(place.device, window)
                return replace(_silent(blank, failure), offset=read.offset, clock=read)

    async def _told(self, place: _Place, window: Period) -> Holding | None:
        keeper, ask_s = self._keeper_of(place.device), self._patience.ask_s
        recording = place.recording or await self._card(keeper)
        if not recording:
            return None
        read = await self._clocks.of(place.device, window)
        if read.offset is None and keeper.offset is None:
            await keeper.retention(recording, timeout_s=ask_s)  # whatever is asked first reads the clock before
        if read.offset is None:
            read = read_clock((), window, keeper.offset)
        found = []
        for part in read.parts:
            asked = part.device_period(part.period)
            told = await keeper.history(recording, Span(asked.start, asked.end), timeout_s=ask_s)
            found.append(_holding(place, recording, told, part))
        holding = _together(found, read)
        return replace(holding, countdown=await self._countdown(holding, keeper))

    async def _card(self, keeper: Keeper) -> str:
        """The recording of a camera's own card; "" when it holds none."""
        return next((one.token for one in await keeper.recordings(timeout_s=self._patience.ask_s)), "")

    async def _countdown(self, holding: Holding, keeper: Keeper) -> Countdown | None:
        if holding.oldest is not None:
            self._looks.note(holding.device, holding.recording, holding.oldest)
        if not holding.recorded:
            return None
        kept = await self._retention(holding, keeper)
        looks = self._looks.of(holding.device, holding.recording)
        return countdown(holding.recorded[0].start, looks, retention=kept, now=self._clock.now())

    async def _retention(self, holding: Holding, keeper: Keeper) -> timedelta | None:
        """How long the device says to keep it, asked once an hour; None where it does not say."""
        key, now = (holding.device, holding.recording), self._clock.now()
        asked = self._retentions.get(key)
        if asked is not None and now - asked[0] < _FRESH:
            return asked[1]
        try:
            kept = await keeper.retention(holding.recording, timeout_s=self._patience.ask_s)
        except (DeviceError, Overloaded):
            kept = None
        self._retentions[key] = (now, kept)
        return kept


def _holding(place: _Place, recording: str, told: History, part: ClockPart) -> Holding:
    """A device's words of a part of the window, on the true clock."""
    back = -(part.offset or timedelta(0))
    spans = [part.true_period(Period(span.start, span.end)) for span in told.spans]
    return Holding(
        place.device,
        place.source,
        recording,
        told.told,
        reason=told.reason,
        offset=part.offset,
        oldest=told.oldest + back if told.oldest else None,
        newest=told.newest + back if told.newest else None,
        recorded=known(spans, part.period) if told.told in (Told.HISTORY, Told.BOUNDS) else (),
    )


def _together(found: Sequence[Holding], read: ClockReading) -> Holding:
    """What was said of all parts of the window: only as surely as of the least sure one."""
    least = next((one for one in found if one.told not in (Told.HISTORY, Told.BOUNDS)), found[0])
    recorded = joined([period for one in found for period in one.recorded])
    return replace(least, offset=read.offset, clock=read, oldest=found[0].oldest, newest=found[-1].newest, recorded=recorded)


def _silent(blank: Holding, failure: DeviceError | Overloaded) -> Holding:
    return replace(blank, told=Told.NOTHING, reason=failure.code, detail=str(failure)[:300])


def _check(cameras: Sequence[DeviceId], window: Period, city: City, now: datetime) -> None:
    faults = []
    for index, camera in enumerate(cameras):
        device = city.devices.get(camera)
        if device is None or device.kind is not DeviceKind.CAMERA:
            faults.append(Fault(f"?camera/{index}", f"there is no camera {camera[:64]!r}"))
    if not 1 <= len(cameras) <= CAMERAS_MAX:
        faults.append(Fault("?camera", f"names {len(cameras)} cameras; from 1 to {CAMERAS_MAX} may be asked for at once"))
    if window.start >= window.end:
        faults.append(Fault("?end", "is not after the start"))
    elif window.length > LONGEST:
        faults.append(Fault("?end", f"is more than {LONGEST.days} days after the start; ask in parts"))
    elif window.end > now + _AHEAD or window.start >= now:
        faults.append(Fault("?end", "lies in the future; nothing is recorded there yet"))
    if faults:
        raise InvalidInput("The question for coverage is not right.", faults=faults, code="bad-request")
