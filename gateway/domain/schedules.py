"""Broadcasts that come again by themselves: when each occurrence is, which days are left out, and what became of those that were due."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import NewType
from zoneinfo import ZoneInfo

from gateway.domain.broadcast import BroadcastId, Priority, Programme, Targets
from gateway.domain.events import Actor
from gateway.domain.timetable import moments

ScheduleId = NewType("ScheduleId", str)

OWN_IDS = "S-"
"""What the ids of all schedules begin with, and those of the broadcasts that they become: no sender may take such an id."""
_SATURDAY = 5
_LOOKED_AHEAD = timedelta(days=370 * 4)


class Days(StrEnum):
    """On which of the days that its rule names a schedule speaks."""

    ALL = "all"
    WORKING = "working"
    """Monday to Friday but for holidays, and the weekend days that are worked instead (调休)."""
    FREE = "free"
    """All others."""
    HOLIDAYS = "holidays"
    """Only those of the calendar."""
    NOT_HOLIDAYS = "not-holidays"


@dataclass(frozen=True, slots=True)
class Holidays:
    """A calendar of days off, each with its name, and of weekend days that are worked instead. It knows nothing beyond `known_until`."""

    off: Mapping[date, str] = field(default_factory=dict)
    worked: frozenset[date] = frozenset()

    @property
    def known_until(self) -> date | None:
        """The last day of the last year that it has a holiday in; None of an empty calendar."""
        return date(max(self.off).year, 12, 31) if self.off else None

    def works(self, day: date) -> bool:
        """Whether `day` is a working day."""
        return day in self.worked or (day.weekday() < _SATURDAY and day not in self.off)

    def suits(self, day: date, days: Days) -> bool:
        """Whether a schedule of these `days` speaks on `day`."""
        match days:
            case Days.ALL:
                return True
            case Days.WORKING:
                return self.works(day)
            case Days.FREE:
                return not self.works(day)
            case Days.HOLIDAYS:
                return day in self.off
            case Days.NOT_HOLIDAYS:
                return day not in self.off


NO_HOLIDAYS = Holidays()


class ScheduleState(StrEnum):
    """Whether a schedule speaks."""

    AWAITING_APPROVAL = "awaiting-approval"
    """It reaches further than its owner may alone: a second person decides once, for all of its occurrences."""
    ACTIVE = "active"
    PAUSED = "paused"
    WITHDRAWN = "withdrawn"
    """For good; kept for the record."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is said again and again, where and when. It is never edited: another one takes its place, so that what was said stays clear.

    `rule`: an RRULE followed from `start` on in `timezone`, "" for once, at `start`; `within`: so long after its time an occurrence may
    still begin. `sender`: the name of the person behind `actor`. `done_until`: every occurrence up to then, itself included, was seen to.
    """

    id: ScheduleId
    name: str
    programme: Programme
    targets: Targets
    start: datetime
    timezone: str
    within: timedelta
    actor: Actor
    created_at: datetime
    done_until: datetime
    name_en: str = ""
    rule: str = ""
    days: Days = Days.ALL
    reason: str = ""
    sender: str = ""
    state: ScheduleState = ScheduleState.ACTIVE
    approved_by: Actor | None = None

    @property
    def priority(self) -> Priority:
        """Whatever else is said goes first."""
        return Priority.SCHEDULE


class RunState(StrEnum):
    """What became of an occurrence."""

    ORDERED = "ordered"
    """It became a broadcast: its record tells the rest."""
    REFUSED = "refused"
    """The rules of speaking, the speakers or the owner's rights did not allow it."""
    MISSED = "missed"
    """The gateway was not there within its time. It is not said later."""


@dataclass(frozen=True, slots=True)
class Run:
    """One occurrence that was due. `code` and `detail` say why it was refused."""

    schedule: ScheduleId
    due: datetime
    state: RunState
    at: datetime
    code: str = ""
    detail: str = ""

    @property
    def broadcast(self) -> BroadcastId:
        return broadcast_id(self.schedule, self.due)


def broadcast_id(schedule: ScheduleId, due: datetime) -> BroadcastId:
    """The broadcast that an occurrence becomes: the same however often it is ordered, so that it is heard once at the most."""
    return BroadcastId(f"{schedule}-{due.astimezone(UTC):%Y%m%dT%H%M%SZ}")


def occurrences(schedule: Schedule, holidays: Holidays, after: datetime, until: datetime) -> Iterator[datetime]:
    """When it is due after `after`, up to `until`, itself included: in order, the days that it leaves out left out."""
    return (moment for moment, kept in named(schedule, holidays, after, until) if kept)


def named(schedule: Schedule, holidays: Holidays, after: datetime, until: datetime) -> Iterator[tuple[datetime, bool]]:
    """The moments that the rule names after `after`, up to `until`, and whether each falls on one of the schedule's days."""
    zone = ZoneInfo(schedule.timezone)
    if not schedule.rule:
        found: Iterator[datetime] = iter((schedule.start,))
    else:
        found = moments(schedule.rule, schedule.start, schedule.timezone, until + timedelta(microseconds=1))
    for moment in found:
        if after < moment <= until:
            yield moment, holidays.suits(moment.astimezone(zone).date(), schedule.days)


def next_occurrence(schedule: Schedule, holidays: Holidays, after: datetime) -> datetime | None:
    """The first one after `after`, within four years."""
    return next(occurrences(schedule, holidays, after, after + _LOOKED_AHEAD), None)
