"""The rounds of slow checks, and the ports of silent devices, on a simulated street."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.clock import SimulatedClock
from gateway.config import Checks
from gateway.domain.devices import DeviceId, DeviceKind
from gateway.domain.health import CheckResult, HealthState, Outcome, Standing
from gateway.health.checks.subject import SlowTools, Subject
from gateway.health.checks.table import SLOW, Slow, paced
from gateway.health.rounds import Rounds
from gateway.health.service import HealthService
from gateway.storage.store import Store
from simulators.city import SimDevice
from simulators.faults import Answer
from tests.health import street as streets
from tests.health.street import Street


@pytest.fixture
async def street(clock: SimulatedClock) -> AsyncIterator[Street]:
    async with streets.standing(clock) as standing:
        yield standing


async def opened(street: Street, store: Store, clock: SimulatedClock, devices: Sequence[SimDevice]) -> HealthService:
    street.adopt(devices)
    service = street.service(store, clock)
    await service.load()
    return service


def rounds(service: HealthService, tools: SlowTools, *, lagged: bool = False, **checks: Slow) -> Rounds:
    return Rounds(checks, tools=tools, report=service.report, withdraw=service.withdraw, lagged_since=lambda _moment: lagged)


async def failing(subject: Subject, tools: SlowTools) -> list[CheckResult]:
    return [subject.result(tools, "test", Outcome.FAIL, "test-failed")]


async def breaking(_subject: Subject, _tools: SlowTools) -> list[CheckResult]:
    raise RuntimeError("ours")


TEST = Slow(failing, frozenset({DeviceKind.CAMERA}), interval_s=60, timeout_s=1, slots=2)


async def test_a_slow_check_is_made_of_who_answers_and_makes_it_degraded(street: Street, store: Store, clock: SimulatedClock) -> None:
    camera = street.of("camera")[0]
    service, device = await opened(street, store, clock, [camera]), DeviceId(camera.id)
    turning = rounds(service, street.slow_tools(clock, store), test=TEST)
    assert await turning.make("test", TEST, device) is None, "nobody knows yet whether it answers"
    await service.check_now(device)
    for _ in range(2):
        await turning.make("test", TEST, device)
    standing = street.board[device]
    assert (standing.state, standing.check, standing.reason) == (HealthState.DEGRADED, "test", "test-failed")


async def test_our_own_lag_and_our_own_mistakes_are_nobodys_illness(street: Street, store: Store, clock: SimulatedClock) -> None:
    camera = street.of("camera")[0]
    service, device = await opened(street, store, clock, [camera]), DeviceId(camera.id)
    await service.check_now(device)
    lagging = rounds(service, street.slow_tools(clock, store), lagged=True, test=TEST)
    for _ in range(3):
        assert await lagging.make("test", TEST, device) == []
    broken = replace(TEST, check=breaking)
    assert await rounds(service, street.slow_tools(clock, store), test=broken).make("test", broken, device) is None
    assert street.board[device].state is HealthState.UP


async def test_a_complaint_outlives_a_restart_and_not_the_end_of_its_check(street: Street, store: Store, clock: SimulatedClock) -> None:
    camera = street.of("camera")[0]
    service, device = await opened(street, store, clock, [camera]), DeviceId(camera.id)
    await service.check_now(device)
    turning = rounds(service, street.slow_tools(clock, store), test=TEST)
    for _ in range(2):
        await turning.make("test", TEST, device)
    again = await opened(street, store, clock, [camera])
    for _ in range(3):
        await again.check_now(device)
    assert street.board[device].reason == "test-failed"
    await again.withdraw(frozenset({"test"}))
    assert street.board[device].state is HealthState.UP


async def test_a_check_that_keeps_to_no_deadline_is_ended(street: Street, store: Store, clock: SimulatedClock) -> None:
    async def endless(_subject: Subject, _tools: SlowTools) -> list[CheckResult]:
        await asyncio.Event().wait()
        return []

    camera = street.of("camera")[0]
    service, device = await opened(street, store, clock, [camera]), DeviceId(camera.id)
    await service.check_now(device)
    endless_check = replace(TEST, check=endless, timeout_s=0.01)
    assert await rounds(service, street.slow_tools(clock, store), test=endless_check).make("test", endless_check, device) is None


def test_the_example_of_the_configuration_names_the_paces_of_the_table() -> None:
    example = (Path(__file__).parents[2] / "configs" / "gateway.yaml").read_text(encoding="utf-8")
    section = example.split("\n  checks:\n")[1]
    for name, slow in SLOW.items():
        own = re.split(r"\n    \w+:|\n\w", section.split(f"    {name}:")[1])[0]
        told = dict(re.findall(r"# (interval_s|timeout_s|slots): ([0-9]+)", own))
        assert told["interval_s"] == f"{slow.interval_s:g}", name
        assert all(float(told[field]) == getattr(slow, field) for field in told), name


def test_the_configuration_knows_every_slow_check_and_changes_only_what_it_names() -> None:
    assert set(Checks.model_fields) == set(SLOW)
    assert paced(SLOW["media"], {"slots": 1}) == replace(SLOW["media"], slots=1)


# -- ports ------------------------------------------------------------------------------------------------------------


def wire(street: Street, switch: SimDevice, camera: SimDevice) -> None:
    """The inventory is a camera that hangs on a port of a switch."""
    hung = replace(street.entry(camera), uplink=DeviceId(switch.id), uplink_port=camera.uplink_port)
    street.city.replace(devices=[street.entry(switch), hung])


async def test_the_port_of_a_silent_device_is_told_once_and_is_no_complaint(street: Street, store: Store, clock: SimulatedClock) -> None:
    camera = next(device for device in street.of("camera") if device.uplink and not device.lacks)
    switch = street.devices[DeviceId(camera.uplink)]
    wire(street, switch, camera)
    service, device = street.service(store, clock), DeviceId(camera.id)
    await service.load()
    await service.check_now(device)
    ports = SLOW["ports"]
    turning = rounds(service, street.slow_tools(clock, store), ports=ports)

    async def round_() -> None:
        await clock.advance(61)
        await service.check_now(DeviceId(switch.id))
        await turning.make("ports", ports, DeviceId(switch.id))

    await round_()
    assert "port" not in street.board[device].facts, "a port that is up is no news"
    street.state.wires.ports_down.add((switch.id, camera.uplink_port))
    await round_()
    assert street.board[device].facts["port"]["mismatch"] is True, "it answers: whatever is down, it is not its port"
    street.break_(camera, answer=Answer.REFUSE)
    for _ in range(3):
        await service.check_now(device)
    for _ in range(2):
        await round_()
    assert street.board[device].state is HealthState.DOWN
    facts = street.board[device].facts["port"]
    assert (facts["reason"], facts["switch"], facts["port"], facts["link"]) == ("port-down", switch.id, camera.uplink_port, "down")
    notices = [event for event in await streets.events(store) if event.type == "device.notice" and event.subject == camera.id]
    assert [notice.data["reason"] for notice in notices] == ["port-down"]
    street.state.wires.ports_down.clear()
    street.mend(camera)
    await round_()
    assert street.board[device].facts["port"]["reason"] == ""


async def test_a_fault_of_the_power_is_named_before_the_link_it_takes_along(street: Street, store: Store, clock: SimulatedClock) -> None:
    camera = next(device for device in street.of("camera") if device.uplink)
    switch = street.devices[DeviceId(camera.uplink)]
    wire(street, switch, camera)
    told = {"port_state": {str(camera.uplink_port): "down"}, "poe_port": {f"group=1,port={camera.uplink_port}": "fault"}}
    street.board.put(Standing(DeviceId(switch.id), HealthState.UP, facts={"snmp": {"sensors": told}}))
    street.board.put(Standing(DeviceId(camera.id), HealthState.DOWN))
    (result,) = await SLOW["ports"].check(Subject(street.city.devices[DeviceId(switch.id)], 0.0), street.slow_tools(clock, store))
    assert (result.device, result.outcome, result.reason, result.facts["poe"]) == (camera.id, Outcome.OK, "poe-fault", "fault")
