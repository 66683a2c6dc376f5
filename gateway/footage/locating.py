"""Where the footage of a camera is: what its recorder has of a window, and what holds have secured of it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

from gateway.clock import Clock
from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.domain.footage import LEAST_GAP, Export, ExportState, FootageRequest, Period, clipped, gaps
from gateway.domain.health import Board
from gateway.drivers.base import Span
from gateway.errors import DeviceError, NotFound, Overloaded
from gateway.footage.adopting import Adoption
from gateway.footage.patience import patiently

ASK_TIMEOUT_S: Final = 30.0


class RecordingSearch(Protocol):
    """What is asked of a recorder before its footage is replayed (ONVIF Recording Search and Replay services)."""

    async def coverage(self, recording: str, window: Span, *, timeout_s: float) -> Sequence[Span]:
        """The parts of `window` (device time) that are recorded."""
        ...

    async def replay_path(self, recording: str, *, timeout_s: float) -> str:
        """Path and query of the recording's replay URI."""
        ...


class Locator:
    """Asks the recorders. `adoption`: what was secured under holds counts as recorded; None where there are none."""

    def __init__(
        self,
        *,
        city: City,
        board: Board,
        clock: Clock,
        search_of: Callable[[DeviceId], RecordingSearch],
        adoption: Adoption | None,
    ) -> None:
        self._city = city
        self._board = board
        self._clock = clock
        self._search_of = search_of
        self._adoption = adoption

    async def of(self, request: FootageRequest, camera: DeviceId) -> Export:
        """What the recorder of one camera has of the window, and holds secured: PENDING with that, NOTHING or FAILED with the reason."""
        place = self._city.recorder_of(camera)
        if place is None:
            unkept = Export(request.id, camera, DeviceId(""), "", state=ExportState.FAILED, reason="no recorder keeps its footage")
            return await self._with_held(unkept, request.window_of(camera))
        recorder, channel = place
        if not channel.recording_token:
            reason = f"the inventory names no recording for channel {channel.number} of {recorder.id}"
            unnamed = Export(request.id, camera, recorder.id, "", state=ExportState.FAILED, reason=reason)
            return await self._with_held(unnamed, request.window_of(camera))
        export = Export(
            request=request.id,
            camera=camera,
            recorder=recorder.id,
            recording=channel.recording_token,
            serial=recorder.serial,
            offset=self._board[recorder.id].offset,
        )
        window = request.window_of(camera)
        asked = export.device_period(window)
        span = Span(asked.start, asked.end)

        async def ask() -> Sequence[Span]:
            return await self._search_of(recorder.id).coverage(export.recording, span, timeout_s=ASK_TIMEOUT_S)

        try:
            spans = await patiently(ask, self._clock, request=request.id, camera=camera)
        except (DeviceError, NotFound, Overloaded) as error:
            silent = replace(export, state=ExportState.FAILED, reason=f"the recorder does not say what it has: {error}")
            return await self._with_held(silent, window)
        coverage = clipped((export.true_period(Period(span.start, span.end)) for span in spans), window)
        if not coverage:
            return await self._with_held(replace(export, state=ExportState.NOTHING, reason="not recorded", gaps=(window,)), window)
        return await self._with_held(replace(export, coverage=coverage, gaps=gaps(coverage, window, least=LEAST_GAP)), window)

    async def _with_held(self, export: Export, window: Period) -> Export:
        """`export` with what was secured under holds, which counts as recorded whatever the recorder has by now."""
        if self._adoption is None:
            return export
        held = await self._adoption.of(export.camera, export.recorder, window, export.coverage)
        if not held:
            return export
        coverage = clipped((*export.coverage, *(run for file in held for run in file.runs)), window)
        reason = export.reason if export.state is ExportState.FAILED else ""
        missing = gaps(coverage, window, least=LEAST_GAP)
        if not export.recorder:
            export = replace(export, recorder=held[0].device, serial=held[0].serial, offset=held[0].offset)
        return replace(export, state=ExportState.PENDING, coverage=coverage, gaps=missing, reason=reason if missing else "")
