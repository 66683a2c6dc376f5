"""Which broadcasts somebody looks for: the filters of the ledger as they are asked for, and what they mean in this city."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from gateway.api.models import Ident, Input, Instant, Line, PageQuery
from gateway.api.orders import PriorityName
from gateway.domain.broadcast_ledger import SaidAs, StreetOutcome, Wanted
from gateway.domain.city import City
from gateway.domain.devices import Device, DeviceId, DeviceKind
from gateway.domain.events import Actor, ActorKind

_ACTOR = "^(" + "|".join(kind.value for kind in ActorKind) + r"):.{1,200}$"


class OutcomeAsked(StrEnum):
    """What came of a broadcast in the street, or that nobody has said."""

    LEFT = StreetOutcome.LEFT
    PASSED_ON = StreetOutcome.PASSED_ON
    NOBODY = StreetOutcome.NOBODY
    OTHER = StreetOutcome.OTHER
    NONE = "none"


class LedgerFilter(Input):
    """What broadcasts must fit. A cell, district or group stands for its loudspeakers, and for the views of its cameras."""

    speaker: Ident | None = None
    camera: Ident | None = Field(default=None, description="For what this camera sees.")
    group: Ident | None = None
    cell: Ident | None = None
    district: Line | None = None
    operator: Annotated[str, StringConstraints(pattern=_ACTOR)] | None = Field(default=None, description="Who ordered it, as `actor` says.")
    kind: SaidAs | None = None
    priority: PriorityName | None = None
    outcome: OutcomeAsked | None = Field(default=None, description="`none`: nobody has said yet.")
    case: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None


class LedgerQuery(LedgerFilter, PageQuery):
    """Which broadcasts, and which page of them."""

    start: Instant | None = Field(default=None, alias="from", description="Ordered then or later.")
    end: Instant | None = Field(default=None, alias="to", description="Ordered before.")


def wanted(query: LedgerFilter, city: City) -> Wanted:
    """The broadcasts that `query` asks for, whenever they were; places are those of the city as it is now."""
    speakers = _at(query, city, DeviceKind.SPEAKER, query.speaker)
    cameras = _at(query, city, DeviceKind.CAMERA, query.camera)
    if query.speaker is not None and query.camera is None:
        cameras = None
    if query.camera is not None and query.speaker is None:
        speakers = None
    kind, _, name = (query.operator or "").partition(":")
    return Wanted(
        speakers=speakers,
        cameras=cameras,
        actor=Actor(ActorKind(kind), name) if query.operator else None,
        kind=query.kind,
        priority=query.priority.rank if query.priority else None,
        outcome=query.outcome and ("" if query.outcome is OutcomeAsked.NONE else StreetOutcome(query.outcome)),
        case=query.case,
    )


def _at(query: LedgerFilter, city: City, kind: DeviceKind, named: str | None) -> frozenset[DeviceId] | None:
    """The devices of `kind` that the query names, one by one or by their place; None where it names neither."""
    if named is None and query.group is query.cell is query.district is None:
        return None
    if query.group is query.cell is query.district is None:
        return frozenset({DeviceId(named)}) if named else None
    found = {device.id for device in city.of_kind(kind) if _lies_in(query, city, device)}
    return frozenset(found if named is None else found & {named})


def _lies_in(query: LedgerFilter, city: City, device: Device) -> bool:
    group = city.groups.get(device.group) if device.group else None
    cell = city.cells.get(device.cell) if device.cell else None
    districts = {group and group.district, cell and cell.district}
    return (
        query.group in (None, device.group)
        and query.cell in (None, device.cell)
        and (query.district is None or query.district in districts)
    )
