"""A broadcast and what becomes of it at each loudspeaker: what is said where, priorities, the table of states, and who gives way."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Final, NewType

from gateway.domain.devices import CellCode, DeviceId, GroupId, Position, Ring, ZoneId
from gateway.domain.events import Actor
from gateway.domain.remarks import Remark
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

    AWAITING_APPROVAL = "awaiting-approval"
    QUEUED = "queued"
    CONNECTING = "connecting"
    PLAYING = "playing"
    INTERRUPTED = "interrupted"
    DONE = "done"
    FAILED = "failed"
    PREEMPTED = "preempted"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


class Step(StrEnum):
    """What can happen to a delivery."""

    APPROVE = "approve"
    """A second person lets it be heard."""
    CONNECT = "connect"
    PLAY = "play"
    FINISH = "finish"
    FAIL = "fail"
    INTERRUPT = "interrupt"
    """It gives way for now, and wants to go on."""
    RESUME = "resume"
    """It goes on where it was interrupted."""
    PREEMPT = "preempt"
    CANCEL = "cancel"
    EXPIRE = "expire"
    LOSE = "lose"
    """The gateway went away and came back, and does not know."""


# The rules:
#  1. What has ended has ended: no step leads out of a terminal state.
#  2. Nothing begins after `not_after` (see `advance`), nor begins again; what has begun plays to its end, so PLAYING does not expire.
#  3. Before PLAYING nothing was sent, so a restart makes it FAILED; in PLAYING it makes it UNKNOWN. Neither is tried again.
#  4. What waits for approval becomes QUEUED only by a second person's word, and is EXPIRED when that does not come in time.
#  5. What gives way to something more important is PREEMPTED, or, where that was asked for, INTERRUPTED: it has the speaker no more, and
#     goes on where it was (RESUME is as durable as PLAY) when the speaker is free, until `not_after`. Then it is PREEMPTED; a restart makes
#     it that as well.
_ANY_TIME = {Step.FAIL: DeliveryState.FAILED, Step.PREEMPT: DeliveryState.PREEMPTED, Step.CANCEL: DeliveryState.CANCELLED}
_BEFORE_SOUND = _ANY_TIME | {Step.EXPIRE: DeliveryState.EXPIRED, Step.LOSE: DeliveryState.FAILED}
_GIVING_WAY = {Step.INTERRUPT: DeliveryState.INTERRUPTED}
TRANSITIONS: Mapping[DeliveryState, Mapping[Step, DeliveryState]] = {
    DeliveryState.AWAITING_APPROVAL: {
        Step.APPROVE: DeliveryState.QUEUED,
        Step.FAIL: DeliveryState.FAILED,
        Step.CANCEL: DeliveryState.CANCELLED,
        Step.EXPIRE: DeliveryState.EXPIRED,
        Step.LOSE: DeliveryState.FAILED,
    },
    DeliveryState.QUEUED: _BEFORE_SOUND | {Step.CONNECT: DeliveryState.CONNECTING},
    DeliveryState.CONNECTING: _BEFORE_SOUND | _GIVING_WAY | {Step.PLAY: DeliveryState.PLAYING},
    DeliveryState.PLAYING: _ANY_TIME | _GIVING_WAY | {Step.FINISH: DeliveryState.DONE, Step.LOSE: DeliveryState.UNKNOWN},
    DeliveryState.INTERRUPTED: _ANY_TIME | {Step.RESUME: DeliveryState.PLAYING, Step.LOSE: DeliveryState.PREEMPTED},
    DeliveryState.DONE: {},
    DeliveryState.FAILED: {},
    DeliveryState.PREEMPTED: {},
    DeliveryState.CANCELLED: {},
    DeliveryState.EXPIRED: {},
    DeliveryState.UNKNOWN: {},
}
OPEN = frozenset(state for state, steps in TRANSITIONS.items() if steps)
_BEGINNING = frozenset({Step.APPROVE, Step.CONNECT, Step.PLAY, Step.RESUME})


@dataclass(frozen=True, slots=True)
class Circle:
    """All that is within `radius_m` metres of `centre`."""

    centre: Position
    radius_m: float


@dataclass(frozen=True, slots=True)
class View:
    """What a camera sees, where it looks by one of its presets ("": wherever it may look)."""

    camera: DeviceId
    preset: str = ""


@dataclass(frozen=True, slots=True)
class Targets:
    """Where a broadcast shall be heard: the union of all that is named. `polygon`: one ring, () for none."""

    speakers: tuple[DeviceId, ...] = ()
    zones: tuple[ZoneId, ...] = ()
    cells: tuple[CellCode, ...] = ()
    groups: tuple[GroupId, ...] = ()
    districts: tuple[str, ...] = ()
    polygon: Ring = ()
    circle: Circle | None = None
    views: tuple[View, ...] = ()


@dataclass(frozen=True, slots=True)
class ClipContent:
    """A sound from the clip library."""

    clip: ClipId


@dataclass(frozen=True, slots=True)
class Speech:
    """A text to be spoken. `voice`: one of the engine's, "" for the one that suits the text."""

    text: str
    voice: str = ""


@dataclass(frozen=True, slots=True)
class Talk:
    """A person who speaks live."""


Content = ClipContent | Speech | Talk


@dataclass(frozen=True, slots=True)
class Programme:
    """What is to be heard: a chime, if wanted, then the content as often as `repeats` says, with `pause_s` seconds between."""

    content: Content
    chime: bool = False
    repeats: int = 1
    pause_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Clip:
    """A sound that is kept. `name` is what a person called it, `name_en` the same for English screens, or "".

    `level`: whether it is levelled for horns; its integrated loudness in LUFS (ITU-R BS.1770), as it came and as loudspeakers get it, is
    None where it was not or could not be measured.
    """

    id: ClipId
    name: str
    size: int
    duration_ms: int
    created_at: datetime
    created_by: Actor
    name_en: str = ""
    tags: tuple[str, ...] = ()
    level: bool = False
    lufs_before: float | None = None
    lufs_after: float | None = None


@dataclass(frozen=True, slots=True)
class Broadcast:
    """One order to make a sound. Nothing of it begins after `not_after`. `case`: the platform's case, if any; `reason`: why, in words.

    `resume`: go on after something more important was said, instead of being dropped. `override`: why it may be heard in quiet hours.
    `again`: though the same was said a moment ago. `approved_by`: the second person, where one was needed and has approved.
    `sender`, `approver`: the names of the people behind `actor` and `approved_by` at that time, "" where nobody was named.
    """

    id: BroadcastId
    programme: Programme
    targets: Targets
    priority: Priority
    not_after: datetime
    created_at: datetime
    actor: Actor
    case: str = ""
    reason: str = ""
    resume: bool = False
    override: str = ""
    again: bool = False
    approved_by: Actor | None = None
    sender: str = ""
    approver: str = ""

    def same_order(self, other: "Broadcast") -> bool:
        """Whether `other` is the same command sent again, by whoever it was sent at first."""
        told = replace(self, created_at=other.created_at, approved_by=other.approved_by, sender=other.sender, approver=other.approver)
        return told == other


@dataclass(frozen=True, slots=True)
class Figures:
    """What was sent, and by which path. Times are ours; `dropped` packets were due while the connection did not drain.

    `lost`: packets that the speaker says to have missed (RTCP, RFC 3550, 6.4); None where it says nothing. `paused_s`: for how many of the
    seconds between the first and the last packet it was interrupted.
    """

    encoding: str = ""
    packets: int = 0
    dropped: int = 0
    first_packet_at: datetime | None = None
    last_packet_at: datetime | None = None
    path: str = ""
    lost: int | None = None
    paused_s: float = 0.0

    @property
    def heard_s(self) -> float | None:
        """For how many seconds something was heard; None where nobody knows: nothing was sent, or the device played by itself."""
        if self.first_packet_at is None or self.last_packet_at is None:
            return None
        return (self.last_packet_at - self.first_packet_at) / timedelta(seconds=1) - self.paused_s


def added(before: Figures, after: Figures) -> Figures:
    """The figures of a sound that was interrupted, with those of what came after."""
    if not before.packets and not before.dropped:
        return after
    lost = [figures.lost for figures in (before, after) if figures.lost is not None]
    return replace(
        after,
        encoding=after.encoding or before.encoding,
        packets=before.packets + after.packets,
        dropped=before.dropped + after.dropped,
        first_packet_at=before.first_packet_at or after.first_packet_at,
        last_packet_at=after.last_packet_at or before.last_packet_at,
        path=after.path or before.path,
        lost=sum(lost) if lost else None,
        paused_s=before.paused_s + _between(before.last_packet_at, after.first_packet_at) + after.paused_s,
    )


def _between(last: datetime | None, first: datetime | None) -> float:
    """Seconds from the last packet to the first one after it; a clock that was set back makes none."""
    return max(0.0, (first - last) / timedelta(seconds=1)) if first and last else 0.0


@dataclass(frozen=True, slots=True)
class ClipTimes:
    """Of a clip that a device plays by itself: when it was told to play and to be silent, and when it said that it plays and is silent.

    Times are ours: of the gateway's question, and of the device's answer. None: not asked so that it can have heard, or not answered; a
    clip that ended by itself was not told to be silent. A device gets no packets of it.
    """

    asked_at: datetime | None = None
    confirmed_at: datetime | None = None
    stop_asked_at: datetime | None = None
    silent_at: datetime | None = None

    @property
    def known(self) -> Mapping[str, datetime]:
        """Those that are not None, by name."""
        return {name: at for name in self.__slots__ if (at := getattr(self, name)) is not None}


UNTIMED: Final = ClipTimes()


@dataclass(frozen=True, slots=True)
class Delivery:
    """One broadcast at one speaker. `reason` is a stable code, "" when all is well; `since`: when it came into its state.

    `detail`: what more there is to know of the reason, in words; `remarks`: what is to be known of it beside that; `clip`: as far as the
    store knows, which keeps it apart from the rest.
    """

    broadcast: BroadcastId
    speaker: DeviceId
    state: DeliveryState
    since: datetime
    reason: str = ""
    figures: Figures = field(default_factory=Figures)
    detail: str = ""
    remarks: tuple[Remark, ...] = ()
    clip: ClipTimes = UNTIMED

    @property
    def open(self) -> bool:
        return self.state in OPEN


@dataclass(frozen=True, slots=True)
class OwedStop:
    """A clip that a device plays by itself and has not been silenced for certain: `token` is the device's name for it.

    Times are ours: told to play at `since`, it has ended by itself at `until`, a margin included.
    """

    broadcast: BroadcastId
    speaker: DeviceId
    token: str
    since: datetime
    until: datetime


def advance(
    delivery: Delivery,
    step: Step,
    *,
    at: datetime,
    not_after: datetime,
    reason: str = "",
    detail: str = "",
    figures: Figures | None = None,
) -> Delivery:
    """The delivery after `step`. Raises Conflict (illegal-step) when the table or `not_after` forbids it; nothing is changed then."""
    after = TRANSITIONS[delivery.state].get(step)
    if after is None:
        raise Conflict(f"a delivery that is {delivery.state} cannot {step}", code="illegal-step")
    if step in _BEGINNING and at > not_after:
        raise Conflict("nothing begins after its time", code="illegal-step")
    return replace(delivery, state=after, since=at, reason=reason, detail=detail, figures=figures or delivery.figures)


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
