"""Schedules: broadcasts that come again by themselves, on the days and at the hours that somebody has set."""

from datetime import date, timedelta
from typing import Literal

from pydantic import Field

from gateway.api.models import Instant, Line, OptionalLine, Output
from gateway.api.orders import ProgrammeIn, TargetsIn, targets_of
from gateway.api.routes.broadcasts import TargetsOut, told_targets
from gateway.api.routing import Call, Routes
from gateway.api.scopes import must_reach, speakers_within
from gateway.broadcast.routing import placed_in
from gateway.broadcast.schedules import Ahead, Authority, Wish
from gateway.domain.access import Permission
from gateway.domain.broadcast import BroadcastId, ClipContent, Priority, Speech
from gateway.domain.events import Person
from gateway.domain.schedules import Days, Run, RunState, Schedule, ScheduleId, ScheduleState
from gateway.errors import Conflict, Forbidden, InvalidInput, NotFound, Overloaded

routes = Routes("schedules", "Broadcasts that come again by themselves.")

LOOKED_AHEAD = 20
RUNS = 50


class RunOut(Output):
    """What became of one occurrence."""

    due: Instant
    state: RunState
    at: Instant
    broadcast: str | None = Field(description="Its record; null where nothing was ordered.")
    code: str
    detail: str


class ScheduleOut(Output):
    """A schedule."""

    id: str
    name: str
    name_en: str
    state: ScheduleState
    kind: Literal["clip", "speech"]
    clip: str | None
    text: str
    voice: str
    chime: bool
    repeats: int
    pause_s: float
    targets: TargetsOut
    start: Instant
    rrule: str = Field(description='RFC 5545, followed in `timezone` from `start` on; "" for once, at `start`.')
    timezone: str
    days: Days
    within_s: float
    reason: str
    actor: str
    sender: str = Field(description='The name of the person behind `actor` when it was made; "" where nobody was named.')
    approved_by: str | None
    created_at: Instant
    next: Instant | None = Field(description="When it is due next; null while it does not speak.")
    last: RunOut | None = Field(description="What became of its latest occurrence.")


class SchedulesOut(Output):
    """All that are not withdrawn, the oldest first."""

    items: list[ScheduleOut]
    holidays_known_until: date | None = Field(description="The last day that the calendar of holidays knows; null without one.")


class AheadOut(Output):
    """A moment that the schedule's rule names."""

    due: Instant
    kept: bool = Field(description="Whether it is one of the schedule's `days`.")
    holiday: str
    speakers: int = Field(description="How many loudspeakers its places have now; those of a view are chosen when it is said.")
    quiet: int = Field(description="For how many of them it is a quiet hour; they then say nothing.")


class OccurrencesOut(Output):
    """What is to come, and what became of what was due."""

    ahead: list[AheadOut]
    runs: list[RunOut] = Field(description="The latest first.")
    holidays_known_until: date | None


class ScheduleIn(ProgrammeIn):
    """What shall be said, where, and when: once at `start`, or by `rrule` from `start` on, at the time of day of `start` in `timezone`."""

    name: Line = Field(max_length=100, description="Such as 放学提醒.")
    name_en: OptionalLine = Field(default="", max_length=100)
    targets: TargetsIn
    start: Instant | None = Field(default=None, description="Now, when left out.")
    rrule: OptionalLine = Field(default="", description="RFC 5545, such as FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR.")
    timezone: Line = Field(default="Asia/Shanghai", max_length=64)
    days: Days = Field(default=Days.ALL, description="On which of the days that the rule names; `working` and the rest need a calendar.")
    within_s: float = Field(default=30.0, strict=True, gt=0, le=3_600, description="So long after its time it may still begin.")
    reason: OptionalLine = Field(default="", description="Why it is said, for the record.")


_DECIDED = (NotFound, Conflict, Forbidden)


@routes.op("GET", "/v1/schedules", needs=Permission.BROADCAST_READ)
async def list_schedules(call: Call) -> SchedulesOut:
    """All schedules that are not withdrawn, with when they speak next and what became of them last."""
    desk = call.services.schedules
    return SchedulesOut(items=[_shown(call, one) for one in desk.standing], holidays_known_until=desk.holidays.known_until)


@routes.op("GET", "/v1/schedules/{schedule}", needs=Permission.BROADCAST_READ, problems=(NotFound,))
async def read_schedule(call: Call) -> ScheduleOut:
    """One schedule, also one that was withdrawn."""
    return _shown(call, await call.services.schedules.get(_id(call)))


@routes.op("GET", "/v1/schedules/{schedule}/occurrences", needs=Permission.BROADCAST_READ, problems=(NotFound,))
async def list_occurrences(call: Call) -> OccurrencesOut:
    """What is to come, with the days that are left out and the quiet hours that it meets; and what became of what was due."""
    desk = call.services.schedules
    schedule = await desk.get(_id(call))
    return OccurrencesOut(
        ahead=[_ahead(one) for one in desk.ahead(schedule, limit=LOOKED_AHEAD)],
        runs=[_run(one) for one in await desk.runs(schedule.id, limit=RUNS)],
        holidays_known_until=desk.holidays.known_until,
    )


@routes.op(
    "POST",
    "/v1/schedules",
    needs=Permission.BROADCAST_SEND,
    status=201,
    problems=(InvalidInput, NotFound, Forbidden, Overloaded),
    repeatable=True,
)
async def create_schedule(call: Call, body: ScheduleIn) -> ScheduleOut:
    """Have something said again and again. One that reaches further than you may waits for another person's `approve`, once."""
    caller, city = call.caller, call.services.city
    wish = Wish(
        name=body.name,
        programme=body.programme(),
        targets=targets_of(body.targets, caller, city),
        start=body.start,
        timezone=body.timezone,
        within=timedelta(seconds=body.within_s),
        owner=Person(caller.actor, caller.name),
        authority=Authority(caller.key.max_speakers if caller.key else None, speakers_within(caller.key, city)),
        name_en=body.name_en,
        rule=body.rrule.removeprefix("RRULE:").upper(),
        days=body.days,
        reason=body.reason,
    )
    call.services.broadcasts.explain(wish.targets, priority=Priority.SCHEDULE, within=wish.authority.within)
    return _shown(call, await call.services.schedules.create(wish))


@routes.op("POST", "/v1/schedules/{schedule}/approve", needs=Permission.BROADCAST_APPROVE, problems=_DECIDED)
async def approve_schedule(call: Call) -> ScheduleOut:
    """Let a schedule speak that somebody else made and that reaches further than one person may."""
    schedule, by = await _reached(call)
    return _shown(call, await call.services.schedules.approve(schedule, by))


@routes.op("POST", "/v1/schedules/{schedule}/pause", needs=Permission.BROADCAST_SEND, problems=_DECIDED)
async def pause_schedule(call: Call) -> ScheduleOut:
    """Say nothing of it until it is resumed."""
    schedule, by = await _reached(call)
    return _shown(call, await call.services.schedules.pause(schedule, by))


@routes.op("POST", "/v1/schedules/{schedule}/resume", needs=Permission.BROADCAST_SEND, problems=_DECIDED)
async def resume_schedule(call: Call) -> ScheduleOut:
    """Go on from the next occurrence; those that were due meanwhile are not made up for."""
    schedule, by = await _reached(call)
    return _shown(call, await call.services.schedules.resume(schedule, by))


@routes.op("DELETE", "/v1/schedules/{schedule}", needs=Permission.BROADCAST_SEND, problems=_DECIDED)
async def withdraw_schedule(call: Call) -> ScheduleOut:
    """Say it never again. To change a schedule, make another and withdraw this one: what was said stays clear."""
    schedule, by = await _reached(call)
    return _shown(call, await call.services.schedules.withdraw(schedule, by))


async def _reached(call: Call) -> tuple[ScheduleId, Person]:
    """The schedule, when the caller reaches all of its loudspeakers, and who decides."""
    schedule = await call.services.schedules.get(_id(call))
    must_reach(call.caller.key, placed_in(schedule.targets, call.services.city), call.services.city)
    return schedule.id, call.caller.person


def _id(call: Call) -> ScheduleId:
    return ScheduleId(call.path("schedule"))


def _shown(call: Call, schedule: Schedule) -> ScheduleOut:
    content, desk = schedule.programme.content, call.services.schedules
    last = desk.last_of(schedule.id)
    return ScheduleOut(
        id=schedule.id,
        name=schedule.name,
        name_en=schedule.name_en,
        state=schedule.state,
        kind="clip" if isinstance(content, ClipContent) else "speech",
        clip=content.clip if isinstance(content, ClipContent) else None,
        text=content.text if isinstance(content, Speech) else "",
        voice=content.voice if isinstance(content, Speech) else "",
        chime=schedule.programme.chime,
        repeats=schedule.programme.repeats,
        pause_s=schedule.programme.pause_s,
        targets=told_targets(schedule.targets),
        start=schedule.start,
        rrule=schedule.rule,
        timezone=schedule.timezone,
        days=schedule.days,
        within_s=schedule.within.total_seconds(),
        reason=schedule.reason,
        actor=str(schedule.actor),
        sender=schedule.sender,
        approved_by=str(schedule.approved_by) if schedule.approved_by else None,
        created_at=schedule.created_at,
        next=desk.next_of(schedule.id),
        last=None if last is None else _run(last),
    )


def _run(run: Run) -> RunOut:
    ordered: BroadcastId | None = run.broadcast if run.state is RunState.ORDERED else None
    return RunOut(due=run.due, state=run.state, at=run.at, broadcast=ordered, code=run.code, detail=run.detail)


def _ahead(ahead: Ahead) -> AheadOut:
    return AheadOut.model_validate(ahead)
