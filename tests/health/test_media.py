"""The media check against simulated cameras' real streams."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from gateway.clock import SimulatedClock, SystemClock
from gateway.control.stills import StreamStills
from gateway.domain.devices import Credentials, DeviceId
from gateway.domain.health import CheckResult, Outcome
from gateway.drivers.base import MediaProfile
from gateway.drivers.refusals import AGAIN_AFTER_S, Door, Refusals
from gateway.errors import AuthenticationFailed, NotSupported, Unreachable
from gateway.health.checks import media
from gateway.health.checks.subject import SlowTools, Subject
from gateway.health.streams import Sighting, Streams
from gateway.media.glance import Glance, frame_rate
from gateway.storage.store import Store
from simulators.city import SimDevice
from simulators.faults import Answer
from tests.drivers.books import Books
from tests.drivers.rtsp.peer import Login, Peer, listening
from tests.health import street as streets
from tests.health.street import Street

PROFILE = MediaProfile("main", "main", "H264", 1920, 1080, 25.0)
GLANCE = Glance("H264", b"", 1.0, 1920, 1080, 25.0)


@pytest.fixture
async def street() -> AsyncIterator[Street]:
    async with streets.standing(SystemClock(), protocols=("http", "rtsp")) as standing:
        standing.adopt(standing.of("camera"))
        yield standing


@pytest.fixture
def tools(street: Street, store: Store) -> SlowTools:
    return street.slow_tools(SystemClock(), store)


def cameras(street: Street) -> list[SimDevice]:
    return [device for device in street.of("camera") if not device.lacks and not device.quirks][:2]


async def looked(street: Street, tools: SlowTools, camera: SimDevice) -> CheckResult:
    (result,) = await media.check(Subject(street.city.devices[DeviceId(camera.id)], tools.clock.monotonic()), tools)
    return result


async def test_a_camera_that_streams_as_it_says_is_well(street: Street, tools: SlowTools) -> None:
    for camera in cameras(street):
        result = await looked(street, tools, camera)
        assert (result.outcome, result.reason, result.check) == (Outcome.OK, "", "media")
        assert result.facts["resolution"] == result.facts["configured"]
        assert result.facts["frame_rate"] == pytest.approx(12.5, abs=0.1)
        assert result.facts["first_picture_s"] <= 3


async def test_a_stream_that_nobody_serves_has_the_reason_of_its_port(street: Street, tools: SlowTools) -> None:
    camera, _ = cameras(street)
    street.break_(camera, answer=Answer.REFUSE, protocols=("rtsp",))
    result = await looked(street, tools, camera)
    assert (result.outcome, result.reason) == (Outcome.FAIL, "closed")


async def test_a_stream_that_never_begins_is_no_stream(street: Street, tools: SlowTools) -> None:
    camera, _ = cameras(street)
    await looked(street, tools, camera)
    street.break_(camera, answer=Answer.SILENT, protocols=("rtsp",))
    result = await looked(street, replace(tools, timeout_s=0.5), camera)
    assert (result.outcome, result.reason) == (Outcome.FAIL, "no-stream")


async def test_a_camera_without_a_media_service_is_not_judged_by_it(street: Street, tools: SlowTools) -> None:
    camera, _ = cameras(street)

    class Bare:
        async def profiles(self, *, timeout_s: float) -> list[MediaProfile]:
            raise NotSupported("no such service")

    refusals_of = street.refusals.__getitem__
    streams = Streams(camera_of=lambda _camera: Bare(), target_of=street.target, refusals_of=refusals_of, clock=tools.clock)
    result = await looked(street, replace(tools, streams=streams), camera)
    assert (result.outcome, result.reason) == (Outcome.UNKNOWN, "not-supported")


async def test_a_late_picture_is_told_with_its_time(street: Street, tools: SlowTools) -> None:
    camera, _ = cameras(street)
    result = await looked(street, replace(tools, picture_within_s=0.001), camera)
    assert (result.outcome, result.reason) == (Outcome.WARN, "picture-late")


async def test_a_refused_login_is_not_tried_again_until_it_changes(street: Street, tools: SlowTools) -> None:
    camera, _ = cameras(street)
    await looked(street, tools, camera)
    street.break_(camera, password="another")
    assert (await looked(street, tools, camera)).reason == "bad-credentials"
    street.mend(camera)
    assert (await looked(street, tools, camera)).reason == "bad-credentials", "known to be bad: not asked"
    street.refusals[DeviceId(camera.id)].forget()
    assert (await looked(street, tools, camera)).outcome is Outcome.OK
    street.logins[DeviceId(camera.id)] = Credentials(camera.username, "wrong")
    assert (await looked(street, tools, camera)).reason == "bad-credentials"
    del street.logins[DeviceId(camera.id)]
    assert (await looked(street, tools, camera)).outcome is Outcome.OK


class Camera:
    """Has one stream."""

    async def profiles(self, *, timeout_s: float) -> list[MediaProfile]:
        return [PROFILE]

    async def stream_path(self, token: str, *, timeout_s: float) -> str:
        return "/main"


def streams_of(peer: Peer, refusals: Refusals) -> Streams:
    return Streams(
        camera_of=lambda _camera: Camera(), target_of=lambda _camera: peer.target, refusals_of=lambda _camera: refusals, clock=SystemClock()
    )


async def test_a_password_that_a_check_knows_to_be_refused_is_not_tried_for_a_still_nor_by_the_next_check() -> None:
    async with listening(Peer(login=Login(password="another"))) as peer:
        refusals = Refusals()
        streams = streams_of(peer, refusals)
        stills = StreamStills(target_of=lambda _camera: peer.target, refusals_of=lambda _camera: refusals)
        for _ in range(2):
            with pytest.raises(AuthenticationFailed):
                await streams.look(peer.target.device, timeout_s=5, frames=1)
            with pytest.raises(AuthenticationFailed):
                await stills.take(peer.target.device, Camera(), "main")
        assert peer.refused == 1


async def test_a_password_that_a_still_was_refused_is_not_tried_by_a_check() -> None:
    async with listening(Peer(login=Login(password="another"))) as peer:
        refusals = Refusals()
        stills = StreamStills(target_of=lambda _camera: peer.target, refusals_of=lambda _camera: refusals)
        with pytest.raises(AuthenticationFailed):
            await stills.take(peer.target.device, Camera(), "main")
        with pytest.raises(AuthenticationFailed):
            await streams_of(peer, refusals).look(peer.target.device, timeout_s=5, frames=1)
        assert peer.refused == 1


async def hang_up(peer: Peer) -> None:
    assert peer.writer is not None
    peer.writer.close()


@pytest.mark.parametrize("door", [Door.BACKCHANNEL, Door.SIP])
async def test_a_stream_that_wants_no_login_is_looked_at_whatever_the_camera_refused_a_talker(door: Door) -> None:
    async with listening(Peer(after_play=hang_up)) as peer:
        refusals = Refusals()
        refusals.note(peer.target, door, AuthenticationFailed("refused"))
        stills = StreamStills(target_of=lambda _camera: peer.target, refusals_of=lambda _camera: refusals)
        with pytest.raises(Unreachable):
            await streams_of(peer, refusals).look(peer.target.device, timeout_s=5, frames=1)
        with pytest.raises(Unreachable):
            await stills.take(peer.target.device, Camera(), "main")
        assert peer.methods().count("PLAY") == 2


@pytest.mark.parametrize("door", [Door.BACKCHANNEL, Door.SIP])
async def test_a_password_that_a_talker_was_refused_is_not_said_to_a_stream_that_asks_for_it(door: Door) -> None:
    async with listening(Peer(login=Login())) as peer:
        refusals = Refusals()
        refusals.note(peer.target, door, AuthenticationFailed("refused at another door"))
        stills = StreamStills(target_of=lambda _camera: peer.target, refusals_of=lambda _camera: refusals)
        with pytest.raises(AuthenticationFailed, match="at another door"):
            await streams_of(peer, refusals).look(peer.target.device, timeout_s=5, frames=1)
        with pytest.raises(AuthenticationFailed, match="at another door"):
            await stills.take(peer.target.device, Camera(), "main")
        assert [("authorization" in asked.headers) for asked in peer.asked] == [False, False]


async def test_a_stream_that_takes_the_password_is_forgiven_what_it_refused() -> None:
    clock, books, login = SimulatedClock(), Books(), Login()
    async with listening(Peer(login=login, after_play=hang_up)) as peer:
        refusals = Refusals(books, clock)

        async def is_looked_at() -> None:
            with pytest.raises(Unreachable):
                await streams_of(peer, refusals).look(peer.target.device, timeout_s=5, frames=1)

        for _ in range(2):
            login.password = "another"
            with pytest.raises(AuthenticationFailed):
                await is_looked_at()
            await clock.advance(AGAIN_AFTER_S)
            books.accepted_at, login.password = clock.monotonic(), "secret"
            await is_looked_at()


async def test_a_login_that_is_called_stale_is_tried_again_at_the_next_check() -> None:
    async with listening(Peer(login=Login(refuses_as_stale=1000))) as peer:
        streams = streams_of(peer, Refusals())
        for asked in (3, 6):
            with pytest.raises(AuthenticationFailed, match="stale"):
                await streams.look(peer.target.device, timeout_s=5, frames=1)
            assert len(peer.asked) == asked


@pytest.mark.parametrize(
    ("glance", "profile", "reason"),
    [
        (GLANCE, PROFILE, ""),
        (replace(GLANCE, width=1280, height=720), PROFILE, "resolution-differs"),
        (replace(GLANCE, frame_rate=10.0), PROFILE, "frame-rate-differs"),
        (replace(GLANCE, frame_rate=12.5), PROFILE, ""),
        (replace(GLANCE, width=0, height=0, frame_rate=0.0), PROFILE, ""),
        (GLANCE, replace(PROFILE, width=0, height=0, frame_rate=0.0), ""),
    ],
    ids=["as told", "another size", "another rate", "halved at night", "nothing seen", "nothing told"],
)
async def test_only_what_is_known_is_compared(street: Street, tools: SlowTools, glance: Glance, profile: MediaProfile, reason: str) -> None:
    subject = Subject(next(iter(street.city.devices.values())), tools.clock.monotonic())
    assert media.judged(subject, tools, Sighting(glance, 0.5, profile)).reason == reason


def test_a_rate_is_read_from_times_in_any_order_and_across_their_wrap() -> None:
    times = [(1 << 32) - 3_600 + number * 3_600 for number in (0, 2, 1, 4, 3, 5)]
    assert frame_rate([time % (1 << 32) for time in times]) == 25.0
    assert frame_rate([1, 2]) == 0.0
    assert frame_rate([7, 7, 7]) == 0.0


async def test_two_checks_at_once_learn_a_stream_once(street: Street, tools: SlowTools) -> None:
    camera, _ = cameras(street)
    asked, driver = 0, street.driver(DeviceId(camera.id), tools.clock)

    class Counted:
        async def profiles(self, *, timeout_s: float) -> Sequence[MediaProfile]:
            nonlocal asked
            asked += 1
            return await driver.profiles(timeout_s=timeout_s)

        async def stream_path(self, profile: str, *, timeout_s: float) -> str:
            return await driver.stream_path(profile, timeout_s=timeout_s)

    refusals_of = street.refusals.__getitem__
    streams = Streams(camera_of=lambda _camera: Counted(), target_of=street.target, refusals_of=refusals_of, clock=tools.clock)
    await asyncio.gather(*(looked(street, replace(tools, streams=streams), camera) for _ in range(2)))
    assert asked == 1
