"""The command to broadcast, as every door takes it: the same body by HTTP and by MQTT."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from gateway.api.models import Ident, Input, Instant, OptionalLine
from gateway.api.problems import faults_of
from gateway.api.scopes import must_reach, speakers_within
from gateway.api.services import Caller
from gateway.broadcast.orders import Order
from gateway.broadcast.routing import CORNERS, placed_in
from gateway.broadcast.schedules import Authority
from gateway.clock import Clock
from gateway.domain.access import KeyId, Permission
from gateway.domain.broadcast import BroadcastId, Circle, ClipContent, ClipId, Priority, Programme, Speech, Talk, Targets, View
from gateway.domain.city import City
from gateway.domain.devices import CellCode, DeviceId, GroupId, Position, ZoneId
from gateway.domain.events import Actor, ActorKind
from gateway.domain.schedules import OWN_IDS
from gateway.errors import Forbidden, InvalidInput
from gateway.storage.store import Store

TALK_WITHIN = timedelta(seconds=10)
"""Nobody wants to be heard later than that after having pressed the key."""


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


class PointIn(Input):
    """A place in WGS-84, in degrees."""

    latitude: float = Field(strict=True, ge=-90, le=90)
    longitude: float = Field(strict=True, ge=-180, le=180)

    def parsed(self) -> Position:
        return Position(self.latitude, self.longitude)


class CircleIn(Input):
    """All that is within `radius_m` metres of `centre`."""

    centre: PointIn
    radius_m: float = Field(strict=True, gt=0, le=20_000)


class ViewIn(Input):
    """What a camera sees, where it looks by one of its presets, or wherever it may look."""

    camera: Ident
    preset: OptionalLine = ""


class TargetsIn(Input):
    """Where it shall be heard: all that is named, together."""

    speakers: list[Ident] = Field(default=[], max_length=1000)
    zones: list[Ident] = Field(default=[], max_length=1000)
    cells: list[Ident] = Field(default=[], max_length=1000)
    groups: list[Ident] = Field(default=[], max_length=1000)
    districts: list[Ident] = Field(default=[], max_length=100)
    polygon: list[PointIn] = Field(
        default=[], max_length=CORNERS, description="One ring: the corners in order, the last joined to the first."
    )
    circle: CircleIn | None = None
    views: list[ViewIn] = Field(default=[], max_length=50)

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if not any(getattr(self, name) for name in type(self).model_fields):
            raise ValueError("names no target")
        return self

    def parsed(self) -> Targets:
        return Targets(
            speakers=tuple(map(DeviceId, self.speakers)),
            zones=tuple(map(ZoneId, self.zones)),
            cells=tuple(map(CellCode, self.cells)),
            groups=tuple(map(GroupId, self.groups)),
            districts=tuple(self.districts),
            polygon=tuple(corner.parsed() for corner in self.polygon),
            circle=Circle(self.circle.centre.parsed(), self.circle.radius_m) if self.circle else None,
            views=tuple(View(DeviceId(view.camera), view.preset) for view in self.views),
        )


class ProgrammeIn(Input):
    """What shall be heard: a clip, or a text to be spoken."""

    clip: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$", description="A clip's id, from POST /v1/clips.")
    text: str = Field(default="", max_length=2000, description="What shall be said, instead of a clip.")
    voice: OptionalLine = Field(default="", description="A voice for the text; without it, the one that suits its script.")
    chime: bool = Field(default=False, description="Whether a chime is heard before.")
    repeats: int = Field(default=1, strict=True, ge=1, le=100, description="How often it is heard.")
    pause_s: float = Field(default=1.0, strict=True, ge=0, le=600, description="Seconds between two times.")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if (self.clip is None) == (not self.text):
            raise ValueError("names neither a clip nor a text, or both")
        return self

    def programme(self) -> Programme:
        content = ClipContent(ClipId(self.clip)) if self.clip is not None else Speech(self.text, self.voice)
        return Programme(content, chime=self.chime, repeats=self.repeats, pause_s=self.pause_s)


def _of_a_sender(id_: str) -> str:
    if id_.startswith(OWN_IDS):
        raise ValueError(f"begins with {OWN_IDS}, as only the gateway's own broadcasts do")
    return id_


OrderId = Annotated[Ident, Field(max_length=100), AfterValidator(_of_a_sender)]
"""What a sender calls a command: not as the gateway calls those that its schedules become."""


class BroadcastIn(ProgrammeIn):
    """A sound to be made: a clip, or a text to be spoken. Nothing of it begins after `not_after`."""

    targets: TargetsIn
    priority: PriorityName = PriorityName.NOTICE
    not_after: Instant
    case: OptionalLine = Field(default="", description="The platform's case number.")
    reason: OptionalLine = Field(default="", description="Why it is said, for the record.")
    resume: bool = Field(default=False, description="Whether it goes on after something more important was said, instead of being dropped.")
    override: OptionalLine = Field(default="", description="The reason to be heard in quiet hours, from who may; on record.")
    again: bool = Field(default=False, description="Say it though the same was said there a moment ago.")
    issued_at: Instant | None = Field(
        default=None, description="When it was ordered. What was ordered before everything was silenced is refused, even after a restart."
    )
    id: OrderId | None = Field(
        default=None, description=f"Your own id of this command, not beginning with `{OWN_IDS}`; or send an Idempotency-Key."
    )


class Codec(StrEnum):
    """How the frames of a talk are encoded."""

    PCM = "pcm"
    OPUS = "opus"


class TalkIn(Input):
    """The first message of a talk: who shall hear it, and why. Then come frames of 20 ms: 16 kHz, mono, signed 16 bit, little endian;
    or with the codec `opus`, Opus packets (RFC 6716), mono or stereo, of any rate, 20 ms as a rule; an empty one for one that was lost.

    Without `not_after` it must be heard within 10 seconds; without `id`, it gets one.
    """

    targets: TargetsIn
    priority: PriorityName = PriorityName.TALK
    not_after: Instant | None = None
    case: OptionalLine = Field(default="", description="The platform's case number.")
    reason: OptionalLine = Field(default="", description="Why somebody speaks, for the record.")
    override: OptionalLine = Field(default="", description="The reason to be heard in quiet hours, from who may; on record.")
    id: OrderId | None = None
    codec: Codec = Codec.PCM


class CommandIn(BroadcastIn):
    """The same as a message: its `id` is not optional, since no header can stand for it."""

    id: OrderId


def read_order(body: Mapping[str, Any], *, caller: Caller, city: City) -> Order:
    """The order in the JSON object of a message that `caller` sent. InvalidInput with every fault, Forbidden."""
    try:
        command = CommandIn.model_validate_json(json.dumps(body))
    except ValidationError as error:
        raise InvalidInput("The command is not right.", faults=list(faults_of(error, CommandIn))) from None
    return order_of(command, caller, city, id_=command.id)


def order_of(body: BroadcastIn, caller: Caller, city: City, *, id_: str) -> Order:
    """The order that `body` is when `caller` gives it. Forbidden: it reaches further than the caller may (`out-of-scope`), or is an
    emergency, which needs a right of its own (`emergency-not-allowed`)."""
    targets = targets_of(body.targets, caller, city)
    return Order(
        id=BroadcastId(id_),
        programme=body.programme(),
        targets=targets,
        priority=_rank(body.priority, caller),
        not_after=body.not_after,
        actor=caller.actor,
        case=body.case,
        reason=body.reason,
        resume=body.resume,
        override=body.override,
        again=body.again,
        issued_at=body.issued_at,
        sender=caller.name,
        may_override=caller.may(Permission.BROADCAST_OVERRIDE),
        speaker_cap=caller.key.max_speakers if caller.key else None,
        within=speakers_within(caller.key, city) if targets.views else None,
    )


def must_command(caller: Caller, priority: Priority) -> None:
    """Raise Forbidden (`emergency-not-allowed`) when `caller` may neither order nor silence what has this priority."""
    if priority is Priority.EMERGENCY and not caller.may(Permission.BROADCAST_EMERGENCY):
        raise Forbidden(
            "This key may neither order nor silence emergencies.",
            code="emergency-not-allowed",
            hint="Ask for a key that may (broadcast:emergency); order it with another priority, or stop everything.",
        )


def _rank(priority: PriorityName, caller: Caller) -> Priority:
    must_command(caller, priority.rank)
    return priority.rank


async def authority_of(store: Store, city: City, clock: Clock, actor: Actor) -> Authority | None:
    """What `actor` may order now by its key; None when it may send nothing any more. Who has no key speaks for the gateway itself."""
    if actor.kind is not ActorKind.API_KEY:
        return Authority()
    async with store.read() as tx:
        key = await tx.keys.find(KeyId(actor.id))
    if key is None or not key.valid_at(clock.now()) or not key.may(Permission.BROADCAST_SEND):
        return None
    return Authority(key.max_speakers, speakers_within(key, city))


def targets_of(wanted: TargetsIn, caller: Caller, city: City) -> Targets:
    """The targets when `caller` names them. Forbidden (`out-of-scope`) when a loudspeaker hangs there that the caller does not reach."""
    targets = wanted.parsed()
    must_reach(caller.key, placed_in(targets, city), city)
    return targets


def read_talk(text: str, *, caller: Caller, city: City, now: datetime, new_id: Callable[[], str]) -> tuple[Order, Codec]:
    """The order in the first message of a talk, and how the voice will come. InvalidInput with every fault, Forbidden."""
    try:
        body = TalkIn.model_validate_json(text)
    except ValidationError as error:
        raise InvalidInput("The order is not right.", faults=list(faults_of(error, TalkIn))) from None
    targets = targets_of(body.targets, caller, city)
    order = Order(
        id=BroadcastId(body.id or new_id()),
        programme=Programme(Talk()),
        targets=targets,
        priority=_rank(body.priority, caller),
        not_after=body.not_after or now + TALK_WITHIN,
        actor=caller.actor,
        case=body.case,
        reason=body.reason,
        override=body.override,
        issued_at=now,  # a talk is never older than its connection
        sender=caller.name,
        may_override=caller.may(Permission.BROADCAST_OVERRIDE),
        speaker_cap=caller.key.max_speakers if caller.key else None,
        within=speakers_within(caller.key, city) if targets.views else None,
    )
    return order, body.codec
