"""What both engines do with an agent that serves every type, goes missing, or lies."""

import asyncio
from dataclasses import replace

import pytest

from gateway.domain.devices import SnmpVersion
from gateway.drivers.base import Target
from gateway.drivers.snmp.engine import OCTETS_LIMIT, PollEngine
from gateway.drivers.snmp.polling import GufoEngine
from gateway.errors import DeadlineExceeded, DeviceError, InvalidInput, ProtocolError
from tests.drivers.snmp import agent as fake
from tests.drivers.snmp.agent import v2c

EVERY_TYPE = {
    "1.3.6.1.4.1.9.1.0": (v2c.Integer(-5), -5),
    "1.3.6.1.4.1.9.2.0": (v2c.Counter32(4_000_000_000), 4_000_000_000),
    "1.3.6.1.4.1.9.3.0": (v2c.Gauge32(7), 7),
    "1.3.6.1.4.1.9.4.0": (v2c.Counter64(2**63), 2**63),
    "1.3.6.1.4.1.9.5.0": (v2c.TimeTicks(12), 12),
    "1.3.6.1.4.1.9.6.0": (v2c.IpAddress("10.1.2.3"), "10.1.2.3"),
    "1.3.6.1.4.1.9.7.0": (v2c.ObjectIdentifier("1.3.6.1.4.1.368"), "1.3.6.1.4.1.368"),
    "1.3.6.1.4.1.9.8.0": (v2c.OctetString(b"\xff\x00text"), b"\xff\x00text"),
    "1.3.6.1.4.1.9.9.0": (v2c.OctetString(b""), b""),
    "1.3.6.1.4.1.9.10.0": (v2c.OctetString(b"x" * 3_000), b"x" * OCTETS_LIMIT),
}
TABLE = {oid: sent for oid, (sent, _) in EVERY_TYPE.items()} | {
    f"1.3.6.1.2.1.2.2.1.{column}.{row}": v2c.Integer(column * 1_000 + row) for column in (8, 10) for row in range(1, 61)
}
SOME = ("1.3.6.1.4.1.9.1.0", "1.3.6.1.4.1.9.8.0")


async def test_every_type_has_one_plain_value(engine: PollEngine) -> None:
    async with fake.serving(TABLE) as (_, target):
        reply = await engine.get(target, list(EVERY_TYPE), timeout_s=3)
    assert reply.values == {oid: expected for oid, (_, expected) in EVERY_TYPE.items()}


async def test_over_v1_what_is_absent_does_not_hide_what_is_there(engine: PollEngine) -> None:
    async with fake.serving(TABLE) as (_, target):
        first = fake.target(target.address, target.ports.snmp, version=SnmpVersion.V1)
        asked = ("1.3.6.1.9.9.1", SOME[0], "1.3.6.1.9.9.2", SOME[1], "1.3.6.1.9.9.3")
        reply = await engine.get(first, asked, timeout_s=3)
    assert reply.values == {"1.3.6.1.9.9.1": None, SOME[0]: -5, "1.3.6.1.9.9.2": None, SOME[1]: b"\xff\x00text", "1.3.6.1.9.9.3": None}


@pytest.mark.parametrize("version", [SnmpVersion.V1, SnmpVersion.V2C])
async def test_a_walk_gives_all_rows_of_its_column_in_order(engine: PollEngine, version: SnmpVersion) -> None:
    async with fake.serving(TABLE) as (_, target):
        spoken = fake.target(target.address, target.ports.snmp, version=version)
        rows = await engine.walk(spoken, "1.3.6.1.2.1.2.2.1.8", timeout_s=5)
        assert rows == [(str(row), 8_000 + row) for row in range(1, 61)]
        assert len(await engine.walk(spoken, "1.3.6.1.2.1.2.2.1.10", timeout_s=5)) == 60, "the last column, up to the end of the table"
        assert await engine.walk(spoken, "1.3.6.1.2.1.2.2.1.9", timeout_s=5) == []


async def test_a_walk_that_goes_in_circles_is_cut_off(engine: PollEngine) -> None:
    async with fake.serving(TABLE) as (agent, target):
        circle = agent._answer

        def same_row(request: bytes, _: bytes) -> list[bytes]:
            agent._following = lambda oid, count: [("1.3.6.1.2.1.2.2.1.8.1", v2c.Integer(1))] * count
            return [circle(request)]

        agent.lie = same_row
        with pytest.raises(ProtocolError) as raised:
            await engine.walk(target, "1.3.6.1.2.1.2.2.1.8", timeout_s=3)
    assert raised.value.code == "endless"


LIES = {
    "nothing": lambda request, honest: [],
    "garbage": lambda request, honest: [b"\xff\x00garbage"],
    "an empty datagram": lambda request, honest: [b""],
    "half an answer": lambda request, honest: [honest[:-5]],
    "its own question": lambda request, honest: [request],
    "a length beyond the datagram": lambda request, honest: [honest[:1] + b"\x84\xff\xff\xff\xff" + honest[2:]],
    "sixty thousand bytes of nesting": lambda request, honest: [b"\x30\x80" * 20_000],
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_liar_costs_one_deadline_and_is_reported_as_a_device_error(engine: PollEngine, lie: str) -> None:
    async with fake.serving(TABLE) as (agent, target):
        agent.lie = LIES[lie]
        with pytest.raises(DeviceError):
            async with asyncio.timeout(20):
                await engine.get(target, SOME, timeout_s=1)
        agent.lie = None
        assert (await engine.get(target, SOME, timeout_s=1)).values[SOME[0]] == -5, "and leaves nothing behind"


async def test_an_answer_that_comes_too_late_is_not_taken_for_the_next_one(engine: PollEngine) -> None:
    async with fake.serving(TABLE) as (agent, target):
        late: list[bytes] = []

        def withhold(request: bytes, honest: bytes) -> list[bytes]:
            late.append(honest)
            return []

        agent.lie = withhold
        with pytest.raises(DeadlineExceeded):
            await engine.get(target, SOME, timeout_s=1)
        agent.lie = lambda request, honest: [*late, honest]
        reply = await engine.get(target, (SOME[1],), timeout_s=1)
    assert reply.values == {SOME[1]: b"\xff\x00text"}


async def test_a_datagram_that_is_lost_is_sent_again_within_the_deadline_and_costs_no_check() -> None:
    engine = GufoEngine(try_s=0.05)
    async with fake.serving(TABLE) as (agent, target):
        agent.lie = lambda request, honest: [honest] if agent.requests % 3 == 0 else []
        for _ in range(5):
            assert (await engine.get(target, SOME, timeout_s=3)).values[SOME[0]] == -5
        agent.lie = lambda request, honest: []
        before = agent.requests
        with pytest.raises(DeadlineExceeded):
            await engine.get(target, SOME, timeout_s=3)
        assert agent.requests - before == 3, "and no more often"
    await engine.close()


async def test_a_walk_that_loses_datagrams_goes_on_where_it_was() -> None:
    engine = GufoEngine(try_s=0.05)
    async with fake.serving(TABLE) as (agent, target):
        agent.lie = lambda request, honest: [honest] if agent.requests % 2 == 0 else []
        rows = await engine.walk(target, "1.3.6.1.2.1.2.2.1.8", timeout_s=5)
        assert rows == [(str(row), 8_000 + row) for row in range(1, 61)]
        assert agent.requests <= 10, "every other of five"
    await engine.close()


async def test_the_deadline_covers_everything_even_answers_that_never_fit(engine: PollEngine) -> None:
    async with fake.serving(TABLE) as (agent, target):
        old: list[bytes] = []
        agent.lie = lambda request, honest: old.append(honest) or [honest]
        await engine.get(target, SOME, timeout_s=3)
        agent.lie = lambda request, honest: old * 50
        begin = asyncio.get_running_loop().time()
        with pytest.raises(DeadlineExceeded):
            await engine.get(target, SOME, timeout_s=0.3)
        assert asyncio.get_running_loop().time() - begin < 1


async def test_requests_to_one_device_go_one_after_the_other_and_all_are_answered(engine: PollEngine) -> None:
    async with fake.serving(TABLE) as (_, target):
        replies = await asyncio.gather(*(engine.get(target, SOME, timeout_s=5) for _ in range(20)))
    assert {reply.values[SOME[0]] for reply in replies} == {-5}


async def test_a_device_without_snmp_credentials_and_an_unknown_protocol_are_our_faults(engine: PollEngine) -> None:
    bare = fake.target("127.77.2.1", 9)
    with pytest.raises(InvalidInput):
        await engine.get(replace(bare, credentials=replace(bare.credentials, snmp=None)), SOME, timeout_s=1)
    assert bare.credentials.snmp is not None
    odd = replace(bare.credentials.snmp, version=SnmpVersion.V3, user="x", auth_protocol="ROT13", auth_key="x" * 8)
    with pytest.raises(InvalidInput, match="ROT13"):
        await engine.get(replace(bare, credentials=replace(bare.credentials, snmp=odd)), SOME, timeout_s=1)


async def test_the_polling_engine_keeps_no_more_sockets_than_it_may() -> None:
    engine = GufoEngine(max_sessions=3)
    async with fake.serving(TABLE) as (agent, target):

        async def poll(number: int) -> None:
            await engine.get(Target(f"device-{number}", *_rest(target)), SOME, timeout_s=3)

        for number in range(10):
            await poll(number)
        assert len(engine._lines) == 3
        assert agent.requests == 10
    await engine.close()


def _rest(target: Target) -> tuple[object, ...]:
    return target.address, target.ports, target.credentials, target.profile
