"""The simulated telephones, asked by a plain client that shares no code with them."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from simulators import inventory
from simulators.city import City, SimDevice, plan
from simulators.serving import running
from simulators.state import State
from tests.simulators.street import free_ports
from tests.waiting import until


class Phone(asyncio.DatagramProtocol):
    """A caller's socket, and what came to it."""

    def __init__(self) -> None:
        self.came: list[str] = []

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self.transport: asyncio.DatagramTransport = transport
        self.port: int = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.came.append(data.decode())

    @property
    def statuses(self) -> list[str]:
        return [text.split()[1] for text in self.came]


@dataclass
class Block:
    city: City
    state: State
    horn: SimDevice
    control: int
    phone: Phone

    def send(self, method: str, *, number: int = 1, branch: str = "", to_tag: str = "", body: str = "", more: str = "") -> None:
        where = f"127.0.0.1:{self.phone.port}"
        head = (
            f"{method} sip:horn@{self.horn.address} SIP/2.0\r\nv: SIP/2.0/UDP {where};branch=z9hG4bK{branch or method}{number}\r\n"
            f"f: <sip:me@{where}>;tag=me\r\nt: <sip:horn@{self.horn.address}>{f';tag={to_tag}' if to_tag else ''}\r\ni: call-1\r\n"
            f"CSeq: {number} {'INVITE' if method == 'ACK' else method}\r\nm: <sip:me@{where}>\r\n{more}l: {len(body)}\r\n\r\n{body}"
        )
        self.phone.transport.sendto(head.replace("CSeq: 1 INVITE\r\nm", f"CSeq: {number} {method}\r\nm").encode(), self.to)

    @property
    def to(self) -> tuple[str, int]:
        return self.horn.address, self.city.sip_port

    def invite(self, **words: str) -> None:
        self.send("INVITE", body=f"v=0\r\nm=audio {self.phone.port} RTP/AVP 0 8\r\na=sendonly\r\n", **words)

    async def ask(self, method: str, path: str, body: object = None) -> dict:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.control)
        data = b"" if body is None else json.dumps(body).encode()
        writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
        answer = await reader.read()
        writer.close()
        return json.loads(answer.partition(b"\r\n\r\n")[2])


@pytest.fixture
async def block() -> AsyncIterator[Block]:
    planned = plan(seed=7, groups=6, speakers=3, telephones=1, sip_port=free_ports(1)[0])
    horn = next(device for device in planned.devices if device.sip_user)
    state = State()
    async with running(planned, state, control=("127.0.0.1", 0), only=("sip",)) as ports:
        _, phone = await asyncio.get_running_loop().create_datagram_endpoint(Phone, local_addr=("127.0.0.1", 0))
        made = Block(planned, state, horn, ports["control"], phone)
        await made.ask("POST", f"/speakers/{horn.id}/calls", {"open": True})
        yield made
        phone.transport.close()


def test_a_city_has_as_many_telephones_as_were_asked_for_and_is_else_the_same() -> None:
    without, with_them = plan(seed=3, groups=40, speakers=22), plan(seed=3, groups=40, speakers=22, telephones=2)
    changed = [(old, new) for old, new in zip(without.devices, with_them.devices, strict=True) if old != new]
    assert [new.vendor for _, new in changed] == ["Fanvil"] * 2
    assert all((old.address, old.snmp, old.audio) == (new.address, new.snmp, new.audio) for old, new in changed)
    rows = [line for line in inventory.inventory(with_them) if "Fanvil" in line]
    assert len(rows) == 2
    assert all("sip_port: 18560" in row and "onvif_port" not in row for row in rows)
    with pytest.raises(ValueError, match="telephones"):
        plan(seed=3, groups=40, speakers=2, telephones=3)


async def test_a_telephone_takes_a_call_and_names_itself(block: Block) -> None:
    block.invite()
    await until(lambda: "200" in block.phone.statuses)
    said = block.phone.came[-1]
    assert block.phone.statuses[:2] == ["100", "200"]
    assert f"Server: Fanvil {block.horn.model} {block.horn.firmware} {block.horn.mac.replace(':', '')}" in said
    assert f"c=IN IP4 {block.horn.address}" in said
    assert "a=recvonly" in said


async def test_a_200_is_repeated_until_it_is_acknowledged(block: Block) -> None:
    block.invite()
    await until(lambda: block.phone.statuses.count("200") >= 2)
    tag = re.search(r"To: .*;tag=(\w+)", block.phone.came[-1])
    assert tag is not None
    block.send("ACK", to_tag=tag[1])
    block.send("BYE", number=2, to_tag=tag[1])
    await until(lambda: "2 BYE" in block.phone.came[-1])
    assert not (await block.ask("GET", f"/speakers/{block.horn.id}/heard"))["playing"]


async def test_a_call_is_cancelled(block: Block) -> None:
    await block.ask("POST", f"/speakers/{block.horn.id}/calls", {"answers": False})
    block.invite()
    await until(lambda: "180" in block.phone.statuses)
    block.send("CANCEL", branch="INVITE")
    await until(lambda: {"200", "487"} <= set(block.phone.statuses))


async def test_the_password_is_asked_for(block: Block) -> None:
    await block.ask("POST", f"/speakers/{block.horn.id}/calls", {"open": False})
    block.send("OPTIONS")
    await until(lambda: block.phone.came)
    assert block.phone.statuses == ["401"]
    assert "Www-Authenticate: Digest" in block.phone.came[0]
    assert not block.state.is_verified(block.horn)


@pytest.mark.parametrize("habits", [{"refuses": 200}, {"rings_s": -1}, {"answers": 1}, {"nothing": 1}])
async def test_habits_that_are_none_are_refused(block: Block, habits: dict) -> None:
    assert "error" in await block.ask("POST", f"/speakers/{block.horn.id}/calls", habits)


async def test_what_is_no_message_is_counted_and_passed_over(block: Block) -> None:
    for data in (b"\x00", b"hello", b"INVITE sip:x SIP/2.0\r\n\r\n", b"BYE x SIP/2.0\r\nCSeq: one BYE\r\nVia: x\r\n\r\n"):
        block.phone.transport.sendto(data, block.to)
    block.send("OPTIONS")
    await until(lambda: block.phone.statuses == ["200"])
    assert block.state.counters["sip.malformed.speaker"] == 4


async def test_other_loudspeakers_take_no_calls(block: Block) -> None:
    other = next(device for device in block.city.of_kind("speaker") if not device.sip_user)
    replace(block, horn=other).send("OPTIONS")
    block.send("OPTIONS")
    await until(lambda: block.phone.came)
    assert len(block.phone.came) == 1
