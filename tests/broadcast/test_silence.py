"""Cancelling, stopping everything, and a store that fails meanwhile."""

import asyncio

import pytest

from gateway.domain.broadcast import DeliveryState
from gateway.domain.devices import DeviceId
from gateway.errors import Conflict, NotFound, StorageFailed
from tests.broadcast.house import ACTOR, House, broken, events_of, playing

# -- silence ----------------------------------------------------------------------------------------------------------


async def test_cancel_silences_one_broadcast_and_says_so(house: House) -> None:
    await playing(house, "b1", "s1")
    await playing(house, "b2", "s2")
    view = await house.service.cancel((await house.view("b1")).broadcast.id, ACTOR)
    assert [(d.state, d.reason) for d in view.deliveries] == [(DeliveryState.CANCELLED, "cancelled")]
    heard = len(house.speakers[DeviceId("s1")].sessions[0].packets)
    await house.clock.advance(0.2)
    assert len(house.speakers[DeviceId("s1")].sessions[0].packets) == heard
    assert (await house.delivery("b2", "s2")).state is DeliveryState.PLAYING
    async with house.store.read() as tx:
        assert (await tx.broadcasts.deliveries(view.broadcast.id))[0].state is DeliveryState.CANCELLED


async def test_what_is_cancelled_while_it_connects_leaves_the_speaker_at_once(house: House) -> None:
    speaker = house.speakers[DeviceId("s1")]
    speaker.opens.clear()
    await house.service.submit(house.order())
    await speaker.asked.wait()
    assert (await house.delivery()).state is DeliveryState.CONNECTING
    view = await house.service.cancel(house.order().id, ACTOR)
    assert view.deliveries[0].state is DeliveryState.CANCELLED
    speaker.asked.clear()
    await house.service.submit(house.order("b2"))
    await speaker.asked.wait()
    speaker.opens.set()
    await house.ended("b2")
    assert len(speaker.sessions) == 1


async def test_what_has_ended_or_never_was_cannot_be_cancelled(house: House) -> None:
    await house.service.submit(house.order())
    view = await house.ended()
    with pytest.raises(Conflict) as caught:
        await house.service.cancel(view.broadcast.id, ACTOR)
    assert caught.value.code == "has-ended"
    with pytest.raises(NotFound):
        await house.service.cancel(house.order("never").id, ACTOR)


async def test_stop_all_silences_everything_before_it_returns(house: House) -> None:
    await playing(house, "b1", "s1", "s2")
    await house.service.submit(house.order("waiting"))
    stopped = house.service.stop_all(ACTOR)
    heard = [len(house.speakers[DeviceId(s)].sound) for s in ("s1", "s2")]
    assert (stopped.broadcasts, stopped.speakers) == (2, 3)
    await house.clock.advance(5)
    await house.service.written()
    assert [len(house.speakers[DeviceId(s)].sound) for s in ("s1", "s2")] == heard
    for name in ("b1", "waiting"):
        assert {(d.state, d.reason) for d in (await house.view(name)).deliveries} == {(DeliveryState.CANCELLED, "stop-all")}
    assert len(await events_of(house, "broadcast.stop-all")) == 1


async def test_an_order_on_its_way_in_when_all_is_stopped_is_never_heard(house: House) -> None:
    submitting = asyncio.create_task(house.service.submit(house.order()))
    await asyncio.sleep(0)
    house.service.stop_all(ACTOR)
    await submitting
    await house.ended()
    assert (await house.delivery()).state is DeliveryState.CANCELLED
    assert not house.speakers[DeviceId("s1")].sessions


async def test_after_stop_all_new_orders_are_heard(house: House) -> None:
    await playing(house)
    house.service.stop_all(ACTOR)
    await house.service.submit(house.order("b2"))
    await house.ended("b2")
    assert (await house.delivery("b2")).state is DeliveryState.DONE


# -- a store that fails ------------------------------------------------------------------------------------------------


async def test_stop_all_needs_no_store_and_is_written_down_when_there_is_one_again(house: House) -> None:
    await playing(house, "b1", "s1", "s2")
    async with broken(house.store):
        assert house.service.stop_all(ACTOR).speakers == 2
        heard = [len(house.speakers[DeviceId(s)].sound) for s in ("s1", "s2")]
        await house.clock.advance(2)
        assert [len(house.speakers[DeviceId(s)].sound) for s in ("s1", "s2")] == heard
        for name in ("s1", "s2"):
            await house.speakers[DeviceId(name)].sessions[0].closed.wait()
    await later(house)
    assert {d.state for d in (await house.view()).deliveries} == {DeliveryState.CANCELLED}
    async with house.store.read() as tx:
        stops = [entry for entry in await tx.audit.page(limit=50) if entry.entry.action == "broadcast.stop-all"]
    assert len(stops) == 1


async def test_no_packet_leaves_when_it_cannot_be_written_down_before(house: House) -> None:
    speaker = house.speakers[DeviceId("s1")]
    speaker.opens.clear()
    await house.service.submit(house.order())
    await speaker.asked.wait()
    async with broken(house.store):
        speaker.opens.set()
        await speaker.opened.wait()
        await speaker.sessions[0].closed.wait()
    await later(house)
    delivery = await house.delivery()
    assert (delivery.state, delivery.reason) == (DeliveryState.FAILED, "storage-failed")
    assert not speaker.sound


async def test_an_order_that_the_store_does_not_take_is_refused_and_not_heard(house: House) -> None:
    async with broken(house.store):
        with pytest.raises(StorageFailed):
            await house.service.submit(house.order())
    assert not house.speakers[DeviceId("s1")].asked.is_set()
    await house.service.submit(house.order())
    await house.ended()


async def later(house: House) -> None:
    """Time passes until all that happened is in the store."""
    writing = asyncio.create_task(house.service.written())
    while not writing.done():
        await house.clock.advance(0.2)
