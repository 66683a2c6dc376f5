"""Broadcasts from the order to the record: what is heard, once and in time, and what a crash leaves."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from gateway.domain.broadcast import Broadcast, BroadcastId, ClipContent, ClipId, Delivery, DeliveryState, Priority, Programme
from gateway.domain.devices import DeviceId
from gateway.errors import Conflict, InvalidInput, NotFound, Overloaded, Unreachable
from gateway.storage.writer import Lane
from tests.broadcast.house import ACTOR, PCM, House, Loudspeaker, events_of, furnished, playing, running
from tests.media.g711 import DECODERS
from tests.media.test_clips import snr_db
from tests.waiting import until

# -- what is heard ----------------------------------------------------------------------------------------------------


async def test_a_clip_is_heard_at_every_speaker_in_the_speakers_own_codec(house: House) -> None:
    house.speakers[DeviceId("s2")].encoding = "PCMU"
    await house.service.submit(house.order("b1", "s1", "s2"))
    view = await house.ended()
    assert {delivery.state for delivery in view.deliveries} == {DeliveryState.DONE}
    for speaker, encoding in (("s1", "PCMA"), ("s2", "PCMU")):
        heard = DECODERS[encoding](house.speakers[DeviceId(speaker)].sound)
        assert snr_db(heard, PCM) > 30


async def test_a_loudspeaker_that_takes_no_g711_hears_the_clip_in_g722(house: House) -> None:
    house.speakers[DeviceId("s1")].encoding = "G722"
    await house.service.submit(house.order("b1", "s1"))
    assert (await house.ended()).deliveries[0].state is DeliveryState.DONE
    assert house.speakers[DeviceId("s1")].sound == (await house.shelf.prepared(house.clip)).encodings["G722"]


async def test_packets_leave_every_20_ms_and_begin_together(house: House) -> None:
    await house.service.submit(house.order("b1", "s1", "s2", "s3"))
    await house.ended()
    times = [[at for at, _ in house.speakers[DeviceId(s)].sessions[0].packets] for s in ("s1", "s2", "s3")]
    assert times[0] == times[1] == times[2]
    assert [round(b - a, 6) for a, b in zip(times[0], times[0][1:], strict=False)] == [0.02] * 4


async def test_the_record_says_who_what_where_and_when(house: House) -> None:
    began = house.clock.now()
    await house.service.submit(house.order("b1", "s1", case="case 7"))
    await house.heard()
    await house.ended()
    figures = (await house.delivery()).figures
    assert (figures.encoding, figures.packets, figures.dropped, figures.first_packet_at) == ("PCMA", 5, 0, began)
    assert figures.last_packet_at == began + timedelta(milliseconds=80)
    accepted = (await events_of(house, "broadcast.accepted"))[0]
    assert accepted.data["actor"] == str(ACTOR)
    assert accepted.data["case"] == "case 7"
    told = (await events_of(house, "broadcast.delivery"))[-1].data
    assert (told["encoding"], told["path"], told["lost"]) == ("PCMA", figures.path, figures.lost)
    assert told["last_packet_at"] == figures.last_packet_at.isoformat()
    states = [event.data["state"] for event in await events_of(house, "broadcast.delivery")]
    assert states == ["playing", "done"]
    assert [event.data for event in await events_of(house, "broadcast.ended")] == [{"done": 1}]


async def test_playing_is_on_the_disk_before_the_first_packet(house: House) -> None:
    seen: list[DeliveryState] = []
    await house.service.submit(house.order())
    await house.heard()
    async with house.store.read() as tx:
        seen += [delivery.state for _, delivery in await tx.broadcasts.open()]
    assert seen == [DeliveryState.PLAYING]
    await house.ended()


async def test_those_who_are_ready_wait_a_second_for_the_others_and_no_longer(house: House) -> None:
    slow, quick = house.speakers[DeviceId("s2")], house.speakers[DeviceId("s1")]
    slow.opens.clear()
    await house.service.submit(house.order("b1", "s1", "s2"))
    await quick.opened.wait()
    await house.clock.advance(0.99)
    await house.settled()
    assert not quick.sessions[0].heard.is_set()
    await house.clock.advance(0.02)
    await house.heard("s1")
    await house.clock.advance(0.02)
    slow.opens.set()
    view = await house.ended()
    assert {delivery.state for delivery in view.deliveries} == {DeliveryState.DONE}
    assert slow.sessions[0].packets[0][0] > quick.sessions[0].packets[0][0]


@pytest.mark.parametrize("end", ["played", "lost", "cancelled", "silenced"])
async def test_every_session_is_closed_however_it_ends(house: House, end: str) -> None:
    await house.service.submit(house.order("b1", "s1", "s2"))
    sessions = [await house.heard(name) for name in ("s1", "s2")]
    if end == "lost":
        house.speakers[DeviceId("s2")].drains = False
    elif end == "cancelled":
        await house.service.cancel(BroadcastId("b1"), ACTOR)
    elif end == "silenced":
        house.service.stop_all(ACTOR)
    await house.ended()
    assert [session.closed.is_set() for session in sessions] == [True, True]


# -- once, in time ----------------------------------------------------------------------------------------------------


async def test_the_same_order_sent_again_is_answered_and_not_repeated(house: House) -> None:
    order = house.order()
    await house.service.submit(order)
    await house.ended()
    await house.clock.advance(3600)
    again = await house.service.submit(order)
    assert again.deliveries[0].state is DeliveryState.DONE
    assert len(house.speakers[DeviceId("s1")].sessions) == 1


async def test_the_same_order_sent_many_times_at_once_is_one_broadcast(house: House) -> None:
    views = await asyncio.gather(*(house.service.submit(house.order()) for _ in range(10)))
    assert {view.broadcast for view in views} == {views[0].broadcast}
    await house.ended()
    assert len(house.speakers[DeviceId("s1")].sessions) == 1


async def test_another_order_with_a_known_id_is_refused(house: House) -> None:
    order = house.order()
    await house.service.submit(order)
    with pytest.raises(Conflict) as caught:
        await house.service.submit(replace(order, priority=Priority.EMERGENCY))
    assert caught.value.code == "id-reused"
    await house.ended()


async def test_an_order_whose_time_is_over_or_too_far_is_refused(house: House) -> None:
    for seconds, code in ((0, "expired"), (-5, "expired"), (61, "not-after-too-far")):
        with pytest.raises(InvalidInput) as caught:
            await house.service.submit(house.order(not_after=house.clock.now() + timedelta(seconds=seconds)))
        assert caught.value.code == code


async def test_a_time_without_offset_an_unknown_clip_and_a_bad_id_are_refused(house: House) -> None:
    with pytest.raises(InvalidInput, match="cannot be taken"):
        await house.service.submit(house.order(not_after=datetime(2026, 1, 1, 0, 0, 30)))  # noqa: DTZ001 -- naive on purpose
    with pytest.raises(NotFound, match="no clip"):
        await house.service.submit(house.order(clip=ClipId("f" * 64)))
    for name in ("", "x" * 101, "a\nb"):
        with pytest.raises(InvalidInput):
            await house.service.submit(house.order(name))


async def test_what_could_not_begin_in_time_expires_unheard(house: House) -> None:
    speaker = house.speakers[DeviceId("s1")]
    speaker.opens.clear()
    await house.service.submit(house.order())
    await speaker.asked.wait()
    await house.clock.advance(31)
    await house.ended()
    delivery = await house.delivery()
    assert (delivery.state, delivery.reason) == (DeliveryState.EXPIRED, "too-slow")
    assert not speaker.sessions


async def test_a_wall_clock_that_steps_forward_lets_nothing_begin_late(house: House) -> None:
    speaker = house.speakers[DeviceId("s1")]
    speaker.opens.clear()
    await house.service.submit(house.order())
    await speaker.asked.wait()
    house.clock.step(timedelta(hours=1))
    speaker.opens.set()
    await house.ended()
    assert (await house.delivery()).state is DeliveryState.EXPIRED
    assert not speaker.sound


# -- crashes ----------------------------------------------------------------------------------------------------------


async def test_after_a_crash_what_was_playing_is_unknown_and_nothing_is_played_again(store, clock, tmp_path) -> None:
    house = await furnished(store, clock, tmp_path)
    for name, state in (("p", DeliveryState.PLAYING), ("q", DeliveryState.QUEUED)):
        await _leave_open(house, name, state)
    async with running(house.service):
        await house.service.written()
        await clock.advance(1)
        found = {name: await house.delivery(name) for name in ("p", "q")}
    assert [(found[name].state, found[name].reason) for name in ("p", "q")] == [
        (DeliveryState.UNKNOWN, "gateway-restarted"),
        (DeliveryState.FAILED, "gateway-restarted"),
    ]
    assert not house.speakers[DeviceId("s1")].sessions


async def _leave_open(house: House, name: str, state: DeliveryState) -> None:
    order = house.order(name)
    broadcast = Broadcast(order.id, order.programme, order.targets, order.priority, order.not_after, house.clock.now(), ACTOR)
    delivery = Delivery(order.id, DeviceId("s1"), state, house.clock.now())
    await house.store.writer.write(lambda tx: tx.broadcasts.add(broadcast, [delivery]), lane=Lane.BROADCAST)


async def test_a_service_that_is_stopped_silences_its_speakers_and_writes_down_why(store, clock, tmp_path) -> None:
    house = await furnished(store, clock, tmp_path)
    async with running(house.service):
        await playing(house)
    delivery = await house.delivery()
    assert (delivery.state, delivery.reason) == (DeliveryState.FAILED, "gateway-stopped")
    assert house.speakers[DeviceId("s1")].sessions[0].closed.is_set()
    async with running(house.service):
        await house.service.submit(house.order("b2"))
        await house.ended("b2")


async def test_a_service_that_does_not_run_takes_no_orders(store, clock, tmp_path) -> None:
    house = await furnished(store, clock, tmp_path)
    with pytest.raises(Overloaded):
        await house.service.submit(house.order())
    assert house.service.stop_all(ACTOR).speakers == 0


async def test_a_caller_that_goes_away_leaves_an_order_that_is_carried_out(house: House) -> None:
    held, disk = asyncio.Event(), asyncio.Event()

    async def hold_up(_tx: object) -> None:
        held.set()
        await disk.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(house.store.writer.write(hold_up, lane=Lane.STOP))
        await held.wait()
        submitting = group.create_task(house.service.submit(house.order()))
        await until(lambda: house.store.writer.depth)  # the order waits for the store
        submitting.cancel()
        disk.set()
    await house.heard()
    await house.ended()
    assert (await house.delivery()).state is DeliveryState.DONE


@dataclass
class Unmet(Loudspeaker):
    """A loudspeaker to which the way is not known."""

    prepared: asyncio.Event = field(default_factory=asyncio.Event)

    async def prepare(self, *, timeout_s: float) -> None:
        assert timeout_s > 0
        self.prepared.set()
        raise Unreachable("no way")  # which is said when it is spoken to


async def test_the_way_to_a_speaker_is_looked_for_while_the_order_is_written_down(house: House) -> None:
    unmet = house.speakers[DeviceId("s1")] = Unmet(house.clock)
    unmet.opens.set()
    unmet.confirms.set()
    disk = asyncio.Event()

    async def hold_up(_tx: object) -> None:
        await disk.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(house.store.writer.write(hold_up, lane=Lane.STOP))
        submitting = group.create_task(house.service.submit(house.order()))
        await unmet.prepared.wait()
        assert not submitting.done()
        assert not unmet.asked.is_set()
        disk.set()
    await house.heard()
    await house.ended()


async def test_broadcasts_are_listed_latest_first_with_their_deliveries(house: House) -> None:
    for name in ("b1", "b2"):
        await house.service.submit(house.order(name))
        await house.ended(name)
        await house.clock.advance(1)
    views = await house.service.page(limit=10)
    assert [(view.broadcast.id, view.deliveries[0].state) for view in views] == [("b2", DeliveryState.DONE), ("b1", DeliveryState.DONE)]
    last = views[0].broadcast
    assert [view.broadcast.id for view in await house.service.page(before=(last.created_at, last.id), limit=10)] == ["b1"]


async def test_a_clip_that_is_being_spoken_is_not_removed_and_its_broadcast_outlives_it(house: House) -> None:
    await house.service.submit(house.order())
    await house.heard()
    with pytest.raises(Conflict, match="broadcast b1") as caught:
        await house.shelf.remove(house.clip, ACTOR)
    assert caught.value.code == "clip-in-use"
    await house.ended()
    await house.shelf.remove(house.clip, ACTOR)
    assert (await house.view()).broadcast.programme == Programme(ClipContent(house.clip))
    with pytest.raises(NotFound):
        await house.service.submit(house.order("b2"))


async def test_what_was_ordered_before_a_stop_is_refused_by_the_next_life_as_well(house: House) -> None:
    house.service.stop_all(ACTOR)
    await house.service.written()
    reborn = house.make_service()
    async with running(reborn):
        with pytest.raises(Conflict, match="silenced") as unsaid:
            await reborn.submit(house.order("b2"))
        with pytest.raises(Conflict, match="silenced") as before:
            await reborn.submit(house.order("b3", issued_at=house.clock.now() - timedelta(seconds=1)))
        assert unsaid.value.code == before.value.code == "stop-all"
        await house.clock.advance(0.5)
        await reborn.submit(house.order("b4", issued_at=house.clock.now()))
        await house.clock.advance(60)
        await reborn.submit(house.order("b5", again=True))


async def test_a_clock_that_was_set_back_after_a_stop_silences_nobody(house: House) -> None:
    house.service.stop_all(ACTOR)
    house.clock.step(timedelta(hours=-1))
    await house.service.submit(house.order("b2", issued_at=house.clock.now()))
    assert (await house.ended("b2")).deliveries[0].state is DeliveryState.DONE
