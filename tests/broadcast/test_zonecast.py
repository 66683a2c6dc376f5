"""One stream for a whole zone, over real sockets: taken when all its loudspeakers can hear it, ended for all when it ends for one."""

from __future__ import annotations

import array
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from demo import sound
from gateway.broadcast.clips import ClipShelf
from gateway.broadcast.orders import Order
from gateway.broadcast.service import BroadcastService
from gateway.broadcast.sound import SoundDesk
from gateway.broadcast.stage import Manner
from gateway.broadcast.zonecast import Multicasting, zone_of
from gateway.clock import SystemClock
from gateway.domain.broadcast import BroadcastId, ClipContent, ClipId, Delivery, DeliveryState, Priority, Programme, Targets
from gateway.domain.city import City
from gateway.domain.devices import Credentials, Device, DeviceId, DeviceKind, MulticastGroup, Ports, Zone, ZoneId
from gateway.domain.health import Board
from gateway.domain.remarks import Remark, RemarkKind
from gateway.domain.speaking import SpeakerPath, SpeakerWays
from gateway.drivers.base import Target
from gateway.drivers.http import Http
from gateway.drivers.multicast import MulticastManner, MulticastSession
from gateway.drivers.onvif.device import OnvifDevice
from gateway.drivers.speaker import BackchannelPath, Loudspeaker
from gateway.errors import WrongDevice
from gateway.media.clips import ClipPreparer
from simulators import http
from simulators.city import SimDevice, plan
from simulators.multicast import listening
from simulators.onvif.site import Site
from simulators.rtsp import server as rtsp
from simulators.state import State
from tests.broadcast.house import ACTOR
from tests.broadcast.house import running as service_running
from tests.conftest import running as store_running
from tests.simulators.street import free_ports
from tests.waiting import until

ZONE, SPOKEN = ZoneId("square"), sound.speech_like(1.2)


@dataclass
class Square:
    """Three loudspeakers that listen to one group, a fourth of the zone next door, and a service that speaks to them."""

    horns: list[SimDevice]
    state: State
    service: BroadcastService
    clip: ClipId
    meant: array.array[int] = field(default_factory=lambda: array.array("h"))
    swapped: set[str] = field(default_factory=set)
    deaf: set[str] = field(default_factory=set)
    unreachable: list[str] = field(default_factory=list)

    async def say(self, name: str = "b", *speakers: str, priority: Priority = Priority.NOTICE, resume: bool = False) -> None:
        targets = Targets(speakers=tuple(map(DeviceId, speakers))) if speakers else Targets(zones=(ZONE,))
        not_after = SystemClock().now() + timedelta(seconds=20)
        order = Order(BroadcastId(name), Programme(ClipContent(self.clip)), targets, priority, not_after, ACTOR, resume=resume, again=True)
        await self.service.submit(order)

    async def deliveries(self, name: str = "b") -> dict[str, Delivery]:
        return {one.speaker: one for one in (await self.service.get(BroadcastId(name))).deliveries}

    async def ended(self, name: str = "b") -> dict[str, Delivery]:
        def over(found: dict[str, Delivery]) -> bool:
            return not any(one.open for one in found.values())

        return await until(lambda: self.deliveries(name), wanted=over, within_s=60)

    def by(self, transport: str) -> dict[str, int]:
        """How many sessions of that sort each loudspeaker heard."""
        return {horn.id: sum(one.transport == transport for one in self.state.heard_by(horn).sessions) for horn in self.horns}

    def is_heard(self, horn: SimDevice) -> bool:
        return any(session.packets > 5 for session in self.state.heard_by(horn).sessions)


@pytest.fixture
async def square(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Square]:
    port, rtsp_port, group_port = free_ports(3)
    street, state, clock, city = plan(seed=7, groups=4, speakers=8, http_port=port, rtsp_port=rtsp_port), State(), SystemClock(), City()
    horns = [horn for horn in street.of_kind("speaker") if not state.quirks_of(horn) and "PCMU" in horn.audio][:4]
    group = MulticastGroup("239.255.77.1", group_port - group_port % 2)
    ways, ports = SpeakerWays(paths=(SpeakerPath.MULTICAST, SpeakerPath.BACKCHANNEL)), Ports(onvif=port, rtsp=rtsp_port)
    logins = {horn.id: Credentials(horn.username, horn.password) for horn in horns}
    targets = {horn.id: Target(DeviceId(horn.id), horn.address, ports, logins[horn.id], speaker=ways) for horn in horns}

    def speaker_of(device: DeviceId) -> Loudspeaker:
        onvif = OnvifDevice(targets[device], Http(), clock)
        return Loudspeaker(lambda: targets[device], {SpeakerPath.BACKCHANNEL: BackchannelPath(onvif)}, clock)

    speakers = {horn.id: speaker_of(DeviceId(horn.id)) for horn in horns}
    members = frozenset(DeviceId(horn.id) for horn in horns[:3])
    city.replace(
        devices=[Device(DeviceId(horn.id), DeviceKind.SPEAKER, horn.id, horn.address, ports) for horn in horns],
        zones=[Zone(ZONE, "square", members, group)],
    )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(http.listen(Site(street, state).lookup, port=port))
        await stack.enter_async_context(rtsp.serve(street, rtsp_port, state))
        await stack.enter_async_context(listening(horns[:3], (group.address, group.port), state))
        store = await stack.enter_async_context(store_running(sqlite_url, clock))
        shelf = ClipShelf(store, tmp_path / "clips", ClipPreparer(), clock)

        async def verify(speaker: DeviceId) -> Remark:
            if speaker in found.swapped:
                raise WrongDevice("another serial number")
            return Remark(RemarkKind.IDENTITY_UNLISTED)

        def open_group(group: MulticastGroup) -> MulticastSession:
            return MulticastSession(group, MulticastManner(interface=(found.unreachable or ["127.0.0.1"])[0]))

        service = BroadcastService(
            store=store, city=city, board=Board(), clock=clock, sounds=SoundDesk(shelf), speaker_of=speakers.__getitem__, verify=verify,
            manner=Manner(lead_in_s=0.0, linger_s=0.1), multicasting=Multicasting(lambda speaker: speaker not in found.deaf, open_group),
        )  # fmt: skip
        await stack.enter_async_context(service_running(service))
        clip = await shelf.add(sound.wav(SPOKEN), name="clip", actor=ACTOR)
        meant = array.array("h", (await shelf.prepared(clip.id)).pcm)
        found = Square(horns, state, service, clip.id, meant)
        yield found


async def test_a_whole_zone_hears_one_stream_and_the_record_says_what_is_not_known(square: Square) -> None:
    await square.say()
    deliveries = await square.ended()
    assert {(one.state, one.figures.path) for one in deliveries.values()} == {(DeliveryState.DONE, "multicast")}
    kinds = {tuple(remark.kind for remark in one.remarks) for one in deliveries.values()}
    assert kinds == {(RemarkKind.IDENTITY_UNLISTED, RemarkKind.ZONE_CAST)}
    *zone, neighbour = square.horns
    assert square.by("multicast") == {**{horn.id: 1 for horn in zone}, neighbour.id: 0}
    for horn in zone:
        heard = sound.read_wav(square.state.heard_by(horn).wav(0))
        assert sound.snr_db(square.meant, heard) > 30
    assert len({one.peer for horn in zone for one in square.state.heard_by(horn).sessions}) == 1
    assert not square.state.counters["rtsp.requests.speaker"]


async def test_more_or_fewer_than_the_zone_are_spoken_to_one_by_one(square: Square) -> None:
    ids = [horn.id for horn in square.horns]
    await square.say("fewer", *ids[:2])
    await square.ended("fewer")
    await square.say("more", *ids)
    assert {one.figures.path for one in (await square.ended("more")).values()} == {"backchannel"}
    assert not any(square.by("multicast").values())


@pytest.mark.parametrize("trouble", ["a deaf one", "another device", "no network"])
async def test_where_one_cannot_hear_the_stream_each_is_spoken_to_by_itself(square: Square, trouble: str) -> None:
    first = square.horns[0].id
    {"a deaf one": square.deaf.add, "another device": square.swapped.add, "no network": lambda _: square.unreachable.append("203.0.113.9")}[
        trouble
    ](first)
    await square.say()
    deliveries = await square.ended()
    assert not any(square.by("multicast").values())
    swapped = trouble == "another device"
    assert (deliveries.pop(first).reason == "wrong-device") == swapped
    assert {(one.state, one.figures.path) for one in deliveries.values()} == {(DeliveryState.DONE, "backchannel")}


@pytest.mark.parametrize("silence", ["stop-all", "cancel"])
async def test_who_silences_it_silences_it_for_all(square: Square, silence: str) -> None:
    await square.say()
    await until(lambda: all(map(square.is_heard, square.horns[:3])))
    packets = [square.state.heard_by(horn).packets for horn in square.horns]
    if silence == "stop-all":
        square.service.stop_all(ACTOR)
    else:
        await square.service.cancel(BroadcastId("b"), ACTOR)
    assert {one.state for one in (await square.ended()).values()} == {DeliveryState.CANCELLED}
    assert all(now - then < 15 for now, then in zip((square.state.heard_by(horn).packets for horn in square.horns), packets, strict=True))


@pytest.mark.parametrize("resume", [False, True])
async def test_what_is_more_important_at_one_of_them_ends_the_stream_for_all(square: Square, resume: bool) -> None:
    await square.say("zone", resume=resume)
    await until(lambda: all(map(square.is_heard, square.horns[:3])))
    await square.say("alarm", square.horns[0].id, priority=Priority.EMERGENCY)
    assert {one.state for one in (await square.ended("alarm")).values()} == {DeliveryState.DONE}
    deliveries = await square.ended("zone")
    assert {one.state for one in deliveries.values()} == {DeliveryState.DONE if resume else DeliveryState.PREEMPTED}
    for horn in square.horns[:3]:
        (stream,) = (one for one in square.state.heard_by(horn).sessions if one.transport == "multicast")
        assert len(stream.audio) < len(square.meant)
    if resume:
        assert all(square.by("tcp")[horn.id] >= 1 for horn in square.horns[:3])


def test_a_group_is_for_just_its_zone() -> None:
    group, everybody = MulticastGroup("239.1.2.3", 5004), frozenset(map(DeviceId, "abc"))
    zones = [Zone(ZoneId("plain"), "", everybody), Zone(ZoneId("z"), "", everybody, group)]
    listens: Callable[[DeviceId], bool] = lambda speaker: speaker != "d"  # noqa: E731 -- a set of those that listen
    assert zone_of("abc", zones, listens) == group
    for others in ("ab", "abcd", ""):
        assert zone_of(others, zones, listens) is None
    assert zone_of("abc", zones, lambda _: False) is None
