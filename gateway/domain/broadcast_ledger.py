"""The ledger of broadcasts: what came of one in the street by a person's word, the pictures beside it, and which ones are looked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from gateway.domain.broadcast import BroadcastId, Priority
from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor
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
    """When a picture was taken: before the broadcast was heard, or a while after it had ended."""

    BEFORE = "before"
    AFTER = "after"


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
