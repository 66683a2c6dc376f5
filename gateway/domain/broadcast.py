"""A broadcast and what becomes of it at each loudspeaker: priorities, the table of states, and who gives way to whom."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import NewType

from gateway.domain.devices import CellCode, DeviceId, GroupId, ZoneId
from gateway.domain.events import Actor
from gateway.errors import Conflict

BroadcastId = NewType("BroadcastId", str)
ClipId = NewType("ClipId", str)
"""The SHA-256 of the clip's bytes, in hexadecimal."""


class Priority(IntEnum):
    """Who gives way: a lower one stops where a higher one begins."""

    SCHEDULE = 0
    NOTICE = 1
    ENFORCEMENT = 2
    TALK = 3
    EMERGENCY = 4


class DeliveryState(StrEnum):
    """Where one broadcast stands at one speaker. PLAYING is durable before the first packet: whoever reads it after a crash knows
    that sound may have come out, and never plays it again."""

    QUEUED = "queued"
    CONNECTING = "connecting"
    PLAYING = "playing"
    DONE = "done"
    FAILED = "failed"
    PREEMPTED = "preempted"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


class Step(StrEnum):
    """What can happen to a delivery."""

    CONNECT = "connect"
    PLAY = "play"
    FINISH = "finish"
    FAIL = "fail"
    PREEMPT = "preempt"
    CANCEL = "cancel"
    EXPIRE = "expire"
    LOSE = "lose"
    """The gateway went away and came back, and does not know."""


# The rules:
#  1. What has ended has ended: no step leads out of a terminal state.
#  2. Nothing begins after `not_after` (see `advance`); what has begun plays to its end, so PLAYING does not expire.
#  3. Before PLAYING nothing was sent, so a restart makes it FAILED; in PLAYING it makes it UNKNOWN. Neither is tried again.
_ANY_TIME = {Step.FAIL: DeliveryState.FAILED, Step.PREEMPT: DeliveryState.PREEMPTED, Step.CANCEL: DeliveryState.CANCELLED}
_BEFORE_SOUND = _ANY_TIME | {Step.EXPIRE: DeliveryState.EXPIRED, Step.LOSE: DeliveryState.FAILED}
TRANSITIONS: Mapping[DeliveryState, Mapping[Step, DeliveryState]] = {
    DeliveryState.QUEUED: _BEFORE_SOUND | {Step.CONNECT: DeliveryState.CONNECTING},
    DeliveryState.CONNECTING: _BEFORE_SOUND | {Step.PLAY: DeliveryState.PLAYING},
    DeliveryState.PLAYING: _ANY_TIME | {Step.FINISH: DeliveryState.DONE, Step.LOSE: DeliveryState.UNKNOWN},
    DeliveryState.DONE: {},
    DeliveryState.FAILED: {},
    DeliveryState.PREEMPTED: {},
    DeliveryState.CANCELLED: {},
    DeliveryState.EXPIRED: {},
    DeliveryState.UNKNOWN: {},
}
OPEN = frozenset(state for state, steps in TRANSITIONS.items() if steps)
_BEGINNING = frozenset({Step.CONNECT, Step.PLAY})


@dataclass(frozen=True, slots=True)
class Targets:
    """Where a broadcast shall be heard: the union of all that is named."""

    speakers: tuple[DeviceId, ...] = ()
    zones: tuple[ZoneId, ...] = ()
    cells: tuple[CellCode, ...] = ()
    groups: tuple[GroupId, ...] = ()


@dataclass(frozen=True, slots=True)
class Clip:
    """A sound that is kept. `name` is what a person called it."""

    id: ClipId
    name: str
    size: int
    duration_ms: int
    created_at: datetime
    created_by: Actor


@dataclass(frozen=True, slots=True)
class Broadcast:
    """One order to make a sound. Nothing of it begins after `not_after`. `case`: the platform's case, if any."""

    id: BroadcastId
    clip: ClipId
    targets: Targets
    priority: Priority
    not_after: datetime
    created_at: datetime
    actor: Actor
    case: str = ""

    def same_order(self, other: "Broadcast") -> bool:
        """Whether `other` is the same command sent again, by whoever it was sent at first."""
        return replace(self, created_at=other.created_at) == other


@dataclass(frozen=True, slots=True)
class Figures:
    """What was sent. Times are ours; `dropped` packets were due while the connection did not drain."""

    encoding: str = ""
    packets: int = 0
    dropped: int = 0
    first_packet_at: datetime | None = None
    last_packet_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One broadcast at one speaker. `reason` is a stable code, "" when all is well; `since`: when it came into its state."""

    broadcast: BroadcastId
    speaker: DeviceId
    state: DeliveryState
    since: datetime
    reason: str = ""
    figures: Figures = field(default_factory=Figures)

    @property
    def open(self) -> bool:
        return self.state in OPEN


def advance(
    delivery: Delivery, step: Step, *, at: datetime, not_after: datetime, reason: str = "", figures: Figures | None = None
) -> Delivery:
    """The delivery after `step`. Raises Conflict (illegal-step) when the table or `not_after` forbids it; nothing is changed then."""
    after = TRANSITIONS[delivery.state].get(step)
    if after is None:
        raise Conflict(f"a delivery that is {delivery.state} cannot {step}", code="illegal-step")
    if step in _BEGINNING and at > not_after:
        raise Conflict("nothing begins after its time", code="illegal-step")
    return replace(delivery, state=after, since=at, reason=reason, figures=figures or delivery.figures)


class Verdict(StrEnum):
    """What a speaker says to one more broadcast."""

    TAKE = "take"
    PREEMPT = "preempt"
    WAIT = "wait"


def arbitrate(wanted: Priority, running: Priority | None) -> Verdict:
    """TAKE a free speaker, PREEMPT what is less important, WAIT for what is as important or more."""
    if running is None:
        return Verdict.TAKE
    return Verdict.PREEMPT if wanted > running else Verdict.WAIT


@dataclass(frozen=True, slots=True)
class Outcome:
    """A broadcast as a whole: how many deliveries are in each state, and whether any is still open."""

    counts: Mapping[DeliveryState, int]
    open: bool


def outcome(deliveries: Iterable[Delivery]) -> Outcome:
    """The sum of `deliveries`; states that do not occur are left out."""
    counts: dict[DeliveryState, int] = {}
    for delivery in deliveries:
        counts[delivery.state] = counts.get(delivery.state, 0) + 1
    return Outcome(counts, any(state in OPEN for state in counts))
