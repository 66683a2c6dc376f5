"""What was just said is not said again, and loudspeakers keep pauses: each test fails without its rule."""

import asyncio
from datetime import timedelta

import pytest

from gateway.broadcast.rulebook import Restraint
from gateway.domain.broadcast import DeliveryState, Priority
from gateway.domain.broadcast_rules import Pauses
from gateway.domain.devices import DeviceId
from gateway.errors import Conflict, GatewayError
from tests.broadcast.house import broken, running
from tests.broadcast.ruled import SECOND, Make, calmly_ended, long_clip, refused

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
        assert str(error.values["until"]) in str(error)


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
