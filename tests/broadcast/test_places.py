"""Where a broadcast is heard, and who is left out."""

import pytest

from gateway.domain.broadcast import DeliveryState, Targets
from gateway.domain.devices import CellCode, DeviceId, GroupId, ZoneId
from gateway.domain.health import HealthState, Standing
from gateway.errors import Busy, Conflict, Forbidden, InvalidInput, NotFound
from tests.broadcast.house import ACTOR, House, events_of, long_wav


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
    shelf_clip = await house.shelf.add(long_wav(), name="long", actor=ACTOR)
    await house.service.submit(house.order(clip=shelf_clip.id))
    await house.ended()
    delivery = await house.delivery()
    assert (delivery.state, delivery.reason, delivery.figures.dropped) == (DeliveryState.FAILED, "connection-lost", 50)
