"""Who is interrupted at a loudspeaker, who waits there, and what becomes of a session meanwhile."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.broadcast import service
from gateway.clock import SimulatedClock
from gateway.domain.broadcast import DeliveryState, Priority
from gateway.domain.devices import DeviceId
from gateway.errors import Overloaded
from gateway.storage.store import Store
from tests.broadcast.house import ACTOR, House, Session, furnished, playing, running
from tests.waiting import until


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


async def test_what_stood_in_the_way_of_an_import_is_not_spoken_through(house: House) -> None:
    speaker = house.speakers[DeviceId("s1")]
    speaker.opens.clear()
    await house.service.submit(house.order())
    await speaker.asked.wait()
    house.move("s1", "127.0.0.9")
    speaker.opens.set()
    await house.ended()
    assert (await house.delivery()).state is DeliveryState.DONE
    before, now = speaker.sessions
    assert before.closed.is_set()
    assert not before.packets
    assert len(now.packets) == 5


async def test_a_session_with_where_a_speaker_was_before_an_import_is_not_gone_on_with(house: House) -> None:
    await playing(house)
    house.move("s1", "127.0.0.9")
    await house.service.submit(house.order("b2", priority=Priority.EMERGENCY))
    await house.ended("b2")
    before, now = house.speakers[DeviceId("s1")].sessions
    assert len(before.packets) == (await house.delivery("b1")).figures.packets
    assert len(now.packets) == 5


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
    assert [(await house.delivery(name)).state for name in ("b1", "b2")] == [DeliveryState.PREEMPTED, DeliveryState.CANCELLED]


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


async def test_an_emergency_gets_past_a_full_queue_in_the_place_of_the_youngest_of_the_least_important(house: House) -> None:
    await playing(house, priority=Priority.ENFORCEMENT)
    for number in range(4):
        await house.service.submit(house.order(f"schedule-{number}", priority=Priority.SCHEDULE))
        await house.service.submit(house.order(f"notice-{number}", again=True))
    await house.clock.advance(0.02)
    await house.service.submit(house.order("urgent", priority=Priority.EMERGENCY))
    await house.ended("urgent")
    assert (await house.delivery("urgent")).state is DeliveryState.DONE
    assert (await house.delivery("b1")).state is DeliveryState.PREEMPTED
    youngest = await house.delivery("schedule-3")
    assert (youngest.state, youngest.reason) == (DeliveryState.FAILED, "busy")
    for name in ("schedule-0", "schedule-2", "notice-3"):
        assert (await house.delivery(name)).open


async def test_what_goes_on_keeps_its_place_in_a_full_queue(house: House) -> None:
    await playing(house, resume=True)
    for number in range(8):
        await house.service.submit(house.order(f"w{number}"))
    await house.clock.advance(0.02)
    await house.service.submit(house.order("urgent", priority=Priority.EMERGENCY))
    await house.ended("b1")
    assert (await house.delivery("b1")).state is DeliveryState.DONE
    assert [(await house.delivery(f"w{number}")).reason for number in (5, 6, 7)] == ["", "", "busy"]


async def test_an_emergency_finds_room_where_too_many_broadcasts_are_under_way(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "ACTIVE_LIMIT", 1)
    await playing(house)
    with pytest.raises(Overloaded):
        await house.service.submit(house.order("b2", "s2"))
    await house.service.submit(house.order("urgent", "s2", priority=Priority.EMERGENCY))
    await house.ended("urgent")
    assert (await house.delivery("urgent", "s2")).state is DeliveryState.DONE


async def test_an_emergency_and_a_talk_wait_for_no_device_that_hangs_under_a_notice(
    store: Store, clock: SimulatedClock, tmp_path: Path
) -> None:
    house = await furnished(store, clock, tmp_path / "clips")
    house.manner = replace(house.manner, setups_at_once=1)
    house.service = house.make_service()
    hanging = house.speakers[DeviceId("s1")]
    hanging.opens.clear()
    async with running(house.service):
        await house.service.submit(house.order("b1", "s1"))
        await hanging.asked.wait()
        await house.service.submit(house.order("b2", "s2"))
        for speaker, priority in (("s3", Priority.EMERGENCY), ("s3", Priority.TALK)):
            await house.service.submit(house.order(priority.name, speaker, priority=priority, again=True))
            await house.ended(priority.name)
            assert (await house.delivery(priority.name, speaker)).state is DeliveryState.DONE
        assert not house.speakers[DeviceId("s2")].asked.is_set()
        hanging.opens.set()
        await house.ended("b2")
        assert (await house.delivery("b2", "s2")).state is DeliveryState.DONE
