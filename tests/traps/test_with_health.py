"""Traps and the health service together, over real sockets: complaints come and go, and the visits have the last word."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pysnmp.proto.rfc1902 import Integer32, OctetString

from gateway.clock import SimulatedClock
from gateway.domain.alarms import CHECK
from gateway.domain.devices import Device, DeviceId
from gateway.domain.health import HealthState
from gateway.health.service import HealthService
from gateway.storage.store import Store
from gateway.traps.service import SWEEP_S, TrapService, TrapSettings
from tests.drivers.snmp.test_notifications import v2_message
from tests.health import street as streets
from tests.health.street import PROFILES, Street
from tests.traps.house import free_udp_port
from tests.waiting import until

ALARM_NEW, ALARM_CLEARED = "1.3.6.1.4.1.368.4.2.0.1", "1.3.6.1.4.1.368.4.2.0.2"
LINK_DOWN = "1.3.6.1.6.3.1.1.5.3"


@dataclass
class Together:
    street: Street
    health: HealthService
    traps: TrapService
    speaker: Device
    switch: Device
    port: int
    clock: SimulatedClock

    def send(self, data: bytes, sender: Device) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((sender.address, 0))
            sock.sendto(data, ("127.0.0.1", self.port))

    def alarm(self, trap: str) -> bytes:
        rows = [("1.3.6.1.4.1.368.4.2.1.0", Integer32(7)), ("1.3.6.1.4.1.368.4.2.3.0", OctetString(b"casing open"))]
        return v2_message(trap, rows, self.community(self.speaker))

    def community(self, device: Device) -> str:
        snmp = self.street.target(device.id).credentials.snmp
        assert snmp is not None
        return snmp.community

    def state(self, device: Device) -> tuple[HealthState, str]:
        standing = self.street.board[device.id]
        return standing.state, standing.reason

    async def visit(self, device: Device, times: int = 2) -> None:
        for _ in range(times):
            await self.health.check_now(device.id)

    async def until_open(self, count: int) -> None:
        """Until the health service has taken that so many alarms about the loudspeaker are open."""
        await until(lambda: len(self.street.board[self.speaker.id].facts.get(CHECK, {}).get("alarms", ())) == count)


@pytest.fixture
async def together(store: Store, clock: SimulatedClock, tmp_path: Path) -> AsyncIterator[Together]:
    async with streets.standing(clock) as street:
        v2c = [device for device in street.devices.values() if device.snmp is not None and device.snmp.version == "v2c"]
        switch = street.entry(next(device for device in v2c if device.kind == "switch"))
        speaker = next(device for device in v2c if device.kind == "speaker")
        behind = replace(street.entry(speaker, profile="axis-speaker"), uplink=switch.id, uplink_port=2)
        street.city.replace(devices=[switch, behind])
        health, port = street.service(store, clock), free_udp_port()
        traps = TrapService(
            TrapSettings(port, "127.0.0.1"), city=street.city, board=street.board, store=store, clock=clock, folder=tmp_path,
            target_of=street.target, rules_of=lambda name: PROFILES.traps_of(PROFILES.by_name.get(street.city.devices[name].profile)),
            report=health.report, visit=health.check_now,
        )  # fmt: skip
        await health.load()
        await traps.load()
        work = asyncio.create_task(traps.run())
        made = Together(street, health, traps, behind, switch, port, clock)
        try:
            await until(lambda: traps.receiver_pid)
            await until(lambda: traps.figures.counts.get("malformed"), meanwhile=lambda: made.send(b"x", behind))
            yield made
        finally:
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work


async def test_an_alarm_makes_a_well_device_degraded_until_its_clear(together: Together) -> None:
    await together.visit(together.speaker)
    assert together.state(together.speaker) == (HealthState.UP, "")
    together.send(together.alarm(ALARM_NEW), together.speaker)
    await together.until_open(1)
    await together.visit(together.speaker)
    assert together.state(together.speaker) == (HealthState.DEGRADED, "trap-alarm")
    assert together.street.board[together.speaker.id].facts[CHECK]["alarms"][0]["text"] == "casing open"
    together.send(together.alarm(ALARM_CLEARED), together.speaker)
    await together.until_open(0)
    await together.visit(together.speaker)
    assert together.state(together.speaker) == (HealthState.UP, "")


async def test_a_link_that_is_said_to_be_down_while_the_device_answers_is_refuted_by_its_answers(together: Together) -> None:
    await together.visit(together.speaker)
    down = v2_message(LINK_DOWN, [("1.3.6.1.2.1.2.2.1.1.2", Integer32(2))], together.community(together.switch))
    together.send(down, together.switch)
    await together.until_open(1)
    await together.clock.advance(SWEEP_S + 2)
    await together.visit(together.speaker)
    await together.clock.advance(SWEEP_S + 1)
    await together.until_open(0)
    await together.visit(together.speaker)
    assert together.state(together.speaker) == (HealthState.UP, "")


async def test_a_trap_has_its_device_visited(together: Together) -> None:
    assert together.street.board[DeviceId(together.speaker.id)].state is HealthState.UNKNOWN
    together.send(together.alarm(ALARM_NEW), together.speaker)
    await together.until_open(1)
    await until(lambda: together.state(together.speaker)[0] is not HealthState.UNKNOWN, meanwhile=lambda: together.clock.advance(0.2))
    assert together.state(together.speaker)[0] is HealthState.DEGRADED
