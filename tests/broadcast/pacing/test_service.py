"""The broadcast service over the pacer's real process and real sockets: what becomes of broadcasts when that process dies."""

import os
import signal
import struct
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.broadcast.orders import Order, Rules
from gateway.broadcast.pacing.client import ChildPacer
from gateway.broadcast.rulebook import NEVER_QUIET
from gateway.broadcast.service import PACER_DIED_EVENT, BroadcastService
from gateway.broadcast.sound import SoundDesk
from gateway.broadcast.stage import Manner
from gateway.clock import SimulatedClock, SystemClock
from gateway.domain.broadcast import BroadcastId, ClipContent, Delivery, DeliveryState, Priority, Programme, Targets
from gateway.domain.devices import DeviceId
from gateway.domain.remarks import RemarkKind
from gateway.drivers.rtsp.backchannel import Backchannel
from gateway.drivers.rtsp.session import Transport
from gateway.storage.store import Store
from tests.broadcast.house import ACTOR, furnished, running
from tests.broadcast.pacing.test_child import Ear, ears
from tests.drivers.rtsp.peer import Answer, Asked, Peer, Reply
from tests.media.test_clips import tone, wav
from tests.waiting import until


@dataclass(frozen=True)
class Horn:
    """An `AudioSink` over a loudspeaker of the tests."""

    ear: Ear

    async def open_audio(self, *, prefer: Sequence[str], timeout_s: float) -> Backchannel:
        return await self.ear.opened()

    @property
    def heads(self) -> list[tuple[int, int, int, int]]:
        """Of each packet that came: whether it has the marker, sequence number, timestamp and SSRC."""
        heads = [struct.unpack("!BBHII", packet[:12]) for packet in self.ear.packets]
        return [(kind >> 7, sequence, stamp, source) for _, kind, sequence, stamp, source in heads]


@dataclass(frozen=True)
class Street:
    """Two loudspeakers, s1 over UDP and s2 over TCP, and the service that speaks to them."""

    service: BroadcastService
    store: Store
    pacer: ChildPacer
    horns: dict[DeviceId, Horn]
    short: Programme
    long: Programme
    urgent: bytes
    """What `short` is, as it is heard."""

    async def order(self, name: str, programme: Programme, priority: Priority = Priority.NOTICE) -> None:
        not_after = SystemClock().now() + timedelta(seconds=30)
        await self.service.submit(Order(BroadcastId(name), programme, Targets(speakers=tuple(self.horns)), priority, not_after, ACTOR))

    async def ended(self, name: str) -> list[Delivery]:
        view = await until(lambda: self.service.get(BroadcastId(name)), wanted=lambda view: not view.open)
        return list(view.deliveries)

    async def heard(self, packets: int = 3) -> None:
        await until(lambda: all(len(horn.ear.packets) > packets for horn in self.horns.values()))


@pytest.fixture
async def street(store: Store, clock: SimulatedClock, tmp_path: Path) -> AsyncIterator[Street]:
    house = await furnished(store, clock, tmp_path / "clips")
    long = await house.shelf.add(wav(tone(20)), name="twenty seconds", actor=ACTOR)
    pacer = ChildPacer(SystemClock())
    async with ears(Transport.UDP, Transport.TCP) as both:
        horns = {DeviceId(f"s{number}"): Horn(ear) for number, ear in enumerate(both, start=1)}
        service = BroadcastService(
            store=store,
            city=house.city,
            board=house.board,
            clock=SystemClock(),
            sounds=SoundDesk(house.shelf),
            speaker_of=horns.__getitem__,
            verify=_anybody,
            rules=Rules(max_speakers=3),
            hours=lambda: NEVER_QUIET,
            manner=Manner(lead_in_s=0.0, linger_s=0.0),
            pacer=pacer,
        )
        async with running(service):
            await until(lambda: pacer.standing.apart)
            short, twenty = (Programme(ClipContent(clip)) for clip in (house.clip, long.id))
            sound = (await house.shelf.prepared(house.clip)).encodings["PCMA"]
            yield Street(service, store, pacer, horns, short, twenty, sound)


async def _anybody(_speaker: DeviceId) -> None:
    pass


async def test_deliveries_say_that_the_pacer_died_under_them_and_the_next_broadcast_is_heard_whole(street: Street) -> None:
    await street.order("b1", street.long)
    await street.heard()
    pid = street.pacer.standing.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    for delivery in await street.ended("b1"):
        assert (delivery.state, delivery.reason) == (DeliveryState.FAILED, "pacer-died")
    await until(lambda: all(horn.ear.peer.methods()[-1] == "TEARDOWN" for horn in street.horns.values()))
    heard = {speaker: len(horn.ear.packets) for speaker, horn in street.horns.items()}
    await street.service.written()
    events = await street.store.events.read_after(0, limit=1000)
    assert [event.data["pid"] for event in events if event.type == PACER_DIED_EVENT] == [pid]
    await until(lambda: street.pacer.standing.apart)
    await street.order("b2", street.short)
    for delivery in await street.ended("b2"):
        assert (delivery.state, delivery.figures.packets) == (DeliveryState.DONE, 5)
        await until(lambda one=delivery.speaker: len(street.horns[one].ear.packets) == heard[one] + 5)


async def test_what_is_more_important_is_heard_in_the_session_of_what_gives_way_and_in_between_nothing(street: Street) -> None:
    await street.order("b1", street.long)
    await street.heard()
    await street.order("e", street.short, Priority.EMERGENCY)
    urgent = {one.speaker: one for one in await street.ended("e")}
    given_way = {one.speaker: one for one in await street.ended("b1")}
    assert [(one.state, one.figures.packets) for one in urgent.values()] == [(DeliveryState.DONE, 5)] * 2
    assert {(one.state, one.reason) for one in given_way.values()} == {(DeliveryState.PREEMPTED, "preempted")}
    for speaker, horn in street.horns.items():
        packets = given_way[speaker].figures.packets
        await until(lambda one=horn, count=packets + 5: len(one.ear.packets) == count)
        assert [name for name in horn.ear.peer.methods() if name in {"SETUP", "PLAY", "TEARDOWN"}] == ["SETUP", "PLAY", "TEARDOWN"]
        marked, sequence, stamp, source = horn.heads[0]
        went_on = [(int(n in {0, packets}), sequence + n & 0xFFFF, stamp + 160 * n & 0xFFFFFFFF, source) for n in range(packets + 5)]
        assert (marked, horn.heads) == (1, went_on)
        assert horn.ear.sound[160 * packets :] == street.urgent
        last, first = given_way[speaker].figures.last_packet_at, urgent[speaker].figures.first_packet_at
        assert last is not None
        assert first is not None
        assert timedelta() < first - last < timedelta(seconds=0.3)


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (lambda peer, asked: Reply("500 Server\x1b Error"), RemarkKind.END_REFUSED, "rtsp-500"),
        (lambda peer, asked: None, RemarkKind.END_UNANSWERED, "timeout"),
    ],
    ids=["refused", "unanswered"],
)
async def test_a_device_that_does_not_confirm_the_end_is_on_record_and_the_delivery_ends_before(
    street: Street, answer: Answer, kind: RemarkKind, reason: str
) -> None:
    before: list[Delivery] = []

    def told(peer: Peer, asked: Asked) -> Reply | None:
        """What it has come to when the device hears of the end."""
        before.extend(one for one in street.service.follow(BroadcastId("b1"))() if one.speaker == "s1")
        return answer(peer, asked)

    street.horns[DeviceId("s1")].ear.peer.script["TEARDOWN"] = told
    await street.order("b1", street.short)
    first, second = await until(lambda: street.ended("b1"), wanted=lambda ended: any(one.remarks for one in ended))
    assert [one.state for one in before] == [DeliveryState.DONE]
    assert [(remark.kind, remark.reason) for remark in first.remarks] == [(kind, reason)]
    assert [remark.said for remark in first.remarks] == (["500 Server Error"] if kind is RemarkKind.END_REFUSED else [""])
    assert (first.state, first.reason, second.remarks) == (DeliveryState.DONE, "", ())
    await street.service.written()
    async with street.store.read() as tx:
        assert [one.remarks for one in await tx.broadcasts.deliveries(BroadcastId("b1"))] == [first.remarks, ()]
    last = [event.data for event in await street.store.events.read_after(0, limit=1000) if event.data.get("remarks")]
    assert [one["remark"] for one in last[-1]["remarks"]] == [kind.value]
