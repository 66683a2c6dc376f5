"""Footage that somebody asks for: who, why, which; what may happen to a request and by whom; what was recorded and what was not.

A request goes its way by the table `TRANSITIONS`. Two rules stand above it: whoever decides is somebody else than those who ask, and
nothing is looked up, fetched or handed over before that decision. The store's constraints repeat both.

All periods are aware, half open and on the true clock; only what is named `device_…` is on a device's own.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NewType

from gateway.domain.devices import CellCode, DeviceId, GroupId
from gateway.domain.events import Actor
from gateway.errors import Conflict, Forbidden

RequestId = NewType("RequestId", str)

# -- periods ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """From `start` to `end`, half open."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        return self.end - self.start

    def shifted(self, by: timedelta) -> "Period":
        return Period(self.start + by, self.end + by)


def joined(periods: Iterable[Period], *, within: timedelta = timedelta(0)) -> tuple[Period, ...]:
    """`periods` in order and disjoint; those that touch, overlap or lie at most `within` apart become one. Empty ones are dropped."""
    done: list[Period] = []
    for period in sorted(period for period in periods if period.start < period.end):
        if done and period.start - done[-1].end <= within:
            done[-1] = Period(done[-1].start, max(done[-1].end, period.end))
        else:
            done.append(period)
    return tuple(done)


def clipped(periods: Iterable[Period], window: Period) -> tuple[Period, ...]:
    """The parts of `periods` inside `window`, in order and disjoint."""
    return joined(Period(max(period.start, window.start), min(period.end, window.end)) for period in periods)


def gaps(periods: Iterable[Period], window: Period, *, least: timedelta = timedelta(0)) -> tuple[Period, ...]:
    """The parts of `window` that `periods` leave out, without those shorter than `least`."""
    found = clipped(periods, window)
    edges = [window.start, *(edge for period in found for edge in (period.start, period.end)), window.end]
    holes = (Period(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True))
    return tuple(hole for hole in holes if hole.start < hole.end and hole.length >= least)


def total(periods: Iterable[Period]) -> timedelta:
    """How long `periods`, which must be disjoint, are together."""
    return sum((period.length for period in periods), timedelta(0))


# -- what is asked for ------------------------------------------------------------------------------------------------


class Urgency(StrEnum):
    NORMAL = "normal"
    URGENT = "urgent"


@dataclass(frozen=True, slots=True)
class Filing:
    """A request as it is handed in: the fields of the register (登记表), the place and the time.

    `case_kind` and `legal_basis` are codes of the maintained lists; `authorising_document` is the number of the 调取证据通知书 or the
    unit's letter, `approval_letter` the reference of a letter that goes with it.
    """

    requester: str
    unit: str
    badge: str
    second_officer: str
    case_number: str
    case_kind: str
    legal_basis: str
    authorising_document: str
    purpose: str
    destination: str
    window: Period
    approval_letter: str = ""
    urgency: Urgency = Urgency.NORMAL
    cameras: tuple[DeviceId, ...] = ()
    groups: tuple[GroupId, ...] = ()
    cells: tuple[CellCode, ...] = ()


REGISTER_FIELDS: Final = (
    *("requester", "unit", "badge", "second_officer", "case_number", "case_kind", "legal_basis", "authorising_document"),
    *("purpose", "destination"),
)
"""What no request may leave empty."""


# -- what happens to it -----------------------------------------------------------------------------------------------


class FootageState(StrEnum):
    SUBMITTED = "submitted"
    APPROVED = "approved"
    REJECTED = "rejected"
    LOCATING = "locating"
    EXPORTING = "exporting"
    READY = "ready"
    PARTIAL = "partial"
    UNAVAILABLE = "unavailable"
    HANDED_OVER = "handed-over"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Act(StrEnum):
    """What a person (above) or the gateway (below) does with a request."""

    APPROVE = "approve"
    REJECT = "reject"
    CANCEL = "cancel"
    RETRY = "retry"
    HAND_OVER = "hand-over"

    LOCATE = "locate"
    EXPORT = "export"
    COMPLETE = "complete"
    COMPLETE_IN_PART = "complete-in-part"
    FIND_NOTHING = "find-nothing"
    FAIL = "fail"
    EXPIRE = "expire"


_S = FootageState
TRANSITIONS: Final[Mapping[tuple[FootageState, Act], FootageState]] = {
    (_S.SUBMITTED, Act.APPROVE): _S.APPROVED,
    (_S.SUBMITTED, Act.REJECT): _S.REJECTED,
    (_S.SUBMITTED, Act.CANCEL): _S.CANCELLED,
    (_S.APPROVED, Act.CANCEL): _S.CANCELLED,
    (_S.APPROVED, Act.LOCATE): _S.LOCATING,
    (_S.LOCATING, Act.EXPORT): _S.EXPORTING,
    (_S.LOCATING, Act.FIND_NOTHING): _S.UNAVAILABLE,
    (_S.LOCATING, Act.FAIL): _S.FAILED,
    (_S.LOCATING, Act.CANCEL): _S.CANCELLED,
    (_S.EXPORTING, Act.COMPLETE): _S.READY,
    (_S.EXPORTING, Act.COMPLETE_IN_PART): _S.PARTIAL,
    (_S.EXPORTING, Act.FIND_NOTHING): _S.UNAVAILABLE,
    (_S.EXPORTING, Act.FAIL): _S.FAILED,
    (_S.EXPORTING, Act.CANCEL): _S.CANCELLED,
    (_S.FAILED, Act.RETRY): _S.APPROVED,
    (_S.FAILED, Act.CANCEL): _S.CANCELLED,
    (_S.PARTIAL, Act.RETRY): _S.APPROVED,
    (_S.READY, Act.HAND_OVER): _S.HANDED_OVER,
    (_S.PARTIAL, Act.HAND_OVER): _S.HANDED_OVER,
    (_S.READY, Act.EXPIRE): _S.EXPIRED,
    (_S.PARTIAL, Act.EXPIRE): _S.EXPIRED,
    (_S.HANDED_OVER, Act.EXPIRE): _S.EXPIRED,
}
"""What leads where; every pair that is missing is refused and changes nothing."""

WORKING: Final = frozenset({_S.APPROVED, _S.LOCATING, _S.EXPORTING})
"""States in which the gateway has something to do."""
DELIVERABLE: Final = frozenset({_S.READY, _S.PARTIAL, _S.HANDED_OVER})
"""States in which files may be downloaded."""
_DECISIONS: Final = frozenset({Act.APPROVE, Act.REJECT})


@dataclass(frozen=True, slots=True)
class Person:
    """Who acts: the key or user on record, and the name of the human behind it."""

    actor: Actor
    name: str


@dataclass(frozen=True, slots=True)
class FootageRequest:
    """A filed request. `cameras` is the place resolved to cameras when it was filed; `reason` says why it is where it is."""

    id: RequestId
    filing: Filing
    cameras: tuple[DeviceId, ...]
    submitted_by: Person
    submitted_at: datetime
    state: FootageState = FootageState.SUBMITTED
    decided_by: Person | None = None
    decided_at: datetime | None = None
    note: str = ""
    reason: str = ""
    changed_at: datetime | None = None
    ready_at: datetime | None = None

    @property
    def approved(self) -> bool:
        return self.decided_by is not None and self.state is not FootageState.REJECTED


def advanced(request: FootageRequest, act: Act, *, by: Person, at: datetime, reason: str = "") -> FootageRequest:
    """`request` after `act`. Conflict when its state does not allow it, Forbidden (`second-person`) when `by` may not decide."""
    after = TRANSITIONS.get((request.state, act))
    if after is None:
        raise Conflict(f"a request that is {request.state} cannot {act}", code="wrong-state", hint=_allowed(request.state))
    if act in _DECISIONS:
        _check_second_person(request, by)
        request = replace(request, decided_by=by, decided_at=at, note=reason)
    if after in (FootageState.READY, FootageState.PARTIAL):
        request = replace(request, ready_at=at)
    return replace(request, state=after, reason=reason, changed_at=at)


def _allowed(state: FootageState) -> str:
    acts = [act for known, act in TRANSITIONS if known is state]
    return f"possible now: {', '.join(acts)}" if acts else "nothing more can be done with it"


def _check_second_person(request: FootageRequest, by: Person) -> None:
    """Whoever decides is neither the one who filed the request nor one of those whom it is for."""
    askers = {_folded(request.submitted_by.name), _folded(request.filing.requester), _folded(request.filing.second_officer)}
    if by.actor == request.submitted_by.actor or _folded(by.name) in askers - {""}:
        hint = "another person with the right to approve has to do it"
        raise Forbidden("a request is decided by somebody else than those who make it", code="second-person", hint=hint)


def _folded(name: str) -> str:
    return "".join(name.split()).casefold()


# -- what is found and fetched ----------------------------------------------------------------------------------------


class ExportState(StrEnum):
    """How far the footage of one camera is."""

    PENDING = "pending"
    EXPORTING = "exporting"
    DONE = "done"
    PARTIAL = "partial"
    NOTHING = "nothing"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Export:
    """The footage of one camera for one request. `offset`: the recorder's clock less the true one, None when it was never measured."""

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

    def device_period(self, period: Period) -> Period:
        """`period` as the recorder's own clock has it."""
        return period.shifted(self.offset or timedelta(0))

    def true_period(self, device_period: Period) -> Period:
        """What the recorder's clock calls `device_period`, on the true clock."""
        return device_period.shifted(-(self.offset or timedelta(0)))


@dataclass(frozen=True, slots=True)
class FootageFile:
    """One finished file. `period` is on the true clock; `runs` are the unbroken stretches in it."""

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


LEAST_GAP: Final = timedelta(seconds=1)
"""Footage that is missing for less is a late or lost picture, not a gap."""


def judged(export: Export, files: Sequence[FootageFile], window: Period, *, error: str = "") -> Export:
    """`export` when its fetching ended: what was obtained of `window`, what is missing, and so its state.

    `error`: why the fetching broke off, "" when it did not.
    """
    obtained = joined((run for file in files for run in file.runs), within=LEAST_GAP)
    missing = gaps(obtained, window, least=LEAST_GAP)
    if not files:
        state = ExportState.FAILED if error else ExportState.NOTHING
    else:
        state = ExportState.PARTIAL if missing or error else ExportState.DONE
    reason = error or ("not recorded" if state is ExportState.NOTHING else "gaps in the recording" if missing else "")
    return replace(export, state=state, reason=reason, obtained=obtained, gaps=missing)


def verdict(exports: Sequence[Export]) -> tuple[Act, str]:
    """What all exports of a request together make of it, with the reason."""
    states = {export.state for export in exports}
    told = "; ".join(f"{export.camera}: {export.reason}" for export in exports if export.reason)[:1_000]
    if states == {ExportState.DONE}:
        return Act.COMPLETE, ""
    if states & {ExportState.DONE, ExportState.PARTIAL}:
        return Act.COMPLETE_IN_PART, told
    return (Act.FAIL, told) if ExportState.FAILED in states else (Act.FIND_NOTHING, told or "nothing was recorded")


# -- custody ----------------------------------------------------------------------------------------------------------


class Step(StrEnum):
    """What the custody log knows."""

    SUBMITTED = "submitted"
    APPROVED = "approved"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    RETRIED = "retried"
    LOCATED = "located"
    EXPORTED = "exported"
    CONCLUDED = "concluded"
    DOWNLOADED = "downloaded"
    HANDED_OVER = "handed-over"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class CustodyEntry:
    """One line of the custody log: who had what in hand, when. Written once, never changed."""

    request: RequestId
    step: Step
    by: Person
    at: datetime
    detail: Mapping[str, Any] = field(default_factory=dict)
    number: int = 0


@dataclass(frozen=True, slots=True)
class Dossier:
    """A request with everything that came of it."""

    request: FootageRequest
    exports: tuple[Export, ...] = ()
    files: tuple[FootageFile, ...] = ()
    custody: tuple[CustodyEntry, ...] = ()


def manifest(dossier: Dossier, *, version: str, made_at: datetime) -> dict[str, Any]:
    """What goes with the files: case and people, devices and their clocks, requested and obtained times, gaps, digests; plain JSON."""
    request, filing = dossier.request, dossier.request.filing
    return {
        "request": request.id,
        "tool": f"city-gateway {version}",
        "made_at": made_at.isoformat(),
        "case": {name: getattr(filing, name) for name in (*REGISTER_FIELDS[4:8], "approval_letter", "purpose", "destination", "urgency")},
        "people": {
            **{name: getattr(filing, name) for name in REGISTER_FIELDS[:4]},
            "submitted_by": {"name": request.submitted_by.name, "id": str(request.submitted_by.actor)},
            "approved_by": {"name": request.decided_by.name, "id": str(request.decided_by.actor)} if request.decided_by else None,
        },
        "requested": _period(filing.window),
        "cameras": [_camera(export, dossier.files) for export in dossier.exports],
    }


def _camera(export: Export, files: Iterable[FootageFile]) -> dict[str, Any]:
    return {
        "camera": export.camera,
        "recorder": export.recorder,
        "serial": export.serial,
        "recording": export.recording,
        "clock_offset_s": None if export.offset is None else export.offset.total_seconds(),
        "state": export.state,
        "reason": export.reason,
        "recorded": [_period(period) for period in export.coverage],
        "obtained": [_period(period) for period in export.obtained],
        "gaps": [_period(period) for period in export.gaps],
        "files": [_file(file) for file in files if file.camera == export.camera],
    }


def _file(file: FootageFile) -> dict[str, Any]:
    known = {name: getattr(file, name) for name in ("name", "sha256", "size", "frames", "damaged")}
    return known | {"period": _period(file.period)}


def _period(period: Period) -> dict[str, str]:
    return {"start": period.start.isoformat(), "end": period.end.isoformat()}
