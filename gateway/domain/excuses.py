"""Excuses: why time in which devices were down is not held against those who keep them; one person proposes, another decides.

    proposed ─ approve → approved        proposed, approved ─ reject → rejected

Whoever decides is somebody else than whoever proposed; the store's constraints say so, too. What is approved is left out of the adjusted
figures, never out of the raw ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NewType

from gateway.domain.city import City
from gateway.domain.devices import CellCode, Device, DeviceId, GroupId
from gateway.domain.events import Person
from gateway.domain.maintenance import district_of
from gateway.errors import Conflict, Fault, Forbidden, InvalidInput

ExcuseId = NewType("ExcuseId", str)

LONGEST: Final = timedelta(days=366)


class ExcuseState(StrEnum):
    PROPOSED = "proposed"
    APPROVED = "approved"
    REJECTED = "rejected"


class Decision(StrEnum):
    APPROVE = "approve"
    REJECT = "reject"


TABLE: Final[Mapping[tuple[ExcuseState, Decision], ExcuseState]] = {
    (ExcuseState.PROPOSED, Decision.APPROVE): ExcuseState.APPROVED,
    (ExcuseState.PROPOSED, Decision.REJECT): ExcuseState.REJECTED,
    (ExcuseState.APPROVED, Decision.REJECT): ExcuseState.REJECTED,
}


@dataclass(frozen=True, slots=True)
class ExcusePlaces:
    """What an excuse covers: all that is named by any of these."""

    devices: frozenset[DeviceId] = frozenset()
    groups: frozenset[GroupId] = frozenset()
    cells: frozenset[CellCode] = frozenset()
    districts: frozenset[str] = frozenset()

    def cover(self, device: Device, city: City) -> bool:
        return (
            device.id in self.devices
            or device.group in self.groups
            or device.cell in self.cells
            or (bool(self.districts) and district_of(device, city) in self.districts)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Excuse:
    """`kind` is a code of the maintained list; `evidence` a reference to a file, `incident` an incident's id: one of them is there."""

    id: ExcuseId
    kind: str
    places: ExcusePlaces
    start: datetime
    end: datetime
    reason: str
    evidence: str
    incident: str
    proposed_by: Person
    proposed_at: datetime
    state: ExcuseState = ExcuseState.PROPOSED
    decided_by: Person | None = None
    decided_at: datetime | None = None
    note: str = ""


def check(excuse: Excuse, kinds: Mapping[str, object]) -> Excuse:
    """`excuse`, when it can be proposed. InvalidInput with all that is wrong of it."""
    places, faults = excuse.places, list[Fault]()
    if excuse.kind not in kinds:
        faults.append(Fault("/kind", f"must be one of {', '.join(sorted(kinds))}"))
    if not (places.devices or places.groups or places.cells or places.districts):
        faults.append(Fault("/", "must name devices, groups, cells or districts"))
    if not timedelta() < excuse.end - excuse.start <= LONGEST:
        faults.append(Fault("/end", f"must be after the start, by at most {LONGEST.days} days"))
    if not (excuse.evidence or excuse.incident):
        faults.append(Fault("/evidence", "must name what shows it: a document, a file, or an incident"))
    if faults:
        raise InvalidInput("The excuse is not right.", faults=faults, code="bad-excuse")
    return excuse


def decide(excuse: Excuse, decision: Decision, by: Person, *, note: str, at: datetime) -> Excuse:
    """The excuse after `decision`. Forbidden (`own-excuse`) for whoever proposed it, Conflict where the table has no such step."""
    if _same(by, excuse.proposed_by):
        raise Forbidden(
            "Somebody else decides on an excuse than who proposed it.", code="own-excuse", hint="ask a colleague with a key of their own"
        )
    after = TABLE.get((excuse.state, decision))
    if after is None:
        raise Conflict(f"An excuse that is {excuse.state} cannot be {decision}d.", code="excuse-decided")
    return replace(excuse, state=after, decided_by=by, decided_at=at, note=note)


def _same(one: Person, other: Person) -> bool:
    return one.actor == other.actor or one.name == other.name
