"""The command to broadcast, as every door takes it: the same body by HTTP and by MQTT."""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from gateway.api.models import Ident, Input, Instant, OptionalLine
from gateway.api.problems import faults_of
from gateway.api.scopes import must_reach, speakers_of
from gateway.api.services import Caller
from gateway.broadcast.service import Order
from gateway.domain.broadcast import BroadcastId, ClipId, Priority, Targets
from gateway.domain.city import City
from gateway.domain.devices import CellCode, DeviceId, GroupId, ZoneId
from gateway.errors import InvalidInput


class PriorityName(StrEnum):
    """Who gives way: the earlier in this list, the sooner."""

    SCHEDULE = "schedule"
    NOTICE = "notice"
    ENFORCEMENT = "enforcement"
    TALK = "talk"
    EMERGENCY = "emergency"

    @property
    def rank(self) -> Priority:
        return Priority[self.name]


class TargetsIn(Input):
    """Where it shall be heard: all that is named, together."""

    speakers: list[Ident] = Field(default=[], max_length=1000)
    zones: list[Ident] = Field(default=[], max_length=1000)
    cells: list[Ident] = Field(default=[], max_length=1000)
    groups: list[Ident] = Field(default=[], max_length=1000)

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if not (self.speakers or self.zones or self.cells or self.groups):
            raise ValueError("names no target")
        return self

    def parsed(self) -> Targets:
        return Targets(
            speakers=tuple(map(DeviceId, self.speakers)),
            zones=tuple(map(ZoneId, self.zones)),
            cells=tuple(map(CellCode, self.cells)),
            groups=tuple(map(GroupId, self.groups)),
        )


class BroadcastIn(Input):
    """A sound to be made. Nothing of it begins after `not_after`."""

    clip: str = Field(pattern=r"^[0-9a-f]{64}$", description="A clip's id, from POST /v1/clips.")
    targets: TargetsIn
    priority: PriorityName = PriorityName.NOTICE
    not_after: Instant
    case: OptionalLine = Field(default="", description="The platform's case number.")
    id: Ident | None = Field(default=None, max_length=100, description="Your own id of this command; or send an Idempotency-Key.")


class CommandIn(BroadcastIn):
    """The same as a message: its `id` is not optional, since no header can stand for it."""

    id: Ident = Field(max_length=100)


def read_order(body: Mapping[str, Any], *, caller: Caller, city: City) -> Order:
    """The order in the JSON object of a message that `caller` sent. InvalidInput with every fault, Forbidden."""
    try:
        command = CommandIn.model_validate_json(json.dumps(body))
    except ValidationError as error:
        raise InvalidInput("The command is not right.", faults=list(faults_of(error, CommandIn))) from None
    return order_of(command, caller, city, id_=command.id)


def order_of(body: BroadcastIn, caller: Caller, city: City, *, id_: str) -> Order:
    """The order that `body` is when `caller` gives it. Forbidden (`out-of-scope`) when it reaches further than the caller may."""
    targets = body.targets.parsed()
    must_reach(caller.key, speakers_of(targets, city), city)
    return Order(
        id=BroadcastId(id_),
        clip=ClipId(body.clip),
        targets=targets,
        priority=body.priority.rank,
        not_after=body.not_after,
        actor=caller.actor,
        case=body.case,
        speaker_cap=caller.key.max_speakers if caller.key else None,
    )
