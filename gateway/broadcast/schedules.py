"""Schedules of broadcasts: kept, decided on, and each occurrence ordered once when it is due, whatever crashes or clocks do between."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol
from zoneinfo import ZoneInfo

import structlog

from gateway.broadcast.orders import Order, broadcast_of
from gateway.broadcast.routing import placed_in
from gateway.broadcast.views import View
from gateway.clock import Clock
from gateway.domain.broadcast import Programme, Talk, Targets
from gateway.domain.broadcast_rules import SpeakingHours, check_second_person
from gateway.domain.city import City
from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor, AuditEntry, NewEvent, Person
from gateway.domain.schedules import (
    Days,
    Holidays,
    Run,
    RunState,
    Schedule,
    ScheduleId,
    ScheduleState,
    broadcast_id,
    named,
    next_occurrence,
    occurrences,
)
from gateway.domain.timetable import FARTHEST, rule_faults
from gateway.errors import Conflict, Fault, GatewayError, InvalidInput, Overloaded
from gateway.media.clips import PreparedClip
from gateway.storage.store import Store, Tx
from gateway.storage.writer import Lane

CHANGED_EVENT: Final = "schedule.changed"
RAN_EVENT: Final = "schedule.ran"
MOST: Final = 1_000
"""Schedules that stand at once."""
_LOOK_S: Final = 1.0
_AGAIN_S: Final = 5.0
_MISSED_TOLD: Final = 100  # of one schedule, after a long time away
_SET_BACK: Final = timedelta(hours=1)  # a clock that goes back by more was wrong before
_PASSING: Final = frozenset({"cooling-down", "too-many-broadcasts"})
_STANDING: Final = frozenset({ScheduleState.AWAITING_APPROVAL, ScheduleState.ACTIVE, ScheduleState.PAUSED})
_DETAIL: Final = 1_000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Authority:
    """What the owner of a schedule may order now; the fields as in `Order`."""

    speaker_cap: int | None = None
    within: frozenset[DeviceId] | None = None


@dataclass(frozen=True, slots=True)
class ScheduleRules:
    """`within_max`: of how long an occurrence may be late; `longest`: of a programme; `caps`: how many speakers one person reaches, and
    with another's approval."""

    within_max: timedelta = timedelta(seconds=60)
    longest: timedelta = timedelta(minutes=3)
    cap: int = 20
    cap_approved: int = 200


@dataclass(frozen=True, slots=True)
class Wish:
    """A schedule that somebody wants; the fields as in `Schedule`. `start`: None for now."""

    name: str
    programme: Programme
    targets: Targets
    start: datetime | None
    timezone: str
    within: timedelta
    owner: Person
    authority: Authority = Authority()
    name_en: str = ""
    rule: str = ""
    days: Days = Days.ALL
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Ahead:
    """A moment that a schedule's rule names. `kept`: whether it is one of its days; `quiet`: of how many of its `speakers` it is a quiet
    hour, which then say nothing."""

    due: datetime
    kept: bool
    holiday: str
    speakers: int
    quiet: int


class Speaking(Protocol):
    """What takes orders."""

    async def submit(self, order: Order) -> View: ...


class Sounds(Protocol):
    async def prepared(self, programme: Programme) -> PreparedClip: ...


class ScheduleDesk:
    """All schedules. `authority_of` says what an owner may order now, None when nothing any more."""

    def __init__(
        self,
        *,
        store: Store,
        city: City,
        clock: Clock,
        broadcasts: Speaking,
        sounds: Sounds,
        hours: Callable[[], SpeakingHours],
        holidays: Holidays,
        authority_of: Callable[[Actor], Awaitable[Authority | None]],
        new_id: Callable[[], ScheduleId],
        rules: ScheduleRules = ScheduleRules(),
    ) -> None:
        self.holidays = holidays
        self._store = store
        self._city = city
        self._clock = clock
        self._broadcasts = broadcasts
        self._sounds = sounds
        self._hours = hours
        self._authority_of = authority_of
        self._new_id = new_id
        self._rules = rules
        self._schedules: dict[ScheduleId, Schedule] = {}
        self._next: dict[ScheduleId, datetime | None] = {}
        self._last: dict[ScheduleId, Run] = {}
        self._not_before: dict[ScheduleId, float] = {}
        self._busy: set[ScheduleId] = set()
        self._changing = asyncio.Lock()

    # -- looking ------------------------------------------------------------------------------------------------------

    @property
    def standing(self) -> Sequence[Schedule]:
        """Those that are not withdrawn, the oldest first."""
        return list(self._schedules.values())

    async def get(self, schedule: ScheduleId) -> Schedule:
        """Also one that was withdrawn. Raises NotFound (`no-schedule`)."""
        if (found := self._schedules.get(schedule)) is not None:
            return found
        async with self._store.read() as tx:
            return await tx.schedules.get(schedule)

    def next_of(self, schedule: ScheduleId) -> datetime | None:
        """When it is due next; None while it does not speak."""
        return self._next.get(schedule)

    def last_of(self, schedule: ScheduleId) -> Run | None:
        """What became of its latest occurrence."""
        return self._last.get(schedule)

    async def runs(self, schedule: ScheduleId, *, limit: int) -> Sequence[Run]:
        """What became of its occurrences, the latest first."""
        async with self._store.read() as tx:
            return await tx.schedules.runs(schedule, limit=limit)

    def ahead(self, schedule: Schedule, *, limit: int) -> Sequence[Ahead]:
        """The next moments that its rule names, up to `limit`, with the days that it leaves out and the quiet hours that it meets."""
        now = self._clock.now()
        found = named(schedule, self.holidays, max(now, schedule.done_until), now + FARTHEST)
        return [self._look(schedule, due, kept=kept) for (due, kept), _ in zip(found, range(limit), strict=False)]

    def _look(self, schedule: Schedule, due: datetime, *, kept: bool) -> Ahead:
        day = due.astimezone(ZoneInfo(schedule.timezone)).date()
        speakers = set(placed_in(schedule.targets, self._city))
        zones = self._city.zones.values()
        quiet = sum(
            1
            for speaker in speakers
            if self._hours().quiet_within([zone.id for zone in zones if speaker in zone.speakers], due, due) is not None
        )
        return Ahead(due, kept, self.holidays.off.get(day, ""), len(speakers), quiet)

    # -- deciding -----------------------------------------------------------------------------------------------------

    async def create(self, wish: Wish) -> Schedule:
        """Keep a schedule; one that reaches further than its owner may waits for `approve`.

        Raises InvalidInput, Overloaded, and what the sound of its programme raises.
        """
        now = self._clock.now()
        self._check(wish, now)
        sound = await self._sounds.prepared(wish.programme)
        if sound.duration_s > self._rules.longest.total_seconds():
            why = f"takes {sound.duration_s:.1f} s; at most {self._rules.longest.total_seconds():g} s are allowed"
            raise InvalidInput("this programme is too long", code="too-long", faults=[Fault("/repeats", why)])
        made = self._made(wish, now)
        if made.start <= now and next_occurrence(made, self.holidays, now) is None:
            raise InvalidInput(
                "This schedule would never speak.", faults=[Fault("/start", "lies in the past", "in-the-past")], code="bad-schedule"
            )
        async with self._changing:
            if len(self._schedules) >= MOST:
                raise Overloaded(f"{MOST} schedules stand already", hint="withdraw some")
            if self._asks(wish):
                made = replace(made, state=ScheduleState.AWAITING_APPROVAL)
            await self._write(made, "created", wish.owner.actor, new=True)
        return made

    async def approve(self, schedule: ScheduleId, by: Person) -> Schedule:
        """Let a schedule speak that reaches further than one person may. Raises NotFound, Conflict (not-awaiting), Forbidden."""
        return await self._decide(schedule, "approved", by, {ScheduleState.AWAITING_APPROVAL}, ScheduleState.ACTIVE)

    async def pause(self, schedule: ScheduleId, by: Person) -> Schedule:
        """Say nothing until `resume`. Raises NotFound, Conflict (schedule-state)."""
        return await self._decide(schedule, "paused", by, {ScheduleState.ACTIVE}, ScheduleState.PAUSED)

    async def resume(self, schedule: ScheduleId, by: Person) -> Schedule:
        """Speak again, from the next occurrence on. Raises NotFound, Conflict (schedule-state)."""
        return await self._decide(schedule, "resumed", by, {ScheduleState.PAUSED}, ScheduleState.ACTIVE)

    async def withdraw(self, schedule: ScheduleId, by: Person) -> Schedule:
        """Say it never again; what is being said is not silenced. Raises NotFound, Conflict (schedule-state)."""
        return await self._decide(schedule, "withdrawn", by, _STANDING, ScheduleState.WITHDRAWN)

    async def _decide(
        self, schedule: ScheduleId, what: str, by: Person, before: set[ScheduleState] | frozenset[ScheduleState], after: ScheduleState
    ) -> Schedule:
        async with self._changing:
            found = await self.get(schedule)
            if found.state not in before:
                code = "not-awaiting" if what == "approved" else "schedule-state"
                raise Conflict(f"the schedule {schedule} is {found.state}: it cannot be {what}", code=code, hint="Look at it first.")
            changed = replace(found, state=after)
            if what == "approved":
                check_second_person(Person(found.actor, found.sender), by)
                changed = replace(changed, approved_by=by.actor)
            if after is ScheduleState.ACTIVE:  # what was due meanwhile is over
                changed = replace(changed, done_until=max(found.done_until, self._clock.now()))
            await self._write(changed, what, by.actor)
        return changed

    def _check(self, wish: Wish, now: datetime) -> None:
        start = wish.start or now
        faults = [
            *([Fault("/text", "a schedule cannot talk live")] if isinstance(wish.programme.content, Talk) else []),
            *(
                [Fault("/start", f"lies more than {FARTHEST.days} days ahead", "too-far", {"days": FARTHEST.days})]
                if start > now + FARTHEST
                else []
            ),
            *([Fault("/start", "lies in the past", "in-the-past")] if start < now and not wish.rule else []),
            *(
                [Fault("/within_s", f"must be more than 0 and at most {self._rules.within_max.total_seconds():g}")]
                if not timedelta() < wish.within <= self._rules.within_max
                else []
            ),
            *(rule_faults(wish.rule, start, wish.timezone) if wish.rule else rule_faults("FREQ=DAILY", start, wish.timezone)),
            *(
                [Fault("/days", "needs a calendar: none is configured (broadcast.holidays_file)", "no-calendar")]
                if wish.days is not Days.ALL and self.holidays.known_until is None
                else []
            ),
        ]
        if faults:
            raise InvalidInput("This schedule is not right.", faults=faults, code="bad-schedule")
        reach = self._reach(wish.targets)
        if reach > max(self._rules.cap_approved, self._cap(wish)):
            why = f"{reach} loudspeakers; at most {self._rules.cap_approved} with a second person's approval"
            raise InvalidInput("This schedule reaches too far.", faults=[Fault("/targets", why)], code="bad-schedule")

    def _reach(self, targets: Targets) -> int:
        """How many loudspeakers it reaches: one for each view."""
        return len(set(placed_in(targets, self._city))) + len(targets.views)

    def _cap(self, wish: Wish) -> int:
        return self._rules.cap if wish.authority.speaker_cap is None else wish.authority.speaker_cap

    def _asks(self, wish: Wish) -> bool:
        """Whether it reaches, together with the owner's schedules that no second person has seen, more loudspeakers than the cap."""
        others = [
            schedule.targets
            for schedule in self._schedules.values()
            if schedule.actor == wish.owner.actor and schedule.approved_by is None and schedule.state is not ScheduleState.AWAITING_APPROVAL
        ]
        placed = {speaker for targets in (wish.targets, *others) for speaker in placed_in(targets, self._city)}
        views = {view for targets in (wish.targets, *others) for view in targets.views}
        return len(placed) + len(views) > self._cap(wish)

    def _made(self, wish: Wish, now: datetime) -> Schedule:
        start = wish.start or now
        return Schedule(
            id=self._new_id(),
            name=wish.name,
            programme=wish.programme,
            targets=wish.targets,
            start=start,
            timezone=wish.timezone,
            within=wish.within,
            actor=wish.owner.actor,
            created_at=now,
            done_until=now,
            name_en=wish.name_en,
            rule=wish.rule,
            days=wish.days,
            reason=wish.reason,
            sender=wish.owner.name,
            state=ScheduleState.ACTIVE,
        )

    async def _write(self, schedule: Schedule, what: str, by: Actor, *, new: bool = False) -> None:
        now, asks = self._clock.now(), schedule.state is ScheduleState.AWAITING_APPROVAL
        data: dict[str, object] = {"what": what, "name": schedule.name, "state": schedule.state.value}
        data |= {"speakers": sorted(set(placed_in(schedule.targets, self._city)))} if asks else {}

        async def change(tx: Tx) -> None:
            await (tx.schedules.add(schedule) if new else tx.schedules.save(schedule))
            tx.emit(NewEvent(CHANGED_EVENT, schedule.id, now, data))
            tx.record(AuditEntry(by, f"schedule.{what}", schedule.id, now, data))

        await self._store.writer.write(change, lane=Lane.BROADCAST)
        self._take(schedule)

    def _take(self, schedule: Schedule) -> None:
        if schedule.state is ScheduleState.WITHDRAWN:
            for kept in (self._schedules, self._next, self._last, self._not_before):
                kept.pop(schedule.id, None)
            return
        speaks = schedule.state is ScheduleState.ACTIVE
        self._schedules[schedule.id] = schedule
        self._next[schedule.id] = next_occurrence(schedule, self.holidays, schedule.done_until) if speaks else None

    # -- speaking -----------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Take up what was kept before this start."""
        async with self._store.read() as tx:
            found = await tx.schedules.standing()
            self._last = await tx.schedules.last_runs()
        for schedule in found:
            self._take(schedule)

    async def run(self) -> None:
        """Order what is due until cancelled; one that takes long keeps no other waiting."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._follow_clock()
                self._begin_due(group)
                now = self._clock.now()
                ahead = [(moment - now).total_seconds() for moment in self._next.values() if moment is not None and moment > now]
                await self._clock.sleep(min([_LOOK_S, *ahead]))  # the wall clock may be set at any time

    async def look(self) -> None:
        """See to every occurrence that is due now."""
        await self._follow_clock()
        async with asyncio.TaskGroup() as group:
            self._begin_due(group)

    def _begin_due(self, group: asyncio.TaskGroup) -> None:
        now, steady = self._clock.now(), self._clock.monotonic()
        for schedule, moment in self._next.items():
            if moment is None or moment > now or schedule in self._busy or self._not_before.get(schedule, 0.0) > steady:
                continue
            self._busy.add(schedule)
            task = group.create_task(self._see_to(schedule, now), name=f"schedule {schedule}")
            task.add_done_callback(partial(self._rests, schedule))

    def _rests(self, schedule: ScheduleId, _: asyncio.Task[None]) -> None:
        self._busy.discard(schedule)

    async def _follow_clock(self) -> None:
        """Take back what a clock that was far ahead had declared over: all that is still to come is due again, unless it was ordered."""
        now = self._clock.now()
        if all(schedule.done_until <= now + _SET_BACK for schedule in self._schedules.values()):
            return
        async with self._changing:
            ahead = [replace(schedule, done_until=now) for schedule in self._schedules.values() if schedule.done_until > now + _SET_BACK]

            async def change(tx: Tx) -> dict[ScheduleId, Run]:
                for schedule in ahead:
                    await tx.schedules.save(schedule)
                    await tx.schedules.take_back(schedule.id, after=now)
                return await tx.schedules.last_runs()

            try:
                self._last = await self._store.writer.write(change, lane=Lane.BROADCAST)
            except GatewayError as error:
                log.warning("broadcast.schedules_not_set_back", code=error.code, reason=str(error))
                return
            log.warning("broadcast.schedules_set_back", schedules=len(ahead), reason="the clock was ahead and has gone back")
            for schedule in ahead:
                self._take(schedule)

    async def _see_to(self, id_: ScheduleId, now: datetime) -> None:
        schedule = self._schedules.get(id_)
        if schedule is None:
            return
        for due in deque(occurrences(schedule, self.holidays, schedule.done_until, now), maxlen=_MISSED_TOLD):
            try:
                run = await self._run_of(schedule, due)
                if run is not None:
                    await self._seen_to(run)
            except GatewayError as error:
                log.warning("broadcast.schedule_not_seen_to", schedule=id_, due=due.isoformat(), code=error.code, reason=str(error))
                run = None
            if run is None:
                self._not_before[id_] = self._clock.monotonic() + _AGAIN_S
                return

    async def _run_of(self, schedule: Schedule, due: datetime) -> Run | None:
        """What becomes of an occurrence; None when it is to be tried again in a moment."""
        last, now = due + schedule.within, self._clock.now()
        if now >= last:
            return await self._overdue(schedule, due, now)
        authority = await self._authority_of(schedule.actor)
        if authority is None:
            return self._refused(schedule, due, "owner-withdrawn", f"{schedule.actor} may not send broadcasts any more")
        if beyond := self._beyond(schedule.targets, authority):
            return self._refused(schedule, due, "out-of-scope", f"{schedule.actor} does not reach {beyond[0]}")
        if not self._speaks(schedule.id):
            return None  # somebody decided so this very moment
        try:
            await self._broadcasts.submit(self._order(schedule, due, authority))
        except GatewayError as refusal:
            passes = isinstance(refusal, Overloaded) or refusal.code in _PASSING
            if passes and now + timedelta(seconds=_AGAIN_S) < last:
                return None
            return self._refused(schedule, due, refusal.code, str(refusal))
        return Run(schedule.id, due, RunState.ORDERED, self._clock.now())

    def _speaks(self, schedule: ScheduleId) -> bool:
        found = self._schedules.get(schedule)
        return found is not None and found.state is ScheduleState.ACTIVE

    def _beyond(self, targets: Targets, authority: Authority) -> list[DeviceId]:
        """The loudspeakers of its places, as they are now, that the owner does not reach."""
        return [] if authority.within is None else sorted(set(placed_in(targets, self._city)) - authority.within)

    async def _overdue(self, schedule: Schedule, due: datetime, now: datetime) -> Run:
        """Whether a former life ordered it before it could say so."""
        own = broadcast_of(self._order(schedule, due, Authority()), now)
        async with self._store.read() as tx:
            ordered = await tx.broadcasts.find(own.id)
        if ordered is None or not ordered.same_order(own):
            return Run(schedule.id, due, RunState.MISSED, now)
        return Run(schedule.id, due, RunState.ORDERED, now)

    def _order(self, schedule: Schedule, due: datetime, authority: Authority) -> Order:
        return Order(
            id=broadcast_id(schedule.id, due),
            programme=schedule.programme,
            targets=schedule.targets,
            priority=schedule.priority,
            not_after=due + schedule.within,
            actor=schedule.actor,
            reason=schedule.reason or schedule.name,
            issued_at=due,
            sender=schedule.sender,
            speaker_cap=self._rules.cap_approved if schedule.approved_by else authority.speaker_cap,
            within=authority.within if schedule.targets.views else None,
            seconded=schedule.approved_by is not None,
        )

    def _refused(self, schedule: Schedule, due: datetime, code: str, why: str) -> Run:
        log.warning("broadcast.schedule_refused", schedule=schedule.id, due=due.isoformat(), code=code, reason=why)
        return Run(schedule.id, due, RunState.REFUSED, self._clock.now(), code, why[:_DETAIL])

    async def _seen_to(self, run: Run) -> None:
        """Write down what became of an occurrence, in one transaction with how far its schedule has come."""
        async with self._changing:
            schedule = self._schedules.get(run.schedule)
            if schedule is None or run.due <= schedule.done_until:
                return  # somebody decided otherwise meanwhile
            done = replace(schedule, done_until=run.due)
            data: Mapping[str, object] = {
                "due": run.due.isoformat(),
                "state": run.state.value,
                "broadcast": run.broadcast,
                "code": run.code,
                "detail": run.detail,
            }

            async def change(tx: Tx) -> None:
                await tx.schedules.add_run(run)
                await tx.schedules.save(done)
                tx.emit(NewEvent(RAN_EVENT, run.schedule, run.at, dict(data)))

            await self._store.writer.write(change, lane=Lane.BROADCAST)
            self._last[run.schedule] = run
            self._take(done)
