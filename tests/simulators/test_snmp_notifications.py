"""Notifications where a foreign receiver would be too polite: informs that nobody acknowledges, and the control API."""

import asyncio
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest

from simulators.city import City
from simulators.snmp import ber
from simulators.snmp.ber import Reader
from simulators.traps import Sink, Trap
from simulators.wiring import set_power
from tests.simulators.snmp_block import AGGREGATION, BRANCH, CAMERA, CITY, SPEAKER, SWITCH, Block, snmp_block
from tests.simulators.street import Street
from tests.waiting import until

TRAP_OID = bytes.fromhex("2b0601060301010401")


@pytest.fixture
def receiver() -> "Receiver":
    return Receiver()


class Receiver:
    """A bare socket that hears and does not answer by itself."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)

    def sink(self, *, informs: bool = False) -> Sink:
        return Sink("127.0.0.1", self.socket.getsockname()[1], informs)

    async def hear(self) -> tuple[bytes, tuple[str, int]]:
        async with asyncio.timeout(60):
            return await asyncio.get_running_loop().sock_recvfrom(self.socket, 65_535)


@pytest.fixture
async def block(receiver: Receiver) -> AsyncIterator[Block]:
    async with snmp_block(retry_s=0.01) as running:
        yield running
    receiver.socket.close()


async def test_an_inform_that_nobody_acknowledges_is_repeated_and_then_given_up(block: Block, receiver: Receiver) -> None:
    block.state.traps.sink = receiver.sink(informs=True)
    block.state.traps.send(SWITCH, Trap.COLD_START)
    heard = [await receiver.hear() for _ in range(5)]
    assert len({data for data, _ in heard}) == 1
    assert {peer[0] for _, peer in heard} == {SWITCH.address}
    await until(lambda: block.state.counters["snmp.informs_given_up.switch"] == 1)
    with pytest.raises(BlockingIOError):
        receiver.socket.recv(1)


async def test_an_acknowledgement_from_another_device_s_address_counts_for_nothing(block: Block, receiver: Receiver) -> None:
    block.state.traps.sink = receiver.sink(informs=True)
    block.state.traps.send(SWITCH, Trap.COLD_START)
    data, peer = await receiver.hear()
    receiver.socket.sendto(data.replace(b"\xa6", b"\xa2", 1), (SPEAKER.address, peer[1]))
    await until(lambda: block.state.counters["snmp.informs_given_up.switch"] == 1)


async def test_an_acknowledged_inform_is_not_repeated(block: Block, receiver: Receiver) -> None:
    block.state.traps.sink = receiver.sink(informs=True)
    block.state.traps.send(SWITCH, Trap.COLD_START)
    data, peer = await receiver.hear()
    receiver.socket.sendto(data.replace(b"\xa6", b"\xa2", 1), peer)
    await until(lambda: block.state.counters["snmp.informs_acknowledged.switch"] == 1)


async def test_a_switch_tells_nothing_while_it_is_dark_and_its_cold_start_when_it_is_back(block: Block, receiver: Receiver) -> None:
    block.state.traps.sink = receiver.sink()
    set_power(CITY, block.state, BRANCH, on=False)
    down, peer = await receiver.hear()
    assert peer[0] == AGGREGATION.address
    set_power(CITY, block.state, BRANCH, on=True)
    told = {(await receiver.hear())[1][0] for _ in range(2)}
    assert told == {AGGREGATION.address, BRANCH.address}
    assert down


async def test_uptime_boots_and_counters_begin_anew_with_a_restart(block: Block) -> None:
    uptime, octets = "1.3.6.1.2.1.1.3.0", "1.3.6.1.2.1.2.2.1.10.1"
    block.clock.advance(50)
    block.state.journal.note(block.clock(), "reboot", device=SWITCH.id)
    block.clock.advance(7)
    assert await value(block, uptime) == 700
    assert 7 * 20_000 <= await value(block, octets) <= 7 * 25_000


async def test_the_counters_of_a_port_stand_still_while_it_is_down_and_its_last_change_is_told(block: Block) -> None:
    octets, last_change, uptime = "1.3.6.1.2.1.2.2.1.10.1", "1.3.6.1.2.1.2.2.1.9.1", "1.3.6.1.2.1.1.3.0"
    assert await value(block, last_change) == 0
    block.state.darken([CAMERA])
    at, counted = await value(block, uptime), await value(block, octets)
    block.clock.advance(60)
    assert (await value(block, octets), await value(block, last_change)) == (counted, at)
    block.state.light([CAMERA])
    block.clock.advance(10)
    assert counted < await value(block, octets) <= counted + 10 * 25_000
    assert await value(block, last_change) == at + 6_000


async def value(block: Block, name: str) -> int:
    """An unsigned object of SWITCH."""
    oid = ber.oid(tuple(map(int, name.split("."))))
    pdu = ber.tlv(0xA0, b"\x02\x01\x01\x02\x01\x00\x02\x01\x00" + ber.tlv(0x30, ber.tlv(0x30, oid + b"\x05\x00")))
    answer = await block.ask(SWITCH, ber.tlv(0x30, b"\x02\x01\x01" + ber.octets("c1ty") + pdu))
    found = answer[answer.rindex(oid) + len(oid) :]
    _, content = Reader(found).value()
    return int.from_bytes(content, "big")


# -- where they go


async def test_the_plan_of_a_city_names_the_receiver(receiver: Receiver) -> None:
    city = City(1, 0, 0, 0, groups=(), devices=CITY.devices, traps=str(receiver.sink()))
    async with snmp_block(city=city) as block:
        block.state.traps.send(SWITCH, Trap.LINK_DOWN, 1)
        data, _ = await receiver.hear()
    assert TRAP_OID in data
    receiver.socket.close()


async def test_the_control_api_names_the_receiver_and_never_one_beyond_loopback(street: Street) -> None:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{street.control_port}") as http:
        async with http.put("/traps", json={"to": "127.0.0.1:18162", "informs": True}) as answer:
            assert await answer.json() == {"to": "127.0.0.1:18162", "informs": True}
        for body in ({"to": "192.0.2.1:162"}, {"to": "127.0.0.1"}, {"to": 5}, {"informs": True}):
            async with http.put("/traps", json=body) as answer:
                assert answer.status == 400
        switch = street.city.of_kind("switch")[0].id
        async with http.post("/traps", json={"device": switch, "trap": "linkDown", "port": 1}) as answer:
            assert (await answer.json())["sent"]
        async with http.post("/traps", json={"device": switch, "trap": "explosion"}) as answer:
            assert answer.status == 400
        async with http.delete("/traps") as answer:
            assert await answer.json() == {"to": "", "informs": False}
