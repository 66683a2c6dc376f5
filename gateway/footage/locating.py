"""Where the footage of a camera is: what its recorder has of a window, what holds have secured of it, and what its own card has."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol, TypeVar

from gateway.clock import Clock
from gateway.domain.city import City
from gateway.domain.coverage import Holding, Told
from gateway.domain.devices import DeviceId
from gateway.domain.footage import (
    LEAST_GAP,
    NO_RECORDER,
    NOT_RECORDED,
    ClockPart,
    Dossier,
    Export,
    ExportState,
    FootageRequest,
    Origin,
    Period,
    clipped,
    clocks_told,
    gaps,
    joined,
    judged,
)
from gateway.drivers.base import Span
from gateway.errors import AuthenticationFailed, Busy, DeadlineExceeded, DeviceError, NotFound, Overloaded, Unreachable
from gateway.footage.adopting import Adoption
from gateway.footage.clocks import Clocks
from gateway.footage.patience import patiently

T = TypeVar("T")
ASK_TIMEOUT_S: Final = 30.0
_ANSWER_S: Final = 10.0
"""So long the fetching waits for recorders that have not said yet what they have: one may be busy for half an hour."""
_AT_ONCE: Final = 16
_OF_ALL_CAMERAS: Final = (Unreachable, DeadlineExceeded, AuthenticationFailed, Busy)
"""What a recorder fails with for one camera it fails with for the others, too."""


class RecordingSearch(Protocol):
    """What is asked of a recorder before its footage is replayed (ONVIF Recording Search and Replay services)."""

    async def coverage(self, recording: str, window: Span, *, timeout_s: float) -> Sequence[Span]:
        """The parts of `window` (device time) that are recorded."""
        ...

    async def replay_path(self, recording: str, *, timeout_s: float) -> str:
        """Path and query of the recording's replay URI."""
        ...


class Cards(Protocol):
    """Who knows what lies on the cameras' own cards."""

    def has_card(self, camera: DeviceId) -> bool:
        """Whether one was ever seen in it."""
        ...

    async def card(self, camera: DeviceId, window: Period) -> Holding | None:
        """What the card has of `window`; None where there is none, or none is known while the camera does not answer."""
        ...


class Round:
    """One locating of a request: many recorders are asked at once, each about one camera at a time, a silent one about no further ones."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._turns: defaultdict[DeviceId, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._silent: dict[DeviceId, DeviceError] = {}

    async def ask(self, recorder: DeviceId, question: Callable[[], Awaitable[T]]) -> T:
        """What `recorder` answers; raises what `question` raises, or raised of it before."""
        async with self._turns[recorder], self._places:
            if (failure := self._silent.get(recorder)) is not None:
                raise failure
            try:
                return await question()
            except _OF_ALL_CAMERAS as silence:
                self._silent[recorder] = silence
                raise


class Locator:
    """Asks the recorders, and the cameras' cards for what those leave out; what was secured under holds counts as recorded.

    `cards`: None where no camera has one.
    """

    def __init__(
        self,
        *,
        city: City,
        clocks: Clocks,
        clock: Clock,
        search_of: Callable[[DeviceId], RecordingSearch],
        cards: Cards | None,
        adoption: Adoption,
    ) -> None:
        self._city = city
        self._clocks = clocks
        self._clock = clock
        self._search_of = search_of
        self._cards = cards
        self._adoption = adoption

    async def of_all(self, dossier: Dossier) -> list[Export]:
        """What there is, camera by camera. Once there is something to fetch, whoever has not answered in `_ANSWER_S` is `awaited`."""
        cameras, asking = dossier.request.cameras, Round()
        found: dict[DeviceId, Export] = {}

        async def ask(camera: DeviceId) -> None:
            found[camera] = await self.of(dossier, camera, asking)

        async with asyncio.TaskGroup() as group:
            patience = group.create_task(self._clock.sleep(_ANSWER_S), name="locate patience")
            waiting = {patience, *(group.create_task(ask(camera), name=f"locate {camera}") for camera in cameras)}
            while waiting - {patience} and (patience in waiting or all(one.state is not ExportState.PENDING for one in found.values())):
                _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
        return [found[camera] if camera in found else self._awaited(dossier, camera) for camera in cameras]

    async def of(self, dossier: Dossier, camera: DeviceId, asking: Round) -> Export:
        """What there is of one camera's window now: PENDING with that, NOTHING or FAILED with the reason.

        The card is asked only for what the recorder and the holds leave out. What an earlier attempt obtained stays obtained, whatever the
        recorder says by now, and what it said then stays known, as of then, when it says nothing.
        """
        before = dossier.export_of(camera)
        if before is not None and before.state is ExportState.DONE:
            return before
        found = await self._now(dossier.request, camera, asking)
        if before is None or found.state is ExportState.PENDING:
            return found
        files = dossier.files_of(camera)
        stays = files or (found.state is ExportState.FAILED and before.recorded)
        return judged(before, files, dossier.request.window_of(camera), error=found.reason) if stays else found

    async def _now(self, request: FootageRequest, camera: DeviceId, asking: Round) -> Export:
        """As `of`, whatever was known before."""
        found = await self._of(request, camera, asking)
        return found if found.state is ExportState.FAILED else replace(found, told_at=self._clock.now())

    async def _of(self, request: FootageRequest, camera: DeviceId, asking: Round) -> Export:
        window = request.window_of(camera)
        export = await self._with_held(await self._on_recorder(request, camera, asking), window)
        if self._cards is None or not gaps(export.coverage, window, least=LEAST_GAP):
            return export
        holding = await self._cards.card(camera, window)
        return export if holding is None else self._with_card(export, holding, window)

    def _awaited(self, dossier: Dossier, camera: DeviceId) -> Export:
        """The export of a camera whose recorder has not answered yet; what an earlier attempt heard and obtained of it stays."""
        if (before := dossier.export_of(camera)) is not None:
            return replace(before, state=ExportState.PENDING, reason="", awaited=True)
        place = self._city.recorder_of(camera)
        return Export(dossier.request.id, camera, place[0].id if place else DeviceId(""), "", awaited=True)

    async def card(self, camera: DeviceId, window: Period) -> Origin | None:
        """What the camera's own card has of `window` now; None where it has nothing, or does not say."""
        holding = await self._cards.card(camera, window) if self._cards else None
        return None if holding is None or holding.told is Told.NOTHING else self._origin(camera, holding, window)

    async def _on_recorder(self, request: FootageRequest, camera: DeviceId, asking: Round) -> Export:
        place = self._city.recorder_of(camera)
        if place is None:
            return Export(request.id, camera, DeviceId(""), "", state=ExportState.FAILED, reason=NO_RECORDER)
        recorder, channel = place
        if not channel.recording_token:
            reason = f"the inventory names no recording for channel {channel.number} of {recorder.id}"
            return Export(request.id, camera, recorder.id, "", state=ExportState.FAILED, reason=reason)
        window = request.window_of(camera)
        read = await self._clocks.of(recorder.id, window)
        export = Export(
            request=request.id,
            camera=camera,
            recorder=recorder.id,
            recording=channel.recording_token,
            serial=recorder.serial,
            offset=read.offset,
            clock=read,
        )

        async def ask() -> tuple[Period, ...]:
            return joined([period for part in read.parts for period in await self._searched(recorder.id, export.recording, part)])

        try:
            coverage = await asking.ask(recorder.id, lambda: patiently(ask, self._clock, request=request.id, camera=camera))
        except (DeviceError, NotFound, Overloaded) as error:
            return replace(export, state=ExportState.FAILED, reason=f"the recorder does not say what it has: {error}")
        if not coverage:
            return replace(export, state=ExportState.NOTHING, reason=NOT_RECORDED, gaps=(window,))
        return replace(export, coverage=coverage, gaps=gaps(coverage, window, least=LEAST_GAP))

    async def _searched(self, recorder: DeviceId, recording: str, part: ClockPart) -> tuple[Period, ...]:
        """What `recorder` says to have of `part` of a window, on the true clock."""
        asked = part.device_period(part.period)
        spans = await self._search_of(recorder).coverage(recording, Span(asked.start, asked.end), timeout_s=ASK_TIMEOUT_S)
        return clipped((part.true_period(Period(span.start, span.end)) for span in spans), part.period)

    async def _with_held(self, export: Export, window: Period) -> Export:
        """`export` with what was secured under holds, which counts as recorded whatever the recorder has by now."""
        held = await self._adoption.of(export.camera, export.recorder, window, export.coverage)
        if not held:
            return export
        coverage = clipped((*export.coverage, *(run for file in held for run in file.runs)), window)
        reason = export.reason if export.state is ExportState.FAILED else ""
        missing = gaps(coverage, window, least=LEAST_GAP)
        if not export.recorder:
            export = replace(export, recorder=held[0].device, serial=held[0].serial, offset=held[0].offset, clock=None)
        return replace(export, state=ExportState.PENDING, coverage=coverage, gaps=missing, reason=reason if missing else "")

    def _with_card(self, export: Export, holding: Holding, window: Period) -> Export:
        """`export` with what the card fills. A card that does not say what it has leaves open whether there is more."""
        if holding.told is Told.NOTHING:
            why = f"the camera's own card does not say what it has: {holding.detail or holding.reason}"
            state = ExportState.FAILED if export.state is ExportState.NOTHING else export.state
            return replace(export, state=state, reason="; ".join(filter(None, (export.reason, why))))
        card = self._origin(export.camera, holding, window)
        if not card.recorded:
            return export
        located = export.beside(card, window)
        missing = gaps(located.recorded, window, least=LEAST_GAP)
        silent = export.state is not ExportState.NOTHING and (missing or located.card is not None)
        reason = export.reason if silent else ""
        return replace(located, state=ExportState.PENDING, gaps=missing, reason=reason)

    def _origin(self, camera: DeviceId, holding: Holding, window: Period) -> Origin:
        """A card whose search does not know its recording may replay it all the same."""
        known = self._city.devices.get(camera)
        recorded = (window,) if holding.told is Told.UNLISTED else holding.recorded
        return Origin(camera, holding.recording, known.serial if known else "", holding.offset, recorded, holding.clock)


def told_of(exports: Sequence[Export]) -> dict[str, Any]:
    """What the custody log says of what there is, and of which cameras that is not known yet."""
    answered = [export for export in exports if not export.awaited]
    cards = {export.camera: _times(export.card.recorded) for export in answered if export.card}
    awaited = [export.camera for export in exports if export.awaited]
    told = {"recorded": {export.camera: _times(export.recorded) for export in answered}, "clocks": clocks_told(answered)}
    before = {one.camera: one.told_at.isoformat() for one in answered if one.told_at and one.state is not ExportState.PENDING}
    return told | ({"as_of": before} if before else {}) | ({"on_cards": cards} if cards else {}) | ({"awaited": awaited} if awaited else {})


def _times(periods: Sequence[Period]) -> list[list[str]]:
    return [[period.start.isoformat(), period.end.isoformat()] for period in periods]
