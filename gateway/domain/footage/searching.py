"""Looking for past requests, and counting them by unit, kind or month."""

import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor
from gateway.domain.footage.asking import RequesterKind
from gateway.domain.footage.manifest import BEIJING
from gateway.domain.footage.periods import Period
from gateway.domain.footage.workflow import FootageState


@dataclass(frozen=True, slots=True)
class Reach:
    """What somebody sees who does not see all: what `filer` filed, and what is wanted of `cameras` and of no other."""

    filer: Actor
    cameras: frozenset[DeviceId]


@dataclass(frozen=True, slots=True)
class Search:
    """Which requests; what is left as it is matches all. Texts are parts of words, in any case of letters.

    `text`: in requester, unit, numbers, purpose, destination or place; `person`: of requester, second officer, who filed it or who decided;
    `within`: what is wanted of a camera overlaps it; `submitted`: filed in it; `reach`: whose eyes look, None when they see all.
    """

    states: tuple[FootageState, ...] = ()
    case_number: str = ""
    text: str = ""
    unit: str = ""
    person: str = ""
    camera: DeviceId | None = None
    kind: RequesterKind | None = None
    owing: bool = False
    within: Period | None = None
    submitted: Period | None = None
    reach: Reach | None = None


EVERYTHING: Final = Search()
"""Every request."""


class RequestsBy(StrEnum):
    """Into which rows requests are counted. `kind` is the requester's, `month` that of filing in Beijing time."""

    UNIT = "unit"
    KIND = "kind"
    CASE_KIND = "case-kind"
    MONTH = "month"
    STATE = "state"


@dataclass(frozen=True, slots=True)
class Counted:
    """What is counted of one request. `hours`: asked of all its cameras together."""

    unit: str
    kind: RequesterKind
    case_kind: str
    submitted_at: datetime
    told: FootageState
    emergency: bool
    owing: bool
    cameras: int
    hours: float
    ready_at: datetime | None

    def key(self, by: RequestsBy) -> str:
        """The row that it belongs to."""
        match by:
            case RequestsBy.UNIT:
                return self.unit
            case RequestsBy.KIND:
                return self.kind
            case RequestsBy.CASE_KIND:
                return self.case_kind
            case RequestsBy.STATE:
                return self.told
        return self.submitted_at.astimezone(BEIJING).strftime("%Y-%m")


@dataclass(slots=True)
class Figures:
    """One row: how many requests came, what became of them, and how long the median took from filing until it was ready."""

    key: str
    requests: int = 0
    emergencies: int = 0
    owing: int = 0
    cameras: int = 0
    hours: float = 0.0
    outcomes: Counter[FootageState] = field(default_factory=Counter)
    ready_minutes: list[float] = field(default_factory=list)

    @property
    def ready_minutes_median(self) -> float | None:
        return statistics.median(self.ready_minutes) if self.ready_minutes else None


def counted(requests: Iterable[Counted], by: RequestsBy) -> list[Figures]:
    """One row for each key that occurs, the most requests first, months in order."""
    rows: dict[str, Figures] = {}
    for one in requests:
        row = rows.setdefault(key := one.key(by), Figures(key))
        row.requests += 1
        row.emergencies += one.emergency
        row.owing += one.owing
        row.cameras += one.cameras
        row.hours += one.hours
        row.outcomes[one.told] += 1
        if one.ready_at is not None:
            row.ready_minutes.append((one.ready_at - one.submitted_at).total_seconds() / 60)
    if by is RequestsBy.MONTH:
        return sorted(rows.values(), key=lambda row: row.key)
    return sorted(rows.values(), key=lambda row: (-row.requests, row.key))
