"""What was recorded of the wanted footage, camera by camera, what was obtained of it, and what that makes of the request."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from gateway.domain.devices import DeviceId
from gateway.domain.footage.clocks import ClockReading, TimeSource
from gateway.domain.footage.periods import OnDeviceClock, Period, clipped, gaps, joined
from gateway.domain.footage.workflow import Act, RequestId

_UNTOLD: Final = DeviceId("")


class ExportState(StrEnum):
    """How far the footage of one camera is."""

    PENDING = "pending"
    EXPORTING = "exporting"
    DONE = "done"
    PARTIAL = "partial"
    NOTHING = "nothing"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Origin(OnDeviceClock):
    """A recording that footage of a camera is fetched from: on which device, under which token, and what that device says to have.

    `offset`: the device's clock less the true one when the window began, None when it was never measured. `clock`: how it was all through
    the window, as far as that is known. `apart`: one of several `parts`.
    """

    device: DeviceId
    recording: str
    serial: str = ""
    offset: timedelta | None = None
    recorded: tuple[Period, ...] = ()
    clock: ClockReading | None = None
    apart: bool = False

    def offset_at(self, moment: datetime) -> timedelta | None:
        """How its clock was at a moment of the window."""
        return self.offset if self.clock is None else self.clock.at(moment)

    @property
    def parts(self) -> tuple["Origin", ...]:
        """Itself, or, where the clock was set within the window, one for each way that it was."""
        if self.clock is None or not self.clock.stepped:
            return (self,)
        whole = replace(self, clock=None, apart=True)
        return tuple(replace(whole, offset=part.offset, recorded=clipped(self.recorded, part.period)) for part in self.clock.parts)


@dataclass(frozen=True, slots=True)
class Export(OnDeviceClock):
    """The footage of one camera for one request. `offset`: the recorder's clock less the true one when the window began, None when it was
    never measured; `clock`: as `Origin` has it.

    `recorder`: the device that is asked first; the camera itself where no recorder keeps its footage. `coverage`: what that has, and what
    holds secured. `card`: the camera's own card, where there is one and something beside `coverage` was wanted of it. `told_at`: when both
    said so; None when nobody ever did, or that was not written down. `awaited`: whether that is being asked anew.
    """

    request: RequestId
    camera: DeviceId
    recorder: DeviceId
    recording: str
    serial: str = ""
    offset: timedelta | None = None
    state: ExportState = ExportState.PENDING
    reason: str = ""
    coverage: tuple[Period, ...] = ()
    obtained: tuple[Period, ...] = ()
    gaps: tuple[Period, ...] = ()
    card: Origin | None = None
    clock: ClockReading | None = None
    told_at: datetime | None = None
    awaited: bool = False

    @property
    def first(self) -> Origin:
        """Where it is fetched from before anything else."""
        return Origin(self.recorder, self.recording, self.serial, self.offset, self.coverage, self.clock)

    @property
    def recorded(self) -> tuple[Period, ...]:
        """What there is of it, wherever it lies."""
        return joined((*self.coverage, *(self.card.recorded if self.card else ())))

    def beside(self, card: Origin, window: Period) -> "Export":
        """With what the camera's own card has of `window`; in the recorder's place where there is none."""
        card = replace(card, recorded=clipped(card.recorded, window))
        if self.recorder not in (_UNTOLD, card.device):
            return replace(self, card=card)
        coverage = joined((*self.coverage, *card.recorded))
        own = replace(self, recorder=card.device, recording=card.recording, serial=card.serial, offset=card.offset)
        return replace(own, coverage=coverage, clock=card.clock)


@dataclass(frozen=True, slots=True)
class FootageFile(OnDeviceClock):
    """One finished file. `period` is on the true clock; `runs` are the unbroken stretches in it.

    `device` gave it out of `recording`; `offset`: the device's clock less the true one when it did, None when it had never been measured.
    `sound_left_out`: the encodings of the sound that was recorded and has no place in the file; `sound_refused`: those of the sound that
    the device lists and would not give. `time_source`: whose word its times are. `set_backs`: how often the device's clock went back before
    it, in the replay that gave it.
    """

    request: RequestId
    camera: DeviceId
    number: int
    name: str
    sha256: str
    size: int
    frames: int
    damaged: int
    period: Period
    runs: tuple[Period, ...]
    created_at: datetime
    downloads: int = 0
    removed: bool = False
    offset: timedelta | None = None
    device: DeviceId = _UNTOLD
    serial: str = ""
    recording: str = ""
    sound_left_out: str = ""
    time_source: TimeSource = TimeSource.UNKNOWN
    sound_refused: str = ""
    set_backs: int = 0

    @property
    def source(self) -> str:
        """What gave it: `card`, the camera's own, or `recorder`."""
        return "card" if self.device == self.camera else "recorder"


def doubled(file: FootageFile, files: Iterable[FootageFile]) -> tuple[Period, ...]:
    """What of `file`, on its device's clock, other `files` show too because the clock was set back in between."""
    key = (file.camera, file.device, file.recording)
    others = (one for one in files if (one.camera, one.device, one.recording) == key and one.set_backs != file.set_backs)
    shown = joined(one.device_period(run) for one in others for run in one.runs)
    return joined(part for run in file.runs for part in clipped(shown, file.device_period(run)))


NO_RECORDER: Final = "no recorder keeps its footage"
NOT_RECORDED: Final = "not recorded"
GAPS: Final = "gaps in the recording"
NOT_REPLAYED: Final = "the device says to have it, and does not replay it"
SOUND_LEFT_OUT: Final = "sound in {0} left out: the file has no place for it"
SOUND_REFUSED: Final = "sound in {0} missing: the device lists it and refuses to give it"
_REASON_MOST: Final = 1_000
LEAST_GAP: Final = timedelta(seconds=1)
"""Footage that is missing for less is a late or lost picture, not a gap."""


def judged(export: Export, files: Sequence[FootageFile], window: Period, *, error: str = "", refused: bool = False) -> Export:
    """`export` when its fetching ended: what was obtained of `window`, what is missing, and so its state.

    `error`: why the fetching broke off, "" when it did not. `refused`: the device cannot do this at all, nothing can be had from it.
    """
    obtained = joined((run for file in files for run in file.runs), within=LEAST_GAP)
    missing = gaps(obtained, window, least=LEAST_GAP)
    if not files:
        state = ExportState.FAILED if error and not refused else ExportState.NOTHING
    else:
        state = ExportState.PARTIAL if missing or error else ExportState.DONE
    reason = error or _why_missing(export, missing, nothing=state is ExportState.NOTHING)
    reason = "; ".join(filter(None, (reason, *_without_sound(files))))
    return replace(export, state=state, reason=reason, obtained=obtained, gaps=missing, awaited=False)


def _without_sound(files: Sequence[FootageFile]) -> list[str]:
    """What is to be said of sound that is not in the files."""
    unfit, refused = ({getattr(file, name) for file in files} - {""} for name in ("sound_left_out", "sound_refused"))
    told = [SOUND_LEFT_OUT.format(", ".join(sorted(unfit)))] if unfit else []
    return told + ([SOUND_REFUSED.format(", ".join(sorted(refused)))] if refused else [])


def _why_missing(export: Export, missing: Sequence[Period], *, nothing: bool) -> str:
    """Why `missing` could not be had though nothing broke off: it was never recorded, or the device keeps it to itself."""
    withheld = [part for hole in missing for part in clipped(export.recorded, hole) if part.length >= LEAST_GAP]
    never = any(gaps(withheld, hole, least=LEAST_GAP) for hole in missing)
    told = NOT_RECORDED if nothing else GAPS
    return "; ".join([*([told] if never else []), *([NOT_REPLAYED] if withheld else [])])


def verdict(exports: Sequence[Export]) -> tuple[Act, str]:
    """What all exports of a request together make of it, with the reason, or what is to be said of a whole one."""
    states = {export.state for export in exports}
    told = _shortened([f"{export.camera}: {export.reason}" for export in exports if export.reason])
    if states == {ExportState.DONE}:
        return Act.COMPLETE, told
    if states & {ExportState.DONE, ExportState.PARTIAL}:
        return Act.COMPLETE_IN_PART, told
    return (Act.FAIL, told) if ExportState.FAILED in states else (Act.FIND_NOTHING, told or "nothing was recorded")


def _shortened(reasons: Sequence[str]) -> str:
    """All of them, or as many as there is room for, whole, and how many more there are; only the first may be cut off."""
    room, shown = _REASON_MOST, 0
    for reason in reasons:
        room -= len(reason) + len("; ")
        if room < 0:
            break
        shown += 1
    more = len(reasons) - max(1, shown)
    said = "; ".join([reasons[0][:_REASON_MOST], *reasons[1:shown]]) if reasons else ""
    return f"{said}; and {more} more" if more > 0 else said
