"""Schedules in front of the real service: each occurrence is heard once, in its time or not at all, whatever crashes and clocks do."""

import asyncio
import random
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.broadcast.orders import Order
from gateway.broadcast.schedules import CHANGED_EVENT, Authority, ScheduleDesk, ScheduleRules, Wish
from gateway.broadcast.sound import SoundDesk
from gateway.broadcast.views import View
from gateway.domain.broadcast import ClipContent, ClipId, Programme, Talk, Targets
from gateway.domain.broadcast_rules import SpeakingHours
from gateway.domain.events import Actor, ActorKind, Person
from gateway.domain.schedules import Days, Holidays, RunState, Schedule, ScheduleId, ScheduleState, broadcast_id
from gateway.errors import Conflict, Forbidden, InvalidInput, NotFound
from gateway.storage.writer import Lane
from tests.broadcast.house import ACTOR, House
from tests.waiting import stopped, until

LI, WANG = Person(ACTOR, "Li"), Person(Actor(ActorKind.API_KEY, "key-2"), "Wang")
NUMBERS = count(1)


class Owner:
    """What the owner of all schedules may do."""

    authority: Authority | None = Authority()


async def always(_actor: Actor) -> Authority | None:
    return Owner.authority


def desk(house: House, **changes: object) -> ScheduleDesk:
    parts: dict[str, object] = {
        "store": house.store,
        "city": house.city,
        "clock": house.clock,
        "broadcasts": house.service,
        "sounds": SoundDesk(house.shelf),
        "hours": lambda: house.hours,
        "holidays": Holidays(),
        "authority_of": always,
        "new_id": lambda: ScheduleId(f"S-{next(NUMBERS)}"),
        "rules": ScheduleRules(cap=3, cap_approved=4),
    }
    return ScheduleDesk(**(parts | changes))


def wish(house: House, *speakers: str, **changes: object) -> Wish:
    targets = Targets(speakers=tuple(speakers or ("s1",)))
    start = house.clock.now() + timedelta(minutes=10)
    made = Wish("放学", Programme(ClipContent(house.clip)), targets, start, "Asia/Shanghai", timedelta(seconds=30), LI, rule="FREQ=DAILY")
    return replace(made, **changes)


async def go(house: House, one: ScheduleDesk, seconds: float) -> None:
    """Let time pass by steps of a second with the desk looking, and what it orders be heard."""
    for _ in range(round(seconds)):
        await one.look()
        for schedule in one.standing:
            if (run := one.last_of(schedule.id)) is not None and run.state is RunState.ORDERED:
                await house.ended(run.broadcast)
        await house.clock.advance(1)
    await house.service.written()


async def heard(house: House, made: Schedule, due: datetime) -> bool:
    try:
        view = await house.service.get(broadcast_id(made.id, due))
    except NotFound:
        return False
    return not view.open


async def test_an_occurrence_is_ordered_at_its_time_and_the_record_says_so(house: House) -> None:
    one = desk(house)
    made = await one.create(wish(house))
    assert made.state is ScheduleState.ACTIVE
    assert one.next_of(made.id) == made.start
    await house.clock.advance(599)
    await one.look()
    assert one.last_of(made.id) is None
    await house.clock.advance(1)
    await one.look()
    last = one.last_of(made.id)
    assert last is not None
    assert (last.state, last.due) == (RunState.ORDERED, made.start)
    view = await house.ended(last.broadcast)
    assert [delivery.state for delivery in view.deliveries] == ["done"]
    assert view.broadcast.priority.name == "SCHEDULE"
    assert one.next_of(made.id) == made.start + timedelta(days=1)


async def test_what_was_due_while_nobody_was_there_is_missed_and_never_said_late(house: House) -> None:
    made = await desk(house).create(wish(house))
    await house.clock.advance(600 + 30)
    again = desk(house)
    await again.load()
    await again.look()
    runs = await again.runs(made.id, limit=5)
    assert [(run.state, run.due) for run in runs] == [(RunState.MISSED, made.start)]
    assert not await heard(house, made, made.start)


class Dies(Exception):
    """The power goes."""


async def test_who_dies_between_order_and_record_does_not_order_twice(house: House) -> None:
    class Deadly:
        async def submit(self, order: Order) -> View:
            await house.service.submit(order)
            raise Dies

    made = await desk(house).create(wish(house))
    first = desk(house, broadcasts=Deadly())
    await first.load()
    await house.clock.advance(600)
    with pytest.raises(BaseExceptionGroup):
        await first.look()
    for later_s in (5, 60):  # within its time, and long after it
        second = desk(house)
        await second.load()
        await house.clock.advance(later_s)
        await second.look()
        assert [run.state for run in await second.runs(made.id, limit=5)] == [RunState.ORDERED]
    await house.ended(broadcast_id(made.id, made.start))
    assert len(house.speakers[house.order().targets.speakers[0]].sessions) == 1


async def test_what_somebody_else_ordered_under_its_name_does_not_count_as_said(house: House) -> None:
    one = desk(house)
    made = await one.create(wish(house))
    await house.service.submit(house.order(broadcast_id(made.id, made.start), "s2"))
    await house.ended(broadcast_id(made.id, made.start))
    await house.clock.advance(700)
    await one.look()
    assert [run.state for run in await one.runs(made.id, limit=5)] == [RunState.MISSED]


@dataclass
class Mortal:
    """Steps that are taken until the power goes: `dies_at` counts both what comes before and what comes after each of them."""

    dies_at: int
    moments: int = 0

    def live(self) -> None:
        self.moments += 1
        if self.moments > self.dies_at:
            raise Dies

    def guarded(self, house: House) -> dict[str, object]:
        """The store, the service and the rights of a desk that dies."""

        async def submit(order: Order) -> View:
            self.live()
            view = await house.service.submit(order)
            self.live()
            return view

        async def write(change: Any, *, lane: Lane) -> Any:
            self.live()
            written = await house.store.writer.write(change, lane=lane)
            self.live()
            return written

        async def rights(actor: Actor) -> Authority | None:
            self.live()
            return await always(actor)

        store = SimpleNamespace(read=house.store.read, writer=SimpleNamespace(write=write))
        return {"store": store, "broadcasts": SimpleNamespace(submit=submit), "authority_of": rights}


@pytest.mark.parametrize("later_s", [0, 5, 29, 31, 3_600])
async def test_a_death_between_any_two_steps_says_an_occurrence_once_or_records_that_it_was_missed(house: House, later_s: int) -> None:
    made = await desk(house).create(wish(house))
    steps = 0
    while True:
        due = made.start + timedelta(days=steps)
        house.clock.step(due - house.clock.now())
        mortal = desk(house, **Mortal(steps).guarded(house))
        await mortal.load()
        try:
            await mortal.look()
        except BaseExceptionGroup as group:
            assert group.subgroup(Dies) is not None
        else:
            break
        steps += 1
        await house.clock.advance(later_s)
        reborn = desk(house)
        await reborn.load()
        await reborn.look()
        await go(house, reborn, 1)
    assert steps == 5  # before and after: the rights, the order, the record
    runs = {run.due: run for run in await desk(house).runs(made.id, limit=99)}
    assert sorted(runs) == [made.start + timedelta(days=day) for day in range(steps + 1)]
    said = [run for run in runs.values() if run.state is RunState.ORDERED]
    assert len(said) >= 4  # at the least what was ordered before the death, and the one without
    for run in said:
        assert (await house.ended(run.broadcast)).broadcast.created_at < run.due + timedelta(seconds=30)
    assert len(house.speakers[house.order().targets.speakers[0]].sessions) == len(said)


async def test_a_slow_one_keeps_no_other_waiting(house: House) -> None:
    held = asyncio.Event()

    class Slow:
        async def submit(self, order: Order) -> View:
            if order.reason == "slow":
                await held.wait()
            return await house.service.submit(order)

    one = desk(house, broadcasts=Slow())
    slow = await one.create(wish(house, reason="slow"))
    other = await one.create(wish(house, "s2", start=house.clock.now() + timedelta(seconds=602)))
    running = asyncio.create_task(one.run())
    await until(lambda: one.last_of(other.id), meanwhile=lambda: house.clock.advance(0.5))
    assert one.last_of(slow.id) is None
    held.set()
    await until(lambda: one.last_of(slow.id), meanwhile=lambda: house.clock.advance(0))
    await stopped(running)


async def test_a_clock_that_was_years_ahead_does_not_silence_a_schedule(house: House) -> None:
    one, years = desk(house), timedelta(days=800, hours=3)
    made = await one.create(wish(house))
    await house.clock.advance(600)
    await one.look()
    await house.ended(broadcast_id(made.id, made.start))
    house.clock.step(years)
    await one.look()
    assert one.next_of(made.id) > made.start + years
    house.clock.step(-years - timedelta(minutes=1))
    again = desk(house)
    await again.load()
    await again.look()
    await go(house, again, 120)
    assert [(run.state, run.due) for run in await again.runs(made.id, limit=9)] == [(RunState.ORDERED, made.start)]
    assert again.next_of(made.id) == made.start + timedelta(days=1)
    assert len(house.speakers[house.order().targets.speakers[0]].sessions) == 1


async def test_where_the_owner_reaches_no_more_nothing_is_said(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    one = desk(house)
    made = await one.create(wish(house, "s1", "s2"))
    monkeypatch.setattr(Owner, "authority", Authority(within=frozenset(house.order("b", "s1").targets.speakers)))
    await house.clock.advance(600)
    await one.look()
    last = one.last_of(made.id)
    assert last is not None
    assert (last.state, last.code) == (RunState.REFUSED, "out-of-scope")


async def test_who_pauses_while_it_is_being_seen_to_hears_nothing(house: House) -> None:
    async def rights(_actor: Actor) -> Authority:
        await one.pause(made.id, LI)
        return Authority()

    one = desk(house, authority_of=rights)
    made = await one.create(wish(house))
    await house.clock.advance(600)
    await one.look()
    assert one.last_of(made.id) is None
    assert not await heard(house, made, made.start)


async def test_crashes_and_clock_steps_never_say_an_occurrence_twice_or_late(house: House) -> None:
    dice, day = random.Random(11), timedelta(days=1)
    one = desk(house)
    made = await one.create(wish(house))
    for _ in range(120):
        match dice.randrange(4):
            case 0:
                one = desk(house)
                await one.load()
            case 1:
                house.clock.step(timedelta(seconds=dice.randrange(-4_000, 4_000)))
            case 2:
                house.clock.step(made.start + round((house.clock.now() - made.start) / day) * day - house.clock.now())
            case _:
                house.clock.step(timedelta(hours=dice.randrange(30)))
        await go(house, one, dice.choice([1, 2, 40]))
    runs = await one.runs(made.id, limit=1_000)
    assert len({run.due for run in runs}) == len(runs) > 5
    ordered = [run for run in runs if run.state is RunState.ORDERED]
    assert len(ordered) > 5
    for run in ordered:
        view = await house.service.get(run.broadcast)
        assert view.broadcast.created_at <= run.due + timedelta(seconds=30)
        assert [delivery.state for delivery in view.deliveries] == ["done"]
    assert len(house.speakers[house.order().targets.speakers[0]].sessions) == len(ordered)


async def test_quiet_hours_refuse_an_occurrence_and_are_seen_ahead(house: House) -> None:
    house.hours = SpeakingHours(UTC)  # 22:00 to 06:00
    one = desk(house)
    late = house.clock.now().replace(hour=23, minute=0)
    made = await one.create(wish(house, start=late))
    assert [(ahead.kept, ahead.speakers, ahead.quiet) for ahead in one.ahead(made, limit=2)] == [(True, 1, 1)] * 2
    house.clock.step(late - house.clock.now())
    await one.look()
    last = one.last_of(made.id)
    assert last is not None
    assert (last.state, last.code) == (RunState.REFUSED, "quiet-hours")


async def test_a_holiday_is_named_by_the_day_of_the_schedules_own_zone(house: House) -> None:
    house.hours = SpeakingHours(UTC)
    one = desk(house, holidays=Holidays({date(2026, 2, 15): "春节"}))
    early = datetime(2026, 2, 14, 20, 0, tzinfo=UTC)  # four in the morning of the 15th in Shanghai
    made = await one.create(wish(house, start=early, days=Days.NOT_HOLIDAYS))
    assert [(ahead.kept, ahead.holiday) for ahead in one.ahead(made, limit=2)] == [(False, "春节"), (True, "")]


async def test_what_was_due_before_everything_was_silenced_is_not_said_after(house: House) -> None:
    one = desk(house)
    made = await one.create(wish(house))
    await house.clock.advance(601)
    house.service.stop_all(ACTOR)
    await one.look()
    last = one.last_of(made.id)
    assert last is not None
    assert (last.state, last.code) == (RunState.REFUSED, "stop-all")


async def test_an_owner_whose_rights_are_gone_says_nothing_more(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    one = desk(house)
    made = await one.create(wish(house))
    monkeypatch.setattr(Owner, "authority", None)
    await house.clock.advance(600)
    await one.look()
    last = one.last_of(made.id)
    assert last is not None
    assert (last.state, last.code) == (RunState.REFUSED, "owner-withdrawn")


async def test_a_speaker_that_cools_down_is_asked_again_within_the_occurrences_time(house: House) -> None:
    one = desk(house)
    made = [await one.create(wish(house)), await one.create(wish(house, programme=Programme(ClipContent(house.clip), repeats=2)))]
    await house.clock.advance(600)
    for _ in range(12):
        await one.look()
        await house.clock.advance(2)
    assert [run.state for schedule in made if (run := one.last_of(schedule.id))] == [RunState.ORDERED] * 2


async def test_paused_says_nothing_and_resumed_goes_on_with_the_next(house: House) -> None:
    one = desk(house)
    made = await one.create(wish(house))
    await one.pause(made.id, LI)
    await house.clock.advance(605)
    await one.look()
    await one.resume(made.id, WANG)
    assert one.next_of(made.id) == made.start + timedelta(days=1)
    assert one.last_of(made.id) is None
    with pytest.raises(Conflict):
        await one.resume(made.id, LI)
    gone = await one.withdraw(made.id, LI)
    assert (await one.get(made.id)).state is gone.state is ScheduleState.WITHDRAWN
    assert one.standing == []


async def test_what_reaches_further_than_one_person_may_needs_another_once(house: House) -> None:
    one = desk(house)
    made = await one.create(wish(house, "s1", "s2", "s3", "s4"))
    assert made.state is ScheduleState.AWAITING_APPROVAL
    (asks,) = [event.data for event in await house.store.events.read_after(0, limit=100) if event.type == CHANGED_EVENT]
    assert (asks["state"], asks["speakers"]) == ("awaiting-approval", ["s1", "s2", "s3", "s4"])
    await house.clock.advance(600)
    await one.look()
    assert one.last_of(made.id) is None
    for asker in (LI, Person(WANG.actor, "LI")):
        with pytest.raises(Forbidden):
            await one.approve(made.id, asker)
    approved = await one.approve(made.id, WANG)
    assert (approved.state, approved.approved_by) == (ScheduleState.ACTIVE, WANG.actor)
    assert one.next_of(made.id) == made.start + timedelta(days=1)


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        ({"rule": "FREQ=SECONDLY"}, "/rrule"),
        ({"rule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}, "/rrule"),
        ({"timezone": "Asia/Liaocheng"}, "/timezone"),
        ({"within": timedelta(hours=2)}, "/within_s"),
        ({"rule": "", "start": datetime(2020, 1, 1, tzinfo=UTC)}, "/start"),
        ({"programme": Programme(Talk())}, "/text"),
        ({"days": Days.WORKING}, "/days"),
    ],
)
async def test_what_is_wrong_is_named(house: House, changes: dict[str, object], at: str) -> None:
    one = desk(house)
    with pytest.raises(InvalidInput) as caught:
        await one.create(wish(house, **changes))
    assert [fault.where for fault in caught.value.faults] == [at]
    assert one.standing == []


async def test_what_nothing_can_say_is_refused_when_the_schedule_is_made(house: House) -> None:
    with pytest.raises(NotFound):
        await desk(house).create(wish(house, programme=Programme(ClipContent(ClipId("0" * 64)))))
