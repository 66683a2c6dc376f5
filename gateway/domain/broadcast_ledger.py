"""The ledger of broadcasts: what came of one in the street by a person's word, the recording and the pictures beside it, and which ones
are looked for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from gateway.domain.broadcast import BroadcastId, Delivery, DeliveryState, Priority
from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor
from gateway.domain.speaking import SpeakerPath
from gateway.domain.words import Word


class StreetOutcome(StrEnum):
    """What came of a broadcast in the street."""

    LEFT = "left"
    """Whoever was meant has gone."""
    PASSED_ON = "passed-on"
    """They stayed, and it was passed on."""
    NOBODY = "nobody"
    """Nobody was there."""
    OTHER = "other"


class Moment(StrEnum):
    """When a picture came: before the broadcast was heard, or a while after it had ended."""

    BEFORE = "before"
    DURING = "during"
    """It was to be one of before, and the voice had begun when it came: nobody can say what of it was before."""
    AFTER = "after"


class RecordingState(StrEnum):
    """What became of the recording of a broadcast."""

    NOT_ASKED = "not-asked"
    """Nobody speaks live in it, or talks were not to be recorded."""
    UNDER_WAY = "under-way"
    KEPT = "kept"
    EMPTY = "empty"
    """Not a word of the talk was sent to any loudspeaker."""
    FAILED = "failed"
    UNKNOWN = "unknown"
    """A talk of the time before this was put down."""


class SaidAs(StrEnum):
    """What kind of content a broadcast has."""

    CLIP = "clip"
    SPEECH = "speech"
    TALK = "talk"


STREET_OUTCOMES: Final[Mapping[StreetOutcome, Word]] = {
    StreetOutcome.LEFT: Word("已劝离", "left"),
    StreetOutcome.PASSED_ON: Word("上报", "passed on"),
    StreetOutcome.NOBODY: Word("无人", "nobody there"),
    StreetOutcome.OTHER: Word("其他", "other"),
}


DELIVERY_STATES: Final[Mapping[DeliveryState, Word]] = {
    DeliveryState.AWAITING_APPROVAL: Word("等待第二人批准", "waits for a second person"),
    DeliveryState.QUEUED: Word("排队", "queued"),
    DeliveryState.CONNECTING: Word("正在接通", "connecting"),
    DeliveryState.PLAYING: Word("播出中", "on air"),
    DeliveryState.INTERRUPTED: Word("暂时让位", "interrupted"),
    DeliveryState.DONE: Word("已播出", "done"),
    DeliveryState.FAILED: Word("失败", "failed"),
    DeliveryState.PREEMPTED: Word("被更重要的广播取代", "gave way"),
    DeliveryState.CANCELLED: Word("已取消", "cancelled"),
    DeliveryState.EXPIRED: Word("已过期", "expired"),
    DeliveryState.UNKNOWN: Word("结果未知", "not known"),
}
PRIORITIES: Final[Mapping[Priority, Word]] = {
    Priority.EMERGENCY: Word("紧急", "emergency"),
    Priority.TALK: Word("喊话", "talk"),
    Priority.ENFORCEMENT: Word("执法", "enforcement"),
    Priority.NOTICE: Word("通知", "notice"),
    Priority.SCHEDULE: Word("定时", "schedule"),
}
PATHS: Final[Mapping[str, Word]] = {
    SpeakerPath.AUDIO_CLIP: Word("设备自播音频", "a clip that the device plays"),
    SpeakerPath.BACKCHANNEL: Word("RTSP 音频回传", "RTSP backchannel"),
    SpeakerPath.SIP: Word("SIP 呼叫", "SIP call"),
    SpeakerPath.MULTICAST: Word("RTP 组播", "RTP multicast"),
}
"""How sound is brought to a loudspeaker."""
RECORDING_STATES: Final[Mapping[RecordingState, Word]] = {
    RecordingState.NOT_ASKED: Word("未要求录音", "not asked for"),
    RecordingState.UNDER_WAY: Word("录音中", "under way"),
    RecordingState.KEPT: Word("已存录音", "kept"),
    RecordingState.EMPTY: Word("无内容可录", "nothing was sent"),
    RecordingState.FAILED: Word("录音失败", "failed"),
    RecordingState.UNKNOWN: Word("不详", "not known"),
}
RECORDING_LOST: Final = "recording-lost"
"""Why one FAILED whose gateway ended in the midst of the talk."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What became of the recording of one broadcast. KEPT has a file, named by its SHA-256 (hexadecimal), of `size` bytes; FAILED a reason.

    `began_at`: when the first of it was sent, None where nothing was, or nobody knows; `duration_ms`: how long it is, also when it could
    not be kept; `settled_at`: when it became so; `gone`: its time, `keep_until`, is over, and the file was dropped.
    """

    broadcast: BroadcastId
    state: RecordingState
    reason: str = ""
    sha256: str = ""
    size: int = 0
    duration_ms: int = 0
    began_at: datetime | None = None
    settled_at: datetime | None = None
    keep_until: datetime | None = None
    gone: bool = False


@dataclass(frozen=True, slots=True)
class OutcomeEntry:
    """A person's word on what came of a broadcast. The latest, which has the highest `number` (from 1), is the one that counts."""

    broadcast: BroadcastId
    number: int
    outcome: StreetOutcome
    note: str
    at: datetime
    actor: Actor
    name: str

    def says_the_same(self, outcome: StreetOutcome, note: str, actor: Actor) -> bool:
        """Whether `actor` has said just that already."""
        return (self.outcome, self.note, self.actor) == (outcome, note, actor)


@dataclass(frozen=True, slots=True)
class StreetPicture:
    """What a camera saw; the file is named by its SHA-256 (hexadecimal). `gone`: its time is over and the file was dropped."""

    broadcast: BroadcastId
    camera: DeviceId
    moment: Moment
    sha256: str
    media_type: str
    size: int
    at: datetime
    keep_until: datetime
    gone: bool = False


@dataclass(frozen=True, slots=True)
class MissingPicture:
    """Why there is no picture of that moment, BEFORE or AFTER; `at`: when that was known, `detail`: what more there is to know."""

    broadcast: BroadcastId
    camera: DeviceId
    moment: Moment
    reason: str
    at: datetime
    detail: str = ""


def first_packet(deliveries: Iterable[Delivery]) -> datetime | None:
    """When the first packet of a broadcast left for any loudspeaker."""
    return min((one.figures.first_packet_at for one in deliveries if one.figures.first_packet_at), default=None)


def of_before(came_at: datetime, deliveries: Iterable[Delivery]) -> Moment:
    """BEFORE for a picture that came at that time before any voice had begun, else DURING, by how the deliveries stood afterwards."""
    began = [at for one in deliveries if (at := _began(one)) is not None]
    return Moment.DURING if began and came_at >= min(began) else Moment.BEFORE


_MAY_HAVE_SOUNDED: Final = frozenset({DeliveryState.DONE, DeliveryState.UNKNOWN, DeliveryState.INTERRUPTED})
_AT_ANY_TIME: Final = datetime.min.replace(tzinfo=UTC)


def _began(one: Delivery) -> datetime | None:
    """From when on it may have been heard: its first packet, or the moment in which the device was told to play it by itself, else the word
    to begin, which is on record before that. Once it has ended that word is gone.
    """
    if begun := [at for at in (one.figures.first_packet_at, one.clip.asked_at) if at is not None]:
        return min(begun)
    if one.state is DeliveryState.PLAYING:
        return one.since
    by_itself = one.figures.path == SpeakerPath.AUDIO_CLIP and not one.open
    return _AT_ANY_TIME if by_itself or one.state in _MAY_HAVE_SOUNDED else None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which broadcasts: those that fit everything that is given. From `start` until before `end`; `speakers`: at one of these;
    `cameras`: to what one of these sees; both: either will do. `outcome`: "" for those of which nothing is known yet.
    """

    start: datetime | None = None
    end: datetime | None = None
    speakers: frozenset[DeviceId] | None = None
    cameras: frozenset[DeviceId] | None = None
    actor: Actor | None = None
    kind: SaidAs | None = None
    priority: Priority | None = None
    outcome: StreetOutcome | str | None = None
    case: str | None = None


EVERYTHING: Final = Wanted()
