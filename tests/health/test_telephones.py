"""Loudspeakers that are telephones, as the checks and the verification before a broadcast see them: over real SIP."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gateway.broadcast.verification import verification
from gateway.clock import SimulatedClock
from gateway.domain.city import City
from gateway.domain.devices import Credentials, Device, DeviceId, DeviceKind, Ports
from gateway.domain.health import Board, CheckResult, HealthState, Outcome, Standing
from gateway.domain.remarks import Remark, RemarkKind
from gateway.drivers.profiles.library import Profiles
from gateway.drivers.registry import Drivers
from gateway.errors import WrongDevice
from gateway.health.checks import speaker
from gateway.health.checks.subject import Subject, Tools
from simulators.city import SimDevice, plan
from simulators.faults import Answer, Fault
from simulators.sip import server as sip
from simulators.state import State
from tests.simulators.street import free_ports

PROFILES = Profiles.load(Path(__file__).parents[2] / "configs" / "profiles")
HORN = DeviceId("horn")


@dataclass
class Pole:
    """One telephone of the inventory, and the simulated one behind it."""

    horn: SimDevice
    state: State
    city: City
    board: Board
    clock: SimulatedClock
    drivers: Drivers

    def has(self, **said: object) -> None:
        """Say something else of the horn in the inventory."""
        self.city.replace(devices=[replace(self.city.devices[HORN], **said)])
        self.drivers.renew({HORN: Credentials(self.horn.username, self.horn.password)})

    async def check(self) -> dict[str, CheckResult]:
        drivers, clock = self.drivers, self.clock
        tools = Tools(drivers.onvif_of, drivers.target_of, drivers.sensors, clock, telephone_of=drivers.telephone_of, timeout_s=1.0)
        results = await speaker.check(Subject(self.city.devices[HORN], clock.monotonic()), tools)
        return {result.check: result for result in results}

    def shown(self, found: CheckResult) -> Standing:
        """How it stands after its identity was checked."""
        now, facts = self.clock.now(), {"identity": found.facts}
        return Standing(HORN, HealthState.UP, now, last_seen=now, facts=facts, introduction=found.introduction)

    async def verify(self) -> Remark | None:
        drivers = self.drivers
        return await verification(
            city=self.city,
            board=self.board,
            clock=self.clock,
            identity_of=drivers.identity_of,
            quirks_of=drivers.quirks_of,
            is_telephone=drivers.is_telephone,
        )(HORN)


@pytest.fixture
async def pole(clock: SimulatedClock) -> AsyncIterator[Pole]:
    simulated = plan(seed=7, groups=4, speakers=1, telephones=1, sip_port=free_ports(1)[0])
    horn, state, city = simulated.of_kind("speaker")[0], State(), City()
    ports = Ports(onvif=free_ports(1)[0], sip=simulated.sip_port)
    device = Device(HORN, DeviceKind.SPEAKER, "horn", horn.address, ports, vendor=horn.vendor, model=horn.model, mac=horn.mac)
    city.replace(devices=[device])
    async with sip.serve(simulated, simulated.sip_port, state), Drivers(city, clock, PROFILES, walk_every_s=60) as drivers:
        drivers.renew({HORN: Credentials(horn.username, horn.password)})
        yield Pole(horn, state, city, Board(), clock, drivers)


async def test_a_telephone_is_well_and_known_by_its_hardware(pole: Pole) -> None:
    found = await pole.check()
    assert {name: result.outcome for name, result in found.items()} == {"reach": Outcome.OK, "identity": Outcome.OK}
    facts = found["identity"].facts
    assert (facts["rests_on"], facts["hardware"], facts["model"]) == ("hardware", pole.horn.mac, pole.horn.model)
    await pole.verify()


@pytest.mark.parametrize("said", [{"mac": "02:00:00:00:00:09"}, {"mac": "", "serial": "020000000009"}])
async def test_another_telephone_at_the_address_is_told_and_not_spoken_through(pole: Pole, said: dict[str, str]) -> None:
    pole.has(**said)
    found = await pole.check()
    assert (found["reach"].outcome, found["identity"].reason) == (Outcome.OK, "wrong-device")
    with pytest.raises(WrongDevice):
        await pole.verify()


async def test_a_swapped_telephone_is_not_spoken_through(pole: Pole) -> None:
    pole.state.ail(pole.horn, Fault(mac="02:0c:38:99:99:99"))
    with pytest.raises(WrongDevice):
        await pole.verify()


async def test_one_of_which_no_hardware_is_known_rests_on_its_address_and_says_so(pole: Pole) -> None:
    pole.has(mac="", serial="A-1")
    found = await pole.check()
    assert (found["identity"].outcome, found["identity"].facts["rests_on"]) == (Outcome.OK, "address")
    said = await pole.verify()
    assert said is not None
    assert said.kind is RemarkKind.HARDWARE_UNLISTED


async def test_hardware_that_was_told_too_long_ago_is_asked_for_though_the_telephone_has_answered_since(pole: Pole) -> None:
    pole.has(mac="02:00:00:00:00:99")
    found = (await pole.check())["identity"]
    pole.board.put(replace(pole.shown(found), facts={"identity": {"hardware": "02:00:00:00:00:99"}}))
    assert await pole.verify() is None
    await pole.clock.advance(61)
    pole.board.put(replace(pole.board[HORN], last_seen=pole.clock.now()))
    with pytest.raises(WrongDevice):
        await pole.verify()


async def test_what_a_fresh_check_found_is_not_asked_again(pole: Pole) -> None:
    pole.board.put(pole.shown((await pole.check())["identity"]))
    asked = pole.state.counters["sip.messages.speaker"]
    await pole.verify()
    assert pole.state.counters["sip.messages.speaker"] == asked
    await pole.clock.advance(61)
    await pole.verify()
    assert pole.state.counters["sip.messages.speaker"] > asked


async def test_a_telephone_that_refuses_the_password_is_alive(pole: Pole) -> None:
    pole.drivers.renew({HORN: Credentials("nobody", "wrong")})
    found = await pole.check()
    assert (found["reach"].outcome, found["identity"].reason) == (Outcome.OK, "bad-credentials")


@pytest.mark.parametrize(("answer", "reason"), [(Answer.SILENT, "timeout")])
async def test_a_silent_telephone_is_not_reached(pole: Pole, answer: Answer, reason: str) -> None:
    pole.state.ail(pole.horn, Fault(answer))
    found = await pole.check()
    assert {name: (result.outcome, result.reason) for name, result in found.items()} == {"reach": (Outcome.FAIL, reason)}


async def test_a_port_where_nobody_takes_calls_is_refused(pole: Pole) -> None:
    pole.has(ports=Ports(sip=free_ports(1)[0]))
    found = await pole.check()
    assert found["reach"].reason == "refused"
