"""Who is interrupted, and who goes on: each test fails without its rule."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.domain.broadcast import BroadcastId, ClipContent, DeliveryState, Priority, Programme
from gateway.domain.devices import DeviceId
from gateway.storage.writer import Change, Lane
from tests.broadcast.house import ACTOR, PCM, House, Loudspeaker, running
from tests.broadcast.ruled import Make, T, calmly_ended, heard_again, long_clip, tick
from tests.media.g711 import DECODERS
from tests.media.test_clips import snr_db, tone, wav
from tests.waiting import until


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


async def test_the_time_for_which_it_was_interrupted_does_not_count_as_heard(make: Make) -> None:
    async with make() as house:
        await interrupted(house)
        await heard_again(house, 3)
        await house.clock.advance(0.5)
        await house.service.submit(house.order("t", priority=Priority.TALK, programme=await long_clip(house, 5.0)))
        await house.ended("t")
        figures = (await house.ended()).deliveries[0].figures
        assert figures.first_packet_at is not None and figures.last_packet_at is not None
        assert figures.heard_s == pytest.approx(3.0, abs=0.15)
        assert (figures.last_packet_at - figures.first_packet_at).total_seconds() > 8.0


async def test_nothing_of_the_old_is_sent_once_the_new_is_and_it_begins_within_300_ms(make: Make) -> None:
    async with make() as house:
        await interrupted(house)
        old, new = house.speakers[DeviceId("s1")].turns
        assert old[-1][0] <= new[0][0] <= old[-1][0] + 0.3
        await house.ended()


async def hung_up_unheard(house: House, *, many: bool = False) -> Loudspeaker:
    """The first loudspeaker, which has just heard a notice to its end and does not answer that the session is over."""
    speaker = house.speakers[DeviceId("s1")]
    speaker.confirms.clear()
    speaker.many = many
    await house.service.submit(house.order())
    await calmly_ended(house, "b1")
    await until(lambda: speaker.sessions[0].left)
    return speaker


@pytest.mark.parametrize("priority", [Priority.EMERGENCY, Priority.TALK])
async def test_what_is_urgent_waits_for_no_device_that_does_not_confirm_the_end_of_the_last_sound(make: Make, priority: Priority) -> None:
    async with make() as house:
        speaker = await hung_up_unheard(house, many=True)
        before, began = await house.delivery(), house.clock.monotonic()
        await house.service.submit(house.order("e", priority=priority, again=True))
        await heard_again(house, 2)
        assert speaker.turns[1][0][0] - began <= 0.3
        await calmly_ended(house, "e")
        assert await house.delivery() == before
        speaker.confirms.set()


async def test_who_goes_on_from_an_unconfirmed_end_of_what_was_interrupted_is_not_late(make: Make) -> None:
    async with make() as house:
        await house.service.submit(house.order(programme=await long_clip(house)))
        session = await house.heard()
        session.format = replace(session.format, buffers_s=2.0)  # the end of the session alone silences it
        speaker = house.speakers[DeviceId("s1")]
        speaker.confirms.clear()
        speaker.many = True
        began = house.clock.monotonic()
        await house.service.submit(house.order("e", priority=Priority.EMERGENCY))
        await heard_again(house, 2)
        assert speaker.turns[1][0][0] - began <= 0.3
        speaker.confirms.set()


async def test_a_device_of_one_talker_that_is_still_taken_is_asked_once_more_when_it_is_free(make: Make) -> None:
    async with make() as house:
        speaker = await hung_up_unheard(house)
        await house.service.submit(house.order("e", priority=Priority.EMERGENCY))
        while not speaker.refusals:
            await tick(house)
        for _ in range(20):
            await tick(house)
        assert (speaker.refusals, (await house.delivery("e")).state) == (1, DeliveryState.CONNECTING)
        speaker.confirms.set()
        assert (await calmly_ended(house, "e")).deliveries[0].state is DeliveryState.DONE


async def test_what_is_not_urgent_waits_until_the_device_has_confirmed_the_end_of_the_last_sound(make: Make) -> None:
    async with make() as house:
        speaker = await hung_up_unheard(house)
        speaker.asked.clear()
        await house.service.submit(house.order("b2", priority=Priority.ENFORCEMENT))
        for _ in range(20):
            await tick(house)
        assert not speaker.asked.is_set()
        speaker.confirms.set()
        assert (await calmly_ended(house, "b2")).deliveries[0].state is DeliveryState.DONE
        assert not speaker.refusals


async def test_a_shutdown_lets_every_farewell_be_said(make: Make) -> None:
    async with make() as house:
        speaker = await hung_up_unheard(house)
        await house.service.written()
        asyncio.get_running_loop().call_later(0.05, speaker.confirms.set)
    assert speaker.sessions[0].closed.is_set()


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
