"""Orders that need a second person: each test fails without its rule."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from gateway.domain.broadcast import BroadcastId, DeliveryState, Priority
from gateway.domain.events import Actor, ActorKind, Person
from gateway.errors import Conflict, Forbidden
from tests.broadcast.house import ACTOR, House, events_of, running
from tests.broadcast.ruled import SECOND, Make, refused, silent


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
    assert (view.broadcast.sender, view.broadcast.approver) == ("Li", "Wang")
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


async def test_one_key_that_splits_an_order_across_several_needs_the_second_person(make: Make) -> None:
    async with make(max_speakers=2, max_speakers_approved=3) as house:
        for name, speaker in (("b1", "s1"), ("b2", "s2"), ("b3", "s2")):
            view = await house.service.submit(house.order(name, speaker, again=True))
            assert {delivery.state for delivery in view.deliveries} == {DeliveryState.QUEUED}
        targets, priority = house.order("x", "s3").targets, Priority.NOTICE
        told = house.service.explain(targets, priority=priority, actor=ACTOR)
        assert (told.reached, told.needs_approval) == (3, True)
        other = house.service.explain(targets, priority=priority, actor=SECOND.actor)
        assert (other.reached, other.needs_approval) == (1, False)
        view = await house.service.submit(house.order("b4", "s3"))
        assert {delivery.state for delivery in view.deliveries} == {DeliveryState.AWAITING_APPROVAL}
        accepted = [event for event in await events_of(house, "broadcast.accepted") if event.subject == "b4"]
        assert (accepted[0].data["reach"], accepted[0].data["needs_approval"]) == (3, True)
        for name in ("b1", "b2", "b3"):
            await house.ended(name)
        await house.clock.advance(61)
        view = await house.service.submit(house.order("b5", "s3", again=True))
        assert {delivery.state for delivery in view.deliveries} == {DeliveryState.QUEUED}


async def test_a_restart_does_not_forget_whom_a_key_has_reached(make: Make) -> None:
    async with make(max_speakers=1, max_speakers_approved=3) as house:
        await house.service.submit(house.order("b1", "s1"))
        await house.ended("b1")
        reborn = house.make_service()
        async with running(reborn):
            view = await reborn.submit(house.order("b2", "s2"))
            assert {delivery.state for delivery in view.deliveries} == {DeliveryState.AWAITING_APPROVAL}


async def test_no_notice_that_went_before_makes_an_emergency_wait(make: Make) -> None:
    async with make(max_speakers=2, max_speakers_approved=4) as house:
        await house.service.submit(house.order("b1", "s1", "s2"))
        first = await house.service.submit(house.order("b2", "s3", priority=Priority.EMERGENCY))
        assert DeliveryState.AWAITING_APPROVAL not in {delivery.state for delivery in first.deliveries}
        second = await house.service.submit(house.order("b3", "s1", "s2", priority=Priority.EMERGENCY))
        assert {delivery.state for delivery in second.deliveries} == {DeliveryState.AWAITING_APPROVAL}
