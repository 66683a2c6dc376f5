"""The rules of speaking as orders meet them: each test fails without its rule."""

from datetime import date, time, timedelta

import pytest

from gateway.broadcast.rulebook import Restraint
from gateway.domain.broadcast import DeliveryState, Priority
from gateway.domain.broadcast_rules import DatedHours, Effect, SpeakingHours, ZoneRules
from gateway.domain.devices import DeviceId
from gateway.errors import Conflict, Forbidden, InvalidInput
from tests.broadcast.house import ACTOR
from tests.broadcast.ruled import MARKET, SECOND, SHANGHAI, Make, long_clip, refused, silent

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
        assert (error.values["zone"], error.values["because"]) == ("market", "高考") and str(error.values["until"]) in str(error)
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
        await house.service.submit(house.order("urgent", "s2", priority=Priority.EMERGENCY))
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


# -- which device it is -----------------------------------------------------------------------------------------------


async def test_why_another_device_was_not_spoken_through_is_said_in_words(make: Make) -> None:
    async with make() as house:
        house.swapped.add(DeviceId("s1"))
        await house.service.submit(house.order())
        delivery = (await house.ended()).deliveries[0]
        assert (delivery.reason, delivery.detail) == ("wrong-device", "s1: another serial number")
        told = [event.data for event in await house.store.events.read_after(0, limit=100) if event.type == "broadcast.delivery"]
        assert [(data["state"], data["detail"]) for data in told] == [("failed", "s1: another serial number")]
