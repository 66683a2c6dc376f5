"""A loudspeaker that cannot be reached, and a view that shall hear all the same: the next one speaks, and the ledger shows both."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.broadcast.routing import ViewRoute
from gateway.broadcast.understudies import Understudies
from gateway.domain.bindings import Binding, BindingState
from gateway.domain.broadcast import BroadcastId, DeliveryState, Priority, Targets, View
from gateway.domain.devices import DeviceId
from gateway.domain.events import Actor, ActorKind
from gateway.errors import Busy, Conflict, Unreachable
from tests.broadcast.house import House, running
from tests.media.test_clips import tone, wav
from tests.waiting import until

CAM = DeviceId("cam")
AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
VIEW = Targets(views=(View(CAM),))
LI = Actor(ActorKind.USER, "li")


@pytest.fixture
def street(house: House) -> House:
    """The house, with s1, s2 and s3 bound to what its camera sees; nobody knows where they hang, so they are tried by name."""
    names = ("s1", "s2", "s3")
    house.city.bind(put=[Binding(CAM, DeviceId(name)).decided(BindingState.CONFIRMED, by="user:li", at=AT) for name in names])
    return house


async def states(house: House, name: str = "b1") -> dict[str, tuple[DeliveryState, str]]:
    return {delivery.speaker: (delivery.state, delivery.reason) for delivery in (await house.view(name)).deliveries}


async def test_the_next_one_speaks_when_the_first_is_not_reached_and_both_are_in_the_ledger(street: House) -> None:
    street.speakers[DeviceId("s1")].failure = Unreachable("no route")
    view = await street.service.submit(street.order(targets=VIEW))
    assert [delivery.speaker for delivery in view.deliveries] == ["s1"]
    await street.ended()
    assert await states(street) == {"s1": (DeliveryState.FAILED, "unreachable"), "s2": (DeliveryState.DONE, "")}
    accepted = next(event for event in await street.store.events.read_after(0, limit=100) if event.type == "broadcast.accepted")
    why = {"camera": "cam", "preset": "", "speaker": "s1", "distance_m": None, "next": ["s2", "s3"]}
    assert accepted.data["views"] == [why]
    assert street.speakers[DeviceId("s2")].sound
    assert not street.speakers[DeviceId("s3")].sessions
    async with street.store.read() as tx:
        stored = await tx.broadcasts.deliveries(BroadcastId("b1"))
    assert [delivery.state for delivery in stored] == [DeliveryState.FAILED, DeliveryState.DONE]


async def test_each_is_tried_once_until_one_speaks_or_none_is_left(street: House) -> None:
    street.swapped.add(DeviceId("s1"))
    street.speakers[DeviceId("s2")].failure = Busy("somebody talks")
    street.speakers[DeviceId("s3")].failure = Unreachable("no route")
    await street.service.submit(street.order(targets=VIEW))
    await street.ended()
    assert {name: reason for name, (_, reason) in (await states(street)).items()} == {
        **{"s1": "wrong-device", "s2": "busy", "s3": "unreachable"}
    }


async def test_nobody_steps_in_for_one_that_was_named_itself(street: House) -> None:
    street.speakers[DeviceId("s1")].failure = Unreachable("no route")
    await street.service.submit(street.order("b1", "s1"))
    await street.ended()
    assert set(await states(street)) == {"s1"}


async def test_nobody_steps_in_when_the_time_is_over(street: House) -> None:
    first = street.speakers[DeviceId("s1")]
    first.opens.clear()
    first.failure = Unreachable("no route")
    await street.service.submit(street.order(targets=VIEW, not_after=street.clock.now() + timedelta(seconds=2)))
    await first.asked.wait()
    await street.clock.advance(2.5)
    first.opens.set()
    await street.ended()
    assert await states(street) == {"s1": (DeliveryState.EXPIRED, "too-slow")}


async def test_nobody_steps_in_once_something_was_heard(street: House) -> None:
    long = await street.shelf.add(wav(tone(3.0)), name="long", actor=LI)
    await street.service.submit(street.order(targets=VIEW, clip=long.id))
    await street.heard("s1")
    street.speakers[DeviceId("s1")].drains = False
    await street.ended(step_s=0.1)
    assert await states(street) == {"s1": (DeliveryState.FAILED, "connection-lost")}


async def test_nobody_says_the_rest_for_one_that_was_interrupted_and_is_gone(street: House) -> None:
    long = await street.shelf.add(wav(tone(3.0)), name="long", actor=LI)
    await street.service.submit(street.order(targets=VIEW, clip=long.id, resume=True))
    await street.heard("s1")
    first = street.speakers[DeviceId("s1")]
    await street.service.submit(street.order("b2", "s1", priority=Priority.EMERGENCY))
    await until(lambda: len(first.turns) == 2 and first.turns[1], meanwhile=lambda: street.clock.advance(0.02))
    first.failure = Unreachable("no route")
    first.sessions[0].format = replace(first.sessions[0].format, buffers_s=1.0)  # nobody goes on in this session
    await street.ended("b2")
    await street.ended("b1", step_s=0.5)
    assert set(await states(street)) == {"s1"}
    assert not street.speakers[DeviceId("s2")].sessions


async def test_stop_all_silences_whoever_stepped_in(street: House) -> None:
    street.speakers[DeviceId("s1")].failure = Unreachable("no route")
    second = street.speakers[DeviceId("s2")]
    second.opens.clear()
    await street.service.submit(street.order(targets=VIEW))
    await second.asked.wait()
    street.service.stop_all(LI)
    second.opens.set()
    await street.ended()
    assert await states(street) == {"s1": (DeliveryState.FAILED, "unreachable"), "s2": (DeliveryState.CANCELLED, "stop-all")}
    assert not second.sound


async def test_a_restart_ends_whoever_had_stepped_in(street: House) -> None:
    street.speakers[DeviceId("s1")].failure = Unreachable("no route")
    second = street.speakers[DeviceId("s2")]
    second.opens.clear()
    await street.service.submit(street.order(targets=VIEW))
    await second.asked.wait()
    await street.service.written()
    again = street.make_service()
    async with running(again):
        await again.written()
        found = await again.get(BroadcastId("b1"))
    assert {delivery.speaker: delivery.reason for delivery in found.deliveries} == {"s1": "unreachable", "s2": "gateway-restarted"}


async def test_a_loudspeaker_with_something_more_important_is_passed_over_at_once(street: House) -> None:
    await street.service.submit(street.order("b0", "s1", priority=Priority.EMERGENCY))
    await street.heard("s1")
    view = await street.service.submit(street.order(targets=VIEW))
    assert [delivery.speaker for delivery in view.deliveries] == ["s2"]
    told = street.service.explain(VIEW, priority=Priority.NOTICE)
    assert next((choice.speaker, choice.reason) for choice in told.choices) == ("s1", "speaker-busy")
    await street.ended("b0")
    await street.ended("b1")


async def test_a_view_that_nobody_reaches_is_refused_and_nothing_is_written(street: House) -> None:
    street.city.bind(gone=list(street.city.bindings))
    with pytest.raises(Conflict) as refused:
        await street.service.submit(street.order(targets=VIEW))
    assert refused.value.code == "no-speaker-reaches"
    assert (await street.service.page(limit=5)) == []


names = st.sampled_from([DeviceId(f"s{n}") for n in range(5)])
lines = st.lists(names, min_size=1, max_size=5, unique=True)


@given(st.lists(lines, max_size=3), st.lists(names, max_size=6, unique=True))
def test_whoever_is_called_stands_in_a_line_of_the_lost_one_and_is_called_once(views: list[list[DeviceId]], lost: list[DeviceId]) -> None:
    understudies = Understudies([ViewRoute(View(CAM), line[0], tuple(line[1:])) for line in views])
    taking = {line[0]: DeliveryState.CONNECTING for line in views}
    for name in lost:
        if name not in taking:
            continue
        taking[name] = DeliveryState.FAILED
        called = understudies.after(name, taking)
        assert not set(called) & taking.keys()
        assert len(called) == len(set(called))
        assert all(any(name in line[: line.index(one)] for line in views if one in line) for one in called)
        taking |= dict.fromkeys(called, DeliveryState.CONNECTING)
    for line in views:
        heard = [name for name in line if taking.get(name) is DeliveryState.CONNECTING]
        assert heard or all(taking.get(name) is DeliveryState.FAILED for name in line), "nobody is left untried while a view is silent"
