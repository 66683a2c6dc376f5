"""Which path a voice takes to a loudspeaker: the ladder of its profile, what talks taught, and what ends the search."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest

from gateway.clock import SimulatedClock, SystemClock
from gateway.domain.devices import Credentials, DeviceId, Ports
from gateway.domain.speaking import SpeakerPath, SpeakerWays
from gateway.drivers.base import DeviceClip, Loaded, Target
from gateway.drivers.http import Http
from gateway.drivers.onvif.clips import Clips
from gateway.drivers.onvif.device import OnvifDevice
from gateway.drivers.speaker import ABSENT_FOR, FAILED_FOR, BackchannelPath, Loudspeaker
from gateway.errors import AuthenticationFailed, Busy, NotSupported, Unreachable
from simulators import http
from simulators.city import City, SimDevice, plan
from simulators.onvif.site import Site
from simulators.rtsp import server as rtsp
from simulators.state import State
from tests.simulators.street import free_ports
from tests.waiting import until

FIRST, SECOND = SpeakerPath.BACKCHANNEL, SpeakerPath.SIP
ENCODINGS = ("PCMA", "PCMU")
PATIENCE_S = 20
"""No test of the ladder is about time: a busy machine must not make a path fail."""
LADDER = SpeakerWays(paths=(FIRST, SECOND))


@dataclass
class Street:
    """Two loudspeakers and a camera; a device of ours has one of them behind each of its paths, so that each path can fail by itself."""

    city: City
    state: State
    server: rtsp.RtspServer
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    ways: SpeakerWays = LADDER

    @property
    def horns(self) -> list[SimDevice]:
        return list(self.city.of_kind("speaker"))

    @property
    def keeper(self) -> SimDevice:
        return next(horn for horn in self.horns if "audio-clips" not in horn.lacks)

    @property
    def other(self) -> SimDevice:
        return next(horn for horn in self.horns if "audio-clips" in horn.lacks)

    @property
    def mute(self) -> SimDevice:
        return next(camera for camera in self.city.of_kind("camera") if not camera.audio)

    def target(self, device: SimDevice, **changes: object) -> Target:
        ports = Ports(onvif=self.city.http_port, rtsp=self.city.rtsp_port)
        target = Target(DeviceId(device.id), device.address, ports, Credentials(device.username, device.password))
        return replace(target, **changes)

    def speaker(self, first: Target, second: Target) -> Loudspeaker:
        clock = SystemClock()
        paths = {FIRST: BackchannelPath(OnvifDevice(first, Http(), clock)), SECOND: BackchannelPath(OnvifDevice(second, Http(), clock))}
        return Loudspeaker(lambda: replace(first, speaker=self.ways), paths, self.clock)

    @property
    def asked(self) -> int:
        return sum(count for name, count in self.state.counters.items() if name.startswith("rtsp.requests"))


@pytest.fixture
async def street() -> AsyncIterator[Street]:
    port, rtsp_port = free_ports(2)
    city, state = plan(seed=7, groups=4, speakers=8, http_port=port, rtsp_port=rtsp_port), State()
    for horn in city.of_kind("speaker"):
        for switch in state.quirks_of(horn):
            state.switch_quirk(horn, switch, None)
    async with http.listen(Site(city, state).lookup, port=port), rtsp.serve(city, rtsp_port, state) as server:
        yield Street(city, state, server)


async def reached(speaker: Loudspeaker, street: Street) -> str:
    """At which device a voice comes out; nobody talks there afterwards."""

    def talks() -> list[str]:
        return [talk.talk.speaker.id for talk in street.server.book.by_id.values() if talk.talk]

    session = await speaker.open_audio(prefer=ENCODINGS, timeout_s=PATIENCE_S)
    (talking,) = talks()
    await session.close()
    await until(lambda: not talks())  # TEARDOWN is not waited for by who hangs up on a busy machine
    return talking


def told(speaker: Loudspeaker) -> list[str]:
    """What it has learnt, without the times."""
    return [f"{name}: {lesson.partition(' ')[0]}" for name, lesson in speaker.learned().items()]


async def test_the_first_path_that_the_profile_lists_is_taken(street: Street) -> None:
    one, other = map(street.target, street.horns[:2])
    assert await reached(street.speaker(one, other), street) == one.device
    street.ways = SpeakerWays(paths=(SECOND, FIRST))
    assert await reached(street.speaker(one, other), street) == other.device


async def test_a_path_that_the_device_does_not_have_is_left_alone_until_that_is_old(street: Street) -> None:
    other = street.target(street.horns[1])
    speaker = street.speaker(street.target(street.mute), other)
    assert await reached(speaker, street) == other.device
    assert told(speaker) == ["path backchannel: no-backchannel"]
    asked = street.asked
    assert await reached(speaker, street) == other.device
    assert street.asked - asked == 5  # the other path alone: DESCRIBE, refused and logged in, SETUP, PLAY, TEARDOWN
    await street.clock.advance(ABSENT_FOR.total_seconds() + 1)
    assert speaker.learned() == {}


async def test_a_path_that_failed_is_tried_last_for_a_while(street: Street) -> None:
    one, other = map(street.target, street.horns[:2])
    speaker = street.speaker(replace(one, ports=replace(one.ports, rtsp=free_ports(1)[0])), other)
    assert await reached(speaker, street) == other.device
    assert told(speaker) == ["path backchannel: refused"]
    await street.clock.advance(FAILED_FOR.total_seconds() + 1)
    assert told(speaker) == []


async def test_where_every_path_failed_all_are_tried_again_and_the_last_one_says_why(street: Street) -> None:
    nowhere = replace(street.target(street.horns[0]), ports=Ports(onvif=street.city.http_port, rtsp=free_ports(1)[0]))
    speaker = street.speaker(street.target(street.mute), nowhere)
    for _ in range(2):
        with pytest.raises(Unreachable):
            await speaker.open_audio(prefer=("PCMA",), timeout_s=5)
    assert told(speaker) == ["path backchannel: no-backchannel", "path sip: refused"]


async def test_a_path_that_is_all_that_there_is_is_tried_though_it_was_not_there(street: Street) -> None:
    street.ways = SpeakerWays(paths=(FIRST,))
    speaker = street.speaker(street.target(street.mute), street.target(street.horns[1]))
    for _ in range(2):
        before = street.asked
        with pytest.raises(NotSupported):
            await speaker.open_audio(prefer=("PCMA",), timeout_s=5)
        assert street.asked > before


async def test_a_device_that_is_met_anew_has_taught_nothing(street: Street) -> None:
    speaker = street.speaker(street.target(street.mute), street.target(street.horns[1]))
    await reached(speaker, street)
    street.ways = SpeakerWays(paths=(SECOND, FIRST))
    await reached(speaker, street)
    assert told(speaker) == []


async def test_who_talks_already_is_not_talked_over_by_another_path(street: Street) -> None:
    one, other = map(street.target, street.horns[:2])
    session = await street.speaker(one, other).open_audio(prefer=ENCODINGS, timeout_s=5)
    with pytest.raises(Busy):
        await street.speaker(one, other).open_audio(prefer=ENCODINGS, timeout_s=5)
    street.ways = replace(LADDER, single_talker=False)
    second = await street.speaker(one, other).open_audio(prefer=ENCODINGS, timeout_s=5)
    for open_one in (session, second):
        await open_one.close()


async def test_a_login_that_is_refused_is_not_tried_at_another_door(street: Street) -> None:
    one, other = map(street.target, street.horns[:2])
    speaker = street.speaker(replace(one, credentials=Credentials("nobody", "wrong")), other)
    with pytest.raises(AuthenticationFailed):
        await speaker.open_audio(prefer=("PCMA",), timeout_s=5)
    assert told(speaker) == []


async def test_what_the_caller_cannot_say_is_not_held_against_a_path(street: Street) -> None:
    one, other = map(street.target, street.horns[:2])
    speaker = street.speaker(one, other)
    for _ in range(2):
        with pytest.raises(NotSupported) as refused:
            await speaker.open_audio(prefer=("G726-32",), timeout_s=5)
        assert (refused.value.code, told(speaker)) == ("no-common-encoding", [])


async def test_preparing_finds_the_first_path_that_is_there(street: Street) -> None:
    other = street.target(street.horns[1])
    speaker = street.speaker(street.target(street.mute), other)
    await speaker.prepare(timeout_s=5)
    assert await reached(speaker, street) == other.device


async def test_the_way_is_looked_for_once_by_however_many_want_it(street: Street) -> None:
    horn = street.target(street.horns[0])
    questions = []
    for together in (1, 3):
        before, path = asked_by_http(street), BackchannelPath(OnvifDevice(horn, Http(), SystemClock()))
        await asyncio.gather(*(path.prepare(timeout_s=PATIENCE_S) for _ in range(together)))
        questions.append(asked_by_http(street) - before)
    assert questions[0] == questions[1] > 0


def asked_by_http(street: Street) -> int:
    return sum(count for name, count in street.state.counters.items() if name.startswith("http.requests"))


async def test_a_device_whose_profile_lists_no_path_that_we_have_is_told_apart(street: Street) -> None:
    street.ways = SpeakerWays(paths=(SpeakerPath.MULTICAST,))
    with pytest.raises(NotSupported) as refused:
        await street.speaker(*map(street.target, street.horns[:2])).open_audio(prefer=("PCMA",), timeout_s=5)
    assert refused.value.code == "no-path"


# -- clips that a device plays by itself ------------------------------------------------------------------------------

SPOKEN = DeviceClip("a" * 64, bytes(16_000), b"\xff" * 8_000)


def with_clips(street: Street, horn: SimDevice, *ladder: SpeakerPath) -> Loudspeaker:
    onvif, target = OnvifDevice(street.target(horn), Http(), SystemClock()), street.target(horn, speaker=SpeakerWays(paths=ladder))
    return Loudspeaker(lambda: target, {FIRST: BackchannelPath(onvif)}, street.clock, clips=Clips(onvif, street.clock))


async def test_a_clip_is_brought_where_the_profile_wants_it(street: Street) -> None:
    speaker = with_clips(street, street.keeper, SpeakerPath.AUDIO_CLIP, FIRST)
    opened = await speaker.open(SPOKEN, prefer=ENCODINGS, timeout_s=5)
    assert isinstance(opened, Loaded)
    assert speaker.learned() == {"audio clips": "1 of ours, room for 20"}


async def test_what_is_said_once_is_streamed_where_that_is_possible(street: Street) -> None:
    once = replace(SPOKEN, lasting=False)
    opened = await with_clips(street, street.keeper, SpeakerPath.AUDIO_CLIP, FIRST).open(once, prefer=ENCODINGS, timeout_s=5)
    assert opened.path is FIRST
    assert not isinstance(opened, Loaded)
    await opened.close()
    assert isinstance(await with_clips(street, street.keeper, SpeakerPath.AUDIO_CLIP).open(once, prefer=ENCODINGS, timeout_s=5), Loaded)


async def test_a_device_that_keeps_no_clips_is_streamed_to_and_not_asked_again(street: Street) -> None:
    speaker = with_clips(street, street.other, SpeakerPath.AUDIO_CLIP, FIRST)
    for first in (True, False):
        before = street.state.counters["http.requests.speaker"]
        await speaker.prepare(timeout_s=5)
        before = street.state.counters["http.requests.speaker"]
        opened = await speaker.open(SPOKEN, prefer=ENCODINGS, timeout_s=5)
        assert not isinstance(opened, Loaded)
        await opened.close()
        assert (street.state.counters["http.requests.speaker"] > before) == first
    assert told(speaker) == ["path audio-clip: no-audio-clips"]


async def test_a_clip_that_is_too_long_for_the_device_is_streamed_and_the_next_one_kept(street: Street) -> None:
    speaker = with_clips(street, street.keeper, SpeakerPath.AUDIO_CLIP, FIRST)
    long = DeviceClip("b" * 64, bytes(1_000_000), bytes(500_000))
    opened = await speaker.open(long, prefer=ENCODINGS, timeout_s=5)
    assert not isinstance(opened, Loaded)
    await opened.close()
    assert isinstance(await speaker.open(SPOKEN, prefer=ENCODINGS, timeout_s=5), Loaded)


async def test_clips_are_brought_ahead_to_those_alone_that_shall_play_them(street: Street) -> None:
    for horn, kept in ((street.keeper, 1), (street.other, 0)):
        speaker = with_clips(street, horn, SpeakerPath.AUDIO_CLIP, FIRST)
        await speaker.keep([SPOKEN], timeout_s=5)
        assert speaker.learned().get("audio clips", "0")[0] == str(kept)
    untouched = with_clips(street, street.keeper, FIRST)
    await untouched.keep([SPOKEN], timeout_s=5)
    assert untouched.learned() == {}
