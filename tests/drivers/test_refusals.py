"""A login that one door of a device refused is not tried at any other, on real sockets: five wrong passwords lock us out."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gateway.clock import SimulatedClock, SystemClock
from gateway.domain.city import City
from gateway.domain.devices import Credentials, Device, DeviceId, DeviceKind, Ports
from gateway.drivers.base import Target
from gateway.drivers.http import Http
from gateway.drivers.onvif.device import OnvifDevice
from gateway.drivers.profiles.library import Profiles
from gateway.drivers.refusals import AGAIN_AFTER_S, Refusals
from gateway.drivers.registry import Drivers
from gateway.drivers.speaker import BackchannelPath, Loudspeaker
from gateway.errors import AuthenticationFailed
from simulators import http
from simulators.city import SimDevice, plan
from simulators.onvif.site import Site
from simulators.state import State
from tests.drivers.rtsp.peer import Login, Peer, listening
from tests.simulators.street import free_ports

PROFILES = Profiles.load(Path(__file__).parents[2] / "configs" / "profiles")
HORN = DeviceId("horn")
ENCODINGS = ("PCMA", "PCMU")
WRONG = AuthenticationFailed("refused")


@dataclass
class Pole:
    """A loudspeaker that is simulated over ONVIF, and whose RTSP server has a list of users of its own."""

    horn: SimDevice
    rtsp: Peer
    drivers: Drivers
    clock: SimulatedClock

    @property
    def speaker(self) -> Loudspeaker:
        return self.drivers.speaker_of(HORN)

    async def speak(self) -> None:
        await (await self.speaker.open_audio(prefer=ENCODINGS, timeout_s=20)).close()

    async def tries(self) -> int:
        """How many passwords were refused over RTSP when one more broadcast has failed for it."""
        with pytest.raises(AuthenticationFailed, match="refuses our password over RTSP"):
            await self.speak()
        return self.rtsp.refused

    async def check(self) -> None:
        await self.drivers.onvif_of(HORN).check(timeout_s=20)


@pytest.fixture
async def pole() -> AsyncIterator[Pole]:
    (port,) = free_ports(1)
    simulated, state = plan(seed=7, groups=4, speakers=1, http_port=port, rtsp_port=port), State()
    (horn,) = simulated.of_kind("speaker")
    for switch in state.quirks_of(horn):
        state.switch_quirk(horn, switch, None)
    login, city, clock = Login(user=horn.username, password="another"), City(), SimulatedClock()
    async with (
        http.listen(Site(simulated, state).lookup, port=port),
        listening(Peer(login=login), host=horn.address) as peer,
        Drivers(city, clock, PROFILES, walk_every_s=60) as drivers,
    ):
        city.replace(devices=[Device(HORN, DeviceKind.SPEAKER, "horn", horn.address, Ports(onvif=port, rtsp=peer.port))])
        drivers.renew({HORN: Credentials(horn.username, horn.password)})
        yield Pole(horn, peer, drivers, clock)


async def test_a_password_that_is_refused_over_rtsp_is_tried_by_one_broadcast_alone(pole: Pole) -> None:
    for _ in range(4):
        with pytest.raises(AuthenticationFailed, match="refuses our password over RTSP"):
            await pole.speak()
    assert pole.rtsp.refused == 1


async def test_somebody_who_says_that_the_password_is_right_lets_it_be_tried_again(pole: Pole) -> None:
    for _ in range(2):
        with pytest.raises(AuthenticationFailed):
            await pole.speak()
        pole.drivers.try_again(HORN)
    assert pole.rtsp.refused == 2
    assert pole.rtsp.login is not None
    pole.rtsp.login.password = pole.horn.password
    await pole.speak()


async def test_a_password_that_onvif_has_taken_since_is_tried_again_ever_later(pole: Pole) -> None:
    assert await pole.tries() == 1
    await pole.clock.advance(AGAIN_AFTER_S - 1)
    await pole.check()
    assert await pole.tries() == 1, "too soon"
    await pole.clock.advance(1)
    assert await pole.tries() == 2
    await pole.clock.advance(AGAIN_AFTER_S)
    await pole.check()
    assert await pole.tries() == 2, "twice as late"
    await pole.clock.advance(AGAIN_AFTER_S)
    assert await pole.tries() == 3


async def test_a_password_that_onvif_has_not_taken_since_is_not_tried_again(pole: Pole) -> None:
    await pole.check()
    assert await pole.tries() == 1
    await pole.clock.advance(100 * AGAIN_AFTER_S)
    assert await pole.tries() == 1


async def test_a_device_that_lets_us_in_again_has_refused_nothing(pole: Pole) -> None:
    assert pole.rtsp.login is not None
    for tries in (1, 3):
        pole.rtsp.login.password = "another"
        assert await pole.tries() == tries
        await pole.clock.advance(AGAIN_AFTER_S)
        await pole.check()
        assert await pole.tries() == tries + 1
        await pole.clock.advance(2 * AGAIN_AFTER_S)
        await pole.check()
        pole.rtsp.login.password = pole.horn.password
        await pole.speak()


async def test_a_refusal_over_rtsp_keeps_the_password_from_a_call_and_counts_among_those_over_onvif(pole: Pole) -> None:
    with pytest.raises(AuthenticationFailed):
        await pole.speak()
    assert pole.drivers.onvif_of(HORN).refusals == 1
    telephone = pole.drivers._called(HORN)
    with pytest.raises(AuthenticationFailed, match="refuses our password over RTSP"):
        await telephone.open(prefer=ENCODINGS, timeout_s=1)  # nothing listens there


async def test_a_password_that_is_known_bad_over_onvif_is_not_tried_over_rtsp(pole: Pole) -> None:
    onvif = OnvifDevice(pole.drivers.target_of(HORN), Http(), SystemClock())
    path = BackchannelPath(onvif, refusals=Refusals(onvif))
    await path.prepare(timeout_s=20)
    onvif.retarget(replace(onvif.target, credentials=Credentials(pole.horn.username, "wrong")))
    with pytest.raises(AuthenticationFailed):
        await onvif.identity(timeout_s=20)
    with pytest.raises(AuthenticationFailed, match="over ONVIF"):
        await path.open(prefer=ENCODINGS, timeout_s=20)
    assert not pole.rtsp.asked


def test_a_refusal_holds_for_that_login_at_that_address() -> None:
    target = Target(HORN, "127.0.0.1", Ports(), Credentials("admin", "wrong"))
    refusals = Refusals()
    refusals.note(target, WRONG)
    assert refusals.known(target) is not None
    assert refusals.known(replace(target, credentials=Credentials("admin", "right"))) is None
    assert refusals.known(replace(target, address="127.0.0.2")) is None
    refusals.note(replace(target, credentials=Credentials()), WRONG)  # no password was said
    assert refusals.known(target) is not None
    refusals.forget()
    assert refusals.known(target) is None


def test_who_may_not_do_something_has_said_no_wrong_password() -> None:
    target = Target(HORN, "127.0.0.1", Ports(), Credentials("admin", "right"))
    refusals = Refusals()
    refusals.note(target, AuthenticationFailed("no", code="forbidden"))
    assert refusals.known(target) is None
