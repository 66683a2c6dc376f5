"""Broadcasts by the number: how many were ordered, heard and not heard, why not, and what came of them, by day, place or person."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum

from gateway.domain.broadcast import DeliveryState


class CountedBy(StrEnum):
    """What each row stands for."""

    DAY = "day"
    MONTH = "month"
    SPEAKER = "speaker"
    CELL = "cell"
    DISTRICT = "district"
    OPERATOR = "operator"
    PRIORITY = "priority"


LONGEST: Mapping[CountedBy, timedelta] = {by: timedelta(days=100) if by is CountedBy.DAY else timedelta(days=732) for by in CountedBy}
"""Over how long it may be asked."""


@dataclass(frozen=True, slots=True)
class DeliveryCount:
    """So many deliveries of one row of the statistics ended like this, and were heard for so many seconds together."""

    key: str
    state: DeliveryState
    reason: str
    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class OutcomeCount:
    """Of so many broadcasts of one row this came; "" where nobody has said."""

    key: str
    outcome: str
    count: int


@dataclass(slots=True)
class Tally:
    """One row. `name`: what people call it, "" where it has no other name; `broadcasts`: those that were ordered; `deliveries`: one a
    loudspeaker; `heard`: of those, the ones that were done.

    `reasons`: why the others were not, `outcomes`: what came of the broadcasts, "" where nobody has said; `seconds`: how long something
    was heard, all loudspeakers together. A broadcast at loudspeakers of two places counts once for each.
    """

    key: str
    name: str = ""
    broadcasts: int = 0
    deliveries: int = 0
    heard: int = 0
    seconds: float = 0.0
    states: dict[DeliveryState, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)


def tallied(keys: Iterable[str], deliveries: Iterable[DeliveryCount], outcomes: Iterable[OutcomeCount]) -> list[Tally]:
    """A row for each of `keys`, in their order, then for those that come besides, in the order of their names."""
    found = {key: Tally(key) for key in keys}
    named = len(found)
    for one in deliveries:
        row = found.setdefault(one.key, Tally(one.key))
        row.deliveries += one.count
        row.seconds += one.seconds
        row.states[one.state] = row.states.get(one.state, 0) + one.count
        if one.state is DeliveryState.DONE:
            row.heard += one.count
        elif one.reason:
            row.reasons[one.reason] = row.reasons.get(one.reason, 0) + one.count
    for said in outcomes:
        row = found.setdefault(said.key, Tally(said.key))
        row.broadcasts += said.count
        row.outcomes[said.outcome] = row.outcomes.get(said.outcome, 0) + said.count
    rows = list(found.values())
    return [*rows[:named], *sorted(rows[named:], key=lambda row: row.key)]


def periods(by: CountedBy, start: datetime, end: datetime, zone: tzinfo) -> Iterator[tuple[str, datetime, datetime]]:
    """The days (2026-03-01) or months (2026-03) of the wall clock in `zone` from `start` until before `end`, each clipped to them."""
    day = start.astimezone(zone).date()
    if by is CountedBy.MONTH:
        day = day.replace(day=1)
    while (begin := _midnight(day, zone)) < end:
        following = (day.replace(day=1) + timedelta(days=32)).replace(day=1) if by is CountedBy.MONTH else day + timedelta(days=1)
        yield f"{day:%Y-%m}" if by is CountedBy.MONTH else day.isoformat(), max(begin, start), min(_midnight(following, zone), end)
        day = following


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)  # two times of one zone would be subtracted as wall clocks
