"""What the API says of a footage request, its files, its custody log and the people in them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from pydantic import Field

from gateway.api.models import Instant, Output
from gateway.api.routing import Call
from gateway.domain.access import Permission
from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor, Person
from gateway.domain.footage import (
    OPTIONAL_FIELDS,
    REGISTER_FIELDS,
    Basis,
    CustodyEntry,
    Dossier,
    Emergency,
    Export,
    ExportState,
    FootageFile,
    FootageRequest,
    FootageState,
    Origin,
    Period,
    RequesterKind,
    TimeSource,
    Urgency,
    missing,
)
from gateway.domain.imports import Import, ImportState
from gateway.domain.scrubbing import Finding
from gateway.footage.progress import Progress

_SHOWN = 4  # letters of an identity card's number
_SAME = (*REGISTER_FIELDS, *OPTIONAL_FIELDS, "kind", "urgency", "emergency")
_KEPT = (
    *("id", "state", "outcome", "reason", "submitted_at", "decided_at", "note", "changed_at", "ready_at"),
    *("papers_due_at", "papers_at", "owing"),
)


class PersonOut(Output):
    """Who did it: the human, and the key on record."""

    name: str
    actor: str


class PeriodOut(Output):
    """From `start` to `end`, half open, on the true clock."""

    start: Instant
    end: Instant


class WindowOut(PeriodOut):
    """What is wanted of one camera."""

    camera: str


class RequestOut(Output):
    """A footage request."""

    id: str
    state: FootageState
    outcome: FootageState | None = Field(description="The last state that told what came of it; it stays when the files are gone.")
    reason: str = Field(description="Why it is where it is.")
    kind: RequesterKind
    requester: str
    unit: str
    badge: str
    second_officer: str
    case_number: str
    case_kind: str
    legal_basis: str
    authorising_document: str
    approval_letter: str
    purpose: str
    destination: str
    contact: str
    missing: list[str] = Field(description="The fields of the register that are to be filled in before anything is handed over.")
    urgency: Urgency
    emergency: Emergency | None
    papers_due_at: Instant | None = Field(description="In an emergency, until when the papers may follow.")
    papers_at: Instant | None
    owing: bool = Field(description="It went ahead in an emergency, and a second person's word or the papers have not followed.")
    start: Instant
    end: Instant
    tolerance_s: float
    address: str
    cameras: list[str] = Field(description="The place, resolved to cameras when the request was filed.")
    windows: list[WindowOut] = Field(description="What is wanted of each camera: the window with its tolerance, moved along a route.")
    submitted_by: PersonOut
    submitted_at: Instant
    decided_by: PersonOut | None
    decided_at: Instant | None
    note: str = Field(description="What was said with the decision.")
    changed_at: Instant | None
    ready_at: Instant | None


class CardOut(Output):
    """What a camera's own card has of the window beside its recorder."""

    serial: str
    recording: str
    clock_offset_s: float | None = Field(description="The camera's clock less the true one; null when it was never measured.")
    recorded: list[PeriodOut]


class CoverageOut(Output):
    """What there is of one camera's window, and what was obtained of it."""

    camera: str
    recorder: str = Field(description="The device that is asked first; the camera itself where no recorder keeps its footage.")
    state: ExportState
    reason: str
    clock_offset_s: float | None = Field(
        description="The recorder's clock less the true one when the window began, by which it is found; null when it was never measured."
    )
    clock_offset_now_s: float | None = Field(description="How it was when the request was located; null when that is not known.")
    clock_basis: Basis | None = Field(description="Where the offset comes from; null when that is not known.")
    clock_changed: bool = Field(description="Whether it changed within the window: each part is found by its own offset.")
    recorded: list[PeriodOut] = Field(description="Wherever it lies.")
    recorded_as_of: Instant | None = Field(
        description="When the devices said so: earlier than the last attempt when they were silent then."
    )
    card: CardOut | None = Field(description="Null where there is no card, or nothing was wanted of it beside the recorder's.")
    obtained: list[PeriodOut]
    gaps: list[PeriodOut]


class FileOut(Output):
    """A finished file, its bytes as the camera made them."""

    name: str
    camera: str
    source: str = Field(description="What gave it: `recorder`, or `card`, the camera's own.")
    device: str
    serial: str
    recording: str
    clock_offset_s: float | None = Field(description="That device's clock less the true one then; null when it was never measured.")
    sound_left_out: str = Field(description="The encodings of the sound that was recorded and has no place in the file; empty: none.")
    sound_refused: str = Field(description="The encodings of the sound that the device lists and would not give; empty: none.")
    set_backs: int = Field(
        description="How often its device's time went back before it in the replay that gave it, as when the clock was set back: files of"
        " another number may show the same time of the device's, and it is not known in which `start` and `end` are right."
    )
    time_source: TimeSource = Field(
        description="Whose word its times are: `device`, or `reckoned`, counted by the gateway from the time that was asked for."
    )
    number: int
    sha256: str
    size: int
    frames: int
    damaged: int
    start: Instant
    end: Instant
    created_at: Instant
    downloads: int
    removed: bool


class BroughtFileOut(Output):
    """A file of the package that the gateway did not fetch; `…/brought-files` has who brought it and from where."""

    name: str
    original_name: str
    camera: str = Field(description="The inventory's camera, where it is said to be one; else empty.")
    sha256: str
    size: int
    downloads: int
    removed: bool


class CustodyOut(Output):
    """A line of the custody log."""

    number: int
    step: str
    by: PersonOut
    at: Instant
    detail: dict[str, Any]


class ProgressOut(Output):
    """How far the fetching of one camera's footage is."""

    camera: str
    done_s: float = Field(description="Seconds of footage that are on the disk.")
    whole_s: float = Field(description="Seconds of footage that its recorder has of the window.")
    size: int = Field(description="Bytes so far.")
    bytes_per_s: float | None = Field(description="Measured over the last seconds; null while it is not known.")
    left_s: float | None = Field(description="How long the rest will take at the speed measured; null while it is not known.")


class CheckOut(Output):
    """When something that is stored for a request was read again by itself, and what was found."""

    name: str = Field(description="A file, or a document by its id; `SHA256SUMS` stands for the proof, which is checked as one.")
    checked_at: Instant
    found: str = Field(description="Empty: as it was stored.")


class DossierOut(RequestOut):
    """A request with everything that came of it. `progress`: of the cameras whose footage is being fetched at this moment."""

    progress: list[ProgressOut]
    coverage: list[CoverageOut]
    files: list[FileOut] = Field(description="What was fetched.")
    brought: list[BroughtFileOut] = Field(description="What somebody brought, and is in the package as well. Neither: there is no package.")
    checks: list[CheckOut] = Field(description="The last of each file, document and of the proof; none before the first is due.")
    custody: list[CustodyOut] = Field(description="The newest 200 lines; `…/custody` has all, page by page.")


def request_out(call: Call, request: FootageRequest) -> RequestOut:
    return RequestOut(**_told(call, request))


def dossier_out(
    call: Call, dossier: Dossier, brought: Sequence[Import], progress: Mapping[DeviceId, Progress], findings: Mapping[str, Finding]
) -> DossierOut:
    return DossierOut(
        **_told(call, dossier.request),
        progress=[_progress(camera, found) for camera, found in progress.items()],
        coverage=[coverage_out(export) for export in dossier.exports],
        files=[file_out(file) for file in dossier.files],
        brought=brought_out(brought),
        checks=checks_out(findings, {one.id: one.name for one in brought}),
        custody=[custody_out(call, entry) for entry in dossier.custody],
    )


def checks_out(findings: Mapping[str, Finding], called: Mapping[str, str] = MappingProxyType({})) -> list[CheckOut]:
    """What was found of each piece that is stored; `called`: by which name it is shown where that is not its key."""
    return [CheckOut(name=called.get(key, key), checked_at=one.checked_at, found=one.found) for key, one in findings.items()]


def masked(number: str) -> str:
    """A number of an identity card as it is shown to those who need not know it: its last four letters, if it is a long one."""
    shown = number[-_SHOWN:] if len(number) > 2 * _SHOWN else ""
    return "*" * (len(number) - len(shown)) + shown


def knows(call: Call, owner: Actor) -> bool:
    """Whether the caller may read the numbers of identity cards: `owner`, who wrote them down, and who may approve."""
    return call.caller.actor == owner or call.caller.may(Permission.FOOTAGE_APPROVE)


def _told(call: Call, request: FootageRequest) -> dict[str, Any]:
    filing = request.filing
    open_ = filing.kind is not RequesterKind.CITIZEN or knows(call, request.submitted_by.actor)
    return {
        **{name: getattr(filing, name) for name in _SAME},
        "badge": filing.badge if open_ else masked(filing.badge),
        **{name: getattr(request, name) for name in _KEPT},
        "start": filing.window.start,
        "end": filing.window.end,
        "tolerance_s": filing.tolerance.total_seconds(),
        "missing": list(missing(filing)),
        "address": filing.address,
        "windows": [
            WindowOut(camera=camera, start=window.start, end=window.end)
            for camera in request.cameras
            for window in (request.window_of(camera),)
        ],
        "cameras": list(request.cameras),
        "submitted_by": shown_person(request.submitted_by),
        "decided_by": shown_person(request.decided_by) if request.decided_by else None,
    }


def shown_person(person: Person) -> PersonOut:
    return PersonOut(name=person.name, actor=str(person.actor))


def coverage_out(export: Export) -> CoverageOut:
    clock = export.clock
    return CoverageOut(
        camera=export.camera,
        recorder=export.recorder,
        state=export.state,
        reason=export.reason,
        clock_offset_s=_seconds(export.offset),
        clock_offset_now_s=_seconds(clock.now) if clock else None,
        clock_basis=clock.parts[0].basis if clock else None,
        clock_changed=clock is not None and clock.stepped,
        recorded=[_period(period) for period in export.recorded],
        recorded_as_of=export.told_at,
        card=None if export.card is None else _card(export.card),
        obtained=[_period(period) for period in export.obtained],
        gaps=[_period(period) for period in export.gaps],
    )


def _card(card: Origin) -> CardOut:
    recorded = [_period(period) for period in card.recorded]
    return CardOut(serial=card.serial, recording=card.recording, clock_offset_s=_seconds(card.offset), recorded=recorded)


def _seconds(offset: timedelta | None) -> float | None:
    return None if offset is None else offset.total_seconds()


def _period(period: Period) -> PeriodOut:
    return PeriodOut(start=period.start, end=period.end)


def file_out(file: FootageFile) -> FileOut:
    same = {name: getattr(file, name) for name in FileOut.model_fields if name not in {"start", "end", "clock_offset_s"}}
    return FileOut(**same, start=file.period.start, end=file.period.end, clock_offset_s=_seconds(file.offset))


def brought_out(brought: Iterable[Import]) -> list[BroughtFileOut]:
    """Those that are in the signed package."""
    return [_brought(one) for one in brought if one.state is ImportState.KEPT]


def _brought(one: Import) -> BroughtFileOut:
    same = {name: getattr(one, name) for name in ("name", "sha256", "size", "downloads", "removed")}
    return BroughtFileOut(**same, original_name=one.brought.original_name, camera=one.brought.camera)


def _progress(camera: DeviceId, found: Progress) -> ProgressOut:
    return ProgressOut(
        camera=camera,
        done_s=round(found.done.total_seconds(), 1),
        whole_s=round(found.whole.total_seconds(), 1),
        size=found.size,
        bytes_per_s=None if found.bytes_per_s is None else round(found.bytes_per_s),
        left_s=None if found.left_s is None else round(found.left_s, 1),
    )


def custody_out(call: Call, entry: CustodyEntry) -> CustodyOut:
    detail = dict(entry.detail)
    if "identity" in detail and not knows(call, entry.by.actor):
        detail["identity"] = masked(str(detail["identity"]))
    return CustodyOut(number=entry.number, step=entry.step, by=shown_person(entry.by), at=entry.at, detail=detail)
