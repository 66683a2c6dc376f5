"""工单: what a maintainer is asked to repair, from the order to the closing note, and the two clocks by which that is measured.

        open ──accept──▶ accepted ──arrive──▶ on-site ──repair──▶ repaired ──close──▶ closed
          │                 │  ▲                 │                   │
          └───── cancel ────┴──┼── cancel ───────┘                   │      A maintainer may arrive without having accepted, and repair
                 ▼             └──────────────── send-back ──────────┘      from afar. Whoever ordered closes, or sends it back.
             cancelled

What stands in `ACTS` is possible, everything else is illegal and changes nothing. The **response** clock runs from the order until it is
accepted (or somebody arrives), the **repair** clock until it is repaired; when it is sent back, that clock runs on. Both run around the
clock or in working hours only, as the severity's target has it, and stand while the order is paused (no permission to dig, no spare part).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from typing import NewType

from gateway.domain.devices import DeviceId
from gateway.domain.hours import Hours
from gateway.domain.severity import Severity
from gateway.errors import Conflict

WorkOrderId = NewType("WorkOrderId", str)
HORIZON = timedelta(days=400)
"""A clock that would need longer than this to run out is due never."""


class WorkState(StrEnum):
    OPEN = "open"
    ACCEPTED = "accepted"
    ON_SITE = "on-site"
    REPAIRED = "repaired"
    CLOSED = "closed"
    CANCELLED = "cancelled"


ENDED = frozenset({WorkState.CLOSED, WorkState.CANCELLED})


class WorkAct(StrEnum):
    ACCEPT = "accept"
    ARRIVE = "arrive"
    REPAIR = "repair"
    SEND_BACK = "send-back"
    CLOSE = "close"
    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    COMMENT = "comment"


_OPEN, _ACCEPTED, _ON_SITE, _REPAIRED = WorkState.OPEN, WorkState.ACCEPTED, WorkState.ON_SITE, WorkState.REPAIRED
# (state, act) → the state that follows; absent: the act is illegal there.
ACTS: Mapping[tuple[WorkState, WorkAct], WorkState] = {
    (_OPEN, WorkAct.ACCEPT): _ACCEPTED,
    (_OPEN, WorkAct.ARRIVE): _ON_SITE,
    (_OPEN, WorkAct.CANCEL): WorkState.CANCELLED,
    (_ACCEPTED, WorkAct.ARRIVE): _ON_SITE,
    (_ACCEPTED, WorkAct.REPAIR): _REPAIRED,
    (_ACCEPTED, WorkAct.CANCEL): WorkState.CANCELLED,
    (_ON_SITE, WorkAct.REPAIR): _REPAIRED,
    (_ON_SITE, WorkAct.CANCEL): WorkState.CANCELLED,
    (_REPAIRED, WorkAct.SEND_BACK): _ACCEPTED,
    (_REPAIRED, WorkAct.CLOSE): WorkState.CLOSED,
    **{(state, act): state for state in (_OPEN, _ACCEPTED, _ON_SITE) for act in (WorkAct.PAUSE, WorkAct.RESUME)},
    **{(state, WorkAct.COMMENT): state for state in WorkState},
}


@dataclass(frozen=True, slots=True)
class Target:
    """Within how much time of its clock an order is answered and repaired. Without `around_the_clock`, only working hours count."""

    response: timedelta
    repair: timedelta
    around_the_clock: bool = True


@dataclass(frozen=True, slots=True)
class Calendar:
    """When is worked, on the wall clock of `zone`."""

    hours: Hours
    zone: tzinfo


@dataclass(frozen=True, slots=True)
class Pause:
    """Both clocks stand from `start` until `end` (None: still)."""

    start: datetime
    end: datetime | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture on record, kept under its hash. `source`: "upload", or "capture:" and the camera."""

    sha256: str
    media_type: str
    size: int
    at: datetime
    by: str
    source: str


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """One order. `target` is that of its severity when it was opened. `told_overdue`: the clocks whose running out was told."""

    id: WorkOrderId
    state: WorkState
    severity: Severity
    devices: tuple[DeviceId, ...]
    incident: str
    maintainer: str
    what: str
    target: Target
    opened_at: datetime
    opened_by: str
    changed_at: datetime
    technician: str = ""
    accepted_at: datetime | None = None
    on_site_at: datetime | None = None
    repaired_at: datetime | None = None
    closing_note: str = ""
    ended_at: datetime | None = None
    ended_by: str = ""
    sent_back: int = 0
    standing: tuple[tuple[datetime, datetime], ...] = ()  # from a repair until it was sent back: the repair clock stood
    pauses: tuple[Pause, ...] = ()
    pictures: tuple[Picture, ...] = ()
    told_overdue: frozenset[str] = field(default_factory=frozenset)

    @property
    def live(self) -> bool:
        return self.state not in ENDED

    @property
    def paused(self) -> bool:
        return bool(self.pauses) and self.pauses[-1].end is None


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody does to an order. `technician` goes with ACCEPT and ARRIVE; the comment of a repair is its closing note."""

    act: WorkAct
    comment: str = ""
    technician: str = ""


def acted(before: WorkOrder, deed: Deed, *, by: str, at: datetime) -> WorkOrder:
    """`before` after `deed`. Conflict (`wrong-work-order-state`) where the table lacks the act, or a pause would begin or end twice."""
    state = ACTS.get((before.state, deed.act))
    if state is None or (deed.act is WorkAct.PAUSE and before.paused) or (deed.act is WorkAct.RESUME and not before.paused):
        now = f"{before.state}{' and paused' if before.paused else ''}"
        possible = ", ".join(sorted({act for known, act in ACTS if known is before.state}))
        raise Conflict(
            f"Work order {before.id} is {now}: {deed.act} is not possible.", code="wrong-work-order-state", hint=f"Possible are {possible}."
        )
    after = replace(before, state=state, changed_at=at)
    match deed.act:
        case WorkAct.ACCEPT:
            return replace(after, accepted_at=at, technician=deed.technician or before.technician)
        case WorkAct.ARRIVE:
            technician = deed.technician or before.technician
            return replace(_resumed(after, at), accepted_at=before.accepted_at or at, on_site_at=at, technician=technician)
        case WorkAct.REPAIR:
            return replace(_resumed(after, at), repaired_at=at, closing_note=deed.comment)
        case WorkAct.SEND_BACK:
            assert before.repaired_at is not None
            after = replace(after, repaired_at=None, on_site_at=None, sent_back=before.sent_back + 1)
            return replace(after, standing=(*before.standing, (before.repaired_at, at)), told_overdue=before.told_overdue & {RESPONSE})
        case WorkAct.CLOSE | WorkAct.CANCEL:
            return replace(_resumed(after, at), ended_at=at, ended_by=by)
        case WorkAct.PAUSE:
            return replace(after, pauses=(*before.pauses, Pause(at, None, deed.comment)))
        case WorkAct.RESUME:
            return _resumed(after, at)
    return after


def _resumed(order: WorkOrder, at: datetime) -> WorkOrder:
    if not order.paused:
        return order
    return replace(order, pauses=(*order.pauses[:-1], replace(order.pauses[-1], end=at)))


# -- the clocks ---------------------------------------------------------------------------------------------------------

RESPONSE, REPAIR = "response", "repair"
Stretch = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Reading:
    """Where one clock stands. `due_at`: None while it stands still, and for one that is due never; `stopped_at`: None while it may run."""

    target: timedelta
    used: timedelta
    due_at: datetime | None
    stopped_at: datetime | None

    @property
    def overdue(self) -> bool:
        return self.used > self.target


def read_clocks(order: WorkOrder, now: datetime, calendar: Calendar) -> Mapping[str, Reading]:
    """Both clocks of `order` at `now`; those of a cancelled one stopped when it was cancelled."""
    end = order.ended_at if order.state is WorkState.CANCELLED else None
    clocks = {RESPONSE: (order.target.response, order.accepted_at or end), REPAIR: (order.target.repair, order.repaired_at or end)}
    found = {}
    for name, (target, stopped) in clocks.items():
        until = min(stopped or now, now)
        used = sum((min(over, until) - start for start, over in _running(order, name, until, calendar)), timedelta())
        due = None if order.paused and stopped is None else _due(order, name, target, calendar)
        found[name] = Reading(target, used, due, stopped)
    return found


def _due(order: WorkOrder, name: str, target: timedelta, calendar: Calendar) -> datetime | None:
    left = target
    for start, end in _running(order, name, order.opened_at + HORIZON, calendar):
        if end - start >= left:
            return start + left
        left -= end - start
    return None


def _running(order: WorkOrder, name: str, until: datetime, calendar: Calendar) -> Iterator[Stretch]:
    """The times from the order until `until` in which its clock runs, in order."""
    holes = [(pause.start, pause.end or until) for pause in order.pauses]
    holes += order.standing if name == REPAIR else ()
    if order.target.around_the_clock:
        yield from _without([(order.opened_at, until)], holes)
    else:
        yield from _without(calendar.hours.spans(order.opened_at, until, calendar.zone), holes)


def _without(spans: Iterable[Stretch], holes: Sequence[Stretch]) -> Iterator[Stretch]:
    """What is left of `spans` without `holes`, in order."""
    ordered = sorted(holes)
    for start, end in spans:
        at = start
        for begin, over in ordered:
            if over <= at or begin >= end:
                continue
            if begin > at:
                yield at, begin
            at = max(at, over)
        if at < end:
            yield at, end
