"""A login that one door of a device refused is not tried at any other, on real sockets: five wrong passwords lock us out."""

import asyncio
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
from gateway.drivers.refusals import AGAIN_AFTER_S, Door, Refusals
from gateway.drivers.registry import Drivers
from gateway.drivers.speaker import BackchannelPath, Loudspeaker
from gateway.errors import AuthenticationFailed, DeadlineExceeded
from simulators import http
from simulators.city import SimDevice, plan
from simulators.onvif.site import Site
from simulators.state import State
from tests.drivers.books import Books
from tests.drivers.rtsp.peer import Login, Peer, listening
from tests.simulators.street import free_ports

PROFILES = Profiles.load(Path(__file__).parents[2] / "configs" / "profiles")
HORN = DeviceId("horn")
ENCODINGS = ("PCMA", "PCMU")
WRONG = AuthenticationFailed("refused")
TARGET = Target(HORN, "127.0.0.1", Ports(), Credentials("admin", "secret"))


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


async def test_broadcasts_that_are_refused_at_once_are_one_refusal(pole: Pole) -> None:
    await pole.speaker.prepare(timeout_s=20)
    refused = await asyncio.gather(*(pole.speak() for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in refused] == [AuthenticationFailed] * 3
    assert (pole.rtsp.refused, pole.drivers.onvif_of(HORN).refusals) == (3, 1)
    await pole.clock.advance(AGAIN_AFTER_S)
    await pole.check()
    assert await pole.tries() == 4


async def test_a_talk_for_which_no_password_was_asked_forgives_no_refusal(pole: Pole) -> None:
    login = pole.rtsp.login
    assert await pole.tries() == 1
    await pole.clock.advance(AGAIN_AFTER_S)
    await pole.check()
    pole.rtsp.login = None
    await pole.speak()
    pole.rtsp.login = login
    assert await pole.tries() == 2
    await pole.clock.advance(AGAIN_AFTER_S)
    await pole.check()
    assert await pole.tries() == 2, "twice as late"


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


async def test_a_device_that_wants_no_password_any_more_is_spoken_to_whatever_it_refused(pole: Pole) -> None:
    with pytest.raises(AuthenticationFailed):
        await pole.speak()
    pole.rtsp.login = None
    await pole.speak()


async def test_a_refusal_at_the_backchannel_counts_at_every_door_and_among_those_over_onvif(pole: Pole) -> None:
    with pytest.raises(AuthenticationFailed):
        await pole.speak()
    assert pole.drivers.onvif_of(HORN).refusals == 1
    refusals, target = pole.drivers.refusals_of(HORN), pole.drivers.target_of(HORN)
    assert all(refusals.known(target, door) is not None for door in Door)
    assert pole.drivers._called(HORN)._refusals is refusals


async def test_a_password_that_is_known_bad_over_onvif_is_not_tried_over_rtsp(pole: Pole) -> None:
    onvif = OnvifDevice(pole.drivers.target_of(HORN), Http(), SystemClock())
    path = BackchannelPath(onvif, refusals=Refusals(onvif))
    await path.prepare(timeout_s=20)
    onvif.retarget(replace(onvif.target, credentials=Credentials(pole.horn.username, "wrong")))
    with pytest.raises(AuthenticationFailed):
        await onvif.identity(timeout_s=20)
    with pytest.raises(AuthenticationFailed, match="over ONVIF"):
        await path.open(prefer=ENCODINGS, timeout_s=20)
    assert not any("authorization" in asked.headers for asked in pole.rtsp.asked)


class House:
    """The refusals of one device."""

    def __init__(self) -> None:
        self.books, self.clock = Books(), SimulatedClock()
        self.refusals = Refusals(self.books, self.clock)

    def may_try(self, door: Door) -> bool:
        return self.refusals.known(TARGET, door) is None

    def is_refused(self, door: Door, *, granted: bool = False) -> None:
        with pytest.raises(AuthenticationFailed), self.refusals.minded(TARGET, door) as attempt:
            assert attempt.target is TARGET
            if granted:
                attempt.let_in()
            raise WRONG

    def is_let_in(self, door: Door) -> None:
        with self.refusals.minded(TARGET, door) as attempt:
            assert attempt.target is TARGET
            attempt.let_in()

    async def waits_s(self, door: Door, *, at_most: float = 10_000) -> float:
        """After so long a login is tried again, if the other protocol is let in all the time."""
        began = self.clock.monotonic()
        while not self.may_try(door) and self.clock.monotonic() - began < at_most:
            await self.clock.advance(100)
            self.books.accepted_at = self.clock.monotonic()
        return self.clock.monotonic() - began


async def test_each_further_refusal_at_a_door_is_waited_for_twice_as_long_whatever_other_doors_take() -> None:
    house, waits = House(), []
    for _ in range(4):
        house.is_refused(Door.SIP)
        waits.append(await house.waits_s(Door.SIP))
        house.is_let_in(Door.STREAM)
        with house.refusals.minded(TARGET, Door.SIP):
            pass  # no password was asked for
    assert waits == [600, 1_200, 2_400, 4_800]
    house.is_let_in(Door.SIP)
    house.is_refused(Door.SIP)
    assert await house.waits_s(Door.SIP) == 600


async def test_no_door_waits_ever_longer_for_what_another_refused() -> None:
    house = House()
    for _ in range(3):
        house.is_refused(Door.SIP)
        assert await house.waits_s(Door.STREAM) == 600
        await house.waits_s(Door.SIP)


async def test_a_login_that_was_taken_for_one_question_and_refused_for_the_next_is_forgiven_nothing() -> None:
    house = House()
    house.is_refused(Door.BACKCHANNEL)
    await house.waits_s(Door.BACKCHANNEL)
    house.is_refused(Door.BACKCHANNEL, granted=True)
    assert await house.waits_s(Door.BACKCHANNEL) == 1_200


async def test_a_login_that_was_taken_before_something_else_failed_is_forgiven() -> None:
    house = House()
    house.is_refused(Door.STREAM)
    await house.waits_s(Door.STREAM)
    with pytest.raises(DeadlineExceeded), house.refusals.minded(TARGET, Door.STREAM) as attempt:
        attempt.let_in()
        raise DeadlineExceeded("no picture")
    house.is_refused(Door.STREAM)
    assert await house.waits_s(Door.STREAM) == 600


async def test_what_is_refused_at_once_makes_nobody_wait_longer_and_is_told_to_the_books_once_for_each_wait() -> None:
    house = House()
    for tries in (1, 2):
        for door in (Door.STREAM, Door.STREAM, Door.SIP, Door.STREAM):
            house.refusals.note(TARGET, door, WRONG)
        assert house.books.suspected == tries
        assert await house.waits_s(Door.STREAM) == 600 * tries


async def test_a_password_that_the_books_have_not_seen_taken_since_is_not_said_again() -> None:
    house = House()
    house.books.accepted_at = house.clock.monotonic()
    house.is_refused(Door.STREAM)
    await house.clock.advance(100 * AGAIN_AFTER_S)
    assert not any(house.may_try(door) for door in Door)


def test_where_a_login_is_not_to_be_said_only_a_device_that_asks_for_one_has_refused_it() -> None:
    house = House()
    house.is_refused(Door.SIP)
    with house.refusals.minded(TARGET, Door.STREAM) as attempt:
        assert attempt.target == replace(TARGET, credentials=Credentials())
    with pytest.raises(AuthenticationFailed, match="refused"), house.refusals.minded(TARGET, Door.STREAM):
        raise AuthenticationFailed("asks for a password, and there is none")
    with pytest.raises(AuthenticationFailed, match="no right"), house.refusals.minded(TARGET, Door.STREAM):
        raise AuthenticationFailed("no right", code="forbidden")
    assert house.books.suspected == 1


def test_a_refusal_holds_for_that_login_at_that_address() -> None:
    refusals = Refusals()
    refusals.note(TARGET, Door.STREAM, WRONG)
    assert refusals.known(TARGET, Door.STREAM) is not None
    assert refusals.known(replace(TARGET, credentials=Credentials("admin", "right")), Door.STREAM) is None
    assert refusals.known(replace(TARGET, address="127.0.0.2"), Door.STREAM) is None
    refusals.note(replace(TARGET, credentials=Credentials()), Door.STREAM, WRONG)  # no password was said
    assert refusals.known(TARGET, Door.STREAM) is not None
    refusals.forget()
    assert refusals.known(TARGET, Door.STREAM) is None


def test_who_may_not_do_something_has_said_no_wrong_password() -> None:
    refusals = Refusals()
    refusals.note(TARGET, Door.STREAM, AuthenticationFailed("no", code="forbidden"))
    assert refusals.known(TARGET, Door.STREAM) is None
