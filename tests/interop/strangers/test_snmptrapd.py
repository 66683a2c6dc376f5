"""The simulated devices' traps and informs as net-snmp's snmptrapd hears them, and acknowledges them."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from simulators.city import SimDevice
from simulators.traps import Sink, Trap
from simulators.wiring import set_port
from tests.simulators.snmp_block import AGGREGATION, BRANCH, CAMERA, CITY, OLD_SWITCH, SHA256_SWITCH, SWITCH, Block, snmp_block
from tests.simulators.street import free_ports
from tests.waiting import until

pytestmark = pytest.mark.interop
READY = "NET-SNMP version"
V2C, V3, V3_SHA256 = SWITCH, AGGREGATION, SHA256_SWITCH


class Trapd:
    """A running snmptrapd; `line` gives what it logs."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process, self.port = process, port

    async def line(self, *words: str) -> str:
        """The next line with all these words in it."""
        assert self._process.stdout is not None
        async with asyncio.timeout(60):
            while True:
                line = (await self._process.stdout.readline()).decode(errors="replace")
                assert line, f"snmptrapd ended before it told {words}"
                if all(word in line for word in words):
                    return line


@asynccontextmanager
async def trapd(folder: Path) -> AsyncIterator[Trapd]:
    program = shutil.which("snmptrapd") or shutil.which("snmptrapd", path="/usr/sbin")
    if program is None:
        pytest.skip("snmptrapd: snmptrapd is not installed")
    (port,) = free_ports(1)
    lines = ["authCommunity log c1ty", "authUser log poller noauth", "createUser poller SHA auth-secret AES priv-secret"]
    for one, auth in ((V3, "SHA"), (V3_SHA256, "SHA-256")):
        assert one.snmp is not None
        lines.append(f"createUser -e 0x{one.snmp.engine_id} poller {auth} auth-secret AES priv-secret")
    (folder / "snmptrapd.conf").write_text("\n".join(lines) + "\n")
    process = await asyncio.create_subprocess_exec(
        program, "-f", "-n", "-Lo", "-On", "-m", "", "-C", "-c", str(folder / "snmptrapd.conf"), "-F", "%B %v %w %q %N %W\n%V\n%v\n",
        "-p", str(folder / "pid"), f"udp:127.0.0.1:{port}",
        env={"SNMP_PERSISTENT_DIR": str(folder), "MIBS": "", "PATH": "/usr/bin:/bin"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    listening = Trapd(process, port)
    try:
        await listening.line(READY)
        yield listening
    finally:
        process.terminate()
        await process.wait()


@pytest.fixture
async def block() -> AsyncIterator[Block]:
    async with snmp_block(retry_s=5.0) as running:
        yield running


@pytest.fixture
async def listening(tmp_path: Path, block: Block) -> AsyncIterator[Trapd]:
    async with trapd(tmp_path) as running:
        block.state.traps.sink = Sink("127.0.0.1", running.port)
        yield running


async def test_a_v1_trap_is_heard(block: Block, listening: Trapd) -> None:
    block.state.traps.send(OLD_SWITCH, Trap.COLD_START)
    assert await listening.line(OLD_SWITCH.address)


@pytest.mark.parametrize("target", [V2C, V3, V3_SHA256], ids=["v2c", "SHA-AES", "SHA256-AES"])
async def test_a_cold_start_is_heard(block: Block, listening: Trapd, target: SimDevice) -> None:
    block.state.journal.note(block.clock(), "reboot", device=target.id)
    assert await listening.line(".1.3.6.1.6.3.1.1.4.1.0", ".1.3.6.1.6.3.1.1.5.1")


async def test_a_port_that_goes_down_and_comes_up_is_told_with_its_number_and_states(block: Block, listening: Trapd) -> None:
    set_port(CITY, block.state, SWITCH, CAMERA.uplink_port, up=False)
    down = await listening.line(".1.3.6.1.6.3.1.1.5.3")
    assert [f".1.3.6.1.2.1.2.2.1.{column}.1 = INTEGER: {value}" in down for column, value in ((1, 1), (7, 2), (8, 2))] == [True] * 3
    set_port(CITY, block.state, SWITCH, CAMERA.uplink_port, up=True)
    assert ".1.3.6.1.2.1.2.2.1.8.1 = INTEGER: 1" in await listening.line(".1.3.6.1.6.3.1.1.5.4")


async def test_a_wrong_community_is_told(block: Block, listening: Trapd) -> None:
    datagram = bytes.fromhex("302602010104") + b"\x05wrong" + bytes.fromhex("a01a020101020100020100300f300d06092b060102010105000500")
    assert await block.is_silent(SWITCH, datagram[:1] + bytes((len(datagram) - 2,)) + datagram[2:])
    assert await listening.line(".1.3.6.1.6.3.1.1.5.5")


@pytest.mark.parametrize("target", [V2C, V3], ids=["v2c", "v3"])
async def test_an_inform_is_acknowledged_and_not_repeated(block: Block, listening: Trapd, target: SimDevice) -> None:
    block.state.traps.sink = Sink("127.0.0.1", listening.port, informs=True)
    block.state.traps.send(target, Trap.COLD_START)
    assert await listening.line(".1.3.6.1.6.3.1.1.5.1")
    await until(lambda: block.state.counters["snmp.informs_acknowledged.switch"])
    assert block.state.counters["snmp.informs_given_up.switch"] == 0


async def test_a_switch_that_was_behind_a_dark_port_tells_of_nothing_before_it_is_back(block: Block, listening: Trapd) -> None:
    set_port(CITY, block.state, AGGREGATION, BRANCH.uplink_port, up=False)
    assert ".7" in await listening.line(".1.3.6.1.6.3.1.1.5.3")
