"""A command to broadcast, and the bounds of what may be ordered."""

from dataclasses import dataclass
from datetime import datetime

from gateway.broadcast.rulebook import FREE, Restraint
from gateway.domain.broadcast import Broadcast, BroadcastId, Priority, Programme, Targets
from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor
from gateway.errors import Fault, InvalidInput


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be ordered. `max_speakers`: for whoever has no cap of their own; `max_speakers_approved`: with a second person's approval;
    `not_after_max_s`: how far ahead a deadline may lie, `approval_max_s`: that of what needs approval; `restraint`: the rules of speaking.
    """

    max_speakers: int = 20
    max_speakers_approved: int = 0
    not_after_max_s: float = 60.0
    approval_max_s: float = 300.0
    restraint: Restraint = FREE


USUAL_RULES = Rules()


@dataclass(frozen=True, slots=True)
class Order:
    """A command to broadcast. `id` is the sender's: the same order sent again is answered, not repeated. The rest as in `Broadcast`.

    `issued_at`: when it was given, None where nobody says; `sender`: the name of the person who gives it; `may_override`: whether the
    sender may speak in quiet hours for a reason; `speaker_cap`: how many speakers the sender may reach, when the sender has a cap of its
    own; `within`: which of those that are bound to a view, when not all; `seconded`: whether a second person has agreed to it beforehand.
    """

    id: BroadcastId
    programme: Programme
    targets: Targets
    priority: Priority
    not_after: datetime
    actor: Actor
    case: str = ""
    reason: str = ""
    resume: bool = False
    override: str = ""
    again: bool = False
    issued_at: datetime | None = None
    sender: str = ""
    may_override: bool = False
    speaker_cap: int | None = None
    within: frozenset[DeviceId] | None = None
    seconded: bool = False


def broadcast_of(order: Order, now: datetime) -> Broadcast:
    """The broadcast that `order` asks for at `now`. InvalidInput with every fault."""
    faults = [
        *([Fault("/id", "must be 1 to 100 printable characters")] if not 1 <= len(order.id) <= 100 or not order.id.isprintable() else []),
        *(
            [Fault("/case", "must be at most 200 printable characters", "words", {"most": 200})]
            if len(order.case) > 200 or not order.case.isprintable()
            else []
        ),
        *([Fault("/not_after", "must have an offset from UTC")] if order.not_after.tzinfo is None else []),
    ]
    if faults:
        raise InvalidInput("this broadcast cannot be taken", faults=faults)
    return Broadcast(
        id=order.id,
        programme=order.programme,
        targets=order.targets,
        priority=order.priority,
        not_after=order.not_after,
        created_at=now,
        actor=order.actor,
        case=order.case,
        reason=order.reason,
        resume=order.resume,
        override=order.override,
        again=order.again,
        sender=order.sender,
    )
