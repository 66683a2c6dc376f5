"""Schedules and their runs in both stores: kept as they are, withdrawn and not deleted, one run an occurrence."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.clock import SimulatedClock
from gateway.domain.broadcast import ClipContent, ClipId, Programme, Speech, Targets
from gateway.domain.devices import DeviceId, ZoneId
from gateway.domain.events import Actor, ActorKind
from gateway.domain.schedules import Days, Run, RunState, Schedule, ScheduleId, ScheduleState
from gateway.errors import GatewayError, NotFound
from gateway.storage.store import Store
from gateway.storage.writer import Lane
from tests.storage.test_broadcasts import CLIP, clip

LI, WANG = Actor(ActorKind.API_KEY, "key-1"), Actor(ActorKind.API_KEY, "key-2")


def schedule(clock: SimulatedClock, name: str = "S-1", **changes: object) -> Schedule:
    now = clock.now()
    made = Schedule(
        id=ScheduleId(name),
        name="放学提醒",
        programme=Programme(Speech("请走人行道", "cmn"), chime=True, repeats=2, pause_s=1.5),
        targets=Targets(speakers=(DeviceId("s1"),), zones=(ZoneId("z1"),)),
        start=now + timedelta(days=1),
        timezone="Asia/Shanghai",
        within=timedelta(seconds=30),
        actor=LI,
        created_at=now,
        done_until=now,
        name_en="school",
        rule="FREQ=DAILY",
        days=Days.WORKING,
        reason="safety",
        sender="Li",
    )
    return replace(made, **changes)


async def keep(store: Store, one: Schedule, *runs: Run) -> None:
    async def change(tx) -> None:
        await tx.schedules.add(one)
        for run in runs:
            await tx.schedules.add_run(run)

    await store.writer.write(change, lane=Lane.BROADCAST)


def run(one: Schedule, day: int, state: RunState = RunState.ORDERED) -> Run:
    due = one.start + timedelta(days=day)
    return Run(one.id, due, state, due, *(("quiet-hours", "sleep") if state is RunState.REFUSED else ()))


async def test_a_schedule_is_read_as_it_was_kept(store: Store, clock: SimulatedClock) -> None:
    one = schedule(clock)
    await keep(store, one)
    done = replace(one, state=ScheduleState.PAUSED, approved_by=WANG, done_until=one.start)
    await store.writer.write(lambda tx: tx.schedules.save(done), lane=Lane.BROADCAST)
    async with store.read() as tx:
        assert await tx.schedules.get(one.id) == done
        with pytest.raises(NotFound):
            await tx.schedules.get(ScheduleId("S-9"))


async def test_what_is_withdrawn_stands_no_more_and_needs_no_clip(store: Store, clock: SimulatedClock) -> None:
    await keep(store, schedule(clock, "S-1"))
    await keep(store, schedule(clock, "S-2", state=ScheduleState.WITHDRAWN))
    async with store.read() as tx:
        assert [one.id for one in await tx.schedules.standing()] == ["S-1"]
        assert await tx.schedules.of_clip(ClipId("0" * 64)) == []


async def test_a_clip_is_needed_by_the_schedules_that_stand(store: Store, clock: SimulatedClock) -> None:
    await store.writer.write(lambda tx: tx.clips.add(clip()), lane=Lane.BROADCAST)
    programme = Programme(ClipContent(CLIP))
    await keep(store, schedule(clock, "S-1", programme=programme))
    await keep(store, schedule(clock, "S-2", programme=programme, state=ScheduleState.WITHDRAWN))
    async with store.read() as tx:
        assert await tx.schedules.of_clip(CLIP) == ["S-1"]
        assert (await tx.schedules.get(ScheduleId("S-2"))).programme == programme


async def test_an_occurrence_has_one_run_and_the_latest_is_told_first(store: Store, clock: SimulatedClock) -> None:
    one, other = schedule(clock), schedule(clock, "S-2")
    await keep(store, one, run(one, 0), run(one, 2, RunState.REFUSED), run(one, 1), run(one, 0, RunState.MISSED))
    await keep(store, other, run(other, 5, RunState.MISSED))
    async with store.read() as tx:
        assert await tx.schedules.runs(one.id, limit=9) == [run(one, 2, RunState.REFUSED), run(one, 1), run(one, 0)]
        assert len(await tx.schedules.runs(one.id, limit=2)) == 2
        assert await tx.schedules.last_runs() == {one.id: run(one, 2, RunState.REFUSED), other.id: run(other, 5, RunState.MISSED)}


async def test_what_was_ordered_is_never_taken_back(store: Store, clock: SimulatedClock) -> None:
    one, other = schedule(clock), schedule(clock, "S-2")
    await keep(store, one, run(one, 0, RunState.MISSED), run(one, 1), run(one, 2, RunState.REFUSED), run(one, 3, RunState.MISSED))
    await keep(store, other, run(other, 3, RunState.MISSED))
    await store.writer.write(lambda tx: tx.schedules.take_back(one.id, after=one.start), lane=Lane.BROADCAST)
    async with store.read() as tx:
        assert await tx.schedules.runs(one.id, limit=9) == [run(one, 1), run(one, 0, RunState.MISSED)]
        assert len(await tx.schedules.runs(other.id, limit=9)) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"approved_by": LI},
        {"name": ""},
        {"within": timedelta()},
        {"programme": Programme(ClipContent(ClipId("0" * 64)))},
        {"programme": Programme(Speech("x"), repeats=0)},
    ],
)
async def test_the_store_refuses_what_cannot_be(store: Store, clock: SimulatedClock, changes: dict[str, object]) -> None:
    with pytest.raises(GatewayError):
        await keep(store, schedule(clock, **changes))
