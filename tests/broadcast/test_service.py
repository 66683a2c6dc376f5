import asyncio
import functools
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from gateway.domain.broadcast import Broadcast, BroadcastId, ClipContent, ClipId, Delivery, DeliveryState, Priority, Programme, Targets
from gateway.domain.devices import CellCode, DeviceId, GroupId, ZoneId
from gateway.domain.health import HealthState, Standing
from gateway.errors import Busy, Conflict, Forbidden, InvalidInput, NotFound, Overloaded, StorageFailed, Unreachable
from gateway.storage.writer import Lane
from tests.broadcast.house import ACTOR, PCM, House, Loudspeaker, Session, broken, furnished, running
from tests.media.g711 import DECODERS
from tests.media.test_clips import snr_db, tone, wav
from tests.waiting import until


async def events_of(house: House, kind: str) -> list:
    return [event for event in await house.store.events.read_after(0, limit=1000) if event.type == kind]


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


# -- where it is heard ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("targets", "speakers"),
    [
        (Targets(zones=(ZoneId("z1"),)), {"s1", "s2"}),
        (Targets(cells=(CellCode("c1"),)), {"s1", "s2", "s3"}),
        (Targets(groups=(GroupId("g1"),)), {"s1", "s2", "s3"}),
        (Targets(speakers=(DeviceId("s3"), DeviceId("s3")), zones=(ZoneId("z1"),)), {"s1", "s2", "s3"}),
    ],
)
async def test_places_are_resolved_to_their_speakers_once_each(house: House, targets: Targets, speakers: set[str]) -> None:
    view = await house.service.submit(house.order(targets=targets))
    assert {delivery.speaker for delivery in view.deliveries} == speakers
    await house.ended()


async def test_every_unknown_target_is_named(house: House) -> None:
    targets = Targets((DeviceId("s1"), DeviceId("s9"), DeviceId("cam")), (ZoneId("z9"),), (CellCode("c9"),), (GroupId("g9"),))
    with pytest.raises(InvalidInput) as caught:
        await house.service.submit(house.order(targets=targets))
    assert [fault.where for fault in caught.value.faults] == [
        "/targets/speakers/1", "/targets/speakers/2", "/targets/zones/0", "/targets/cells/0", "/targets/groups/0",
    ]  # fmt: skip


async def test_a_place_without_speakers_is_said_to_have_none(house: House) -> None:
    with pytest.raises(InvalidInput, match="no loudspeaker"):
        await house.service.submit(house.order(targets=Targets(groups=(GroupId("g2"),))))


async def test_no_key_reaches_more_speakers_than_its_cap(house: House) -> None:
    with pytest.raises(Forbidden) as caught:
        await house.service.submit(house.order("b1", "s1", "s2", speaker_cap=1))
    assert caught.value.code == "too-many-speakers"
    with pytest.raises(Forbidden):
        await house.service.submit(house.order("b1", "s1", "s2", "s3", "s4"))


async def test_a_speaker_that_is_down_is_left_out_and_said_to_be(house: House) -> None:
    house.board.put(Standing(DeviceId("s2"), HealthState.DOWN))
    await house.service.submit(house.order("b1", "s1", "s2", "s4"))
    await house.ended()
    found = {d.speaker: (d.state, d.reason) for d in (await house.view()).deliveries}
    assert found == {
        "s1": (DeliveryState.DONE, ""),
        "s2": (DeliveryState.FAILED, "speaker-down"),
        "s4": (DeliveryState.FAILED, "disabled"),
    }
    assert [event.data for event in await events_of(house, "broadcast.ended")] == [{"done": 1, "failed": 2}]


async def test_without_any_healthy_speaker_nothing_is_accepted(house: House) -> None:
    house.board.put(Standing(DeviceId("s1"), HealthState.DOWN))
    with pytest.raises(Conflict) as caught:
        await house.service.submit(house.order())
    assert caught.value.code == "no-healthy-speaker"
    with pytest.raises(NotFound):
        await house.view()


async def test_no_sound_goes_to_a_device_that_is_another_one(house: House) -> None:
    house.swapped.add(DeviceId("s1"))
    await house.service.submit(house.order("b1", "s1", "s2"))
    await house.ended()
    assert (await house.delivery()).reason == "wrong-device"
    [session] = house.speakers[DeviceId("s1")].sessions
    assert (session.packets, session.closed.is_set()) == ([], True)
    assert (await house.delivery(speaker="s2")).state is DeliveryState.DONE


async def test_a_speaker_that_refuses_fails_alone_with_its_reason(house: House) -> None:
    house.speakers[DeviceId("s1")].failure = Busy("somebody talks")
    await house.service.submit(house.order("b1", "s1", "s2"))
    await house.ended()
    assert [(d.state, d.reason) for d in (await house.view()).deliveries] == [
        (DeliveryState.FAILED, "busy"),
        (DeliveryState.DONE, ""),
    ]


async def test_a_connection_that_does_not_drain_for_a_second_is_lost(house: House) -> None:
    house.speakers[DeviceId("s1")].drains = False
    shelf_clip = await house.shelf.add(_long_wav(), name="long", actor=ACTOR)
    await house.service.submit(house.order(clip=shelf_clip.id))
    await house.ended()
    delivery = await house.delivery()
    assert (delivery.state, delivery.reason, delivery.figures.dropped) == (DeliveryState.FAILED, "connection-lost", 50)


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
        await house.service.submit(house.order(not_after=datetime(2026, 1, 1, 0, 0, 30)))  # noqa: DTZ001 - naive on purpose
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


# -- who gives way ----------------------------------------------------------------------------------------------------


async def playing(house: House, name: str = "b1", *speakers: str, **changes: object) -> None:
    """A long broadcast that is being heard."""
    clip = await house.shelf.add(_long_wav(), name="long", actor=ACTOR)
    await house.service.submit(house.order(name, *speakers, clip=clip.id, **changes))
    for speaker in speakers or ("s1",):
        await house.speakers[DeviceId(speaker)].opened.wait()
        while not house.speakers[DeviceId(speaker)].sound:
            await house.clock.advance(0.02)


@functools.cache
def _long_wav() -> bytes:
    """Long enough that simulated time cannot reach its end while a busy disk keeps the next order waiting."""
    return wav(tone(15))


async def test_an_emergency_interrupts_a_notice(house: House) -> None:
    await playing(house)
    await house.service.submit(house.order("b2", priority=Priority.EMERGENCY))
    await house.ended("b2")
    assert (await house.delivery("b1")).state is DeliveryState.PREEMPTED
    assert (await house.delivery("b2")).state is DeliveryState.DONE
    (session,) = house.speakers[DeviceId("s1")].sessions
    assert session.closed.is_set()
    before, after = (await house.delivery("b1")).figures, (await house.delivery("b2")).figures
    assert (after.packets, len(session.packets)) == (5, before.packets + 5)
    assert before.last_packet_at <= after.first_packet_at
    urgent = (await house.shelf.prepared(house.clip)).encodings["PCMA"]
    assert b"".join(payload for _, payload in session.packets[-5:]) == urgent


async def test_who_cannot_go_on_in_the_session_of_another_sets_up_its_own(house: House) -> None:
    speaker = house.speakers[DeviceId("s1")]
    for number, spoil in enumerate((_hung_up, _with_much_in_its_buffer, _in_an_encoding_that_is_not_to_be_had)):
        await playing(house, f"notice-{number}", again=True)
        session = speaker.sessions[-1]
        spoil(session)
        await house.service.submit(house.order(f"emergency-{number}", priority=Priority.EMERGENCY, again=True))
        await house.ended(f"emergency-{number}")
        assert (await house.delivery(f"emergency-{number}")).state is DeliveryState.DONE
        assert speaker.sessions[-2] is session
        assert session.closed.is_set()
        speaker.opened.clear()


def _hung_up(session: Session) -> None:
    session.closed.set()


def _with_much_in_its_buffer(session: Session) -> None:
    session.format = replace(session.format, buffers_s=1.0)


def _in_an_encoding_that_is_not_to_be_had(session: Session) -> None:
    session.format = replace(session.format, encoding="L16")


async def test_another_device_hears_nothing_through_the_session_of_the_right_one(house: House) -> None:
    await playing(house)
    (session,) = house.speakers[DeviceId("s1")].sessions
    house.swapped.add(DeviceId("s1"))
    await house.service.submit(house.order("b2", priority=Priority.EMERGENCY))
    await house.ended("b2")
    delivery = await house.delivery("b2")
    assert (delivery.state, delivery.reason) == (DeliveryState.FAILED, "wrong-device")
    assert len(session.packets) == (await house.delivery("b1")).figures.packets
    assert session.closed.is_set()


async def test_a_session_that_is_left_to_somebody_who_does_not_come_is_closed(house: House) -> None:
    await playing(house)
    (session,) = house.speakers[DeviceId("s1")].sessions
    urgent = await house.service.submit(house.order("b2", priority=Priority.EMERGENCY))
    while house.service.follow(urgent.broadcast.id)()[0].state is DeliveryState.QUEUED and not session.closed.is_set():
        if (await house.delivery("b1")).state is DeliveryState.PREEMPTED:
            break
        await house.clock.advance(0)
    house.service.stop_all(ACTOR)
    await house.ended("b2")
    await until(session.closed.is_set)


async def test_what_is_not_more_important_waits_its_turn(house: House) -> None:
    await playing(house)
    await house.service.submit(house.order("b2"))
    await house.clock.advance(1)
    assert (await house.delivery("b2")).state is DeliveryState.QUEUED
    await house.ended("b2")
    assert (await house.delivery("b1")).state is DeliveryState.DONE
    assert (await house.delivery("b2")).state is DeliveryState.DONE


async def test_what_waits_in_vain_expires_as_the_speaker_was_busy(house: House) -> None:
    await playing(house)
    await house.service.submit(house.order("b2", not_after=house.clock.now() + timedelta(seconds=2)))
    await house.clock.advance(2.5)
    delivery = await house.delivery("b2")
    assert (delivery.state, delivery.reason) == (DeliveryState.EXPIRED, "speaker-busy")
    await house.ended("b1")


async def test_the_more_important_of_those_who_wait_goes_first(house: House) -> None:
    await playing(house, priority=Priority.TALK)
    await house.service.submit(house.order("low", priority=Priority.SCHEDULE))
    await house.service.submit(house.order("high", priority=Priority.ENFORCEMENT))
    await house.ended("low")
    high, low = (await house.delivery("high")).figures, (await house.delivery("low")).figures
    assert high.last_packet_at < low.first_packet_at


async def test_a_speaker_for_whom_too_many_wait_is_busy(house: House) -> None:
    await playing(house)
    for number in range(8):
        await house.service.submit(house.order(f"w{number}"))
    await house.clock.advance(0.02)
    await house.service.submit(house.order("last"))
    await house.clock.advance(0.02)
    await house.service.written()
    delivery = await house.delivery("last")
    assert (delivery.state, delivery.reason) == (DeliveryState.FAILED, "busy")


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
