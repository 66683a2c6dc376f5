"""Incidents: what is wrong as one thing, whatever number of devices it takes with it, and what may be done about it.

        open ──acknowledge──▶ acknowledged          What is done to it stands in `ACTS`; what is not there is illegal and changes
          ▲ ◀─unacknowledge──    │                  nothing. People do most of it; the gateway itself recovers (all members are
          │                      │                  back), relapses (a member falls again soon after) and escalates (nobody
        reopen, relapse      resolve, recover       acknowledges).
          │                      ▼
          └────────────────── resolved

An incident lists its members: its roots, and what they explain. A member that is back keeps its row, with `until`. A person may resolve
an incident whose members are still ill: it stays theirs, silently, until they are back, so that it is not told anew at once.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import NewType

from gateway.domain.devices import DeviceId, DeviceKind
from gateway.domain.health import HealthState
from gateway.domain.severity import Severity
from gateway.errors import Conflict

IncidentId = NewType("IncidentId", str)


class IncidentState(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class CauseKind(StrEnum):
    DEVICE = "device"  # one device, and what hangs on it
    COMMON = "common"  # several devices of one scope at the same time: a suspicion, not a finding
    GATEWAY = "gateway"  # the gateway sees nothing: its own fault


class Scope(StrEnum):
    """What devices of a common cause have in common, the narrowest first."""

    POLE = "pole"  # a camera group
    CELL = "cell"
    UPLINK = "uplink"
    SUBNET = "subnet"
    MODEL = "model"
    STREET = "street"
    DISTRICT = "district"
    CITY = "city"

    @property
    def width(self) -> int:
        """0 is the narrowest."""
        return _WIDTHS[self]


_WIDTHS: Mapping[Scope, int] = {scope: width for width, scope in enumerate(Scope)}


@dataclass(frozen=True, slots=True)
class Cause:
    """What an incident is thought to come from: a `device`, or whatever struck the `scope` called `key`. `name` is for people."""

    kind: CauseKind
    device: DeviceId | None = None
    scope: Scope | None = None
    key: str = ""
    name: str = ""


class Role(StrEnum):
    ROOT = "root"  # ill by itself, as far as we know
    EXPLAINED = "explained"  # out of reach because of a root


@dataclass(frozen=True, slots=True)
class Member:
    """A device in an incident: as it was when it joined, and since when it has been ill. `until`: when it was back, or left."""

    device: DeviceId
    state: HealthState
    reason: str
    since: datetime
    role: Role
    joined_at: datetime
    kind: DeviceKind | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Incident:
    """One problem. `trouble`: DOWN, DEGRADED or UNKNOWN (the gateway is blind). `devices`: how many it took at its worst.

    `waiting_since`: from when the escalation counts. `resolved_by` is empty when the gateway saw all members back.
    `acknowledger`: the name of the person behind `acknowledged_by` at that time, "" where nobody was named.
    """

    id: IncidentId
    state: IncidentState
    severity: Severity
    trouble: HealthState
    cause: Cause
    reason: str
    opened_at: datetime
    waiting_since: datetime
    changed_at: datetime
    members: Mapping[DeviceId, Member] = field(default_factory=dict)
    devices: int = 0
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    acknowledger: str = ""
    assignee: str = ""
    snoozed_until: datetime | None = None
    resolved_at: datetime | None = None
    resolved_by: str = ""
    escalation_level: int = 0
    reopened: int = 0

    @property
    def live(self) -> bool:
        """Whether it is not resolved."""
        return self.state is not IncidentState.RESOLVED

    @property
    def ill(self) -> Iterable[Member]:
        """The members that are not back."""
        return (member for member in self.members.values() if member.until is None)

    def holds(self, device: DeviceId) -> bool:
        """Whether `device` is a member that is not back."""
        member = self.members.get(device)
        return member is not None and member.until is None

    def snoozed(self, now: datetime) -> bool:
        return self.snoozed_until is not None and now < self.snoozed_until


class Act(StrEnum):
    """What is done to an incident. The last three are the gateway's own."""

    ACKNOWLEDGE = "acknowledge"
    UNACKNOWLEDGE = "unacknowledge"
    COMMENT = "comment"
    ASSIGN = "assign"
    SNOOZE = "snooze"
    RESOLVE = "resolve"
    REOPEN = "reopen"
    RECOVER = "recover"
    RELAPSE = "relapse"
    ESCALATE = "escalate"


BY_ITSELF = frozenset({Act.RECOVER, Act.RELAPSE, Act.ESCALATE})

_OPEN, _ACKNOWLEDGED, _RESOLVED = IncidentState.OPEN, IncidentState.ACKNOWLEDGED, IncidentState.RESOLVED
# (state, act) → the state that follows; absent: the act is illegal there.
ACTS: Mapping[tuple[IncidentState, Act], IncidentState] = {
    (_OPEN, Act.ACKNOWLEDGE): _ACKNOWLEDGED,
    (_OPEN, Act.COMMENT): _OPEN,
    (_OPEN, Act.ASSIGN): _OPEN,
    (_OPEN, Act.SNOOZE): _OPEN,
    (_OPEN, Act.RESOLVE): _RESOLVED,
    (_OPEN, Act.RECOVER): _RESOLVED,
    (_OPEN, Act.ESCALATE): _OPEN,
    (_ACKNOWLEDGED, Act.UNACKNOWLEDGE): _OPEN,
    (_ACKNOWLEDGED, Act.COMMENT): _ACKNOWLEDGED,
    (_ACKNOWLEDGED, Act.ASSIGN): _ACKNOWLEDGED,
    (_ACKNOWLEDGED, Act.SNOOZE): _ACKNOWLEDGED,
    (_ACKNOWLEDGED, Act.RESOLVE): _RESOLVED,
    (_ACKNOWLEDGED, Act.RECOVER): _RESOLVED,
    (_RESOLVED, Act.COMMENT): _RESOLVED,
    (_RESOLVED, Act.REOPEN): _OPEN,
    (_RESOLVED, Act.RELAPSE): _OPEN,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of an incident's history, from 1 on; append-only. `what` is an act, or `open`, `grow`, `leave`; `name`: of the person
    behind `actor`."""

    number: int
    at: datetime
    what: str
    actor: str
    comment: str = ""
    detail: Mapping[str, object] = field(default_factory=dict)
    name: str = ""


def acted(
    before: Incident, act: Act, *, by: str, at: datetime, name: str = "", assignee: str = "", until: datetime | None = None
) -> Incident:
    """`before` after `act`; Conflict (`wrong-incident-state`) where the table has no such act. `by`: the actor, "" for the gateway.

    `name`: of the person behind `by`. `assignee` goes with ASSIGN ("" for nobody), `until` with SNOOZE (None ends it).
    """
    state = ACTS.get((before.state, act))
    if state is None:
        raise Conflict(f"Incident {before.id} is {before.state}: {act} is not possible.", code="wrong-incident-state")
    after = replace(before, state=state, changed_at=at)
    match act:
        case Act.ACKNOWLEDGE:
            return replace(after, acknowledged_at=at, acknowledged_by=by, acknowledger=name)
        case Act.UNACKNOWLEDGE:
            return replace(after, acknowledged_at=None, acknowledged_by="", acknowledger="", waiting_since=at, escalation_level=0)
        case Act.ASSIGN:
            return replace(after, assignee=assignee)
        case Act.SNOOZE:
            return replace(after, snoozed_until=until, waiting_since=max(until or at, at), escalation_level=0)
        case Act.RESOLVE | Act.RECOVER:
            return replace(after, resolved_at=at, resolved_by=by, snoozed_until=None)
        case Act.REOPEN | Act.RELAPSE:
            return _reopened(after, at)
        case Act.ESCALATE:
            return replace(after, escalation_level=before.escalation_level + 1)
    return after


def _reopened(incident: Incident, at: datetime) -> Incident:
    return replace(
        incident,
        waiting_since=at,
        acknowledged_at=None,
        acknowledged_by="",
        acknowledger="",
        resolved_at=None,
        resolved_by="",
        snoozed_until=None,
        escalation_level=0,
        reopened=incident.reopened + 1,
    )


def kinds_of(members: Iterable[Member]) -> Counter[DeviceKind]:
    """How many of each kind."""
    return Counter(member.kind for member in members if member.kind is not None)
