"""The rules of speaking as orders meet them: each test fails without its rule."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

import pytest

from gateway.broadcast.orders import Order, Rules
from gateway.broadcast.rulebook import Restraint
from gateway.broadcast.views import View
from gateway.clock import SimulatedClock
from gateway.domain.broadcast import BroadcastId, ClipContent, DeliveryState, Priority, Programme
from gateway.domain.broadcast_rules import DatedHours, Effect, Pauses, SpeakingHours, ZoneRules
from gateway.domain.devices import DeviceId, ZoneId
from gateway.domain.events import Actor, ActorKind, Person
from gateway.errors import Conflict, Forbidden, GatewayError, InvalidInput, NotFound
from gateway.storage.store import Store
from gateway.storage.writer import Change, Lane
from tests.broadcast.house import ACTOR, PCM, House, broken, furnished, running
from tests.media.g711 import DECODERS
from tests.media.test_clips import snr_db, tone, wav

SHANGHAI = ZoneInfo("Asia/Shanghai")
MARKET = ZoneId("z1")  # s1 and s2 are in it
SECOND = Person(Actor(ActorKind.API_KEY, "key-2"), "Wang")
T = TypeVar("T")
Make = Callable[..., contextlib.AbstractAsyncContextManager[House]]


@pytest.fixture
def make(store: Store, clock: SimulatedClock, tmp_path: Path) -> Make:
    """A running house under rules of one's own, its clock at a time of the city's day."""

    @contextlib.asynccontextmanager
    async def made(at: str = "2026-06-01 12:00", hours: SpeakingHours | None = None, **rules: object) -> AsyncIterator[House]:
        clock.step(datetime.fromisoformat(at).replace(tzinfo=SHANGHAI).astimezone(UTC) - clock.now())
        house = await furnished(store, clock, tmp_path / "clips")
        house.rules = replace(Rules(max_speakers=3), **rules)  # type: ignore[arg-type]  # each test names fields of Rules
        house.hours = hours or SpeakingHours(SHANGHAI)
        house.service = house.make_service()
        async with running(house.service):
            yield house
        assert not [complaint for speaker in house.speakers.values() for complaint in speaker.complaints]

    return made


async def refused(house: House, order: Order) -> GatewayError:
    """Why it is refused; nothing of it was heard, or is on record."""
    with pytest.raises(GatewayError) as caught:
        await house.service.submit(order)
    with pytest.raises(NotFound):
        await house.view(order.id)
    return caught.value


def silent(house: House) -> bool:
    return not any(speaker.sound for speaker in house.speakers.values())


async def long_clip(house: House, seconds: float = 15.0) -> Programme:
    return Programme(ClipContent((await house.shelf.add(wav(tone(seconds)), name="long", actor=ACTOR)).id))


# -- quiet hours ------------------------------------------------------------------------------------------------------


async def test_at_night_nothing_is_said_but_an_emergency(make: Make) -> None:
    async with make("2026-06-01 23:00") as house:
        for priority in (Priority.SCHEDULE, Priority.NOTICE, Priority.ENFORCEMENT, Priority.TALK):
            error = await refused(house, house.order(priority=priority))
            assert isinstance(error, Forbidden) and error.code == "quiet-hours"
            assert "06:00" in str(error) and "override" in error.hint
        assert silent(house)
        await house.service.submit(house.order("e", priority=Priority.EMERGENCY))
        assert (await house.ended("e")).deliveries[0].state is DeliveryState.DONE


async def test_what_would_run_into_the_night_counts_by_its_end(make: Make) -> None:
    async with make("2026-06-01 21:59:50") as house:
        assert (await refused(house, house.order("long", programme=await long_clip(house)))).code == "quiet-hours"
        await house.service.submit(house.order("short"))
        assert (await house.ended("short")).deliveries[0].state is DeliveryState.DONE


async def test_what_waited_until_the_night_is_not_begun(make: Make) -> None:
    async with make("2026-06-01 21:59:50") as house:
        speaker = house.speakers[DeviceId("s1")]
        speaker.opens.clear()
        await house.service.submit(house.order())
        await speaker.asked.wait()
        await house.clock.advance(11)
        speaker.opens.set()
        await house.ended()
        delivery = await house.delivery()
        assert (delivery.state, delivery.reason) == (DeliveryState.FAILED, "quiet-hours")
        assert silent(house)


async def test_only_the_loudspeakers_of_quiet_zones_are_left_out_and_said_to_be(make: Make) -> None:
    night = SpeakingHours(SHANGHAI, quiet=(), zones={MARKET: ZoneRules(SpeakingHours(SHANGHAI).quiet)})
    async with make("2026-06-01 23:00", night) as house:
        await house.service.submit(house.order("b1", "s1", "s2", "s3"))
        view = await house.ended()
        assert [(d.speaker, d.state, d.reason) for d in view.deliveries] == [
            ("s1", DeliveryState.FAILED, "quiet-hours"), ("s2", DeliveryState.FAILED, "quiet-hours"), ("s3", DeliveryState.DONE, ""),
        ]  # fmt: skip


async def test_an_exam_day_is_quiet_at_noon(make: Make) -> None:
    exam = DatedHours("e", "高考", date(2026, 6, 7), date(2026, 6, 9), time(7), time(19), Effect.QUIET, frozenset({MARKET}))
    async with make("2026-06-08 12:00", SpeakingHours(SHANGHAI, exceptions=(exam,))) as house:
        error = await refused(house, house.order("b1", "s1"))
        assert error.code == "quiet-hours" and "高考" in str(error) and "z1" in str(error)
        await house.service.submit(house.order("b2", "s3"))
        await house.ended("b2")


async def test_hours_that_change_hold_for_the_next_order(make: Make) -> None:
    async with make("2026-06-01 23:00") as house:
        await refused(house, house.order())
        house.hours = SpeakingHours(SHANGHAI, quiet=())
        await house.service.submit(house.order())
        assert (await house.ended()).deliveries[0].state is DeliveryState.DONE


# -- the named override -----------------------------------------------------------------------------------------------


async def test_who_may_speaks_at_night_for_a_reason_that_is_on_record(make: Make) -> None:
    async with make("2026-06-01 23:00") as house:
        named = house.order(priority=Priority.ENFORCEMENT, override="fight at gate 3", may_override=True)
        view = await house.service.submit(named)
        assert view.broadcast.override == "fight at gate 3"
        assert (await house.ended()).deliveries[0].state is DeliveryState.DONE
        async with house.store.read() as tx:
            rows = [row.entry for row in await tx.audit.page(limit=50) if row.entry.action == "broadcast.send"]
        assert [(str(row.actor), row.data["override"]) for row in rows] == [(str(ACTOR), "fight at gate 3")]


@pytest.mark.parametrize(
    "changes",
    [
        {"priority": Priority.ENFORCEMENT, "override": "fight at gate 3"},
        {"priority": Priority.NOTICE, "override": "fight at gate 3", "may_override": True},
    ],
    ids=["who may not", "a priority that may not"],
)
async def test_nobody_else_and_nothing_else_does(make: Make, changes: dict[str, object]) -> None:
    for moment in ("2026-06-01 23:00", "2026-06-01 12:00"):
        async with make(moment) as house:
            assert (await refused(house, house.order(**changes))).code == "override-not-allowed"
            assert silent(house)


async def test_the_right_to_override_is_no_override(make: Make) -> None:
    async with make("2026-06-01 23:00") as house:
        error = await refused(house, house.order(priority=Priority.ENFORCEMENT, may_override=True))
        assert error.code == "quiet-hours"


# -- two people -------------------------------------------------------------------------------------------------------


@pytest.fixture
async def asking(make: Make) -> AsyncIterator[House]:
    """A house in which one person reaches one loudspeaker, and two reach three; an order to three of them waits."""
    async with make(max_speakers=1, max_speakers_approved=3) as house:
        view = await house.service.submit(house.order("b1", "s1", "s2", "s3", sender="Li"))
        assert {delivery.state for delivery in view.deliveries} == {DeliveryState.AWAITING_APPROVAL}
        yield house


async def test_beyond_the_cap_nothing_is_heard_before_a_second_person_approves(asking: House) -> None:
    await asking.clock.advance(10)
    assert silent(asking) and not any(speaker.sessions for speaker in asking.speakers.values())
    await asking.service.approve(BroadcastId("b1"), SECOND)
    view = await asking.ended()
    assert {delivery.state for delivery in view.deliveries} == {DeliveryState.DONE}
    assert view.broadcast.approved_by == SECOND.actor
    events = [event for event in await asking.store.events.read_after(0, limit=100) if event.type.startswith("broadcast.")]
    assert [event.type for event in events if event.subject == "b1"][:2] == ["broadcast.accepted", "broadcast.approved"]
    async with asking.store.read() as tx:
        assert (await tx.broadcasts.get(BroadcastId("b1"))).approved_by == SECOND.actor
        assert "broadcast.approve" in {row.entry.action for row in await tx.audit.page(limit=50)}


@pytest.mark.parametrize(
    "by",
    [Person(ACTOR, "Li"), Person(ACTOR, "Wang"), Person(Actor(ActorKind.API_KEY, "key-9"), " li ")],
    ids=["the same", "the same key", "the same name"],
)
async def test_nobody_is_the_second_person_of_their_own_order(asking: House, by: Person) -> None:
    for decide in (asking.service.approve, asking.service.decline):
        with pytest.raises(Forbidden) as caught:
            await decide(BroadcastId("b1"), by)
        assert caught.value.code == "second-person"
    await asking.clock.advance(5)
    assert silent(asking)


async def test_what_nobody_approves_in_time_expires_unheard(asking: House) -> None:
    await asking.clock.advance(31)
    view = await asking.ended()
    assert {(d.state, d.reason) for d in view.deliveries} == {(DeliveryState.EXPIRED, "not-approved")}
    with pytest.raises(Conflict) as caught:
        await asking.service.approve(BroadcastId("b1"), SECOND)
    assert caught.value.code == "not-awaiting"
    assert silent(asking)


async def test_what_a_second_person_declines_is_never_heard(asking: House) -> None:
    view = await asking.service.decline(BroadcastId("b1"), SECOND)
    assert {(d.state, d.reason) for d in view.deliveries} == {(DeliveryState.CANCELLED, "declined")}
    with pytest.raises(Conflict):
        await asking.service.approve(BroadcastId("b1"), SECOND)
    await asking.ended()
    assert silent(asking)


async def test_stop_all_and_cancel_end_what_waits(asking: House) -> None:
    assert asking.service.stop_all(ACTOR).speakers == 3
    await asking.ended()
    with pytest.raises(Conflict):
        await asking.service.approve(BroadcastId("b1"), SECOND)
    await asking.service.submit(asking.order("b2", "s1", "s2"))
    view = await asking.service.cancel(BroadcastId("b2"), ACTOR)
    assert {d.state for d in view.deliveries} == {DeliveryState.CANCELLED}
    await asking.ended("b2")
    assert silent(asking)


async def test_a_stop_all_on_the_way_of_an_approval_wins(asking: House) -> None:
    deciding = asyncio.create_task(asking.service.approve(BroadcastId("b1"), SECOND))
    await asyncio.sleep(0)
    asking.service.stop_all(ACTOR)
    with contextlib.suppress(Conflict):
        await deciding
    view = await asking.ended()
    assert {d.state for d in view.deliveries} == {DeliveryState.CANCELLED}
    assert silent(asking)


async def test_after_a_restart_nothing_waits_for_approval_any_more(asking: House) -> None:
    asking.service = asking.make_service()
    async with running(asking.service):
        await asking.service.written()
        view = await asking.view()
        assert {(d.state, d.reason) for d in view.deliveries} == {(DeliveryState.FAILED, "gateway-restarted")}
        with pytest.raises(Conflict):
            await asking.service.approve(BroadcastId("b1"), SECOND)
    assert silent(asking)


async def test_even_two_people_do_not_reach_everybody(make: Make) -> None:
    async with make(max_speakers=1, max_speakers_approved=2) as house:
        assert (await refused(house, house.order("b1", "s1", "s2", "s3"))).code == "too-many-speakers"


async def test_what_waits_for_approval_may_have_a_later_deadline_and_nothing_else(make: Make) -> None:
    async with make(max_speakers=1, max_speakers_approved=3, not_after_max_s=60.0, approval_max_s=300.0) as house:
        later = house.clock.now() + timedelta(seconds=300)
        await house.service.submit(house.order("b1", "s1", "s2", not_after=later))
        assert (await refused(house, house.order("b2", "s1", not_after=later))).code == "not-after-too-far"
        later += timedelta(seconds=1)
        assert (await refused(house, house.order("b3", "s1", "s2", not_after=later))).code == "not-after-too-far"


# -- length, rate -----------------------------------------------------------------------------------------------------


async def test_nothing_is_longer_than_allowed(make: Make) -> None:
    async with make(restraint=Restraint(longest=timedelta(seconds=14))) as house:
        error = await refused(house, house.order(programme=await long_clip(house)))
        assert isinstance(error, InvalidInput) and error.code == "too-long"


async def test_nobody_orders_more_than_so_many_a_minute_and_others_do(make: Make) -> None:
    async with make(restraint=Restraint(per_minute=2)) as house:
        for number in range(2):
            await house.service.submit(house.order(f"b{number}"))
            await house.ended(f"b{number}")
        error = await refused(house, house.order("b2"))
        assert isinstance(error, Conflict) and error.code == "too-many-broadcasts"
        await house.service.submit(house.order("b3", actor=SECOND.actor))
        await house.clock.advance(60)
        await house.service.submit(house.order("b4"))
        await house.ended("b4")


async def test_an_order_that_is_known_is_answered_however_many_came(make: Make) -> None:
    async with make(restraint=Restraint(per_minute=1)) as house:
        order = house.order()
        await house.service.submit(order)
        for _ in range(5):
            assert (await house.service.submit(order)).broadcast.id == order.id
        await house.ended()
        assert len(house.speakers[DeviceId("s1")].sessions) == 1


# -- repetition -------------------------------------------------------------------------------------------------------

ONCE = {"restraint": Restraint(Pauses(repeat=timedelta(seconds=10)))}


async def test_the_same_is_not_said_again_at_once_whoever_asks(make: Make) -> None:
    async with make(**ONCE) as house:
        await house.service.submit(house.order("b1"))
        await house.ended()
        error = await refused(house, house.order("b2", actor=SECOND.actor, priority=Priority.EMERGENCY))
        assert isinstance(error, Conflict) and error.code == "duplicate" and "b1" in str(error) and "again" in error.hint
        await house.clock.advance(10)
        await house.service.submit(house.order("b3"))
        assert (await house.ended("b3")).deliveries[0].state is DeliveryState.DONE


async def test_the_same_is_not_said_again_while_it_is_on_its_way(make: Make) -> None:
    async with make(**ONCE) as house:
        programme = await long_clip(house)
        await house.service.submit(house.order("b1", programme=programme))
        await house.clock.advance(12)
        assert (await refused(house, house.order("b2", programme=programme))).code == "duplicate"
        await house.ended("b1")


async def test_two_orders_of_the_same_that_come_together_are_said_once(make: Make) -> None:
    async with make(**ONCE) as house:
        results = await asyncio.gather(*(house.service.submit(house.order(f"b{n}")) for n in range(5)), return_exceptions=True)
        taken = [result for result in results if not isinstance(result, BaseException)]
        assert len(taken) == 1
        assert {result.code for result in results if isinstance(result, GatewayError)} == {"duplicate"}
        await house.ended(taken[0].broadcast.id)
        assert len(house.speakers[DeviceId("s1")].sessions) == 1


async def test_whoever_asks_for_it_again_gets_it_again(make: Make) -> None:
    async with make(**ONCE) as house:
        for name, again in (("b1", False), ("b2", True)):
            await house.service.submit(house.order(name, again=again))
            assert (await house.ended(name)).deliveries[0].state is DeliveryState.DONE


async def test_it_is_said_where_it_was_not_heard(make: Make) -> None:
    async with make(**ONCE) as house:
        await house.service.submit(house.order("b1", "s1"))
        await house.ended()
        await house.service.submit(house.order("b2", "s1", "s2"))
        view = await house.ended("b2")
        assert [(d.speaker, d.state, d.reason) for d in view.deliveries] == [
            ("s1", DeliveryState.FAILED, "duplicate"), ("s2", DeliveryState.DONE, ""),
        ]  # fmt: skip


async def test_what_failed_may_be_ordered_again_at_once(make: Make) -> None:
    async with make(**ONCE) as house:
        house.swapped.add(DeviceId("s1"))
        await house.service.submit(house.order("b1"))
        assert (await house.ended()).deliveries[0].reason == "wrong-device"
        house.swapped.clear()
        await house.service.submit(house.order("b2"))
        assert (await house.ended("b2")).deliveries[0].state is DeliveryState.DONE


async def test_what_the_store_did_not_take_may_be_ordered_again_at_once(make: Make) -> None:
    async with make(**ONCE) as house:
        async with broken(house.store):
            with pytest.raises(GatewayError):
                await house.service.submit(house.order("b1"))
        await house.service.submit(house.order("b2"))
        assert (await house.ended("b2")).deliveries[0].state is DeliveryState.DONE


async def test_a_restart_does_not_forget_what_was_said(make: Make) -> None:
    async with make(**ONCE) as house:
        await house.service.submit(house.order("b1"))
        await house.ended()
        house.service = house.make_service()
        async with running(house.service):
            assert (await refused(house, house.order("b2"))).code == "duplicate"


# -- pauses -----------------------------------------------------------------------------------------------------------

PAUSED = {"restraint": Restraint(Pauses({Priority.NOTICE: timedelta(seconds=10), Priority.SCHEDULE: timedelta(seconds=60)}))}


async def test_a_loudspeaker_keeps_silent_between_two_notices(make: Make) -> None:
    async with make(**PAUSED) as house:
        await house.service.submit(house.order("b1"))
        ended = (await calmly_ended(house, "b1")).deliveries[0].figures.last_packet_at
        await house.service.submit(house.order("b2"))
        await house.clock.advance(9.9)
        await house.settled()
        assert len(house.speakers[DeviceId("s1")].sessions) == 1
        began = (await calmly_ended(house, "b2")).deliveries[0].figures.first_packet_at
        assert ended is not None and began is not None
        assert timedelta(seconds=10) <= began - ended <= timedelta(seconds=10.1)


async def test_a_pause_that_outlasts_the_deadline_is_told_at_once(make: Make) -> None:
    async with make(**PAUSED) as house:
        await house.service.submit(house.order("b1"))
        await house.ended()
        error = await refused(house, house.order("b2", priority=Priority.SCHEDULE))
        assert isinstance(error, Conflict) and error.code == "cooling-down" and "12:01" in str(error)


async def test_enforcement_and_emergencies_do_not_wait(make: Make) -> None:
    async with make(**PAUSED) as house:
        await house.service.submit(house.order("b1"))
        ended = (await calmly_ended(house, "b1")).deliveries[0].figures.last_packet_at
        await house.service.submit(house.order("waits"))
        for name, priority in (("b2", Priority.ENFORCEMENT), ("b3", Priority.EMERGENCY)):
            await house.service.submit(house.order(name, priority=priority))
            began = (await calmly_ended(house, name)).deliveries[0].figures.first_packet_at
            assert ended is not None and began is not None and began - ended < timedelta(seconds=2)
        assert (await house.delivery("waits")).state is DeliveryState.QUEUED  # it did not hold the speaker, and did not give way
        await house.ended("waits")
        assert (await house.delivery("waits")).state is DeliveryState.DONE


async def test_a_pause_that_grew_longer_while_it_waited_ends_as_one(make: Make) -> None:
    async with make(**PAUSED) as house:
        programme = await long_clip(house)
        await house.service.submit(house.order("b1", programme=programme))
        await house.clock.advance(0.1)
        await house.service.submit(house.order("b2", not_after=house.clock.now() + timedelta(seconds=20)))
        view = await house.ended("b2", step_s=0.5)
        assert (view.deliveries[0].state, view.deliveries[0].reason) == (DeliveryState.EXPIRED, "cooling-down")


# -- giving way, and going on -----------------------------------------------------------------------------------------


async def interrupted(house: House, name: str = "b1", **changes: object) -> tuple[Programme, bytes]:
    """A long notice that wants to go on, pre-empted by an emergency that is being heard; the notice and its sound."""
    sound = tone(3.0)
    programme = Programme(ClipContent((await house.shelf.add(wav(sound), name="three seconds", actor=ACTOR)).id))
    await house.service.submit(house.order(name, programme=programme, resume=True, **changes))
    await house.heard()
    await house.clock.advance(1.0)
    await house.service.submit(house.order("e", priority=Priority.EMERGENCY))
    await heard_again(house, 2)
    return programme, sound


async def heard_again(house: House, sounds: int) -> None:
    """Let time pass until so many sounds were begun at the first loudspeaker, and the last is heard."""
    speaker = house.speakers[DeviceId("s1")]
    while len(speaker.turns) < sounds or not speaker.turns[-1]:
        await tick(house)


async def calmly_ended(house: House, name: str) -> View:
    """As `House.ended`, in so much simulated time as it takes on a disk that takes none."""
    while (view := await house.view(name)).open:
        await tick(house)
    return view


async def tick(house: House) -> None:
    """Let a packet's time pass, when nothing waits for the disk any more."""
    for _ in range(4):
        await house.settled()
    await house.clock.advance(0.02)


async def test_what_was_interrupted_goes_on_where_it_was_and_no_sample_is_said_twice(make: Make) -> None:
    async with make() as house:
        _, sound = await interrupted(house)
        assert (await house.delivery()).state is DeliveryState.INTERRUPTED
        view = await house.ended()
        turns = house.speakers[DeviceId("s1")].turns
        assert view.deliveries[0].state is DeliveryState.DONE and len(turns) == 3
        assert len(house.speakers[DeviceId("s1")].sessions) == 1
        first, emergency, rest = (b"".join(payload for _, payload in turn) for turn in turns)
        assert snr_db(DECODERS["PCMA"](emergency), PCM) > 30
        assert snr_db(DECODERS["PCMA"](first + rest), sound) > 30
        assert view.deliveries[0].figures.packets == len(turns[0]) + len(turns[2])
        states = [event.data["state"] for event in await house.store.events.read_after(0, limit=100)
                  if event.type == "broadcast.delivery" and event.subject == "b1"]  # fmt: skip
        assert states == ["playing", "interrupted", "playing", "done"]


async def test_nothing_of_the_old_is_sent_once_the_new_is_and_it_begins_within_300_ms(make: Make) -> None:
    async with make() as house:
        await interrupted(house)
        old, new = house.speakers[DeviceId("s1")].turns
        assert old[-1][0] <= new[0][0] <= old[-1][0] + 0.3
        await house.ended()


async def test_what_does_not_ask_to_go_on_is_dropped(make: Make) -> None:
    async with make() as house:
        programme = await long_clip(house)
        await house.service.submit(house.order(programme=programme))
        await house.heard()
        await house.service.submit(house.order("e", priority=Priority.EMERGENCY))
        await house.ended("e")
        view = await house.ended()
        assert (view.deliveries[0].state, view.deliveries[0].reason) == (DeliveryState.PREEMPTED, "preempted")
        await house.clock.advance(20)
        assert len(house.speakers[DeviceId("s1")].turns) == 2


async def test_what_cannot_go_on_before_its_deadline_is_dropped(make: Make) -> None:
    async with make() as house:
        await house.shelf.add(wav(tone(5.0)), name="five seconds", actor=ACTOR)
        programme = await long_clip(house, 3.0)
        await house.service.submit(house.order(programme=programme, resume=True, not_after=house.clock.now() + timedelta(seconds=2)))
        await house.heard()
        await house.service.submit(house.order("e", priority=Priority.EMERGENCY, programme=await long_clip(house, 5.0)))
        view = await house.ended()
        assert (view.deliveries[0].state, view.deliveries[0].reason) == (DeliveryState.PREEMPTED, "preempted")
        await house.ended("e")
        assert len(house.speakers[DeviceId("s1")].turns) == 2


async def test_it_goes_on_before_others_of_its_priority_that_came_later(make: Make) -> None:
    async with make() as house:
        await house.service.submit(house.order("b1", programme=await long_clip(house, 3.0), resume=True))
        await house.heard()
        await house.service.submit(house.order("b2"))
        await house.settled()
        await house.service.submit(house.order("e", priority=Priority.EMERGENCY))
        await house.ended("b2")
        first, second = (await house.delivery("b1")).figures, (await house.delivery("b2")).figures
        assert first.last_packet_at is not None and second.first_packet_at is not None
        assert first.last_packet_at < second.first_packet_at


async def test_it_gives_way_as_often_as_it_must(make: Make) -> None:
    async with make() as house:
        _, sound = await interrupted(house)
        await heard_again(house, 3)
        await house.clock.advance(0.5)
        await house.service.submit(house.order("t", priority=Priority.TALK, again=True))
        await house.ended("t")
        view = await house.ended()
        turns = house.speakers[DeviceId("s1")].turns
        assert view.deliveries[0].state is DeliveryState.DONE and len(turns) == 5
        heard = b"".join(payload for turn in (turns[0], turns[2], turns[4]) for _, payload in turn)
        assert snr_db(DECODERS["PCMA"](heard), sound) > 30


async def test_what_is_pre_empted_while_it_connects_waits_and_is_heard_whole(make: Make) -> None:
    async with make() as house:
        speaker = house.speakers[DeviceId("s1")]
        speaker.opens.clear()
        await house.service.submit(house.order(resume=True))
        await speaker.asked.wait()
        speaker.asked.clear()
        await house.service.submit(house.order("e", priority=Priority.EMERGENCY, programme=await long_clip(house, 1.0)))
        await speaker.asked.wait()
        speaker.opens.set()
        view = await house.ended()
        await house.ended("e")
        assert view.deliveries[0].state is DeliveryState.DONE
        assert [len(turn) for turn in speaker.turns] == [50, 5]


async def test_what_must_give_way_while_its_going_on_is_written_down_does_not_go_on(make: Make) -> None:
    async with make() as house:
        await interrupted(house)
        (part,) = house.service._active[BroadcastId("b1")]
        door, write = asyncio.Event(), house.store.writer.write

        async def slow(change: Change[T], *, lane: Lane) -> T:
            """A store whose disk takes its time once all is ready for it to go on."""
            answer = await write(change, lane=lane)
            ready = part.interrupted and part.stream is not None and not part.stream.finished.done()
            if ready and not door.is_set():
                part.preempt()
                door.set()
            return answer

        house.store.writer.write = slow  # type: ignore[method-assign]  # the disk of the real store, slowed down
        view = await house.ended()
        first, _, rest = house.speakers[DeviceId("s1")].turns
        assert door.is_set() and first and rest
        assert view.deliveries[0].state is DeliveryState.DONE
        states = [event.data["state"] for event in await house.store.events.read_after(0, limit=100)
                  if event.type == "broadcast.delivery" and event.subject == "b1"]  # fmt: skip
        assert states[:2] == ["playing", "interrupted"] and states[-2:] == ["playing", "done"]


async def test_what_is_interrupted_can_be_silenced(make: Make) -> None:
    async with make() as house:
        await interrupted(house)
        view = await house.service.cancel(BroadcastId("b1"), ACTOR)
        assert view.deliveries[0].state is DeliveryState.CANCELLED
        await house.ended("e")
        await house.clock.advance(5)
        assert len(house.speakers[DeviceId("s1")].turns) == 2


async def test_a_restart_never_goes_on(make: Make) -> None:
    async with make() as house:
        await interrupted(house)
        await house.service.written()
        house.service = house.make_service()
        async with running(house.service):
            await house.service.written()
            delivery = await house.delivery()
            assert (delivery.state, delivery.reason) == (DeliveryState.PREEMPTED, "gateway-restarted")
            heard = len(house.speakers[DeviceId("s1")].turns)
        assert heard == 2


# -- which device it is -----------------------------------------------------------------------------------------------


async def test_why_another_device_was_not_spoken_through_is_said_in_words(make: Make) -> None:
    async with make() as house:
        house.swapped.add(DeviceId("s1"))
        await house.service.submit(house.order())
        delivery = (await house.ended()).deliveries[0]
        assert (delivery.reason, delivery.detail) == ("wrong-device", "s1: another serial number")
        told = [event.data for event in await house.store.events.read_after(0, limit=100) if event.type == "broadcast.delivery"]
        assert [(data["state"], data["detail"]) for data in told] == [("failed", "s1: another serial number")]
