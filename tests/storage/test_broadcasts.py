from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.clock import SimulatedClock
from gateway.domain.broadcast import (
    Broadcast,
    BroadcastId,
    Circle,
    Clip,
    ClipContent,
    ClipId,
    ClipTimes,
    Delivery,
    DeliveryState,
    Figures,
    Priority,
    Programme,
    Speech,
    Talk,
    Targets,
    View,
)
from gateway.domain.devices import CellCode, DeviceId, GroupId, Position, ZoneId
from gateway.domain.events import Actor, ActorKind, Person
from gateway.domain.remarks import Remark, RemarkKind
from gateway.errors import Conflict, GatewayError, NotFound
from gateway.storage.store import Store
from gateway.storage.writer import Lane

ACTOR = Actor(ActorKind.API_KEY, "key-1")
CLIP = ClipId("c" * 64)
PROGRAMME = Programme(ClipContent(CLIP), chime=True, repeats=3, pause_s=2.5)
START = SimulatedClock().now()
CORNER = Position(latitude=36.45, longitude=115.98)
EVERYWHERE = Targets(
    (DeviceId("s1"),),
    (ZoneId("z"),),
    (CellCode("520103"),),
    (GroupId("g"),),
    ("Dongchangfu",),
    (CORNER, Position(36.46, 115.98), Position(36.46, 115.99)),
    Circle(CORNER, 250.0),
    (View(DeviceId("cam"), "gate"),),
)


def clip(name: str = "please move on") -> Clip:
    return Clip(CLIP, name, 1000, 2500, START, ACTOR)


def order(name: str = "b1", **changes: object) -> Broadcast:
    made = Broadcast(BroadcastId(name), PROGRAMME, EVERYWHERE, Priority.ENFORCEMENT, START + timedelta(seconds=60), START, ACTOR, "case 7")
    return replace(made, **changes)


def queued(broadcast: str = "b1", speaker: str = "s1") -> Delivery:
    return Delivery(BroadcastId(broadcast), DeviceId(speaker), DeliveryState.QUEUED, START)


PLAYED = Figures("PCMA", 50, 1, START, START + timedelta(seconds=1), "backchannel", 2, 0.25)


async def accept(store: Store, broadcast: Broadcast, *first: Delivery) -> None:
    async def change(tx) -> None:
        await tx.clips.add(clip())
        await tx.broadcasts.add(broadcast, first)

    await store.writer.write(change, lane=Lane.BROADCAST)


async def save(store: Store, *changed: Delivery) -> None:
    await store.writer.write(lambda tx: tx.broadcasts.save(changed), lane=Lane.BROADCAST)


async def test_what_was_accepted_is_read_back_as_it_was(store: Store) -> None:
    await accept(store, order(), queued(speaker="s2"), queued(speaker="s1"))
    async with store.read() as tx:
        assert await tx.broadcasts.get(BroadcastId("b1")) == order()
        assert await tx.broadcasts.deliveries(BroadcastId("b1")) == [queued(speaker="s1"), queued(speaker="s2")]
        assert await tx.clips.get(CLIP) == clip()


async def test_the_same_sound_keeps_the_name_that_it_came_with_first(store: Store) -> None:
    await store.writer.write(lambda tx: tx.clips.add(clip("first")), lane=Lane.BROADCAST)
    kept = await store.writer.write(lambda tx: tx.clips.add(clip("second")), lane=Lane.BROADCAST)
    assert kept.name == "first"
    async with store.read() as tx:
        assert [found.name for found in await tx.clips.page(limit=5)] == ["first"]
        assert await tx.clips.page(after=CLIP, limit=5) == []


@pytest.mark.parametrize("content", [Speech("请勿占道经营", "cmn-latn-pinyin"), Talk()])
async def test_what_is_no_clip_is_read_back_too(store: Store, content: Speech | Talk) -> None:
    said = order(programme=Programme(content), reason="a vendor on the road", resume=True, override="by order of the duty officer")
    await accept(store, said)
    async with store.read() as tx:
        assert await tx.broadcasts.get(said.id) == said


async def test_an_order_of_a_known_id_changes_nothing(store: Store) -> None:
    await accept(store, order())
    added = await store.writer.write(lambda tx: tx.broadcasts.add(order(reason="another"), [queued(speaker="s9")]), lane=Lane.BROADCAST)
    assert not added
    async with store.read() as tx:
        assert await tx.broadcasts.get(BroadcastId("b1")) == order()
        assert await tx.broadcasts.deliveries(BroadcastId("b1")) == []


async def test_an_unknown_clip_is_refused_by_the_database(store: Store) -> None:
    with pytest.raises(Conflict):
        await accept(store, order("b2", programme=Programme(ClipContent(ClipId("d" * 64)))))


async def test_what_is_not_there_is_named(store: Store) -> None:
    async with store.read() as tx:
        assert await tx.broadcasts.find(BroadcastId("nothing")) is None
        with pytest.raises(NotFound, match="nothing"):
            await tx.broadcasts.get(BroadcastId("nothing"))
        with pytest.raises(NotFound, match="no clip"):
            await tx.clips.get(CLIP)


async def test_figures_of_a_delivery_are_kept(store: Store) -> None:
    await accept(store, order(), queued())
    done = replace(queued(), state=DeliveryState.DONE, figures=PLAYED)
    await save(store, done)
    async with store.read() as tx:
        assert await tx.broadcasts.deliveries(BroadcastId("b1")) == [done]
        assert await tx.broadcasts.deliveries_of([BroadcastId("b1"), BroadcastId("b9")]) == {"b1": [done], "b9": []}


async def test_what_has_ended_is_not_written_over(store: Store) -> None:
    await accept(store, order(), queued())
    stopped = replace(queued(), state=DeliveryState.CANCELLED, reason="stop-all")
    await save(store, stopped)
    await save(store, replace(queued(), state=DeliveryState.PLAYING))
    async with store.read() as tx:
        assert await tx.broadcasts.deliveries(BroadcastId("b1")) == [stopped]
        assert await tx.broadcasts.open() == []


async def test_the_last_word_on_what_was_sent_comes_after_the_end(store: Store) -> None:
    await accept(store, order(), queued())
    stopped = replace(queued(), state=DeliveryState.PREEMPTED, reason="preempted")
    await save(store, stopped)
    await save(store, replace(stopped, figures=PLAYED))
    await save(store, replace(stopped, state=DeliveryState.CANCELLED))
    async with store.read() as tx:
        assert await tx.broadcasts.deliveries(BroadcastId("b1")) == [replace(stopped, figures=PLAYED)]


async def test_one_that_steps_in_later_is_added_with_whatever_became_of_it(store: Store) -> None:
    await accept(store, order(), queued())
    second = queued(speaker="s2")
    lost = replace(queued(), state=DeliveryState.FAILED, reason="unreachable")
    playing = replace(second, state=DeliveryState.PLAYING, figures=PLAYED)
    await save(store, lost, second, playing)
    async with store.read() as tx:
        assert await tx.broadcasts.deliveries(BroadcastId("b1")) == [lost, playing]
    with pytest.raises(GatewayError):
        await save(store, queued("no such broadcast", "s3"))


async def test_two_broadcasts_never_play_at_one_speaker(store: Store) -> None:
    await accept(store, order(), queued())
    await accept(store, order("b2"), queued("b2"))
    await save(store, replace(queued(), state=DeliveryState.PLAYING))
    with pytest.raises(Conflict):
        await save(store, replace(queued("b2"), state=DeliveryState.PLAYING))
    await save(store, replace(queued(), state=DeliveryState.DONE, figures=PLAYED), replace(queued("b2"), state=DeliveryState.PLAYING))


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": DeliveryState.DONE},
        {"state": DeliveryState.FAILED},
        {"state": DeliveryState.UNKNOWN},
        {"state": DeliveryState.EXPIRED, "reason": "late", "figures": PLAYED},
        {"state": DeliveryState.PLAYING, "figures": Figures(packets=-1)},
        {"state": DeliveryState.PLAYING, "figures": Figures(packets=3)},
    ],
)
async def test_an_impossible_delivery_is_refused_by_the_database(store: Store, wrong: dict[str, object]) -> None:
    await accept(store, order(), queued())
    with pytest.raises(GatewayError):
        await save(store, replace(queued(), **wrong))


async def test_open_deliveries_come_with_their_broadcast(store: Store) -> None:
    await accept(store, order(), queued(speaker="s1"), replace(queued(speaker="s2"), state=DeliveryState.FAILED, reason="down"))
    async with store.read() as tx:
        assert await tx.broadcasts.open() == [(order(), queued(speaker="s1"))]


async def test_what_ended_lately_comes_with_its_broadcast_and_its_own_reason(store: Store) -> None:
    await accept(store, order(reason="complaints"), queued(), queued(speaker="s2"))
    ended = replace(queued(), state=DeliveryState.FAILED, since=START + timedelta(seconds=5), reason="busy", detail="somebody talks")
    await save(store, ended)
    async with store.read() as tx:
        assert await tx.broadcasts.recent(START) == [(order(reason="complaints"), ended)]
        assert await tx.broadcasts.recent(START + timedelta(seconds=5)) == []
        assert await tx.broadcasts.open() == [(order(reason="complaints"), queued(speaker="s2"))]


async def test_remarks_come_back_as_they_were_also_those_that_came_after_the_end(store: Store) -> None:
    limited = Remark(RemarkKind.VOLUME_NOT_LIMITED, {"percent": 40}, "fault", "ter:{no}")
    ended = replace(queued(), state=DeliveryState.DONE, figures=PLAYED, remarks=(Remark(RemarkKind.IDENTITY_UNLISTED), limited))
    await accept(store, order(), ended)
    later = replace(ended, remarks=(*ended.remarks, Remark(RemarkKind.END_UNANSWERED, reason="timeout")))
    for written in (ended, later):
        await save(store, written)
        async with store.read() as tx:
            assert await tx.broadcasts.deliveries(BroadcastId("b1")) == [written]


async def test_the_times_of_a_clip_stand_beside_its_delivery_and_the_first_word_of_each_stays(store: Store) -> None:
    at = [START + timedelta(seconds=number) for number in range(4)]
    asked, later = ClipTimes(at[0], at[1]), ClipTimes(at[1], None, at[2], at[3])

    async def time(clip: ClipTimes) -> None:
        await store.writer.write(lambda tx: tx.broadcasts.time({(queued().broadcast, queued().speaker): clip}), lane=Lane.STOP)

    await accept(store, order(), queued())
    await time(asked)
    done = replace(queued(), state=DeliveryState.DONE, figures=Figures(path="audio-clip"))
    await save(store, done)
    await time(later)
    async with store.read() as tx:
        assert await tx.broadcasts.deliveries(BroadcastId("b1")) == [replace(done, clip=ClipTimes(*at))]


async def test_a_device_that_was_not_asked_cannot_have_said_that_it_plays(store: Store) -> None:
    await accept(store, order(), queued())
    with pytest.raises(Conflict):
        clips = {(queued().broadcast, queued().speaker): ClipTimes(confirmed_at=START)}
        await store.writer.write(lambda tx: tx.broadcasts.time(clips), lane=Lane.STOP)


async def test_a_second_person_is_noted_once_and_is_never_the_one_who_ordered(store: Store) -> None:
    await accept(store, order(sender="Li"))

    async def approve(by: Actor) -> None:
        person = Person(by, "Wang")
        await store.writer.write(lambda tx: tx.broadcasts.approve(BroadcastId("b1"), person), lane=Lane.BROADCAST)

    with pytest.raises(Conflict):
        await approve(ACTOR)
    second = Actor(ActorKind.USER, ACTOR.id)
    await approve(second)
    await approve(Actor(ActorKind.USER, "third"))
    async with store.read() as tx:
        found = await tx.broadcasts.get(BroadcastId("b1"))
    assert (found.approved_by, found.approver, found.sender) == (second, "Wang", "Li")


async def test_broadcasts_are_paged_latest_first_without_missing_any(store: Store) -> None:
    for index in range(7):
        await accept(store, order(f"b{index}", created_at=START + timedelta(seconds=index // 2)))
    seen: list[str] = []
    before = None
    async with store.read() as tx:
        while page := await tx.broadcasts.page(before=before, limit=2):
            seen += [broadcast.id for broadcast in page]
            before = (page[-1].created_at, page[-1].id)
    assert seen == ["b6", "b5", "b4", "b3", "b2", "b1", "b0"]
