"""USM as a receiver: the messages of the simulated agents, judged; copies, old clocks and forged reports refused."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.domain.devices import SnmpCredentials, SnmpVersion
from gateway.drivers.snmp.ber import Malformed
from gateway.drivers.snmp.usm_keys import User
from gateway.drivers.snmp.usm_receiving import Ourselves, Refusal, UsmReceiver, Verdict
from simulators.city import SimDevice
from simulators.traps import Sink, Trap
from tests.simulators.snmp_block import AGGREGATION, MD5_AES_SWITCH, MD5_SWITCH, SHA256_SWITCH, Block, snmp_block
from tests.waiting import until

SENDERS = [AGGREGATION, MD5_SWITCH, SHA256_SWITCH, MD5_AES_SWITCH]
US = b"\x80\x00\x00\x01\x05gateway!"


def user_of(device: SimDevice, **changed: str) -> User:
    assert device.snmp is not None
    settings = device.snmp
    login = SnmpCredentials(
        SnmpVersion.V3, "", settings.user, settings.auth_protocol, settings.auth_key, settings.priv_protocol, settings.priv_key
    )
    return User(replace(login, **changed))


class Ear:
    """Where the simulated agents send to, and a receiver with a clock that is set by hand."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.now = 1_000.0
        self.boots = 3
        self.receiver = self.renewed()

    def renewed(self) -> UsmReceiver:
        return UsmReceiver(Ourselves(US, self.boots, lambda: int(self.now)), lambda: self.now)

    async def hear(self) -> tuple[bytes, tuple[str, int]]:
        async with asyncio.timeout(60):
            data, peer = await asyncio.get_running_loop().sock_recvfrom(self.socket, 65_535)
            return data, peer

    def judge(self, data: bytes, device: SimDevice, **changed: str) -> Verdict:
        return self.receiver.receive(data, user_of(device, **changed))


@pytest.fixture
async def block() -> AsyncIterator[Block]:
    async with snmp_block(retry_s=0.05) as running:
        yield running


@pytest.fixture
async def ear(block: Block) -> AsyncIterator[Ear]:
    ear = Ear()
    block.state.traps.sink = Sink("127.0.0.1", ear.socket.getsockname()[1])
    yield ear
    ear.socket.close()


async def trap_of(block: Block, ear: Ear, device: SimDevice) -> bytes:
    block.state.traps.send(device, Trap.COLD_START)
    return (await ear.hear())[0]


@pytest.mark.parametrize("device", SENDERS, ids=lambda device: f"{device.snmp.auth_protocol}-{device.snmp.priv_protocol}")
async def test_a_trap_of_the_simulated_agents_is_believed(block: Block, ear: Ear, device: SimDevice) -> None:
    verdict = ear.judge(await trap_of(block, ear, device), device)
    assert verdict.notification is not None and verdict.notification.trap == "1.3.6.1.6.3.1.1.5.1"
    assert not verdict.notification.inform and verdict.answer == b""


@pytest.mark.parametrize("device", SENDERS, ids=lambda device: f"{device.snmp.auth_protocol}-{device.snmp.priv_protocol}")
async def test_an_inform_meets_our_engine_and_is_acknowledged(block: Block, ear: Ear, device: SimDevice) -> None:
    assert block.state.traps.sink is not None
    block.state.traps.sink = replace(block.state.traps.sink, informs=True)
    block.state.traps.send(device, Trap.COLD_START)
    refusals = []
    while True:
        data, peer = await ear.hear()
        verdict = ear.judge(data, device)
        ear.socket.sendto(verdict.answer, peer)
        if verdict.notification is not None:
            break
        refusals.append(verdict.refusal)
    assert refusals[0] is Refusal.UNKNOWN_ENGINE
    assert verdict.notification.inform
    await until(lambda: block.state.counters["snmp.informs_acknowledged.switch"])


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"user": "another"}, Refusal.UNKNOWN_USER),
        ({"auth_key": "another-key"}, Refusal.WRONG_DIGEST),
        ({"priv_key": "another-key"}, Refusal.DECRYPTION),
        ({"priv_protocol": ""}, Refusal.SECURITY_LEVEL),
        ({"auth_protocol": "", "priv_protocol": ""}, Refusal.SECURITY_LEVEL),
    ],
)
async def test_what_is_not_as_the_inventory_has_it_is_refused(block: Block, ear: Ear, changed: dict[str, str], refusal: Refusal) -> None:
    assert ear.judge(await trap_of(block, ear, AGGREGATION), AGGREGATION, **changed).refusal is refusal


async def test_a_copy_of_an_old_trap_is_refused_and_a_new_one_is_not(block: Block, ear: Ear) -> None:
    old = await trap_of(block, ear, AGGREGATION)
    assert ear.judge(old, AGGREGATION).notification is not None
    ear.now += 140
    assert ear.judge(old, AGGREGATION).notification is not None
    ear.now += 20
    assert ear.judge(old, AGGREGATION).refusal is Refusal.NOT_IN_TIME
    block.clock.advance(160)
    assert ear.judge(await trap_of(block, ear, AGGREGATION), AGGREGATION).notification is not None


async def test_a_trap_from_before_the_last_start_of_its_agent_is_refused(block: Block, ear: Ear) -> None:
    old = await trap_of(block, ear, AGGREGATION)
    block.state.traps.sink = None
    block.state.journal.note(block.clock(), "reboot", device=AGGREGATION.id)
    block.state.traps.sink = Sink("127.0.0.1", ear.socket.getsockname()[1])
    new = await trap_of(block, ear, AGGREGATION)
    assert ear.judge(new, AGGREGATION).notification is not None
    assert ear.judge(old, AGGREGATION).refusal is Refusal.NOT_IN_TIME


async def test_an_agent_that_does_not_count_its_starts_is_believed_where_we_know_that(block: Block, ear: Ear) -> None:
    old = await trap_of(block, ear, AGGREGATION)
    assert ear.judge(old, AGGREGATION).notification is not None
    ear.now += 10_000
    assert ear.receiver.receive(old, user_of(AGGREGATION), lenient=True).notification is not None


async def test_an_inform_from_before_our_own_last_start_is_refused(block: Block, ear: Ear) -> None:
    assert block.state.traps.sink is not None
    block.state.traps.sink = replace(block.state.traps.sink, informs=True)
    block.state.traps.send(AGGREGATION, Trap.COLD_START)
    while True:
        data, peer = await ear.hear()
        verdict = ear.judge(data, AGGREGATION)
        if verdict.notification is not None:
            break
        ear.socket.sendto(verdict.answer, peer)
    ear.boots += 1
    ear.receiver = ear.renewed()
    assert ear.judge(data, AGGREGATION).refusal is Refusal.NOT_IN_TIME
    ear.socket.sendto(ear.judge(data, AGGREGATION).answer, peer)  # so that the agent learns our new start
    assert ear.judge((await ear.hear())[0], AGGREGATION).answer


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_damaged_message_is_refused_or_malformed_and_never_believed(damaged: tuple[bytes, Ear], data: st.DataObject) -> None:
    whole, ear = damaged
    raw = bytearray(whole)
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    try:
        verdict = ear.judge(bytes(raw), AGGREGATION)
    except Malformed:
        return
    assert verdict.notification is None


@pytest.fixture
async def damaged(block: Block, ear: Ear) -> tuple[bytes, Ear]:
    return await trap_of(block, ear, AGGREGATION), ear
